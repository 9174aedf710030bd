//! The log, on standard error.
//!
//! Owns the filter: silent unless asked, because one line of failure is what scripts look for. Invariant: what others
//! have said, whichever library tells it, is harmless in the log. Started once, by `main`.

use std::io::{self, Write};

use nelumbo_core::wire::Harmless;
use tracing_subscriber::EnvFilter;

/// Starts the log. `RUST_LOG` says what is in it, and without it the number of `-v` does.
pub(crate) fn start(verbose: u8) {
    let unset = match verbose {
        0 => "off",
        1 => "warn,nelumbo=info,nelumbo_core=info,nelumbo_tokio=info",
        2 => "info,nelumbo=debug,nelumbo_core=debug,nelumbo_tokio=debug",
        _ => "debug,nelumbo=trace,nelumbo_core=trace,nelumbo_tokio=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(unset));
    // Colours are commands to the terminal, which the writer lets nobody give.
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| HarmlessLog(io::stderr())).init();
}

/// Writes lines of text, all of them harmless.
struct HarmlessLog<W>(W);

impl<W: Write> Write for HarmlessLog<W> {
    /// The log's formatter hands over one whole entry each time.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let lines: String = text.lines().map(|line| format!("{}\n", Harmless(line))).collect();
        self.0.write_all(lines.as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_others_say_is_harmless_in_the_log() {
        let memory = Memory::default();
        let writer = memory.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || HarmlessLog(writer.clone()));
        tracing::subscriber::with_default(log.finish(), || {
            tracing::info!(agent = "a\u{202e}b", error = %"c\u{1b}[2Jd\u{200b}e", "f\u{301}\u{301}\u{301}g");
        });
        let text = String::from_utf8(memory.0.lock().expect("nobody panics").clone()).expect("text");
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
        for part in [r"a\u{202e}b", r"d\u{200b}e", "f\u{301}\u{301}\\u{301}g"] {
            assert!(text.contains(part), "{part} in {text:?}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
