//! The edge between byte strings and the arithmetic of secp256k1.
//!
//! Owns every conversion between the two and the two rules for which of R and −R a signature means. Invariant: nothing but
//! a point on the curve other than infinity leaves the decoders, and no scalar that was not reduced or range-checked. All
//! other files of `crypto` reach the library's field elements through here only.

use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::group::CurveAffine;
use k256::elliptic_curve::hazmat::FieldArithmetic;
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use k256::elliptic_curve::subtle::{Choice, ConditionallySelectable};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, Secp256k1};
use zeroize::Zeroizing;

type FieldElement = <Secp256k1 as FieldArithmetic>::FieldElement;

/// A compressed point: prefix 02 or 03, x below p, on the curve.
pub(super) fn decode_point(bytes: &[u8; 33]) -> Option<ProjectivePoint> {
    let [prefix, x @ ..] = bytes;
    let odd = match prefix {
        2 => 0,
        3 => 1,
        _ => return None,
    };
    decompress(x, odd)
}

/// The point with this x and an even y (BIP340, lift_x).
pub(super) fn lift_x(x: &[u8; 32]) -> Option<ProjectivePoint> {
    decompress(x, 0)
}

fn decompress(x: &[u8; 32], odd: u8) -> Option<ProjectivePoint> {
    AffinePoint::decompress(&FieldBytes::from(*x), Choice::from(odd)).into_option().map(ProjectivePoint::from)
}

/// The compressed form of a point that is not infinity.
pub(super) fn encode_point(point: &AffinePoint) -> [u8; 33] {
    assert!(!is_infinity(point), "infinity has no compressed encoding; it is an error where it arises");
    let mut bytes = [0; 33];
    bytes[0] = 2 | point.y_is_odd().unwrap_u8();
    bytes[1..].copy_from_slice(&x_bytes(point));
    bytes
}

pub(super) fn x_bytes(point: &AffinePoint) -> [u8; 32] {
    point.x().into()
}

pub(super) fn is_infinity(point: &AffinePoint) -> bool {
    point.is_identity().into()
}

/// A scalar below the group order; zero is allowed.
pub(super) fn decode_scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_repr(FieldBytes::from(*bytes)).into_option()
}

/// `int(bytes) mod n`, in constant time.
pub(super) fn reduce_scalar(bytes: &[u8; 32]) -> Scalar {
    <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(*bytes))
}

pub(super) fn encode_scalar(scalar: &Scalar) -> [u8; 32] {
    scalar.to_bytes().into()
}

/// The scalar or its negation, in constant time. Scalars do not wipe themselves, so the result is held by what does.
pub(super) fn negate_if(negate: Choice, scalar: &Scalar) -> Zeroizing<Scalar> {
    let negated = Zeroizing::new(scalar.negate());
    Zeroizing::new(Scalar::conditional_select(scalar, &negated, negate))
}

pub(super) fn has_even_y(point: &AffinePoint) -> Choice {
    !point.y_is_odd()
}

/// Whether y is a square modulo p (lotus-crypto.md, section 1). Constant time; y of a point is never zero.
pub(super) fn has_square_y(point: &AffinePoint) -> Choice {
    let y = FieldElement::from_repr(point.y()).expect("the library's coordinates are canonical");
    y.sqrt().is_some()
}
