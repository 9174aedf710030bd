//! The group law of secp256k1 for public data. **VARIABLE TIME, PUBLIC DATA ONLY.**
//!
//! Everything here branches, indexes and stops early by the values it is given: whoever can time it learns them. That
//! is what makes it fast, and it is harmless where the values are public already: keys, public nonces, signatures,
//! challenges, coefficients, tweaks. Verification and key aggregation are made of nothing else and drive this module.
//!
//! Owns point and scalar types of its own, so that no secret arrives by mistake. Invariant: a [`PublicScalar`] is made
//! from plain bytes, from a small integer, or from other public scalars, and an [`AffinePoint`] from its encoding or
//! from other public points; there is no way in from a secret key, a secret nonce, or the library's scalar, which may
//! hold one. The way out, from a public scalar to constant-time arithmetic with a secret, is open inside the crate.
//!
//! ```compile_fail
//! use nelumbo_crypto::{SecretKey, group::PublicScalar};
//! fn leak(key: &SecretKey) -> PublicScalar {
//!     PublicScalar::from(key) // a secret key is no public scalar
//! }
//! ```
//!
//! Bytes are taken by value, so a wrapper that wipes itself does not turn into plain bytes unseen:
//!
//! ```compile_fail
//! use nelumbo_crypto::{SecretKey, group::PublicScalar};
//! fn leak(key: &SecretKey) -> Option<PublicScalar> {
//!     PublicScalar::from_bytes(key.expose_secret_bytes_for_storage())
//! }
//! ```
//!
//! ```compile_fail
//! use nelumbo_crypto::{SecretKey, group::PublicScalar};
//! fn leak(key: &SecretKey) -> Option<PublicScalar> {
//!     PublicScalar::from_bytes(&key.expose_secret_bytes_for_storage())
//! }
//! ```
//!
//! ```compile_fail
//! use nelumbo_crypto::{SecretNonce, group::{Combination, Point}};
//! fn leak(nonce: &SecretNonce) -> Point {
//!     let mut sum = Combination::new();
//!     sum.generator(nonce); // a secret nonce is no public scalar
//!     sum.evaluate()
//! }
//! ```
//!
//! ```compile_fail
//! fn leak(secret: k256::Scalar) -> nelumbo_crypto::group::PublicScalar {
//!     secret.into() // the library's scalar may be a secret
//! }
//! ```
//!
//! What is allowed, and computes `5·G + 3·G − 8·G`:
//!
//! ```
//! use nelumbo_crypto::group::{AffinePoint, Combination, PublicScalar};
//! let mut sum = Combination::new();
//! sum.generator(PublicScalar::from_u128(5));
//! sum.term(AffinePoint::generator(), PublicScalar::from_u128(3));
//! sum.term(AffinePoint::generator().negate(), PublicScalar::from_u128(8));
//! assert!(sum.evaluate().is_infinity());
//! ```
//!
//! From the bottom up: `field` (numbers modulo p), `point` (the group law), `scalar` and `recode` (the endomorphism and
//! signed digits), `table` (multiples kept for later), and three ways to sum many products: `straus` for few terms,
//! `batch` for more, `pippenger` for most. [`Combination`] picks one by the number of terms; where one overtakes
//! another was measured (docs, performance).

mod batch;
mod combination;
mod field;
mod pippenger;
mod point;
mod recode;
mod scalar;
mod straus;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use batch::sums;
pub use combination::Combination;
pub use point::{AffinePoint, Point};
pub use scalar::PublicScalar;
pub use table::PreparedPoint;
