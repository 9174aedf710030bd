//! Target `group`: sums of products by the variable-time group law, beside the library's.
//!
//! Invariants: the same sum, whatever the points and scalars are and however many; decoding takes exactly the
//! compressed encodings that the library takes, and encoding gives them back.

use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::group::{Group, GroupEncoding};
use k256::elliptic_curve::ops::Reduce;
use k256::{FieldBytes, ProjectivePoint, Scalar};
use nelumbo_core::crypto::group::{AffinePoint, Combination, Point, PreparedPoint, PublicScalar};

use super::input::{Encode, Fixed, Number, choose, input};

/// How many steps a sum has at most; none takes long.
const MAX_STEPS: usize = 200;

input! {
    /// An encoding to decode, and a sum.
    pub struct Sum {
        pub(crate) encoding: Fixed<33>,
        pub(crate) steps: Vec<Step>,
    }

    /// Points are counted modulo the number of those that are known, of which the generator is the first.
    pub enum Step {
        /// The sum of two points is known from here on.
        Know { one: u8, other: u8 },
        KnowNegated { point: u8 },
        Generator { scalar: Factor },
        Prepared { scalar: Factor },
        Point { point: u8, repeat: Repeat },
        /// The factor is squared, and one added, from one to the next.
        Term { point: u8, repeat: Repeat, scalar: Factor },
    }

    /// How many terms one step stands for, so that few bytes reach the methods for many.
    pub enum Repeat {
        Once,
        Nine,
        Seventy,
    }

    /// A scalar: small, or any, or the negation of either.
    pub enum Factor {
        Number { number: Number },
        NumberNegated { number: Number },
        Any { scalar: Fixed<32> },
        AnyNegated { scalar: Fixed<32> },
    }
}

impl Repeat {
    const fn count(&self) -> u64 {
        match self {
            Self::Once => 1,
            Self::Nine => 9,
            Self::Seventy => 70,
        }
    }
}

impl Factor {
    fn scalar(&self) -> PublicScalar {
        let (scalar, is_negated) = match self {
            Self::Number { number } => (PublicScalar::from_u128(number.0.into()), false),
            Self::NumberNegated { number } => (PublicScalar::from_u128(number.0.into()), true),
            Self::Any { scalar } => (PublicScalar::reduce(scalar.0), false),
            Self::AnyNegated { scalar } => (PublicScalar::reduce(scalar.0), true),
        };
        scalar.negate_if(is_negated)
    }
}

pub(crate) fn run(input: &Sum) {
    decode(&input.encoding.0);
    let mut points = vec![(ProjectivePoint::GENERATOR, AffinePoint::generator())];
    let prepared = PreparedPoint::new(&AffinePoint::generator());
    let (mut sum, mut expected) = (Combination::new(), ProjectivePoint::IDENTITY);
    for step in input.steps.iter().take(MAX_STEPS) {
        let at = |place: &u8| points[usize::from(*place) % points.len()];
        match step {
            Step::Know { one, other } => {
                let point = at(one).0 + at(other).0;
                know(&mut points, point);
            }
            Step::KnowNegated { point } => {
                let point = -at(point).0;
                know(&mut points, point);
            }
            Step::Generator { scalar } => {
                let k = scalar.scalar();
                sum.generator(k);
                expected += ProjectivePoint::mul_by_generator_vartime(&library(k));
            }
            Step::Prepared { scalar } => {
                let k = scalar.scalar();
                sum.prepared(&prepared, k);
                expected += ProjectivePoint::mul_by_generator_vartime(&library(k));
            }
            Step::Point { point, repeat } => {
                let (theirs, ours) = at(point);
                (0..repeat.count()).for_each(|_| sum.point(ours));
                expected += theirs * Scalar::from(repeat.count());
            }
            Step::Term { point, repeat, scalar } => {
                let ((theirs, ours), mut k) = (at(point), scalar.scalar());
                for _ in 0..repeat.count() {
                    sum.term(ours, k);
                    expected += theirs * library(k);
                    k = k * k + PublicScalar::ONE;
                }
            }
        }
    }
    check(&sum.evaluate(), &expected);
}

fn decode(bytes: &[u8; 33]) {
    let ours = AffinePoint::decode(bytes);
    let theirs = Option::<ProjectivePoint>::from(ProjectivePoint::from_bytes(&(*bytes).into()));
    // The library takes more: zeros for infinity, and the compact form, which begins with 5.
    assert_eq!(ours.is_some(), theirs.is_some() && matches!(bytes[0], 2 | 3));
    assert!(ours.is_none_or(|point| point.encode() == *bytes), "one point has one encoding");
}

fn know(points: &mut Vec<(ProjectivePoint, AffinePoint)>, point: ProjectivePoint) {
    if points.len() < 16 && !bool::from(point.is_identity()) {
        let ours = AffinePoint::decode(&point.to_bytes().into()).expect("a point");
        check(&Point::from(ours), &point);
        points.push((point, ours));
    }
}

fn library(scalar: PublicScalar) -> Scalar {
    let bytes = FieldBytes::from(scalar.to_bytes());
    let reduced = <Scalar as Reduce<FieldBytes>>::reduce(&bytes);
    assert_eq!(Option::from(Scalar::from_repr(bytes)), Some(reduced), "a scalar is below the order");
    reduced
}

fn check(found: &Point, expected: &ProjectivePoint) {
    match found.to_affine() {
        None => assert!(bool::from(expected.is_identity())),
        Some(point) => assert_eq!(point.encode()[..], expected.to_bytes()[..]),
    }
}
