//! What a demonstration shows while it runs, on standard error.
//!
//! Owns the display: a bar on a terminal, one line for each phase elsewhere, nothing when only the result is wanted.
//! `course` drives it.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// See the module's documentation.
pub(crate) enum Progress {
    /// Nothing.
    Silent,
    /// A line for each phase that is over.
    Lines,
    /// The same, and a bar while a phase is under way.
    Bar(Option<ProgressBar>),
}

impl Progress {
    /// The display that suits standard error.
    pub(crate) fn fitting() -> Self {
        if io::stderr().is_terminal() { Self::Bar(None) } else { Self::Lines }
    }

    /// A phase begins, in which this many things are to happen.
    pub(super) fn begin(&mut self, what: &'static str, of: usize) {
        self.clear();
        if let Self::Bar(bar) = self {
            let style = ProgressStyle::with_template("{msg:20} {bar:30} {pos}/{len}").expect("the template is fixed");
            *bar = Some(ProgressBar::new(of as u64).with_style(style).with_message(what));
        }
    }

    /// So many of them have happened.
    pub(super) fn at(&mut self, done: usize) {
        if let Self::Bar(Some(bar)) = self {
            bar.set_position(done as u64);
        }
    }

    /// These phases are over.
    pub(super) fn end(&mut self, phases: &[(&str, Duration)]) {
        self.clear();
        if matches!(self, Self::Silent) {
            return;
        }
        for (name, time) in phases {
            // Nobody is left to be told when this fails.
            let _ = writeln!(io::stderr().lock(), "{name:20} {:10.1} ms", time.as_secs_f64() * 1000.0);
        }
    }

    fn clear(&mut self) {
        if let Self::Bar(bar) = self
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

/// A bar is no result: the terminal is left without it, whatever came of the demonstration.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
