//! Checks that nobody's word ends the turns to broadcast for good: once a signature is there and all turns would be
//! over, a node has heard its own embedder say that it has broadcast, or is told that the broadcast rests on another
//! signer's word, or on nobody's.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};
use crate::engine::Nanos;
use crate::peer::Observation;
use crate::schedule::MILLISECOND;

/// For how long a node that is busy with something else may be late.
const SLACK: Nanos = 10_000 * MILLISECOND;

#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By when each node is to know of each session how its turns have ended.
    due: BTreeMap<(u32, SessionId), Nanos>,
    /// Sessions that were over for a node before it had the signature: then others broadcast it.
    over: BTreeSet<(u32, SessionId)>,
    latest: Nanos,
}

impl Checker for Claims {
    fn name(&self) -> &'static str {
        "claims"
    }

    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let (node, now) = (seen.observed.node, seen.observed.stamp.at);
        self.latest = self.latest.max(now);
        match &seen.observed.observation {
            Observation::Event(Event::SessionAborted { session, .. } | Event::SessionExpired { session, .. }) => {
                self.over.insert((node, *session));
            }
            Observation::Event(Event::SessionCompleted { session, .. })
                if truth.is_steady(node) && !self.over.contains(&(node, *session)) =>
            {
                let turns = truth.sessions.get(session).map_or(0, |definition| definition.keys.len() as Nanos);
                self.due.insert((node, *session), now.saturating_add(turns.saturating_mul(truth.turn)) + SLACK);
            }
            Observation::Event(Event::BroadcastClaimed { session, by }) if *by == seen.key => {
                self.due.remove(&(node, *session));
            }
            Observation::Event(
                Event::BroadcastUnconfirmed { session, .. } | Event::FailoverExhausted { session, .. },
            ) => {
                self.due.remove(&(node, *session));
            }
            // What is told again after a restart is the core's own test.
            Observation::Down => self.due.retain(|(other, _), _| *other != node),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, truth: &GroundTruth) -> Vec<String> {
        // A run goes on for so long, whether anything happens or not.
        let end = self.latest.max(truth.settled.unwrap_or(0));
        let overdue = self.due.iter().filter(|(_, due)| **due < end);
        overdue.map(|((node, session), _)| format!("node {node} never hears how {session} was broadcast")).collect()
    }
}
