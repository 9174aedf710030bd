//! What peers hand over of announcements themselves: how many of all kinds together, and of how many keys.
//!
//! An author's own quotas bound what one key says; keys cost nothing, so the peer that brings them is bounded too.
//! Gossip that a peer only passes on is not counted here. Driven by the gate.

use alloc::vec::Vec;

use super::Gate;
use super::quota::Buckets;
use crate::api::{Limits, Refusal};
use crate::base::{HashKey, HashedMap, Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::PeerId;

/// Bounded in number; at the cap whoever has brought the least makes room.
#[derive(Debug)]
pub(super) struct Announcers {
    rates: Buckets<PeerId>,
    /// The keys that each peer has brought, and until when what they announced is valid.
    keys: HashedMap<PeerId, Vec<(PublicKey, Wall)>>,
    capacity: usize,
}

impl Announcers {
    pub(super) const fn new(limits: &Limits, hash_key: HashKey) -> Self {
        let capacity = limits.neighbours;
        Self { rates: Buckets::new(capacity, hash_key), keys: HashedMap::new(hash_key), capacity }
    }

    /// Takes account of a key, unless the peer has brought as many others.
    fn bring(&mut self, peer: &PeerId, author: PublicKey, until: Wall, most: usize, now: Wall) -> bool {
        if self.keys.len() >= self.capacity && !self.keys.contains(peer) {
            self.keys.retain(|_, keys| keys.iter().any(|(_, until)| *until > now));
            if self.keys.len() >= self.capacity
                && let Some(least) = self.keys.lowest(|_, keys| Some(keys.len())).copied()
            {
                self.keys.remove(&least);
            }
        }
        let keys = self.keys.or_insert_with(*peer, Vec::new);
        if let Some((_, known)) = keys.iter_mut().find(|(key, _)| *key == author) {
            *known = until.max(*known);
            return true;
        }
        keys.retain(|(_, until)| *until > now);
        if keys.len() < most {
            keys.push((author, until));
            return true;
        }
        false
    }
}

impl<V: Verifier> Gate<V> {
    /// Takes account of an announcement that a peer has handed over itself, and that is valid until then. The excess is
    /// the peer's fault.
    pub(super) fn charge_announcement(
        &mut self,
        peer: &PeerId,
        (author, until): (PublicKey, Wall),
        keys: usize,
        now: Now,
    ) -> Result<(), Refusal> {
        let quota = self.config.limits.records_per_peer;
        let announcers = &mut self.exchange().announcers;
        let is_within =
            announcers.rates.take(*peer, quota, 1, now.mono) && announcers.bring(peer, author, until, keys, now.wall);
        if is_within { Ok(()) } else { Err(Refusal::PeerQuota) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    #[test]
    fn whose_keys_are_all_void_makes_room_before_whoever_has_the_fewest() {
        let limits = Limits { neighbours: 2, ..Limits::default() };
        let mut announcers = Announcers::new(&limits, HashKey::from_bytes([1; 32]));
        let peer = |number| PeerId::from_bytes(&[number]).expect("short");
        let mut bring = |number, author, until, now| {
            let author = SecretKey::from_bytes(&[author; 32]).expect("a key").public_key();
            announcers.bring(&peer(number), author, Wall::from_millis(until), 2, Wall::from_millis(now))
        };
        assert_eq!([1, 2, 3].map(|author| bring(1, author, 10, 0)), [true, true, false], "it may have two");
        assert!(bring(1, 2, 10, 0), "what it has it may bring again");
        assert!(bring(2, 4, 20, 0) && bring(3, 5, 20, 10));
        assert!(bring(3, 6, 20, 10), "whoever is there needs no room");
        assert_eq!([1, 2, 3].map(|number| announcers.keys.contains(&peer(number))), [false, true, true]);
    }
}
