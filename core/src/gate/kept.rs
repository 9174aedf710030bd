//! Which records are kept for others, and which make room.
//!
//! Peer ids and keys cost nothing, addresses and nearness do. When all room is taken, whoever has the most records in
//! it loses the one that is farthest from this node, by Kademlia's distance: a part of the network (a subnet) counts as
//! one, and where all have as many, the farthest of all goes. A quarter of the room is for authors whom this node knows
//! at first hand. Invariant: bounded by [`Limits`]; nobody loses a record to somebody who has more. Driven by the gate.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::api::{Limits, Refusal, Subnet};
use crate::base::{Map, Wall};
use crate::crypto::{PublicKey, sha256};
use crate::wire::{Label, PeerId, RecordKey};

/// The part of the room that is for known authors is one in so many.
const KNOWN_SHARE: usize = 4;

/// Who answers for a record's room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bearer {
    Subnet(Subnet),
    /// A peer of which no subnet is known.
    Peer(PeerId),
}

/// What is kept under a key.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) bearer: Bearer,
    /// A list has none.
    pub(super) author: Option<PublicKey>,
    /// Of a resource.
    pub(super) kind: Option<Label>,
    pub(super) until: Wall,
    pub(super) is_known: bool,
}

impl Kept {
    pub(super) fn kind_of(record: &RecordKey) -> Option<Label> {
        if let RecordKey::Resource(id) = record { Some(id.kind.clone()) } else { None }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct KeptRecords {
    by_key: Map<Box<str>, Kept>,
    /// Where this node is among the keys.
    place: [u8; 32],
    capacity: usize,
    per_author: usize,
    per_kind: usize,
}

impl KeptRecords {
    pub(super) fn new(limits: &Limits, own_peer: &PeerId) -> Self {
        Self {
            by_key: Map::new(),
            place: sha256(&[own_peer.as_bytes()]),
            capacity: limits.records,
            per_author: limits.resources_per_author,
            per_kind: limits.resources_per_kind,
        }
    }

    /// Takes account of a record. Which other one is to be removed for it, if any.
    pub(super) fn note(&mut self, key: &str, record: Kept, now: Wall) -> Result<Option<Box<str>>, Refusal> {
        let key = Box::from(key);
        if let Some(known) = self.by_key.get(&key) {
            // Of two that bring it the one with less answers for it.
            let load = |bearer| self.by_key.values().filter(|kept| kept.bearer == bearer).count();
            let is_lighter = record.bearer != known.bearer && load(record.bearer) < load(known.bearer);
            let bearer = if is_lighter { record.bearer } else { known.bearer };
            let is_known = record.is_known || known.is_known;
            self.by_key.insert(key, Kept { bearer, is_known, ..record });
            return Ok(None);
        }
        let of_author = || {
            let is_one = |kept: &&Kept| kept.author.is_some() && kept.author == record.author && kept.until > now;
            self.by_key.values().filter(is_one)
        };
        if of_author().count() >= self.per_author
            || (record.kind.is_some() && of_author().filter(|kept| kept.kind == record.kind).count() >= self.per_kind)
        {
            return Err(Refusal::AuthorQuota);
        }
        if self.by_key.len() >= self.capacity {
            self.by_key.retain(|_, kept| kept.until > now);
        }
        let removed = if self.by_key.len() >= self.capacity { Some(self.least(&key, &record)?) } else { None };
        if let Some(removed) = &removed {
            self.by_key.remove(removed);
        }
        self.by_key.insert(key, record);
        Ok(removed)
    }

    /// Which record makes room for this one, unless that is this one itself.
    fn least(&self, key: &str, record: &Kept) -> Result<Box<str>, Refusal> {
        let mut loads = self.loads();
        *loads.entry(record.bearer).or_default() += 1;
        let all = || self.by_key.iter().map(|(key, kept)| (&**key, kept)).chain([(key, record)]);
        let known = all().filter(|(_, kept)| kept.is_known).count();
        let spares_known = known <= self.capacity / KNOWN_SHARE;
        let candidates = all().filter(|(_, kept)| !(spares_known && kept.is_known));
        let least = candidates.map(|(key, kept)| (loads[&kept.bearer], self.distance(key), key)).max();
        least.map(|(.., least)| least).filter(|least| *least != key).map(Box::from).ok_or(Refusal::Full)
    }

    fn loads(&self) -> BTreeMap<Bearer, usize> {
        let mut loads = BTreeMap::new();
        self.by_key.values().for_each(|kept| *loads.entry(kept.bearer).or_default() += 1);
        loads
    }

    /// How far a key is from this node, as Kademlia has it: both hashed, and bits that differ.
    fn distance(&self, key: &str) -> [u8; 32] {
        let mut distance = sha256(&[key.as_bytes()]);
        distance.iter_mut().zip(self.place).for_each(|(byte, place)| *byte ^= place);
        distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_bring_a_record_the_one_with_less_answers_for_it() {
        let mut records = KeptRecords::new(&Limits::default(), &PeerId::from_bytes(&[0]).expect("short"));
        let [few, many] = [1, 2].map(|number| Bearer::Peer(PeerId::from_bytes(&[number]).expect("short")));
        let mut note = |key: &str, bearer| {
            let record = Kept { bearer, author: None, kind: None, until: Wall::from_millis(9), is_known: false };
            assert_eq!(records.note(key, record, Wall::from_millis(0)), Ok(None));
            records.by_key.get(&Box::from(key)).map(|kept| kept.bearer)
        };
        for (key, bearer) in [("1", few), ("2", few), ("3", many), ("4", many), ("5", many)] {
            assert_eq!(note(key, bearer), Some(bearer));
        }
        assert_eq!(note("1", many), Some(few));
        assert_eq!(note("3", few), Some(few), "it had two, the other three");
        assert_eq!(note("4", few), Some(many), "it has three, the other two");
    }

    #[test]
    fn a_record_that_was_of_use_once_stays_so() {
        let mut records = KeptRecords::new(&Limits::default(), &PeerId::from_bytes(&[0]).expect("short"));
        let bearer = Bearer::Peer(PeerId::from_bytes(&[1]).expect("short"));
        let known = [true, false].map(|is_known| {
            let record = Kept { bearer, author: None, kind: None, until: Wall::from_millis(9), is_known };
            assert_eq!(records.note("1", record, Wall::from_millis(0)), Ok(None));
            records.by_key.values().all(|kept| kept.is_known)
        });
        assert_eq!(known, [true, true]);
    }
}
