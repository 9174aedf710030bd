//! What a peer's transport knows: connections, gossip, and a hash table spread over all peers.
//!
//! The services are honest models, behind the same seam as the real network: connections that come back by themselves;
//! gossip over a fixed mesh, each message passed on once and only when the node accepts it; records held by the few
//! peers that a hash names, one hop away. Driven by `Peer`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nelumbo_core::api::{GossipId, OperationId, Verdict};
use nelumbo_core::base::Bytes;

use super::frame::Frame;
use crate::random::{Random, fold};

/// How many peers a gossip message is passed on to (gossipsub's D).
const MESH: usize = 6;
/// How many gossip messages are remembered, so that they are passed on once.
const SEEN: usize = 4096;
/// How many peers hold a record.
const HOLDERS: u64 = 3;
/// How many records a peer holds at most.
const RECORDS: usize = 65_536;

/// The transport's state.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// Who this machine wants to be connected to.
    pub(super) contacts: BTreeSet<u32>,
    /// Who it is connected to, in which life of theirs.
    pub(super) up: BTreeMap<u32, u32>,
    /// Who has greeted in which life, and has not thanked for the welcome yet.
    pub(super) greeted: BTreeMap<u32, u32>,
    seen: BTreeSet<u64>,
    seen_in_order: VecDeque<u64>,
    /// Gossip that waits for the node's verdict.
    pending: BTreeMap<GossipId, (u32, Bytes)>,
    gossips: u64,
    /// Records that this machine holds for others.
    records: BTreeMap<u64, Bytes>,
    /// Lookups under way, with how many answers are missing.
    lookups: BTreeMap<OperationId, u64>,
}

/// Frames to send, with whom to.
pub(super) type Frames = Vec<(u32, Vec<u8>)>;

impl Network {
    pub(super) fn new(contacts: BTreeSet<u32>) -> Self {
        Self { contacts, ..Self::default() }
    }

    /// What the process knew is gone; who to connect to is in a file.
    pub(super) fn crash(&mut self) {
        *self = Self::new(std::mem::take(&mut self.contacts));
    }

    /// Whether someone is not connected who should be.
    pub(super) fn is_lacking(&self) -> bool {
        self.contacts.iter().any(|contact| !self.up.contains_key(contact))
    }

    /// Greetings to everyone who should be connected and is not.
    pub(super) fn greetings(&self, life: u32) -> Frames {
        let lacking = self.contacts.iter().filter(|contact| !self.up.contains_key(contact));
        lacking.map(|contact| (*contact, Frame::Hello { life }.encode())).collect()
    }

    /// A message to a connected peer.
    pub(super) fn direct(&self, to: u32, bytes: &Bytes) -> Option<Vec<u8>> {
        self.up.get(&to).map(|life| Frame::Direct { life: *life, bytes }.encode())
    }

    /// A gossip message is new here: the node is to judge it. Nothing when it has been seen.
    pub(super) fn gossip(&mut self, from: u32, bytes: &Bytes) -> Option<GossipId> {
        if !self.see(bytes) {
            return None;
        }
        self.gossips += 1;
        let id = GossipId(self.gossips);
        self.pending.insert(id, (from, bytes.clone()));
        Some(id)
    }

    fn see(&mut self, bytes: &Bytes) -> bool {
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

    /// The node has judged: what it accepts goes on.
    pub(super) fn judged(&mut self, id: GossipId, verdict: Verdict, mesh: &[u32]) -> Frames {
        match self.pending.remove(&id) {
            Some((from, bytes)) if verdict == Verdict::Accept => {
                let frame = Frame::Gossip { bytes: &bytes }.encode();
                mesh.iter().filter(|to| **to != from).map(|to| (*to, frame.clone())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The node's own message goes out.
    pub(super) fn publish(&mut self, bytes: &Bytes, mesh: &[u32]) -> Frames {
        self.see(bytes);
        let frame = Frame::Gossip { bytes }.encode();
        mesh.iter().map(|to| (*to, frame.clone())).collect()
    }

    /// Puts a record where it belongs.
    pub(super) fn store(&mut self, key: &str, value: &Bytes, nodes: u32) -> Frames {
        let key = fold(0, key.as_bytes());
        let frame = Frame::Store { key, value }.encode();
        holders(key, nodes).map(|to| (to, frame.clone())).collect()
    }

    pub(super) fn keep(&mut self, key: u64, value: &[u8]) {
        if self.records.len() < RECORDS || self.records.contains_key(&key) {
            self.records.insert(key, value.into());
        }
    }

    /// Asks those who should hold a record.
    pub(super) fn look_up(&mut self, operation: OperationId, key: &str, nodes: u32) -> Frames {
        let key = fold(0, key.as_bytes());
        let frame = Frame::Find { operation: operation.0, key }.encode();
        let asked: Frames = holders(key, nodes).map(|to| (to, frame.clone())).collect();
        self.lookups.insert(operation, asked.len() as u64);
        asked
    }

    pub(super) fn find(&self, operation: u64, key: u64) -> Vec<u8> {
        let value = self.records.get(&key).map_or(&[][..], |value| &value[..]);
        Frame::Found { operation, value }.encode()
    }

    /// An answer to a lookup: whether somebody waits for it, and whether it was the last.
    pub(super) fn answered(&mut self, operation: OperationId) -> Option<bool> {
        let left = self.lookups.get_mut(&operation)?;
        *left -= 1;
        let is_last = *left == 0;
        if is_last {
            self.lookups.remove(&operation);
        }
        Some(is_last)
    }

    /// The lookup has taken long enough.
    pub(super) fn give_up(&mut self, operation: OperationId) -> bool {
        self.lookups.remove(&operation).is_some()
    }
}

/// Whom a machine passes gossip on to.
pub(super) fn mesh(seed: u64, node: u32, nodes: u32) -> Vec<u32> {
    let mut others: Vec<u32>;
    let mut random = Random::stream(seed, "mesh", u64::from(node));
    if nodes <= 64 {
        others = (0..nodes).filter(|other| *other != node).collect();
        random.shuffle(&mut others);
        others.truncate(MESH);
    } else {
        let draws = (0..MESH).map(|_| random.below(u64::from(nodes)) as u32);
        others = draws.filter(|other| *other != node).collect();
    }
    // A ring through all of them, so that the mesh is connected whatever was drawn.
    others.push((node + 1) % nodes);
    others.sort_unstable();
    others.dedup();
    others.retain(|other| *other != node);
    others
}

fn holders(key: u64, nodes: u32) -> impl Iterator<Item = u32> {
    let mut random = Random::stream(key, "holder", 0);
    let drawn: BTreeSet<u32> = (0..HOLDERS).map(|_| random.below(u64::from(nodes)) as u32).collect();
    drawn.into_iter()
}
