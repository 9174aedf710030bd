//! What the embedder is looking for, until it is found, not to be found, or the time is over.
//!
//! Driven by `Node`.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::api::{CommandId, SignerFilter};
use crate::crypto::PublicKey;
use crate::wire::{Label, RecordKey, ResourceId, SessionId};

/// What is looked for.
#[derive(Clone, Debug)]
pub(crate) enum Goal {
    /// Signers that fit, as many as wanted.
    Signers { filter: SignerFilter, found: BTreeSet<PublicKey> },
    /// Resources of a kind.
    Resources { kind: Label, found: BTreeSet<ResourceId> },
    /// Requests that need this node's key.
    Requests { found: BTreeSet<SessionId> },
}

impl Goal {
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Signers { found, .. } => found.len(),
            Self::Resources { found, .. } => found.len(),
            Self::Requests { found } => found.len(),
        }
    }

    /// Whether as many were found as wanted.
    pub(crate) fn is_reached(&self) -> bool {
        matches!(self, Self::Signers { filter, found } if found.len() >= filter.max_results)
    }
}

/// One search.
#[derive(Clone, Debug)]
pub(crate) struct PendingSearch {
    pub(crate) goal: Goal,
    /// The protocol that searches; without one it is the embedder.
    pub(crate) by: Option<Label>,
    /// The records that may still have something.
    pub(crate) open: BTreeSet<RecordKey>,
}

/// All searches that are under way.
#[derive(Debug)]
pub(crate) struct Searches(pub(super) BTreeMap<CommandId, PendingSearch>);

impl Searches {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn insert(&mut self, command: CommandId, search: PendingSearch) {
        self.0.insert(command, search);
    }

    pub(crate) fn remove(&mut self, command: CommandId) -> Option<PendingSearch> {
        self.0.remove(&command)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (CommandId, &mut PendingSearch)> {
        self.0.iter_mut().map(|(command, search)| (*command, search))
    }

    /// Whoever waits for `key` waits for `other` too.
    pub(crate) fn follow(&mut self, key: &RecordKey, other: &RecordKey) {
        for search in self.0.values_mut().filter(|search| search.open.contains(key)) {
            search.open.insert(other.clone());
        }
    }

    /// Nobody waits for this record any more.
    pub(crate) fn close(&mut self, key: &RecordKey) {
        for search in self.0.values_mut() {
            search.open.remove(key);
        }
    }

    /// A search with nothing left to wait for, or that has all it wants.
    pub(crate) fn finished(&self) -> Option<CommandId> {
        let mut searches = self.0.iter();
        searches.find(|(_, search)| search.open.is_empty() || search.goal.is_reached()).map(|(command, _)| *command)
    }
}
