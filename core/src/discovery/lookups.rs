//! What is being looked for in the DHT: each record once at a time, bounded in number and in how often one begins, so
//! that waiting for others costs them little.
//!
//! Driven by `Node`.

use alloc::collections::VecDeque;

use core::time::Duration;

use crate::api::{OperationId, Quota};
use crate::base::{Map, Mono};
use crate::gate::Bucket;
use crate::wire::{Listed, RecordKey};

/// Lookups under way, and those that wait for their turn.
#[derive(Debug)]
pub(crate) struct Lookups {
    pub(super) under_way: Map<OperationId, RecordKey>,
    pub(super) waiting: VecDeque<RecordKey>,
    pub(super) listed: Map<RecordKey, Listed>,
    operations: u64,
    capacity: usize,
    room: usize,
    pub(super) begun: Bucket,
}

impl Lookups {
    /// Runs `capacity` lookups at once, and keeps `room` more in line.
    pub(crate) const fn new(capacity: usize, room: usize) -> Self {
        Self {
            under_way: Map::new(),
            waiting: VecDeque::new(),
            listed: Map::new(),
            operations: 0,
            capacity,
            room,
            begun: Bucket::FULL,
        }
    }

    /// Puts a record in line; true when it is there now or was before. What a list says about it is held against what
    /// is found.
    pub(crate) fn ask(&mut self, key: RecordKey, listed: Option<Listed>) -> bool {
        let is_known = self.waiting.contains(&key) || self.under_way.values().any(|sought| *sought == key);
        if !is_known && self.waiting.len() >= self.room {
            return false;
        }
        if let Some(listed) = listed {
            self.listed.insert(key.clone(), listed);
        }
        if !is_known {
            self.waiting.push_back(key);
        }
        true
    }

    /// The next lookup to begin, if another may run; they begin no faster than at this rate.
    pub(crate) fn begin(&mut self, rate: Quota, now: Mono) -> Option<(OperationId, RecordKey)> {
        if self.under_way.len() >= self.capacity || self.waiting.is_empty() || !self.begun.take(rate, 1, now) {
            return None;
        }
        let key = self.waiting.pop_front()?;
        self.operations += 1;
        let operation = OperationId(self.operations);
        self.under_way.insert(operation, key.clone());
        Some((operation, key))
    }

    /// How long it takes until time alone lets the next one begin.
    pub(crate) fn wait(&self, rate: Quota, now: Mono) -> Option<Duration> {
        let is_ready = !self.waiting.is_empty() && self.under_way.len() < self.capacity;
        self.begun.wait(rate, now).filter(|_| is_ready)
    }

    /// What a lookup is for.
    pub(crate) fn get(&self, operation: OperationId) -> Option<&RecordKey> {
        self.under_way.get(&operation)
    }

    /// What a list says about a record that is being looked for.
    pub(crate) fn listed(&self, key: &RecordKey) -> Option<Listed> {
        self.listed.get(key).copied()
    }

    /// A lookup is over.
    pub(crate) fn end(&mut self, operation: OperationId) -> Option<RecordKey> {
        let key = self.under_way.remove(&operation)?;
        self.listed.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    #[test]
    fn a_record_is_in_line_or_looked_for_once() {
        let key = |number| RecordKey::Presence(SecretKey::from_bytes(&[number; 32]).expect("a key").public_key());
        let (rate, now) = (Quota::per_second(100, 100), Mono::from_nanos(0));
        let mut lookups = Lookups::new(1, 1);
        for _ in 0..2 {
            assert!(lookups.ask(key(1), None) && lookups.waiting.len() == 1);
        }
        let (operation, sought) = lookups.begin(rate, now).expect("there is room");
        assert_eq!((&sought, lookups.get(operation)), (&key(1), Some(&key(1))));
        assert!(lookups.ask(key(1), None) && lookups.waiting.is_empty(), "it is under way");
        assert!(lookups.ask(key(2), None) && !lookups.ask(key(3), None), "the line has one place");
        assert!(lookups.ask(key(1), None) && lookups.ask(key(2), None), "what is known takes none");
        assert_eq!(lookups.begin(rate, now), None);
        assert_eq!(lookups.end(operation), Some(key(1)));
        assert_eq!(lookups.begin(rate, now).map(|(_, key)| key), Some(key(2)));
    }

    #[test]
    fn what_is_in_line_waits_for_the_rate_and_for_room() {
        let key = |number| RecordKey::Presence(SecretKey::from_bytes(&[number; 32]).expect("a key").public_key());
        let rate = Quota { burst: 1, every: Duration::from_millis(10) };
        let (now, later) = (Mono::from_nanos(0), Mono::from_nanos(10_000_000));
        let mut lookups = Lookups::new(2, 9);
        assert_eq!((lookups.begin(rate, now), lookups.wait(rate, now)), (None, None), "nothing is wanted");
        (1..4).for_each(|number| assert!(lookups.ask(key(number), None)));
        let (operation, _) = lookups.begin(rate, now).expect("the first begins at once");
        assert_eq!((lookups.begin(rate, now), lookups.wait(rate, now)), (None, Some(rate.every)));
        assert!(lookups.begin(rate, later).is_some());
        assert_eq!((lookups.begin(rate, later), lookups.wait(rate, later)), (None, None), "both places are taken");
        lookups.end(operation);
        assert_eq!(lookups.wait(rate, later), Some(rate.every));
    }
}
