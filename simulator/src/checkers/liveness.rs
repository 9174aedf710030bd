//! Checks that once the last fault has ended, each session among honest signers whose creation was reported completes
//! at every signer, unless one of them refused it.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;
use crate::pending_sessions::PendingSessions;

#[derive(Debug, Default)]
pub(super) struct Liveness {
    pending: PendingSessions,
    created: BTreeMap<SessionId, Vec<u32>>,
    given_up: BTreeSet<SessionId>,
    completed: BTreeMap<SessionId, BTreeSet<u32>>,
    down: BTreeSet<u32>,
}

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let node = seen.observed.node;
        if let Some((session, pending)) = self.pending.see(seen.observed) {
            self.created.insert(session, pending.signers);
        }
        match &seen.observed.observation {
            Observation::Up => {
                self.down.remove(&node);
            }
            Observation::Down => {
                self.down.insert(node);
            }
            Observation::Event(Event::SessionAborted { session, .. } | Event::SessionExpired { session, .. }) => {
                self.given_up.insert(*session);
            }
            // A crash between the record and the event leaves the record.
            Observation::RestoredCompletion(session) | Observation::Event(Event::SessionCompleted { session, .. }) => {
                self.completed.entry(*session).or_default().insert(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, truth: &GroundTruth) -> Vec<String> {
        if !truth.has_time {
            return Vec::new();
        }
        let mut missing = Vec::new();
        for (session, signers) in &self.created {
            if self.given_up.contains(session) {
                continue;
            }
            let is_expected =
                signers.iter().all(|signer| truth.honest[*signer as usize] && !self.down.contains(signer));
            let none = BTreeSet::new();
            let completed = self.completed.get(session).unwrap_or(&none);
            let lacking: Vec<u32> = signers.iter().filter(|signer| !completed.contains(signer)).copied().collect();
            if is_expected && !lacking.is_empty() {
                missing.push(format!("{session} has not completed at {lacking:?}"));
            }
        }
        missing
    }
}
