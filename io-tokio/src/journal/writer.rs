//! The thread that writes the journal.
//!
//! Owns the database while the node runs. Invariant: it reports a sequence number only after the commit that holds it
//! has returned while the file is in its place, and ends at the first error. Driven by the queue of batches; it ends
//! when the queue is closed and empty.

use std::time::Instant;

use redb::{Database, Durability};
use tokio::sync::{mpsc, watch};

use super::{Change, Durable, JournalError, Place, RECORDS, storage};
use crate::metrics::JournalCounters;

/// At most this many batches in one commit, so that the first of them does not wait forever for the last.
const MAX_BATCHES: u64 = 512;

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) sequence: u64,
    pub(super) changes: Vec<Change>,
}

pub(super) fn run(
    database: &Database,
    place: Option<&Place>,
    mut waiting: mpsc::Receiver<Batch>,
    report: &watch::Sender<Durable>,
    counters: &JournalCounters,
) {
    while let Some(first) = waiting.blocking_recv() {
        let started = Instant::now();
        let committed = commit(database, first, &mut waiting);
        // After the commit: what was written to a file that is gone is not durable.
        match committed.and_then(|committed| place.map_or(Ok(()), Place::check).map(|()| committed)) {
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
fn commit(database: &Database, first: Batch, waiting: &mut mpsc::Receiver<Batch>) -> Result<(u64, u64), JournalError> {
    let mut transaction = database.begin_write().map_err(storage)?;
    // The default too; but this is the promise that all else rests on.
    transaction.set_durability(Durability::Immediate).map_err(storage)?;
    let (mut sequence, mut batches) = (0, 0);
    {
        let mut table = transaction.open_table(RECORDS).map_err(storage)?;
        let mut next = Some(first);
        while let Some(batch) = next {
            for (key, value) in batch.changes {
                match value {
                    Some(value) => table.insert(&key[..], &value[..]).map_err(storage)?,
                    None => table.remove(&key[..]).map_err(storage)?,
                };
            }
            assert!(
                batch.sequence > sequence,
                "a journal's sequence numbers grow, or one would seem durable too early"
            );
            (sequence, batches) = (batch.sequence, batches + 1);
            next = if batches < MAX_BATCHES { waiting.try_recv().ok() } else { None };
        }
    }
    transaction.commit().map_err(storage)?;
    Ok((sequence, batches))
}
