//! Ideal gossip over a fixed mesh: each message is passed on once, and only when the node accepts it.
//!
//! Invariant: a message that has been seen is neither delivered nor passed on again. Driven by
//! [`PubSub`](super::PubSub).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nelumbo_core::api::Verdict;
use nelumbo_core::base::Bytes;

use super::Effect;
use crate::random::{Random, fold};

/// How many peers a message is passed on to (gossipsub's D).
const MESH_N: usize = 6;
/// How many messages are remembered, so that they are passed on once.
const SEEN: usize = 4096;

#[derive(Debug, Default)]
pub struct IdealGossip {
    neighbours: Vec<u32>,
    seen: BTreeSet<u64>,
    seen_in_order: VecDeque<u64>,
    /// Messages that wait for the node's verdict.
    pending: BTreeMap<u64, (u32, Bytes)>,
    count: u64,
}

impl IdealGossip {
    pub(super) fn new(neighbours: Vec<u32>) -> Self {
        Self { neighbours, ..Self::default() }
    }

    pub(super) fn publish(&mut self, bytes: &Bytes) -> Vec<Effect> {
        self.mark_seen(bytes);
        self.forward(None, bytes)
    }

    pub(super) fn on_message(&mut self, from: u32, message: &[u8]) -> Vec<Effect> {
        if !self.mark_seen(message) {
            return Vec::new();
        }
        let (id, bytes) = (self.count, Bytes::from(message));
        self.count += 1;
        self.pending.insert(id, (from, bytes.clone()));
        vec![Effect::MessageReceived { id, from, bytes }]
    }

    pub(super) fn report_validation(&mut self, id: u64, verdict: Verdict) -> Vec<Effect> {
        match self.pending.remove(&id) {
            Some((from, bytes)) if verdict == Verdict::Accept => self.forward(Some(from), &bytes),
            _ => Vec::new(),
        }
    }

    fn forward(&self, but: Option<u32>, bytes: &Bytes) -> Vec<Effect> {
        let others = self.neighbours.iter().filter(|to| Some(**to) != but);
        others.map(|to| Effect::Send(*to, bytes.to_vec())).collect()
    }

    fn mark_seen(&mut self, bytes: &[u8]) -> bool {
        let hash = fold(0, bytes);
        if !self.seen.insert(hash) {
            return false;
        }
        self.seen_in_order.push_back(hash);
        if self.seen_in_order.len() > SEEN
            && let Some(oldest) = self.seen_in_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

/// The peers that a peer passes messages on to.
#[must_use]
pub fn neighbours(seed: u64, node: u32, nodes: u32) -> Vec<u32> {
    let mut others: Vec<u32>;
    let mut random = Random::stream(seed, "mesh", u64::from(node));
    if nodes <= 64 {
        others = (0..nodes).filter(|other| *other != node).collect();
        random.shuffle(&mut others);
        others.truncate(MESH_N);
    } else {
        let draws = (0..MESH_N).map(|_| random.below(u64::from(nodes)) as u32);
        others = draws.filter(|other| *other != node).collect();
    }
    // A ring through all of them, so that the mesh is connected whatever was drawn.
    others.push((node + 1) % nodes);
    others.sort_unstable();
    others.dedup();
    others.retain(|other| *other != node);
    others
}
