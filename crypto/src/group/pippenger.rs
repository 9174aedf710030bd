//! A sum of very many products: every digit of every scalar drops its point into a bucket.
//!
//! Owns Pippenger's method. Invariant: the sum is right whatever the points and scalars are. [`Combination`] drives it.
//!
//! A window of c bits has buckets 1 to 2^(c−1), since digits are signed. The buckets of a window are weighted by
//! folding: the odd ones count at the window's own position, and bucket 2j and bucket 2j + 1 together count as bucket j
//! one position higher. So every window leaves points at positions, which one run of doublings takes in, and all
//! additions but those of that run are affine and in batches.
//!
//! [`Combination`]: super::Combination

use alloc::vec::Vec;

use super::batch::{Buckets, sum_placed};
use super::combination::{Placed, Term};
use super::point::AffinePoint;
use super::point::Point;

/// How many points are sorted into buckets at a time: what fits the cache nearest but one.
const AT_A_TIME: usize = 4096;

/// The bits of a window, by the number of half-length products; measured.
const fn window(products: usize) -> usize {
    match products {
        0..130 => 5,
        130..250 => 6,
        250..500 => 7,
        500..2_200 => 8,
        2_200..6_000 => 9,
        _ => 10,
    }
}

/// `Σ k·P` over the terms, and `Σ 2^position·point` over the placed points.
pub(super) fn sum(terms: &[Term], mut placed: Vec<Placed>) -> Point {
    let mut products: Vec<(AffinePoint, u128)> = Vec::with_capacity(terms.len() * 2);
    for Term { point, halves: [one, lambda] } in terms {
        if one.magnitude != 0 {
            products.push((point.negate_if(one.negative), one.magnitude));
        }
        if lambda.magnitude != 0 {
            products.push((point.endomorphism().negate_if(lambda.negative), lambda.magnitude));
        }
    }
    let bits = window(products.len());
    let windows = 128 / bits + 1;
    let digits: Vec<i16> = products.iter().flat_map(|(_, k)| signed_digits(*k, bits, windows)).collect();
    // Bucket j of a window is at index j; index 0 stays empty.
    let buckets = (1 << (bits - 1)) + 1;
    let group = (AT_A_TIME / products.len().max(1)).clamp(1, windows);
    let mut sums = Vec::with_capacity(windows * buckets);
    for from in (0..windows).step_by(group) {
        let to = windows.min(from + group);
        let points = (from..to).flat_map(|window| {
            let digits = digits.iter().skip(window).step_by(windows);
            products.iter().zip(digits).filter(|(_, digit)| **digit != 0).map(move |((point, _), digit)| {
                let bucket = (window - from) * buckets + usize::from(digit.unsigned_abs());
                (bucket, point.negate_if(*digit < 0))
            })
        });
        let mut lists = Buckets::new((to - from) * buckets, points.clone().map(|(bucket, _)| bucket), points);
        lists.reduce(1);
        sums.extend((0..(to - from) * buckets).map(|list| lists.list(list).first().copied()));
    }
    fold(sums, bits, windows, &mut placed);
    sum_placed((windows + 1) * bits, &placed)
}

/// Turns the buckets of each window into points at positions.
fn fold(mut sums: Vec<Option<AffinePoint>>, bits: usize, windows: usize, placed: &mut Vec<Placed>) {
    for level in 0..bits {
        let buckets = sums.len() / windows;
        let folded = buckets / 2 + 1;
        let of_window = |index: usize| (index / buckets, index % buckets);
        for (index, point) in sums.iter().enumerate() {
            let (window, bucket) = of_window(index);
            if let (Some(point), 1) = (point, bucket % 2) {
                placed.push(Placed { position: window * bits + level, point: *point });
            }
        }
        let pairs = sums.iter().enumerate().filter_map(|(index, point)| {
            let (window, bucket) = of_window(index);
            (*point).filter(|_| bucket >= 2).map(|point| (window * folded + bucket / 2, point))
        });
        let mut lists = Buckets::new(windows * folded, pairs.clone().map(|(bucket, _)| bucket), pairs);
        lists.reduce(1);
        sums = (0..windows * folded).map(|list| lists.list(list).first().copied()).collect();
    }
}

/// The digits of k in base 2^bits, from the lowest, each above −2^(bits−1) and at most 2^(bits−1).
fn signed_digits(k: u128, bits: usize, windows: usize) -> impl Iterator<Item = i16> {
    let (mut rest, mut carry) = (k, 0);
    (0..windows).map(move |_| {
        let digit = (rest & ((1 << bits) - 1)) as i16 + carry;
        rest >>= bits;
        carry = i16::from(digit > 1 << (bits - 1));
        digit - (carry << bits)
    })
}
