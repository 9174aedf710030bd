//! How much of something is allowed over time: token buckets, one integer each (the generic cell rate algorithm of
//! ITU-T I.371), and bounded tables of them.

use core::hash::Hash;
use core::time::Duration;

use crate::api::Quota;
use crate::base::{HashKey, HashedMap, Mono};

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
        let time = |tokens: u64| quota.every.as_nanos().saturating_mul(u128::from(tokens));
        let now = u128::from(now.as_nanos());
        let full_at = u128::from(self.full_at.as_nanos()).max(now).saturating_add(time(tokens));
        // What would be full again after the end of time only is not let in: it could not be counted.
        let Ok(at) = u64::try_from(full_at) else { return false };
        let fits = full_at - now <= time(quota.burst);
        if fits {
            self.full_at = Mono::from_nanos(at);
        }
        fits
    }

    /// How long until one token can be taken; `None` when one can be now.
    pub(crate) fn wait(&self, quota: Quota, now: Mono) -> Option<Duration> {
        let room = quota.every.as_nanos().saturating_mul(u128::from(quota.burst));
        let full_in = self.full_at.since(now).as_nanos().saturating_add(quota.every.as_nanos());
        let wait = u64::try_from(full_in.saturating_sub(room)).unwrap_or(u64::MAX);
        (wait > 0).then_some(Duration::from_nanos(wait))
    }

    /// How long it takes to be full again.
    pub(crate) fn debt(&self, now: Mono) -> Duration {
        self.full_at.since(now)
    }

    /// Takes as much as is given back in this time, however much there is.
    pub(super) fn draw(&mut self, time: Duration, now: Mono) {
        self.full_at = self.full_at.max(now).after(time);
    }
}

/// A bucket for each key. A full bucket says nothing and is not kept; at the cap the one that is nearest to full makes
/// room, so that many keys that take little keep nobody out.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    by_key: HashedMap<K, Bucket>,
    capacity: usize,
}

impl<K: Hash + Ord + Copy> Buckets<K> {
    pub(super) const fn new(capacity: usize, hash_key: HashKey) -> Self {
        Self { by_key: HashedMap::new(hash_key), capacity }
    }

    /// Takes tokens from the key's bucket.
    pub(super) fn take(&mut self, key: K, quota: Quota, tokens: u64, now: Mono) -> bool {
        if !self.by_key.contains(&key) && self.by_key.len() >= self.capacity {
            self.by_key.retain(|_, bucket| bucket.full_at > now);
            if self.by_key.len() >= self.capacity
                && let Some(fullest) = self.by_key.lowest(|_, bucket| Some(bucket.full_at)).copied()
            {
                self.by_key.remove(&fullest);
            }
        }
        self.by_key.or_insert_with(key, Bucket::default).take(quota, tokens, now)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

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
    fn the_table_forgets_full_buckets_and_at_its_cap_the_fullest() {
        let mut buckets = Buckets::new(2, HashKey::from_bytes([1; 32]));
        assert!(buckets.take('a', QUOTA, 3, at(0)) && buckets.take('b', QUOTA, 1, at(0)));
        assert!(buckets.take('c', QUOTA, 2, at(0)), "b makes room");
        assert!(!buckets.take('a', QUOTA, 1, at(0)) && !buckets.take('c', QUOTA, 2, at(0)), "both are still known");
        assert!(buckets.take('b', QUOTA, 1, at(2)) && !buckets.take('a', QUOTA, 3, at(2)), "c is full again, a is not");
        assert_eq!(buckets.by_key.len(), 2);
        assert!(buckets.take('d', QUOTA, 1, at(3)), "a and b are just full again");
        assert_eq!(buckets.by_key.len(), 1);
    }

    #[test]
    fn so_many_per_second_are_that_many_and_at_once_some_seconds_worth() {
        let every = Duration::from_millis(25);
        assert_eq!(Quota::per_second(40, 10), Quota { burst: 400, every });
        assert_eq!(Quota::per_second(1, 1), Quota { burst: 1, every: Duration::from_secs(1) });
        for nothing in [Quota::per_second(0, 1), Quota::per_second(1, 0), Quota::per_second(0, 0)] {
            assert!(!Bucket::default().take(nothing, 1, at(1)), "{nothing:?}");
        }
        let fastest = Quota::per_second(u32::MAX, 1);
        assert_eq!(fastest, Quota { burst: u64::from(u32::MAX), every: Duration::from_nanos(1) });
        let mut bucket = Bucket::default();
        assert!(bucket.take(fastest, fastest.burst, at(1)) && !bucket.take(fastest, 1, at(1)));
    }

    #[test]
    fn an_interval_or_a_burst_without_end_does_not_let_all_in() {
        for every in [Duration::MAX, Duration::from_secs(u64::from(u32::MAX) * 5)] {
            assert!(!Bucket::default().take(Quota { burst: 1, every }, 1, at(1)), "no clock counts {every:?}");
        }
        let large = Quota { burst: 1 << 40, every: Duration::from_nanos(1) };
        let mut bucket = Bucket::default();
        assert!(!bucket.take(large, large.burst + 1, at(1)) && !bucket.take(large, u64::MAX, at(1)));
        assert!(bucket.take(large, large.burst, at(1)) && !bucket.take(large, 1, at(1)), "above 32 bits too");
        assert!(!Bucket::default().take(QUOTA, 1, Mono::MAX), "there is no time left to count in");
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
