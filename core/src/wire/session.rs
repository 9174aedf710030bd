//! The steps of a signing session.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Definition, MAX_ITEMS, MAX_SIGNERS, SessionId, bounded};
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
    /// The creator's: here is the session, and my public nonces for this attempt.
    Announce {
        /// The session.
        definition: Arc<Definition>,
        /// The creator's public nonces, one for each item; none when they are too large to come along
        /// ([`Definition::announces_nonces`]). Then they follow as those of others do.
        #[serde(deserialize_with = "list")]
        nonces: Vec<PublicNonce>,
    },
    /// Everyone else's: I take part, with these public nonces.
    Join {
        /// The author's public nonces, one for each item.
        #[serde(deserialize_with = "list")]
        nonces: Vec<PublicNonce>,
    },
    /// My partial signatures over the nonces that hash to `nonces`.
    Partial {
        /// Hash of the list of all public nonces, so that a split view shows: those of the first signer in key order,
        /// item by item, then those of the second, and so on.
        nonces: [u8; 32],
        /// The partial signatures, one for each item.
        #[serde(deserialize_with = "list")]
        partials: Vec<PartialSignature>,
    },
    /// The final signatures, which anyone can verify.
    Finalized {
        /// The signature of each item.
        #[serde(deserialize_with = "list")]
        signatures: Vec<Signature>,
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
    /// To the creator: I cannot take the request now, because as many wait for my approval as I keep. Offer it again.
    /// Whoever says so does not know the session and has no count of its messages there: attempt 1, sequence 0.
    Busy,
}

impl Content {
    /// The author's public nonces, if it shows them here.
    pub fn nonces(&self) -> Option<&[PublicNonce]> {
        match self {
            Self::Announce { nonces, .. } | Self::Join { nonces } if !nonces.is_empty() => Some(nonces),
            _ => None,
        }
    }
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
    /// Its offer wants creators with an identity that money was burned for, and it knows of none of this creator's.
    Unverified,
    /// Its offer wants creators with a better reputation with it.
    Reputation,
}

/// A set of signers by index, one bit each, in as many bytes as the session needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bits(#[serde(deserialize_with = "bytes")] Vec<u8>);

/// One for each item.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    bounded(deserializer, MAX_ITEMS)
}

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
