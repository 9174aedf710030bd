//! Checks that all nodes that complete a session have the same signatures.

use std::collections::BTreeMap;

use nelumbo_core::api::Event;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;

#[derive(Debug, Default)]
pub(super) struct Agreement(BTreeMap<SessionId, Vec<Signature>>);

impl Checker for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Observation::Event(Event::SessionCompleted { session, signatures, .. }) = &seen.observed.observation else {
            return Ok(());
        };
        if self.0.entry(*session).or_insert_with(|| signatures.clone()) != signatures {
            return Err(format!("two lists of signatures of {session}"));
        }
        Ok(())
    }
}
