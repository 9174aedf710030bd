//! Every signature that a node tells its owner verifies.

use nelumbo_core::api::Event;

use super::{Checker, Facts, Sight};
use crate::peer::Note;

#[derive(Debug)]
pub(super) struct Signatures;

impl Checker for Signatures {
    fn name(&self) -> &'static str {
        "signatures"
    }

    fn see(&mut self, facts: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        let Note::Event(Event::SessionCompleted { session, signature, .. }) = &sight.noted.note else { return Ok(()) };
        match facts.sessions.get(session) {
            Some(definition) if (facts.is_final)(definition, signature) => Ok(()),
            Some(_) => Err(format!("the signature of {session} does not verify")),
            None => Err(format!("{session} has completed and was never announced")),
        }
    }
}
