//! The log.
//!
//! Owns the filter, silent unless asked, because one line of failure is what scripts look for, and where the log goes:
//! to standard error, and for a node to what config.toml says, which may change while it runs. Invariant: what others
//! have said, whichever library tells it, is harmless in the log. Started once, by `main`; a node's life changes it.

use std::io::{self, Write};
#[cfg(unix)]
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use nelumbo_core::wire::Harmless;
use tracing::{Level, Metadata};
use tracing_appender::rolling::RollingFileAppender;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

#[cfg(unix)]
use crate::node::{Destination, LogSettings, Rotation};

static OUTPUT: Mutex<Output> = Mutex::new(Output::Stderr);
/// What changes the filter, if neither the environment nor the command line has said it.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

enum Output {
    Stderr,
    /// Standard error, each line with its priority before it (sd-daemon(3)), and without a date: the journal has both.
    Journal,
    Files(RollingFileAppender),
}

/// Starts the log. `RUST_LOG` says what is in it, and without it the number of `-v` does.
pub(crate) fn start(verbose: u8) {
    let unset = match verbose {
        0 => "off",
        1 => "warn,nelumbo=info,nelumbo_core=info,nelumbo_tokio=info",
        2 => "info,nelumbo=debug,nelumbo_core=debug,nelumbo_tokio=debug",
        _ => "debug,nelumbo=trace,nelumbo_core=trace,nelumbo_tokio=trace",
    };
    let said = EnvFilter::try_from_default_env();
    let is_said = said.is_ok() || verbose > 0;
    let (filter, handle) = reload::Layer::new(said.unwrap_or_else(|_| EnvFilter::new(unset)));
    if !is_said {
        let _ = FILTER.set(handle);
    }
    // Colours are commands to the terminal, which the writer lets nobody give.
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_timer(Clock).with_writer(ToOutput);
    tracing_subscriber::registry().with(filter).with(lines).init();
}

/// Whether this says what is logged: a level, or parts with a level each.
pub(crate) fn check(filter: &str) -> Result<(), String> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    // A word alone would be taken for a part of the program, and a level that is misspelt for one that is not there.
    let is_level = |word: &str| !word.is_empty() && word.parse::<tracing::level_filters::LevelFilter>().is_ok();
    let is_sound = |part: &str| match part.split_once('=') {
        Some((part, level)) => !part.is_empty() && is_level(level.trim()),
        None => is_level(part.trim()),
    };
    if let Some(word) = filter.split(',').find(|part| !is_sound(part)) {
        return Err(format!("{word:?} is no level"));
    }
    EnvFilter::try_new(filter).map_err(|error| error.to_string())
}

/// Has the log of a node with this data folder be as its configuration says.
#[cfg(unix)]
pub(crate) fn configure(settings: &LogSettings, data: &Path) -> Result<(), String> {
    let output = match settings.to {
        Destination::Stderr => Output::Stderr,
        Destination::Journal => Output::Journal,
        Destination::Files => Output::Files(files(settings, &data.join(&settings.folder))?),
    };
    let filter = parse(&settings.filter)?;
    *OUTPUT.lock().unwrap_or_else(PoisonError::into_inner) = output;
    FILTER.get().map_or(Ok(()), |handle| handle.reload(filter).map_err(|error| error.to_string()))
}

#[cfg(unix)]
fn files(settings: &LogSettings, folder: &Path) -> Result<RollingFileAppender, String> {
    use tracing_appender::rolling::Rotation as When;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let cannot = |error: &dyn std::fmt::Display| format!("cannot log to {}: {error}", folder.display());
    builder.create(folder).map_err(|error| cannot(&error))?;
    RollingFileAppender::builder()
        .rotation(match settings.rotation {
            Rotation::Hourly => When::HOURLY,
            Rotation::Daily => When::DAILY,
            Rotation::Never => When::NEVER,
        })
        .filename_prefix("nelumbo")
        .filename_suffix("log")
        .max_log_files(usize::try_from(settings.files).unwrap_or(usize::MAX))
        .build(folder)
        .map_err(|error| cannot(&error))
}

/// The date of an entry, in UTC; none where the journal keeps it.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        if matches!(*OUTPUT.lock().unwrap_or_else(PoisonError::into_inner), Output::Journal) {
            return Ok(());
        }
        SystemTime.format_time(writer)
    }
}

/// Makes writers to wherever the log goes.
struct ToOutput;

impl<'a> MakeWriter<'a> for ToOutput {
    type Writer = HarmlessLog<OutputWriter>;

    fn make_writer(&'a self) -> Self::Writer {
        HarmlessLog(OutputWriter(Level::INFO))
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        HarmlessLog(OutputWriter(*metadata.level()))
    }
}

/// Writes entries of a level.
struct OutputWriter(Level);

impl Write for OutputWriter {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        match &mut *OUTPUT.lock().unwrap_or_else(PoisonError::into_inner) {
            Output::Stderr => io::stderr().write_all(lines)?,
            Output::Journal => io::stderr().write_all(&with_priority(self.0, lines))?,
            Output::Files(files) => files.write_all(lines)?,
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Each line with its priority as syslog has it.
fn with_priority(level: Level, lines: &[u8]) -> Vec<u8> {
    let priority = match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    };
    let prefixed = |line: &[u8]| [priority.as_bytes(), line.trim_ascii_start()].concat();
    lines.split_inclusive(|byte| *byte == b'\n').flat_map(prefixed).collect()
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

    #[cfg(unix)]
    #[test]
    fn the_oldest_files_of_the_log_make_room_for_the_newest() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = data.path().join("log");
        std::fs::create_dir(&folder).expect("it is ours");
        for day in 1..=5 {
            std::fs::write(folder.join(format!("nelumbo.2020-01-0{day}.log")), b"old").expect("it is ours");
        }
        let settings = LogSettings { files: 3, ..LogSettings::default() };
        files(&settings, &folder).expect("it can be written").write_all(b"new").expect("there is room");
        let kept: Vec<_> = std::fs::read_dir(&folder).expect("it is there").map(|file| file.expect("one")).collect();
        let text = |file: &std::fs::DirEntry| std::fs::read_to_string(file.path()).expect("text");
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert_eq!(kept.iter().filter(|file| text(file) == "new").count(), 1, "today's is one of them");
    }

    #[test]
    fn a_level_that_is_misspelt_is_no_filter() {
        for filter in ["off", "warn", "INFO", "warn,nelumbo_core=debug", "info,libp2p=off"] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
        for filter in ["", "wran", "warn,nelumbo", "nelumbo=loud", "=", "warn,,"] {
            assert!(check(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn the_journal_is_told_how_bad_it_is() {
        let lines = with_priority(Level::WARN, b"  WARN one\n two\n");
        assert_eq!(String::from_utf8(lines).expect("text"), "<4>WARN one\n<4>two\n");
        assert_eq!(with_priority(Level::ERROR, b"x\n"), b"<3>x\n");
    }
}
