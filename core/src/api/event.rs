//! What has happened, for the embedder. As JSON each event is one object with a field `event`.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::command::CommandId;
use super::identity::{IdentityId, Tier};
use super::refusal::Refusal;
use super::signing::SignerTask;
use crate::approval::Summary;
use crate::base::Wall;
use crate::crypto::{PublicKey, Signature, SignerError};
use crate::evidence::Evidence;
use crate::wire::{AbortReason, Advertisement, Label, PeerId, ResourceId, SessionId};

/// Where a session stands. It only moves forward within an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// Announced by another signer; this node has not approved it.
    Announced,
    /// This node takes part; nonces are missing, perhaps its own signer's too.
    NonceExchange,
    /// All nonces are here and this node's is spent; partial signatures are missing, perhaps its own signer's too.
    PartialSignatureExchange,
    /// Approved by this node. Not all signers have taken part in time, so that no attempt is under way; the next one
    /// begins when they do.
    Waiting,
    /// The last attempt failed; another may follow.
    Failed,
    /// The signature is known.
    Complete,
    /// A signer refused. Nothing follows but a signature, if this node had signed before.
    Aborted,
    /// Its time is over. Nothing follows but a signature, if this node had signed before.
    Expired,
}

impl Phase {
    /// Whether this node does nothing more for a signature.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Aborted | Self::Expired)
    }
}

/// Why a new attempt began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttemptCause {
    /// This node was restarted: its nonces of the attempt before are gone for good.
    Restarted,
    /// This node tries again after a failure.
    Retried,
    /// The embedder asked for it.
    Commanded,
    /// This node has approved, after the attempt before had lapsed at others.
    Approved,
    /// All signers have approved by now, and can be reached.
    Gathered,
    /// Another signer had begun it.
    Followed(PublicKey),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptFailure {
    /// These signers sent partial signatures that do not verify, each named with the first item of which it is so.
    InvalidPartial(Vec<ItemFault>),
    /// This signer sent a public nonce that is none.
    InvalidNonce(ItemFault),
    /// This signer signed over another list of nonces than this node has: somebody showed different signers different
    /// nonces.
    SplitView(Vec<PublicKey>),
    /// The nonces cancel each other out, which happens only on purpose; nobody can be named.
    NoncesCancel,
    /// Nothing came from these signers for too long after this node had signed.
    Stuck(Vec<PublicKey>),
    /// This node's own signer has not signed, for this reason.
    Signer(SignerError),
}

/// What a signer has done wrong of which item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ItemFault {
    /// The signer.
    pub signer: PublicKey,
    /// The item, from 0.
    pub item: u32,
}

impl fmt::Display for ItemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (item {})", self.signer, self.item)
    }
}

impl fmt::Display for AttemptFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, names: &[impl fmt::Display]) -> fmt::Result {
            let mut names = names.iter().enumerate();
            names.try_for_each(|(place, name)| write!(f, "{}{name}", if place == 0 { "" } else { ", " }))
        }
        match self {
            Self::InvalidPartial(faults) => {
                f.write_str("invalid partial signatures from ")?;
                list(f, faults)?;
                f.write_str("; leave these signers out or ask their owners what runs there")
            }
            Self::InvalidNonce(fault) => write!(f, "an invalid public nonce from {fault}; leave this signer out"),
            Self::SplitView(keys) => {
                f.write_str("other nonces than ours were seen by ")?;
                list(f, keys)?;
                f.write_str("; somebody shows different signers different nonces")
            }
            Self::NoncesCancel => f.write_str("the nonces cancel each other out; a signer does this on purpose"),
            Self::Stuck(keys) => {
                f.write_str("nothing came for too long from ")?;
                list(f, keys)?;
                f.write_str("; see that they are running and connected, then retry")
            }
            Self::Signer(error) => {
                write!(f, "this node's own signer did not sign: {error}; check the key store or device, then retry")
            }
        }
    }
}

/// A fact for the embedder. When it is seen, `Node::view` already shows the state after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
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
    /// A presence under this node's key was heard that this node has not signed: the key is in use twice, or this
    /// machine's clock was set back between two starts. Stop one of the two nodes: what they say in a session
    /// contradicts itself, and the others take it for equivocation.
    KeyInUseTwice {
        /// The peer that speaks with this node's key.
        peer: PeerId,
        /// When it signed its presence; milliseconds since 1970.
        issued_at: Wall,
    },
    /// This peer has broken the rules too often and is not listened to for a while.
    PeerGraylisted {
        /// The peer.
        peer: PeerId,
        /// For how long, in seconds.
        seconds: u64,
        /// What it did last.
        refusal: Refusal,
    },
    /// This peer goes on breaking the rules: who runs firewalls or lists of their own should ban it there.
    ShouldBan {
        /// The peer.
        peer: PeerId,
        /// What it did last.
        refusal: Refusal,
    },
    /// This peer is banned here.
    PeerBlacklisted {
        /// The peer.
        peer: PeerId,
        /// For how long, in seconds; without end when it was done by hand.
        seconds: Option<u64>,
        /// What it did last; nothing when it was done by hand.
        refusal: Option<Refusal>,
    },
    /// This peer is banned no more: its time is over, or it was unbanned by hand.
    PeerUnbanned {
        /// The peer.
        peer: PeerId,
    },
    /// This peer, which was graylisted, is listened to again.
    PeerUngraylisted {
        /// The peer.
        peer: PeerId,
    },
    /// This node's signer lets its message key speak for it. Told for each new delegation, and not after a restart.
    Delegated {
        /// The message key.
        message_key: PublicKey,
        /// Until when; milliseconds since 1970. The signer is asked for another one after half of that.
        expires_at: Wall,
    },
    /// This node's signer has not delegated to its message key: it has not answered for a while, or with an error. It
    /// is asked again. Without a delegation that is valid the node says nothing.
    DelegationAwaited {
        /// The message key.
        message_key: PublicKey,
        /// What the signer has said, if it has answered.
        error: Option<SignerError>,
    },
    /// Money was burned for this key, as the host has verified, and it has more room here. Told again when that
    /// changes, and not after a restart.
    IdentityVerified {
        /// The key.
        key: PublicKey,
        /// Its identity, which may have been another key's.
        id: IdentityId,
        /// How much room.
        tier: Tier,
    },
    /// The identity of a key counts no more: it was passed on to another key, or a burn is not in the chain any more.
    IdentityLost {
        /// The key.
        key: PublicKey,
        /// Its identity.
        id: IdentityId,
    },
    /// This node's offer is signed and on its way to everyone.
    Advertised {
        /// Until when it is valid, unless it is renewed; milliseconds since 1970.
        expires_at: Wall,
    },
    /// This node offers nothing any more.
    Withdrawn,
    /// A signer offers to sign, or offers something else than before.
    SignerDiscovered {
        /// The signer.
        key: PublicKey,
        /// What it says.
        advertisement: Box<Advertisement>,
    },
    /// A signer offers nothing any more.
    SignerWithdrawn {
        /// The signer.
        key: PublicKey,
    },
    /// A search has found a signer, each once; what it offers is in the node's view.
    SignerFound {
        /// The search.
        command: CommandId,
        /// The signer.
        key: PublicKey,
    },
    /// A search has found a session that needs this node's key, each once.
    RequestFound {
        /// The search.
        command: CommandId,
        /// The session.
        session: SessionId,
    },
    /// A search has found a resource, each once; what it is is in the node's view.
    ResourceFound {
        /// The search.
        command: CommandId,
        /// The resource.
        resource: ResourceId,
    },
    /// A search is over.
    SearchFinished {
        /// The search.
        command: CommandId,
        /// How much it has found.
        found: usize,
    },
    /// A resource is new, or has other data than before, or none any more.
    ResourceDiscovered {
        /// The resource.
        resource: ResourceId,
    },
    /// A protocol of this node's has something to say to the embedder, in its own words.
    ProtocolEvent {
        /// The protocol.
        protocol: Label,
        /// What.
        payload: Vec<u8>,
    },
    /// A session is on offer in public: signers who are away find it when they return.
    RequestListed {
        /// The session.
        session: SessionId,
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
        /// What signing it does.
        summary: Box<Summary>,
    },
    /// This node has approved a session, which it created or joined: from now on it signs. What is told here is what
    /// was approved, complete, and stays true when the session is forgotten.
    SessionApproved {
        /// The session.
        session: SessionId,
        /// What signing it does. All that is unusual in it was allowed by name.
        summary: Box<Summary>,
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
    /// A signer cannot take this node's request now, because too many wait for its owner's approval. It is offered the
    /// request again until it takes it or the session ends.
    SignerBusy {
        /// The session.
        session: SessionId,
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
    /// This node's signer has not answered for a while: it may be away, or wait for a person. The session waits for it,
    /// and no other session does.
    SignerAwaited {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// For what.
        task: SignerTask,
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
    /// Not all signers have taken part in time. The attempt is over and nothing has failed: whoever approves, or is
    /// back, begins the next one.
    AttemptLapsed {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// Who has not taken part.
        missing: Vec<PublicKey>,
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
    /// A signer has broken the protocol, and anyone can check that it has.
    SignerMisbehaved {
        /// The session.
        session: SessionId,
        /// The signer.
        signer: PublicKey,
        /// The proof, for [`verify`](crate::evidence::verify).
        evidence: Box<Evidence>,
    },
    /// The final signatures are known, verified and durable. Told again after a restart, until the broadcast is
    /// claimed: the crash may have come before the embedder heard of it.
    SessionCompleted {
        /// The session.
        session: SessionId,
        /// The attempt that this node was at.
        attempt: u32,
        /// The signature of each item, under the item's challenge key.
        signatures: Vec<Signature>,
    },
    /// It is this node's turn to broadcast the final signature. Answer with
    /// [`Command::ConfirmBroadcast`](super::Command::ConfirmBroadcast).
    ShouldBroadcast {
        /// The session.
        session: SessionId,
    },
    /// A coordinator has let its turn pass and says nothing of a broadcast; the next one takes over.
    CoordinatorFailed {
        /// The session.
        session: SessionId,
        /// Whose turn it was.
        coordinator: PublicKey,
        /// How many have failed so far.
        failures: usize,
    },
    /// Everyone has let the turn pass. The signature is still valid; whoever cares should broadcast it.
    FailoverExhausted {
        /// The session.
        session: SessionId,
        /// How many have failed.
        failures: usize,
    },
    /// A signer whose turn it was says that it has broadcast the signature, or this node's owner does. That ends the
    /// turns. It is this signer's word: nelumbo sees no chain. Whoever can look where the signature belongs should.
    BroadcastClaimed {
        /// The session.
        session: SessionId,
        /// Whose word it is.
        by: PublicKey,
    },
    /// Everyone's turn to broadcast would be over by now, and that it was done rests on this signer's word alone. Look
    /// where the signature belongs, broadcast it if it is not there, which is harmless if it is, and answer with
    /// [`Command::ConfirmBroadcast`](super::Command::ConfirmBroadcast). Told again after a restart until then.
    BroadcastUnconfirmed {
        /// The session.
        session: SessionId,
        /// Whose word it is.
        by: PublicKey,
    },
    /// A signer refused the session.
    SessionAborted {
        /// The session.
        session: SessionId,
        /// Who.
        by: PublicKey,
        /// Why.
        reason: AbortReason,
        /// Whether a signature may still appear: this node's partial signature may have left before. If it does, it is
        /// told as any other.
        may_complete: bool,
    },
    /// This node's clock was wrong when it created the session, whose dates are part of its id: other signers refuse
    /// it.
    /// Close it, and create it again.
    SessionMisdated {
        /// The session.
        session: SessionId,
    },
    /// The session's time ended before this node had a signature.
    SessionExpired {
        /// The session.
        session: SessionId,
        /// Whether a signature may still appear, as when a session is aborted.
        may_complete: bool,
    },
    /// The node has forgotten the session but for its id: it was closed, its time is over, or it made room for another.
    SessionClosed {
        /// The session.
        session: SessionId,
    },
}
