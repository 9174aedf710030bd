//! How much of what neighbours gossip is passed on.
//!
//! A node takes so much from each neighbour, and charges it for more. Whoever passed on all that it takes from several
//! would break the quota of the next and be charged for what it has not done. So it passes on half of what it takes
//! from one, and has the other half for its own words: then whoever sends too much has done so itself. The half is
//! shared as processor sharing does it (the fluid limit of fair queueing, with a shared buffer whose limit for each is
//! what is free: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998):
//! nobody keeps anybody else out, and what one does not use the others may.
//!
//! Invariant: whatever comes, never more than the budget is passed on. Driven by the gate.

use alloc::collections::BTreeSet;
use core::time::Duration;

use super::quota::Bucket;
use crate::api::{Limits, Quota};
use crate::base::{Map, Mono};
use crate::wire::PeerId;

/// What may be passed on, and what each neighbour has used of it.
#[derive(Debug)]
pub(super) struct Forwarding {
    messages: Quota,
    bytes: Quota,
    /// All that has been passed on and is not paid off, as a time: at a budget of one second for a second.
    total: Bucket,
    /// When each neighbour will have paid off what was passed on for it, by a clock that goes as fast as each of those
    /// who have something to pay off is served.
    due: Map<PeerId, u64>,
    by_due: BTreeSet<(u64, PeerId)>,
    clock: u64,
    /// What the division of time among so many has left over.
    rest: u64,
    read_at: Mono,
}

impl Forwarding {
    /// Half of what is taken from one neighbour.
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            messages: limits.messages_per_peer,
            bytes: limits.bytes_per_peer,
            total: Bucket::FULL,
            due: Map::new(),
            by_due: BTreeSet::new(),
            clock: 0,
            rest: 0,
            read_at: Mono::ZERO,
        }
    }

    /// Whether a message of this size from this neighbour is passed on. If so, it is charged.
    pub(super) fn take(&mut self, from: &PeerId, size: usize, now: Mono) -> bool {
        self.advance(now);
        // A message weighs what it takes of the scarcer of the two.
        let cost = nanos(self.messages.every, 2).max(nanos(self.bytes.every, 2 * size as u64));
        let burst = nanos(self.messages.every, self.messages.burst).min(nanos(self.bytes.every, self.bytes.burst));
        let due = self.due.get(from).copied().unwrap_or(self.clock);
        let free = burst.saturating_sub(nanos(self.total.debt(now), 1));
        if (due - self.clock).saturating_add(cost) > free {
            return false;
        }
        self.total.draw(Duration::from_nanos(cost), now);
        self.by_due.remove(&(due, *from));
        let due = due.saturating_add(cost);
        self.by_due.insert((due, *from));
        self.due.insert(*from, due);
        true
    }

    /// Serves all who have something to pay off alike, for the time that has passed.
    fn advance(&mut self, now: Mono) {
        let mut time = nanos(now.since(self.read_at), 1).saturating_add(self.rest);
        self.read_at = self.read_at.max(now);
        while let Some((due, peer)) = self.by_due.first().copied() {
            let among = self.by_due.len() as u64;
            let needed = (due - self.clock).saturating_mul(among);
            if needed > time {
                self.clock += time / among;
                self.rest = time % among;
                return;
            }
            time -= needed;
            self.clock = due;
            self.by_due.pop_first();
            self.due.remove(&peer);
        }
        self.rest = 0;
    }
}

fn nanos(time: Duration, times: u64) -> u64 {
    u64::try_from(time.as_nanos().saturating_mul(u128::from(times))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use quickcheck::quickcheck;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes(&[number]).expect("a name")
    }

    fn at(millis: u64) -> Mono {
        Mono::from_nanos(millis * 1_000_000)
    }

    /// How many of these messages, each of a neighbour and a time in milliseconds, are passed on for each neighbour.
    fn passed(messages: impl IntoIterator<Item = (u64, u8)>) -> [u64; 256] {
        let (mut forwarding, mut passed) = (Forwarding::new(&Limits::default()), [0; 256]);
        for (millis, number) in messages {
            passed[usize::from(number)] += u64::from(forwarding.take(&peer(number), 100, at(millis)));
        }
        passed
    }

    #[test]
    fn one_alone_has_half_of_its_quota_and_of_the_free_room() {
        // Four messages a millisecond for ten seconds, where two are within the quota and one is passed on.
        let passed = passed((0..40_000).map(|number| (number / 4, 1)));
        assert_eq!(passed[1], 10_000 + 1_000 - 1);
    }

    #[test]
    fn those_who_shout_get_the_same_and_those_who_speak_get_all() {
        let crowd = (0..10_000).flat_map(|millis| (0..4).map(move |number| (millis, number % 3)));
        let quiet = (0..10_000).filter(|millis| millis % 10 == 0).map(|millis| (millis, 9));
        let mut all: Vec<_> = crowd.chain(quiet).collect();
        all.sort_by_key(|(millis, _)| *millis);
        let passed = passed(all);
        assert_eq!(passed[9], 1_000, "a tenth of the budget is less than a fair share");
        let (least, most) = (passed[..3].iter().min().copied(), passed[..3].iter().max().copied());
        assert!(
            least.zip(most).is_some_and(|(least, most)| least >= 3_000 && most - least <= 700),
            "{:?}",
            &passed[..3]
        );
    }

    #[test]
    fn a_quota_may_be_used_up() {
        let mut forwarding = Forwarding::new(&Limits {
            messages_per_peer: Quota { burst: 2, every: Duration::from_millis(10) },
            ..Limits::default()
        });
        assert_eq!(
            [0, 1].map(|_| forwarding.take(&peer(1), 1, at(0))),
            [true, false],
            "half of it, to the last nanosecond"
        );
    }

    #[test]
    fn large_messages_weigh_more() {
        let mut forwarding = Forwarding::new(&Limits::default());
        // Four megabytes at once, of which one alone takes half.
        let passed = (0..1_000).filter(|_| forwarding.take(&peer(1), 10_000, at(0))).count();
        assert_eq!(passed, 400 / 2);
    }

    quickcheck! {
        fn never_more_than_the_budget(messages: Vec<(u8, u8, u16)>) -> bool {
            let limits = Limits::default();
            let (mut forwarding, mut millis, mut count, mut bytes) = (Forwarding::new(&limits), 0, 0, 0);
            messages.iter().cycle().take(messages.len() * 4).all(|(number, wait, size)| {
                millis += u64::from(*wait) / 64;
                if forwarding.take(&peer(*number), usize::from(*size), at(millis)) {
                    (count, bytes) = (count + 1, bytes + u64::from(*size));
                }
                let most = limits.bytes_per_peer.burst / 2 + 2_000 * millis;
                count <= limits.messages_per_peer.burst / 2 + millis && bytes <= most
            })
        }

        fn nobody_is_kept_out_by_a_few(messages: Vec<u8>) -> bool {
            let mut forwarding = Forwarding::new(&Limits::default());
            messages.iter().cycle().take(messages.len().min(1) * 4_000).for_each(|number| {
                forwarding.take(&peer(number % 16), 100, at(0));
            });
            forwarding.take(&peer(99), 100, at(0))
        }
    }
}
