//! What is asked of whoever holds a secret key.
//!
//! Owns the two traits: a [`MessageSigner`] says that a message is its author's, at once; a [`Signer`] makes one
//! signer's share of the sessions' signatures, and can be a device. Invariants of every signer: a slot yields one
//! public nonce and at most one partial signature for each item, ever; a secret nonce never leaves the signer.
//! `software` has both for a key in memory.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::keys::PublicKey;
use super::nonce::PublicNonce;
use super::schnorr::Signature;
use super::signing::PartialSignature;
use super::verifier::Verifier;

/// The one place in all of a signer's life where a nonce is used: an attempt of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NonceSlot {
    /// The session's id.
    pub session: [u8; 32],
    /// Which attempt of the session; each draws new nonces.
    pub attempt: u32,
}

/// Why a signer refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SignerError {
    /// The slot has had its nonce, for something else or before it was forgotten.
    SlotServed,
    /// The slot's nonce was used, by a signature in another round or by an attempt at one that failed.
    NonceSpent,
    /// The slot has no nonce: none was drawn, or it was forgotten.
    NoNonce,
    /// As many nonces are open as the signer holds.
    TooManyNonces,
    /// The signer's key is not among the keys of the session.
    NotASigner,
    /// The round is not the one the nonce was drawn for: another key or another message.
    RoundMismatch,
    /// The person or the policy behind the signer said no.
    Declined,
    /// The signer cannot be reached, or its source of entropy has failed.
    Unavailable,
}

impl SignerError {
    /// Whether the same signer may well do it in the session's next attempt: it is back, or a new slot is all it takes.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        match self {
            Self::SlotServed | Self::NonceSpent | Self::NoNonce | Self::TooManyNonces | Self::Unavailable => true,
            Self::NotASigner | Self::RoundMismatch | Self::Declined => false,
        }
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SlotServed => "this attempt has had its nonce",
            Self::NonceSpent => "the nonce of this attempt is spent",
            Self::NoNonce => "this attempt has no nonce",
            Self::TooManyNonces => "too many nonces are open",
            Self::NotASigner => "the signer's key is not in this session",
            Self::RoundMismatch => "the signing round is not the one the nonce was drawn for",
            Self::Declined => "the signer declined",
            Self::Unavailable => "the signer is unavailable",
        })
    }
}

impl core::error::Error for SignerError {}

/// Signs the messages of one author, at once.
pub trait MessageSigner {
    /// The key that the signatures verify under.
    fn public_key(&self) -> PublicKey;

    /// Signs the digest of a message.
    ///
    /// # Errors
    ///
    /// [`SignerError::Unavailable`], when it cannot now.
    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError>;
}

/// The secret half of the sessions' cryptography: one key, and the nonces drawn for it.
///
/// It is asked by whoever drives a node, never by the node.
pub trait Signer<V: Verifier> {
    /// The key of this signer.
    fn public_key(&self) -> PublicKey;

    /// Draws the nonces of a slot, one for each item, which is keys and a message, and returns their public halves.
    /// Asked again for the same items while the nonces are open, it returns the same.
    ///
    /// # Errors
    ///
    /// [`SignerError::SlotServed`] for a slot that has had its nonces, [`SignerError::TooManyNonces`],
    /// [`SignerError::NotASigner`], and what a device may say.
    fn nonces(&mut self, slot: NonceSlot, items: &[(&V::Keys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError>;

    /// Signs each item with its nonce of a slot, and spends them all whatever the outcome. Asked again for the same
    /// rounds it returns the same partial signatures, while they are remembered.
    ///
    /// # Errors
    ///
    /// [`SignerError::NonceSpent`] for other rounds, [`SignerError::NoNonce`] if there are none,
    /// [`SignerError::RoundMismatch`] for rounds of other keys, other messages or another number of items, and what a
    /// device may say.
    fn sign(&mut self, slot: NonceSlot, items: &[(&V::Keys, &V::Round)]) -> Result<Vec<PartialSignature>, SignerError>;

    /// Wipes the nonces of a slot that will not be signed. The slot stays served.
    fn forget(&mut self, slot: NonceSlot);

    /// Wipes all nonces that are open: the node that they were drawn for has begun anew.
    fn forget_all(&mut self);
}
