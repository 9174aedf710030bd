//! Target `group`: sums of products by the variable-time group law, beside the library's.
//!
//! Invariants: the same sum, whatever the points and scalars are and however many; decoding takes exactly the
//! compressed encodings that the library takes, and encoding gives them back.

use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::group::{Group, GroupEncoding};
use k256::elliptic_curve::ops::Reduce;
use k256::{FieldBytes, ProjectivePoint, Scalar};
use nelumbo_core::crypto::group::{AffinePoint, Combination, Point, PreparedPoint, PublicScalar};

use super::source::Source;

pub(crate) fn run(data: &[u8]) {
    let source = &mut Source::new(data);
    decode(&source.array());
    let mut points = vec![(ProjectivePoint::GENERATOR, AffinePoint::generator())];
    let prepared = PreparedPoint::new(&AffinePoint::generator());
    let (mut sum, mut expected) = (Combination::new(), ProjectivePoint::IDENTITY);
    while !source.is_empty() {
        let (theirs, ours) = points[source.place(points.len()).unwrap_or(0)];
        // One choice may stand for many, so that few bytes reach the methods for many terms.
        let repeat = [1, 1, 1, 1, 9, 70][source.below(6)];
        match source.below(6) {
            0 => {
                let (other, _) = points[source.place(points.len()).unwrap_or(0)];
                remember(&mut points, theirs + other);
            }
            1 => remember(&mut points, -theirs),
            2 => {
                let k = scalar(source);
                sum.generator(k);
                expected += ProjectivePoint::mul_by_generator_vartime(&library(k));
            }
            3 => {
                let k = scalar(source);
                sum.prepared(&prepared, k);
                expected += ProjectivePoint::mul_by_generator_vartime(&library(k));
            }
            4 => {
                (0..repeat).for_each(|_| sum.point(ours));
                expected += theirs * Scalar::from(repeat as u64);
            }
            _ => {
                let mut k = scalar(source);
                for _ in 0..repeat {
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

fn remember(points: &mut Vec<(ProjectivePoint, AffinePoint)>, point: ProjectivePoint) {
    if points.len() < 16 && !bool::from(point.is_identity()) {
        let ours = AffinePoint::decode(&point.to_bytes().into()).expect("a point");
        check(&Point::from(ours), &point);
        points.push((point, ours));
    }
}

/// A scalar: small, any, or the negation of either.
fn scalar(source: &mut Source<'_>) -> PublicScalar {
    let kind = source.below(4);
    let scalar = match kind / 2 {
        0 => PublicScalar::from_u128(source.number().into()),
        _ => PublicScalar::reduce(source.array()),
    };
    scalar.negate_if(kind % 2 == 1)
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
