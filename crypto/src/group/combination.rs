//! Sums of products of public scalars and points.
//!
//! Owns the choice of the method. Invariant: the sum does not depend on the method. Verification, aggregation and
//! batches drive it.

use alloc::vec::Vec;

use super::batch;
use super::pippenger;
use super::point::{AffinePoint, Point};
use super::recode::{Half, split};
use super::scalar::PublicScalar;
use super::straus;
use super::table::PreparedPoint;

/// From how many half-length products on additions are done in affine batches.
const BATCH_FROM: usize = 14;

/// From how many half-length products on they are sorted into buckets.
const BUCKETS_FROM: usize = 110;

/// From how many single points on they are summed as a batch before the rest.
const POINTS_FROM: usize = 64;

/// A product by its halves: `P·h₀ + λP·h₁`.
#[derive(Clone, Copy)]
pub(super) struct Term {
    pub(super) point: AffinePoint,
    pub(super) halves: [Half; 2],
}

/// A point that counts 2^position times.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) position: usize,
    pub(super) point: AffinePoint,
}

/// A sum in the making: `k·G + Σ kᵢ·Pᵢ`. **Variable time, public data only.**
#[derive(Clone, Default)]
pub struct Combination<'a> {
    generator: Option<PublicScalar>,
    terms: Vec<Term>,
    prepared: Vec<(&'a PreparedPoint, PublicScalar)>,
    points: Vec<AffinePoint>,
}

impl<'a> Combination<'a> {
    /// The empty sum, which is infinity.
    #[must_use]
    pub const fn new() -> Self {
        Self { generator: None, terms: Vec::new(), prepared: Vec::new(), points: Vec::new() }
    }

    /// Adds `k·G`.
    pub fn generator(&mut self, k: PublicScalar) {
        self.generator = Some(self.generator.map_or(k, |before| before + k));
    }

    /// Adds `k·P`.
    pub fn term(&mut self, point: AffinePoint, k: PublicScalar) {
        if k == PublicScalar::ONE {
            return self.points.push(point);
        }
        self.terms.push(Term { point, halves: split(&k) });
    }

    /// Adds `k·P` for a k of half the length, at half the cost.
    pub fn short_term(&mut self, point: AffinePoint, k: u128) {
        self.terms.push(Term { point, halves: [Half::new(k), Half::default()] });
    }

    /// Adds `k·P` for a point with a table.
    pub fn prepared(&mut self, point: &'a PreparedPoint, k: PublicScalar) {
        self.prepared.push((point, k));
    }

    /// Adds P.
    pub fn point(&mut self, point: AffinePoint) {
        self.points.push(point);
    }

    /// The sum.
    #[must_use]
    pub fn evaluate(mut self) -> Point {
        let mut placed = Vec::with_capacity(32 * (1 + self.prepared.len()) + self.points.len());
        if let Some(k) = self.generator {
            self.place_generator(&k, &mut placed);
        }
        for (point, k) in &self.prepared {
            point.digits(k, |position, point| placed.push(Placed { position, point }));
        }
        if self.points.len() < POINTS_FROM {
            placed.extend(self.points.iter().map(|point| Placed { position: 0, point: *point }));
        } else {
            let [sum] = batch::sums([&self.points]);
            placed.extend(sum.to_affine().map(|point| Placed { position: 0, point }));
        }
        let halves = self.terms.iter().flat_map(|term| &term.halves).filter(|half| half.magnitude != 0).count();
        match halves {
            0..BATCH_FROM => straus::sum(&self.terms, &placed),
            BATCH_FROM..BUCKETS_FROM => batch::sum(&self.terms, &placed),
            _ => pippenger::sum(&self.terms, placed),
        }
    }

    #[cfg(feature = "std")]
    fn place_generator(&mut self, k: &PublicScalar, placed: &mut Vec<Placed>) {
        super::table::generator().digits(k, |position, point| placed.push(Placed { position, point }));
    }

    /// Without a lock there is no table that is made once; the generator is a term.
    #[cfg(not(feature = "std"))]
    fn place_generator(&mut self, k: &PublicScalar, _placed: &mut Vec<Placed>) {
        self.term(AffinePoint::generator(), *k);
    }
}
