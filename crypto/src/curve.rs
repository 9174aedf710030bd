//! The edge between byte strings and the library's constant-time arithmetic, on which every secret stays.
//!
//! Owns the conversions. Invariant: no scalar leaves the decoders that was not reduced or range-checked, and nothing
//! here depends on a secret in its time. Signing drives it; what is public is computed in [`group`](super::group).

use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::subtle::{Choice, ConditionallySelectable};
use k256::{FieldBytes, Scalar};
use zeroize::Zeroizing;

#[cfg(test)]
pub(super) fn decode_point(bytes: &[u8; 33]) -> Option<k256::ProjectivePoint> {
    use k256::AffinePoint;
    use k256::elliptic_curve::point::DecompressPoint;
    let [prefix @ (2 | 3), x @ ..] = bytes else { return None };
    let point = AffinePoint::decompress(&FieldBytes::from(*x), Choice::from(*prefix & 1));
    point.into_option().map(k256::ProjectivePoint::from)
}

/// The compressed form of a point that is not infinity.
#[cfg(test)]
pub(super) fn encode_point(point: &k256::AffinePoint) -> [u8; 33] {
    use k256::elliptic_curve::sec1::ToSec1Point;
    point.to_sec1_point(true).as_bytes().try_into().expect("infinity has no compressed encoding of 33 bytes")
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
