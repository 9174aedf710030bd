//! No honest signer is blamed for what only its key can have done.

use nelumbo_core::api::{AttemptFailure, Event};

use super::{Checker, Facts, Sight};
use crate::peer::Note;

#[derive(Debug)]
pub(super) struct Blame;

impl Checker for Blame {
    fn name(&self) -> &'static str {
        "blame"
    }

    fn see(&mut self, facts: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        let Note::Event(Event::AttemptFailed { session, failure, .. }) = &sight.noted.note else { return Ok(()) };
        let blamed = match failure {
            AttemptFailure::InvalidPartial(keys) => keys.as_slice(),
            AttemptFailure::InvalidNonce(key) => std::slice::from_ref(key),
            _ => &[],
        };
        match blamed.iter().find(|key| facts.is_honest(key)) {
            Some(key) => Err(format!("{key} is blamed in {session} and did nothing wrong: {failure:?}")),
            None => Ok(()),
        }
    }
}
