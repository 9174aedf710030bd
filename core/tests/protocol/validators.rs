//! A protocol's own validators: what it finds to mean nothing reaches neither it nor others.

use nelumbo_core::api::{Input, Output, PutId, Refusal, Standing, Verdict};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::protocol::{Protocol, ProtocolContext};
use nelumbo_core::wire::{Body, Data, Label, ProtocolMessage, Receiver, RecordKey, Resource, ResourceId};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL};
use super::discovery::label;

/// Speaks of even numbers, one byte each.
struct Even;

impl Protocol for Even {
    fn name(&self) -> Label {
        label("even")
    }

    fn accepts_message(&self, _: &PublicKey, payload: &[u8]) -> bool {
        matches!(payload, [number] if number.is_multiple_of(2))
    }

    fn accepts_resource(&self, _: &PublicKey, resource: &Resource) -> bool {
        resource.data.as_ref().is_none_or(|data| matches!(data.as_bytes(), [number] if number.is_multiple_of(2)))
    }

    fn on_message(&mut self, context: &mut ProtocolContext, _: &PublicKey, payload: &[u8]) {
        context.event(payload.to_vec());
    }

    fn on_resource(&mut self, context: &mut ProtocolContext, _: &ResourceId, resource: &Resource) {
        context.event(resource.data.iter().flat_map(|data| data.as_bytes().to_vec()).collect());
    }

    fn on_published(&mut self, _: &mut ProtocolContext, _: &Label, _: &PublicKey, said: &[u8]) -> Verdict {
        if said[0].is_multiple_of(2) { Verdict::Accept } else { Verdict::Reject }
    }
}

fn node() -> (TestNode, ScriptedPeer) {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.register(Box::new(Even));
    node.meet(&mut alice);
    node.events.clear();
    (node, alice)
}

fn message(alice: &mut ScriptedPeer, to: &TestNode, number: u8) -> Bytes {
    let (protocol, to, issued_at) = (label("even"), Receiver::Signer(to.key), Wall::from_millis(WALL));
    let (number, payload) = (u64::from(number), vec![number]);
    alice.say_body(Body::Protocol(ProtocolMessage { protocol, to, number, issued_at, payload }))
}

fn resource(alice: &mut ScriptedPeer, kind: &str, name: &str, number: u8) -> Bytes {
    alice.say_body(Body::Resource(Resource {
        kind: label(kind),
        name: label(name),
        data: Data::new(vec![number]),
        issued_at: Wall::from_millis(WALL),
        expires_at: Wall::from_millis(WALL + HOUR),
    }))
}

fn events(node: &mut TestNode) -> usize {
    std::mem::take(&mut node.events).len()
}

#[test]
fn a_message_that_means_nothing_is_held_against_whoever_sends_it() {
    let (mut node, mut alice) = node();
    let even = message(&mut alice, &node, 2);
    node.hear(&alice, even);
    assert_eq!((events(&mut node), node.node.view().refusals().total()), (1, 0));
    for number in 0..10 {
        let odd = message(&mut alice, &node, 2 * number + 1);
        node.refuses(Refusal::Invalid, |node| node.hear(&alice, odd));
    }
    assert_eq!(node.node.view().standing(&alice.peer), (Standing::Graylisted, 50));
    // Without the protocol nobody says what means something, and nothing is held against anyone.
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let odd = message(&mut alice, &node, 1);
    node.refuses(Refusal::Protocol, |node| node.hear(&alice, odd));
}

#[test]
fn a_resource_that_means_nothing_is_neither_known_nor_stored() {
    let (mut node, mut alice) = node();
    let (even, odd) = (resource(&mut alice, "even", "two", 2), resource(&mut alice, "even", "one", 1));
    node.hear(&alice, even.clone());
    node.refuses(Refusal::Policy, |node| node.hear(&alice, odd.clone()));
    assert_eq!((node.node.view().resources().count(), node.node.view().standing(&alice.peer).1), (1, 0));
    assert!(events(&mut node) >= 1, "the protocol is told of one");
    let foreign = resource(&mut alice, "any", "one", 1);
    node.hear(&alice, foreign);
    assert_eq!(node.node.view().resources().count(), 2, "of another kind nothing is asked");
    let mut put = |name: &str, id: u64, bytes: &Bytes| {
        let id = PutId(id);
        let resource = ResourceId { author: alice.key(), kind: label("even"), name: label(name) };
        let (from, key, bytes) = (alice.peer, RecordKey::Resource(resource).to_string(), bytes.clone());
        node.input(Input::PutRequested { from, subnet: None, id, key, bytes, stored: None });
        node.others.pop()
    };
    assert!(matches!(put("two", 1, &even), Some(Output::AcceptRecord { .. })));
    let rejected = Some(Output::RejectRecord { id: PutId(2), refusal: Refusal::Policy });
    assert_eq!(put("one", 2, &odd), rejected);
}
