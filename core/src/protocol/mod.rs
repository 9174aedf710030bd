//! Other protocols on the same node: what they are told, and what they may ask for.
//!
//! A protocol is a machine like a session: told what has happened, it says what it wants, and does nothing itself. What
//! reaches it has passed the gate: whoever is said to have signed a message has, it is fresh, and it comes once.
//!
//! Reading order: [`Protocol`] is what a protocol is told, [`ProtocolContext`] what it may ask for; `registry` keeps
//! the protocols of a node and what they have. What comes of a request is done by `node/protocols.rs`. The numbers P1…
//! name the transitions of `docs/src/machines.md`.

mod context;
mod registry;

use alloc::vec::Vec;

use crate::api::{CommandError, Event, Verdict};
use crate::approval::Summary;
use crate::crypto::{PublicKey, Signature};
use crate::wire::{Address, Definition, Label, PeerId, Resource, ResourceId, SessionId};

pub use context::{ProtocolContext, ProtocolError};
pub(crate) use context::{ProtocolRequest, Visibility};
pub(crate) use registry::{Protocols, Work};

/// A protocol of an embedder's own, registered with [`Node::register`](crate::node::Node::register).
///
/// Its resources are those whose kind is its name. A protocol of a node whose runs must be reproducible decides by its
/// arguments and its own state alone.
///
/// **Sessions.** A session belongs to the protocol that has created it on this node, or that has said of the announced
/// one that it does ([`on_announced`](Self::on_announced)); to one protocol at most, and also over restarts once it was
/// approved. Whoever registers a protocol lets it sign: it may approve what belongs to it, and nothing else, each time
/// unless the [`Policy`](crate::Policy) says no, and what is unusual about a session it has to allow by name as anybody
/// does. A session that belongs to no protocol, or that the embedder has created, no protocol can touch; the embedder
/// can do with each session what it likes, and is told of all of them.
pub trait Protocol: Send {
    /// What it is called, on the wire, in resources, topics and records.
    fn name(&self) -> Label;

    /// It has been registered. Its [`records`](ProtocolContext::records) are there, also those from before a restart;
    /// who is connected and where its sessions stand is told next.
    fn on_registered(&mut self, context: &mut ProtocolContext) {
        let _ = context;
    }

    /// Whether a message to this node means anything in this protocol. One that does not is refused and held against
    /// the peer that has sent it, and the protocol is not told of it.
    fn accepts_message(&self, from: &PublicKey, payload: &[u8]) -> bool {
        let _ = (from, payload);
        true
    }

    /// Whether a resource of its kind, or its withdrawal, means anything in this protocol. One that does not is neither
    /// known to this node nor stored for others.
    fn accepts_resource(&self, author: &PublicKey, resource: &Resource) -> bool {
        let _ = (author, resource);
        true
    }

    /// A signer has sent a message to this node.
    fn on_message(&mut self, context: &mut ProtocolContext, from: &PublicKey, payload: &[u8]);

    /// A signer has published a message on a topic that the protocol has subscribed to. What it answers is what becomes
    /// of the message in gossip: accepted, it is passed on; rejected, it is held against the neighbour that passed it
    /// on, which speaks the protocol and should have known better.
    fn on_published(
        &mut self,
        context: &mut ProtocolContext,
        topic: &Label,
        from: &PublicKey,
        payload: &[u8],
    ) -> Verdict {
        let _ = (context, topic, from, payload);
        Verdict::Ignore
    }

    /// The embedder wants something of it, by [`Command::ProtocolCommand`](crate::api::Command::ProtocolCommand).
    fn on_command(&mut self, context: &mut ProtocolContext, payload: &[u8]) {
        let _ = (context, payload);
    }

    /// A resource of its kind is new, or is another than before, or was withdrawn and has no data any more.
    fn on_resource(&mut self, context: &mut ProtocolContext, id: &ResourceId, resource: &Resource) {
        let _ = (context, id, resource);
    }

    /// The search that it has asked for has found a resource, each once; some may have been known before.
    fn on_found(&mut self, context: &mut ProtocolContext, id: &ResourceId, resource: &Resource) {
        let _ = (context, id, resource);
    }

    /// The search that it has asked for is over, and has found so many; or was not begun, and why.
    fn on_search_finished(&mut self, context: &mut ProtocolContext, found: Result<usize, CommandError>) {
        let _ = (context, found);
    }

    /// A signer can be reached.
    fn on_signer_connected(&mut self, context: &mut ProtocolContext, key: &PublicKey, peer: &PeerId) {
        let _ = (context, key, peer);
    }

    /// A signer cannot be reached any more.
    fn on_signer_disconnected(&mut self, context: &mut ProtocolContext, key: &PublicKey, peer: &PeerId) {
        let _ = (context, key, peer);
    }

    /// Something about a peer has changed.
    fn on_peer(&mut self, context: &mut ProtocolContext, peer: &PeerId, change: &PeerChange) {
        let _ = (context, peer, change);
    }

    /// The addresses at which this node can be reached have changed: these are all.
    fn on_own_addresses(&mut self, context: &mut ProtocolContext, addresses: &[Address]) {
        let _ = (context, addresses);
    }

    /// The time that it has asked for under this name has come.
    fn on_timer(&mut self, context: &mut ProtocolContext, name: &Label) {
        let _ = (context, name);
    }

    /// What became of its wish to [`create`](ProtocolContext::create) a session under this name.
    fn on_created(&mut self, context: &mut ProtocolContext, name: &Label, created: Result<SessionId, CommandError>) {
        let _ = (context, name, created);
    }

    /// Another signer asks this node to sign. Does the session belong to this protocol? It is asked when no protocol
    /// before it in the order of names has said yes, and may ask at once to [`join`](ProtocolContext::join) or
    /// [`abort`](ProtocolContext::abort) it. Its details have been checked against what is signed; `summary` says what
    /// signing does.
    fn on_announced(
        &mut self,
        context: &mut ProtocolContext,
        session: &SessionId,
        definition: &Definition,
        summary: &Summary,
    ) -> bool {
        let _ = (context, session, definition, summary);
        false
    }

    /// Something has happened to a session that belongs to it: what the embedder is told too. What the protocol asks
    /// for then waits until that is durable. A session that has completed while the protocol was not registered, or
    /// before a restart, is told of again when it is.
    fn on_session(&mut self, context: &mut ProtocolContext, session: &SessionId, event: &Event) {
        let _ = (context, session, event);
    }

    /// What became of its wish to have something [signed](ProtocolContext::sign) under this name with this node's key
    /// alone. The signature has been verified.
    fn on_signature(
        &mut self,
        context: &mut ProtocolContext,
        name: &Label,
        signature: Result<Signature, CommandError>,
    ) {
        let _ = (context, name, signature);
    }

    /// What it wanted of a session was not done, and why.
    fn on_refused(&mut self, context: &mut ProtocolContext, session: &SessionId, error: &CommandError) {
        let _ = (context, session, error);
    }
}

/// What has changed about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// It holds a key that was not known before.
    Discovered {
        /// The key.
        key: PublicKey,
        /// Where the peer says that it listens.
        addresses: Vec<Address>,
    },
    /// It holds a key that another peer held before, or listens elsewhere than before.
    Updated {
        /// The key.
        key: PublicKey,
        /// Where it says that it listens now.
        addresses: Vec<Address>,
    },
    /// It is connected.
    Connected,
    /// It is gone.
    Disconnected,
}

/// Something that a protocol is told.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    Registered,
    SignerConnected(PublicKey, PeerId),
    SignerDisconnected(PublicKey, PeerId),
    Peer(PeerId, PeerChange),
    OwnAddresses(Vec<Address>),
    Resource(ResourceId, Resource),
    Found(ResourceId, Resource),
    SearchFinished(Result<usize, CommandError>),
    Created(Label, Result<SessionId, CommandError>),
    Session(SessionId, alloc::boxed::Box<Event>),
    Refused(SessionId, CommandError),
    Signature(Label, Result<Signature, CommandError>),
}

impl Notice {
    fn tell(self, protocol: &mut dyn Protocol, context: &mut ProtocolContext) {
        match self {
            Self::Registered => protocol.on_registered(context),
            Self::SignerConnected(key, peer) => protocol.on_signer_connected(context, &key, &peer),
            Self::SignerDisconnected(key, peer) => protocol.on_signer_disconnected(context, &key, &peer),
            Self::Peer(peer, change) => protocol.on_peer(context, &peer, &change),
            Self::OwnAddresses(addresses) => protocol.on_own_addresses(context, &addresses),
            Self::Resource(id, resource) => protocol.on_resource(context, &id, &resource),
            Self::Found(id, resource) => protocol.on_found(context, &id, &resource),
            Self::SearchFinished(found) => {
                context.holdings.is_searching = false;
                protocol.on_search_finished(context, found);
            }
            Self::Created(name, created) => protocol.on_created(context, &name, created),
            Self::Session(id, event) => protocol.on_session(context, &id, &event),
            Self::Refused(id, error) => protocol.on_refused(context, &id, &error),
            Self::Signature(name, signature) => protocol.on_signature(context, &name, signature),
        }
    }
}
