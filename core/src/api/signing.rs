//! What a node asks of the signer that has its key, and what the signer answers.
//!
//! The host hands each request to the signer, wherever that is: to one in memory at once, with
//! [`Node::answer`](crate::node::Node::answer), to a device, to another process. The node never waits. A reply may come
//! at any time, late, twice or never, and what came too late is wiped.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::crypto::{NonceSlot, PartialSignature, PublicNonce, Signature, SignerError};
use crate::single::{Single, SingleId};
use crate::wire::Definition;

/// Something for the signer to do. An identical request gets the identical answer, for as long as the signer remembers
/// its slot; another one for the same slot is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignRequest {
    /// Draw the nonces of an attempt. This is where a device asks its person: whoever answers has agreed to sign. The
    /// attempt is durable.
    Nonces {
        /// The session and the attempt.
        slot: NonceSlot,
        /// The session, whole: its id is in the slot.
        definition: Arc<Definition>,
    },
    /// Sign with them. Nobody is asked again. That the nonces are spent is durable.
    Partials {
        /// The session and the attempt.
        slot: NonceSlot,
        /// For each message of the session the public nonces of all its signers, in key order.
        nonces: Vec<Vec<PublicNonce>>,
    },
    /// Sign something with the key alone, outside of every session. A device asks its person. Whoever asks and is not
    /// answered asks anew.
    Single {
        /// Names the request.
        id: SingleId,
        /// What is signed.
        single: Arc<Single>,
    },
    /// Wipe the nonces of an attempt that will not be signed, and ask nobody for them any more. It has no reply.
    Forget(NonceSlot),
    /// Wipe all nonces: the node has begun anew, and its open attempts are dead. It has no reply.
    ForgetAll,
}

/// What the signer answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignReply {
    /// To [`SignRequest::Nonces`].
    Nonces {
        /// The request's slot.
        slot: NonceSlot,
        /// For each message of the session this signer's public nonce, or why there is none.
        nonces: Result<Vec<PublicNonce>, SignerError>,
    },
    /// To [`SignRequest::Partials`].
    Partials {
        /// The request's slot.
        slot: NonceSlot,
        /// For each message of the session this signer's partial signature, or why there is none.
        partials: Result<Vec<PartialSignature>, SignerError>,
    },
    /// To [`SignRequest::Single`].
    Single {
        /// The request's id.
        id: SingleId,
        /// The signature, or why there is none.
        signature: Result<Signature, SignerError>,
    },
}

/// What a session waits for at its own signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerTask {
    /// Its nonces, and with them the consent of whoever is behind the signer.
    Nonces,
    /// Its partial signatures.
    Partials,
}

impl SignRequest {
    /// The reply that the signer failed; none for what has no reply.
    #[must_use]
    pub fn failed(&self, error: SignerError) -> Option<SignReply> {
        match self {
            Self::Nonces { slot, .. } => Some(SignReply::Nonces { slot: *slot, nonces: Err(error) }),
            Self::Partials { slot, .. } => Some(SignReply::Partials { slot: *slot, partials: Err(error) }),
            Self::Single { id, .. } => Some(SignReply::Single { id: *id, signature: Err(error) }),
            Self::Forget(_) | Self::ForgetAll => None,
        }
    }
}

impl SignReply {
    /// Which attempt it is for, if it is for a session.
    #[must_use]
    pub const fn slot(&self) -> Option<NonceSlot> {
        match self {
            Self::Nonces { slot, .. } | Self::Partials { slot, .. } => Some(*slot),
            Self::Single { .. } => None,
        }
    }
}
