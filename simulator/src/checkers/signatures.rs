//! Checks that all final signatures that a node reports verify, one for each item.
//!
//! Owns which signatures of each session have been verified, so that a second report of the same ones costs nothing.

use std::collections::BTreeMap;

use nelumbo_core::api::Event;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;

#[derive(Debug, Default)]
pub(super) struct Signatures(BTreeMap<SessionId, Vec<Signature>>);

impl Checker for Signatures {
    fn name(&self) -> &'static str {
        "signatures"
    }

    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Observation::Event(Event::SessionCompleted { session, signatures, .. }) = &seen.observed.observation else {
            return Ok(());
        };
        if self.0.get(session) == Some(signatures) {
            return Ok(());
        }
        match truth.sessions.get(session) {
            Some(definition) if (truth.is_final)(definition, signatures) => {
                self.0.insert(*session, signatures.clone());
                Ok(())
            }
            Some(_) => Err(format!("the signatures of {session} do not verify")),
            None => Err(format!("{session} has completed and was never announced")),
        }
    }
}
