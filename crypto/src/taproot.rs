//! Commitments of a key to scripts: Lotus Taproot and BIP341.
//!
//! Owns leaf and branch hashes, which are the same in both, and the tweak, which is not. Invariant: every tweak that
//! leaves this file is below the group order. Key aggregation drives the tweak; wallets that sign alone drive the rest.

use core::cmp::{max, min};
use core::fmt;

use zeroize::Zeroizing;

use super::group::{AffinePoint, Combination, PublicScalar};
use super::hash::tagged_hash;
use super::keys::{PublicKey, SecretKey};
use super::{Suite, curve};

/// The only leaf version that Lotus consensus and BIP342 know.
pub const LEAF_VERSION: u8 = 0xc0;

/// The deepest tree that either consensus knows: a control block has at most 128 siblings.
pub const MAX_DEPTH: usize = 128;

/// Why a key cannot commit to a script tree. The last two cannot be reached by searching for inputs in practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaprootError {
    /// The internal key is no point of the curve.
    InternalKey,
    /// The tweak hash is not below the group order.
    TweakTooLarge,
    /// The tweaked key is infinity, or the tweaked secret zero.
    Infinity,
}

impl fmt::Display for TaprootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InternalKey => "the internal key is not a point of the curve",
            Self::TweakTooLarge => "the tweak is not below the group order",
            Self::Infinity => "the tweaked key is the point at infinity",
        })
    }
}

impl core::error::Error for TaprootError {}

/// The hash of one script in the tree: `TH("TapLeaf", version ‖ compactsize(len) ‖ script)` (BIP341; Lotus scheme,
/// section 6).
///
/// It is the root of the tree in which this script is the only one, such as that of a key with one way to recover.
#[must_use]
pub fn leaf_hash(version: u8, script: &[u8]) -> [u8; 32] {
    let mut length = [0; 9];
    let length = super::transaction::compact_size(&mut length, script.len() as u64);
    tagged_hash("TapLeaf", &[&[version], length, script])
}

/// The hash of two subtrees, the smaller one first.
#[must_use]
pub fn branch_hash(one: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    tagged_hash("TapBranch", &[min(one, other), max(one, other)])
}

/// The root of the tree in which a leaf has these siblings, from the leaf upwards.
#[must_use]
pub fn merkle_root(leaf: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    path.iter().fold(leaf, |node, sibling| branch_hash(&node, sibling))
}

/// The tweak `t` of an internal key, 32 bytes big endian and below the group order.
///
/// Lotus hashes the 33-byte key, and 32 zero bytes where there is no script tree (Lotus scheme, section 6); BIP341
/// hashes x alone, and no root at all.
///
/// # Errors
///
/// [`TaprootError::TweakTooLarge`].
pub fn tweak(suite: Suite, internal: &PublicKey, merkle_root: Option<&[u8; 32]>) -> Result<[u8; 32], TaprootError> {
    tweak_scalar(suite, internal, merkle_root).map(PublicScalar::to_bytes)
}

/// The output key: `P + tG` for Lotus with the parity that results, `lift_x(P) + tG` for BIP341.
///
/// # Errors
///
/// Every [`TaprootError`].
pub fn output_key(
    suite: Suite,
    internal: &PublicKey,
    merkle_root: Option<&[u8; 32]>,
) -> Result<PublicKey, TaprootError> {
    let base = match suite {
        Suite::Lotus => internal.point(),
        Suite::Bip340 => AffinePoint::lift_even(&internal.x_only()),
    };
    add(base.ok_or(TaprootError::InternalKey)?, tweak_scalar(suite, internal, merkle_root)?)
}

/// `P + tG` on the full point, whatever its parity: how Lotus applies a tweak that is already known.
///
/// # Errors
///
/// Every [`TaprootError`].
pub fn add_tweak(key: &PublicKey, tweak: &[u8; 32]) -> Result<PublicKey, TaprootError> {
    let tweak = PublicScalar::from_bytes(*tweak).ok_or(TaprootError::TweakTooLarge)?;
    add(key.point().ok_or(TaprootError::InternalKey)?, tweak)
}

fn add(base: AffinePoint, tweak: PublicScalar) -> Result<PublicKey, TaprootError> {
    let mut sum = Combination::new();
    sum.point(base);
    sum.generator(tweak);
    sum.evaluate().to_affine().map(|point| PublicKey::from_point(&point)).ok_or(TaprootError::Infinity)
}

/// The secret key of [`output_key`], for one signer spending by the key path.
///
/// Lotus adds the tweak to the key as it is; BIP341 first negates a key whose point has an odd y.
///
/// # Errors
///
/// [`TaprootError::TweakTooLarge`] and [`TaprootError::Infinity`].
pub fn tweak_secret_key(
    suite: Suite,
    key: &SecretKey,
    merkle_root: Option<&[u8; 32]>,
) -> Result<SecretKey, TaprootError> {
    let public_key = key.public_key();
    let tweak = tweak_scalar(suite, &public_key, merkle_root)?;
    let negate = match suite {
        Suite::Lotus => 0,
        Suite::Bip340 => public_key.as_bytes()[0] & 1,
    };
    let base = curve::negate_if(negate.into(), key.scalar());
    let sum = Zeroizing::new(*base + tweak.for_secret_arithmetic());
    SecretKey::from_scalar(&sum).map_err(|_| TaprootError::Infinity)
}

pub(super) fn tweak_scalar(
    suite: Suite,
    internal: &PublicKey,
    merkle_root: Option<&[u8; 32]>,
) -> Result<PublicScalar, TaprootError> {
    let key = suite.hashed_key(internal.as_bytes());
    let hash = match (suite, merkle_root) {
        (_, Some(root)) => tagged_hash("TapTweak", &[key, root]),
        (Suite::Lotus, None) => tagged_hash("TapTweak", &[key, &[0; 32]]),
        (Suite::Bip340, None) => tagged_hash("TapTweak", &[key]),
    };
    PublicScalar::from_bytes(hash).ok_or(TaprootError::TweakTooLarge)
}
