//! Gossip topics and searches of another protocol, and who can keep whom from being heard.

use nelumbo_core::api::{Blame, Config, GossipId, Input, Output, Quota, Refusal, Verdict};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::Network;
use nelumbo_core::protocol::{ProtocolContext, ProtocolError};
use nelumbo_core::wire::{Body, Data, MAX_GOSSIP, MAX_PUBLISHED, ProtocolMessage, Receiver, Resource, SHARDS};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL, now};
use super::discovery::{label, lookups};
use super::scripted_protocol::Script;

fn publish(author: &mut ScriptedPeer, protocol: &str, topic: &str, number: u64, payload: &[u8]) -> Bytes {
    let (protocol, to) = (label(protocol), Receiver::Topic(label(topic)));
    let (issued_at, payload) = (Wall::from_millis(WALL), payload.to_vec());
    author.say_body(Body::Protocol(ProtocolMessage { protocol, to, number, issued_at, payload }))
}

/// What becomes of a message that a peer passes on by gossip.
fn gossip(node: &mut TestNode, from: &ScriptedPeer, bytes: Bytes) -> Verdict {
    node.input(Input::Gossip { from: from.peer, id: GossipId(7), bytes });
    let is_verdict = |output: &Output| matches!(output, Output::Verdict { .. });
    let at = node.others.iter().position(is_verdict).expect("each message gets a verdict");
    let Output::Verdict { id: GossipId(7), verdict } = node.others.remove(at) else { panic!("of another message") };
    verdict
}

/// The topics that a node takes part in, or no more, since this was last asked.
fn topics(node: &mut TestNode) -> Vec<String> {
    let changes = std::mem::take(&mut node.others).into_iter().filter_map(|output| match output {
        Output::Subscribe(topic) => Some(format!("+{}", topic.as_str())),
        Output::Unsubscribe(topic) => Some(format!("-{}", topic.as_str())),
        _ => None,
    });
    changes.collect()
}

fn listening() -> (TestNode, Script) {
    let (mut node, script) = (TestNode::new(), Script::new("pool"));
    script.register(&mut node);
    script.act(&mut node, |context| context.subscribe(label("offers")).expect("there is room"));
    script.told();
    (node, script)
}

/// P5.
#[test]
fn a_message_to_a_topic_passes_the_gate_and_then_its_protocol_decides() {
    let (mut node, script) = listening();
    let (mut alice, bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.input(Input::Connected(bob.peer));
    script.told();
    let bytes = publish(&mut alice, "pool", "offers", 1, b"one");
    assert_eq!(gossip(&mut node, &bob, bytes.clone()), Verdict::Accept);
    assert_eq!(script.told(), ["published offers one"]);
    for (refusal, bytes) in [
        (Refusal::Duplicate, bytes.clone()),
        (Refusal::Protocol, publish(&mut alice, "pool", "other", 2, b"two")),
        (Refusal::Protocol, publish(&mut alice, "poker", "offers", 3, b"three")),
        (Refusal::NotFresh, {
            let (protocol, to, payload) = (label("pool"), Receiver::Topic(label("offers")), Vec::new());
            let issued_at = Wall::from_millis(WALL - HOUR);
            alice.say_body(Body::Protocol(ProtocolMessage { protocol, to, number: 4, issued_at, payload }))
        }),
    ] {
        node.refuses(refusal, |node| assert_eq!(gossip(node, &bob, bytes), Verdict::Ignore));
    }
    let mut forged = publish(&mut alice, "pool", "offers", 5, b"five").to_vec();
    *forged.last_mut().unwrap() ^= 1;
    node.refuses(Refusal::Signature, |node| assert_eq!(gossip(node, &bob, forged.into()), Verdict::Reject));
    // It travels by gossip alone, and what is for one signer does not.
    node.refuses(Refusal::Channel, |node| node.hear(&bob, bytes));
    let direct = {
        let (protocol, to, payload) = (label("pool"), Receiver::Signer(node.key), Vec::new());
        let issued_at = Wall::from_millis(WALL);
        alice.say_body(Body::Protocol(ProtocolMessage { protocol, to, number: 6, issued_at, payload }))
    };
    node.refuses(Refusal::Channel, |node| assert_eq!(gossip(node, &bob, direct), Verdict::Reject));
    assert_eq!(script.told(), [""; 0]);
    // Its own validator.
    *script.verdict.lock().unwrap() = Verdict::Ignore;
    let bytes = publish(&mut alice, "pool", "offers", 7, b"seven");
    node.refuses(Refusal::Policy, |node| assert_eq!(gossip(node, &bob, bytes), Verdict::Ignore));
    *script.verdict.lock().unwrap() = Verdict::Reject;
    let (_, before) = node.node.view().standing(&bob.peer);
    let bytes = publish(&mut alice, "pool", "offers", 8, b"eight");
    node.refuses(Refusal::Invalid, |node| assert_eq!(gossip(node, &bob, bytes), Verdict::Reject));
    assert_eq!(Refusal::Invalid.blame(), Blame::Neighbour);
    assert_eq!(node.node.view().standing(&bob.peer).1, before + 5);
    assert_eq!(script.told(), ["published offers seven", "published offers eight"]);
}

/// P15.
#[test]
fn what_it_publishes_is_signed_for_its_topic_and_no_more_than_others_take() {
    let (mut node, script) = listening();
    assert_eq!(topics(&mut node).last().map(String::as_str), Some("+protocol:pool:offers"));
    script.act(&mut node, |context| {
        context.publish(label("offers"), vec![1; MAX_PUBLISHED + 1]);
        (0..70).for_each(|_| context.publish(label("offers"), vec![1; MAX_PUBLISHED]));
    });
    let published: Vec<Bytes> = std::mem::take(&mut node.others)
        .into_iter()
        .filter_map(|output| match output {
            Output::Publish { topic, bytes } if topic.as_str() == "protocol:pool:offers" => Some(bytes),
            _ => None,
        })
        .collect();
    assert!(published.iter().all(|bytes| bytes.len() <= MAX_GOSSIP));
    // Another node takes all of it, and then no more of this author's.
    let (mut other, heard) = (TestNode::of(9, Config::new(Network::Regtest), Vec::new(), 2), Script::new("pool"));
    heard.register(&mut other);
    heard.act(&mut other, |context| context.subscribe(label("offers")).expect("there is room"));
    let carrier = ScriptedPeer::new(3);
    other.input(Input::Connected(carrier.peer));
    assert_eq!(published.len(), 60);
    for bytes in published {
        assert_eq!(gossip(&mut other, &carrier, bytes), Verdict::Accept);
    }
    let mut alice = ScriptedPeer::new(1);
    for number in 0..60 {
        let bytes = publish(&mut alice, "pool", "offers", number, b"");
        assert_eq!(gossip(&mut other, &carrier, bytes), Verdict::Accept);
    }
    let bytes = publish(&mut alice, "pool", "offers", 60, b"");
    other.refuses(Refusal::AuthorQuota, |other| assert_eq!(gossip(other, &carrier, bytes), Verdict::Ignore));
}

/// P2.
#[test]
fn topics_are_bounded_and_end_with_the_protocol() {
    let (mut node, script) = listening();
    let most = Config::new(Network::Regtest).limits.protocol_topics;
    script.act(&mut node, move |context| {
        for number in 1..most {
            context.subscribe(label(&format!("topic-{number}"))).expect("there is room");
        }
        context.subscribe(label("offers")).expect("it listens to it already");
        assert_eq!(context.subscribe(label("last")), Err(ProtocolError::TooManyTopics));
    });
    // What one protocol has, another has not.
    let other = Script::new("other");
    other.register(&mut node);
    other.act(&mut node, |context| {
        assert_eq!(context.subscribe(label("first")), Err(ProtocolError::TooManyTopics));
    });
    topics(&mut node);
    script.act(&mut node, |context| context.unsubscribe(&label("topic-1")));
    assert_eq!(topics(&mut node), ["-protocol:pool:topic-1"]);
    other.act(&mut node, |context| context.subscribe(label("first")).expect("there is room again"));
    assert_eq!(topics(&mut node), ["+protocol:other:first"]);
    assert!(node.unregister(&label("pool")));
    assert_eq!(topics(&mut node).len(), most - 1);
    let mut alice = ScriptedPeer::new(1);
    let bytes = publish(&mut alice, "pool", "offers", 1, b"late");
    node.refuses(Refusal::Protocol, |node| assert_eq!(gossip(node, &alice, bytes), Verdict::Ignore));
}

/// P16.
#[test]
fn a_search_finds_what_is_known_and_what_is_stored_and_tells_its_protocol_alone() {
    let (mut node, script) = listening();
    let mut alice = ScriptedPeer::new(1);
    let mut resource = |name: &str| {
        alice.say_body(Body::Resource(Resource {
            kind: label("pool"),
            name: label(name),
            data: Data::new(vec![1]),
            issued_at: Wall::from_millis(WALL),
            expires_at: Wall::from_millis(WALL + HOUR),
        }))
    };
    let (known, later) = (resource("known"), resource("later"));
    let alice = ScriptedPeer::new(1);
    node.hear(&alice, known);
    assert_eq!(script.told(), ["resource known"]);
    let events = node.events.len();
    script.act(&mut node, |context| {
        context.search();
        context.search();
    });
    let asked = lookups(&mut node);
    assert_eq!(asked.len(), usize::from(SHARDS), "one search at a time");
    assert_eq!(script.told(), ["found known"]);
    node.hear(&alice, later);
    assert_eq!(script.told(), ["resource later", "found later"]);
    for (operation, _) in asked {
        node.input(Input::LookupFinished(operation));
    }
    assert_eq!(script.told(), ["finished Ok(2)"]);
    let heard = node.events[events..].iter().filter(|event| !format!("{event:?}").starts_with("ResourceDiscovered"));
    assert_eq!(heard.count(), 0, "the embedder did not search");
    script.act(&mut node, ProtocolContext::search);
    assert_eq!(lookups(&mut node).len(), usize::from(SHARDS), "and the next");
}

/// A stranger that sends all it can takes neither the room of others nor what is remembered of them.
#[test]
fn a_flood_of_one_peer_neither_silences_others_nor_makes_their_messages_come_twice() {
    let mut config = Config::new(Network::Regtest);
    // What a peer may send at once is less than it takes; it has five minutes.
    config.limits.messages_per_peer = Quota::per_second(20_000, 2);
    let (mut node, script) = (TestNode::with(config, Vec::new(), 1), Script::new("pool"));
    script.register(&mut node);
    let (mut alice, mut mallory) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    let say = |author: &mut ScriptedPeer, to, number| {
        let (protocol, to, issued_at) = (label("pool"), Receiver::Signer(to), Wall::from_millis(WALL));
        author.say_body(Body::Protocol(ProtocolMessage { protocol, to, number, issued_at, payload: Vec::new() }))
    };
    let key = node.key;
    let first = say(&mut alice, key, 1);
    node.hear(&alice, first.clone());
    // In batches, which cost less to verify.
    let limits = Config::new(Network::Regtest).limits;
    let share = limits.protocol_messages / 2 / limits.peers;
    let room = share + limits.protocol_messages / 4;
    for batch in (0..room as u64 + 100).collect::<Vec<_>>().chunks(64) {
        let input = |number: &u64| Input::Received { from: mallory.peer, bytes: say(&mut mallory, key, *number) };
        let inputs: Vec<Input> = batch.iter().map(input).collect();
        node.node.handle_many(now(node.time), inputs);
    }
    node.input(Input::Tick);
    assert_eq!(node.node.view().refusals().get(Refusal::Full), 100, "it has half of what is not shared out");
    assert_eq!(script.told().len(), 1 + 1 + room);
    let second = say(&mut alice, key, 2);
    node.hear(&alice, second);
    assert_eq!(script.told(), ["message "]);
    node.refuses(Refusal::Duplicate, |node| node.hear(&alice, first));
}
