//! The node's durable memory.
//!
//! Owns one redb file and the thread that writes to it. Invariant: a sequence number is reported as durable only after
//! the operating system has put everything up to it on the disk; after the first error nothing is reported any more,
//! and the node must stop. Driven by the runtime, which appends batches and waits for [`Durable`].
//!
//! Commits are grouped: while one is on its way to the disk, everything that arrives waits and goes out with the next,
//! so that a busy node pays for one flush, not for one per record. Measured on a virtual disk of which `fdatasync`
//! takes 0.16 ms, with records of 400 bytes: 0.2 ms from `append` to durable (99 % within 0.3 ms) one at a time, 2 µs
//! each when many wait; `cargo run --release -p nelumbo-tokio --example journal_latency` measures again.

#[cfg(test)]
mod crash_points;
#[cfg(test)]
pub(crate) mod full_disk;
mod place;
mod seal;
mod writer;

use std::{
    fs::{self, File, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, watch};

use self::{
    place::Place,
    seal::{Commits, Seal},
    writer::Writer,
};
use crate::metrics::Metrics;

/// The journal's file in its folder.
pub const JOURNAL_FILE: &str = "journal.redb";

/// At most this many batches wait for the disk; then the runtime takes no more input.
const MAX_WAITING: usize = 1024;
/// Everything a node keeps is read once, at start; a cache would only cost memory.
const CACHE_BYTES: usize = 512 * 1024;
const FORMAT: u64 = 2;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The number of the newest commit, and the sum of all records after it.
const SEAL: TableDefinition<'_, (), (u64, [u8; 32])> = TableDefinition::new("seal");

/// One change of a record: a value to store under the key, or `None` to remove it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// A record that a previous run left.
pub type StoredRecord = (Vec<u8>, Vec<u8>);

/// Why the journal cannot be used any more. Every case is fatal: the node must stop.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process, or another node of this one, uses the folder.
    #[error("the folder {} is in use by another node", .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder or the file cannot be created or opened.
    #[error("the journal in {} cannot be opened: {error}", .folder.display())]
    Open {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        error: Arc<io::Error>,
    },
    /// The file is no longer where it was opened: it or its folder was deleted, moved or replaced. That is noticed when
    /// a record is written, and the record does not count as durable.
    #[error("the journal {} was deleted, moved or replaced, or its folder was, while the node ran", .file.display())]
    Gone {
        /// The file.
        file: PathBuf,
    },
    /// The file was written by a newer version.
    #[error("the journal has format {found}, and this version reads format {FORMAT}")]
    Format {
        /// The format of the file.
        found: u64,
    },
    /// What the folder holds is not what was written to it: a damaged disk, a file edited or copied by itself.
    #[error(
        "the journal in {} is damaged: {what}. Do not put an older copy in its place: the other signers may hold \
         what it has forgotten. Move the folder away, start with an empty one, and do not approve its open sessions \
         again",
        .folder.display()
    )]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The disk is full, or broken, or the file is damaged.
    #[error("the journal cannot be read or written: {0}")]
    Storage(String),
    /// The writer is gone: it failed before, or the journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// More batches wait than may; the caller did not look at [`Journal::has_room`].
    #[error("too much is waiting for the disk")]
    Backlog,
}

/// What the disk has so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Durable {
    /// Everything up to this sequence number is on the disk.
    pub sequence: u64,
    /// What went wrong, after which nothing more becomes durable.
    pub failure: Option<JournalError>,
}

/// An open journal. Dropping it without [`close`](Self::close) writes what waits, in the background.
#[derive(Debug)]
pub struct Journal {
    batches: mpsc::Sender<writer::Batch>,
    durable: watch::Receiver<Durable>,
    writer: thread::JoinHandle<()>,
}

impl Journal {
    /// Opens the journal in a folder, which is created if it is missing, and returns what it holds.
    pub fn open(folder: &Path, metrics: &Metrics) -> Result<(Self, Vec<StoredRecord>), JournalError> {
        let failed = |error| JournalError::Open { folder: folder.to_owned(), error: Arc::new(error) };
        create_folder(folder).map_err(failed)?;
        let path = folder.join(JOURNAL_FILE);
        let file = open_file(&path).map_err(failed)?;
        let place = Place::of(path, &file).map_err(failed)?;
        let damaged = |what: String| JournalError::Damaged { folder: folder.to_owned(), what };
        // Of a damaged file the store may make anything, a panic too.
        let opened = unless_it_panics(|| {
            let database = builder().create_file(file).map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => JournalError::InUse { folder: folder.to_owned() },
                error => storage(error),
            })?;
            read(&database).map(|(seal, records)| (database, seal, records))
        });
        let (database, seal, records) = opened.map_err(|error| match error {
            JournalError::Storage(what) => damaged(what),
            error => error,
        })?;
        let written = Commits::read(folder).map_err(|error| damaged(error.to_string()))?;
        if written.is_none() && seal.commits > 0 {
            return Err(damaged(format!("{} is missing", seal::COMMITS_FILE)));
        }
        if let Some(written) = written.filter(|written| *written > seal.commits) {
            let lost = written - seal.commits;
            return Err(damaged(format!("its last {lost} commits of {written} are missing")));
        }
        if !seal.fits(&records) {
            return Err(damaged("its records are not those that were written".to_owned()));
        }
        let commits = Commits::open(folder).map_err(failed)?;
        // The files' names must be on the disk before the first record is called durable.
        sync_folder(folder).map_err(failed)?;
        Self::start(Writer { database, seal, place: Some(place), commits: Some(commits) }, records, metrics)
    }

    /// The same on any storage, for tests of what a broken disk does.
    #[cfg(test)]
    pub(crate) fn open_on(
        disk: impl redb::StorageBackend,
        metrics: &Metrics,
    ) -> Result<(Self, Vec<StoredRecord>), JournalError> {
        let database = builder().create_with_backend(disk).map_err(storage)?;
        let (seal, records) = read(&database)?;
        assert!(seal.fits(&records), "a commit is whole");
        Self::start(Writer { database, seal, place: None, commits: None }, records, metrics)
    }

    fn start(
        writer: Writer,
        records: Vec<StoredRecord>,
        metrics: &Metrics,
    ) -> Result<(Self, Vec<StoredRecord>), JournalError> {
        let (batches, waiting) = mpsc::channel(MAX_WAITING);
        let (report, durable) = watch::channel(Durable::default());
        let counters = metrics.journal.clone();
        let writer = thread::Builder::new()
            .name("nelumbo-journal".to_owned())
            .spawn(move || writer.run(waiting, &report, &counters))
            .map_err(|error| storage(redb::StorageError::Io(error)))?;
        Ok((Self { batches, durable, writer }, records))
    }

    /// Whether [`append`](Self::append) would take a batch now.
    pub fn has_room(&self) -> bool {
        self.batches.capacity() > 0
    }

    /// Hands changes to the writer. They are durable, all of them, once [`durable`](Self::durable) says `sequence`.
    /// Sequence numbers grow from batch to batch.
    pub fn append(&self, sequence: u64, changes: Vec<Change>) -> Result<(), JournalError> {
        self.batches.try_send(writer::Batch { sequence, changes }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => JournalError::Backlog,
            mpsc::error::TrySendError::Closed(_) => self.failure().unwrap_or(JournalError::Closed),
        })
    }

    /// What the disk has, now and later.
    pub fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    /// Waits until everything appended is on the disk, and closes the file.
    pub async fn close(self) -> Result<(), JournalError> {
        let Self { batches, mut durable, writer } = self;
        drop(batches);
        // The writer drops its end when it is done; what it reports in between is not news here.
        while durable.changed().await.is_ok() {}
        let failure = durable.borrow().failure.clone();
        let ended = tokio::task::spawn_blocking(move || writer.join()).await;
        match (failure, ended) {
            (Some(failure), _) => Err(failure),
            (None, Ok(Ok(()))) => Ok(()),
            (None, _) => Err(JournalError::Closed),
        }
    }

    /// Closes the file before it returns. For a journal that nothing was appended to.
    pub(crate) fn release(self) {
        drop(self.batches);
        // A writer that panicked has let go of the file too.
        let _ = self.writer.join();
    }

    fn failure(&self) -> Option<JournalError> {
        self.durable.borrow().failure.clone()
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn check_format(database: &Database) -> Result<(), JournalError> {
    let transaction = database.begin_write().map_err(storage)?;
    {
        transaction.open_table(RECORDS).map_err(storage)?;
        transaction.open_table(SEAL).map_err(storage)?;
        let mut meta = transaction.open_table(META).map_err(storage)?;
        let found = meta.get("format").map_err(storage)?.map(|format| format.value());
        match found {
            Some(FORMAT) => {}
            Some(found) => return Err(JournalError::Format { found }),
            None => {
                meta.insert("format", FORMAT).map_err(storage)?;
            }
        }
    }
    transaction.commit().map_err(storage)
}

/// What the file holds, and what it says of itself.
fn read(database: &Database) -> Result<(Seal, Vec<StoredRecord>), JournalError> {
    check_format(database)?;
    let transaction = database.begin_read().map_err(storage)?;
    let table = transaction.open_table(RECORDS).map_err(storage)?;
    let mut records = Vec::new();
    for record in table.iter().map_err(storage)? {
        let (key, value) = record.map_err(storage)?;
        records.push((key.value().to_vec(), value.value().to_vec()));
    }
    let seal = transaction.open_table(SEAL).map_err(storage)?.get(()).map_err(storage)?;
    Ok((seal.map(|seal| Seal::new(seal.value())).unwrap_or_default(), records))
}

/// A panic of the store is an error like any other.
fn unless_it_panics<T>(store: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(store))
        .unwrap_or_else(|_| Err(JournalError::Storage("the store panicked".to_owned())))
}

fn storage(error: impl Into<redb::Error>) -> JournalError {
    JournalError::Storage(error.into().to_string())
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
