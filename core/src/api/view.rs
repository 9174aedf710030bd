//! A node's state, to look at: for user interfaces, metrics and checkers.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::Phase;
use super::identity::{IdentityId, Tier};
use super::output::{Deadline, TimerReason};
use super::refusal::{RefusalCounts, Standing, Traffic};
use super::signing::{SignReply, SignRequest, SignerTask};
use crate::approval::Summary;
use crate::author::Delegating;
use crate::base::Wall;
use crate::crypto::{NonceSlot, PublicKey, Signature, Signer, SignerError, Verifier};
use crate::node::Node;
use crate::session::Session;
use crate::wire::{
    Advertisement, Definition, DefinitionError, Delegation, Offer, PeerId, RecordKey, Resource, ResourceId, SessionId,
};

/// A read-only look at a node.
#[derive(Debug)]
pub struct View<'a, V: Verifier> {
    pub(crate) node: &'a Node<V>,
}

/// One session, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// What it is.
    pub definition: Arc<Definition>,
    /// Where it stands.
    pub phase: Phase,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// What it waits for at this node's own signer, if for anything.
    pub signer_owes: Option<SignerTask>,
    /// Whose nonces of the current attempt are here, in key order; empty once the session has ended.
    pub joined: Vec<bool>,
    /// The final signature of each item, once they are known; empty before.
    pub signatures: Vec<Signature>,
    /// Whether a signature may still appear although the session was aborted or has expired: this node's partial
    /// signature may have left before.
    pub may_complete: bool,
    /// Whose turn it is to broadcast, from completion until somebody has or nobody is left.
    pub coordinator: Option<PublicKey>,
    /// The key that the final signature of each item verifies under.
    pub challenge_keys: Vec<PublicKey>,
}

impl SessionView {
    /// What signing it does.
    ///
    /// # Errors
    /// Never for a session that this node has created, heard of or joined: one without a summary is refused. What an
    /// older version has approved may have none.
    pub fn summary(&self) -> Result<Summary, DefinitionError> {
        Summary::of(&self.definition, &self.challenge_keys)
    }
}

impl<V: Verifier> View<'_, V> {
    /// This node's signing key.
    pub fn own_key(&self) -> PublicKey {
        self.node.environment.own_key
    }

    /// One session.
    pub fn session(&self, id: &SessionId) -> Option<SessionView> {
        self.node.sessions.get(id).filter(|session| !session.is_closed()).map(|session| self.look(session))
    }

    /// Whether a signature of a session may still appear although it was aborted, has expired or was closed: as
    /// [`SessionView::may_complete`], also of sessions that are not shown any more.
    pub fn may_complete(&self, id: &SessionId) -> bool {
        self.node.sessions.get(id).is_some_and(Session::may_complete)
    }

    /// All sessions, by id.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = SessionView> {
        let shown: Vec<&Session<V>> = self.node.sessions.iter().filter(|session| !session.is_closed()).collect();
        shown.into_iter().map(|session| self.look(session))
    }

    /// Where each session stands, by id, and what it waits for at this node's signer: for a fraction of what looking at
    /// all of them costs.
    pub fn phases(&self) -> impl Iterator<Item = (SessionId, Phase, Option<SignerTask>)> {
        let shown = self.node.sessions.iter().filter(|session| !session.is_closed());
        shown.map(|session| (session.id(), session.phase(), session.signer_owes()))
    }

    /// What other signers offer, by key; without those that have withdrawn.
    pub fn advertisements(&self) -> impl Iterator<Item = (&PublicKey, &Advertisement)> {
        self.node.discovery.advertisements(self.wall()).filter(|(_, advertisement)| advertisement.offer.is_some())
    }

    /// What one signer offers.
    pub fn advertisement(&self, key: &PublicKey) -> Option<&Advertisement> {
        self.node.discovery.advertisement(key, self.wall()).filter(|advertisement| advertisement.offer.is_some())
    }

    /// The key that signs this node's messages: its own, or the message key of a node that delegates.
    pub fn message_key(&self) -> PublicKey {
        self.node.environment.author.message_key()
    }

    /// By which delegation this node's message key speaks. `None` without one, whether it has a message key or not.
    pub fn delegation(&self) -> Option<&Delegation> {
        self.node.environment.author.delegating().and_then(Delegating::held)
    }

    /// What this node itself offers.
    pub fn offer(&self) -> Option<&Offer> {
        self.node.discovery.offer()
    }

    /// The resources of others, by author, kind and name; without those that were withdrawn.
    pub fn resources(&self) -> impl Iterator<Item = (&ResourceId, &Resource)> {
        self.node.discovery.resources(self.wall()).filter(|(_, resource)| resource.data.is_some())
    }

    /// One resource of somebody else's.
    pub fn resource(&self, id: &ResourceId) -> Option<&Resource> {
        self.node.discovery.resource(id, self.wall()).filter(|resource| resource.data.is_some())
    }

    /// This node's own resources, by kind and name; without those that were withdrawn.
    pub fn own_resources(&self) -> impl Iterator<Item = (&ResourceId, Resource)> {
        self.node.discovery.own_resources().filter(|(_, resource)| resource.data.is_some())
    }

    /// The reputation of a signer with this node, from 0 to 100: what it has seen of it, nothing of what anybody says.
    pub fn reputation(&self, key: &PublicKey) -> u8 {
        self.node.discovery.reputation(key)
    }

    /// The identity of a key, if the host has verified one.
    pub fn identity(&self, key: &PublicKey) -> Option<(IdentityId, Tier)> {
        self.node.discovery.identity(key)
    }

    /// All identities that are known, by key.
    pub fn identities(&self) -> impl Iterator<Item = (&PublicKey, &(IdentityId, Tier))> {
        self.node.discovery.identities()
    }

    /// How many records this node announces in the DHT.
    pub fn own_records(&self) -> usize {
        self.node.discovery.own_records()
    }

    /// What a signer in memory answers: it uses the keys and the round that the node has computed already. A signer
    /// that is somewhere else is a [`Device`](crate::device::Device), and what the key is to sign alone a
    /// [`SingleSigner`](crate::single::SingleSigner) does. Nothing for requests that have no reply, or whose reply
    /// nobody needs any more.
    pub fn answer(&self, signer: &mut (impl Signer<V> + ?Sized), request: &SignRequest) -> Option<SignReply> {
        let session = |slot: &NonceSlot| self.node.sessions.get(&SessionId::from_bytes(slot.session));
        match request {
            SignRequest::Nonces { slot, definition } => {
                let items: Vec<_> = session(slot).and_then(Session::items)?.iter(definition).collect();
                let nonces = signer.nonces(*slot, &items);
                Some(SignReply::Nonces { slot: *slot, nonces })
            }
            SignRequest::Partials { slot, .. } => {
                let rounds = session(slot).and_then(|session| session.rounds(slot.attempt))?;
                let partials = signer.sign(*slot, &rounds);
                Some(SignReply::Partials { slot: *slot, partials })
            }
            // A signer of sessions has no way to.
            SignRequest::Single { .. } => request.failed(SignerError::Unavailable),
            SignRequest::Forget(slot) => {
                signer.forget(*slot);
                None
            }
            SignRequest::ForgetAll => {
                signer.forget_all();
                None
            }
        }
    }

    fn wall(&self) -> Wall {
        self.node.environment.now.wall
    }

    fn look(&self, session: &Session<V>) -> SessionView {
        SessionView {
            id: session.id(),
            definition: session.definition().clone(),
            phase: session.phase(),
            attempt: session.attempt(),
            signer_owes: session.signer_owes(),
            joined: session.joined(),
            signatures: session.signatures().unwrap_or_default().to_vec(),
            may_complete: session.may_complete(),
            coordinator: session.coordinator(),
            challenge_keys: session.challenge_keys().to_vec(),
        }
    }

    /// All that decides what this node does next in its sessions, as a text: equal texts, equal behaviour. What only
    /// tells messages apart is left out, and times count from now. For model checkers; the form is no promise.
    pub fn fingerprint(&self) -> String {
        let (mut text, now) = (String::new(), self.node.environment.now);
        for session in self.node.sessions.iter() {
            let id = session.id();
            session
                .fingerprint(&mut text, &self.node.environment.config, now.mono)
                .expect("a text takes what is written to it");
            for reason in [TimerReason::Stalled(id), TimerReason::Retry(id), TimerReason::Turn(id)] {
                let due = self.node.timers.at(&reason).map(|at| at.since(now.mono));
                text.push_str(&format!(" {due:?}"));
            }
        }
        text + &format!(" connected {:?} held {}", self.connected().collect::<Vec<_>>(), self.held())
    }

    /// All that decides what this node does next to find other signers and to be found, as a text, like
    /// [`fingerprint`](Self::fingerprint). Timers that are more than an hour away count as equally far.
    pub fn discovery_fingerprint(&self) -> String {
        let (mut text, now) = (String::new(), self.node.environment.now.mono);
        self.node.discovery.fingerprint(&mut text, now).expect("a text takes what is written to it");
        for Deadline { at, reason } in self.deadlines() {
            let due = at.since(now).min(Duration::from_secs(3_600));
            match reason {
                TimerReason::Presence
                | TimerReason::Store
                | TimerReason::Advertisement
                | TimerReason::Seek
                | TimerReason::NextLookup
                | TimerReason::Search(_) => text.push_str(&format!(" {reason:?} {due:?}")),
                TimerReason::Lookup(operation) => {
                    let sought = self.node.discovery.sought(operation).map(|(key, _)| key);
                    text.push_str(&format!(" {sought:?} {due:?}"));
                }
                _ => {}
            }
        }
        text
    }

    /// When the newest announcement that is known under this name was signed, also when it says that what was announced
    /// before is withdrawn. `None` for names of requests and lists, and for what is not known.
    pub fn issued_at(&self, record: &RecordKey) -> Option<Wall> {
        self.node.discovery.issued_at(record)
    }

    /// The signers whose peers are known, by key, and whether they are connected.
    pub fn signers(&self) -> impl ExactSizeIterator<Item = (PublicKey, PeerId, bool)> {
        self.node.discovery.signers()
    }

    /// The connected peers.
    pub fn connected(&self) -> impl ExactSizeIterator<Item = &PeerId> {
        self.node.discovery.connected()
    }

    /// How often each refusal has happened.
    pub fn refusals(&self) -> &RefusalCounts {
        &self.node.refusals
    }

    /// How often each has happened to what came by gossip.
    pub fn gossip_refusals(&self) -> &RefusalCounts {
        &self.node.gossip_refusals
    }

    /// A peer's standing, and the penalty that is held against it.
    pub fn standing(&self, peer: &PeerId) -> (Standing, u32) {
        self.node.gate.standing(peer, self.node.environment.now.mono)
    }

    /// What a peer has sent since this node has heard of it, as far as it is remembered: a peer against which nothing
    /// is held makes room for others.
    pub fn traffic(&self, peer: &PeerId) -> Traffic {
        self.node.gate.traffic(peer)
    }

    /// How many peers stand like this.
    pub fn peers_in_standing(&self, standing: Standing) -> usize {
        self.node.gate.peers_in_standing(standing)
    }

    /// Everything that time alone makes happen, the soonest first.
    pub fn deadlines(&self) -> impl Iterator<Item = Deadline> {
        self.node.timers.iter().map(|(at, reason)| Deadline { at: *at, reason: reason.clone() })
    }

    /// How many outputs, and requests of protocols, wait for a record to become durable.
    pub fn held(&self) -> usize {
        self.node.outbox.held() + self.node.protocols.held()
    }
}
