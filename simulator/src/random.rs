//! Random numbers that depend on a seed and a label alone: SplitMix64 (Steele, Lea and Flood 2014), a mixed counter.
//!
//! Invariant: a stream is eight bytes and shares nothing with another label or number. Each user of randomness has its
//! own stream, so that one more draw in one place changes nothing elsewhere.

/// A stream of random numbers in eight bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The stream of `seed` with this label and number.
    #[must_use]
    pub fn stream(seed: u64, label: &str, number: u64) -> Self {
        let labelled = label.bytes().fold(seed, |state, byte| mix(state.wrapping_mul(31) ^ u64::from(byte)));
        Self(mix(labelled ^ number.wrapping_mul(Self::STEP)))
    }

    /// The stream that differs from this one by a key; the same key again leads back. With key 0 it is the same.
    #[inline]
    pub(crate) const fn switch(&mut self, key: u64) {
        self.0 ^= key;
    }

    /// The next 64 bits.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        mix(self.0)
    }

    /// A number below `bound`, even enough for bounds far below 2⁶⁴; 0 for a bound of 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    ///
    /// # Panics
    /// When the range is empty.
    #[inline]
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range has nothing to draw");
        low + self.below((high - low).saturating_add(1))
    }

    /// True this many times in a million.
    #[inline]
    pub fn chance(&mut self, millionths: u32) -> bool {
        self.below(1_000_000) < u64::from(millionths)
    }

    /// 32 bytes.
    pub fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.draw().to_le_bytes()));
        bytes
    }

    /// Puts items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// Mixes 64 bits so that each depends on all; a bijection.
#[inline]
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Folds bytes into a hash. No defence against a forger: it tells names and streams apart. It does not see the lowest
/// bit of every second word, and stays as it is, because what a seed stands for depends on it.
#[inline]
pub(crate) fn fold(hash: u64, bytes: &[u8]) -> u64 {
    fold_with(hash, bytes, |hash, low, high| product(hash ^ low, (high ^ Random::STEP) | 1))
}

/// Folds bytes into a hash of a trace, which sees every bit.
#[inline]
pub(crate) fn fold_all(hash: u64, bytes: &[u8]) -> u64 {
    fold_with(hash, bytes, fold_pair)
}

/// Folds two words into a hash of a trace.
#[inline]
pub(crate) fn fold_pair(hash: u64, low: u64, high: u64) -> u64 {
    product(hash ^ low, high ^ Random::STEP)
}

/// Folds bytes into a hash, sixteen at a time.
#[inline]
fn fold_with(mut hash: u64, bytes: &[u8], pair: impl Fn(u64, u64, u64) -> u64) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<16>();
    for words in pairs {
        let low = u64::from_le_bytes(*words.first_chunk().expect("a pair has two words"));
        let high = u64::from_le_bytes(*words.last_chunk().expect("a pair has two words"));
        hash = pair(hash, low, high);
    }
    for byte in rest {
        hash = pair(hash, u64::from(*byte), 0);
    }
    hash ^ bytes.len() as u64
}

/// The halves of a wide product, as wyhash has them.
#[inline]
fn product(left: u64, right: u64) -> u64 {
    let wide = u128::from(left) * u128::from(right);
    (wide as u64) ^ ((wide >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn streams_differ_by_seed_label_and_number() {
        let first = |seed, label, number| Random::stream(seed, label, number).draw();
        let drawn = [
            first(1, "a", 0),
            first(2, "a", 0),
            first(1, "b", 0),
            first(1, "a", 1),
            first(1, "ab", 0),
            first(1, "", 0),
        ];
        assert_eq!(BTreeSet::from(drawn).len(), drawn.len());
        assert_eq!(first(1, "a", 0), drawn[0]);
    }

    #[test]
    fn every_bit_of_a_payload_counts() {
        let bytes: Vec<u8> = (0..45).collect();
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut other = bytes.clone();
            other[at] ^= 1 << bit;
            assert_ne!(fold_all(7, &bytes), fold_all(7, &other), "bit {bit} of byte {at}");
            let is_seen = (at, bit) != (8, 0) && (at, bit) != (24, 0);
            assert_eq!(fold(7, &bytes) != fold(7, &other), is_seen, "bit {bit} of byte {at}");
        }
        assert_ne!(fold(7, &[0]), fold(7, &[0, 0]));
        assert_ne!(fold_all(7, &[0]), fold_all(7, &[0, 0]));
    }
}
