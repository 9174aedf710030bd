//! The two signature schemes.
//!
//! Owns every rule in which Lotus and BIP340 differ below key aggregation: which nonce is the signature's, what the key
//! looks like inside hashes, and the challenge. Invariant: a difference between the schemes is a method here or a
//! `match` on [`Suite`] that cites both specifications; there is no third place. Signing, verification and aggregation
//! drive it.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use k256::elliptic_curve::subtle::Choice;
use serde::{Deserialize, Serialize};

use super::comb::Multiple;
use super::group::{self, Point, PublicScalar};
use super::hash::{sha256, tagged_hash};

/// A signature scheme on secp256k1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// The Schnorr signatures of Lotus, and its variant of MuSig2 (Lotus scheme, sections 1 to 6).
    Lotus,
    /// BIP340 signatures, BIP327 MuSig2, BIP341 tweaks.
    Bip340,
}

impl Suite {
    /// Whether a signature whose nonce point has this x means this point and not its negation. Constant time, for a
    /// nonce that signs.
    pub(super) fn accepts_nonce(self, nonce: &Multiple) -> Choice {
        match self {
            Self::Lotus => nonce.has_square_y(),
            Self::Bip340 => nonce.has_even_y(),
        }
    }

    /// The same for a point that is public.
    pub(super) fn accepts_public_nonce(self, point: &group::AffinePoint) -> bool {
        match self {
            Self::Lotus => point.has_square_y(),
            Self::Bip340 => point.has_even_y(),
        }
    }

    /// Whether `r` is the x coordinate of this point, and the point is the one that such a signature means.
    pub(super) fn accepts_verified_nonce(self, point: &Point, r: &[u8; 32]) -> bool {
        // Comparing x first leaves the inversion of BIP340 to signatures that are valid, or as good as.
        point.has_x(r)
            && match self {
                Self::Lotus => point.has_square_y(),
                Self::Bip340 => point.to_affine().is_some_and(|point| point.has_even_y()),
            }
    }

    /// For each x the one point that a signature means.
    pub(super) fn lift_nonces(self, x: &[&[u8; 32]]) -> Vec<Option<group::AffinePoint>> {
        let points = group::AffinePoint::lift_all(x).into_iter();
        match self {
            Self::Lotus => points.collect(),
            Self::Bip340 => points.map(|point| point.map(|point| self.verification_point(point))).collect(),
        }
    }

    /// The point that signatures under a key verify with: with an even y for BIP340, whatever the prefix of the key
    /// says.
    pub(super) fn verification_point(self, point: group::AffinePoint) -> group::AffinePoint {
        match self {
            Self::Bip340 if !point.has_even_y() => point.negate(),
            Self::Lotus | Self::Bip340 => point,
        }
    }

    /// The key as it enters hashes: all 33 bytes for Lotus, x alone for BIP340.
    pub(super) fn hashed_key(self, key: &[u8; 33]) -> &[u8] {
        match self {
            Self::Lotus => key,
            Self::Bip340 => &key[1..],
        }
    }

    /// `e` of the Lotus scheme, section 1, or of BIP340: untagged for Lotus, tagged for BIP340.
    pub(super) fn challenge(self, r: &[u8; 32], key: &[u8; 33], message: &[u8]) -> PublicScalar {
        let parts = [r.as_slice(), self.hashed_key(key), message];
        let hash = match self {
            Self::Lotus => sha256(&parts),
            Self::Bip340 => tagged_hash("BIP0340/challenge", &parts),
        };
        PublicScalar::reduce(hash)
    }

    /// Lotus signs digests of 32 bytes and nothing else; BIP340 takes any length.
    pub(super) fn accepts_message(self, message: &[u8]) -> bool {
        match self {
            Self::Lotus => message.len() == 32,
            Self::Bip340 => true,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lotus => "lotus",
            Self::Bip340 => "bip340",
        })
    }
}

/// The text names no suite; the suites are `lotus` and `bip340`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSuite;

impl fmt::Display for UnknownSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown suite; expected lotus or bip340")
    }
}

impl core::error::Error for UnknownSuite {}

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(text: &str) -> Result<Self, UnknownSuite> {
        match text {
            "lotus" => Ok(Self::Lotus),
            "bip340" => Ok(Self::Bip340),
            _ => Err(UnknownSuite),
        }
    }
}
