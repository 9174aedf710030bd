//! What a single simulation leaves behind: a trace, a report.
//!
//! Owns the files. Invariant: a file that cannot be written is told before anything is simulated, or at the end.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;
use nelumbo_simulator::report::Report;
use nelumbo_simulator::run::Run;
use nelumbo_simulator::schedule::Schedule;
use nelumbo_simulator::summary::Summary;
use nelumbo_simulator::trace::{Format, Row, Trace};

use crate::failure::Failure;

/// Files about a single run.
#[derive(Args, Debug)]
pub(super) struct Outputs {
    /// Writes every event to a file: JSON lines (.jsonl), for Perfetto and Chrome (.json), or Parquet (.parquet) in a
    /// build with `--features parquet`
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Writes a page with plots, a map of partitions, and the course of single sessions (.html)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The outputs of a run that is about to begin.
pub(super) struct Open<'o> {
    trace: Option<(&'o Path, RefCell<Writing>)>,
    report: Option<(&'o Path, RefCell<Report>)>,
}

/// A trace, and the first thing that went wrong with it.
struct Writing {
    trace: Box<dyn Trace>,
    error: Option<io::Error>,
}

pub(super) fn unwritable(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::input(format_args!("{} cannot be written: {error}", file.display()), "choose another place")
}

impl Outputs {
    /// Whether there is anything to write.
    pub(super) const fn is_empty(&self) -> bool {
        self.trace.is_none() && self.report.is_none()
    }

    /// The file for a trace, if there is one, provided that nothing else is asked for.
    pub(super) fn trace_alone(&self) -> Option<Option<&Path>> {
        self.report.is_none().then_some(self.trace.as_deref())
    }

    /// Opens the files.
    pub(super) fn open(&self, schedule: &Schedule) -> Result<Open<'_>, Failure> {
        let trace = self.trace.as_deref().map(|file| Ok::<_, Failure>((file, RefCell::new(Writing::open(file)?))));
        let report = self.report.as_deref().map(|file| {
            File::create(file).map_err(|error| unwritable(file, error))?;
            Ok::<_, Failure>((file, RefCell::new(Report::new(schedule))))
        });
        Ok(Open { trace: trace.transpose()?, report: report.transpose()? })
    }
}

impl Writing {
    fn open(file: &Path) -> Result<Self, Failure> {
        let name = file.to_string_lossy();
        let format =
            Format::of(&name).map_err(|endings| Failure::input(format_args!("{name}: {endings}"), "rename it"))?;
        let opened = File::create(file).and_then(|opened| format.writer(BufWriter::new(opened)));
        let trace = opened.map_err(|error| unwritable(file, error))?;
        Ok(Self { trace, error: None })
    }
}

impl Open<'_> {
    /// Lets the run tell the outputs what happens.
    pub(super) fn attach<'r>(&'r self, mut run: Run<'r>) -> Run<'r> {
        if let Some((_, writing)) = &self.trace {
            run = run.trace(|observed| {
                let mut writing = writing.borrow_mut();
                if writing.error.is_none() {
                    writing.error = writing.trace.row(&Row::of(observed)).err();
                }
            });
        }
        if let Some((_, report)) = &self.report {
            run = run.trace(|observed| report.borrow_mut().see(observed));
        }
        run
    }

    /// Writes what belongs at the end.
    pub(super) fn finish(self, summary: &Summary) -> Result<(), Failure> {
        if let Some((file, writing)) = self.trace {
            let Writing { trace, error } = writing.into_inner();
            error.map_or_else(|| trace.end(), Err).map_err(|error| unwritable(file, error))?;
        }
        if let Some((file, report)) = self.report {
            let page = report.into_inner().page(summary);
            std::fs::write(file, page).map_err(|error| unwritable(file, error))?;
        }
        Ok(())
    }
}
