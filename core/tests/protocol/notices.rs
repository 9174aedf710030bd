//! Requests that are too large to be told in public: listed by what finds them, and had from their creators.

use nelumbo_core::api::{Command, Event, GossipId, Input, NewSession, Output, Phase, PutId, Refusal, Verdict};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{PublicKey, Suite, Tweak};
use nelumbo_core::wire::{
    Body, Definition, DefinitionError, Item, MAX_GOSSIP, MAX_SIGNERS, Message, PeerId, RecordKey, RequestNotice,
    SessionId,
};

use super::busy::Two;
use super::common::{HOUR, ScriptedPeer, TestNode, WALL, completed, definition};

const CARRIER: u8 = 99;

fn items(count: u16) -> Vec<Item> {
    let message = |number: u16| [&number.to_be_bytes()[..], &[7; 30]].concat();
    (0..count).map(|number| Item::message(message(number), Tweak::None)).collect()
}

fn create(node: &mut TestNode, other: PublicKey, count: u16) -> SessionId {
    let session = NewSession::new(Suite::Lotus, vec![node.key, other], Vec::new());
    let session = NewSession { items: items(count), is_listed: true, ..session };
    node.command(Command::Create(Box::new(session))).expect("it is sound");
    node.node.view().sessions().map(|session| session.id).last().expect("it was created")
}

/// What a node has published under this topic, and stored under this key.
fn said(node: &TestNode, topic_of: &str, key: &RecordKey) -> (Vec<Bytes>, Vec<Bytes>) {
    let (mut published, mut stored) = (Vec::new(), Vec::new());
    for output in &node.others {
        match output {
            Output::Publish { topic, bytes } if topic.as_str() == topic_of => published.push(bytes.clone()),
            Output::Store { key: at, value, .. } if *at == key.to_string() => stored.push(value.clone()),
            _ => {}
        }
    }
    (published, stored)
}

fn gossip(node: &mut TestNode, bytes: Bytes) {
    let from = PeerId::from_bytes(&[CARRIER]).expect("one byte names a peer");
    node.input(Input::Gossip { from, id: GossipId(1), bytes });
}

fn lookups(node: &TestNode) -> Vec<(nelumbo_core::api::OperationId, String)> {
    let lookup = |output: &Output| match output {
        Output::Lookup { operation, key } => Some((*operation, key.clone())),
        _ => None,
    };
    node.others.iter().filter_map(lookup).collect()
}

/// D14, D25.
#[test]
fn a_request_that_is_too_large_to_be_listed_is_had_from_its_creator() {
    let mut two = Two::apart();
    two.0.iter_mut().for_each(|node| node.input(Input::RoutingTable(3)));
    let other = two.0[1].key;
    let session = create(&mut two.0[0], other, 400);
    let definition = two.0[0].node.view().session(&session).expect("it is there").definition;
    assert!(!definition.fits_gossip() && two.0[0].events.contains(&Event::RequestListed { session }));
    let (published, stored) = said(&two.0[0], "musig2:signing-request", &RecordKey::Request(session));
    let [bytes] = &published[..] else { panic!("{} published", published.len()) };
    assert!(stored.contains(bytes) && bytes.len() < 500);
    let message = Message::decode(bytes.clone()).expect("it is a message");
    assert_eq!(message.unsigned.body, Body::RequestNotice(RequestNotice::of(&definition)));
    let (presences, _) = said(&two.0[0], "musig2:presence", &RecordKey::Presence(two.0[0].key));

    // The other one hears of it from somebody else, passes it on, and looks where its creator is.
    two.0[1].others.clear();
    gossip(&mut two.0[1], bytes.clone());
    let is_accepted = |output: &Output| matches!(output, Output::Verdict { verdict: Verdict::Accept, .. });
    assert!(two.0[1].others.iter().any(is_accepted));
    let asked = lookups(&two.0[1]);
    let [(operation, key)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*key, RecordKey::Presence(two.0[0].key).to_string());
    let presence = presences.last().expect("it has a presence").clone();
    two.0[1].input(Input::Found { operation: *operation, bytes: presence });
    let is_call = |output: &Output| matches!(output, Output::Dial { .. });
    assert_eq!(two.0[1].others.iter().filter(|output| is_call(output)).count(), 1);
    assert!(two.0[1].node.view().session(&session).is_none());

    // Once they are connected the creator says what it is.
    two.connect();
    assert_eq!(two.0[1].node.view().session(&session).map(|session| session.phase), Some(Phase::Announced));
    assert_eq!((two.approve_all(), two.completed()), (1, 1));
    let again = two.0[1].node.view().refusals().get(Refusal::Duplicate);
    two.0[1].others.clear();
    two.0[1].input(Input::Received { from: PeerId::from_bytes(&[CARRIER]).unwrap(), bytes: bytes.clone() });
    assert_eq!(two.0[1].node.view().refusals().get(Refusal::Duplicate), again + 1);
    assert!(lookups(&two.0[1]).is_empty(), "what is known is not looked for");
}

/// Its signers know a request before others do; if they did not pass it on, nobody else would hear of it.
#[test]
fn the_notice_of_a_known_session_is_passed_on_and_seeks_nobody() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let known = Definition { is_listed: true, ..definition(alice.key(), vec![node.key, alice.key()]) };
    let bytes = alice.say_body(Body::Request(known.clone().into()));
    node.input(Input::Received { from: alice.peer, bytes });
    node.others.clear();
    let bytes = alice.say_body(Body::RequestNotice(RequestNotice::of(&known)));
    gossip(&mut node, bytes);
    assert!(matches!(node.others[..], [Output::Verdict { verdict: Verdict::Accept, .. }]), "{:?}", node.others);
}

/// D19: whoever was away finds it where such requests are listed.
#[test]
fn a_large_request_is_found_in_the_index_of_its_signers() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let base = definition(alice.key(), vec![node.key, alice.key()]);
    let large = Definition { items: items(400), is_listed: true, ..base };
    node.command(Command::FindSession(large.id())).expect("it is not known");
    let asked = lookups(&node);
    let [(operation, key)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*key, RecordKey::Request(large.id()).to_string());
    let bytes = alice.say_body(Body::RequestNotice(RequestNotice::of(&large)));
    node.others.clear();
    node.input(Input::Found { operation: *operation, bytes });
    let asked = lookups(&node);
    assert!(matches!(&asked[..], [(_, key)] if *key == RecordKey::Presence(alice.key()).to_string()), "{asked:?}");
    // And a notice of another session than was looked for is none.
    let other = Definition { nonce: [9; 32], ..large.clone() };
    let bytes = alice.say_body(Body::RequestNotice(RequestNotice::of(&other)));
    node.refuses(Refusal::Unasked, |node| node.input(Input::Found { operation: *operation, bytes }));
}

/// Keys cost nothing: whoever has many does not have this node call wherever they say.
#[test]
fn strangers_do_not_choose_whom_a_node_calls() {
    let mut node = TestNode::new();
    let mut count = 0;
    let mut notice = |node: &mut TestNode, peer: &mut ScriptedPeer| {
        count += 1;
        let definition = Definition { nonce: [count; 32], ..definition(peer.key(), vec![node.key, peer.key()]) };
        let bytes = peer.say_body(Body::RequestNotice(RequestNotice::of(&definition)));
        gossip(node, bytes);
    };
    for _ in 0..3 {
        notice(&mut node, &mut ScriptedPeer::new(1));
    }
    assert_eq!(lookups(&node).len(), 1, "whatever one of them asks for, it is called once");
    for number in 2..=20 {
        notice(&mut node, &mut ScriptedPeer::new(number));
    }
    assert_eq!(lookups(&node).len(), 8);
    node.wait(15_000);
    notice(&mut node, &mut ScriptedPeer::new(21));
    notice(&mut node, &mut ScriptedPeer::new(22));
    assert_eq!(lookups(&node).len(), 9, "one more after a quarter of a minute");
    // Whoever is connected offers it itself.
    let mut alice = ScriptedPeer::new(50);
    node.meet(&mut alice);
    node.others.clear();
    notice(&mut node, &mut alice);
    assert!(lookups(&node).is_empty());
}

/// Strangers share a few calls; whoever has signed with this node needs none of them.
#[test]
fn who_has_earned_it_is_called_however_many_strangers_ask() {
    let (mut node, mut alice, ..) = completed();
    node.input(Input::Disconnected(alice.peer));
    node.others.clear();
    let notice = |node: &mut TestNode, peer: &mut ScriptedPeer| {
        let definition = Definition { nonce: [9; 32], ..definition(peer.key(), vec![node.key, peer.key()]) };
        gossip(node, peer.say_body(Body::RequestNotice(RequestNotice::of(&definition))));
    };
    (10..=20).for_each(|number| notice(&mut node, &mut ScriptedPeer::new(number)));
    assert_eq!(lookups(&node).len(), 8);
    let calls = |node: &TestNode| node.others.iter().filter(|output| matches!(output, Output::Dial { .. })).count();
    assert_eq!(calls(&node), 0);
    notice(&mut node, &mut alice);
    assert_eq!((lookups(&node).len(), calls(&node)), (8, 1), "it is known where she was");
}

#[test]
fn a_notice_that_is_none_is_refused_on_every_way() {
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    let sound = RequestNotice::of(&definition(alice.key(), vec![node.key, alice.key()]));
    let mut unsorted = sound.clone();
    unsorted.keys.reverse();
    let week = Wall::from_millis(WALL + 200 * HOUR);
    for (notice, refusal) in [
        (unsorted, Refusal::Definition),
        (RequestNotice { creator: 9, ..sound.clone() }, Refusal::Definition),
        (RequestNotice { expires_at: week, ..sound.clone() }, Refusal::Definition),
        (RequestNotice { creator: 1 - sound.creator, ..sound.clone() }, Refusal::NotTheCreator),
        (
            RequestNotice {
                created_at: Wall::from_millis(WALL - 2),
                expires_at: Wall::from_millis(WALL - 1),
                ..sound.clone()
            },
            Refusal::NotFresh,
        ),
    ] {
        let bytes = alice.say_body(Body::RequestNotice(notice));
        node.refuses(refusal, |node| gossip(node, bytes.clone()));
    }
    // Of others it is passed on, and kept for them in the DHT.
    let theirs = RequestNotice::of(&definition(alice.key(), vec![alice.key(), bob.key()]));
    let bytes = alice.say_body(Body::RequestNotice(theirs.clone()));
    node.others.clear();
    gossip(&mut node, bytes.clone());
    assert!(matches!(node.others[..], [Output::Verdict { verdict: Verdict::Accept, .. }]), "{:?}", node.others);
    let from = PeerId::from_bytes(&[CARRIER]).expect("one byte names a peer");
    let put = |node: &mut TestNode, bytes: Bytes| {
        let key = RecordKey::Request(theirs.session).to_string();
        node.others.clear();
        node.input(Input::PutRequested { from, subnet: None, id: PutId(1), key, bytes, stored: None });
        matches!(node.others[..], [Output::AcceptRecord { .. }])
    };
    assert!(put(&mut node, bytes));
    let forged = ScriptedPeer::new(9).say_body(Body::RequestNotice(theirs.clone()));
    assert!(!put(&mut node, forged), "its creator alone can say so");
    // The largest one fits where it has to.
    let keys: Vec<_> = (0..MAX_SIGNERS as u16).map(|number| ScriptedPeer::numbered(number).key()).collect();
    let mut creator = ScriptedPeer::numbered(0);
    let largest = RequestNotice::of(&definition(creator.key(), keys));
    assert_eq!(largest.check(std::time::Duration::from_secs(7_200)), Ok(()));
    assert!(creator.say_body(Body::RequestNotice(largest.clone())).len() < MAX_GOSSIP / 2);
    let twice = RequestNotice { keys: vec![largest.keys[0]; 2], creator: 0, ..largest };
    assert_eq!(twice.check(std::time::Duration::MAX), Err(DefinitionError::DuplicateKey(twice.keys[0])));
}
