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
    /// Each question to each signer takes a number of its own, whether or not it leaves: what comes after many questions
    /// is beyond the window of a signer who was not asked, and nothing of the attempt reaches that signer any more.
    NumbersForNobody,
    /// While a session's record waits for a slow disk, questions to its signers go on and wait behind it, without a
    /// bound but that of the attempt's time.
    QuestionsPileUp,
    /// The text of a session id is read in upper case and with plus signs.
    SessionIdText,
}

impl Open {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::SequenceAfterRestart,
        Self::ClosedThenRestarted,
        Self::NumbersForNobody,
        Self::QuestionsPileUp,
        Self::SessionIdText,
    ];

    /// Where it is kept: the target, and the file in the target's folder.
    pub const fn file(self) -> (Target, &'static str) {
        match self {
            Self::SequenceAfterRestart => (Target::Script, "sequence-after-restart"),
            Self::ClosedThenRestarted => (Target::Script, "closed-then-restarted"),
            Self::NumbersForNobody => (Target::Script, "numbers-for-nobody"),
            Self::QuestionsPileUp => (Target::Script, "questions-pile-up"),
            Self::SessionIdText => (Target::Address, "session-id-text"),
        }
    }

    pub(crate) fn is_forgiven(self) -> bool {
        COUNTED.get() != Some(self)
    }
}

thread_local! {
    static COUNTED: Cell<Option<Open>> = const { Cell::new(None) };
}

/// Runs an open finding's target on one input without forgiving it.
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
