//! gossipsub: a mesh for each topic that repairs itself, lazy gossip to peers outside it, and scores.
//!
//! A model of libp2p's, with its parameters and the score parameters of our nodes. Own messages go to every neighbour
//! in the topic (flood publishing), others' along the mesh, once the node accepts them. Invariant: a message is
//! delivered once as long as it is remembered, and a peer that sends invalid ones leaves the mesh for good. Connections
//! are those it is given: gossip opens none.

mod message;
mod score;
mod topic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nelumbo_core::api::Verdict;
use nelumbo_core::base::Bytes;

use super::Effect;
use crate::engine::Nanos;
use crate::random::{Random, fold};
use message::Message;
use score::{Score, Thresholds};
use topic::Topic;

const SECOND: Nanos = 1_000_000_000;

/// The parameters of gossipsub. The defaults are libp2p's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many neighbours a mesh should have (D).
    pub mesh_n: usize,
    /// Below this, neighbours are added.
    pub mesh_n_low: usize,
    /// Above this, some are removed.
    pub mesh_n_high: usize,
    /// To how many outside the mesh lazy gossip goes with each heartbeat.
    pub gossip_lazy: usize,
    /// How often meshes are maintained.
    pub heartbeat_interval: Nanos,
    /// How many heartbeats long messages are kept for those who ask.
    pub history_length: usize,
    /// How many heartbeats long they are offered.
    pub history_gossip: usize,
    /// How long a message is remembered as seen.
    pub duplicate_cache_time: Nanos,
    /// How long a neighbour that was removed is not grafted again.
    pub prune_backoff: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh_n: 6,
            mesh_n_low: 5,
            mesh_n_high: 12,
            gossip_lazy: 6,
            heartbeat_interval: SECOND,
            history_length: 5,
            history_gossip: 3,
            duplicate_cache_time: 60 * SECOND,
            prune_backoff: 60 * SECOND,
        }
    }
}

#[derive(Debug, Default)]
struct Neighbour {
    topics: BTreeSet<u64>,
    score: Score,
}

#[derive(Debug)]
struct CachedMessage {
    topic: u64,
    bytes: Bytes,
}

/// One peer's side of gossipsub.
#[derive(Debug)]
pub struct Gossipsub {
    settings: Settings,
    random: Random,
    neighbours: BTreeMap<u32, Neighbour>,
    topics: BTreeMap<u64, Topic>,
    seen: BTreeSet<u64>,
    seen_in_order: VecDeque<(Nanos, u64)>,
    /// The messages that were passed on lately, by heartbeat, the newest first.
    windows: VecDeque<Vec<u64>>,
    kept: BTreeMap<u64, CachedMessage>,
    /// Messages that wait for the node's verdict.
    pending: BTreeMap<u64, (u32, u64, Bytes)>,
    count: u64,
    next_heartbeat: Nanos,
    effects: Vec<Effect>,
}

impl Gossipsub {
    /// A peer with these neighbours, in no topic yet. Its first heartbeat is at a random time within one.
    #[must_use]
    pub fn new(mut random: Random, now: Nanos, neighbours: impl IntoIterator<Item = u32>, settings: Settings) -> Self {
        let next_heartbeat = now + random.within(1, settings.heartbeat_interval);
        let neighbours = neighbours.into_iter().map(|node| (node, Neighbour::default())).collect();
        Self {
            settings,
            random,
            neighbours,
            topics: BTreeMap::new(),
            seen: BTreeSet::new(),
            seen_in_order: VecDeque::new(),
            windows: VecDeque::from([Vec::new()]),
            kept: BTreeMap::new(),
            pending: BTreeMap::new(),
            count: 0,
            next_heartbeat,
            effects: Vec::new(),
        }
    }

    /// Takes part in a topic from now on.
    pub fn subscribe(&mut self, topic: u64) -> Vec<Effect> {
        self.topics.entry(topic).or_default();
        self.broadcast(&Message::Subscribe { topic });
        self.take()
    }

    /// When its next heartbeat is.
    #[must_use]
    pub const fn deadline(&self) -> Nanos {
        self.next_heartbeat
    }

    /// The neighbours in the mesh of a topic.
    pub fn mesh(&self, topic: u64) -> impl Iterator<Item = u32> {
        self.topics.get(&topic).into_iter().flat_map(|topic| topic.mesh.keys().copied())
    }

    /// Publishes a message of the peer's own.
    pub fn publish(&mut self, now: Nanos, topic: u64, bytes: &Bytes) -> Vec<Effect> {
        let id = fold(topic, bytes);
        self.mark_seen(now, id);
        self.cache(id, topic, bytes);
        let good = self.neighbours.iter().filter(|(_, neighbour)| {
            neighbour.topics.contains(&topic) && neighbour.score.value(now) >= Thresholds::PUBLISH
        });
        let to: Vec<u32> = good.map(|(node, _)| *node).collect();
        self.send(to, &Message::Publish { topic, bytes });
        self.take()
    }

    /// The node's verdict: a message that it accepts is passed on, and the sender of one that it rejects loses score.
    pub fn report_validation(&mut self, id: u64, verdict: Verdict) -> Vec<Effect> {
        let Some((from, topic, bytes)) = self.pending.remove(&id) else { return Vec::new() };
        let neighbour = self.neighbours.get_mut(&from);
        match verdict {
            Verdict::Accept => {
                neighbour.into_iter().for_each(|neighbour| neighbour.score.on_first_delivery());
                self.cache(fold(topic, &bytes), topic, &bytes);
                let to: Vec<u32> = self.mesh(topic).filter(|to| *to != from).collect();
                self.send(to, &Message::Publish { topic, bytes: &bytes });
            }
            Verdict::Reject => neighbour.into_iter().for_each(|neighbour| neighbour.score.on_invalid()),
            Verdict::Ignore => {}
        }
        self.take()
    }

    /// A message of a neighbour's.
    pub fn on_message(&mut self, now: Nanos, from: u32, bytes: &[u8]) -> Vec<Effect> {
        let message = Message::decode(bytes).expect("peers' gossip sends messages alone");
        let is_new = !self.neighbours.contains_key(&from);
        let neighbour = self.neighbours.entry(from).or_default();
        let score = neighbour.score.value(now);
        if score < Thresholds::GRAYLIST {
            return Vec::new();
        }
        match message {
            Message::Subscribe { topic } => {
                if neighbour.topics.insert(topic) && (is_new || self.topics.contains_key(&topic)) {
                    self.answer_subscription(from);
                }
            }
            Message::Publish { topic, bytes } => self.on_publish(now, from, topic, bytes),
            Message::Graft { topic } => {
                let is_welcome = score >= 0.0
                    && self.topics.get_mut(&topic).is_some_and(|known| known.on_graft(now, from, &self.settings));
                if !is_welcome {
                    self.send([from], &Message::Prune { topic });
                }
            }
            Message::Prune { topic } => {
                if let Some(known) = self.topics.get_mut(&topic) {
                    known.let_go(now, from, &self.settings);
                }
            }
            Message::IHave { topic, ids } => {
                let ids: Vec<u64> = ids.into_iter().filter(|id| !self.seen.contains(id)).collect();
                if score >= Thresholds::GOSSIP && self.topics.contains_key(&topic) && !ids.is_empty() {
                    self.send([from], &Message::IWant { ids });
                }
            }
            Message::IWant { ids } => {
                for id in ids {
                    if let Some(CachedMessage { topic, bytes }) = self.kept.get(&id) {
                        let message = Message::Publish { topic: *topic, bytes }.encode();
                        self.effects.push(Effect::Send(from, message));
                    }
                }
            }
        }
        self.take()
    }

    /// A heartbeat: meshes are repaired, messages are offered to others, and old ones are forgotten.
    pub fn on_tick(&mut self, now: Nanos) -> Vec<Effect> {
        if now < self.next_heartbeat {
            return Vec::new();
        }
        self.next_heartbeat = now + self.settings.heartbeat_interval;
        let old =
            self.seen_in_order.iter().take_while(|(at, _)| *at + self.settings.duplicate_cache_time <= now).count();
        for (_, id) in self.seen_in_order.drain(..old) {
            self.seen.remove(&id);
        }
        for neighbour in self.neighbours.values_mut() {
            neighbour.score.decay();
        }
        let topics: Vec<u64> = self.topics.keys().copied().collect();
        for topic in topics {
            self.maintain_mesh(now, topic);
            self.send_ihave(now, topic);
        }
        self.windows.push_front(Vec::new());
        if self.windows.len() > self.settings.history_length {
            for id in self.windows.pop_back().unwrap_or_default() {
                self.kept.remove(&id);
            }
        }
        self.take()
    }

    fn on_publish(&mut self, now: Nanos, from: u32, topic: u64, bytes: &[u8]) {
        if !self.topics.contains_key(&topic) || !self.mark_seen(now, fold(topic, bytes)) {
            return;
        }
        let (id, bytes) = (self.count, Bytes::from(bytes));
        self.count += 1;
        self.pending.insert(id, (from, topic, bytes.clone()));
        self.effects.push(Effect::MessageReceived { id, from, bytes });
    }

    /// Sends this peer's subscriptions to a neighbour that has just sent its own.
    fn answer_subscription(&mut self, to: u32) {
        for topic in self.topics.keys() {
            self.effects.push(Effect::Send(to, Message::Subscribe { topic: *topic }.encode()));
        }
    }

    /// Neighbours in a topic that are not in its mesh and have at least this score.
    fn others(&self, now: Nanos, topic: u64, least: f64) -> Vec<u32> {
        let mesh = &self.topics[&topic].mesh;
        let others = self.neighbours.iter().filter(|(node, neighbour)| {
            neighbour.topics.contains(&topic) && !mesh.contains_key(node) && neighbour.score.value(now) >= least
        });
        others.map(|(node, _)| *node).collect()
    }

    fn maintain_mesh(&mut self, now: Nanos, topic: u64) {
        let mut others = self.others(now, topic, 0.0);
        self.random.shuffle(&mut others);
        let Self { topics, neighbours, random, settings, .. } = self;
        let Some(mended) = topics.get_mut(&topic) else { return };
        let value = |node: &u32| neighbours.get(node).map_or(0.0, |neighbour| neighbour.score.value(now));
        let (added, removed) = mended.maintain_mesh(now, settings, &others, random, value);
        for node in &added {
            self.neighbours.entry(*node).or_default().score.on_mesh(now);
        }
        for node in &removed {
            self.neighbours.entry(*node).or_default().score.off_mesh();
        }
        self.send(added, &Message::Graft { topic });
        self.send(removed, &Message::Prune { topic });
    }

    fn send_ihave(&mut self, now: Nanos, topic: u64) {
        let told = self.windows.iter().take(self.settings.history_gossip).flatten();
        let ids: Vec<u64> =
            told.filter(|id| self.kept.get(id).is_some_and(|kept| kept.topic == topic)).copied().collect();
        if ids.is_empty() {
            return;
        }
        let mut others = self.others(now, topic, Thresholds::GOSSIP);
        self.random.shuffle(&mut others);
        // A quarter of all others, where that is more.
        others.truncate(self.settings.gossip_lazy.max(others.len() / 4));
        self.send(others, &Message::IHave { topic, ids });
    }

    fn mark_seen(&mut self, now: Nanos, id: u64) -> bool {
        let is_new = self.seen.insert(id);
        if is_new {
            self.seen_in_order.push_back((now, id));
        }
        is_new
    }

    fn cache(&mut self, id: u64, topic: u64, bytes: &Bytes) {
        self.kept.insert(id, CachedMessage { topic, bytes: bytes.clone() });
        if let Some(newest) = self.windows.front_mut() {
            newest.push(id);
        }
    }

    fn broadcast(&mut self, message: &Message<'_>) {
        let all: Vec<u32> = self.neighbours.keys().copied().collect();
        self.send(all, message);
    }

    fn send(&mut self, to: impl IntoIterator<Item = u32>, message: &Message<'_>) {
        let bytes = message.encode();
        self.effects.extend(to.into_iter().map(|to| Effect::Send(to, bytes.clone())));
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}
