//! All who finish a session have the same signature.

use std::collections::BTreeMap;

use nelumbo_core::api::Event;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::SessionId;

use super::{Checker, Facts, Sight};
use crate::peer::Note;

#[derive(Debug, Default)]
pub(super) struct Agreement(BTreeMap<SessionId, Signature>);

impl Checker for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn see(&mut self, _: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        let Note::Event(Event::SessionCompleted { session, signature, .. }) = &sight.noted.note else { return Ok(()) };
        if *self.0.entry(*session).or_insert(*signature) != *signature {
            return Err(format!("two signatures of {session}"));
        }
        Ok(())
    }
}
