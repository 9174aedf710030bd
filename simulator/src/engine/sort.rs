//! Sorts the keys of a window, whose times are spread rather evenly over it.
//!
//! Invariant: the result is that of any sort; how the times are spread decides on the speed alone. Driven by workers.

/// A sorter of keys, which is kept so that its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    pushed: Vec<u64>,
    counts: Vec<u32>,
    pub(super) keys: Vec<u64>,
}

impl Sorter {
    #[inline]
    pub(super) fn push(&mut self, key: u64) {
        self.pushed.push(key);
    }

    /// Takes what was pushed, keys below 2 to the power of `bits`, and sorts the keys: into about as many buckets as
    /// there are, and then by insertion. Says whether some keys may be alike in their upper halves.
    pub(super) fn sort(&mut self, bits: u32) -> bool {
        let Self { pushed, counts, keys } = self;
        let size = usize::BITS - pushed.len().leading_zeros();
        let shift = bits.saturating_sub(size);
        counts.clear();
        counts.resize(1 << size, 0);
        for key in &*pushed {
            counts[(key >> shift) as usize] += 1;
        }
        let mut sum = 0;
        for count in &mut *counts {
            sum += std::mem::replace(count, sum);
        }
        keys.resize(pushed.len(), 0);
        for key in pushed.drain(..) {
            let place = &mut counts[(key >> shift) as usize];
            keys[*place as usize] = key;
            *place += 1;
        }
        insert(keys)
    }
}

/// Sorts keys that are nearly sorted, and says whether some may be alike in their upper halves.
fn insert(keys: &mut [u64]) -> bool {
    let alike = |one: u64, other: u64| (one ^ other) >> 32 == 0;
    let (mut ties, mut patience) = (false, 8 * keys.len());
    for next in 1..keys.len() {
        let key = keys[next];
        let last = keys[next - 1];
        if last <= key {
            ties |= alike(last, key);
            continue;
        }
        let mut at = next;
        while at > 0 && keys[at - 1] > key {
            keys[at] = keys[at - 1];
            at -= 1;
        }
        keys[at] = key;
        ties |= alike(keys[at + 1], key) || at > 0 && alike(keys[at - 1], key);
        if next - at > patience {
            keys.sort_unstable();
            return true;
        }
        patience -= next - at;
    }
    ties
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Checks that keys with these times are sorted, and returns whether some may be alike in their upper halves.
    fn sorted(sorter: &mut Sorter, times: &[u64]) -> bool {
        let keys: Vec<u64> = (0..).zip(times).map(|(place, time): (u64, _)| time << 32 | place).collect();
        keys.iter().for_each(|key| sorter.push(*key));
        let may_tie = sorter.sort(32 + 24);
        let mut expected = keys;
        expected.sort_unstable();
        assert_eq!(sorter.keys, expected);
        let ties = expected.windows(2).any(|pair| pair[0] >> 32 == pair[1] >> 32);
        assert!(may_tie || !ties, "a tie is not missed");
        may_tie
    }

    #[test]
    fn keys_are_sorted_however_their_times_are_spread() {
        let (mut sorter, mut random) = (Sorter::default(), Random::stream(1, "sort", 0));
        assert!(!sorted(&mut sorter, &[]) && !sorted(&mut sorter, &[5]));
        assert!(sorted(&mut sorter, &[5, 9, 5]) && sorted(&mut sorter, &[5, 5]));
        for count in [2, 30, 1000] {
            for (span, base) in [(1 << 24, 0), (1000, 0), (1000, (1 << 24) - 1000), (3, 77), (1, 0)] {
                let times: Vec<u64> = (0..count).map(|_| base + random.below(span)).collect();
                sorted(&mut sorter, &times);
            }
            // All in one bucket and in the worst order.
            sorted(&mut sorter, &(0..count).rev().collect::<Vec<u64>>());
        }
        assert!(
            !sorted(&mut sorter, &(0..1000).map(|time| time * 16_000).collect::<Vec<u64>>()),
            "no tie, none feared"
        );
    }
}
