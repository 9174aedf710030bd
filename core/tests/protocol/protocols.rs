//! Another protocol on the same node: what it is told and what it may say, through the same gate.

use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, Config, Event, Input, NewSession, Refusal, TimerReason};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, PublicKey, Suite};
use nelumbo_core::protocol::{Protocol, ProtocolContext, ProtocolError};
use nelumbo_core::wire::{
    Address, Body, Data, Label, MAX_PAYLOAD, Message, PeerId, Presence, ProtocolMessage, Receiver, Resource, ResourceId,
};

use super::common::{HOUR, NODE, ScriptedPeer, TestNode, WALL};
use super::discovery::label;
use super::scripted_protocol::Script;

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
        context.set_timer(label("soon"), Duration::from_secs(1)).expect("there is room");
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

    fn on_timer(&mut self, context: &mut ProtocolContext, name: &Label) {
        assert_eq!(*name, label("soon"));
        context.event(b"time".to_vec());
    }
}

fn node() -> TestNode {
    let mut node = TestNode::new();
    node.register(Box::new(Echo));
    node
}

fn say(author: &mut ScriptedPeer, protocol: &str, to: PublicKey, number: u64, issued_at: u64) -> Bytes {
    let issued_at = Wall::from_millis(issued_at);
    let to = Receiver::Signer(to);
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

/// P4.
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

/// P14.
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
        context.set_timer(label("now"), Duration::ZERO).expect("there is room");
    }

    fn on_timer(&mut self, context: &mut ProtocolContext, name: &Label) {
        self.0 += 1;
        assert!(self.0 <= 5, "it comes without end");
        context.event(b"time".to_vec());
        context.set_timer(name.clone(), Duration::ZERO).expect("there is room");
    }
}

#[test]
fn a_protocol_that_cannot_wait_waits_a_millisecond() {
    let mut node = TestNode::new();
    node.register(Box::new(Hasty(0)));
    node.command(Command::ProtocolCommand { protocol: label("hasty"), payload: Vec::new() }).unwrap();
    let begun = node.time;
    for millis in 1..=5 {
        let deadline = node.node.deadline().expect("it wants to be called");
        assert_eq!(deadline.reason, TimerReason::Protocol(label("hasty"), label("now")));
        assert_eq!(deadline.at.as_nanos(), begun + millis * 1_000_000);
        node.time = deadline.at.as_nanos() - 1;
        node.input(Input::Tick);
        let told = node.events.iter().filter(|event| matches!(event, Event::ProtocolEvent { .. })).count();
        assert_eq!(told as u64, millis, "once in each millisecond");
    }
}

/// P1, P7.
#[test]
fn it_hears_who_is_there_who_comes_changes_and_goes() {
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let address = |number| Address::from_bytes(vec![number]).expect("one byte");
    node.input(Input::Addresses(vec![address(1)]));
    node.meet(&mut alice);
    node.input(Input::Connected(bob.peer));
    let script = Script::new("script");
    script.register(&mut node);
    assert_eq!(script.told(), ["registered ", "own addresses 1", "peer 1 up", "peer 2 up", "signer up"]);
    let mut presence = |peer, after, addresses: &[u8]| {
        alice.say_body(Body::Presence(Presence {
            peer,
            addresses: addresses.iter().map(|number| address(*number)).collect(),
            issued_at: Wall::from_millis(WALL + after),
            expires_at: Wall::from_millis(WALL + HOUR),
        }))
    };
    let here = ScriptedPeer::new(1);
    for (peer, after, addresses) in [(here.peer, 1, &[1][..]), (here.peer, 2, &[1]), (here.peer, 3, &[1, 2])] {
        let bytes = presence(peer, after, addresses);
        node.hear(&here, bytes);
    }
    let bytes = presence(PeerId::from_bytes(&[9]).unwrap(), 4, &[3]);
    node.hear(&here, bytes);
    assert_eq!(script.told(), ["peer 1 updated at 1", "peer 1 updated at 2", "peer 9 updated at 1"], "once each");
    let mut carol = ScriptedPeer::new(3);
    node.meet(&mut carol);
    node.input(Input::Disconnected(carol.peer));
    assert_eq!(
        script.told(),
        ["peer 3 up", "peer 3 discovered at 0", "signer up", "signer down", "peer 3 down"],
        "in the order in which it happens"
    );
    node.input(Input::Addresses(vec![address(1), address(2)]));
    node.input(Input::Addresses(vec![address(2), address(1)]));
    assert_eq!(script.told(), ["own addresses 2"]);
}

/// P2, P6.
#[test]
fn each_of_its_timers_comes_once_under_its_name_until_it_is_taken_out() {
    let (mut node, script) = (TestNode::new(), Script::new("script"));
    script.register(&mut node);
    let set = |context: &mut ProtocolContext, name: &str, millis| {
        context.set_timer(label(name), Duration::from_millis(millis)).expect("there is room");
    };
    script.act(&mut node, move |context| {
        for (name, millis) in [("b", 20), ("a", 10), ("c", 30), ("d", 40), ("a", 25)] {
            set(context, name, millis);
        }
        context.cancel_timer(&label("c"));
    });
    script.told();
    node.wait(35);
    assert_eq!(script.told(), ["timer b", "timer a"]);
    let most = Config::new(Network::Regtest).limits.protocol_timers;
    script.act(&mut node, move |context| {
        for number in 1..most {
            set(context, &format!("more-{number}"), 1_000);
        }
        let one_more = |context: &mut ProtocolContext| context.set_timer(label("last"), Duration::from_secs(1));
        assert_eq!(one_more(context), Err(ProtocolError::TooManyTimers));
        set(context, "d", 50);
        context.cancel_timer(&label("d"));
        one_more(context).expect("one has gone");
    });
    node.wait(1);
    assert_eq!(node.node.view().deadlines().filter(|at| matches!(at.reason, TimerReason::Protocol(..))).count(), most);
    assert!(node.unregister(&label("script")));
    assert!(node.node.view().deadlines().all(|at| !matches!(at.reason, TimerReason::Protocol(..))));
    node.wait(2_000);
    assert_eq!(script.told(), [""; 0]);
}

/// P15.
#[test]
fn it_reaches_a_connected_peer_without_knowing_its_key_and_is_reached_as_one() {
    let (mut node, mut alice, script) = (TestNode::new(), ScriptedPeer::new(1), Script::new("script"));
    script.register(&mut node);
    node.input(Input::Connected(alice.peer));
    let (here, away, own) = (alice.peer, PeerId::from_bytes(&[9]).unwrap(), PeerId::from_bytes(&[NODE]).unwrap());
    script.act(&mut node, move |context| {
        assert_eq!(context.own_peer, own);
        [here, away, own].into_iter().for_each(|peer| context.send_to_peer(peer, b"hello".to_vec()));
        context.send_to_peer(here, vec![0; MAX_PAYLOAD]);
        context.send_to_peer(here, vec![0; MAX_PAYLOAD + 1]);
    });
    let sent: Vec<_> = payloads(&node).into_iter().map(|(to, payload)| (to, payload.len())).collect();
    assert_eq!(sent, [(here, 5), (here, MAX_PAYLOAD)]);
    node.input(Input::Connected(away));
    assert_eq!(payloads(&node).len(), 2, "what is for a peer that is away is not kept");
    script.told();
    let mut say = |to, number| {
        let (protocol, issued_at, payload) = (label("script"), Wall::from_millis(WALL), b"hello".to_vec());
        alice.say_body(Body::Protocol(ProtocolMessage { protocol, to, number, issued_at, payload }))
    };
    let (for_node, for_other) = (say(Receiver::Peer(own), 1), say(Receiver::Peer(away), 2));
    let alice = ScriptedPeer::new(1);
    node.hear(&alice, for_node);
    node.refuses(Refusal::NotForMe, |node| node.hear(&alice, for_other));
    assert_eq!(script.told(), ["message hello"]);
}

/// Whatever a protocol does without end, the node goes on.
#[test]
fn a_protocol_that_asks_again_at_once_without_end_stops_nothing() {
    let (mut node, script) = (TestNode::new(), Script::new("script"));
    script.register(&mut node);
    script.told();
    fn ask(script: &Script, context: &mut ProtocolContext) {
        let again = script.clone();
        script.react("created", move |context| ask(&again, context));
        let keys = vec![context.own_key];
        context.create(label("none"), NewSession::new(Suite::Lotus, keys, vec![1; 32]));
    }
    let clone = script.clone();
    script.act(&mut node, move |context| ask(&clone, context));
    let asked = script.told().len();
    assert!((256..=1_024).contains(&asked), "{asked} at once");
    let deadline = node.node.deadline().expect("there is more to do");
    assert_eq!((deadline.reason, deadline.at.as_nanos()), (TimerReason::ProtocolWork, node.time + 1_000_000));
    node.wait(1);
    assert!(!script.told().is_empty(), "it goes on");
}
