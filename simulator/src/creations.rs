//! When each session was asked for, by whom and among whom.
//!
//! Invariant: a node's creations become durable in the order in which they were asked for; what was asked for before a
//! crash and was not durable then never was.

use std::collections::{BTreeMap, VecDeque};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use crate::engine::{Nanos, Noted};
use crate::peer::Note;

/// What was asked for and is not durable yet, by node.
#[derive(Debug, Default)]
pub(crate) struct Creations(BTreeMap<u32, VecDeque<Creation>>);

/// A session as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    pub(crate) asked_at: Nanos,
    pub(crate) signers: Vec<u32>,
}

impl Creations {
    /// Takes note of what a peer told: the session, when it is the one in which a creation has become durable.
    pub(crate) fn see(&mut self, noted: &Noted<Note>) -> Option<(SessionId, Creation)> {
        match &noted.note {
            Note::Asked(Some(signers)) => {
                let creation = Creation { asked_at: noted.stamp.at, signers: signers.clone() };
                self.0.entry(noted.node).or_default().push_back(creation);
                None
            }
            Note::Down => {
                self.0.remove(&noted.node);
                None
            }
            Note::Event(Event::SessionCreated { session, .. }) => {
                self.0.get_mut(&noted.node).and_then(VecDeque::pop_front).map(|creation| (*session, creation))
            }
            _ => None,
        }
    }
}
