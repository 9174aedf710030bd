//! Messages that are taken once: their digests, for as long as they could be shown again; and requests that have been
//! seen, by their sessions. Driven by the gate.

use alloc::collections::{BinaryHeap, VecDeque};
use core::cmp::Reverse;

use crate::api::Refusal;
use crate::base::{HashKey, HashedMap, HashedSet, Mono, Now, Wall};
use crate::crypto::sha256;
use crate::wire::SessionId;

/// Digests with the time after which their messages are no longer fresh by either clock, bounded in number.
#[derive(Debug)]
pub(super) struct ReplayCache {
    digests: HashedSet<[u8; 32]>,
    by_time: BinaryHeap<Reverse<(Mono, Wall, [u8; 32])>>,
    capacity: usize,
}

impl ReplayCache {
    pub(super) const fn new(capacity: usize, hash_key: HashKey) -> Self {
        Self { digests: HashedSet::new(hash_key), by_time: BinaryHeap::new(), capacity }
    }

    /// Takes a message that is fresh until then, the first time. Refused too when there is no room to remember it: what
    /// was taken once is never forgotten early, nor because the wall clock alone says so.
    pub(super) fn take(&mut self, bytes: &[u8], until: Now, now: Now) -> Result<(), Refusal> {
        let digest = sha256(&[bytes]);
        if self.digests.contains(&digest) {
            return Err(Refusal::Duplicate);
        }
        while self.by_time.peek().is_some_and(|Reverse((mono, wall, _))| *mono < now.mono && *wall < now.wall) {
            if let Some(Reverse((.., digest))) = self.by_time.pop() {
                self.digests.remove(&digest);
            }
        }
        if self.digests.len() >= self.capacity {
            return Err(Refusal::Full);
        }
        self.digests.insert(digest);
        self.by_time.push(Reverse((until.mono, until.wall, digest)));
        Ok(())
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
    use super::*;

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

    #[test]
    fn each_message_is_taken_once_and_forgotten_when_it_is_stale() {
        let both = |mono, wall| Now { mono: Mono::from_nanos(mono), wall: Wall::from_millis(wall) };
        let at = |time| both(time, time);
        let mut seen = ReplayCache::new(2, HashKey::from_bytes([1; 32]));
        assert_eq!(seen.take(b"a", at(10), at(0)), Ok(()));
        assert_eq!(seen.take(b"a", at(10), at(10)), Err(Refusal::Duplicate));
        assert_eq!(seen.take(b"b", at(20), at(0)), Ok(()));
        assert_eq!(seen.take(b"c", at(20), at(10)), Err(Refusal::Full), "a is fresh until 10");
        assert_eq!(seen.take(b"c", at(20), both(9, 90)), Err(Refusal::Full), "the clock may be wrong");
        assert_eq!(seen.take(b"c", at(20), at(11)), Ok(()));
    }
}
