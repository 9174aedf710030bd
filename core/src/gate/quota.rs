//! How much of something is allowed over time: token buckets, one integer each (the generic cell rate algorithm of
//! ITU-T I.371), and bounded tables of them.

use core::time::Duration;

use crate::api::Quota;
use crate::base::{Map, Mono};

/// How full one bucket is: at this time it would be full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    full_at: Mono,
}

impl Bucket {
    /// One from which nothing has been taken.
    pub(crate) const FULL: Self = Self { full_at: Mono::ZERO };

    /// Takes this many tokens, or none when there are not enough.
    pub(crate) fn take(&mut self, quota: Quota, tokens: u64, now: Mono) -> bool {
        let time = |tokens: u64| quota.every.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
        let full_at = self.full_at.max(now).after(time(tokens));
        let fits = full_at.since(now) <= time(quota.burst);
        if fits {
            self.full_at = full_at;
        }
        fits
    }

    /// How long until one token can be taken; `None` when one can be now.
    pub(crate) fn wait(&self, quota: Quota, now: Mono) -> Option<Duration> {
        let room = quota.every.saturating_mul(u32::try_from(quota.burst).unwrap_or(u32::MAX));
        let wait = self.full_at.max(now).after(quota.every).since(now).saturating_sub(room);
        (!wait.is_zero()).then_some(wait)
    }

    /// How long until it is full again.
    pub(crate) fn until_full(&self, now: Mono) -> Duration {
        self.full_at.since(now)
    }

    fn is_full(&self, now: Mono) -> bool {
        self.full_at <= now
    }
}

/// A bucket for each key. A full bucket says nothing and is not kept.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    by_key: Map<K, Bucket>,
    capacity: usize,
}

impl<K: Ord> Buckets<K> {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { by_key: Map::new(), capacity }
    }

    /// Takes tokens from the key's bucket. Refused as well when there is no room for another bucket.
    pub(super) fn take(&mut self, key: K, quota: Quota, tokens: u64, now: Mono) -> bool {
        self.has_room(&key, now) && self.by_key.or_insert_with(key, Bucket::default).take(quota, tokens, now)
    }

    /// Whether the key has a bucket, or there is room for one.
    pub(super) fn has_room(&mut self, key: &K, now: Mono) -> bool {
        if !self.by_key.contains_key(key) && self.by_key.len() >= self.capacity {
            self.by_key.retain(|_, bucket| !bucket.is_full(now));
            return self.by_key.len() < self.capacity;
        }
        true
    }
}

impl Quota {
    /// A quota of so many per second, with `seconds` seconds' worth at once.
    #[must_use]
    pub const fn per_second(rate: u32, seconds: u32) -> Self {
        Self { burst: rate as u64 * seconds as u64, every: Duration::from_nanos(1_000_000_000 / rate as u64) }
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    const QUOTA: Quota = Quota { burst: 3, every: Duration::from_secs(1) };

    fn at(seconds: u64) -> Mono {
        Mono::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_in_each_interval() {
        let mut bucket = Bucket::default();
        assert!((0..3).all(|_| bucket.take(QUOTA, 1, at(10))));
        assert!(!bucket.take(QUOTA, 1, at(10)));
        assert!(bucket.take(QUOTA, 1, at(11)));
        assert!(!bucket.take(QUOTA, 1, at(11)));
        assert!(bucket.take(QUOTA, 3, at(99)));
        assert!(!bucket.take(QUOTA, 4, at(999)), "more than the bucket holds is never allowed");
    }

    #[test]
    fn the_table_forgets_full_buckets_and_refuses_at_its_cap() {
        let mut buckets = Buckets::new(2);
        assert!(buckets.take('a', QUOTA, 3, at(0)) && buckets.take('b', QUOTA, 1, at(0)));
        assert!(!buckets.take('c', QUOTA, 1, at(0)), "no room");
        assert!(buckets.take('c', QUOTA, 1, at(2)), "b is full again");
        assert!(!buckets.take('a', QUOTA, 3, at(2)), "a is not");
    }

    #[test]
    fn so_many_per_second_are_that_many_and_at_once_some_seconds_worth() {
        let every = Duration::from_millis(25);
        assert_eq!(Quota::per_second(40, 10), Quota { burst: 400, every });
        assert_eq!(Quota::per_second(1, 1), Quota { burst: 1, every: Duration::from_secs(1) });
    }

    quickcheck! {
        fn never_more_than_burst_and_rate_allow(takes: alloc::vec::Vec<(u8, u8)>) -> bool {
            let (mut bucket, mut now, mut taken) = (Bucket::default(), 0, 0);
            takes.into_iter().all(|(wait, tokens)| {
                now += u64::from(wait % 8);
                if bucket.take(QUOTA, u64::from(tokens % 5), at(now)) {
                    taken += u64::from(tokens % 5);
                }
                taken <= QUOTA.burst + now
            })
        }
    }
}
