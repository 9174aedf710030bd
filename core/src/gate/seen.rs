//! Messages that are taken once: their digests, for as long as they could be shown again. Driven by the gate.

use alloc::collections::BTreeSet;

use crate::api::Refusal;
use crate::base::Wall;
use crate::crypto::sha256;

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

#[cfg(test)]
mod tests {
    use super::*;

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
