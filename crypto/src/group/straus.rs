//! A sum of few products: shared doublings, small tables, no inversion.
//!
//! Owns Straus's method. Invariant: the sum is right whatever the points and scalars are. [`Combination`] drives it.
//!
//! The tables of all points are brought to one isomorphic curve on which every entry is affine: the entries of one
//! table and those of the next differ by known ratios of their Z, so one pass back over all of them replaces the
//! inversion (Brown, Hankerson, López and Menezes, "Software Implementation of the NIST Elliptic Curves", and
//! libsecp256k1's "effective affine").
//!
//! [`Combination`]: super::Combination

use alloc::vec::Vec;

use super::combination::{Placed, Term};
use super::field::{Field, FieldElement};
use super::point::{AffinePoint, Point};
use super::recode::{wnaf, words_of};

/// Digits of the terms: eight odd multiples each.
const WIDTH: u32 = 5;
const ENTRIES: usize = 1 << (WIDTH - 2);

/// Positions of digits: 128 bits, and a carry.
pub(super) const POSITIONS: usize = 129;

/// `Σ k·P` over the terms, and `Σ 2^position·point` over the placed points.
pub(super) fn sum(terms: &[Term], placed: &[Placed]) -> Point {
    let (tables, z) = tables(terms);
    let mut digits = Vec::with_capacity(terms.len() * 46);
    for (term, table) in terms.iter().zip(tables.chunks_exact(ENTRIES)) {
        for (half, lambda) in term.halves.iter().zip([false, true]) {
            wnaf(&words_of(half.magnitude), WIDTH, |position, digit| {
                let entry = table[digit.unsigned_abs() as usize / 2].negate_if(half.negative != (digit < 0));
                digits.push(Placed { position, point: if lambda { entry.endomorphism() } else { entry } });
            });
        }
    }
    let (digits, placed) = (Sorted::new(&digits), Sorted::new(placed));
    let mut sum = Point::INFINITY;
    for position in (0..POSITIONS).rev() {
        sum = sum.double();
        for point in digits.at(position) {
            sum = sum.add_affine(point);
        }
        for point in placed.at(position) {
            sum = sum.add_from_outside(point, &z);
        }
    }
    sum.back_by(&z)
}

/// The odd multiples P, 3P, …, 15P of each term's point, affine on the curve of the isomorphism by the z returned with
/// them.
fn tables(terms: &[Term]) -> (Vec<AffinePoint>, FieldElement) {
    let mut entries = Vec::with_capacity(terms.len() * ENTRIES);
    // The z of each entry over the z of the one before it.
    let mut ratios = Vec::with_capacity(terms.len() * ENTRIES);
    let mut z = FieldElement::ONE;
    for term in terms {
        // P with the z that the table before it ended with, and 2P, whose z makes it affine on this table's curve.
        let AffinePoint { x, y } = Point::from(term.point).scaled(&z);
        let start = Point::new(x, y, z);
        let twice = start.double();
        let c = twice.z.weak();
        let step = AffinePoint { x: twice.x, y: twice.y };
        let AffinePoint { x, y } = start.scaled(&c);
        let mut entry = Point::new(x, y, z);
        entries.push(AffinePoint { x, y });
        ratios.push(c);
        for _ in 1..ENTRIES {
            let (next, ratio) = entry.add_with_ratio(&step);
            entry = next;
            entries.push(AffinePoint { x: entry.x, y: entry.y });
            ratios.push(ratio);
        }
        z = entry.z.mul(&c);
    }
    // Back from the last entry, which has the z of the whole already.
    let mut factor = FieldElement::ONE;
    for index in (1..entries.len()).rev() {
        factor = factor.mul(&ratios[index]);
        let AffinePoint { x, y } = entries[index - 1];
        entries[index - 1] = Point::new(x, y, FieldElement::ONE).scaled(&factor);
    }
    (entries, z)
}

/// Points by position.
struct Sorted {
    starts: [usize; POSITIONS + 1],
    points: Vec<AffinePoint>,
}

impl Sorted {
    fn new(placed: &[Placed]) -> Self {
        let mut starts = [0; POSITIONS + 1];
        placed.iter().for_each(|digit| starts[digit.position + 1] += 1);
        for position in 0..POSITIONS {
            starts[position + 1] += starts[position];
        }
        let mut points = Vec::new();
        if let Some(first) = placed.first() {
            points.resize(placed.len(), first.point);
        }
        let mut next = starts;
        for digit in placed {
            points[next[digit.position]] = digit.point;
            next[digit.position] += 1;
        }
        Self { starts, points }
    }

    fn at(&self, position: usize) -> &[AffinePoint] {
        &self.points[self.starts[position]..self.starts[position + 1]]
    }
}
