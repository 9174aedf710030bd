//! Kademlia: buckets, iterative lookups, records that are published again and expire.
//!
//! A model of libp2p's, with its parameters: k = 20, α = 3, records at the k nearest peers, published again each hour.
//! Names are simpler: they have 64 bits instead of 256. A peer starts with a full table and needs no connections, or
//! with a few bootstrap peers: then it looks for others itself, and dials whom it asks. Invariant: every lookup ends,
//! after its timeout at the latest; messages that were not asked for are not taken as answers.

mod dials;
mod maintenance;
mod message;
mod query;
mod routing;

use std::collections::BTreeMap;
use std::sync::Arc;

use nelumbo_core::base::Bytes;
use nelumbo_core::wire::merge_own;

use super::{Effect, hash};
use crate::engine::Nanos;
use crate::random::Random;
use dials::Dials;
use maintenance::Maintenance;
use message::Message;
use query::{Goal, Query};
use routing::Routing;

pub use dials::DialSettings;
pub use routing::NodeIds;

const SECOND: Nanos = 1_000_000_000;

/// The parameters of Kademlia. The defaults are libp2p's, with the disjoint paths and the lookup timeout of our nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many peers a bucket holds, and how many peers store a record.
    pub k: usize,
    /// How many requests of each path are under way at once.
    pub alpha: usize,
    /// On how many disjoint paths a lookup goes: the answer of a peer counts on one of them, so that a lying peer
    /// misleads one path.
    pub paths: usize,
    /// How long a request waits for its answer.
    pub request: Nanos,
    /// How long a lookup takes at most; it ends with what it has found by then.
    pub lookup: Nanos,
    /// How long a record lives.
    pub ttl: Nanos,
    /// How often a record is published again by the peers that store it.
    pub republish: Nanos,
    /// How many records a peer holds at most.
    pub records: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            k: 20,
            alpha: 3,
            paths: 3,
            request: 10 * SECOND,
            lookup: 5 * SECOND,
            ttl: 48 * 3600 * SECOND,
            republish: 3600 * SECOND,
            records: 65_536,
        }
    }
}

/// How a peer answers requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RoutingBehaviour {
    /// Correctly.
    #[default]
    Honest,
    /// It names these peers alone, and stores nothing.
    Eclipse(Vec<u32>),
    /// It answers with invalid records.
    Poison,
}

#[derive(Debug)]
struct StoredRecord {
    name: Arc<str>,
    value: Bytes,
    expires: Nanos,
    /// When this peer publishes it again.
    republish: Nanos,
    /// Whether this peer has put it there itself.
    is_own: bool,
}

/// One peer's side of the hash table.
#[derive(Debug)]
pub struct Kademlia {
    settings: Settings,
    routing: Routing,
    records: BTreeMap<u64, StoredRecord>,
    /// The records that others ask this peer to store and that its node has not accepted or rejected yet.
    pending_puts: BTreeMap<u64, Arc<str>>,
    put_count: u64,
    queries: BTreeMap<u32, Query>,
    count: u32,
    /// No record expires or is published again before this.
    records_at: Nanos,
    behaviour: RoutingBehaviour,
    /// How often it has misbehaved.
    pub misbehaviours: u64,
    /// The nearest peers that the last lookup found.
    nearest: Vec<u32>,
    effects: Vec<Effect>,
    /// The dials and the maintenance of a peer that started with bootstrap peers alone.
    bootstrap: Option<Box<(Dials, Maintenance)>>,
}

impl Kademlia {
    /// A peer with an empty routing table that needs no connections.
    #[must_use]
    pub fn new(node: u32, ids: Arc<NodeIds>, settings: Settings) -> Self {
        let routing = Routing::new(node, ids, settings.k);
        Self {
            settings,
            routing,
            records: BTreeMap::new(),
            pending_puts: BTreeMap::new(),
            put_count: 0,
            queries: BTreeMap::new(),
            count: 0,
            records_at: Nanos::MAX,
            behaviour: RoutingBehaviour::Honest,
            misbehaviours: 0,
            nearest: Vec::new(),
            effects: Vec::new(),
            bootstrap: None,
        }
    }

    /// Makes it a peer that has just started and knows these bootstrap peers. It dials whom it asks, and looks for
    /// others on its own from the first [`on_tick`](Self::on_tick) on.
    #[must_use]
    pub fn bootstrap(mut self, now: Nanos, contacts: Vec<u32>, dial_settings: DialSettings, random: Random) -> Self {
        self.bootstrap = Some(Box::new((Dials::new(dial_settings), Maintenance::new(now, contacts, random))));
        self
    }

    /// Closes the connections, where dials are modelled.
    pub fn leave(&mut self) -> Vec<Effect> {
        let connected = self.bootstrap.iter().flat_map(|bootstrap| bootstrap.0.connected());
        connected.map(|peer| Effect::Send(peer, Message::Close.encode())).collect()
    }

    /// Fills the routing table as it is after a long time: each bucket with as many as there are, drawn from all.
    pub fn fill_table(&mut self, seed: u64) {
        self.routing.fill_table(seed);
    }

    /// Sets how requests are answered from now on.
    pub fn set_behaviour(&mut self, behaviour: RoutingBehaviour) {
        self.behaviour = behaviour;
    }

    /// How many peers it can route to.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.routing.len()
    }

    /// The peers that it can route to.
    pub fn routes(&self) -> impl Iterator<Item = u32> {
        self.routing.all()
    }

    /// The peers that the lookup that ended last has found, the nearest first.
    #[must_use]
    pub fn last_nearest(&self) -> &[u32] {
        &self.nearest
    }

    /// Adds a peer to the routing table.
    pub fn add_peer(&mut self, node: u32) {
        self.routing.add_peer(node);
    }

    /// Looks its own name up, so that it learns of its neighbours and they of it.
    pub fn join(&mut self, now: Nanos) -> Vec<Effect> {
        self.begin(now, self.routing.own(), Goal::Join);
        self.take()
    }

    /// Looks a record up. Ends in one [`Effect::LookupFinished`], after any number of [`Effect::RecordFound`]s.
    pub fn lookup(&mut self, now: Nanos, operation: u64, key: u64) -> Vec<Effect> {
        if let Some(held) = self.records.get(&key).filter(|held| held.expires > now) {
            self.effects.push(Effect::RecordFound(operation, held.value.clone()));
        }
        self.begin(now, key, Goal::LookUp(operation));
        self.take()
    }

    /// Puts a record at the peers nearest to its key, this one among them if it is.
    pub fn store(&mut self, now: Nanos, key: &str, value: Bytes, ttl: Nanos) -> Vec<Effect> {
        let (name, ttl) = (Arc::from(key), ttl.min(self.settings.ttl));
        // Lists of many authors grow together: what is known of one stays beside the own entry.
        let held = self.records.get(&hash(key));
        let value = held.map_or_else(|| value.clone(), |held| merge_own(&held.value, &value).into());
        self.hold(now, Arc::clone(&name), value.clone(), ttl, true);
        self.begin(now, hash(key), Goal::PutValue { name, value, ttl });
        self.take()
    }

    /// Stores a record that was offered, or the version that the node has made of it with its lifetime, or drops it.
    pub fn resolve_put(&mut self, now: Nanos, id: u64, kept: Option<(Bytes, Nanos)>) {
        if let (Some(name), Some((value, ttl))) = (self.pending_puts.remove(&id), kept) {
            self.hold(now, name, value, ttl.min(self.settings.ttl), false);
        }
    }

    /// Removes a record that is stored for others; one that this peer has put there itself stays.
    pub fn remove(&mut self, key: &str) {
        let key = hash(key);
        if self.records.get(&key).is_some_and(|held| !held.is_own) {
            self.records.remove(&key);
        }
    }

    /// A message of another peer's.
    pub fn on_message(&mut self, now: Nanos, from: u32, bytes: &[u8]) -> Vec<Effect> {
        let message = Message::decode(bytes).expect("peers' tables send messages alone");
        let before = self.routing.len();
        if !self.is_connected(from, &message) {
            self.effects.push(Effect::Send(from, Message::NotConnected { bytes }.encode()));
            return self.take();
        }
        match message {
            Message::FindNode { query, target } => {
                self.routing.add_peer(from);
                let (closer, value) = self.answer(now, from, target);
                let answer = Message::CloserPeers { query, closer, value: &value }.encode();
                self.effects.push(Effect::Send(from, answer));
            }
            Message::CloserPeers { query, closer, value } => self.on_closer(now, from, query, &closer, value),
            Message::PutValue { .. } if self.behaviour != RoutingBehaviour::Honest => self.misbehaviours += 1,
            Message::PutValue { name, value, .. } => {
                self.routing.add_peer(from);
                self.offer(now, from, name, value);
            }
            Message::Handshake { left } => {
                let said = self.bootstrap.as_mut().map(|bootstrap| bootstrap.0.on_handshake(now, from, left));
                self.effects.extend(said.into_iter().flatten().map(|bytes| Effect::Send(from, bytes)));
            }
            Message::NotConnected { bytes } => {
                self.close(from);
                self.send(now, from, bytes.to_vec(), true);
            }
            Message::Close => self.close(from),
        }
        self.on_table_change(now, before);
        self.take()
    }

    /// Whether a message comes over a connection, where it needs one.
    fn is_connected(&mut self, from: u32, message: &Message<'_>) -> bool {
        let Some(bootstrap) = &mut self.bootstrap else { return true };
        bootstrap.0.on_activity(from);
        !matches!(message, Message::FindNode { .. } | Message::PutValue { .. }) || bootstrap.0.is_connected(from)
    }

    fn close(&mut self, peer: u32) {
        if let Some(bootstrap) = &mut self.bootstrap {
            bootstrap.0.close(peer);
        }
    }

    fn send(&mut self, now: Nanos, to: u32, message: Vec<u8>, is_answered: bool) {
        let message = match &mut self.bootstrap {
            Some(bootstrap) => bootstrap.0.send(now, to, message, is_answered),
            None => Some(message),
        };
        self.effects.extend(message.map(|message| Effect::Send(to, message)));
    }

    /// Brings the next refresh forward when a peer was added to a small table.
    fn on_table_change(&mut self, now: Nanos, before: usize) {
        let peers = self.routing.len();
        if let Some(bootstrap) = self.bootstrap.as_mut().filter(|_| peers != before) {
            bootstrap.1.on_table_change(now, peers, before);
        }
    }

    /// Ends dials that have failed, refreshes the table, and offers records again that no peer has stored.
    fn maintain(&mut self, now: Nanos) {
        let before = self.routing.len();
        let Some(bootstrap) = &mut self.bootstrap else { return };
        let (dials, maintenance) = &mut **bootstrap;
        let (failed, again) = (dials.fail_timed_out(now), maintenance.due(now));
        failed.iter().for_each(|node| self.routing.forget(*node));
        let targets = maintenance.refresh(now, self.routing.own(), self.routing.buckets());
        if !targets.is_empty() {
            maintenance.contacts().iter().for_each(|contact| self.routing.add_peer(*contact));
        }
        let waiting: Vec<u32> = self.queries.keys().copied().filter(|_| !failed.is_empty()).collect();
        for number in waiting {
            if let Some(query) = self.queries.get_mut(&number) {
                failed.iter().for_each(|node| query.fail(*node));
                self.advance(now, number);
            }
        }
        targets.into_iter().for_each(|target| self.begin(now, target, Goal::Join));
        for key in again {
            self.put_again(now, key);
        }
        self.on_table_change(now, before);
    }

    fn put_again(&mut self, now: Nanos, key: u64) {
        if let Some(held) = self.records.get(&key).filter(|held| held.expires > now) {
            let (name, value, ttl) = (held.name.clone(), held.value.clone(), held.expires - now);
            self.begin(now, key, Goal::PutValue { name, value, ttl });
        } else if let Some(bootstrap) = &mut self.bootstrap {
            bootstrap.1.forget(key);
        }
    }

    /// Time has passed: requests without an answer fail, records expire or are published again.
    pub fn on_tick(&mut self, now: Nanos) -> Vec<Effect> {
        self.maintain(now);
        let waiting: Vec<u32> = self.queries.keys().copied().collect();
        for number in waiting {
            let Some(query) = self.queries.get_mut(&number) else { continue };
            for node in query.fail_timed_out(now, self.settings.request) {
                // A newcomer finds out by dialling again.
                if self.bootstrap.is_none() {
                    self.routing.fail(node);
                }
            }
            self.advance(now, number);
        }
        if now >= self.records_at {
            self.expire_and_republish(now);
        }
        self.take()
    }

    /// When [`on_tick`](Self::on_tick) is to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        let queries = self.queries.values().filter_map(|query| query.deadline(self.settings.request));
        let bootstrap = self.bootstrap.iter().flat_map(|all| all.0.deadline().into_iter().chain([all.1.deadline()]));
        queries.chain(bootstrap).chain([self.records_at]).min().filter(|at| *at < Nanos::MAX)
    }

    fn expire_and_republish(&mut self, now: Nanos) {
        self.records.retain(|_, held| held.expires > now);
        let mut again = Vec::new();
        for (key, held) in &mut self.records {
            if held.republish <= now {
                held.republish = now + self.settings.republish;
                again.push((*key, held.name.clone(), held.value.clone(), held.expires - now));
            }
        }
        self.records_at =
            self.records.values().map(|held| held.expires.min(held.republish)).min().unwrap_or(Nanos::MAX);
        for (key, name, value, ttl) in again {
            self.begin(now, key, Goal::PutValue { name, value, ttl });
        }
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The peers that this peer names to one that asks, and the record that it returns.
    fn answer(&mut self, now: Nanos, from: u32, target: u64) -> (Vec<u32>, Bytes) {
        let nothing = || Bytes::from(&[][..]);
        self.misbehaviours += u64::from(self.behaviour != RoutingBehaviour::Honest);
        match &self.behaviour {
            RoutingBehaviour::Eclipse(fellows) => (fellows.clone(), nothing()),
            RoutingBehaviour::Poison => {
                let garbage = crate::random::mix(target ^ u64::from(from)).to_le_bytes();
                (self.routing.nearest(target, self.settings.k, Some(from)), Bytes::from(&garbage[..]))
            }
            RoutingBehaviour::Honest => {
                let held = self.records.get(&target).filter(|held| held.expires > now);
                let value = held.map_or_else(nothing, |held| held.value.clone());
                (self.routing.nearest(target, self.settings.k, Some(from)), value)
            }
        }
    }

    /// Passes a record to the node, which accepts or rejects it before it is stored.
    fn offer(&mut self, now: Nanos, from: u32, name: &str, value: &[u8]) {
        let id = self.put_count;
        self.put_count += 1;
        self.pending_puts.insert(id, name.into());
        let held = self.records.get(&hash(name)).filter(|held| held.expires > now);
        let stored = held.map(|held| held.value.clone());
        self.effects.push(Effect::PutRequested { id, from, key: name.into(), bytes: value.into(), stored });
    }

    fn hold(&mut self, now: Nanos, name: Arc<str>, value: Bytes, ttl: Nanos, is_own: bool) {
        let key = hash(&name);
        let held = self.records.get(&key);
        if self.records.len() < self.settings.records || held.is_some() {
            let is_own = is_own || held.is_some_and(|held| held.is_own);
            let (expires, republish) = (now + ttl, now + self.settings.republish);
            self.records.insert(key, StoredRecord { name, value, expires, republish, is_own });
            self.records_at = self.records_at.min(expires).min(republish);
        }
    }

    fn begin(&mut self, now: Nanos, target: u64, goal: Goal) {
        let start = self.routing.nearest(target, self.settings.k, None);
        let number = self.count;
        self.count = self.count.wrapping_add(1);
        let query = Query::new(goal, target, &start, &self.routing, &self.settings, now + self.settings.lookup);
        self.queries.insert(number, query);
        self.advance(now, number);
    }

    fn on_closer(&mut self, now: Nanos, from: u32, number: u32, closer: &[u32], value: &[u8]) {
        let Some(query) = self.queries.get_mut(&number) else { return };
        if !query.answer(from, closer, &self.routing) {
            return;
        }
        if let Goal::LookUp(operation) = query.goal
            && !value.is_empty()
        {
            self.effects.push(Effect::RecordFound(operation, value.into()));
        }
        // Whom it has only heard of may not be there: those are met when they answer.
        self.routing.add_peer(from);
        self.advance(now, number);
    }

    /// Sends what a lookup has to send, and ends it when it is over.
    fn advance(&mut self, now: Nanos, number: u32) {
        let Some(query) = self.queries.get_mut(&number) else { return };
        let find = Message::FindNode { query: number, target: query.target }.encode();
        let asked = query.next(now);
        let is_over = query.is_over(now);
        asked.into_iter().for_each(|node| self.send(now, node, find.clone(), true));
        if !is_over {
            return;
        }
        let Some(query) = self.queries.remove(&number) else { return };
        match &query.goal {
            Goal::LookUp(operation) => {
                self.nearest = query.nearest(self.settings.k);
                self.effects.push(Effect::LookupFinished(*operation, query.lookup_stats()));
            }
            Goal::PutValue { name, value, ttl } => {
                let store = Message::PutValue { name, ttl: *ttl, value }.encode();
                let nearest = query.nearest(self.settings.k);
                if let Some(bootstrap) = &mut self.bootstrap {
                    bootstrap.1.on_put_done(now, hash(name), !nearest.is_empty());
                }
                nearest.into_iter().for_each(|node| self.send(now, node, store.clone(), false));
            }
            Goal::Join => self.bootstrap.iter_mut().for_each(|bootstrap| bootstrap.1.on_refresh_lookup_done()),
        }
    }
}
