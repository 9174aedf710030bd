//! Where the journal's file was opened, and whether it is still there.
//!
//! Invariant: a file that was deleted, moved or replaced is not taken for the one that was opened. A deleted file can
//! be written to for as long as it is open, and nothing of it would be found at the next start. Driven by the writer.

use std::{
    fs::{self, File, Metadata},
    io,
    path::PathBuf,
};

use super::JournalError;

#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    identity: Identity,
}

#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

// Elsewhere an open file is not deleted; that there is one under this name has to do.
#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {}

impl Place {
    pub(super) fn of(path: PathBuf, file: &File) -> io::Result<Self> {
        Ok(Self { path, identity: identity(&file.metadata()?) })
    }

    /// An error when another file, or none, is where the journal was opened.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        match fs::metadata(&self.path) {
            Ok(metadata) if identity(&metadata) == self.identity => Ok(()),
            _ => Err(JournalError::Gone { file: self.path.clone() }),
        }
    }
}
