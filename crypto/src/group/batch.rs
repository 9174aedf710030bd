//! Many additions at once, in affine coordinates.
//!
//! Owns buckets of points and their reduction to sums, and Straus's method on top of them. Invariant: a reduction
//! changes no bucket's sum; P + P, P − P and buckets that come to nothing included. [`Combination`] drives it.
//!
//! An affine addition takes 2M + 1S and an inversion, and an inversion in a batch takes 3M: together half of a Jacobian
//! addition. Buckets are added up pairwise, all of them at once, so that each round has one inversion.
//!
//! [`Combination`]: super::Combination

use alloc::vec::Vec;

use super::combination::{Placed, Term};
use super::field::{Field, FieldElement};
use super::point::{AffinePoint, Point, invert_all};
use super::recode::{wnaf, words_of};

/// Digits of the terms: eight odd multiples each.
const WIDTH: u32 = 5;
const ENTRIES: usize = 1 << (WIDTH - 2);

/// Below this number of additions a round's inversion costs more than adding in Jacobian coordinates.
const WORTH_A_ROUND: usize = 24;

/// Lists of points that are to be summed, one sum for each list.
pub(super) struct Buckets {
    points: Vec<AffinePoint>,
    /// Where each list starts, and how many points it has.
    lists: Vec<(usize, usize)>,
    /// Each addition's denominator, and the product of those of the additions after it.
    denominators: Vec<(FieldElement, FieldElement)>,
}

impl Buckets {
    /// As many lists as `count`, of points that name their list; `of_points` is the list of each.
    pub(super) fn new(
        count: usize,
        of_points: impl Iterator<Item = usize>,
        points: impl Iterator<Item = (usize, AffinePoint)>,
    ) -> Self {
        let mut lists = Vec::new();
        lists.resize(count, (0, 0));
        let mut total = 0;
        of_points.for_each(|list| lists[list].1 += 1);
        for (start, length) in &mut lists {
            (*start, total) = (total, total + *length);
            *length = 0;
        }
        let mut sorted = Vec::new();
        sorted.resize(total, AffinePoint::generator());
        for (list, point) in points {
            let (start, length) = &mut lists[list];
            sorted[*start + *length] = point;
            *length += 1;
        }
        Self { points: sorted, lists, denominators: Vec::new() }
    }

    /// The points of a list.
    pub(super) fn list(&self, index: usize) -> &[AffinePoint] {
        let (start, length) = self.lists[index];
        &self.points[start..start + length]
    }

    /// Adds pairs up, round after round, while a round has at least this many additions.
    pub(super) fn reduce(&mut self, at_least: usize) {
        while self.lists.iter().map(|(_, length)| length / 2).sum::<usize>() >= at_least.max(1) {
            self.round();
        }
    }

    /// Adds up the pairs of each list.
    fn round(&mut self) {
        let Self { points, lists, denominators } = self;
        denominators.clear();
        let mut product = FieldElement::ONE;
        let mut all_differ = true;
        for (start, length) in lists.iter().rev() {
            for pair in points[*start..start + length].chunks_exact(2).rev() {
                let mut this = pair[1].x.sub(&pair[0].x, 1); // 3
                if this.is_zero() {
                    all_differ = false;
                    this = denominator(&pair[0], &pair[1]);
                }
                denominators.push((this, product));
                product = product.mul(&this);
            }
        }
        let mut inverse = product.invert();
        for (start, length) in lists.iter_mut() {
            let (from, pairs) = (*start, *length / 2);
            let mut to = from;
            for pair in 0..pairs {
                let (a, b) = (points[from + 2 * pair], points[from + 2 * pair + 1]);
                let (this, after) = denominators.pop().expect("one for each pair");
                let own_inverse = inverse.mul(&after);
                inverse = inverse.mul(&this);
                let sum =
                    if all_differ { Some(add_different(&a, &b, &own_inverse)) } else { add(&a, &b, &own_inverse) };
                // Never past what is still to be read: at most one sum is written for two points read.
                if let Some(sum) = sum {
                    points[to] = sum;
                    to += 1;
                }
            }
            if *length % 2 == 1 {
                points[to] = points[from + *length - 1];
                to += 1;
            }
            *length = to - from;
        }
    }
}

/// What the slope of a + b is divided by; one where there is no slope.
#[inline]
fn denominator(a: &AffinePoint, b: &AffinePoint) -> FieldElement {
    let difference = b.x.sub(&a.x, 1); // 3
    if !difference.is_zero() {
        difference
    } else if a.y.sub(&b.y, 1).is_zero() {
        a.y.scale(2)
    } else {
        FieldElement::ONE
    }
}

/// a + b with the inverse of their denominator; none for infinity.
#[inline]
fn add(a: &AffinePoint, b: &AffinePoint, inverse: &FieldElement) -> Option<AffinePoint> {
    if !b.x.sub(&a.x, 1).is_zero() {
        Some(add_different(a, b, inverse))
    } else if a.y.sub(&b.y, 1).is_zero() {
        Some(on_line(a, b, &a.x.square().scale(3).mul(inverse)))
    } else {
        None
    }
}

/// a + b for different x.
#[inline(always)]
fn add_different(a: &AffinePoint, b: &AffinePoint, inverse: &FieldElement) -> AffinePoint {
    on_line(a, b, &b.y.sub(&a.y, 1).mul(inverse))
}

/// The sum of the points in which a line of this slope meets the curve.
#[inline(always)]
fn on_line(a: &AffinePoint, b: &AffinePoint, slope: &FieldElement) -> AffinePoint {
    let x = slope.square().sub(&a.x, 1).sub(&b.x, 1).weak(); // 1 + 2 + 2
    let y = slope.mul(&a.x.sub(&x, 1)).sub(&a.y, 1).weak(); // 1 + 2
    AffinePoint { x, y }
}

/// The sums of pairs that do not come to infinity.
fn add_pairs(pairs: &[(AffinePoint, AffinePoint)]) -> Vec<AffinePoint> {
    let mut inverses: Vec<_> = pairs.iter().map(|(a, b)| denominator(a, b)).collect();
    invert_all(&mut inverses);
    let sums = pairs.iter().zip(&inverses);
    sums.map(|((a, b), inverse)| add(a, b, inverse).expect("small multiples do not cancel out")).collect()
}

/// The sum of each list of points.
pub(crate) fn sums<const N: usize>(lists: [&[AffinePoint]; N]) -> [Point; N] {
    let points = lists.iter().enumerate().flat_map(|(list, points)| points.iter().map(move |point| (list, *point)));
    let mut buckets = Buckets::new(N, points.clone().map(|(list, _)| list), points);
    buckets.reduce(WORTH_A_ROUND);
    core::array::from_fn(|list| buckets.list(list).iter().fold(Point::INFINITY, |sum, point| sum.add_affine(point)))
}

/// `Σ 2^position·point`: the points of each position are summed in batches, then one run of doublings takes them all
/// in.
pub(super) fn sum_placed(positions: usize, placed: &[Placed]) -> Point {
    let points = placed.iter().map(|digit| (digit.position, digit.point));
    sum_lists(positions, Buckets::new(positions, placed.iter().map(|digit| digit.position), points))
}

fn sum_lists(positions: usize, mut buckets: Buckets) -> Point {
    buckets.reduce(WORTH_A_ROUND);
    (0..positions).rev().fold(Point::INFINITY, |sum, position| {
        buckets.list(position).iter().fold(sum.double(), |sum, point| sum.add_affine(point))
    })
}

/// `Σ k·P` over the terms, and `Σ 2^position·point` over the placed points.
pub(super) fn sum(terms: &[Term], placed: &[Placed]) -> Point {
    let tables = tables(terms);
    // Points are made of digits only when they are put into their lists: less memory to go through.
    let mut digits: Vec<(usize, i32, u32)> = Vec::with_capacity(terms.len() * 48);
    for (index, term) in (0..).zip(terms) {
        for (half, lambda) in term.halves.iter().zip([0, 1]) {
            let sign = if half.negative { -1 } else { 1 };
            wnaf(&words_of(half.magnitude), WIDTH, |at, digit| digits.push((at, sign * digit, 2 * index + lambda)));
        }
    }
    let of_digits = digits.iter().map(|(position, digit, half)| {
        let entry = tables[digit.unsigned_abs() as usize / 2][*half as usize / 2].negate_if(*digit < 0);
        (*position, if half % 2 == 1 { entry.endomorphism() } else { entry })
    });
    let lists = digits.iter().map(|digit| digit.0).chain(placed.iter().map(|digit| digit.position));
    let points = of_digits.chain(placed.iter().map(|digit| (digit.position, digit.point)));
    let positions = super::straus::POSITIONS;
    sum_lists(positions, Buckets::new(positions, lists, points))
}

/// P, 3P, …, 15P of each term's point, in four rounds: what 2P and P make, what 4P makes of those, what 8P makes of
/// all.
fn tables(terms: &[Term]) -> [Vec<AffinePoint>; ENTRIES] {
    let first: Vec<_> = terms.iter().map(|term| term.point).collect();
    let twice = double_all(&first);
    let (third, four) = halves(add_pairs(&[zip(&twice, &first), zip(&twice, &twice)].concat()));
    let mut next = add_pairs(&[zip(&four, &first), zip(&four, &third), zip(&four, &four)].concat());
    let eight = next.split_off(2 * first.len());
    let (fifth, seventh) = halves(next);
    let odd = [&first, &third, &fifth, &seventh].map(|multiple| zip(&eight, multiple)).concat();
    let mut high = add_pairs(&odd);
    let thirteenth = high.split_off(2 * first.len());
    let ((ninth, eleventh), (thirteenth, fifteenth)) = (halves(high), halves(thirteenth));
    [first, third, fifth, seventh, ninth, eleventh, thirteenth, fifteenth]
}

fn double_all(points: &[AffinePoint]) -> Vec<AffinePoint> {
    add_pairs(&zip(points, points))
}

fn zip(a: &[AffinePoint], b: &[AffinePoint]) -> Vec<(AffinePoint, AffinePoint)> {
    a.iter().copied().zip(b.iter().copied()).collect()
}

fn halves(mut points: Vec<AffinePoint>) -> (Vec<AffinePoint>, Vec<AffinePoint>) {
    let second = points.split_off(points.len() / 2);
    (points, second)
}
