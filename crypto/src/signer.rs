//! What the machines ask of whoever holds the secret key.
//!
//! Owns the trait, so that a hardware wallet can be a signer, and the signer in software. Invariants: a slot yields one
//! public nonce and at most one partial signature for each item, ever; a secret nonce never leaves the signer; what is open is
//! bounded. The session machine drives it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Suite;
use super::key_aggregation::KeyAggContext;
use super::keys::{PublicKey, SecretKey};
use super::nonce::{PublicNonce, SecretNonce, generate_nonce};
use super::schnorr::{self, Signature};
use super::signing::{PartialSignature, SignError, SigningContext, partial_sign};
use super::verifier::{Secp256k1, Verifier};
use crate::{Entropy, scrubbed};

/// The one place in all of a signer's life where a nonce is used: an attempt of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NonceSlot {
    /// The session's id.
    pub session: [u8; 32],
    /// Which attempt of the session; each draws new nonces.
    pub attempt: u32,
}

/// Why a signer refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SignerError {
    /// The slot has had its nonce.
    SlotServed,
    /// The slot's nonce was used, by a signature or by an attempt at one that failed.
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
    /// The signer cannot be reached.
    Unavailable,
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

/// The secret half of the cryptography: one key, and the nonces drawn for it.
pub trait Signer<V: Verifier> {
    /// The key of this signer.
    fn public_key(&self) -> PublicKey;

    /// Signs the digest of a message that this signer authors.
    ///
    /// # Errors
    ///
    /// [`SignerError::Declined`] and [`SignerError::Unavailable`].
    fn authenticate(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError>;

    /// Draws the nonces of a slot, one for each item, which is keys and a message, and returns their public halves.
    ///
    /// # Errors
    ///
    /// [`SignerError::SlotServed`] for a slot that has had its nonces, [`SignerError::TooManyNonces`],
    /// [`SignerError::NotASigner`], and what a device may say.
    fn nonces(&mut self, slot: NonceSlot, items: &[(&V::Keys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError>;

    /// Signs every item with its nonce of a slot, and spends them all whatever the outcome.
    ///
    /// # Errors
    ///
    /// [`SignerError::NonceSpent`] for the second call, [`SignerError::NoNonce`] if there are none,
    /// [`SignerError::RoundMismatch`] for rounds of other keys, other messages or another number of items, and what a
    /// device may say.
    fn sign(&mut self, slot: NonceSlot, items: &[(&V::Keys, &V::Round)]) -> Result<Vec<PartialSignature>, SignerError>;

    /// Wipes the nonces of a slot that will not be signed. The slot stays served.
    fn forget(&mut self, slot: NonceSlot);
}

/// A signer that keeps its key in memory.
pub struct SoftwareSigner {
    key: SecretKey,
    nonces: Entropy,
    hedges: Entropy,
    open: BTreeMap<NonceSlot, Vec<OpenNonce>>,
    open_nonces: usize,
    closed: BTreeMap<NonceSlot, Closed>,
    /// The closed slots, oldest first.
    order: VecDeque<NonceSlot>,
}

/// How a slot ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// Its nonce was signed with, or an attempt at it failed.
    Spent,
    Forgotten,
}

/// A nonce that waits for its round, with what it was drawn for.
struct OpenNonce {
    nonce: SecretNonce,
    challenge_key: PublicKey,
    message: Vec<u8>,
}

impl SoftwareSigner {
    /// How many nonces may be open at once.
    pub const MAX_OPEN_NONCES: usize = 32_768;

    /// How many closed slots are remembered. Beyond it the oldest is forgotten, and would be served again with a new
    /// nonce that shares nothing with the old one: memory bounds the promise, entropy keeps the key.
    pub const MAX_CLOSED_SLOTS: usize = 8192;

    /// A signer for this key. `entropy` must feed nothing else.
    #[must_use]
    pub fn new(key: SecretKey, entropy: Entropy) -> Self {
        Self {
            key,
            nonces: entropy.stream("signer/nonces"),
            hedges: entropy.stream("signer/hedges"),
            open: BTreeMap::new(),
            open_nonces: 0,
            closed: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// How many nonces are open.
    #[must_use]
    pub fn open_nonces(&self) -> usize {
        self.open_nonces
    }

    /// Takes the open nonces of a slot out.
    fn take(&mut self, slot: &NonceSlot) -> Option<Vec<OpenNonce>> {
        let open = self.open.remove(slot)?;
        self.open_nonces -= open.len();
        Some(open)
    }

    fn close(&mut self, slot: NonceSlot, how: Closed) {
        if self.order.len() == Self::MAX_CLOSED_SLOTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        self.order.push_back(slot);
        self.closed.insert(slot, how);
    }
}

impl Signer<Secp256k1> for SoftwareSigner {
    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    fn authenticate(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        // Hedged, so that a fault in one of two signatures of the same digest does not reveal the key.
        let signature = scrubbed(|| schnorr::sign(Suite::Lotus, &self.key, digest, Some(self.hedges.bytes32())));
        Ok(signature.expect("a digest has the 32 bytes that Lotus signs"))
    }

    fn nonces(&mut self, slot: NonceSlot, items: &[(&KeyAggContext, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        if self.open.contains_key(&slot) || self.closed.contains_key(&slot) {
            return Err(SignerError::SlotServed);
        }
        let own = self.key.public_key();
        if items.iter().any(|(keys, _)| keys.index_of(&own).is_none()) {
            return Err(SignerError::NotASigner);
        }
        if items.len() > Self::MAX_OPEN_NONCES - self.open_nonces {
            return Err(SignerError::TooManyNonces);
        }
        let mut extra = [0; 40];
        extra[..32].copy_from_slice(&slot.session);
        extra[32..36].copy_from_slice(&slot.attempt.to_be_bytes());
        let (mut open, mut public_nonces) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        scrubbed(|| {
            for (item, (keys, message)) in (0_u32..).zip(items) {
                extra[36..].copy_from_slice(&item.to_be_bytes());
                let (nonce, public_nonce) =
                    generate_nonce(self.nonces.bytes32(), &self.key, keys, Some(message), &extra);
                open.push(OpenNonce { nonce, challenge_key: keys.challenge_key(), message: message.to_vec() });
                public_nonces.push(public_nonce);
            }
        });
        self.open_nonces += open.len();
        self.open.insert(slot, open);
        Ok(public_nonces)
    }

    fn sign(
        &mut self,
        slot: NonceSlot,
        items: &[(&KeyAggContext, &SigningContext)],
    ) -> Result<Vec<PartialSignature>, SignerError> {
        if self.closed.get(&slot) == Some(&Closed::Spent) {
            return Err(SignerError::NonceSpent);
        }
        // Taken out before any other check, so that no way out of this function leaves them usable.
        let open = self.take(&slot).ok_or(SignerError::NoNonce)?;
        self.close(slot, Closed::Spent);
        let is_other = |(open, (keys, round)): (&OpenNonce, &(&KeyAggContext, &SigningContext))| {
            open.challenge_key != keys.challenge_key() || open.message != round.message()
        };
        if open.len() != items.len() || open.iter().zip(items).any(is_other) {
            return Err(SignerError::RoundMismatch);
        }
        let sign = |(OpenNonce { nonce, .. }, (keys, round)): (OpenNonce, &(&KeyAggContext, &SigningContext))| {
            partial_sign(nonce, &self.key, keys, round).map_err(|error| match error {
                SignError::NotASigner => SignerError::NotASigner,
                SignError::NonceOfAnotherKey | SignError::RoundOfOtherKeys => SignerError::RoundMismatch,
            })
        };
        scrubbed(|| open.into_iter().zip(items).map(sign).collect())
    }

    fn forget(&mut self, slot: NonceSlot) {
        if self.take(&slot).is_some() {
            self.close(slot, Closed::Forgotten);
        }
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner")
            .field("public_key", &self.key.public_key())
            .field("open_nonces", &self.open_nonces)
            .finish_non_exhaustive()
    }
}
