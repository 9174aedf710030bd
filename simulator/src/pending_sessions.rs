//! When each session was asked for, by whom and among whom.
//!
//! Invariant: a node's creations become durable in the order in which they were asked for; what was asked for before a
//! crash and was not durable then never was.

use std::collections::{BTreeMap, VecDeque};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use crate::engine::{Nanos, Observed};
use crate::peer::Observation;

/// Sessions that were requested and whose creation is not durable yet, by node.
#[derive(Debug, Default)]
pub(crate) struct PendingSessions(BTreeMap<u32, VecDeque<PendingSession>>);

/// A session as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct PendingSession {
    pub(crate) requested_at: Nanos,
    pub(crate) signers: Vec<u32>,
}

impl PendingSessions {
    /// Processes an observation of a peer, and returns the session whose creation has become durable with it, if any.
    pub(crate) fn see(&mut self, observed: &Observed<Observation>) -> Option<(SessionId, PendingSession)> {
        match &observed.observation {
            Observation::SessionRequested(Some(signers)) => {
                let pending = PendingSession { requested_at: observed.stamp.at, signers: signers.clone() };
                self.0.entry(observed.node).or_default().push_back(pending);
                None
            }
            Observation::Down => {
                self.0.remove(&observed.node);
                None
            }
            Observation::Event(Event::SessionCreated { session, .. }) => {
                self.0.get_mut(&observed.node).and_then(VecDeque::pop_front).map(|pending| (*session, pending))
            }
            _ => None,
        }
    }
}
