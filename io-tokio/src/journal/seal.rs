//! How damage is noticed: what the records are, taken together, and how often they have been written.
//!
//! The store checks its pages, but not all of them, and where its newest commit is damaged it opens the one before
//! without a word. So every commit also holds its number and the sum of all records; and its number stands once more
//! beside the store, in a file of its own, written when the commit is on the disk. Invariant: contents whose sum or
//! number does not fit are not used. A whole older copy of the folder fits, and cannot be noticed here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use nelumbo_core::crypto::sha256;

use super::StoredRecord;

/// The file beside the journal that says how many commits it must hold.
pub(super) const COMMITS_FILE: &str = "journal.commits";

/// What a commit says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) commits: u64,
    sum: [u8; 32],
}

impl Seal {
    pub(super) fn new((commits, sum): (u64, [u8; 32])) -> Self {
        Self { commits, sum }
    }

    pub(super) fn parts(self) -> (u64, [u8; 32]) {
        (self.commits, self.sum)
    }

    /// Adds a record, or takes it away: the order of records makes no difference.
    pub(super) fn toggle(&mut self, key: &[u8], value: &[u8]) {
        let length = (key.len() as u64).to_le_bytes();
        let record = sha256(&[&length, key, value]);
        self.sum.iter_mut().zip(record).for_each(|(sum, byte)| *sum ^= byte);
    }

    /// Whether these are the records.
    pub(super) fn fits(self, records: &[StoredRecord]) -> bool {
        let mut found = Self { commits: self.commits, sum: [0; 32] };
        records.iter().for_each(|(key, value)| found.toggle(key, value));
        found == self
    }
}

/// The number of the newest commit, beside the store. It is not flushed: after a power cut it may be behind the store,
/// which then counts, but never ahead of it.
#[derive(Debug)]
pub(super) struct Commits(File);

impl Commits {
    fn path(folder: &Path) -> PathBuf {
        folder.join(COMMITS_FILE)
    }

    /// The number that was written last; `None` when there is no file, or it was made and never written.
    pub(super) fn read(folder: &Path) -> io::Result<Option<u64>> {
        let bytes = match fs::read(Self::path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let number = bytes.first_chunk().map(|number| u64::from_le_bytes(*number));
        match number.filter(|number| bytes == line(*number)) {
            Some(number) => Ok(Some(number)),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{COMMITS_FILE} is damaged"))),
        }
    }

    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(Self::path(folder)).map(Self)
    }

    /// Written in place, and smaller than a sector, so that it is never seen half written.
    pub(super) fn write(&mut self, commits: u64) -> io::Result<()> {
        io::Seek::rewind(&mut self.0)?;
        self.0.write_all(&line(commits))
    }
}

/// The number, and what shows that it is one.
fn line(commits: u64) -> [u8; 16] {
    let number = commits.to_le_bytes();
    let mut line = [0; 16];
    line[..8].copy_from_slice(&number);
    line[8..].copy_from_slice(&sha256(&[b"nelumbo/journal/commits", &number])[..8]);
    line
}
