//! The field in four 64-bit limbs.
//!
//! Owns multiplication and reduction. Invariant: any 256-bit value is a valid element, values from p to 2²⁵⁶ − 1 included;
//! only [`Field::to_words`] and the comparison with zero see the difference. Magnitudes are ignored because every operation
//! reduces to 256 bits. The group law drives it through the trait.
//!
//! Since 2²⁵⁶ = 2³² + 977 (mod p), what overflows 256 bits comes back multiplied by that constant. A second overflow is so
//! rare that it is a branch, never taken in practice and taken by the tests.

use super::{Field, MODULUS};

/// 2²⁵⁶ mod p.
const FOLD: u64 = (1 << 32) + 977;

/// An element modulo p.
#[derive(Clone, Copy, Debug)]
pub(in crate::crypto::group) struct Limbs([u64; 4]);

/// `sum + a·b + carry`, low word and high word; it cannot overflow.
#[inline(always)]
const fn multiply_add(sum: u64, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let wide = sum as u128 + a as u128 * b as u128 + carry as u128;
    (wide as u64, (wide >> 64) as u64)
}

#[inline(always)]
const fn add_carry(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let wide = a as u128 + b as u128 + carry as u128;
    (wide as u64, (wide >> 64) as u64)
}

/// The value plus 2²⁵⁶, for a value so small that nothing overflows any more.
#[cold]
#[inline(never)]
const fn fold_again([r0, r1, r2, r3]: [u64; 4]) -> Limbs {
    let (r0, c) = add_carry(r0, FOLD, 0);
    let (r1, c) = add_carry(r1, 0, c);
    let (r2, c) = add_carry(r2, 0, c);
    Limbs([r0, r1, r2, r3 + c])
}

/// The value minus 2²⁵⁶ modulo p, for a value so close to 2²⁵⁶ that nothing borrows any more.
#[cold]
#[inline(never)]
const fn borrow_again([r0, r1, r2, r3]: [u64; 4]) -> Limbs {
    let (r0, b) = r0.overflowing_sub(FOLD);
    let (r1, b) = r1.overflowing_sub(b as u64);
    let (r2, b) = r2.overflowing_sub(b as u64);
    Limbs([r0, r1, r2, r3 - b as u64])
}

/// `value + high·2²⁵⁶`.
#[inline(always)]
const fn fold_word([r0, r1, r2, r3]: [u64; 4], high: u64) -> Limbs {
    let (r0, c) = multiply_add(r0, high, FOLD, 0);
    let (r1, c) = r1.overflowing_add(c);
    let (r2, c) = r2.overflowing_add(c as u64);
    let (r3, c) = r3.overflowing_add(c as u64);
    if c { fold_again([r0, r1, r2, r3]) } else { Limbs([r0, r1, r2, r3]) }
}

#[inline(always)]
const fn reduce(w: [u64; 8]) -> Limbs {
    let (r0, c) = multiply_add(w[0], w[4], FOLD, 0);
    let (r1, c) = multiply_add(w[1], w[5], FOLD, c);
    let (r2, c) = multiply_add(w[2], w[6], FOLD, c);
    let (r3, c) = multiply_add(w[3], w[7], FOLD, c);
    fold_word([r0, r1, r2, r3], c)
}

impl Field for Limbs {
    const ZERO: Self = Self([0; 4]);
    const ONE: Self = Self([1, 0, 0, 0]);

    fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }

    fn to_words(&self) -> [u64; 4] {
        let mut words = self.0;
        if words[1..] == MODULUS[1..] && words[0] >= MODULUS[0] {
            words = [words[0] - MODULUS[0], 0, 0, 0];
        }
        words
    }

    #[inline(always)]
    fn add(&self, other: &Self) -> Self {
        let (a, b) = (&self.0, &other.0);
        let (r0, c) = add_carry(a[0], b[0], 0);
        let (r1, c) = add_carry(a[1], b[1], c);
        let (r2, c) = add_carry(a[2], b[2], c);
        let (r3, c) = add_carry(a[3], b[3], c);
        // Whether this overflows is a coin toss, so it is arithmetic and not a branch.
        let (r0, c) = r0.overflowing_add(FOLD & c.wrapping_neg());
        let (r1, c) = r1.overflowing_add(c as u64);
        let (r2, c) = r2.overflowing_add(c as u64);
        let (r3, c) = r3.overflowing_add(c as u64);
        if c { fold_again([r0, r1, r2, r3]) } else { Self([r0, r1, r2, r3]) }
    }

    #[inline(always)]
    fn neg(&self, magnitude: u32) -> Self {
        Self::ZERO.sub(self, magnitude)
    }

    #[inline(always)]
    fn sub(&self, other: &Self, _magnitude: u32) -> Self {
        let (a, b) = (&self.0, &other.0);
        let (r0, c) = a[0].overflowing_sub(b[0]);
        let (r1, c) = borrow(a[1], b[1], c);
        let (r2, c) = borrow(a[2], b[2], c);
        let (r3, c) = borrow(a[3], b[3], c);
        let (r0, c) = r0.overflowing_sub(FOLD & (c as u64).wrapping_neg());
        let (r1, c) = r1.overflowing_sub(c as u64);
        let (r2, c) = r2.overflowing_sub(c as u64);
        let (r3, c) = r3.overflowing_sub(c as u64);
        if c { borrow_again([r0, r1, r2, r3]) } else { Self([r0, r1, r2, r3]) }
    }

    #[inline(always)]
    fn scale(&self, factor: u32) -> Self {
        let (a, factor) = (&self.0, factor as u64);
        let (r0, c) = multiply_add(0, a[0], factor, 0);
        let (r1, c) = multiply_add(0, a[1], factor, c);
        let (r2, c) = multiply_add(0, a[2], factor, c);
        let (r3, c) = multiply_add(0, a[3], factor, c);
        fold_word([r0, r1, r2, r3], c)
    }

    #[inline(always)]
    fn mul(&self, other: &Self) -> Self {
        let (a, b) = (&self.0, &other.0);
        let (w0, c) = multiply_add(0, a[0], b[0], 0);
        let (w1, c) = multiply_add(0, a[0], b[1], c);
        let (w2, c) = multiply_add(0, a[0], b[2], c);
        let (w3, w4) = multiply_add(0, a[0], b[3], c);
        let (w1, c) = multiply_add(w1, a[1], b[0], 0);
        let (w2, c) = multiply_add(w2, a[1], b[1], c);
        let (w3, c) = multiply_add(w3, a[1], b[2], c);
        let (w4, w5) = multiply_add(w4, a[1], b[3], c);
        let (w2, c) = multiply_add(w2, a[2], b[0], 0);
        let (w3, c) = multiply_add(w3, a[2], b[1], c);
        let (w4, c) = multiply_add(w4, a[2], b[2], c);
        let (w5, w6) = multiply_add(w5, a[2], b[3], c);
        let (w3, c) = multiply_add(w3, a[3], b[0], 0);
        let (w4, c) = multiply_add(w4, a[3], b[1], c);
        let (w5, c) = multiply_add(w5, a[3], b[2], c);
        let (w6, w7) = multiply_add(w6, a[3], b[3], c);
        reduce([w0, w1, w2, w3, w4, w5, w6, w7])
    }

    /// The six products off the diagonal are computed once and doubled.
    #[inline(always)]
    fn square(&self) -> Self {
        let a = &self.0;
        let (w1, c) = multiply_add(0, a[0], a[1], 0);
        let (w2, c) = multiply_add(0, a[0], a[2], c);
        let (w3, w4) = multiply_add(0, a[0], a[3], c);
        let (w3, c) = multiply_add(w3, a[1], a[2], 0);
        let (w4, w5) = multiply_add(w4, a[1], a[3], c);
        let (w5, w6) = multiply_add(w5, a[2], a[3], 0);
        let (w7, w6, w5) = (w6 >> 63, w6 << 1 | w5 >> 63, w5 << 1 | w4 >> 63);
        let (w4, w3, w2, w1) = (w4 << 1 | w3 >> 63, w3 << 1 | w2 >> 63, w2 << 1 | w1 >> 63, w1 << 1);
        let (w0, c) = multiply_add(0, a[0], a[0], 0);
        let (w1, c) = add_carry(w1, c, 0);
        let (low, high) = multiply_add(0, a[1], a[1], 0);
        let (w2, c) = add_carry(w2, low, c);
        let (w3, c) = add_carry(w3, high, c);
        let (low, high) = multiply_add(0, a[2], a[2], 0);
        let (w4, c) = add_carry(w4, low, c);
        let (w5, c) = add_carry(w5, high, c);
        let (low, high) = multiply_add(0, a[3], a[3], 0);
        let (w6, c) = add_carry(w6, low, c);
        let (w7, _) = add_carry(w7, high, c);
        reduce([w0, w1, w2, w3, w4, w5, w6, w7])
    }

    #[inline(always)]
    fn weak(&self) -> Self {
        *self
    }

    #[inline(always)]
    fn is_zero(&self) -> bool {
        let a = &self.0;
        // The words above the lowest are all zero or all ones in both encodings of zero, and hardly ever otherwise.
        if a[1] == 0 { a[0] | a[2] | a[3] == 0 } else { *a == MODULUS }
    }
}

#[inline(always)]
const fn borrow(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(borrow as u64);
    (difference, first | second)
}
