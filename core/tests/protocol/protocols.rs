//! Another protocol on the same node: what it is told and what it may do, through the same gate.

use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, Event, Input, Refusal, TimerReason};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::protocol::{Protocol, ProtocolContext};
use nelumbo_core::wire::{Body, Data, Label, Message, PeerId, ProtocolMessage, Resource, ResourceId};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL};
use super::discovery::label;

/// Answers every message with the same and an exclamation mark, and tells the embedder of everything.
struct Echo;

impl Protocol for Echo {
    fn name(&self) -> Label {
        label("echo")
    }

    fn on_message(&mut self, context: &mut ProtocolContext, from: &PublicKey, payload: &[u8]) {
        context.send(*from, [payload, b"!"].concat());
        context.event(payload.to_vec());
    }

    fn on_command(&mut self, context: &mut ProtocolContext, payload: &[u8]) {
        context.announce(label("here"), Data::new(payload.to_vec()), Duration::from_secs(60));
        context.timer(Duration::from_secs(1));
    }

    fn on_resource(&mut self, context: &mut ProtocolContext, _: &ResourceId, resource: &Resource) {
        context.event(resource.data.as_ref().map_or(b"gone".to_vec(), |data| data.as_bytes().to_vec()));
    }

    fn on_signer_connected(&mut self, context: &mut ProtocolContext, _: &PublicKey, _: &PeerId) {
        context.event(b"up".to_vec());
    }

    fn on_signer_disconnected(&mut self, context: &mut ProtocolContext, _: &PublicKey, _: &PeerId) {
        context.event(b"down".to_vec());
    }

    fn on_timer(&mut self, context: &mut ProtocolContext) {
        context.event(b"time".to_vec());
    }
}

fn node() -> TestNode {
    let mut node = TestNode::new();
    node.node.register(Box::new(Echo)).ok().expect("the first of its name");
    node
}

fn say(author: &mut ScriptedPeer, protocol: &str, to: PublicKey, number: u64, issued_at: u64) -> Bytes {
    let issued_at = Wall::from_millis(issued_at);
    let message = ProtocolMessage { protocol: label(protocol), to, number, issued_at, payload: b"hello".to_vec() };
    author.say_body(Body::Protocol(message))
}

/// What it has told the embedder since this was last asked.
fn told(node: &mut TestNode) -> Vec<String> {
    let said = std::mem::take(&mut node.events).into_iter().filter_map(|event| match event {
        Event::ProtocolEvent { protocol, payload } => {
            assert_eq!(protocol, label("echo"));
            Some(String::from_utf8(payload).expect("text"))
        }
        _ => None,
    });
    said.collect()
}

fn payloads(node: &TestNode) -> Vec<(PeerId, Vec<u8>)> {
    let payload = |(to, message): &(PeerId, Message)| match &message.unsigned.body {
        Body::Protocol(message) => Some((*to, message.payload.clone())),
        _ => None,
    };
    node.sent.iter().filter_map(payload).collect()
}

#[test]
fn a_message_comes_once_signed_fresh_and_for_this_node() {
    let (mut node, mut alice) = (node(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    assert_eq!(told(&mut node), ["up"]);
    let bytes = say(&mut alice, "echo", node.key, 1, WALL);
    node.hear(&alice, bytes.clone());
    assert_eq!(told(&mut node), ["hello"]);
    assert_eq!(payloads(&node), [(alice.peer, b"hello!".to_vec())]);
    node.refuses(Refusal::Duplicate, |node| node.hear(&alice, bytes.clone()));
    let mut forged = bytes.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    node.refuses(Refusal::Signature, |node| node.hear(&alice, forged.into()));
    for (number, to, protocol, at, refusal) in [
        (2, alice.key(), "echo", WALL, Refusal::NotForMe),
        (3, node.key, "other", WALL, Refusal::Protocol),
        (4, node.key, "echo", WALL - HOUR, Refusal::NotFresh),
        (5, node.key, "echo", WALL + HOUR, Refusal::NotFresh),
    ] {
        let bytes = say(&mut alice, protocol, to, number, at);
        node.refuses(refusal, |node| node.hear(&alice, bytes));
    }
    let gossip = say(&mut alice, "echo", node.key, 6, WALL);
    let (from, id) = (alice.peer, nelumbo_core::api::GossipId(1));
    node.refuses(Refusal::Channel, |node| node.input(Input::Gossip { from, id, bytes: gossip }));
    assert_eq!(told(&mut node), [""; 0]);
    node.input(Input::Disconnected(alice.peer));
    assert_eq!(told(&mut node), ["down"]);
}

#[test]
fn what_is_said_to_somebody_away_waits_for_a_while() {
    let (mut node, mut alice, mut bob) = (node(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    // Alice's words come through Bob, and she is not connected.
    node.meet(&mut bob);
    let bytes = say(&mut alice, "echo", node.key, 1, WALL);
    node.hear(&bob, bytes);
    assert!(payloads(&node).is_empty());
    node.meet(&mut alice);
    assert_eq!(payloads(&node), [(alice.peer, b"hello!".to_vec())]);
    // By the time that he is there again, nobody would take it any more.
    node.input(Input::Disconnected(bob.peer));
    let bytes = say(&mut bob, "echo", node.key, 2, WALL);
    node.hear(&alice, bytes);
    node.wait(HOUR);
    node.input(Input::Connected(bob.peer));
    assert_eq!(payloads(&node).len(), 1);
}

#[test]
fn commands_resources_and_timers_reach_it() {
    let (mut node, mut alice) = (node(), ScriptedPeer::new(1));
    node.command(Command::ProtocolCommand { protocol: label("echo"), payload: b"x".to_vec() }).unwrap();
    assert_eq!(node.node.view().own_records(), 2, "a resource and its place in the directory");
    node.wait(1_000);
    assert_eq!(told(&mut node), ["time"]);
    let mut resource = |issued_at: u64, data: Option<&[u8]>| {
        alice.say_body(Body::Resource(Resource {
            kind: label("echo"),
            name: label("there"),
            data: data.and_then(|data| Data::new(data.to_vec())),
            issued_at: Wall::from_millis(issued_at),
            expires_at: Wall::from_millis(issued_at + HOUR),
        }))
    };
    let (here, gone) = (resource(WALL, Some(b"echoes")), resource(WALL + 1, None));
    for bytes in [here, gone] {
        node.input(Input::Received { from: PeerId::from_bytes(&[1]).unwrap(), bytes });
    }
    assert_eq!(told(&mut node), ["echoes", "gone"]);
    assert!(node.node.register(Box::new(Echo)).is_err(), "one of each name");
    assert!(node.node.unregister(&label("echo")).is_some());
    let refused = node.command(Command::ProtocolCommand { protocol: label("echo"), payload: Vec::new() });
    assert_eq!(refused, Err(CommandError::UnknownProtocol(label("echo"))));
}

#[test]
fn a_message_is_taken_as_long_as_clocks_may_differ() {
    const SKEW: u64 = 5 * 60 * 1000;
    let (mut node, mut alice) = (node(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    told(&mut node);
    for (number, at) in [(1, WALL - SKEW), (2, WALL + SKEW)] {
        let bytes = say(&mut alice, "echo", node.key, number, at);
        node.hear(&alice, bytes);
    }
    assert_eq!(told(&mut node), ["hello", "hello"]);
    for (number, at) in [(3, WALL - SKEW - 1), (4, WALL + SKEW + 1), (5, u64::MAX)] {
        let bytes = say(&mut alice, "echo", node.key, number, at);
        node.refuses(Refusal::NotFresh, |node| node.hear(&alice, bytes));
    }
}

/// Wants to be called back at once, each time, and counts how often it was.
struct Hasty(u32);

impl Protocol for Hasty {
    fn name(&self) -> Label {
        label("hasty")
    }

    fn on_message(&mut self, _: &mut ProtocolContext, _: &PublicKey, _: &[u8]) {}

    fn on_command(&mut self, context: &mut ProtocolContext, _: &[u8]) {
        context.timer(Duration::ZERO);
    }

    fn on_timer(&mut self, context: &mut ProtocolContext) {
        self.0 += 1;
        assert!(self.0 <= 5, "it comes without end");
        context.event(b"time".to_vec());
        context.timer(Duration::ZERO);
    }
}

#[test]
fn a_protocol_that_cannot_wait_waits_a_millisecond() {
    let mut node = TestNode::new();
    node.node.register(Box::new(Hasty(0))).ok().expect("the first of its name");
    node.command(Command::ProtocolCommand { protocol: label("hasty"), payload: Vec::new() }).unwrap();
    let begun = node.time;
    for millis in 1..=5 {
        let deadline = node.node.deadline().expect("it wants to be called");
        assert_eq!(deadline.reason, TimerReason::Protocol(label("hasty")));
        assert_eq!(deadline.at.as_nanos(), begun + millis * 1_000_000);
        node.time = deadline.at.as_nanos() - 1;
        node.input(Input::Tick);
        let told = node.events.iter().filter(|event| matches!(event, Event::ProtocolEvent { .. })).count();
        assert_eq!(told as u64, millis, "once in each millisecond");
    }
}
