//! The steps of a signing session.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Definition, MAX_SIGNERS, SessionId, bounded};
use crate::crypto::{PartialSignature, PublicNonce, Signature};

/// One signer's step in a session, bound to the session, the attempt and its place in the author's sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMessage {
    /// Which session.
    pub session: SessionId,
    /// Which attempt at it, from 1. Nonces and partial signatures belong to one attempt only.
    pub attempt: u32,
    /// The author's count of messages in this session and attempt, from 1.
    pub sequence: u64,
    /// The step.
    pub content: Content,
}

/// What a signer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The creator's: here is the session, and my public nonce for this attempt.
    Announce {
        /// The session.
        definition: Arc<Definition>,
        /// The creator's public nonce.
        nonce: PublicNonce,
    },
    /// Everyone else's: I take part, with this public nonce.
    Join {
        /// The author's public nonce.
        nonce: PublicNonce,
    },
    /// My partial signature over the nonces that hash to `nonces`.
    Partial {
        /// Hash of the list of all public nonces, so that a split view shows.
        nonces: [u8; 32],
        /// The partial signature.
        partial: PartialSignature,
    },
    /// The final signature, which anyone can verify.
    Finalized {
        /// The signature under the session's challenge key.
        signature: Signature,
    },
    /// I do not sign this session.
    Abort {
        /// Why.
        reason: AbortReason,
    },
    /// I say that I have broadcast the final signature, or seen it where it belongs.
    Confirmed,
    /// What I have of this attempt: send me the rest.
    Status {
        /// Whose nonces I have.
        nonces: Bits,
        /// Whose partial signatures I have.
        partials: Bits,
    },
    /// I have approved, and wait for all others. In this attempt I sign nothing any more.
    Waiting,
}

/// Why a signer refuses a session for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbortReason {
    /// Its owner, or the owner's policy, does not want to sign this.
    Declined,
    /// Its owner has left the session after joining it.
    Left,
    /// It is shutting the session down, for example because its owner closed it.
    Closed,
}

/// A set of signers by index, one bit each, in as many bytes as the session needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bits(#[serde(deserialize_with = "bytes")] Vec<u8>);

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_SIGNERS.div_ceil(8))
}

impl Bits {
    /// The set of those indices at which `present` is true.
    pub fn collect(present: impl ExactSizeIterator<Item = bool>) -> Self {
        let mut bytes = vec![0; present.len().div_ceil(8)];
        for (index, _) in present.enumerate().filter(|(_, present)| *present) {
            bytes[index / 8] |= 1 << (index % 8);
        }
        Self(bytes)
    }

    /// The empty set.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether the set has `index`; false beyond its end.
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }
}
