//! Messages that are taken once: their digests, for as long as they could be shown again; and requests that have been
//! seen, by their sessions. Driven by the gate.

use alloc::collections::{BinaryHeap, VecDeque};
use core::cmp::Reverse;
use core::hash::BuildHasher;

use crate::api::Refusal;
use crate::base::{HashKey, HashedMap, HashedSet, Mono, Now, Wall};
use crate::crypto::{PublicKey, sha256};
use crate::wire::{PeerId, SessionId};

/// Whose share of the room a message takes: its author's, if this node has signed with it, and otherwise that of the
/// neighbour that has brought it, because keys cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account {
    Author(PublicKey),
    Neighbour(PeerId),
}

/// The time after which a message is no longer fresh, by both clocks; its digest; the hash of its account.
type Taken = (Mono, Wall, [u8; 32], u64);

/// Digests with the time after which their messages are no longer fresh by either clock, bounded in number.
///
/// Half of the room is shared out, the same to each account. Whoever needs more may use as much of the rest as is free:
/// then whoever takes all that it can leaves as much (Choudhury and Hahne, as in `forwarding`), and everybody's share.
pub(super) struct ReplayCache {
    digests: HashedSet<[u8; 32]>,
    by_time: BinaryHeap<Reverse<Taken>>,
    /// How many digests each account has here, by its hash.
    counts: HashedMap<u64, usize>,
    /// How many there are beyond shares.
    beyond: usize,
    capacity: usize,
    share: usize,
    hash_key: HashKey,
}

impl ReplayCache {
    /// Room for so many messages, in shares for so many neighbours.
    pub(super) fn new(capacity: usize, neighbours: usize, hash_key: HashKey) -> Self {
        Self {
            digests: HashedSet::new(hash_key),
            by_time: BinaryHeap::new(),
            counts: HashedMap::new(hash_key),
            beyond: 0,
            capacity,
            share: (capacity / 2 / neighbours.max(1)).max(1),
            hash_key,
        }
    }

    /// Whether a message was taken and is still remembered.
    pub(super) fn contains(&self, bytes: &[u8]) -> bool {
        self.digests.len() > 0 && self.digests.contains(&sha256(&[bytes]))
    }

    /// Takes a message that is fresh until then, the first time. Refused too when its account has no room to remember
    /// it: what was taken once is never forgotten early, nor because the wall clock alone says so.
    pub(super) fn take(&mut self, bytes: &[u8], account: Account, until: Now, now: Now) -> Result<(), Refusal> {
        let (digest, account) = (sha256(&[bytes]), self.hash_key.hash_one(account));
        if self.digests.contains(&digest) {
            return Err(Refusal::Duplicate);
        }
        while self.by_time.peek().is_some_and(|Reverse((mono, wall, ..))| *mono < now.mono && *wall < now.wall) {
            if let Some(Reverse((.., digest, account))) = self.by_time.pop() {
                self.digests.remove(&digest);
                self.release(account);
            }
        }
        let count = self.counts.get(&account).copied().unwrap_or(0);
        let free = (self.capacity - self.capacity / 2).saturating_sub(self.beyond);
        if self.digests.len() >= self.capacity || count.checked_sub(self.share).is_some_and(|beyond| beyond >= free) {
            return Err(Refusal::Full);
        }
        self.beyond += usize::from(count >= self.share);
        self.counts.insert(account, count + 1);
        self.digests.insert(digest);
        self.by_time.push(Reverse((until.mono, until.wall, digest, account)));
        Ok(())
    }

    fn release(&mut self, account: u64) {
        let Some(count) = self.counts.get_mut(&account) else { return };
        self.beyond -= usize::from(*count > self.share);
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&account);
        }
    }
}

/// The sessions of the newest requests, bounded in number. Whoever shows an older one again costs a signature check,
/// and what it takes of its own share when it is passed on once more.
#[derive(Debug)]
pub(super) struct RecentRequests {
    /// Whether gossip has brought each, so that it was passed on.
    by_id: HashedMap<SessionId, bool>,
    order: VecDeque<SessionId>,
    capacity: usize,
}

impl RecentRequests {
    pub(super) const fn new(capacity: usize, hash_key: HashKey) -> Self {
        Self { by_id: HashedMap::new(hash_key), order: VecDeque::new(), capacity }
    }

    /// Whether the request has been seen; by gossip, if it is gossip now.
    pub(super) fn contains(&self, id: &SessionId, is_gossip: bool) -> bool {
        self.by_id.get(id).is_some_and(|was_gossip| *was_gossip || !is_gossip)
    }

    pub(super) fn insert(&mut self, id: SessionId, is_gossip: bool) {
        if let Some(was_gossip) = self.by_id.get_mut(&id) {
            *was_gossip |= is_gossip;
            return;
        }
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(id);
        self.by_id.or_insert_with(id, || is_gossip);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::api::Limits;

    #[test]
    fn the_newest_requests_are_known_and_gossip_counts_apart() {
        let id = |number| SessionId::from_bytes([number; 32]);
        let mut requests = RecentRequests::new(2, HashKey::from_bytes([1; 32]));
        requests.insert(id(1), false);
        assert!(requests.contains(&id(1), false) && !requests.contains(&id(1), true));
        requests.insert(id(1), true);
        requests.insert(id(2), true);
        assert!(requests.contains(&id(1), true) && requests.contains(&id(2), false));
        requests.insert(id(3), false);
        assert!(
            !requests.contains(&id(1), false) && requests.contains(&id(2), true) && requests.contains(&id(3), false)
        );
        assert_eq!((requests.by_id.len(), requests.order.len()), (2, 2));
    }

    fn neighbour(number: u16) -> Account {
        Account::Neighbour(PeerId::from_bytes(&number.to_be_bytes()).expect("a name"))
    }

    #[test]
    fn each_message_is_taken_once_and_forgotten_when_it_is_stale() {
        let both = |mono, wall| Now { mono: Mono::from_nanos(mono), wall: Wall::from_millis(wall) };
        let at = |time| both(time, time);
        let mut seen = ReplayCache::new(4, 2, HashKey::from_bytes([1; 32]));
        assert_eq!(seen.take(b"a", neighbour(1), at(10), at(0)), Ok(()));
        assert_eq!(seen.take(b"a", neighbour(2), at(10), at(10)), Err(Refusal::Duplicate));
        assert_eq!(seen.take(b"b", neighbour(1), at(20), at(0)), Ok(()));
        assert_eq!(seen.take(b"c", neighbour(1), at(20), at(10)), Err(Refusal::Full), "as much is free, and a fresh");
        assert_eq!(seen.take(b"c", neighbour(1), at(20), both(9, 90)), Err(Refusal::Full), "the clock may be wrong");
        assert_eq!(seen.take(b"c", neighbour(1), at(20), both(90, 10)), Err(Refusal::Full), "and late");
        assert_eq!(seen.take(b"c", neighbour(1), at(20), at(11)), Ok(()));
        assert!(seen.contains(b"b") && !seen.contains(b"a"));
    }

    #[test]
    fn however_many_take_all_they_can_everybody_has_a_share() {
        let limits = Limits::default();
        let mut seen = ReplayCache::new(limits.protocol_messages, limits.peers, HashKey::from_bytes([1; 32]));
        let at = |time| Now { mono: Mono::from_nanos(time), wall: Wall::from_millis(time) };
        let (now, mut taken) = (at(0), Vec::new());
        for peer in 1..=limits.peers as u16 {
            let messages = (0_u32..).map(|number| [&peer.to_be_bytes()[..], &number.to_be_bytes()].concat());
            let count = messages.take_while(|bytes| seen.take(bytes, neighbour(peer), now, now).is_ok()).count();
            taken.push(count);
        }
        assert_eq!((taken[0], taken[1], taken.last()), (8 + 4_096, 8 + 2_048, Some(&8)));
        assert!(seen.digests.len() <= limits.protocol_messages && seen.beyond <= limits.protocol_messages / 2);
        let later = at(1);
        assert_eq!(seen.take(b"later", neighbour(1), later, later), Ok(()));
        assert_eq!((seen.digests.len(), seen.counts.len(), seen.beyond), (1, 1, 0), "nothing is left of it");
    }
}
