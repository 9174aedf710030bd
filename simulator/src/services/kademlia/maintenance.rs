//! The maintenance of a peer: it refreshes its routing table, and offers records again that no peer has stored.
//!
//! Owns the pauses of both, which are those of our nodes. Invariant: one refresh is under way at a time, pauses grow,
//! and a new peer in a small table brings the next refresh forward. Driven by [`Kademlia`](super::Kademlia).

use std::collections::BTreeMap;

use super::SECOND;
use crate::engine::Nanos;
use crate::random::Random;

/// The shortest pause between two refreshes, the longest, and how soon a new peer is followed up.
const SHORTEST: Nanos = SECOND / 10;
const LONGEST: Nanos = 300 * SECOND;
const SETTLE: Nanos = SECOND / 100;
/// With this many peers in the table, a new one brings no refresh forward.
const POPULATED: usize = 20;
/// The pauses between two offers of a record.
const FIRST_OFFER: Nanos = SECOND;
const LAST_OFFER: Nanos = 60 * SECOND;

#[derive(Debug)]
pub(super) struct Maintenance {
    /// The bootstrap peers.
    contacts: Vec<u32>,
    random: Random,
    refresh_at: Nanos,
    pause: Nanos,
    /// Lookups of the refresh that are under way.
    looking: usize,
    /// How many peers the table had when it was last followed up, or has had since, whichever is less.
    seen: usize,
    /// Records that no peer has stored, with the next pause and when to offer them again.
    failed: BTreeMap<u64, (Nanos, Nanos)>,
}

impl Maintenance {
    pub(super) const fn new(now: Nanos, contacts: Vec<u32>, random: Random) -> Self {
        Self { contacts, random, refresh_at: now, pause: SHORTEST, looking: 0, seen: 0, failed: BTreeMap::new() }
    }

    pub(super) fn contacts(&self) -> &[u32] {
        &self.contacts
    }

    /// The table's size has changed.
    pub(super) fn on_table_change(&mut self, now: Nanos, peers: usize, before: usize) {
        self.seen = self.seen.min(before.min(peers));
        if peers > before && peers <= POPULATED && peers >= 2 * self.seen {
            self.seen = peers;
            self.pause = SHORTEST;
            self.refresh_at = self.refresh_at.min(now + SETTLE);
        }
    }

    /// The names to look up now, so that the table has neighbours and a peer in each of so many buckets.
    pub(super) fn refresh(&mut self, now: Nanos, own: u64, buckets: usize) -> Vec<u64> {
        if self.looking > 0 || self.refresh_at > now {
            return Vec::new();
        }
        self.refresh_at = now + self.pause;
        self.pause = (2 * self.pause).min(LONGEST);
        let beyond = (0..buckets.min(63)).map(|bucket| own ^ 1 << (63 - bucket) ^ self.random.draw() >> (bucket + 1));
        let targets: Vec<u64> = std::iter::once(own).chain(beyond).collect();
        self.looking = targets.len();
        targets
    }

    pub(super) fn on_refresh_lookup_done(&mut self) {
        self.looking -= 1;
    }

    /// A record has been offered to the nearest peers, and some of them have stored it or none.
    pub(super) fn on_put_done(&mut self, now: Nanos, key: u64, is_somewhere: bool) {
        if is_somewhere {
            self.failed.remove(&key);
        } else {
            let (pause, at) = self.failed.entry(key).or_insert((FIRST_OFFER, 0));
            *at = now + *pause;
            *pause = (2 * *pause).min(LAST_OFFER);
        }
    }

    /// Records to offer again now; the outcome is passed to [`on_put_done`](Self::on_put_done).
    pub(super) fn due(&mut self, now: Nanos) -> Vec<u64> {
        let due = self.failed.iter_mut().filter(|(_, (_, at))| *at <= now);
        due.map(|(key, (_, at))| {
            *at = Nanos::MAX;
            *key
        })
        .collect()
    }

    pub(super) fn forget(&mut self, key: u64) {
        self.failed.remove(&key);
    }

    pub(super) fn deadline(&self) -> Nanos {
        let refresh = if self.looking > 0 { Nanos::MAX } else { self.refresh_at };
        self.failed.values().map(|(_, at)| *at).chain([refresh]).min().unwrap_or(Nanos::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_grow_rare_until_the_table_grows() {
        let mut maintenance = Maintenance::new(0, vec![1], Random::stream(1, "test", 0));
        let (own, mut times) = (7 << 60, Vec::new());
        while times.len() < 20 {
            let now = maintenance.deadline();
            let targets = maintenance.refresh(now, own, 3);
            assert_eq!(targets.iter().map(|target| (target ^ own).leading_zeros()).collect::<Vec<_>>(), [64, 0, 1, 2]);
            assert!(
                maintenance.refresh(now, own, 3).is_empty() && maintenance.deadline() == Nanos::MAX,
                "one at a time"
            );
            targets.iter().for_each(|_| maintenance.on_refresh_lookup_done());
            times.push(now);
        }
        let pauses: Vec<Nanos> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.is_sorted() && pauses[0] == SHORTEST && pauses[18] == LONGEST, "{pauses:?}");
        maintenance.on_table_change(times[19], 1, 0);
        assert_eq!(maintenance.deadline(), times[19] + SETTLE);
    }

    #[test]
    fn what_nobody_has_is_offered_again_after_pauses_that_grow() {
        let mut maintenance = Maintenance::new(Nanos::MAX, Vec::new(), Random::stream(1, "test", 0));
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..8 {
            maintenance.on_put_done(now, 5, false);
            let at = maintenance.deadline();
            assert_eq!((maintenance.due(at - 1), maintenance.due(at), maintenance.due(at)), (vec![], vec![5], vec![]));
            pauses.push((at - now) / SECOND);
            now = at;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        maintenance.on_put_done(now, 5, true);
        assert_eq!(maintenance.deadline(), Nanos::MAX);
    }
}
