//! The ideal hash table: a record is at the few peers that its key names, and everybody knows them.
//!
//! Invariant: every lookup ends, with its last answer or when it has taken long enough. Driven by [`Dht`](super::Dht).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nelumbo_core::base::Bytes;

use super::{Effect, LookupStats};
use crate::engine::Nanos;
use crate::random::Random;
use crate::schedule::MILLISECOND;

/// How many peers hold a record.
const REPLICAS: u64 = 3;
/// How many records a peer holds at most.
const RECORDS: usize = 65_536;
/// How long a lookup waits for its last answer.
const LOOKUP_TIMEOUT: Nanos = 2000 * MILLISECOND;

#[derive(Debug)]
pub struct IdealDht {
    nodes: u32,
    /// The records that this peer holds for others, and until when.
    records: BTreeMap<u64, (Bytes, Nanos)>,
    /// The records that others ask it to hold and that its node has not accepted or rejected yet.
    pending_puts: BTreeMap<u64, u64>,
    put_count: u64,
    /// Lookups under way, with how many were asked and how many have answered.
    lookups: BTreeMap<u64, (u32, u32)>,
    /// When they end, in order.
    ends: VecDeque<(Nanos, u64)>,
}

const STORE: u8 = 0;
const FIND: u8 = 1;
const FOUND: u8 = 2;

impl IdealDht {
    pub(super) const fn new(nodes: u32) -> Self {
        Self {
            nodes,
            records: BTreeMap::new(),
            pending_puts: BTreeMap::new(),
            put_count: 0,
            lookups: BTreeMap::new(),
            ends: VecDeque::new(),
        }
    }

    pub(super) fn lookup(&mut self, now: Nanos, operation: u64, key: u64) -> Vec<Effect> {
        let replicas = self.replicas(key);
        self.lookups.insert(operation, (replicas.len() as u32, 0));
        self.ends.push_back((now + LOOKUP_TIMEOUT, operation));
        replicas.into_iter().map(|to| Effect::Send(to, message(FIND, operation, &key.to_le_bytes()))).collect()
    }

    pub(super) fn store(&mut self, key: &str, value: &[u8]) -> Vec<Effect> {
        let named = [key.as_bytes(), value].concat();
        let store = message(STORE, key.len() as u64, &named);
        self.replicas(super::hash(key)).into_iter().map(|to| Effect::Send(to, store.clone())).collect()
    }

    pub(super) fn resolve_put(&mut self, id: u64, kept: Option<(Bytes, Nanos)>) {
        if let (Some(key), Some(kept)) = (self.pending_puts.remove(&id), kept)
            && (self.records.len() < RECORDS || self.records.contains_key(&key))
        {
            self.records.insert(key, kept);
        }
    }

    /// Removes the record under a key. What this peer has put there itself is at the key's other peers too.
    pub(super) fn remove(&mut self, key: u64) {
        self.records.remove(&key);
    }

    /// The record under a key that has not expired.
    fn held(&self, now: Nanos, key: u64) -> Option<&Bytes> {
        self.records.get(&key).filter(|(_, until)| *until > now).map(|(value, _)| value)
    }

    fn on_store(&mut self, now: Nanos, from: u32, length: u64, named: &[u8]) -> Effect {
        let (key, value) = named.split_at(length as usize);
        let key = String::from_utf8_lossy(key).into_owned();
        let (place, id) = (super::hash(&key), self.put_count);
        self.put_count += 1;
        self.pending_puts.insert(id, place);
        Effect::PutRequested { id, from, key, bytes: value.into(), stored: self.held(now, place).cloned() }
    }

    pub(super) fn on_message(&mut self, now: Nanos, from: u32, bytes: &[u8]) -> Vec<Effect> {
        let (kind, rest) = bytes.split_first().expect("peers' tables send messages alone");
        let (number, rest) = rest.split_first_chunk().expect("every message has a number");
        let number = u64::from_le_bytes(*number);
        match *kind {
            STORE => vec![self.on_store(now, from, number, rest)],
            FIND => {
                let key = rest.first_chunk().map_or(0, |key| u64::from_le_bytes(*key));
                let value = self.held(now, key).map_or(&[][..], |value| &value[..]);
                vec![Effect::Send(from, message(FOUND, number, value))]
            }
            _ => self.on_answer(number, rest),
        }
    }

    fn on_answer(&mut self, operation: u64, value: &[u8]) -> Vec<Effect> {
        let Some((asked, answered)) = self.lookups.get_mut(&operation) else { return Vec::new() };
        *answered += 1;
        let end =
            (asked == answered).then_some(Effect::LookupFinished(operation, LookupStats { hops: 1, requests: *asked }));
        if end.is_some() {
            self.lookups.remove(&operation);
        }
        let found = (!value.is_empty()).then(|| Effect::RecordFound(operation, value.into()));
        found.into_iter().chain(end).collect()
    }

    pub(super) fn on_tick(&mut self, now: Nanos) -> Vec<Effect> {
        let mut ended = Vec::new();
        let due = self.ends.iter().take_while(|(at, _)| *at <= now).count();
        for (_, operation) in self.ends.drain(..due) {
            if let Some((requests, _)) = self.lookups.remove(&operation) {
                ended.push(Effect::LookupFinished(operation, LookupStats { hops: 1, requests }));
            }
        }
        ended
    }

    pub(super) fn deadline(&self) -> Option<Nanos> {
        self.ends.front().map(|(at, _)| *at)
    }

    pub(super) const fn peers(&self) -> usize {
        self.nodes as usize - 1
    }

    fn replicas(&self, key: u64) -> BTreeSet<u32> {
        let mut random = Random::stream(key, "holder", 0);
        (0..REPLICAS).map(|_| random.below(u64::from(self.nodes)) as u32).collect()
    }
}

fn message(kind: u8, number: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes
}
