//! Scalars as digits: the endomorphism's split, and signed digits of both kinds.
//!
//! Owns the recodings. Invariant: the digits, weighted, sum up to the scalar they came from. Sums of products drive it.

use super::scalar::PublicScalar;

/// A number of absolute value below 2¹²⁸.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) negative: bool,
    pub(super) magnitude: u128,
}

impl Half {
    pub(super) const fn new(magnitude: u128) -> Self {
        Self { negative: false, magnitude }
    }
}

/// `a₁`, which is also `b₂`, of the short basis (a₁, b₁), (a₂, b₂) of {(x, y): x + λy = 0 mod n}.
const A1: [u64; 3] = [0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd, 0];
/// `−b₁`.
const MINUS_B1: [u64; 3] = [0x6f54_7fa9_0abf_e4c3, 0xe443_7ed6_010e_8828, 0];
/// `a₂`.
const A2: [u64; 3] = [0x57c1_108d_9d44_cfd8, 0x14ca_50f7_a8e2_f3f6, 1];
/// `⌊2³⁸⁴·b₂/n⌉`.
const G1: [u64; 4] = [0xe893_209a_45db_b031, 0x3daa_8a14_71e8_ca7f, 0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd];
/// `⌊2³⁸⁴·(−b₁)/n⌉`.
const G2: [u64; 4] = [0x1571_b4ae_8ac4_7f71, 0x2212_08ac_9df5_06c6, 0x6f54_7fa9_0abf_e4c4, 0xe443_7ed6_010e_8828];

/// k₁ and k₂ with `k = k₁ + λ·k₂` (Guide to Elliptic Curve Cryptography, algorithm 3.74).
///
/// c₁ and c₂ are rounded quotients by the multiplications with G1 and G2; that k₁ and k₂ then stay below 2¹²⁸ is proved
/// in libsecp256k1's scalar_impl.h. Three words therefore hold every result, with its sign.
pub(super) fn split(scalar: &PublicScalar) -> [Half; 2] {
    let k = scalar.words();
    if k[2] | k[3] == 0 {
        return [Half::new(u128::from(k[1]) << 64 | u128::from(k[0])), Half::default()];
    }
    let (c1, c2) = (quotient(&k, &G1), quotient(&k, &G2));
    let k1 = subtract(&subtract(&[k[0], k[1], k[2]], &multiply_low(&c1, &A1)), &multiply_low(&c2, &A2));
    let k2 = subtract(&multiply_low(&c1, &MINUS_B1), &multiply_low(&c2, &A1));
    [half(&k1), half(&k2)]
}

/// `⌊k·g/2³⁸⁴⌉`.
fn quotient(k: &[u64; 4], g: &[u64; 4]) -> [u64; 2] {
    let mut wide = [0u64; 8];
    for (i, k) in k.iter().enumerate() {
        let mut carry = 0;
        for (j, g) in g.iter().enumerate() {
            let t = u128::from(wide[i + j]) + u128::from(*k) * u128::from(*g) + carry;
            wide[i + j] = t as u64;
            carry = t >> 64;
        }
        wide[i + 4] = carry as u64;
    }
    let rounded = (u128::from(wide[7]) << 64 | u128::from(wide[6])) + u128::from(wide[5] >> 63);
    [rounded as u64, (rounded >> 64) as u64]
}

/// `a·b` modulo 2¹⁹².
fn multiply_low(a: &[u64; 2], b: &[u64; 3]) -> [u64; 3] {
    let mut low = [0u64; 3];
    for (i, a) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, b) in b.iter().enumerate().take(3 - i) {
            let t = u128::from(low[i + j]) + u128::from(*a) * u128::from(*b) + carry;
            low[i + j] = t as u64;
            carry = t >> 64;
        }
    }
    low
}

/// `a − b` modulo 2¹⁹².
fn subtract(a: &[u64; 3], b: &[u64; 3]) -> [u64; 3] {
    let mut difference = [0; 3];
    let mut borrow = false;
    for i in 0..3 {
        let (first, one) = a[i].overflowing_sub(b[i]);
        let (second, other) = first.overflowing_sub(u64::from(borrow));
        (difference[i], borrow) = (second, one | other);
    }
    difference
}

fn half(words: &[u64; 3]) -> Half {
    let negative = words[2] >> 63 == 1;
    let [low, high, top] = if negative { subtract(&[0; 3], words) } else { *words };
    assert!(top == 0, "the halves of a scalar are below 2¹²⁸; a longer one would be cut");
    Half { negative, magnitude: u128::from(high) << 64 | u128::from(low) }
}

/// Calls `emit(position, digit)` for the digits of a number in width-w non-adjacent form, from the lowest: odd, of
/// absolute value below 2^(w−1), at least w positions apart, and `Σ digit·2^position` is the number. Positions are at
/// most 64 times the number of words.
pub(super) fn wnaf(words: &[u64], width: u32, mut emit: impl FnMut(usize, i32)) {
    let bits = words.len() * 64;
    let word_at = |bit: usize| {
        let (index, shift) = (bit / 64, bit % 64);
        let Some(low) = words.get(index) else { return 0 };
        let high = words.get(index + 1).copied().unwrap_or(0);
        low >> shift | if shift == 0 { 0 } else { high << (64 - shift) }
    };
    let (mut bit, mut carry) = (0, 0);
    while bit < bits {
        // With a carry, a one is a zero that carries on.
        let ahead = word_at(bit);
        let skip = if carry == 0 { ahead.trailing_zeros() } else { ahead.trailing_ones() };
        if skip > 0 {
            bit += skip as usize;
            continue;
        }
        let value = (ahead & ((1 << width) - 1)) as i32 + carry;
        carry = value >> (width - 1) & 1;
        emit(bit, value - (carry << width));
        bit += width as usize;
    }
    if carry == 1 {
        emit(bit, 1);
    }
}

/// The words of a magnitude, the lowest first.
pub(super) const fn words_of(magnitude: u128) -> [u64; 2] {
    [magnitude as u64, (magnitude >> 64) as u64]
}
