//! Checks that what a node has told its owner is still so after any crash: what was approved is approved, what was
//! refused is refused, what has completed has its signature, and what the owner has broadcast is asked for no more.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::{Event, Phase};
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;

/// What a node's owner was told of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Approved,
    Aborted,
    Complete,
}

impl Told {
    const fn is_kept_by(self, phase: Phase) -> bool {
        match self {
            Self::Approved => !matches!(phase, Phase::Announced),
            Self::Aborted => matches!(phase, Phase::Aborted | Phase::Complete),
            Self::Complete => matches!(phase, Phase::Complete),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Promise {
    told: BTreeMap<u32, BTreeMap<SessionId, Told>>,
    broadcast: BTreeSet<(u32, SessionId)>,
}

impl Promise {
    fn on_event(&mut self, seen: &NodeObservation<'_>, event: &Event) -> Result<(), String> {
        let node = seen.observed.node;
        let told = self.told.entry(node).or_default();
        match event {
            Event::SessionCreated { session, .. } | Event::SessionApproved { session, .. } => {
                told.entry(*session).or_insert(Told::Approved);
            }
            // What others refuse before this node has approved it leaves nothing behind.
            Event::SessionAborted { session, by, .. } if *by == seen.key || told.contains_key(session) => {
                told.insert(*session, Told::Aborted);
            }
            Event::SessionCompleted { session, .. } => drop(told.insert(*session, Told::Complete)),
            // What is over is remembered for as long as there is room.
            Event::SessionExpired { session, .. } | Event::SessionClosed { session } => drop(told.remove(session)),
            Event::BroadcastClaimed { session, by } if *by == seen.key => drop(self.broadcast.insert((node, *session))),
            Event::ShouldBroadcast { session } if self.broadcast.contains(&(node, *session)) => {
                return Err(format!("node {node} is to broadcast {session} again"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Checker for Promise {
    fn name(&self) -> &'static str {
        "promise"
    }

    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let node = seen.observed.node;
        match &seen.observed.observation {
            Observation::Event(event) => self.on_event(seen, event),
            Observation::Restored { wall, sessions } => {
                let phases: BTreeMap<SessionId, Phase> = sessions.iter().copied().collect();
                for (session, told) in self.told.get(&node).into_iter().flatten() {
                    let is_over = truth.sessions.get(session).is_none_or(|definition| *wall > definition.expires_at);
                    let phase = phases.get(session);
                    if !is_over && !phase.is_some_and(|phase| told.is_kept_by(*phase)) {
                        return Err(format!("node {node} has told that {session} is {told:?}, and knows {phase:?}"));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
