//! The file in which a ledger outlives its process.
//!
//! Owns the form: a line of JSON that says what it is, then one for each operation that changed the ledger. Invariants:
//! doing them again gives the same ledger; a line that a crash cut off is as if it had not been. The server drives it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ServerError;
use crate::ledger::{Ledger, Operation, Rules};

/// No line is longer: a transaction in hexadecimal, and names.
const MAX_LINE: u64 = 3_000_000;

/// The number of the form.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    nelumbo_ledger: u32,
    rules: Rules,
}

/// The file of a ledger, which no other process uses meanwhile.
pub(super) struct File {
    file: fs::File,
    path: PathBuf,
    is_broken: bool,
}

/// Opens the file or makes it, and does again what it says.
pub(super) fn open(path: PathBuf, rules: Rules) -> Result<(Ledger, Option<File>), ServerError> {
    let content = |problem: String| ServerError::Content { path: path.clone(), problem };
    let failed = |error| ServerError::File { path: path.clone(), error };
    let mut file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    file.try_lock().map_err(|_| content("another ledger uses it".to_owned()))?;
    let mut ledger = Ledger::new(rules);
    let mut reader = BufReader::new(&file);
    let mut used = 0;
    for number in 1.. {
        let mut line = Vec::new();
        let length = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)? as u64;
        if line.last() != Some(&b'\n') {
            if length == MAX_LINE {
                return Err(content(format!("line {number} is longer than any of a ledger")));
            }
            // The end, or what a crash left of a line.
            break;
        }
        let wrong = |problem: &dyn std::fmt::Display| content(format!("line {number}: {problem}"));
        if number == 1 {
            let head: Head = serde_json::from_slice(&line).map_err(|error| wrong(&error))?;
            if head.nelumbo_ledger != VERSION {
                return Err(wrong(&format_args!("its form has number {}, not {VERSION}", head.nelumbo_ledger)));
            }
            if head.rules != rules {
                return Err(wrong(&"its chain began under other rules"));
            }
        } else {
            let operation: Operation = serde_json::from_slice(&line).map_err(|error| wrong(&error))?;
            let outcome = ledger.apply(&operation);
            if ledger.take_events().is_empty() {
                return Err(wrong(&outcome.err().map_or("it changes nothing".to_owned(), |error| error.to_string())));
            }
        }
        used += length;
    }
    drop(reader);
    file.set_len(used).and_then(|()| file.seek(io::SeekFrom::End(0))).map_err(failed)?;
    if used == 0 {
        write_line(&mut file, &Head { nelumbo_ledger: VERSION, rules }).map_err(failed)?;
    }
    Ok((ledger, Some(File { file, path, is_broken: false })))
}

impl File {
    /// Adds an operation. A file that cannot be written is given up, with a word in the log, and the ledger goes on.
    pub(super) fn append(&mut self, operation: &Operation) {
        if self.is_broken {
            return;
        }
        if let Err(error) = write_line(&mut self.file, operation) {
            tracing::error!(path = %self.path.display(), %error, "what happens from here on is not kept");
            self.is_broken = true;
        }
    }
}

fn write_line(file: &mut fs::File, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}
