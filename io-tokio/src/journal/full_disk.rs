//! A disk for tests that can be full, or slow.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{StorageBackend, backends::InMemoryBackend};

/// A disk that is full, or does not answer, when the test says so.
#[derive(Clone, Debug, Default)]
pub(crate) struct FullDisk {
    disk: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
    busy: Arc<Mutex<()>>,
}

impl FullDisk {
    /// Nothing is flushed while the guard lives.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.busy.lock().expect("no test panics while it holds the disk")
    }

    pub(crate) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), io::Error> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> Result<u64, io::Error> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.check()?;
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let _turn = self.hold();
        self.check()?;
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.check()?;
        self.disk.write(offset, data)
    }
}
