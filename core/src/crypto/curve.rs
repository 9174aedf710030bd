//! The edge between byte strings and the library's constant-time arithmetic, on which every secret stays.
//!
//! Owns the conversions and the two rules for which of R and −R a signature means, for a nonce that is still secret.
//! Invariant: no scalar leaves the decoders that was not reduced or range-checked, and nothing here depends on a secret in
//! its time. Signing drives it; what is public is computed in [`group`](super::group).

use k256::elliptic_curve::ff::PrimeField;
#[cfg(any(test, not(feature = "std")))]
use k256::elliptic_curve::group::CurveAffine;
use k256::elliptic_curve::hazmat::FieldArithmetic;
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::AffineCoordinates;
use k256::elliptic_curve::subtle::{Choice, ConditionallySelectable};
use k256::{AffinePoint, FieldBytes, Scalar, Secp256k1};
use zeroize::Zeroizing;

type FieldElement = <Secp256k1 as FieldArithmetic>::FieldElement;

#[cfg(test)]
pub(super) fn decode_point(bytes: &[u8; 33]) -> Option<k256::ProjectivePoint> {
    use k256::elliptic_curve::point::DecompressPoint;
    let [prefix @ (2 | 3), x @ ..] = bytes else { return None };
    let point = AffinePoint::decompress(&FieldBytes::from(*x), Choice::from(*prefix & 1));
    point.into_option().map(k256::ProjectivePoint::from)
}

/// The compressed form of a point that is not infinity.
#[cfg(any(test, not(feature = "std")))]
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

#[cfg(any(test, not(feature = "std")))]
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
