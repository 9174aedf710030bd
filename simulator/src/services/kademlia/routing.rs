//! The routing table of a peer: a bucket for each number of leading bits that a name shares with its own.
//!
//! Invariant: a bucket holds at most k peers, each once; peers that answer stay, peers that do not are replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::random::{Random, mix};

/// How often a peer may leave a request unanswered before it is replaced or forgotten.
const FAILURES: u8 = 2;

/// The names of all peers in the hash table. A name follows from the number, unless an adversary has chosen its own.
#[derive(Clone, Debug, Default)]
pub struct NodeIds {
    sorted: Vec<(u64, u32)>,
    chosen: BTreeMap<u32, u64>,
}

impl NodeIds {
    /// The ids of this many peers.
    #[must_use]
    pub fn new(nodes: u32) -> Self {
        Self::with_chosen(nodes, BTreeMap::new())
    }

    /// The ids of this many peers, some of which have chosen theirs.
    #[must_use]
    pub fn with_chosen(nodes: u32, chosen: BTreeMap<u32, u64>) -> Self {
        let mut ids = Self { sorted: Vec::new(), chosen };
        ids.sorted = (0..nodes).map(|node| (ids.id(node), node)).collect();
        ids.sorted.sort_unstable();
        ids
    }

    /// A peer's name.
    #[must_use]
    pub fn id(&self, node: u32) -> u64 {
        let drawn = || mix(u64::from(node) ^ 0x6b61_6465_6d6c_6961);
        if self.chosen.is_empty() { drawn() } else { self.chosen.get(&node).copied().unwrap_or_else(drawn) }
    }

    /// All peers whose names begin with the first `bits` bits of `name`.
    fn beginning(&self, name: u64, bits: u32) -> &[(u64, u32)] {
        let rest = u64::MAX.checked_shr(bits).unwrap_or(0);
        let from = self.sorted.partition_point(|(other, _)| *other < name & !rest);
        let to = self.sorted.partition_point(|(other, _)| *other <= name | rest);
        &self.sorted[from..to]
    }
}

#[derive(Clone, Copy, Debug)]
struct Contact {
    node: u32,
    failures: u8,
}

/// One peer's routing table.
#[derive(Debug)]
pub(super) struct Routing {
    ids: Arc<NodeIds>,
    node: u32,
    own: u64,
    k: usize,
    buckets: Vec<Vec<Contact>>,
}

impl Routing {
    pub(super) fn new(node: u32, ids: Arc<NodeIds>, k: usize) -> Self {
        Self { own: ids.id(node), ids, node, k, buckets: Vec::new() }
    }

    pub(super) const fn own(&self) -> u64 {
        self.own
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(Vec::len).sum()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        self.buckets.iter().flatten().map(|contact| contact.node)
    }

    /// The distance of a peer from a name.
    pub(super) fn distance(&self, node: u32, target: u64) -> u64 {
        self.ids.id(node) ^ target
    }

    fn bucket(&mut self, node: u32) -> Option<&mut Vec<Contact>> {
        if node == self.node {
            return None;
        }
        let index = self.distance(node, self.own).leading_zeros() as usize;
        if self.buckets.len() <= index {
            self.buckets.resize_with(index + 1, Vec::new);
        }
        Some(&mut self.buckets[index])
    }

    /// Adds a peer. In a full bucket it replaces one that does not answer.
    pub(super) fn add_peer(&mut self, node: u32) {
        let k = self.k;
        let Some(bucket) = self.bucket(node) else { return };
        if let Some(known) = bucket.iter_mut().find(|contact| contact.node == node) {
            known.failures = 0;
        } else if bucket.len() < k {
            bucket.push(Contact { node, failures: 0 });
        } else if let Some(dead) = bucket.iter_mut().find(|contact| contact.failures > 0) {
            *dead = Contact { node, failures: 0 };
        }
    }

    /// A peer has not answered.
    pub(super) fn fail(&mut self, node: u32) {
        let Some(bucket) = self.bucket(node) else { return };
        if let Some(at) = bucket.iter().position(|contact| contact.node == node) {
            bucket[at].failures += 1;
            if bucket[at].failures >= FAILURES {
                bucket.remove(at);
            }
        }
    }

    /// A peer cannot be reached.
    pub(super) fn forget(&mut self, node: u32) {
        if let Some(bucket) = self.bucket(node) {
            bucket.retain(|contact| contact.node != node);
        }
    }

    /// How many buckets there are, up to the last one that has or had a peer.
    pub(super) const fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// The peers that are nearest to a name, the nearest first.
    pub(super) fn nearest(&self, target: u64, count: usize, but: Option<u32>) -> Vec<u32> {
        let all = self.buckets.iter().flatten().filter(|contact| Some(contact.node) != but);
        let mut all: Vec<(u64, u32)> = all.map(|contact| (self.distance(contact.node, target), contact.node)).collect();
        if all.len() > count {
            all.select_nth_unstable(count);
            all.truncate(count);
        }
        all.sort_unstable();
        all.into_iter().map(|(_, node)| node).collect()
    }

    pub(super) fn fill_table(&mut self, seed: u64) {
        let ids = self.ids.clone();
        let mut random = Random::stream(seed, "routing", u64::from(self.node));
        for index in 0..64 {
            let there = ids.beginning(self.own ^ 1 << (63 - index), index + 1);
            if there.len() <= self.k {
                there.iter().for_each(|(_, node)| self.add_peer(*node));
            } else {
                // Of very many, a few draws that may coincide are as good as drawing without repetition.
                for _ in 0..self.k {
                    self.add_peer(there[random.below(there.len() as u64) as usize].1);
                }
            }
            if ids.beginning(self.own, index + 1).len() <= 1 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_table_has_full_far_buckets_and_all_neighbours() {
        let ids = Arc::new(NodeIds::new(1000));
        let mut routing = Routing::new(17, ids.clone(), 20);
        routing.fill_table(1);
        assert!(routing.buckets.iter().all(|bucket| bucket.len() <= 20));
        assert!(routing.buckets[0].len() > 15, "half of all are in the farthest bucket");
        let mut all: Vec<(u64, u32)> =
            (0..1000).filter(|node| *node != 17).map(|node| (ids.id(node) ^ routing.own(), node)).collect();
        all.sort_unstable();
        let nearest: Vec<u32> = all.into_iter().take(10).map(|(_, node)| node).collect();
        assert_eq!(routing.nearest(routing.own(), 10, None), nearest);
    }

    #[test]
    fn who_does_not_answer_makes_room() {
        let ids = Arc::new(NodeIds::with_chosen(5, (1..5).map(|node| (node, 1 << 63 | u64::from(node))).collect()));
        let mut routing = Routing::new(0, Arc::new(NodeIds { chosen: [(0, 0)].into(), ..(*ids).clone() }), 2);
        routing.ids = ids;
        (1..4).for_each(|node| routing.add_peer(node));
        assert_eq!(routing.len(), 2, "the bucket is full");
        routing.fail(1);
        routing.add_peer(3);
        assert!(routing.nearest(1 << 63, 9, None).contains(&3));
        (0..2).for_each(|_| routing.fail(3));
        assert_eq!(routing.len(), 1);
    }
}
