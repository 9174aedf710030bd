//! Key aggregation and tweaks.
//!
//! Owns the map from signers' keys to the one key a signature verifies under. Invariant: a [`KeyAggContext`] holds
//! points of the curve only, its aggregate and challenge keys are never infinity, and for Lotus its keys are sorted and
//! distinct. Signing and verification of partial signatures read it; nothing changes it after the tweaks.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Suite;
use super::group::{AffinePoint, Combination, PublicScalar};
use super::hash::{TaggedHash, tagged_hash};
use super::keys::PublicKey;
use super::schnorr::{self, Signature};
use super::taproot::{self, TaprootError};

/// What the aggregate key is changed by before it signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Tweak {
    /// Nothing: the signature verifies under the aggregate key.
    #[default]
    None,
    /// The commitment of a Taproot output whose internal key is the aggregate key.
    Taproot {
        /// The root of the script tree; none for an output that can be spent by its key only.
        merkle_root: Option<[u8; 32]>,
    },
}

/// Why keys cannot be aggregated, or an aggregate cannot be tweaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAggError {
    /// There are no keys.
    Empty,
    /// The key at this position is no point of the curve. Positions count in the order in which the keys were given.
    InvalidKey(usize),
    /// This key occurs twice.
    DuplicateKey(PublicKey),
    /// The key at this position is smaller than the one before it, where sorted keys are required.
    Unsorted(usize),
    /// The aggregate or the tweaked key is the point at infinity.
    Infinity,
    /// The tweak is not below the group order.
    TweakTooLarge,
    /// This suite knows no such tweak, or not a second one after the first.
    TweakUnsupported,
}

impl fmt::Display for KeyAggError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there are no keys to aggregate"),
            Self::InvalidKey(position) => write!(f, "key {position} is not a point of the curve"),
            Self::DuplicateKey(key) => write!(f, "key {key} occurs more than once"),
            Self::Unsorted(position) => write!(f, "key {position} is out of order; the keys must be sorted"),
            Self::Infinity => f.write_str("the resulting key is the point at infinity"),
            Self::TweakTooLarge => f.write_str("the tweak is not below the group order"),
            Self::TweakUnsupported => f.write_str("this tweak cannot be applied to this key"),
        }
    }
}

impl core::error::Error for KeyAggError {}

impl From<TaprootError> for KeyAggError {
    fn from(error: TaprootError) -> Self {
        match error {
            TaprootError::TweakTooLarge => Self::TweakTooLarge,
            // The internal key is an aggregate that was checked; only its sum with the tweak can fail.
            TaprootError::InternalKey | TaprootError::Infinity => Self::Infinity,
        }
    }
}

/// The keys of a set of signers and everything derived from them alone: coefficients, aggregate key, tweaks.
///
/// The index of a signer is its position in [`keys`](Self::keys), which for Lotus is the sorted order.
#[derive(Clone)]
pub struct KeyAggContext {
    suite: Suite,
    // Shared by the contexts of other tweaks.
    keys: Arc<[PublicKey]>,
    points: Arc<[AffinePoint]>,
    coefficients: Arc<[PublicScalar]>,
    aggregate_key: PublicKey,
    challenge_point: AffinePoint,
    challenge_key: PublicKey,
    /// BIP327's `gacc = −1`; always false for Lotus, which negates nothing but the nonce.
    negated: bool,
    /// BIP327's `tacc`; for Lotus the one tweak `t`.
    tweak: PublicScalar,
    tweaked: bool,
}

impl KeyAggContext {
    /// Aggregates `keys`.
    ///
    /// Lotus (Lotus scheme, section 4) sorts the keys and refuses duplicates. BIP340 (BIP327, KeyAgg) keeps the order
    /// it is given, on which the aggregate depends, and takes duplicates; call [`sort_keys`](super::sort_keys) first
    /// where the order must not matter.
    ///
    /// # Errors
    ///
    /// [`KeyAggError::Empty`], [`KeyAggError::InvalidKey`], [`KeyAggError::DuplicateKey`] for Lotus, and
    /// [`KeyAggError::Infinity`], which has no known example.
    pub fn new(suite: Suite, keys: &[PublicKey]) -> Result<Self, KeyAggError> {
        if keys.is_empty() {
            return Err(KeyAggError::Empty);
        }
        // Decoded before they are sorted, so that an error names the position the caller knows.
        let encodings: Vec<_> = keys.iter().map(PublicKey::as_bytes).collect();
        let mut pairs = Vec::with_capacity(keys.len());
        for (position, point) in AffinePoint::decode_all(&encodings).into_iter().enumerate() {
            pairs.push((keys[position], point.ok_or(KeyAggError::InvalidKey(position))?));
        }
        if suite == Suite::Lotus {
            pairs.sort_unstable_by_key(|(key, _)| *key);
            if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(KeyAggError::DuplicateKey(pair[0].0));
            }
        }
        let (keys, points): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let coefficients = coefficients(suite, &keys);
        let mut sum = Combination::new();
        points.iter().zip(&coefficients).for_each(|(point, coefficient)| sum.term(*point, *coefficient));
        let challenge_point = sum.evaluate().to_affine().ok_or(KeyAggError::Infinity)?;
        let aggregate_key = PublicKey::from_point(&challenge_point);
        Ok(Self {
            suite,
            keys: keys.into(),
            points: points.into(),
            coefficients: coefficients.into(),
            aggregate_key,
            challenge_point,
            challenge_key: aggregate_key,
            negated: false,
            tweak: PublicScalar::ZERO,
            tweaked: false,
        })
    }

    /// Applies a tweak.
    ///
    /// A Taproot tweak of BIP341 is BIP327's x-only tweak by the hash of the key as it stands, so it may follow plain
    /// tweaks. The one of Lotus is `C = Q + tG` (Lotus scheme, section 6) and nothing may come before it.
    ///
    /// # Errors
    ///
    /// [`KeyAggError::TweakUnsupported`] for a second tweak of a Lotus key, [`KeyAggError::TweakTooLarge`] and
    /// [`KeyAggError::Infinity`], which have no known example.
    pub fn with_tweak(mut self, tweak: &Tweak) -> Result<Self, KeyAggError> {
        let Tweak::Taproot { merkle_root } = tweak else {
            return Ok(self);
        };
        if self.suite == Suite::Lotus && self.tweaked {
            return Err(KeyAggError::TweakUnsupported);
        }
        let tweak = taproot::tweak_scalar(self.suite, &self.challenge_key, merkle_root.as_ref())?;
        self.add_tweak(tweak, self.suite == Suite::Bip340)?;
        Ok(self)
    }

    /// Applies a plain or x-only tweak (BIP327, ApplyTweak).
    ///
    /// # Errors
    ///
    /// [`KeyAggError::TweakUnsupported`] for Lotus, [`KeyAggError::TweakTooLarge`], [`KeyAggError::Infinity`].
    pub fn apply_tweak(mut self, tweak: &[u8; 32], is_xonly: bool) -> Result<Self, KeyAggError> {
        if self.suite == Suite::Lotus {
            return Err(KeyAggError::TweakUnsupported);
        }
        let tweak = PublicScalar::from_bytes(*tweak).ok_or(KeyAggError::TweakTooLarge)?;
        self.add_tweak(tweak, is_xonly)?;
        Ok(self)
    }

    /// `Q ← ±Q + tG`, negating first if the tweak is x-only and y(Q) is odd (BIP327, ApplyTweak).
    fn add_tweak(&mut self, tweak: PublicScalar, is_xonly: bool) -> Result<(), KeyAggError> {
        let mut base = self.challenge_point;
        if is_xonly && !base.has_even_y() {
            base = base.negate();
            self.negated = !self.negated;
            self.tweak = -self.tweak;
        }
        let mut sum = Combination::new();
        sum.point(base);
        sum.generator(tweak);
        let tweaked = sum.evaluate().to_affine().ok_or(KeyAggError::Infinity)?;
        self.tweak = self.tweak + tweak;
        self.tweaked = true;
        self.challenge_point = tweaked;
        self.challenge_key = PublicKey::from_point(&tweaked);
        Ok(())
    }

    /// The suite the keys were aggregated for.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The signers' keys; a position here is a signer's index everywhere else.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The index of the signer with this key; of the first one where BIP327 allows several.
    #[must_use]
    pub fn index_of(&self, key: &PublicKey) -> Option<usize> {
        self.keys.iter().position(|other| other == key)
    }

    /// The coefficients, 32 bytes big endian, in the order of [`keys`](Self::keys).
    #[must_use]
    pub fn coefficients(&self) -> Vec<[u8; 32]> {
        self.coefficients.iter().copied().map(PublicScalar::to_bytes).collect()
    }

    /// Q: the aggregate of the keys before any tweak.
    #[must_use]
    pub const fn aggregate_key(&self) -> PublicKey {
        self.aggregate_key
    }

    /// C: the key the signature verifies under, after the tweaks. BIP340 verifies under its x alone.
    #[must_use]
    pub const fn challenge_key(&self) -> PublicKey {
        self.challenge_key
    }

    /// Whether a final signature is valid under the challenge key ([`schnorr::verify`], which would decode the key
    /// anew).
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        schnorr::verify_with(self.suite, &self.challenge_key, self.challenge_point, message, signature)
    }

    pub(super) fn point(&self, index: usize) -> AffinePoint {
        self.points[index]
    }

    /// The point behind [`challenge_key`](Self::challenge_key), as signatures verify with it.
    pub(super) fn verification_point(&self) -> AffinePoint {
        self.suite.verification_point(self.challenge_point)
    }

    pub(super) fn coefficient(&self, index: usize) -> PublicScalar {
        self.coefficients[index]
    }

    /// Whether signers use the negation of their secret key: `g·gacc = −1` in BIP327 (Sign), never for Lotus.
    pub(super) fn negates_keys(&self) -> bool {
        match self.suite {
            Suite::Lotus => false,
            Suite::Bip340 => self.negated == self.challenge_point.has_even_y(),
        }
    }

    /// The tweak that the signer at `index` adds, times the challenge, to its partial signature: for Lotus the first in
    /// sorted order adds it (Lotus scheme, section 5), for BIP327 nobody does.
    pub(super) fn signers_tweak(&self, index: usize) -> PublicScalar {
        if self.suite == Suite::Lotus && index == 0 { self.tweak } else { PublicScalar::ZERO }
    }

    /// The tweak that is added, times the challenge, to the sum: `g·tacc` in BIP327 (PartialSigAgg), nothing for Lotus.
    pub(super) fn aggregators_tweak(&self) -> PublicScalar {
        match self.suite {
            Suite::Lotus => PublicScalar::ZERO,
            Suite::Bip340 => self.tweak.negate_if(!self.challenge_point.has_even_y()),
        }
    }
}

impl fmt::Debug for KeyAggContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAggContext")
            .field("suite", &self.suite)
            .field("keys", &self.keys)
            .field("aggregate_key", &self.aggregate_key)
            .field("challenge_key", &self.challenge_key)
            .finish_non_exhaustive()
    }
}

/// `a_i = TH("KeyAgg coefficient", L ‖ P_i)` with `L = TH("KeyAgg list", P_0 ‖ …)`.
///
/// BIP327 gives the second distinct key the coefficient 1; Lotus does not (Lotus scheme, section 4).
fn coefficients(suite: Suite, keys: &[PublicKey]) -> Vec<PublicScalar> {
    let encodings: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let list = tagged_hash("KeyAgg list", &encodings);
    let tagged = TaggedHash::new("KeyAgg coefficient");
    let second = match suite {
        Suite::Lotus => None,
        Suite::Bip340 => keys.iter().find(|key| **key != keys[0]),
    };
    let coefficient = |key: &PublicKey| {
        if Some(key) == second {
            return PublicScalar::ONE;
        }
        PublicScalar::reduce(tagged.of(&[&list, key.as_bytes()]))
    };
    keys.iter().map(coefficient).collect()
}
