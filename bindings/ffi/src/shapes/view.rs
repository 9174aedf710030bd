//! A node's state, to look at.

use std::collections::BTreeMap;

use nelumbo_core::api::{self, Phase, SignerTask};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::approval::Approval;
use super::offer::{Advertisement, Offer, Resource};
use super::session::Definition;
use super::text::{Key, Peer, Session, SignatureHex, To};
use super::words::{Word, word};

/// A node's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// This node's signing key.
    pub key: Key,
    /// The key that signs this node's messages.
    pub message_key: Key,
    /// All sessions, by id.
    pub sessions: Vec<SessionView>,
    /// The signers whose peers are known, by key.
    pub signers: Vec<SignerView>,
    /// The connected peers.
    pub connected: Vec<Peer>,
    /// What other signers offer, by key.
    pub advertisements: Vec<(Key, Advertisement)>,
    /// The resources of others.
    pub resources: Vec<Resource>,
    /// What this node itself offers.
    pub offer: Option<Offer>,
    /// How often each refusal has happened.
    pub refusals: BTreeMap<String, u64>,
    /// How many outputs wait for a record to become durable.
    pub held: usize,
}

/// One session, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// Its id.
    pub id: Session,
    /// What it is.
    pub definition: Definition,
    /// Where it stands.
    pub phase: Word<Phase>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// What it waits for at this node's own signer, if for anything.
    pub signer_owes: Option<Word<SignerTask>>,
    /// Whose nonces of the current attempt are here, in key order; empty once the session has ended.
    pub joined: Vec<bool>,
    /// The final signature of each item, once they are known; empty before.
    pub signatures: Vec<SignatureHex>,
    /// Whether a signature may still appear although the session was aborted or has expired.
    pub may_complete: bool,
    /// Whose turn it is to broadcast.
    pub coordinator: Option<Key>,
    /// The key that the final signature of each item verifies under.
    pub challenge_keys: Vec<Key>,
    /// What signing it does; none of a session that an older version has approved and that has no account.
    pub approval: Option<Approval>,
}

/// A signer whose peer is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignerView {
    /// Its key.
    pub key: Key,
    /// Its peer.
    pub peer: Peer,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Its reputation with this node, from 0 to 100.
    pub reputation: u8,
}

impl From<api::View<'_, nelumbo_core::crypto::Secp256k1>> for View {
    fn from(view: api::View<'_, nelumbo_core::crypto::Secp256k1>) -> Self {
        let signer = |(key, peer, is_connected)| SignerView {
            key: Key(key),
            peer: Peer(peer),
            is_connected,
            reputation: view.reputation(&key),
        };
        Self {
            key: Key(view.own_key()),
            message_key: Key(view.message_key()),
            sessions: view.sessions().map(SessionView::from).collect(),
            signers: view.signers().map(signer).collect(),
            connected: view.connected().copied().map(Peer).collect(),
            advertisements: view.advertisements().map(|(key, known)| (Key(*key), known.into())).collect(),
            resources: view.resources().map(Resource::from).collect(),
            offer: view.offer().map(Offer::from),
            refusals: view.refusals().iter().map(|(refusal, count)| (word(&refusal), count)).collect(),
            held: view.held(),
        }
    }
}

impl From<api::SessionView> for SessionView {
    fn from(from: api::SessionView) -> Self {
        let approval = from.summary().ok().map(Approval::from);
        Self {
            id: Session(from.id),
            definition: (&*from.definition).into(),
            phase: Word(from.phase),
            attempt: from.attempt,
            signer_owes: from.signer_owes.to(),
            joined: from.joined,
            signatures: from.signatures.to(),
            may_complete: from.may_complete,
            coordinator: from.coordinator.to(),
            challenge_keys: from.challenge_keys.to(),
            approval,
        }
    }
}
