//! The second round: partial signatures and their sum.
//!
//! Owns everything that is fixed once the nonces are known. Invariants: a secret nonce that comes in is spent, whatever
//! the outcome; no signature leaves [`combine`] that does not verify. Signers drive `partial_sign`; sessions drive the
//! rest.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::group::{AffinePoint, Combination, PublicScalar};
use super::hash::tagged_hash;
use super::key_aggregation::KeyAggContext;
use super::keys::{PublicKey, SecretKey};
use super::nonce::{self, AggregateNonce, NonceError, PublicNonce, SecretNonce, Sums};
use super::schnorr::Signature;
use super::text::plain_bytes;
use super::weights::Weights;
use super::{Suite, curve};

plain_bytes! {
    /// One signer's share of a signature: a scalar, 32 bytes big endian.
    PartialSignature, 32
}

/// One signing round: keys, nonces and message are fixed, and with them the nonce coefficient, R and the challenge.
#[derive(Clone)]
pub struct SigningContext {
    suite: Suite,
    challenge_key: PublicKey,
    message: Vec<u8>,
    aggregate_nonce: AggregateNonce,
    /// The signers' nonces with their points, if the round was opened with them.
    nonces: Vec<(PublicNonce, [AffinePoint; 2])>,
    /// `b`.
    nonce_coefficient: PublicScalar,
    /// `R = R₁ + b·R₂`, or G where that is infinity (BIP327, GetSessionValues).
    nonce_point: AffinePoint,
    /// Whether the signature means −R, so that every signer negates its nonce.
    negates_nonces: bool,
    /// `e`.
    challenge: PublicScalar,
}

impl SigningContext {
    /// Opens a round with an aggregate nonce.
    ///
    /// For Lotus (Lotus scheme, section 5) the message has 32 bytes and infinity is an error wherever it arises. For
    /// BIP340 (BIP327, GetSessionValues) the message has any length, each half of the aggregate nonce may be infinity,
    /// and an R at infinity is replaced by G, so that the round runs on and the final verification fails.
    ///
    /// # Errors
    ///
    /// [`NonceError::MessageLength`], [`NonceError::InvalidAggregate`], and for Lotus [`NonceError::Infinity`].
    pub fn new(keys: &KeyAggContext, aggregate_nonce: &AggregateNonce, message: &[u8]) -> Result<Self, NonceError> {
        let sums = nonce::aggregate_points(aggregate_nonce).ok_or(NonceError::InvalidAggregate)?;
        Self::open(keys, sums, *aggregate_nonce, message)
    }

    /// Opens a round with the public nonces of all signers, in the order of the keys.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`NonceError::Count`] and [`NonceError::Invalid`].
    pub fn from_nonces(keys: &KeyAggContext, nonces: &[PublicNonce], message: &[u8]) -> Result<Self, NonceError> {
        if nonces.len() != keys.keys().len() {
            return Err(NonceError::Count { expected: keys.keys().len(), found: nonces.len() });
        }
        let points = nonce::decode_nonces(nonces)?;
        let sums = nonce::sum_nonces(&points);
        let mut round = Self::open(keys, sums, nonce::encode_aggregate(&sums), message)?;
        round.nonces = nonces.iter().copied().zip(points).collect();
        Ok(round)
    }

    fn open(
        keys: &KeyAggContext,
        [first, second]: Sums,
        aggregate_nonce: AggregateNonce,
        message: &[u8],
    ) -> Result<Self, NonceError> {
        let suite = keys.suite();
        if !suite.accepts_message(message) {
            return Err(NonceError::MessageLength(message.len()));
        }
        if suite == Suite::Lotus && (first.is_none() || second.is_none()) {
            return Err(NonceError::Infinity);
        }
        let challenge_key = keys.challenge_key();
        let nonce_coefficient = nonce_coefficient(suite, &challenge_key, &aggregate_nonce, message);
        let mut sum = Combination::new();
        first.into_iter().for_each(|first| sum.point(first));
        second.into_iter().for_each(|second| sum.term(second, nonce_coefficient));
        let nonce_point = match (suite, sum.evaluate().to_affine()) {
            (_, Some(point)) => point,
            (Suite::Lotus, None) => return Err(NonceError::Infinity),
            (Suite::Bip340, None) => AffinePoint::generator(),
        };
        Ok(Self {
            suite,
            challenge_key,
            message: message.to_vec(),
            aggregate_nonce,
            nonces: Vec::new(),
            nonce_coefficient,
            negates_nonces: !suite.accepts_public_nonce(&nonce_point),
            challenge: suite.challenge(&nonce_point.x_bytes(), challenge_key.as_bytes(), message),
            nonce_point,
        })
    }

    /// The message that is signed.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The sum of the public nonces.
    #[must_use]
    pub const fn aggregate_nonce(&self) -> AggregateNonce {
        self.aggregate_nonce
    }

    /// The key the signature will verify under.
    #[must_use]
    pub const fn challenge_key(&self) -> PublicKey {
        self.challenge_key
    }

    /// The first half of the final signature: x of R.
    #[must_use]
    pub fn signature_nonce(&self) -> [u8; 32] {
        self.nonce_point.x_bytes()
    }

    /// `b`, as vectors give it.
    #[must_use]
    pub fn nonce_coefficient(&self) -> [u8; 32] {
        self.nonce_coefficient.to_bytes()
    }

    /// `e`, as vectors give it.
    #[must_use]
    pub fn challenge(&self) -> [u8; 32] {
        self.challenge.to_bytes()
    }

    pub(super) fn belongs_to(&self, keys: &KeyAggContext) -> bool {
        self.suite == keys.suite() && self.challenge_key == keys.challenge_key()
    }

    /// The points of a signer's nonce, decoded once where the round was opened with this very nonce.
    pub(super) fn points_of(&self, index: usize, nonce: &PublicNonce) -> Option<[AffinePoint; 2]> {
        match self.nonces.get(index) {
            Some((known, points)) if known == nonce => Some(*points),
            _ => nonce::nonce_points(nonce),
        }
    }

    /// Adds `w·((s − e·t)·G − (±e·a)·P − (±1)·(R₁ + b·R₂))` of the signer at `index`, with t for the one signer that
    /// adds it: infinity if the partial signature is right (BIP327, PartialSigVerify).
    pub(super) fn add_error(&self, sum: &mut Combination<'_>, keys: &KeyAggContext, claim: &Claim, weight: u128) {
        let w = PublicScalar::from_u128(weight);
        let Claim { index, s, nonce: [first, second] } = *claim;
        let key_factor = (self.challenge * keys.coefficient(index)).negate_if(!keys.negates_keys());
        sum.generator(w * (s - self.challenge * keys.signers_tweak(index)));
        sum.term(keys.point(index), w * key_factor);
        let first = if self.negates_nonces { first } else { first.negate() };
        if weight == 1 {
            sum.point(first)
        } else {
            sum.short_term(first, weight)
        }
        sum.term(second, (w * self.nonce_coefficient).negate_if(!self.negates_nonces));
    }

    /// Adds `w·(s·G − R)`: together with `−w·e·C` infinity if s is the second half of the final signature.
    fn add_final_error(&self, sum: &mut Combination<'_>, s: PublicScalar, weight: u128) {
        sum.generator(PublicScalar::from_u128(weight) * s);
        let nonce = if self.negates_nonces { self.nonce_point } else { self.nonce_point.negate() };
        if weight == 1 { sum.point(nonce) } else { sum.short_term(nonce, weight) }
    }

    /// The final signature with this second half.
    fn signature(&self, s: PublicScalar) -> Signature {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.signature_nonce());
        bytes[32..].copy_from_slice(&s.to_bytes());
        Signature::from_bytes(bytes)
    }
}

/// What a signer claims: that this scalar is its share, under this nonce.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) index: usize,
    pub(super) s: PublicScalar,
    pub(super) nonce: [AffinePoint; 2],
}

impl fmt::Debug for SigningContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningContext")
            .field("suite", &self.suite)
            .field("challenge_key", &self.challenge_key)
            .field("aggregate_nonce", &self.aggregate_nonce)
            .finish_non_exhaustive()
    }
}

/// `TH("MuSig/noncecoef", …)`: the aggregate nonce before the key in BIP327, the key before it in Lotus
/// (Lotus scheme, section 5).
fn nonce_coefficient(suite: Suite, key: &PublicKey, nonce: &AggregateNonce, message: &[u8]) -> PublicScalar {
    let key = suite.hashed_key(key.as_bytes());
    let nonce = nonce.as_bytes().as_slice();
    let parts = match suite {
        Suite::Lotus => [key, nonce, message],
        Suite::Bip340 => [nonce, key, message],
    };
    PublicScalar::reduce(tagged_hash("MuSig/noncecoef", &parts))
}

/// Why no partial signature was made. The nonce is spent all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignError {
    /// The nonce was drawn for another key.
    NonceOfAnotherKey,
    /// The key is not among the signers.
    NotASigner,
    /// The round was opened for other keys or another tweak.
    RoundOfOtherKeys,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NonceOfAnotherKey => "the nonce was drawn for another key",
            Self::NotASigner => "the key is not among the signers",
            Self::RoundOfOtherKeys => "the signing round was opened for other keys",
        })
    }
}

impl core::error::Error for SignError {}

/// Makes one partial signature (Lotus scheme, section 5; BIP327, Sign) and spends the nonce.
///
/// The result is not verified here, which BIP327 leaves to the implementation: the session verifies the final signature
/// before anyone sees it and verifies the partial ones, its own included, when that fails.
///
/// # Errors
///
/// [`SignError`]; the nonce is wiped in every case.
pub fn partial_sign(
    nonce: SecretNonce,
    secret_key: &SecretKey,
    keys: &KeyAggContext,
    round: &SigningContext,
) -> Result<PartialSignature, SignError> {
    let public_key = secret_key.public_key();
    if nonce.public_key() != public_key {
        return Err(SignError::NonceOfAnotherKey);
    }
    if !round.belongs_to(keys) {
        return Err(SignError::RoundOfOtherKeys);
    }
    let index = keys.index_of(&public_key).ok_or(SignError::NotASigner)?;
    let [k1, k2] = nonce.scalars();
    // Scalars do not wipe themselves, so every value that depends on a secret is held by something that does.
    let bound = Zeroizing::new(round.nonce_coefficient.for_secret_arithmetic() * k2);
    let k = Zeroizing::new(*k1 + *bound);
    let k = curve::negate_if(u8::from(round.negates_nonces).into(), &k);
    let d = curve::negate_if(u8::from(keys.negates_keys()).into(), secret_key.scalar());
    let weight = round.challenge * keys.coefficient(index);
    let weighted = Zeroizing::new(weight.for_secret_arithmetic() * &*d);
    let tweak = round.challenge * keys.signers_tweak(index);
    let s = *k + *weighted + tweak.for_secret_arithmetic();
    Ok(PartialSignature::from_bytes(curve::encode_scalar(&s)))
}

/// Why partial signatures do not make a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CombineError {
    /// The number of partial signatures is not the number of keys.
    Count {
        /// How many keys there are.
        expected: usize,
        /// How many partial signatures were given.
        found: usize,
    },
    /// The partial signature of the signer at this index is not below the group order. That signer is at fault.
    OutOfRange {
        /// The signer's index.
        signer: usize,
    },
    /// The round was opened for other keys or another tweak.
    RoundOfOtherKeys,
    /// The sum does not verify; at least one of the partial signatures, or an aggregate nonce, is wrong.
    Invalid,
}

impl CombineError {
    /// The index of the signer that is at fault, where that is known.
    #[must_use]
    pub const fn culprit(&self) -> Option<usize> {
        match self {
            Self::OutOfRange { signer } => Some(*signer),
            Self::Count { .. } | Self::RoundOfOtherKeys | Self::Invalid => None,
        }
    }
}

impl fmt::Display for CombineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { expected, found } => write!(f, "{found} partial signatures for {expected} signers"),
            Self::OutOfRange { signer } => write!(f, "the partial signature of signer {signer} is out of range"),
            Self::RoundOfOtherKeys => f.write_str("the signing round was opened for other keys"),
            Self::Invalid => f.write_str("the combined signature does not verify"),
        }
    }
}

impl core::error::Error for CombineError {}

/// Sums partial signatures, in the order of the keys, and verifies the result (Lotus scheme, section 5; BIP327,
/// PartialSigAgg).
///
/// # Errors
///
/// [`CombineError`]; a signature that does not verify is never returned.
pub fn combine(
    keys: &KeyAggContext,
    round: &SigningContext,
    partials: &[PartialSignature],
) -> Result<Signature, CombineError> {
    let s = sum(keys, round, partials)?;
    // Verification, with what the round knows already: s·G − e·C is the R that a signature with this x means.
    let mut error = Combination::new();
    round.add_final_error(&mut error, s, 1);
    error.term(keys.verification_point(), -round.challenge);
    if !error.evaluate().is_infinity() {
        return Err(CombineError::Invalid);
    }
    Ok(round.signature(s))
}

/// Sums the partial signatures of several rounds, and verifies all results together: one multiplication of many points,
/// which a wrong signature passes with a probability of 2⁻¹²⁸. `entropy` is as in
/// [`verify_partials`](super::verify_partials).
///
/// # Errors
///
/// Which of the rounds [`combine`] gives no signature for, in order; none is returned then.
pub fn combine_many(
    rounds: &[(&KeyAggContext, &SigningContext, &[PartialSignature])],
    entropy: &[u8; 32],
) -> Result<Vec<Signature>, Vec<usize>> {
    let sums: Option<Vec<PublicScalar>> =
        rounds.iter().map(|(keys, round, partials)| sum(keys, round, partials).ok()).collect();
    if let Some(sums) = sums {
        let mut weights = Weights::new("nelumbo/batch/sums");
        weights.absorb(entropy);
        for ((_, round, _), s) in rounds.iter().zip(&sums) {
            weights.absorb(&round.challenge());
            weights.absorb(&round.signature_nonce());
            weights.absorb(round.challenge_key.as_bytes());
            weights.absorb(&s.to_bytes());
        }
        let mut error = Combination::new();
        let mut challenges = BTreeMap::new();
        for (((keys, round, _), s), weight) in rounds.iter().zip(&sums).zip(weights.finish(sums.len())) {
            let w = PublicScalar::from_u128(weight);
            round.add_final_error(&mut error, *s, weight);
            // Rounds under one key share its term.
            let challenge = challenges.entry(round.challenge_key).or_insert((keys, PublicScalar::ZERO));
            challenge.1 = challenge.1 + w * round.challenge;
        }
        for (keys, challenge) in challenges.into_values() {
            error.term(keys.verification_point(), -challenge);
        }
        if error.evaluate().is_infinity() {
            return Ok(rounds.iter().zip(sums).map(|((_, round, _), s)| round.signature(s)).collect());
        }
    }
    let wrong =
        rounds.iter().enumerate().filter(|(_, (keys, round, partials))| combine(keys, round, partials).is_err());
    Err(wrong.map(|(place, _)| place).collect())
}

fn sum(
    keys: &KeyAggContext,
    round: &SigningContext,
    partials: &[PartialSignature],
) -> Result<PublicScalar, CombineError> {
    if !round.belongs_to(keys) {
        return Err(CombineError::RoundOfOtherKeys);
    }
    if partials.len() != keys.keys().len() {
        return Err(CombineError::Count { expected: keys.keys().len(), found: partials.len() });
    }
    let mut s = round.challenge * keys.aggregators_tweak();
    for (signer, partial) in partials.iter().enumerate() {
        s = s + PublicScalar::from_bytes(partial.to_bytes()).ok_or(CombineError::OutOfRange { signer })?;
    }
    Ok(s)
}
