//! What a client has seen of its servers.
//!
//! Owns the counters. Invariant: as many as there are servers and kinds of failures. The client counts; whoever shows
//! metrics reads.

use std::collections::BTreeMap;

use super::error::Failure;

/// What a client and its clones have seen of their servers since they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChronikCounts {
    /// Of each server, in the order in which they are configured.
    pub servers: Vec<ServerCounts>,
    /// How often too few servers said the same.
    pub disagreements: u64,
    /// The height of the last block of the chain, when it was asked for last.
    pub height: Option<u32>,
}

/// What was seen of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerCounts {
    /// Its address, as it is configured.
    pub name: String,
    /// How many questions it has answered usably.
    pub answers: u64,
    /// How many it has not, by kind.
    pub failures: BTreeMap<&'static str, u64>,
}

impl ChronikCounts {
    pub(super) fn new(names: impl Iterator<Item = String>) -> Self {
        let of = |name| {
            let failures = Failure::KINDS.into_iter().map(|kind| (kind, 0)).collect();
            ServerCounts { name, answers: 0, failures }
        };
        Self { servers: names.map(of).collect(), disagreements: 0, height: None }
    }

    pub(super) fn answered(&mut self, server: usize) {
        self.servers[server].answers += 1;
    }

    pub(super) fn failed(&mut self, server: usize, failure: &Failure) {
        *self.servers[server].failures.entry(failure.kind()).or_default() += 1;
    }
}
