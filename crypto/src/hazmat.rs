//! Nonces that are not drawn from entropy. For test vectors; each function here loses the secret key when misused.
//!
//! Owns the ways around [`generate_nonce`](super::generate_nonce). Invariant: nothing here is re-exported, so that a
//! use always carries the word `hazmat`. Nothing in this workspace but tests drives it.

use core::fmt;

use k256::Scalar;
use zeroize::{Zeroize, Zeroizing};

use super::hash::tagged_hash;
use super::key_aggregation::KeyAggContext;
use super::keys::{PublicKey, SecretKey};
use super::nonce::{self, AggregateNonce, PublicNonce, SecretNonce};
use super::signing::{PartialSignature, SignError, SigningContext, partial_sign};
use super::{Suite, curve};

pub use super::nonce::NonceInput;

/// BIP327, NonceGen, with randomness that the caller gives.
#[must_use]
pub fn nonce_from_given_randomness(input: &NonceInput<'_>) -> (SecretNonce, PublicNonce) {
    nonce::derive_nonce(input)
}

/// A secret nonce from its two scalars. None unless both are in 1..n.
#[must_use]
pub fn nonce_from_given_scalars(scalars: [&[u8; 32]; 2], public_key: PublicKey) -> Option<(SecretNonce, PublicNonce)> {
    let [first, second] = scalars.map(curve::decode_scalar);
    let scalars = Zeroizing::new([first?, second?]);
    let nonce = SecretNonce::from_scalars(&scalars, public_key)?;
    let public_nonce = nonce.public_nonce();
    Some((nonce, public_nonce))
}

/// The two scalars of a secret nonce. Whoever sees them and the partial signature has the secret key.
#[must_use]
pub fn scalars_of_nonce(nonce: &SecretNonce) -> Zeroizing<[[u8; 32]; 2]> {
    Zeroizing::new(nonce.scalars().each_ref().map(curve::encode_scalar))
}

/// Why [`deterministic_sign`] made no partial signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeterministicSignError {
    /// Lotus has no deterministic signing (Lotus scheme, section 2).
    SuiteUnsupported,
    /// The aggregate of the others' nonces is not two points of the curve.
    OtherNonces,
    /// As for any partial signature.
    Sign(SignError),
}

impl fmt::Display for DeterministicSignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SuiteUnsupported => f.write_str("Lotus has no deterministic signing"),
            Self::OtherNonces => f.write_str("the aggregate of the other signers' nonces is invalid"),
            Self::Sign(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DeterministicSignError {}

/// BIP327, DeterministicSign: the last signer derives its nonce from everyone else's, and needs no randomness for it.
///
/// # Errors
///
/// [`DeterministicSignError`].
pub fn deterministic_sign(
    secret_key: &SecretKey,
    others: &AggregateNonce,
    keys: &KeyAggContext,
    message: &[u8],
    randomness: Option<&[u8; 32]>,
) -> Result<(PublicNonce, PartialSignature), DeterministicSignError> {
    if keys.suite() == Suite::Lotus {
        return Err(DeterministicSignError::SuiteUnsupported);
    }
    // Infinity is refused here, other than in an aggregate of all nonces (BIP327, NonceAgg takes points only).
    let theirs =
        nonce::nonce_points(&PublicNonce::from_bytes(others.to_bytes())).ok_or(DeterministicSignError::OtherNonces)?;
    let mut seed = secret_key.expose_secret_bytes_for_storage();
    if let Some(randomness) = randomness {
        *seed = nonce::mask_secret(&seed, randomness);
    }
    let length = (message.len() as u64).to_be_bytes();
    let challenge_key = keys.challenge_key().x_only();
    let mut scalars = Zeroizing::new([Scalar::ZERO; 2]);
    for (index, scalar) in (0..).zip(scalars.iter_mut()) {
        let parts: [&[u8]; 6] = [&seed[..], others.as_bytes(), &challenge_key, &length, message, &[index]];
        let mut hash = tagged_hash("MuSig/deterministic/nonce", &parts);
        *scalar = curve::reduce_scalar(&hash);
        hash.zeroize();
    }
    let nonce = SecretNonce::from_scalars(&scalars, secret_key.public_key())
        .expect("a nonce of zero would reveal the key; SHA-256 gives one with probability 2⁻²⁵⁶");
    let public_nonce = nonce.public_nonce();
    let ours = nonce::nonce_points(&public_nonce).expect("the nonce was encoded from two points");
    let sums = nonce::encode_aggregate(&nonce::sum_nonces(&[theirs, ours]));
    let round = SigningContext::new(keys, &sums, message)
        .expect("for BIP340 every aggregate nonce and every message opens a round");
    let partial = partial_sign(nonce, secret_key, keys, &round).map_err(DeterministicSignError::Sign)?;
    Ok((public_nonce, partial))
}
