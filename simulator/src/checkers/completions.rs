//! Which nodes have a session's signature, and which are down: what the checkers of the end compare with.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::{Event, Phase};
use nelumbo_core::wire::SessionId;

use crate::engine::Observed;
use crate::peer::Observation;

#[derive(Debug, Default)]
pub(super) struct Completions {
    pub(super) completed: BTreeMap<SessionId, BTreeSet<u32>>,
    pub(super) down: BTreeSet<u32>,
}

impl Completions {
    pub(super) fn see(&mut self, observed: &Observed<Observation>) {
        let node = observed.node;
        match &observed.observation {
            Observation::Up => {
                self.down.remove(&node);
            }
            Observation::Down => {
                self.down.insert(node);
            }
            // A crash between the record and the event leaves the record.
            Observation::Restored { sessions, .. } => {
                for (session, _) in sessions.iter().filter(|(_, phase)| *phase == Phase::Complete) {
                    self.completed.entry(*session).or_default().insert(node);
                }
            }
            Observation::Event(Event::SessionCompleted { session, .. }) => {
                self.completed.entry(*session).or_default().insert(node);
            }
            _ => {}
        }
    }
}
