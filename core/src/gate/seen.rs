//! Messages that are taken once: their digests, for as long as they could be shown again; and requests that have been
//! seen, by their sessions. Driven by the gate.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::api::Refusal;
use crate::base::Wall;
use crate::crypto::sha256;
use crate::wire::SessionId;

/// Digests with the time after which their messages are no longer fresh, bounded in number.
#[derive(Debug)]
pub(super) struct ReplayCache {
    digests: BTreeSet<[u8; 32]>,
    by_time: BTreeSet<(Wall, [u8; 32])>,
    capacity: usize,
}

impl ReplayCache {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { digests: BTreeSet::new(), by_time: BTreeSet::new(), capacity }
    }

    /// Takes a message that is fresh until then, the first time. Refused too when there is no room to remember it: what
    /// was taken once is never forgotten early.
    pub(super) fn take(&mut self, bytes: &[u8], until: Wall, now: Wall) -> Result<(), Refusal> {
        let digest = sha256(&[bytes]);
        if self.digests.contains(&digest) {
            return Err(Refusal::Duplicate);
        }
        while let Some((time, digest)) = self.by_time.first().copied().filter(|(time, _)| *time < now) {
            self.by_time.remove(&(time, digest));
            self.digests.remove(&digest);
        }
        if self.digests.len() >= self.capacity {
            return Err(Refusal::Full);
        }
        self.digests.insert(digest);
        self.by_time.insert((until, digest));
        Ok(())
    }
}

/// The sessions of the newest requests, bounded in number. Whoever shows an older one again costs a signature check,
/// and what it takes of its own share when it is passed on once more.
#[derive(Debug)]
pub(super) struct RecentRequests {
    /// Whether gossip has brought each, so that it was passed on.
    by_id: BTreeMap<SessionId, bool>,
    order: VecDeque<SessionId>,
    capacity: usize,
}

impl RecentRequests {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { by_id: BTreeMap::new(), order: VecDeque::new(), capacity }
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
        self.by_id.insert(id, is_gossip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_requests_are_known_and_gossip_counts_apart() {
        let id = |number| SessionId::from_bytes([number; 32]);
        let mut requests = RecentRequests::new(2);
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
        let at = Wall::from_millis;
        let mut seen = ReplayCache::new(2);
        assert_eq!(seen.take(b"a", at(10), at(0)), Ok(()));
        assert_eq!(seen.take(b"a", at(10), at(10)), Err(Refusal::Duplicate));
        assert_eq!(seen.take(b"b", at(20), at(0)), Ok(()));
        assert_eq!(seen.take(b"c", at(20), at(10)), Err(Refusal::Full), "a is fresh until 10");
        assert_eq!(seen.take(b"c", at(20), at(11)), Ok(()));
    }
}
