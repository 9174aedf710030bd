//! The library's field behind our interface.
//!
//! Owns no arithmetic. Invariant: every element keeps within the magnitudes that the library's lazy normalisation
//! allows; builds with debug assertions make the library check each one. Machines without 64-bit words compute with it,
//! and the tests compare the other field against it.

use k256::elliptic_curve::ff::PrimeField;
use k256::elliptic_curve::hazmat::FieldArithmetic;
use k256::{FieldBytes, Secp256k1};

use super::{Field, bytes_from_words, words_from_bytes};

type Library = <Secp256k1 as FieldArithmetic>::FieldElement;

/// An element modulo p, of any magnitude up to the library's limit.
#[derive(Clone, Copy, Debug)]
pub(in crate::group) struct Lazy(Library);

impl Field for Lazy {
    const ZERO: Self = Self(Library::ZERO);
    const ONE: Self = Self(Library::ONE);

    fn from_words(words: [u64; 4]) -> Self {
        let bytes = FieldBytes::from(bytes_from_words(&words));
        Self(Library::from_repr(bytes).expect("the words are below p"))
    }

    fn to_words(&self) -> [u64; 4] {
        words_from_bytes(&self.0.normalize().to_bytes().into())
    }

    fn add(&self, other: &Self) -> Self {
        Self(self.0 + other.0)
    }

    fn neg(&self, magnitude: u32) -> Self {
        Self(self.0.negate(magnitude))
    }

    fn scale(&self, factor: u32) -> Self {
        Self(self.0.mul_single(factor))
    }

    fn mul(&self, other: &Self) -> Self {
        Self(self.0.mul(&other.0))
    }

    fn square(&self) -> Self {
        Self(self.0.square())
    }

    fn weak(&self) -> Self {
        Self(self.0.normalize_weak())
    }

    fn is_zero(&self) -> bool {
        self.0.normalizes_to_zero().into()
    }
}
