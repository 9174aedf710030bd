//! What the same operations cost on plain k256.
//!
//! Owns the points alone, without decoding and hashing, which favours k256.

use k256::elliptic_curve::ops::{LinearCombination, MulByGeneratorVartime, Reduce};
use k256::{FieldBytes, ProjectivePoint, Scalar};

use crate::session::entropy;

pub(crate) struct Library {
    terms: Vec<(ProjectivePoint, Scalar)>,
}

impl Library {
    /// A sum of this many products.
    pub(crate) fn new(products: usize) -> Self {
        let mut entropy = entropy("k256");
        let mut scalar = || <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(entropy.bytes32()));
        let terms = (0..products).map(|_| (ProjectivePoint::mul_by_generator(&scalar()), scalar())).collect();
        Self { terms }
    }

    /// The sum, affine.
    pub(crate) fn sum(&self) -> k256::AffinePoint {
        ProjectivePoint::lincomb_vartime(self.terms.as_slice()).to_affine()
    }

    /// `s·G − e·P`, affine.
    pub(crate) fn verify(&self) -> k256::AffinePoint {
        let (point, scalar) = &self.terms[0];
        ProjectivePoint::mul_by_generator_and_mul_add_vartime(scalar, &scalar.square(), point).to_affine()
    }

    /// Two public nonces, affine.
    pub(crate) fn nonces(&self) -> [k256::AffinePoint; 2] {
        let scalar = &self.terms[0].1;
        [*scalar, scalar.square()].map(|scalar| ProjectivePoint::mul_by_generator(&scalar).to_affine())
    }
}
