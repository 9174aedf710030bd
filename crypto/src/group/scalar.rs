//! Scalars that everyone may know.
//!
//! Owns the one type of scalar that the variable-time group law takes. Invariant: it is below the group order, and is
//! made from plain bytes by value, small integers and other public scalars; there is no conversion from a secret.
//! Verification drives it.

use core::ops::{Add, Mul, Neg, Sub};

use k256::Scalar;

use super::super::curve;
use super::field::words_from_bytes;

/// A scalar modulo the group order that is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicScalar(Scalar);

impl PublicScalar {
    /// 0.
    pub const ZERO: Self = Self(Scalar::ZERO);
    /// 1.
    pub const ONE: Self = Self(Scalar::ONE);

    /// A scalar from 32 big-endian bytes; none if they are not below the group order.
    ///
    /// By value, so that a reference to a secret does not fit.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        curve::decode_scalar(&bytes).map(Self)
    }

    /// The scalar that 32 big-endian bytes are modulo the group order.
    #[must_use]
    pub fn reduce(bytes: [u8; 32]) -> Self {
        Self(curve::reduce_scalar(&bytes))
    }

    /// A small scalar.
    #[must_use]
    pub fn from_u128(value: u128) -> Self {
        Self(Scalar::from(value))
    }

    /// 32 big-endian bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        curve::encode_scalar(&self.0)
    }

    /// The scalar or its negation.
    #[must_use]
    pub fn negate_if(self, negate: bool) -> Self {
        if negate { -self } else { self }
    }

    /// The way out, to constant-time arithmetic together with a secret.
    pub(crate) fn for_secret_arithmetic(&self) -> &Scalar {
        &self.0
    }

    /// Four words, the lowest first.
    pub(super) fn words(&self) -> [u64; 4] {
        words_from_bytes(&self.to_bytes())
    }
}

impl Add for PublicScalar {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for PublicScalar {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul for PublicScalar {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}

impl Neg for PublicScalar {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}
