//! The thread that writes the journal.
//!
//! Owns the database while the node runs. Invariant: it reports a sequence number only after the commit that holds it
//! has returned while the file is in its place, and ends at the first error. Driven by the queue of batches; it ends
//! when the queue is closed and empty.

use std::{thread, time::Instant};

use redb::{Database, Durability};
use tokio::sync::{mpsc, watch};

use super::{Change, Commits, Durable, JournalError, Place, RECORDS, SEAL, Seal, storage, unless_it_panics};
use crate::metrics::JournalCounters;

/// At most this many batches in one commit, so that the first of them does not wait forever for the last.
const MAX_BATCHES: u64 = 512;

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) sequence: u64,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) database: Database,
    /// Of the newest commit.
    pub(super) seal: Seal,
    pub(super) place: Option<Place>,
    pub(super) commits: Option<Commits>,
}

impl Writer {
    pub(super) fn run(
        mut self,
        mut waiting: mpsc::Receiver<Batch>,
        report: &watch::Sender<Durable>,
        counters: &JournalCounters,
    ) {
        while let Some(first) = waiting.blocking_recv() {
            // On a busy machine the node goes on first, and what it appends meanwhile shares this flush; on a quiet one
            // this takes no time.
            thread::yield_now();
            let started = Instant::now();
            match unless_it_panics(|| self.write(first, &mut waiting)) {
                Ok((sequence, batches)) => {
                    counters.commits.inc();
                    counters.batches.inc_by(batches);
                    counters.commit_seconds.observe(started.elapsed().as_secs_f64());
                    report.send_modify(|durable| durable.sequence = sequence);
                }
                Err(failure) => {
                    tracing::error!(error = %failure, "the journal failed");
                    report.send_modify(|durable| durable.failure = Some(failure));
                    return;
                }
            }
        }
    }

    /// Writes `first` and whatever else waits already, and flushes once.
    fn write(&mut self, first: Batch, waiting: &mut mpsc::Receiver<Batch>) -> Result<(u64, u64), JournalError> {
        let committed = self.commit(first, waiting)?;
        // After the commit: what was written to a file that is gone is not durable.
        self.place.as_ref().map_or(Ok(()), Place::check)?;
        // And only then, so that the number is never ahead of the store.
        let number = self.seal.commits;
        self.commits
            .as_mut()
            .map_or(Ok(()), |file| file.write(number))
            .map_err(redb::StorageError::Io)
            .map_err(storage)?;
        Ok(committed)
    }

    fn commit(&mut self, first: Batch, waiting: &mut mpsc::Receiver<Batch>) -> Result<(u64, u64), JournalError> {
        let mut transaction = self.database.begin_write().map_err(storage)?;
        // The default too; but this is the promise that all else rests on.
        transaction.set_durability(Durability::Immediate).map_err(storage)?;
        let mut seal = self.seal;
        let (mut sequence, mut batches) = (0, 0);
        {
            let mut table = transaction.open_table(RECORDS).map_err(storage)?;
            let mut next = Some(first);
            while let Some(batch) = next {
                for (key, value) in batch.changes {
                    let before = match &value {
                        Some(value) => table.insert(&key[..], &value[..]).map_err(storage)?,
                        None => table.remove(&key[..]).map_err(storage)?,
                    };
                    before.iter().for_each(|before| seal.toggle(&key, before.value()));
                    value.iter().for_each(|value| seal.toggle(&key, value));
                }
                assert!(
                    batch.sequence > sequence,
                    "a journal's sequence numbers grow, or one would seem durable too early"
                );
                (sequence, batches) = (batch.sequence, batches + 1);
                next = if batches < MAX_BATCHES { waiting.try_recv().ok() } else { None };
            }
            seal.commits += 1;
            transaction.open_table(SEAL).map_err(storage)?.insert((), seal.parts()).map_err(storage)?;
        }
        transaction.commit().map_err(storage)?;
        self.seal = seal;
        Ok((sequence, batches))
    }
}
