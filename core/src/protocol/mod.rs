//! Other protocols on the same node: what they are told, and what they may ask for.
//!
//! A protocol is a machine like a session: told what has happened, it says what it wants, and does nothing itself. What
//! reaches it has passed the gate: whoever is said to have signed a message has, it is fresh, and it comes once.

mod registry;

use alloc::vec::Vec;
use core::time::Duration;

use crate::base::Now;
use crate::crypto::PublicKey;
use crate::wire::{Data, Label, PeerId, Resource, ResourceId};

pub(crate) use registry::Protocols;

/// A protocol of an embedder's own, registered with [`Node::register`](crate::node::Node::register).
///
/// Its resources are those whose kind is its name. A protocol of a node whose runs must be reproducible decides by its
/// arguments and its own state alone.
pub trait Protocol: Send {
    /// What it is called, on the wire and in resources.
    fn name(&self) -> Label;

    /// A signer has sent a message to this node.
    fn on_message(&mut self, context: &mut ProtocolContext, from: &PublicKey, payload: &[u8]);

    /// The embedder wants something of it, by [`Command::ProtocolCommand`](crate::api::Command::ProtocolCommand).
    fn on_command(&mut self, context: &mut ProtocolContext, payload: &[u8]) {
        let _ = (context, payload);
    }

    /// A resource of its kind is new, or is another than before, or was withdrawn and has no data any more.
    fn on_resource(&mut self, context: &mut ProtocolContext, id: &ResourceId, resource: &Resource) {
        let _ = (context, id, resource);
    }

    /// A signer can be reached.
    fn on_signer_connected(&mut self, context: &mut ProtocolContext, key: &PublicKey, peer: &PeerId) {
        let _ = (context, key, peer);
    }

    /// A signer cannot be reached any more.
    fn on_signer_disconnected(&mut self, context: &mut ProtocolContext, key: &PublicKey, peer: &PeerId) {
        let _ = (context, key, peer);
    }

    /// The time it has asked for has come.
    fn on_timer(&mut self, context: &mut ProtocolContext) {
        let _ = context;
    }
}

/// What a protocol may ask for while it is told something; it happens afterwards, in order.
#[derive(Debug)]
pub struct ProtocolContext {
    /// The time.
    pub now: Now,
    /// This node's key.
    pub own_key: PublicKey,
    pub(crate) requests: Vec<ProtocolRequest>,
}

/// Something that a protocol asks for.
#[derive(Debug)]
pub(crate) enum ProtocolRequest {
    Send { to: PublicKey, payload: Vec<u8> },
    Announce { name: Label, data: Option<Data>, lifetime: Duration },
    Event { payload: Vec<u8> },
    Timer(Option<Duration>),
}

impl ProtocolContext {
    /// Sends a message to a signer, now or when it can be reached, signed with this node's key. It may be lost: only an
    /// answer is proof that it has arrived. At most [`MAX_PAYLOAD`](crate::wire::MAX_PAYLOAD) bytes; a longer one is
    /// not sent.
    pub fn send(&mut self, to: PublicKey, payload: Vec<u8>) {
        self.requests.push(ProtocolRequest::Send { to, payload });
    }

    /// Announces a resource of the protocol's kind, or announces it anew; without data it is withdrawn. Over the limits
    /// of [`Command::AnnounceResource`](crate::api::Command::AnnounceResource) nothing is announced.
    pub fn announce(&mut self, name: Label, data: Option<Data>, lifetime: Duration) {
        self.requests.push(ProtocolRequest::Announce { name, data, lifetime });
    }

    /// Tells the embedder, by [`Event::ProtocolEvent`](crate::api::Event::ProtocolEvent).
    pub fn event(&mut self, payload: Vec<u8>) {
        self.requests.push(ProtocolRequest::Event { payload });
    }

    /// Calls back after this time, and after a millisecond at the earliest; `None` takes an earlier request back.
    pub fn timer(&mut self, after: impl Into<Option<Duration>>) {
        self.requests.push(ProtocolRequest::Timer(after.into()));
    }
}
