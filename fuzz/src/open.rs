//! Findings that have a cause and no fix yet.
//!
//! Each is kept as a file that still fails. Fuzzing tolerates exactly these, so that it finds others behind them; the
//! stable replay runs each one strictly and expects it to fail. A fix deletes the variant here: the compiler then shows
//! the checks that tolerated it, and from then on its file is a regression test like any other. Driven by the checks.

use core::cell::Cell;

use super::Target;

/// A finding that is not fixed yet. There is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {}

impl Open {
    /// All of them.
    pub const ALL: [Self; 0] = [];

    /// Where it is kept: the target, and the file in the target's folder.
    pub const fn file(self) -> (Target, &'static str) {
        match self {}
    }

    /// Whether a check tolerates it.
    pub fn is_forgiven(self) -> bool {
        COUNTED.get() != Some(self)
    }
}

thread_local! {
    static COUNTED: Cell<Option<Open>> = const { Cell::new(None) };
}

/// Runs an open finding's target on one input without tolerating it.
///
/// # Panics
/// As [`Target::run`], and for this finding.
pub fn run_strictly(open: Open, data: &[u8]) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            COUNTED.set(None);
        }
    }
    COUNTED.set(Some(open));
    let _reset = Reset;
    open.file().0.run(data);
}
