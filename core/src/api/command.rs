//! What an embedder wants of its node.

use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use crate::crypto::{KeyAggError, PublicKey, SignerError, Suite, Tweak};
use crate::election::Method;
use crate::wire::{AbortReason, DefinitionError, PeerId, SessionId};

/// Names a command, so that the event that answers it is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CommandId(pub u64);

/// A wish. The command's effect comes back as an event; a refusal changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start a session among these signers, this node's key among them, and announce it to all others.
    Create {
        /// The rules.
        suite: Suite,
        /// All signers, in any order.
        keys: Vec<PublicKey>,
        /// What is added to the aggregate key.
        tweak: Tweak,
        /// What is signed.
        message: Vec<u8>,
        /// How the coordinator is chosen.
        election: Method,
    },
    /// Take part in a session that was announced. This is the approval: the embedder has looked at what is signed.
    Join(SessionId),
    /// Refuse a session, or stop one that has not completed. The other signers are told.
    Abort(SessionId, AbortReason),
    /// Make a new attempt at a session whose last one failed.
    Retry(SessionId),
    /// The final signature has been broadcast, by this node or as seen where it belongs: nobody else needs to.
    ConfirmBroadcast(SessionId),
    /// Forget a session; one that has not ended is aborted first.
    Close(SessionId),
    /// Listen to a peer no more, until it is pardoned.
    Ban(PeerId),
    /// Forget what is held against a peer.
    Pardon(PeerId),
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The session cannot be defined like this.
    Definition(DefinitionError),
    /// The keys cannot be aggregated.
    Keys(KeyAggError),
    /// This node's key is none of the signers'.
    NotASigner,
    /// There are as many sessions as the limits allow.
    TooManySessions,
    /// No such session.
    UnknownSession(SessionId),
    /// The session has completed, was aborted, or has expired.
    Ended(SessionId),
    /// There is no final signature to broadcast.
    NotComplete(SessionId),
    /// The attempt is still running, or this node has not joined: there is nothing to retry.
    NothingToRetry(SessionId),
    /// All attempts that the limits allow have been made.
    NoAttemptsLeft(SessionId),
    /// As many peers are remembered as the limits allow, all of them for a reason.
    TooManyPeers,
    /// Nothing is held against this peer.
    NotBanned(PeerId),
    /// The signer cannot.
    Signer(SignerError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definition(error) => error.fmt(f),
            Self::Keys(error) => error.fmt(f),
            Self::NotASigner => f.write_str("this node's own key must be among the signers"),
            Self::TooManySessions => f.write_str("too many sessions are open; close some first"),
            Self::UnknownSession(session) => write!(f, "there is no session {session}"),
            Self::Ended(session) => write!(f, "session {session} has ended"),
            Self::NotComplete(session) => write!(f, "session {session} has no final signature"),
            Self::NothingToRetry(session) => write!(f, "session {session} has no failed attempt to retry"),
            Self::NoAttemptsLeft(session) => write!(f, "session {session} has used all its attempts; create a new one"),
            Self::TooManyPeers => f.write_str("too many peers are banned; pardon some first"),
            Self::NotBanned(peer) => write!(f, "nothing is held against {peer}"),
            Self::Signer(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CommandError {}
