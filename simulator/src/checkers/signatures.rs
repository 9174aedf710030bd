//! Every signature that a node tells its owner verifies.
//!
//! Owns which one has been verified of each session, so that another signer's word of the same costs nothing.

use std::collections::BTreeMap;

use nelumbo_core::api::Event;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::SessionId;

use super::{Checker, Facts, Sight};
use crate::peer::Note;

#[derive(Debug, Default)]
pub(super) struct Signatures(BTreeMap<SessionId, Signature>);

impl Checker for Signatures {
    fn name(&self) -> &'static str {
        "signatures"
    }

    fn see(&mut self, facts: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        let Note::Event(Event::SessionCompleted { session, signature, .. }) = &sight.noted.note else { return Ok(()) };
        if self.0.get(session) == Some(signature) {
            return Ok(());
        }
        match facts.sessions.get(session) {
            Some(definition) if (facts.is_final)(definition, signature) => {
                self.0.insert(*session, *signature);
                Ok(())
            }
            Some(_) => Err(format!("the signature of {session} does not verify")),
            None => Err(format!("{session} has completed and was never announced")),
        }
    }
}
