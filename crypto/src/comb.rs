//! Multiples of the generator by secret scalars, in constant time.
//!
//! Owns a table of the generator's multiples and the one loop over it. Invariant: what is read, in which order, and
//! which operations run, depends on nothing but the number of scalars; the field's operations are the library's
//! constant-time ones. Nonces and keys drive it.
//!
//! The library's own product adds 64 points in projective coordinates, and so would any loop over its public points.
//! With windows of five bits it is 52 additions of affine points from 52 KiB, by the complete formulas of Renes,
//! Costello and Batina, so that no digit is an exception. All results share one inversion. Without `std`, which has the
//! lock that the table is made under, the library's product is taken.

use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::hazmat::FieldArithmetic;
#[cfg(not(feature = "std"))]
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::subtle::Choice;
use k256::{FieldBytes, Secp256k1};
#[cfg(not(feature = "std"))]
use k256::{ProjectivePoint, Scalar};

type FieldElement = <Secp256k1 as FieldArithmetic>::FieldElement;

/// A multiple of the generator: the coordinates, big endian, of a point that is not infinity.
pub(super) struct Multiple {
    pub(super) x: [u8; 32],
    y: [u8; 32],
}

impl Multiple {
    /// The compressed encoding.
    pub(super) fn encode(&self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes[0] = 2 | self.y[31] & 1;
        bytes[1..].copy_from_slice(&self.x);
        bytes
    }

    pub(super) fn has_even_y(&self) -> Choice {
        Choice::from(!self.y[31] & 1)
    }

    /// Whether y is a square modulo p (Lotus scheme, section 1). y of a point is never zero.
    pub(super) fn has_square_y(&self) -> Choice {
        let y = FieldElement::from_repr(FieldBytes::from(self.y)).expect("coordinates are below p");
        y.sqrt().is_some()
    }
}

/// `k·G`, for each k. None of the scalars is zero.
#[cfg(not(feature = "std"))]
pub(super) fn multiples<const N: usize>(scalars: [&Scalar; N]) -> [Multiple; N] {
    scalars.map(|scalar| {
        assert!(!bool::from(scalar.is_zero()), "zero has no public key and no public nonce");
        let point = ProjectivePoint::mul_by_generator(scalar).to_affine();
        Multiple { x: point.x().into(), y: point.y().into() }
    })
}

#[cfg(feature = "std")]
pub(super) use with_table::multiples;

#[cfg(feature = "std")]
mod with_table {
    extern crate std;

    use alloc::vec::Vec;
    use core::hint::black_box;
    use std::sync::LazyLock;

    use k256::elliptic_curve::BatchNormalize;
    use k256::elliptic_curve::ff::PrimeField;
    use k256::elliptic_curve::group::Group;
    use k256::elliptic_curve::ops::BatchInvert;
    use k256::elliptic_curve::point::AffineCoordinates;
    use k256::elliptic_curve::subtle::{Choice, ConditionallySelectable};
    use k256::{FieldBytes, ProjectivePoint, Scalar};
    use zeroize::Zeroizing;

    use super::super::curve;
    use super::{FieldElement, Multiple};

    const BITS: usize = 5;
    /// Enough for 257 bits.
    const WINDOWS: usize = 257_usize.div_ceil(BITS);
    const ENTRIES: usize = 1 << (BITS - 1);

    /// The words of x and y below p, the highest first.
    type Entry = [u64; 8];

    /// Entry j of window i is `(2j + 1)·2^(5i)·G`.
    static TABLE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let mut points = Vec::with_capacity(WINDOWS * ENTRIES);
        let mut base = ProjectivePoint::GENERATOR;
        for _ in 0..WINDOWS {
            let twice = base.double();
            let mut entry = base;
            for _ in 0..ENTRIES {
                points.push(entry);
                entry += twice;
            }
            base = (0..BITS).fold(base, |point, _| Group::double(&point));
        }
        let affine = ProjectivePoint::batch_normalize(points.as_slice());
        affine.iter().map(|point| words(&[point.x(), point.y()])).collect()
    });

    fn words(coordinates: &[FieldBytes; 2]) -> Entry {
        let mut words = [0; 8];
        let chunks = coordinates.iter().flat_map(|bytes| bytes.chunks_exact(8));
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_be_bytes(chunk.try_into().expect("chunks of eight"));
        }
        words
    }

    fn element(words: &[u64]) -> FieldElement {
        let mut bytes = FieldBytes::default();
        bytes.chunks_exact_mut(8).zip(words).for_each(|(chunk, word)| chunk.copy_from_slice(&word.to_be_bytes()));
        FieldElement::from_repr(bytes).expect("the table's coordinates are below p")
    }

    /// A point in homogeneous coordinates. All magnitudes are 1.
    struct Sum {
        x: FieldElement,
        y: FieldElement,
        z: FieldElement,
    }

    impl Sum {
        /// Adds a point that is not infinity: algorithm 8 of Renes, Costello and Batina, "Complete addition formulas
        /// for prime order elliptic curves" (2016), for a = 0 and 3b = 21.
        fn add(&self, x: &FieldElement, y: &FieldElement) -> Self {
            let xx = self.x.mul(x);
            let yy = self.y.mul(y);
            let xy = (self.x + self.y).mul(&(*x + *y)) + (xx + yy).negate(2); // 4
            let yz = y.mul(&self.z) + self.y; // 2
            let xz = (x.mul(&self.z) + self.x).mul_single(21).normalize_weak();
            let zz = self.z.mul_single(21).normalize_weak();
            let plus = yy + zz; // 2
            let minus = yy + zz.negate(1); // 3
            let xx = xx.mul_single(3); // 3
            Self {
                x: (xy.mul(&minus) + yz.mul(&xz).negate(1)).normalize_weak(),
                y: (plus.mul(&minus) + xz.mul(&xx)).normalize_weak(),
                z: (yz.mul(&plus) + xx.mul(&xy)).normalize_weak(),
            }
        }
    }

    /// `(2j + 1)·2^(5i)·G` by a pass over all entries of the window.
    fn select(window: &[Entry], index: u64, negative: Choice) -> (FieldElement, FieldElement) {
        // All ones where the two are equal. Opaque to the compiler once they are made, because it turns masks of which
        // it knows the two values into a jump over what is not chosen.
        let masks: [u64; ENTRIES] =
            core::array::from_fn(|at| ((at as u64 ^ index).wrapping_sub(1) >> 63).wrapping_neg());
        let mut chosen = [0; 8];
        for (entry, mask) in window.iter().zip(black_box(masks)) {
            chosen.iter_mut().zip(entry).for_each(|(chosen, word)| *chosen |= word & mask);
        }
        let (x, y) = (element(&chosen[..4]), element(&chosen[4..]));
        (x, FieldElement::conditional_select(&y, &y.negate(1).normalize_weak(), negative))
    }

    /// `k·G`.
    ///
    /// Of k and −k one is odd. An odd k is `Σ dᵢ·2^(5i)` with odd digits `dᵢ = 2bᵢ + 1 − 2⁵`, where the bᵢ are the
    /// windows of `(k + 2^(5·windows) − 1)/2`: all bits of k but the lowest, and one more at the top.
    fn multiple(k: &Scalar) -> Sum {
        let negated = Zeroizing::new(k.negate());
        let is_even = !k.is_odd();
        let odd = Zeroizing::new(Scalar::conditional_select(k, &negated, is_even));
        let bytes = Zeroizing::new(curve::encode_scalar(&odd));
        let mut bits = Zeroizing::new([0u64; 5]);
        for (word, chunk) in bits.iter_mut().zip(bytes.rchunks_exact(8)) {
            *word = u64::from_be_bytes(chunk.try_into().expect("chunks of eight"));
        }
        for word in 0..4 {
            bits[word] = bits[word] >> 1 | bits[word + 1] << 63;
        }
        let top = WINDOWS * BITS - 1;
        bits[top / 64] |= 1 << (top % 64);
        let mut sum = None;
        for (window, entries) in TABLE.chunks_exact(ENTRIES).enumerate() {
            let (word, shift) = (window * BITS / 64, window * BITS % 64);
            // Two shifts, because one by 64 would overflow.
            let above = bits.get(word + 1).map_or(0, |next| next << 1 << (63 - shift));
            let b = (bits[word] >> shift | above) & ((1 << BITS) - 1);
            let negative = (b >> (BITS - 1)) ^ 1;
            let index = (b ^ negative.wrapping_neg()) & (ENTRIES as u64 - 1);
            let (x, y) = select(entries, index, Choice::from(negative as u8) ^ is_even);
            sum = Some(match sum {
                None => Sum { x, y, z: FieldElement::ONE },
                Some(sum) => Sum::add(&sum, &x, &y),
            });
        }
        sum.expect("there are windows")
    }

    /// `k·G`, for each k. None of the scalars is zero.
    pub(crate) fn multiples<const N: usize>(scalars: [&Scalar; N]) -> [Multiple; N] {
        let sums = scalars.map(multiple);
        let mut inverses = sums.each_ref().map(|sum| sum.z);
        FieldElement::batch_invert_in_place(&mut inverses, &mut [FieldElement::ONE; N]);
        core::array::from_fn(|index| {
            let Sum { x, y, z } = &sums[index];
            assert!(!bool::from(z.normalize().is_zero()), "zero has no public key and no public nonce");
            let [x, y] = [x, y].map(|coordinate| coordinate.mul(&inverses[index]).normalize().to_bytes().into());
            Multiple { x, y }
        })
    }
}

#[cfg(test)]
mod tests {
    use k256::elliptic_curve::Field;
    use k256::elliptic_curve::ops::Reduce;
    use k256::{FieldBytes, ProjectivePoint, Scalar};
    use quickcheck::QuickCheck;

    use super::super::{curve, group::AffinePoint};
    use super::multiples;

    fn check(k: &Scalar) {
        let expected = |k: &Scalar| curve::encode_point(&ProjectivePoint::mul_by_generator(k).to_affine());
        assert_eq!(multiples([k]).map(|multiple| multiple.encode()), [expected(k)]);
        let twice = k.double();
        let both = multiples([&twice, k]);
        assert_eq!(both.each_ref().map(|multiple| multiple.encode()), [expected(&twice), expected(k)]);
        for (multiple, k) in both.iter().zip([&twice, k]) {
            let point = AffinePoint::decode(&expected(k)).expect("a point");
            assert_eq!(bool::from(multiple.has_square_y()), point.has_square_y());
            assert_eq!(bool::from(multiple.has_even_y()), point.has_even_y());
        }
    }

    #[test]
    fn agrees_with_the_library() {
        fn property(low: u128, high: u128) -> bool {
            let mut bytes = [0; 32];
            bytes[..16].copy_from_slice(&high.to_be_bytes());
            bytes[16..].copy_from_slice(&low.to_be_bytes());
            bytes[0] ^= 0x5a;
            check(&<Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(bytes)));
            true
        }
        let cases = if cfg!(debug_assertions) { 50 } else { 100_000 };
        QuickCheck::new().tests(cases).quickcheck(property as fn(u128, u128) -> bool);
        let mut power = Scalar::ONE;
        for _ in 0..256 {
            for k in [power, power - Scalar::ONE, power + Scalar::ONE] {
                for k in [k, -k] {
                    if !bool::from(k.is_zero()) {
                        check(&k);
                    }
                }
            }
            power = power.double();
        }
    }
}
