//! The field in four 64-bit limbs.
//!
//! Owns multiplication and reduction. Invariant: any 256-bit value is a valid element, values from p to 2²⁵⁶ − 1
//! included; only [`Field::to_words`] and the comparison with zero see the difference. Magnitudes are ignored because
//! every operation reduces to 256 bits. The group law drives it through the trait.
//!
//! Since 2²⁵⁶ = 2³² + 977 (mod p), what overflows 256 bits comes back multiplied by that constant. A second overflow is
//! so rare that it is a branch, never taken in practice and taken by the tests.

use super::{Field, MODULUS};

/// 2²⁵⁶ mod p.
const FOLD: u64 = (1 << 32) + 977;

/// An element modulo p.
#[derive(Clone, Copy, Debug)]
pub(in crate::group) struct Limbs([u64; 4]);

/// `words + a·b`. The low halves of the products and the high ones are added in a chain each, so that a carry waits for
/// no product.
#[inline(always)]
fn add_row(words: [u64; 4], a: u64, b: &[u64; 4]) -> [u64; 5] {
    let (l0, h0) = a.carrying_mul(b[0], 0);
    let (l1, h1) = a.carrying_mul(b[1], 0);
    let (l2, h2) = a.carrying_mul(b[2], 0);
    let (l3, h3) = a.carrying_mul(b[3], 0);
    let (r0, c) = words[0].carrying_add(l0, false);
    let (r1, c) = words[1].carrying_add(l1, c);
    let (r2, c) = words[2].carrying_add(l2, c);
    let (r3, c) = words[3].carrying_add(l3, c);
    let r4 = h3 + u64::from(c);
    let (r1, c) = r1.carrying_add(h0, false);
    let (r2, c) = r2.carrying_add(h1, c);
    let (r3, c) = r3.carrying_add(h2, c);
    [r0, r1, r2, r3, r4 + u64::from(c)]
}

/// The value plus 2²⁵⁶, for a value so small that nothing overflows any more.
#[cold]
#[inline(never)]
fn fold_again([r0, r1, r2, r3]: [u64; 4]) -> Limbs {
    let (r0, c) = r0.overflowing_add(FOLD);
    let (r1, c) = r1.overflowing_add(c.into());
    let (r2, c) = r2.overflowing_add(c.into());
    Limbs([r0, r1, r2, r3 + u64::from(c)])
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
fn fold_word([r0, r1, r2, r3]: [u64; 4], high: u64) -> Limbs {
    let (r0, c) = high.carrying_mul(FOLD, r0);
    let (r1, c) = r1.overflowing_add(c);
    let (r2, c) = r2.overflowing_add(c.into());
    let (r3, c) = r3.overflowing_add(c.into());
    if c { fold_again([r0, r1, r2, r3]) } else { Limbs([r0, r1, r2, r3]) }
}

/// `low + high·2²⁵⁶`.
#[inline(always)]
fn reduce(low: [u64; 4], high: [u64; 4]) -> Limbs {
    let [r0, r1, r2, r3, r4] = add_row(low, FOLD, &high);
    fold_word([r0, r1, r2, r3], r4)
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
        let (r0, c) = a[0].carrying_add(b[0], false);
        let (r1, c) = a[1].carrying_add(b[1], c);
        let (r2, c) = a[2].carrying_add(b[2], c);
        let (r3, c) = a[3].carrying_add(b[3], c);
        // Whether this overflows is a coin toss, so it is arithmetic and not a branch.
        let (r0, c) = r0.overflowing_add(FOLD & u64::from(c).wrapping_neg());
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
        let [r0, r1, r2, r3, r4] = add_row([0; 4], factor.into(), &self.0);
        fold_word([r0, r1, r2, r3], r4)
    }

    #[inline(always)]
    fn mul(&self, other: &Self) -> Self {
        let [r0, row @ ..] = add_row([0; 4], self.0[0], &other.0);
        let [r1, row @ ..] = add_row(row, self.0[1], &other.0);
        let [r2, row @ ..] = add_row(row, self.0[2], &other.0);
        let [r3, high @ ..] = add_row(row, self.0[3], &other.0);
        reduce([r0, r1, r2, r3], high)
    }

    /// The six products off the diagonal are computed once and doubled.
    #[inline(always)]
    fn square(&self) -> Self {
        let a = &self.0;
        let (w1, h1) = a[0].carrying_mul(a[1], 0);
        let (l2, h2) = a[0].carrying_mul(a[2], 0);
        let (l3, h3) = a[0].carrying_mul(a[3], 0);
        let (m3, g3) = a[1].carrying_mul(a[2], 0);
        let (m4, g4) = a[1].carrying_mul(a[3], 0);
        let (m5, g5) = a[2].carrying_mul(a[3], 0);
        let (w2, c) = l2.carrying_add(h1, false);
        let (w3, c) = l3.carrying_add(h2, c);
        let (w4, c) = m4.carrying_add(h3, c);
        let (w5, c) = m5.carrying_add(g4, c);
        let w6 = g5 + u64::from(c);
        let (w3, c) = w3.carrying_add(m3, false);
        let (w4, c) = w4.carrying_add(g3, c);
        let (w5, c) = w5.carrying_add(0, c);
        let w6 = w6 + u64::from(c);
        let (w7, w6, w5) = (w6 >> 63, w6 << 1 | w5 >> 63, w5 << 1 | w4 >> 63);
        let (w4, w3, w2, w1) = (w4 << 1 | w3 >> 63, w3 << 1 | w2 >> 63, w2 << 1 | w1 >> 63, w1 << 1);
        let (w0, h0) = a[0].carrying_mul(a[0], 0);
        let (l1, h1) = a[1].carrying_mul(a[1], 0);
        let (l2, h2) = a[2].carrying_mul(a[2], 0);
        let (l3, h3) = a[3].carrying_mul(a[3], 0);
        let (w1, c) = w1.carrying_add(h0, false);
        let (w2, c) = w2.carrying_add(l1, c);
        let (w3, c) = w3.carrying_add(h1, c);
        let (w4, c) = w4.carrying_add(l2, c);
        let (w5, c) = w5.carrying_add(h2, c);
        let (w6, c) = w6.carrying_add(l3, c);
        reduce([w0, w1, w2, w3], [w4, w5, w6, w7 + h3 + u64::from(c)])
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
