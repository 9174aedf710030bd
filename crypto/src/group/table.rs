//! Multiples of a point, kept for later products.
//!
//! Owns the table of a long-lived point and the one of the generator. Invariant: entry j of row i is `(2j +
//! 1)·2^(32i)·P`. Sums of products drive it; who verifies under one key often keeps a [`PreparedPoint`] of it.
//!
//! The rows let 32 doublings do the work of 128: a digit at position 32i + l is looked up in row i and added when l
//! more doublings are to come. The generator's table takes 128 KiB, is made at the first use, and needs `std` for its
//! lock; without it the generator is a point like any other.

use alloc::vec::Vec;

use super::point::{AffinePoint, Point};
use super::recode::{Half, split, wnaf, words_of};
use super::scalar::PublicScalar;

const ROWS: usize = 4;
const ROW_BITS: usize = 128 / ROWS;

/// The digits of prepared points: 64 entries to a row, 16 KiB in all. One bit more would save 3 % and double both the
/// size and the time it takes to make one.
const WIDTH: u32 = 8;

#[cfg(feature = "std")]
const GENERATOR_WIDTH: u32 = 11;

/// A point with a table of its multiples. It halves the cost of verifying under the point.
#[derive(Clone, Debug)]
pub struct PreparedPoint {
    width: u32,
    entries: Vec<AffinePoint>,
}

impl PreparedPoint {
    /// Makes the table, at about the cost of three verifications.
    #[must_use]
    pub fn new(point: &AffinePoint) -> Self {
        Self::with_width(point, WIDTH)
    }

    fn with_width(point: &AffinePoint, width: u32) -> Self {
        let mut entries = Vec::with_capacity(ROWS << (width - 2));
        let mut base = Point::from(*point);
        for row in 0..ROWS {
            if row > 0 {
                base = (0..ROW_BITS).fold(base, |point, _| point.double());
            }
            let twice = base.double();
            let mut entry = base;
            for _ in 0..1 << (width - 2) {
                entries.push(entry);
                entry = entry.add(&twice);
            }
        }
        // The order of the group is prime, so none of these small multiples is infinity.
        let entries = Point::batch_to_affine(&entries).into_iter().flatten().collect();
        Self { width, entries }
    }

    /// The point itself.
    #[must_use]
    pub fn point(&self) -> AffinePoint {
        self.entries[0]
    }

    /// Calls `emit(position, point)` so that `Σ 2^position·point` is the product with this scalar. Positions are at
    /// most 32.
    pub(super) fn digits(&self, scalar: &PublicScalar, mut emit: impl FnMut(usize, AffinePoint)) {
        let [one, lambda] = split(scalar);
        self.half_digits(one, &mut emit);
        self.half_digits(lambda, |position, point| emit(position, point.endomorphism()));
    }

    fn half_digits(&self, half: Half, mut emit: impl FnMut(usize, AffinePoint)) {
        wnaf(&words_of(half.magnitude), self.width, |position, digit| {
            let row = (position / ROW_BITS).min(ROWS - 1);
            let entry = (row << (self.width - 2)) + digit.unsigned_abs() as usize / 2;
            let point = self.entries[entry].negate_if(half.negative != (digit < 0));
            emit(position - row * ROW_BITS, point);
        });
    }
}

/// The generator's table.
#[cfg(feature = "std")]
pub(super) fn generator() -> &'static PreparedPoint {
    extern crate std;
    static TABLE: std::sync::LazyLock<PreparedPoint> =
        std::sync::LazyLock::new(|| PreparedPoint::with_width(&AffinePoint::generator(), GENERATOR_WIDTH));
    &TABLE
}
