//! Numbers modulo p = 2²⁵⁶ − 2³² − 977, in variable time.
//!
//! Owns the one interface the group law is written against and the choice of what stands behind it: four 64-bit limbs
//! of our own where the machine has them, the library's lazily reduced field elsewhere. Invariant: the formulas above
//! keep within the magnitudes that the lazy field allows, whichever is chosen; each method says what it does to them.
//! The group law drives it.

mod divsteps;
#[cfg(any(test, not(target_pointer_width = "64")))]
mod lazy;
#[cfg(any(test, target_pointer_width = "64"))]
mod limbs;
#[cfg(test)]
mod tests;

/// What the group law computes with: own limbs on 64-bit machines, where they take half the time of the library's
/// field.
#[cfg(target_pointer_width = "64")]
pub(super) type FieldElement = limbs::Limbs;
/// What the group law computes with: the library's field, whose limbs fit the machine.
#[cfg(not(target_pointer_width = "64"))]
pub(super) type FieldElement = lazy::Lazy;

/// A field whose elements may be larger than they need to be.
///
/// A value of magnitude m is below about 2m·p. Products take magnitudes up to 8 and have magnitude 1; a sum has the sum
/// of the magnitudes. A field that always reduces ignores all of it.
pub(super) trait Field: Copy {
    const ZERO: Self;
    const ONE: Self;

    /// From four 64-bit words, the lowest first, below p.
    fn from_words(words: [u64; 4]) -> Self;

    /// The value below p, the lowest word first. Any magnitude.
    fn to_words(&self) -> [u64; 4];

    /// Magnitudes add up.
    fn add(&self, other: &Self) -> Self;

    /// −self, for a self of at most this magnitude; the result has one more.
    fn neg(&self, magnitude: u32) -> Self;

    /// self − other, for an other of at most this magnitude.
    fn sub(&self, other: &Self, magnitude: u32) -> Self {
        self.add(&other.neg(magnitude))
    }

    /// A small multiple; the magnitude is multiplied.
    fn scale(&self, factor: u32) -> Self;

    /// Magnitudes up to 8 give magnitude 1.
    fn mul(&self, other: &Self) -> Self;

    /// A magnitude up to 8 gives magnitude 1.
    fn square(&self) -> Self;

    /// The same value with magnitude 1.
    fn weak(&self) -> Self;

    /// Any magnitude.
    fn is_zero(&self) -> bool;

    /// Any magnitude.
    fn is_odd(&self) -> bool {
        self.to_words()[0] & 1 == 1
    }

    /// From 32 big-endian bytes, if the integer is below p.
    fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let words = words_from_bytes(bytes);
        // p differs from 2²⁵⁶ − 1 in the lowest word only.
        let too_large = words[1..] == [u64::MAX; 3] && words[0] >= MODULUS[0];
        (!too_large).then(|| Self::from_words(words))
    }

    fn to_bytes(&self) -> [u8; 32] {
        bytes_from_words(&self.to_words())
    }

    /// The inverse of a value that is not zero.
    fn invert(&self) -> Self {
        Self::from_words(divsteps::invert(&self.to_words()))
    }

    /// Whether the value is a square other than zero.
    fn is_square(&self) -> bool {
        match divsteps::jacobi(&self.to_words()) {
            Some(symbol) => symbol == 1,
            None => !self.is_zero() && self.sqrt().is_some(),
        }
    }

    /// The root that is itself a square, if there is a root.
    fn sqrt(&self) -> Option<Self> {
        let [root] = Self::roots(&[*self]);
        root
    }

    /// For each value the root that is itself a square, if there is a root: `value^((p+1)/4)`, since p is 3 modulo 4.
    /// Magnitude 1 in, 1 out.
    ///
    /// A root is one long chain in which each product waits for the one before it, so several at once take turns in the
    /// processor. The exponent is three runs of ones, of 223, 22 and 2 bits; the chain is that of libsecp256k1's
    /// field_impl.h.
    fn roots<const N: usize>(values: &[Self; N]) -> [Option<Self>; N] {
        let times = |mut a: [Self; N], b: &[Self; N]| -> [Self; N] {
            for lane in 0..N {
                a[lane] = a[lane].mul(&b[lane]);
            }
            a
        };
        let square = |mut a: [Self; N], n: usize| -> [Self; N] {
            for _ in 0..n {
                for value in &mut a {
                    *value = value.square();
                }
            }
            a
        };
        let x2 = times(square(*values, 1), values);
        let x3 = times(square(x2, 1), values);
        let x6 = times(square(x3, 3), &x3);
        let x9 = times(square(x6, 3), &x3);
        let x11 = times(square(x9, 2), &x2);
        let x22 = times(square(x11, 11), &x11);
        let x44 = times(square(x22, 22), &x22);
        let x88 = times(square(x44, 44), &x44);
        let x176 = times(square(x88, 88), &x88);
        let x220 = times(square(x176, 44), &x44);
        let x223 = times(square(x220, 3), &x3);
        let roots = square(times(square(times(square(x223, 23), &x22), 6), &x2), 2);
        core::array::from_fn(|lane| roots[lane].square().sub(&values[lane], 1).is_zero().then_some(roots[lane]))
    }
}

/// p, the lowest word first.
pub(super) const MODULUS: [u64; 4] = [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX];

pub(super) fn words_from_bytes(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().rev().zip(bytes.chunks_exact(8)) {
        *word = u64::from_be_bytes(chunk.try_into().expect("chunks of eight"));
    }
    words
}

pub(super) fn bytes_from_words(words: &[u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words.iter().rev()) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}
