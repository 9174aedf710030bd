//! Findings that have a cause and no fix yet.
//!
//! Each is kept as a file that still fails. A campaign forgives exactly these, so that it finds others behind them; the
//! stable replay runs each one strictly and sees it fail. Whoever fixes one deletes its variant here: the compiler shows
//! what was forgiven for it, and from then on its file is a kept test like any other. Driven by the checks.

use core::cell::Cell;

use super::Target;

/// A finding that is not fixed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// After a restart a node counts its messages of an attempt from 1 again: what it says of an attempt that it does
    /// not begin anew, a confirmation or a refusal, is taken for a duplicate by everyone.
    SequenceAfterRestart,
    /// A closed session is forgotten by a restart while its announcement is still valid: announced and approved again,
    /// it shows a second nonce for its first attempt.
    ClosedThenRestarted,
    /// The text of a session id is read in upper case and with plus signs.
    SessionIdText,
}

impl Open {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SequenceAfterRestart, Self::ClosedThenRestarted, Self::SessionIdText];

    /// Where it is kept: the target, and the file in the target's folder.
    pub const fn file(self) -> (Target, &'static str) {
        match self {
            Self::SequenceAfterRestart => (Target::Script, "sequence-after-restart"),
            Self::ClosedThenRestarted => (Target::Script, "closed-then-restarted"),
            Self::SessionIdText => (Target::Address, "session-id-text"),
        }
    }

    pub(crate) fn is_forgiven(self) -> bool {
        !STRICT.get()
    }
}

thread_local! {
    static STRICT: Cell<bool> = const { Cell::new(false) };
}

/// Runs a target on one input and forgives nothing.
///
/// # Panics
/// As [`Target::run`], and for every open finding.
pub fn run_strictly(target: Target, data: &[u8]) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            STRICT.set(false);
        }
    }
    STRICT.set(true);
    let _reset = Reset;
    target.run(data);
}
