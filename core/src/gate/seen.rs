//! Messages that are taken once: their digests, for as long as they could be shown again. Driven by the gate.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::api::Refusal;
use crate::base::{HashKey, HashedSet, Wall};
use crate::crypto::sha256;

/// Digests with the time after which their messages are no longer fresh, bounded in number.
#[derive(Debug)]
pub(super) struct ReplayCache {
    digests: HashedSet<[u8; 32]>,
    by_time: BinaryHeap<Reverse<(Wall, [u8; 32])>>,
    capacity: usize,
}

impl ReplayCache {
    pub(super) const fn new(capacity: usize, hash_key: HashKey) -> Self {
        Self { digests: HashedSet::new(hash_key), by_time: BinaryHeap::new(), capacity }
    }

    /// Takes a message that is fresh until then, the first time. Refused too when there is no room to remember it: what
    /// was taken once is never forgotten early.
    pub(super) fn take(&mut self, bytes: &[u8], until: Wall, now: Wall) -> Result<(), Refusal> {
        let digest = sha256(&[bytes]);
        if self.digests.contains(&digest) {
            return Err(Refusal::Duplicate);
        }
        while self.by_time.peek().is_some_and(|Reverse((time, _))| *time < now) {
            if let Some(Reverse((_, digest))) = self.by_time.pop() {
                self.digests.remove(&digest);
            }
        }
        if self.digests.len() >= self.capacity {
            return Err(Refusal::Full);
        }
        self.digests.insert(digest);
        self.by_time.push(Reverse((until, digest)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_taken_once_and_forgotten_when_it_is_stale() {
        let at = Wall::from_millis;
        let mut seen = ReplayCache::new(2, HashKey::from_bytes([1; 32]));
        assert_eq!(seen.take(b"a", at(10), at(0)), Ok(()));
        assert_eq!(seen.take(b"a", at(10), at(10)), Err(Refusal::Duplicate));
        assert_eq!(seen.take(b"b", at(20), at(0)), Ok(()));
        assert_eq!(seen.take(b"c", at(20), at(10)), Err(Refusal::Full), "a is fresh until 10");
        assert_eq!(seen.take(b"c", at(20), at(11)), Ok(()));
    }
}
