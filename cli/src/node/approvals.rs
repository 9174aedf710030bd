//! The file of approvals.
//!
//! Owns `approvals.jsonl` in the data folder: one JSON object a line for each session that the node has approved, with
//! what signing it does. Invariants: a line is on the disk before the event is shown; the file and the one before it
//! are bounded and the owner's alone. It is for people who ask later what was signed; the node never reads it. The
//! node's life and the socket's answers drive it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::json;

use super::event_log::EventLog;

/// How large the file may become before it becomes the one before.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// See the module's documentation. Clones share one file.
#[derive(Clone, Debug)]
pub(crate) struct Approvals {
    path: PathBuf,
    limit: u64,
    /// Whoever writes holds it.
    turn: Arc<Mutex<()>>,
}

#[derive(Serialize)]
struct Line<'a, T> {
    /// Milliseconds since 1970-01-01 UTC.
    time: u64,
    event: &'a T,
}

impl Approvals {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join("approvals.jsonl"), limit: MAX_BYTES, turn: Arc::default() }
    }

    /// Adds an event of an approval, and then notes it; if it cannot be kept, that is noted before.
    pub(crate) fn keep(&self, log: &EventLog, time: u64, event: &impl Serialize) {
        if let Err(error) = self.add(time, event) {
            let error = error.to_string();
            tracing::error!(%error, "an approval is missing in approvals.jsonl");
            log.note(time, &json!({ "event": "approval-not-kept", "error": error }));
        }
        log.note(time, event);
    }

    /// Adds an event of an approval.
    fn add(&self, time: u64, event: &impl Serialize) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = serde_json::to_vec(&Line { time, event })?;
        line.push(b'\n');
        if fs::metadata(&self.path).is_ok_and(|file| file.len() >= self.limit) {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        let mut file = self.open()?;
        // A crash in the middle of a line, or a full disk, costs that line and not the next.
        if file.metadata()?.len() > 0 && !ends_with_newline(&self.path)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        file.sync_data()
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }
}

fn ends_with_newline(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approvals_are_kept_bounded_and_one_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let approvals = Approvals { limit: 100, ..Approvals::new(folder.path()) };
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        for number in 0..4 {
            approvals.add(number, &"approved").expect("there is room");
        }
        let line = |number: u64| format!("{{\"time\":{number},\"event\":\"approved\"}}\n");
        assert_eq!(read("approvals.jsonl"), (0..4).map(line).collect::<String>());
        // A torn line stays alone.
        fs::write(folder.path().join("approvals.jsonl"), "{\"time\":9").expect("a file");
        approvals.add(5, &"approved").expect("there is room");
        assert_eq!(read("approvals.jsonl"), format!("{{\"time\":9\n{}", line(5)));
        fs::write(folder.path().join("approvals.jsonl"), "x".repeat(100)).expect("a file");
        approvals.add(6, &"approved").expect("there is room");
        assert_eq!((read("approvals.jsonl"), read("approvals.jsonl.1")), (line(6), "x".repeat(100)));
        #[cfg(unix)]
        {
            let metadata = fs::metadata(folder.path().join("approvals.jsonl")).expect("it is there");
            assert_eq!(crate::private_file::open_to_others(&metadata), None);
        }
    }
}
