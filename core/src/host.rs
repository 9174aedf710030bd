//! The seam between a node and the world: one trait, and the one place in the workspace that takes outputs apart.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::api::{Event, GossipId, OperationId, Output, PutId, RecordSequence, Refusal, Topic, Verdict};
use crate::base::Bytes;
use crate::crypto::Verifier;
use crate::node::Node;
use crate::wire::{Address, PeerId};

/// What a node needs done. Each method is one [`Output`]; what comes of it is reported as an
/// [`Input`](crate::api::Input).
pub trait Host {
    /// See [`Output::Persist`].
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>);
    /// See [`Output::Send`].
    fn send(&mut self, to: PeerId, bytes: Bytes);
    /// See [`Output::Subscribe`].
    fn subscribe(&mut self, topic: Topic);
    /// See [`Output::Unsubscribe`].
    fn unsubscribe(&mut self, topic: Topic);
    /// See [`Output::Publish`].
    fn publish(&mut self, topic: Topic, bytes: Bytes);
    /// See [`Output::Verdict`].
    fn verdict(&mut self, id: GossipId, verdict: Verdict);
    /// See [`Output::Dial`].
    fn dial(&mut self, peer: PeerId, addresses: Vec<Address>);
    /// See [`Output::Release`].
    fn release(&mut self, peer: PeerId);
    /// See [`Output::Ban`]. The node refuses what the peer sends in any case.
    fn ban(&mut self, peer: PeerId) {
        let _ = peer;
    }
    /// See [`Output::Unban`].
    fn unban(&mut self, peer: PeerId) {
        let _ = peer;
    }
    /// See [`Output::Lookup`].
    fn lookup(&mut self, operation: OperationId, key: String);
    /// See [`Output::AcceptRecord`]. Only hosts that report [`Input::PutRequested`](crate::api::Input::PutRequested) are asked.
    fn accept_record(&mut self, id: PutId, value: Bytes, lifetime: Duration) {
        let _ = (id, value, lifetime);
    }
    /// See [`Output::RemoveRecord`].
    fn remove_record(&mut self, key: String) {
        let _ = key;
    }
    /// See [`Output::RejectRecord`].
    fn reject_record(&mut self, id: PutId, refusal: Refusal) {
        let _ = (id, refusal);
    }
    /// See [`Output::Store`].
    fn store(&mut self, key: String, value: Bytes, lifetime: Duration);
    /// See [`Output::Event`].
    fn event(&mut self, event: Event);
}

/// Hands everything that the node has to say to its host, in order.
pub fn drain<V: Verifier>(node: &mut Node<V>, host: &mut impl Host) {
    drain_watched(node, host, |_| ());
}

/// The same, and `watch` sees each output as it is before the host gets it.
pub fn drain_watched<V: Verifier>(node: &mut Node<V>, host: &mut impl Host, mut watch: impl FnMut(&Output)) {
    while let Some(output) = node.poll() {
        watch(&output);
        match output {
            Output::Persist { sequence, key, value } => host.persist(sequence, key, value),
            Output::Send { to, bytes } => host.send(to, bytes),
            Output::Subscribe(topic) => host.subscribe(topic),
            Output::Unsubscribe(topic) => host.unsubscribe(topic),
            Output::Publish { topic, bytes } => host.publish(topic, bytes),
            Output::Verdict { id, verdict } => host.verdict(id, verdict),
            Output::Dial { peer, addresses } => host.dial(peer, addresses),
            Output::Release(peer) => host.release(peer),
            Output::Ban(peer) => host.ban(peer),
            Output::Unban(peer) => host.unban(peer),
            Output::Lookup { operation, key } => host.lookup(operation, key),
            Output::AcceptRecord { id, value, lifetime } => host.accept_record(id, value, lifetime),
            Output::RemoveRecord { key } => host.remove_record(key),
            Output::RejectRecord { id, refusal } => host.reject_record(id, refusal),
            Output::Store { key, value, lifetime } => host.store(key, value, lifetime),
            Output::Event(event) => host.event(event),
        }
    }
}
