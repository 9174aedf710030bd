//! Checks that every final signature that a node reports verifies.
//!
//! Owns which signature of each session has been verified, so that a second report of the same one costs nothing.

use std::collections::BTreeMap;

use nelumbo_core::api::Event;
use nelumbo_core::crypto::Signature;
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;

#[derive(Debug, Default)]
pub(super) struct Signatures(BTreeMap<SessionId, Signature>);

impl Checker for Signatures {
    fn name(&self) -> &'static str {
        "signatures"
    }

    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Observation::Event(Event::SessionCompleted { session, signature, .. }) = &seen.observed.observation else {
            return Ok(());
        };
        if self.0.get(session) == Some(signature) {
            return Ok(());
        }
        match truth.sessions.get(session) {
            Some(definition) if (truth.is_final)(definition, signature) => {
                self.0.insert(*session, *signature);
                Ok(())
            }
            Some(_) => Err(format!("the signature of {session} does not verify")),
            None => Err(format!("{session} has completed and was never announced")),
        }
    }
}
