//! What has happened, for the embedder. As JSON each event is one object with a field `event`.

use alloc::vec::Vec;

use serde::Serialize;

use super::command::CommandId;
use crate::crypto::{PublicKey, Signature};
use crate::wire::{AbortReason, PeerId, SessionId};

/// Where a session stands. It only moves forward within an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Announced by another signer; this node has not approved it.
    Announced,
    /// This node's nonce is out; others are missing.
    NonceExchange,
    /// This node's partial signature is out; others are missing.
    PartialSignatureExchange,
    /// The last attempt failed; another may follow.
    Failed,
    /// The signature is known.
    Complete,
    /// A signer refused. Nothing follows.
    Aborted,
    /// Its time is over. Nothing follows.
    Expired,
}

impl Phase {
    /// Whether nothing can follow.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Aborted | Self::Expired)
    }
}

/// Why a new attempt began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptCause {
    /// This node was restarted: its nonces of the attempt before are gone for good.
    Restarted,
    /// The embedder asked for it.
    Retried,
    /// Another signer had begun it.
    Followed(PublicKey),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptFailure {
    /// These signers sent partial signatures that do not verify.
    InvalidPartial(Vec<PublicKey>),
    /// This signer sent a public nonce that is none.
    InvalidNonce(PublicKey),
    /// This signer signed over another list of nonces than this node has: somebody showed different signers different
    /// nonces.
    SplitView(Vec<PublicKey>),
    /// The nonces cancel each other out, which happens only on purpose; nobody can be named.
    NoncesCancel,
    /// This node's own signer could not sign.
    Signer,
}

/// A fact for the embedder. When it is seen, `Node::view` already shows the state after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The peer that holds this key is connected.
    SignerConnected {
        /// The signer.
        key: PublicKey,
        /// Its peer.
        peer: PeerId,
    },
    /// The peer that holds this key is gone.
    SignerDisconnected {
        /// The signer.
        key: PublicKey,
        /// Its peer.
        peer: PeerId,
    },
    /// The session that a command asked for exists.
    SessionCreated {
        /// The command.
        command: CommandId,
        /// The session.
        session: SessionId,
    },
    /// Another signer asks this node to sign: look at it, then join or abort.
    SessionAnnounced {
        /// The session.
        session: SessionId,
        /// Who asks.
        creator: PublicKey,
    },
    /// A signer takes part in this attempt.
    SignerJoined {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// The signer.
        signer: PublicKey,
    },
    /// The session has moved on.
    PhaseChanged {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// Where it stands.
        phase: Phase,
    },
    /// A new attempt has begun, with new nonces.
    AttemptStarted {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// Why.
        cause: AttemptCause,
    },
    /// An attempt has failed.
    AttemptFailed {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: AttemptFailure,
    },
    /// The final signature is known, verified and durable.
    SessionCompleted {
        /// The session.
        session: SessionId,
        /// The attempt that it came from.
        attempt: u32,
        /// The signature under the session's challenge key.
        signature: Signature,
    },
    /// A signer refused the session.
    SessionAborted {
        /// The session.
        session: SessionId,
        /// Who.
        by: PublicKey,
        /// Why.
        reason: AbortReason,
    },
    /// The session's time ended before there was a signature.
    SessionExpired {
        /// The session.
        session: SessionId,
    },
    /// The node has forgotten the session.
    SessionClosed {
        /// The session.
        session: SessionId,
    },
}
