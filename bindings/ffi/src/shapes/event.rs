//! What has happened, for the embedder. It only comes out.

use nelumbo_core::api::{self, Phase, Refusal, SignerTask, Tier};
use nelumbo_core::crypto::SignerError;
use nelumbo_core::evidence::Evidence;
use nelumbo_core::wire::AbortReason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::approval::Approval;
use super::attempt::{AttemptCause, AttemptFailure};
use super::offer::{Advertisement, ResourceId};
use super::text::{Burned, Hex, Id, Key, Name, Peer, Session, SignatureHex, To};
use super::words::Word;

/// A fact for the embedder. When it is seen, the view already shows the state after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The peer that holds this key is connected.
    SignerConnected {
        /// The signer.
        key: Key,
        /// Its peer.
        peer: Peer,
    },
    /// The peer that holds this key is gone.
    SignerDisconnected {
        /// The signer.
        key: Key,
        /// Its peer.
        peer: Peer,
    },
    /// This peer has broken the rules too often and is not listened to for a while.
    PeerGraylisted {
        /// The peer.
        peer: Peer,
        /// For how long.
        duration_ms: u64,
        /// What it did last.
        refusal: Word<Refusal>,
    },
    /// This peer goes on breaking the rules: who runs firewalls or lists of their own should ban it there.
    ShouldBan {
        /// The peer.
        peer: Peer,
        /// What it did last.
        refusal: Word<Refusal>,
    },
    /// This peer is banned here.
    PeerBlacklisted {
        /// The peer.
        peer: Peer,
        /// For how long; without end when it was done by hand.
        duration_ms: Option<u64>,
        /// What it did last; nothing when it was done by hand.
        refusal: Option<Word<Refusal>>,
    },
    /// This peer is banned no more: its time is over, or it was unbanned by hand.
    PeerUnbanned {
        /// The peer.
        peer: Peer,
    },
    /// This peer, which was graylisted, is listened to again.
    PeerUngraylisted {
        /// The peer.
        peer: Peer,
    },
    /// This node's signer lets its message key speak for it. Told for each new delegation, and not after a restart.
    Delegated {
        /// The message key.
        message_key: Key,
        /// Until when. The signer is asked for another one after half of that.
        expires_at_ms: u64,
    },
    /// This node's signer has not delegated to its message key: it has not answered for a while, or with an error. It
    /// is asked again. Without a delegation that is valid the node says nothing.
    DelegationAwaited {
        /// The message key.
        message_key: Key,
        /// What the signer has said, if it has answered.
        error: Option<Word<SignerError>>,
    },
    /// Money was burned for this key, as the host has verified, and it has more room here. Told again when that
    /// changes, and not after a restart.
    IdentityVerified {
        /// The key.
        key: Key,
        /// Its identity, which may have been another key's.
        id: Burned,
        /// How much room.
        tier: Word<Tier>,
    },
    /// The identity of a key counts no more: it was passed on to another key, or a burn is not in the chain any more.
    IdentityLost {
        /// The key.
        key: Key,
        /// Its identity.
        id: Burned,
    },
    /// This node's offer is signed and on its way to everyone.
    Advertised {
        /// Until when it is valid, unless it is renewed.
        expires_at_ms: u64,
    },
    /// This node offers nothing any more.
    Withdrawn,
    /// A signer offers to sign, or offers something else than before.
    SignerDiscovered {
        /// The signer.
        key: Key,
        /// What it says.
        advertisement: Advertisement,
    },
    /// A signer offers nothing any more.
    SignerWithdrawn {
        /// The signer.
        key: Key,
    },
    /// A search has found a signer, each once; what it offers is in the node's view.
    SignerFound {
        /// The search.
        command: Id,
        /// The signer.
        key: Key,
    },
    /// A search has found a session that needs this node's key, each once.
    RequestFound {
        /// The search.
        command: Id,
        /// The session.
        session: Session,
    },
    /// A search has found a resource, each once; what it is is in the node's view.
    ResourceFound {
        /// The search.
        command: Id,
        /// The resource.
        resource: ResourceId,
    },
    /// A search is over.
    SearchFinished {
        /// The search.
        command: Id,
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
        protocol: Name,
        /// What.
        payload: Hex,
    },
    /// A session is on offer in public: signers who are away find it when they return.
    RequestListed {
        /// The session.
        session: Session,
    },
    /// The session that a command asked for exists.
    SessionCreated {
        /// The command.
        command: Id,
        /// The session.
        session: Session,
    },
    /// Another signer asks this node to sign: look at it, then join or abort.
    SessionAnnounced {
        /// The session.
        session: Session,
        /// Who asks.
        creator: Key,
        /// What signing it does.
        summary: Approval,
    },
    /// This node has approved a session, which it created or joined: from now on it signs. What is told here is what
    /// was approved, complete, and stays true when the session is forgotten.
    SessionApproved {
        /// The session.
        session: Session,
        /// What signing it does. All that is unusual in it was allowed by name.
        summary: Approval,
    },
    /// A signer takes part in this attempt.
    SignerJoined {
        /// The session.
        session: Session,
        /// The attempt.
        attempt: u32,
        /// The signer.
        signer: Key,
    },
    /// A signer cannot take this node's request now, because too many wait for its owner's approval. It is offered
    /// the request again until it takes it or the session ends.
    SignerBusy {
        /// The session.
        session: Session,
        /// The signer.
        signer: Key,
    },
    /// The session has moved on.
    PhaseChanged {
        /// The session.
        session: Session,
        /// The attempt.
        attempt: u32,
        /// Where it stands.
        phase: Word<Phase>,
    },
    /// This node's signer has not answered for a while: it may be away, or wait for a person. The session waits for
    /// it, and no other session does.
    SignerAwaited {
        /// The session.
        session: Session,
        /// The attempt.
        attempt: u32,
        /// For what.
        task: Word<SignerTask>,
    },
    /// A new attempt has begun, with new nonces.
    AttemptStarted {
        /// The session.
        session: Session,
        /// The attempt.
        attempt: u32,
        /// Why.
        cause: AttemptCause,
    },
    /// Not all signers have taken part in time. The attempt is over and nothing has failed: whoever approves, or is
    /// back, begins the next one.
    AttemptLapsed {
        /// The session.
        session: Session,
        /// The attempt.
        attempt: u32,
        /// Who has not taken part.
        missing: Vec<Key>,
    },
    /// An attempt has failed.
    AttemptFailed {
        /// The session.
        session: Session,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: AttemptFailure,
    },
    /// A signer has broken the protocol, and anyone can check that it has.
    SignerMisbehaved {
        /// The session.
        session: Session,
        /// The signer.
        signer: Key,
        /// The proof, for the call `check-evidence`.
        evidence: serde_json::Value,
    },
    /// The final signatures are known, verified and durable. Told again after a restart, until the broadcast is
    /// claimed: the crash may have come before the embedder heard of it.
    SessionCompleted {
        /// The session.
        session: Session,
        /// The attempt that this node was at.
        attempt: u32,
        /// The signature of each item, under the item's challenge key.
        signatures: Vec<SignatureHex>,
    },
    /// It is this node's turn to broadcast the final signature. Answer with the command `confirm-broadcast`.
    ShouldBroadcast {
        /// The session.
        session: Session,
    },
    /// A coordinator has let its turn pass and says nothing of a broadcast; the next one takes over.
    CoordinatorFailed {
        /// The session.
        session: Session,
        /// Whose turn it was.
        coordinator: Key,
        /// How many have failed so far.
        failures: usize,
    },
    /// Everyone has let the turn pass. The signature is still valid; whoever cares should broadcast it.
    FailoverExhausted {
        /// The session.
        session: Session,
        /// How many have failed.
        failures: usize,
    },
    /// A signer whose turn it was says that it has broadcast the signature, or this node's owner does. That ends the
    /// turns. It is this signer's word: nelumbo sees no chain. Whoever can look where the signature belongs should.
    BroadcastClaimed {
        /// The session.
        session: Session,
        /// Whose word it is.
        by: Key,
    },
    /// Everyone's turn to broadcast would be over by now, and that it was done rests on this signer's word alone.
    /// Look where the signature belongs, broadcast it if it is not there, which is harmless if it is, and answer with
    /// the command `confirm-broadcast`. Told again after a restart until then.
    BroadcastUnconfirmed {
        /// The session.
        session: Session,
        /// Whose word it is.
        by: Key,
    },
    /// A signer refused the session.
    SessionAborted {
        /// The session.
        session: Session,
        /// Who.
        by: Key,
        /// Why.
        reason: Word<AbortReason>,
        /// Whether a signature may still appear: this node's partial signature may have left before. If it does, it
        /// is told as any other.
        may_complete: bool,
    },
    /// This node's clock was wrong when it created the session, whose dates are part of its id: other signers refuse
    /// it. Close it, and create it again.
    SessionMisdated {
        /// The session.
        session: Session,
    },
    /// The session's time ended before this node had a signature.
    SessionExpired {
        /// The session.
        session: Session,
        /// Whether a signature may still appear, as when a session is aborted.
        may_complete: bool,
    },
    /// The node has forgotten the session but for its id: it was closed, its time is over, or it made room for
    /// another.
    SessionClosed {
        /// The session.
        session: Session,
    },
    /// A presence under this node's key was heard that this node has not signed: the key is in use twice, or this
    /// machine's clock was set back between two starts. Stop one of the two nodes: what they say in a session
    /// contradicts itself, and the others take it for equivocation.
    KeyInUseTwice {
        /// The peer that speaks with this node's key.
        peer: Peer,
        /// When it signed its presence.
        issued_at_ms: u64,
    },
    /// Something that this version of the shapes does not know.
    Unknown {
        /// The core's name for it, and what it says.
        event: serde_json::Value,
    },
}

impl From<api::Event> for Event {
    fn from(event: api::Event) -> Self {
        match event {
            api::Event::SignerConnected { key, peer } => Self::SignerConnected { key: key.to(), peer: peer.to() },
            api::Event::SignerDisconnected { key, peer } => Self::SignerDisconnected { key: key.to(), peer: peer.to() },
            api::Event::PeerGraylisted { peer, seconds, refusal } => {
                Self::PeerGraylisted { peer: peer.to(), duration_ms: seconds * 1_000, refusal: refusal.to() }
            }
            api::Event::ShouldBan { peer, refusal } => Self::ShouldBan { peer: peer.to(), refusal: refusal.to() },
            api::Event::PeerBlacklisted { peer, seconds, refusal } => Self::PeerBlacklisted {
                peer: peer.to(),
                duration_ms: seconds.map(|seconds| seconds * 1_000),
                refusal: refusal.to(),
            },
            api::Event::PeerUnbanned { peer } => Self::PeerUnbanned { peer: peer.to() },
            api::Event::PeerUngraylisted { peer } => Self::PeerUngraylisted { peer: peer.to() },
            api::Event::Delegated { message_key, expires_at } => {
                Self::Delegated { message_key: message_key.to(), expires_at_ms: expires_at.as_millis() }
            }
            api::Event::DelegationAwaited { message_key, error } => {
                Self::DelegationAwaited { message_key: message_key.to(), error: error.to() }
            }
            api::Event::IdentityVerified { key, id, tier } => {
                Self::IdentityVerified { key: key.to(), id: id.to(), tier: tier.to() }
            }
            api::Event::IdentityLost { key, id } => Self::IdentityLost { key: key.to(), id: id.to() },
            api::Event::Advertised { expires_at } => Self::Advertised { expires_at_ms: expires_at.as_millis() },
            api::Event::Withdrawn => Self::Withdrawn,
            api::Event::SignerDiscovered { key, advertisement } => {
                Self::SignerDiscovered { key: key.to(), advertisement: advertisement.to() }
            }
            api::Event::SignerWithdrawn { key } => Self::SignerWithdrawn { key: key.to() },
            api::Event::SignerFound { command, key } => Self::SignerFound { command: Id(command.0), key: key.to() },
            api::Event::RequestFound { command, session } => {
                Self::RequestFound { command: Id(command.0), session: session.to() }
            }
            api::Event::ResourceFound { command, resource } => {
                Self::ResourceFound { command: Id(command.0), resource: resource.to() }
            }
            api::Event::SearchFinished { command, found } => {
                Self::SearchFinished { command: Id(command.0), found: found.to() }
            }
            api::Event::ResourceDiscovered { resource } => Self::ResourceDiscovered { resource: resource.to() },
            api::Event::ProtocolEvent { protocol, payload } => {
                Self::ProtocolEvent { protocol: protocol.to(), payload: Hex(payload) }
            }
            api::Event::RequestListed { session } => Self::RequestListed { session: session.to() },
            api::Event::SessionCreated { command, session } => {
                Self::SessionCreated { command: Id(command.0), session: session.to() }
            }
            api::Event::SessionAnnounced { session, creator, summary } => {
                Self::SessionAnnounced { session: session.to(), creator: creator.to(), summary: summary.to() }
            }
            api::Event::SessionApproved { session, summary } => {
                Self::SessionApproved { session: session.to(), summary: summary.to() }
            }
            api::Event::SignerJoined { session, attempt, signer } => {
                Self::SignerJoined { session: session.to(), attempt: attempt.to(), signer: signer.to() }
            }
            api::Event::SignerBusy { session, signer } => {
                Self::SignerBusy { session: session.to(), signer: signer.to() }
            }
            api::Event::PhaseChanged { session, attempt, phase } => {
                Self::PhaseChanged { session: session.to(), attempt: attempt.to(), phase: phase.to() }
            }
            api::Event::SignerAwaited { session, attempt, task } => {
                Self::SignerAwaited { session: session.to(), attempt: attempt.to(), task: task.to() }
            }
            api::Event::AttemptStarted { session, attempt, cause } => {
                Self::AttemptStarted { session: session.to(), attempt: attempt.to(), cause: cause.to() }
            }
            api::Event::AttemptLapsed { session, attempt, missing } => {
                Self::AttemptLapsed { session: session.to(), attempt: attempt.to(), missing: missing.to() }
            }
            api::Event::AttemptFailed { session, attempt, failure } => {
                Self::AttemptFailed { session: session.to(), attempt: attempt.to(), failure: failure.to() }
            }
            api::Event::SignerMisbehaved { session, signer, evidence } => {
                Self::SignerMisbehaved { session: session.to(), signer: signer.to(), evidence: written(&evidence) }
            }
            api::Event::SessionCompleted { session, attempt, signatures } => {
                Self::SessionCompleted { session: session.to(), attempt: attempt.to(), signatures: signatures.to() }
            }
            api::Event::ShouldBroadcast { session } => Self::ShouldBroadcast { session: session.to() },
            api::Event::CoordinatorFailed { session, coordinator, failures } => Self::CoordinatorFailed {
                session: session.to(),
                coordinator: coordinator.to(),
                failures: failures.to(),
            },
            api::Event::FailoverExhausted { session, failures } => {
                Self::FailoverExhausted { session: session.to(), failures: failures.to() }
            }
            api::Event::BroadcastClaimed { session, by } => {
                Self::BroadcastClaimed { session: session.to(), by: by.to() }
            }
            api::Event::BroadcastUnconfirmed { session, by } => {
                Self::BroadcastUnconfirmed { session: session.to(), by: by.to() }
            }
            api::Event::SessionAborted { session, by, reason, may_complete } => Self::SessionAborted {
                session: session.to(),
                by: by.to(),
                reason: reason.to(),
                may_complete: may_complete.to(),
            },
            api::Event::SessionMisdated { session } => Self::SessionMisdated { session: session.to() },
            api::Event::SessionExpired { session, may_complete } => {
                Self::SessionExpired { session: session.to(), may_complete: may_complete.to() }
            }
            api::Event::SessionClosed { session } => Self::SessionClosed { session: session.to() },
            api::Event::KeyInUseTwice { peer, issued_at } => {
                Self::KeyInUseTwice { peer: peer.to(), issued_at_ms: issued_at.as_millis() }
            }
            other => Self::Unknown { event: serde_json::to_value(other).unwrap_or_default() },
        }
    }
}

/// Evidence as the core writes it, which reads it back.
fn written(evidence: &Evidence) -> serde_json::Value {
    serde_json::to_value(evidence).expect("evidence can be written as JSON")
}
