//! Kademlia: buckets, iterative lookups, records that are published again and expire.
//!
//! A model of what libp2p does, with its numbers: k = 20, α = 3, records at the k nearest peers, published again each
//! hour. Two things are simpler: names have 64 bits instead of 256, and requests need no connection. Invariant: every
//! lookup ends, after its time at the latest; what is not asked for is not taken as an answer.

mod message;
mod query;
mod routing;

use std::collections::BTreeMap;
use std::sync::Arc;

use nelumbo_core::base::Bytes;

use super::{Effect, merged};
use crate::engine::Nanos;
use message::Message;
use query::{Goal, Query};
use routing::Routing;

pub use routing::Directory;

const SECOND: Nanos = 1_000_000_000;

/// How Kademlia works here. The defaults are libp2p's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many peers a bucket holds, and at how many a record is.
    pub k: usize,
    /// How many requests of a lookup are under way at once.
    pub alpha: usize,
    /// On how many disjoint paths a lookup goes: no peer is asked on two of them, so that one liar sees one path.
    pub paths: usize,
    /// How long a request waits for its answer.
    pub request: Nanos,
    /// How long a lookup takes at most.
    pub lookup: Nanos,
    /// How long a record lives.
    pub life: Nanos,
    /// How often a record is published again by those who have it.
    pub republish: Nanos,
    /// How many records a peer holds at most.
    pub records: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            k: 20,
            alpha: 3,
            paths: 1,
            request: 10 * SECOND,
            lookup: 60 * SECOND,
            life: 48 * 3600 * SECOND,
            republish: 3600 * SECOND,
            records: 65_536,
        }
    }
}

#[derive(Debug)]
struct Held {
    value: Bytes,
    expires: Nanos,
    /// When this peer publishes it again.
    republish: Nanos,
}

/// One peer's part of the hash table.
#[derive(Debug)]
pub struct Kademlia {
    settings: Settings,
    routing: Routing,
    records: BTreeMap<u64, Held>,
    queries: BTreeMap<u32, Query>,
    count: u32,
    /// No record expires or is published again before this.
    records_at: Nanos,
    effects: Vec<Effect>,
}

impl Kademlia {
    /// A peer that knows nobody yet.
    #[must_use]
    pub fn new(node: u32, directory: Arc<Directory>, settings: Settings) -> Self {
        let routing = Routing::new(node, directory, settings.k);
        let (records, queries) = (BTreeMap::new(), BTreeMap::new());
        Self { settings, routing, records, queries, count: 0, records_at: Nanos::MAX, effects: Vec::new() }
    }

    /// Fills the routing table as it is after a long time: each bucket with as many as there are, drawn from all.
    pub fn settle(&mut self, seed: u64) {
        self.routing.settle(seed);
    }

    /// How many peers it can route to.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.routing.len()
    }

    /// Learns of a peer.
    pub fn meet(&mut self, node: u32) {
        self.routing.meet(node);
    }

    /// Asks for the way to itself, so that it learns of its neighbours and they of it.
    pub fn join(&mut self, now: Nanos) -> Vec<Effect> {
        self.begin(now, self.routing.own(), Goal::Join);
        self.take()
    }

    /// Looks a record up. Ends in one [`Effect::Finished`], after any number of [`Effect::Found`]s.
    pub fn look_up(&mut self, now: Nanos, operation: u64, key: u64) -> Vec<Effect> {
        if let Some(held) = self.records.get(&key).filter(|held| held.expires > now) {
            self.effects.push(Effect::Found(operation, held.value.clone()));
        }
        self.begin(now, key, Goal::LookUp(operation));
        self.take()
    }

    /// Puts a record at the peers nearest to its key, this one among them if it is.
    pub fn store(&mut self, now: Nanos, key: u64, value: Bytes) -> Vec<Effect> {
        self.hold(now, key, value.clone(), self.settings.life);
        self.begin(now, key, Goal::Store(value, self.settings.life));
        self.take()
    }

    /// A message of another peer's.
    pub fn on_message(&mut self, now: Nanos, from: u32, bytes: &[u8]) -> Vec<Effect> {
        let message = Message::decode(bytes).expect("peers' tables send messages alone");
        match message {
            Message::Find { query, target } => {
                self.routing.meet(from);
                let held = self.records.get(&target).filter(|held| held.expires > now);
                let value = held.map_or_else(|| Bytes::from(&[][..]), |held| held.value.clone());
                let closer = self.routing.nearest(target, self.settings.k, Some(from));
                let answer = Message::Closer { query, closer, value: &value }.encode();
                self.effects.push(Effect::Send(from, answer));
            }
            Message::Closer { query, closer, value } => self.on_closer(now, from, query, &closer, value),
            Message::Store { key, life, value } => {
                self.routing.meet(from);
                self.hold(now, key, value.into(), life.min(self.settings.life));
            }
        }
        self.take()
    }

    /// Time has passed: requests without an answer fail, records expire or are published again.
    pub fn on_time(&mut self, now: Nanos) -> Vec<Effect> {
        let waiting: Vec<u32> = self.queries.keys().copied().collect();
        for number in waiting {
            let Some(query) = self.queries.get_mut(&number) else { continue };
            for node in query.fail_late(now, self.settings.request) {
                self.routing.fail(node);
            }
            self.advance(now, number);
        }
        if now >= self.records_at {
            self.look_after_records(now);
        }
        self.take()
    }

    /// When it wants to be told the time.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        let queries = self.queries.values().filter_map(|query| query.deadline(self.settings.request));
        queries.chain([self.records_at]).min().filter(|at| *at < Nanos::MAX)
    }

    fn look_after_records(&mut self, now: Nanos) {
        self.records.retain(|_, held| held.expires > now);
        let mut again = Vec::new();
        for (key, held) in &mut self.records {
            if held.republish <= now {
                held.republish = now + self.settings.republish;
                again.push((*key, held.value.clone(), held.expires - now));
            }
        }
        self.records_at =
            self.records.values().map(|held| held.expires.min(held.republish)).min().unwrap_or(Nanos::MAX);
        for (key, value, life) in again {
            self.begin(now, key, Goal::Store(value, life));
        }
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn hold(&mut self, now: Nanos, key: u64, value: Bytes, life: Nanos) {
        if self.records.len() < self.settings.records || self.records.contains_key(&key) {
            let (expires, republish) = (now + life, now + self.settings.republish);
            let value = merged(self.records.get(&key).map(|held| &held.value), value);
            self.records.insert(key, Held { value, expires, republish });
            self.records_at = self.records_at.min(expires).min(republish);
        }
    }

    fn begin(&mut self, now: Nanos, target: u64, goal: Goal) {
        let start = self.routing.nearest(target, self.settings.k, None);
        let number = self.count;
        self.count = self.count.wrapping_add(1);
        let query = Query::new(goal, target, start, &self.routing, &self.settings, now + self.settings.lookup);
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
            self.effects.push(Effect::Found(operation, value.into()));
        }
        // Whom it has only heard of may not be there: those are met when they answer.
        self.routing.meet(from);
        self.advance(now, number);
    }

    /// Sends what a lookup has to send, and ends it when it is over.
    fn advance(&mut self, now: Nanos, number: u32) {
        let Some(query) = self.queries.get_mut(&number) else { return };
        let find = Message::Find { query: number, target: query.target }.encode();
        let asked = query.next(now);
        self.effects.extend(asked.into_iter().map(|node| Effect::Send(node, find.clone())));
        if !query.is_over(now) {
            return;
        }
        let Some(query) = self.queries.remove(&number) else { return };
        match &query.goal {
            Goal::LookUp(operation) => self.effects.push(Effect::Finished(*operation, query.trip())),
            Goal::Store(value, life) => {
                let store = Message::Store { key: query.target, life: *life, value }.encode();
                let nearest = query.nearest(self.settings.k);
                self.effects.extend(nearest.into_iter().map(|node| Effect::Send(node, store.clone())));
            }
            Goal::Join => {}
        }
    }
}
