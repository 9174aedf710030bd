//! What a node knows already, for the gate: repetition of it costs no signature check, and whoever is known has room
//! that strangers cannot take.

use crate::api::Tier;
use crate::base::Wall;
use crate::crypto::{PublicKey, Verifier};
use crate::discovery::Discovery;
use crate::gate::{Known, KnownSession};
use crate::protocol::Protocols;
use crate::session::{Acquaintance, Sessions};
use crate::wire::{Body, PeerId, ProtocolMessage, RecordKey, SessionId, SessionMessage};

/// What the gate may ask about what is known.
pub(super) struct Knowledge<'a, V: Verifier> {
    pub(super) sessions: &'a Sessions<V>,
    pub(super) discovery: &'a Discovery,
    pub(super) protocols: &'a Protocols,
}

impl<V: Verifier> Knowledge<'_, V> {
    /// What this node knows of whoever asks it to sign.
    pub(super) fn acquaintance(&self, key: &PublicKey) -> Acquaintance {
        if self.discovery.has_earned(key) || self.sessions.live_with(key).next().is_some() {
            Acquaintance::CoSigner
        } else if self.discovery.is_shown(key) {
            Acquaintance::Connected
        } else {
            Acquaintance::Stranger
        }
    }
}

impl<V: Verifier> Known for Knowledge<'_, V> {
    fn issued_at(&self, record: &RecordKey) -> Option<Wall> {
        self.discovery.issued_at(record)
    }

    fn own_issued_at(&self) -> Option<Wall> {
        self.discovery.own_issued_at()
    }

    fn session(&self, id: &SessionId) -> KnownSession<'_> {
        match self.sessions.get(id) {
            Some(session) => KnownSession::Open(session.definition()),
            None if self.sessions.is_closed(id) => KnownSession::Closed,
            None => KnownSession::Not,
        }
    }

    fn lacks(&self, author: &PublicKey, step: &SessionMessage) -> bool {
        self.sessions.get(&step.session).is_some_and(|session| session.lacks(author, step))
    }

    fn is_acquainted(&self, author: &PublicKey) -> bool {
        self.acquaintance(author) != Acquaintance::Stranger
    }

    fn is_co_signer(&self, author: &PublicKey) -> bool {
        self.acquaintance(author) == Acquaintance::CoSigner
    }

    fn tier(&self, author: &PublicKey) -> Option<Tier> {
        self.discovery.tier(author)
    }

    fn peer_tier(&self, peer: &PeerId) -> Option<Tier> {
        self.discovery.peer_tier(peer)
    }

    fn hears(&self, message: &ProtocolMessage) -> bool {
        self.protocols.hears(message)
    }

    fn accepts(&self, author: &PublicKey, body: &Body) -> bool {
        self.protocols.accepts(author, body)
    }
}
