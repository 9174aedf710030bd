//! Checks that once the last fault has ended, each session among honest signers whose creation was reported completes
//! at every signer, unless one of them refused it, or its time was over by one of their clocks.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use super::completions::Completions;
use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;
use crate::pending_sessions::PendingSessions;

#[derive(Debug, Default)]
pub(super) struct Liveness {
    pending: PendingSessions,
    created: BTreeMap<SessionId, Vec<u32>>,
    given_up: BTreeSet<SessionId>,
    nodes: Completions,
}

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        if let Some((session, pending)) = self.pending.see(seen.observed) {
            self.created.insert(session, pending.signers);
        }
        if let Observation::Event(
            Event::SessionAborted { session, .. }
            | Event::SessionExpired { session, .. }
            | Event::SessionMisdated { session },
        ) = &seen.observed.observation
        {
            self.given_up.insert(*session);
        }
        self.nodes.see(seen.observed);
        Ok(())
    }

    fn end(&mut self, truth: &GroundTruth) -> Vec<String> {
        if truth.settled.is_none() {
            return Vec::new();
        }
        let mut missing = Vec::new();
        for (session, signers) in &self.created {
            if self.given_up.contains(session) {
                continue;
            }
            let is_expected =
                signers.iter().all(|signer| truth.honest[*signer as usize] && !self.nodes.down.contains(signer));
            let none = BTreeSet::new();
            let completed = self.nodes.completed.get(session).unwrap_or(&none);
            let lacking: Vec<u32> = signers.iter().filter(|signer| !completed.contains(signer)).copied().collect();
            if is_expected && !lacking.is_empty() {
                missing.push(format!("{session} has not completed at {lacking:?}"));
            }
        }
        missing
    }
}
