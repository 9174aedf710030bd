//! The seam between a node and the world: one trait, and the function that takes a node's outputs apart for it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::api::{Event, GossipId, OperationId, Output, PutId, RecordSequence, Refusal, SignRequest, Topic, Verdict};
use crate::base::Bytes;
use crate::crypto::Verifier;
use crate::node::Node;
use crate::wire::{Address, PeerId};

/// What a node needs done. Each method is one [`Output`]; what comes of it is reported as an
/// [`Input`](crate::api::Input).
///
/// Four methods every host writes: without records nothing is ever said, without a signer and messages nobody signs,
/// and without events nobody hears of it. The others do nothing unless they are written, and each says what that costs.
pub trait Host {
    /// See [`Output::Persist`].
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>);
    /// See [`Output::Send`].
    fn send(&mut self, to: PeerId, bytes: Bytes);
    /// See [`Output::Sign`]. A signer in memory answers with [`Node::answer`], once the node is drained.
    fn sign(&mut self, request: SignRequest);
    /// See [`Output::Event`].
    fn event(&mut self, event: Event);

    /// See [`Output::Subscribe`]. Without it the node hears nothing by gossip: it finds keys by the peers that it is
    /// connected to and in the DHT alone, and strangers' offers in the DHT alone.
    fn subscribe(&mut self, topic: Topic) {
        let _ = topic;
    }
    /// See [`Output::Unsubscribe`]. Without it the node is still shown what it has no more use for, and refuses it.
    fn unsubscribe(&mut self, topic: Topic) {
        let _ = topic;
    }
    /// See [`Output::Publish`]. Without it peers to which this node has no connection learn of it in the DHT alone.
    fn publish(&mut self, topic: Topic, bytes: Bytes) {
        let _ = (topic, bytes);
    }
    /// See [`Output::Verdict`]. Only a host that reports [`Input::Gossip`](crate::api::Input::Gossip) is asked. Without
    /// it the host may pass nothing on; one that passes on what it has not been told to accept carries spam.
    fn verdict(&mut self, id: GossipId, verdict: Verdict) {
        let _ = (id, verdict);
    }
    /// See [`Output::Dial`]. Without it the node reaches those alone whom the host connects by itself.
    fn dial(&mut self, peer: PeerId, addresses: Vec<Address>) {
        let _ = (peer, addresses);
    }
    /// See [`Output::Release`]. Without it connections that no session needs stay until the host closes them.
    fn release(&mut self, peer: PeerId) {
        let _ = peer;
    }
    /// See [`Output::Ban`]. Without it a banned peer keeps its connection; the node refuses what it sends in any case.
    fn ban(&mut self, peer: PeerId) {
        let _ = peer;
    }
    /// See [`Output::Unban`]. A host without [`ban`](Self::ban) has nothing to do here; with it, a peer would stay out.
    fn unban(&mut self, peer: PeerId) {
        let _ = peer;
    }
    /// See [`Output::Lookup`]. Without it nothing is found in the DHT, and a search ends when its time is over.
    fn lookup(&mut self, operation: OperationId, key: String) {
        let _ = (operation, key);
    }
    /// See [`Output::AcceptRecord`]. Only a host that reports [`Input::PutRequested`](crate::api::Input::PutRequested)
    /// is asked. Without it this node stores nothing for others.
    fn accept_record(&mut self, id: PutId, value: Bytes, lifetime: Duration) {
        let _ = (id, value, lifetime);
    }
    /// See [`Output::RemoveRecord`], which the same hosts are told. Without it a record stays until it expires.
    fn remove_record(&mut self, key: String) {
        let _ = key;
    }
    /// See [`Output::RejectRecord`], which the same hosts are told. Without it the host must forget an offered record
    /// by itself.
    fn reject_record(&mut self, id: PutId, refusal: Refusal) {
        let _ = (id, refusal);
    }
    /// See [`Output::Store`]. Without it nobody finds this node, its offer or its requests in the DHT.
    fn store(&mut self, key: String, value: Bytes, lifetime: Duration) {
        let _ = (key, value, lifetime);
    }
}

/// Hands everything that the node has to say to its host, in order.
pub fn drain<V: Verifier>(node: &mut Node<V>, host: &mut (impl Host + ?Sized)) {
    drain_watched(node, host, |_| ());
}

/// The same, and `watch` sees each output as it is before the host gets it.
pub fn drain_watched<V: Verifier>(node: &mut Node<V>, host: &mut (impl Host + ?Sized), mut watch: impl FnMut(&Output)) {
    while let Some(output) = node.poll() {
        watch(&output);
        match output {
            Output::Persist { sequence, key, value } => host.persist(sequence, key, value),
            Output::Sign(request) => host.sign(request),
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
