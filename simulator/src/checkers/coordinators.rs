//! Checks that a node takes its turn to broadcast only after the turns before it have passed: the nodes that were told
//! to broadcast are at most one more than the coordinators that were seen to fail.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;

#[derive(Debug, Default)]
pub(super) struct Coordinators {
    told: BTreeMap<SessionId, BTreeSet<u32>>,
    failures: BTreeMap<SessionId, usize>,
}

impl Checker for Coordinators {
    fn name(&self) -> &'static str {
        "coordinators"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        match &seen.observed.observation {
            Observation::Event(Event::CoordinatorFailed { session, failures, .. }) => {
                let most = self.failures.entry(*session).or_default();
                *most = (*most).max(*failures);
            }
            Observation::Event(Event::ShouldBroadcast { session }) => {
                let told = self.told.entry(*session).or_default();
                told.insert(seen.observed.node);
                let failures = self.failures.get(session).copied().unwrap_or(0);
                if told.len() > failures + 1 {
                    return Err(format!("{} nodes broadcast {session} after {failures} failures", told.len()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
