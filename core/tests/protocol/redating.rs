//! What a node has dated while its clock was wrong, and what others do with it, at the settings that users have.

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Output, Refusal, TimerReason};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, Suite};
use nelumbo_core::wire::{Body, Data, Message, PeerId, RecordKey, ResourceId, TransactionType};

use crate::common::{HOUR, NODE, ScriptedPeer, TestNode, WALL};
use crate::discovery::{entries, label, offer};

const MINUTE: u64 = 60 * 1_000;

const OTHER: u8 = 9;

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes(&[number]).expect("one byte names a peer")
}

/// A node whose wall clock is ahead by so much.
fn ahead(millis: u64) -> TestNode {
    TestNode::at(Config::new(Network::Regtest), Vec::new(), 1, WALL + millis)
}

/// Wakes a node and tells the other one what it says.
fn pass(node: &mut TestNode, to: &mut TestNode, (from, at): (PeerId, u64)) {
    node.time = node.time.max(at - 1);
    node.input(Input::Tick);
    for (_, message) in std::mem::take(&mut node.sent) {
        to.time = to.time.max(at - 1);
        to.input(Input::Received { from, bytes: message.bytes });
    }
}

/// Lets both nodes live until then, each waking when it has asked for it, and hear what the other says.
fn live(one: &mut TestNode, other: &mut TestNode, until: u64) {
    loop {
        let due = |node: &TestNode| node.node.deadline().map(|deadline| deadline.at.as_nanos());
        let Some(next) = due(one).into_iter().chain(due(other)).min().filter(|at| *at <= until * 1_000_000) else {
            break;
        };
        pass(one, other, (peer(NODE), next));
        pass(other, one, (peer(OTHER), next));
    }
}

/// When each of these outputs puts into the DHT was signed, by record.
fn stored(node: &mut TestNode) -> Vec<(String, Bytes)> {
    let outputs = std::mem::take(&mut node.others).into_iter();
    let stored = outputs.filter_map(|output| match output {
        Output::Store { key, value, .. } => Some((key, value)),
        _ => None,
    });
    stored.collect()
}

/// From when until when an announcement is valid.
fn dates(message: &Message) -> (u64, u64) {
    let (from, until) = match &message.unsigned.body {
        Body::Presence(presence) => (presence.issued_at, presence.expires_at),
        Body::Advertisement(advertisement) => (advertisement.issued_at, advertisement.expires_at),
        Body::Resource(resource) => (resource.issued_at, resource.expires_at),
        Body::Listing(listing) => (listing.issued_at, listing.expires_at),
        other => panic!("{other:?} is not announced here"),
    };
    (from.as_millis(), until.as_millis())
}

fn decoded(bytes: &Bytes) -> Message {
    Message::decode(bytes.clone()).expect("nodes announce messages")
}

/// When each presence was signed that the node has gossiped since this was last asked.
fn presences(node: &mut TestNode) -> Vec<u64> {
    let outputs = std::mem::take(&mut node.others).into_iter();
    let published = outputs.filter_map(|output| match output {
        Output::Publish { bytes, .. } => Some(decoded(&bytes)),
        _ => None,
    });
    let presences = published.filter(|message| matches!(message.unsigned.body, Body::Presence(_)));
    presences.map(|message| dates(&message).0).collect()
}

#[test]
fn a_node_whose_clock_was_ahead_at_its_start_is_known_as_soon_as_it_is_right() {
    // D9, D24
    let (mut one, mut other) = (ahead(8 * HOUR), TestNode::of(OTHER, Config::new(Network::Regtest), Vec::new(), 1));
    let (peer_of_one, peer_of_other) = (peer(NODE), peer(OTHER));
    one.input(Input::Connected(peer_of_other));
    other.input(Input::Connected(peer_of_one));
    live(&mut one, &mut other, MINUTE);
    assert!(other.node.view().refusals().get(Refusal::NotFresh) > 0, "it is ahead of anyone's clock");
    assert_eq!((one.node.view().signers().len(), other.node.view().signers().len()), (0, 0));
    one.wall_ahead = 0;
    one.input(Input::Tick);
    live(&mut one, &mut other, MINUTE + 200);
    let key = one.key;
    assert!(other.events.contains(&Event::SignerConnected { key, peer: peer_of_one }));
    // The other one is known when it announces itself next.
    live(&mut one, &mut other, 31 * MINUTE);
    assert_eq!(one.node.view().signers().len(), 1);
}

#[test]
fn a_host_that_wakes_its_node_for_its_timers_alone_waits_for_the_next_announcement() {
    // D9
    let mut node = ahead(8 * HOUR);
    node.wait(100);
    node.wall_ahead = 0;
    let due = node.node.view().deadlines().find(|deadline| deadline.reason == TimerReason::Presence);
    let due = due.expect("it is renewed").at.as_nanos() / 1_000_000;
    assert!(due <= 31 * MINUTE);
    node.others.clear();
    node.time = due * 1_000_000;
    node.input(Input::Tick);
    node.wait(200);
    let issued = presences(&mut node);
    assert!(!issued.is_empty() && issued.iter().all(|at| *at <= WALL + due + 200), "{issued:?}");
}

#[test]
fn a_clock_that_is_ahead_by_less_than_clocks_may_differ_moves_nothing_back() {
    let mut node = ahead(4 * MINUTE);
    node.wait(100);
    let before = presences(&mut node);
    node.wall_ahead = 0;
    node.wait(1_000);
    assert!(presences(&mut node).is_empty(), "it is as right as clocks are");
    node.wait(31 * MINUTE);
    let after = presences(&mut node);
    assert!(before.len() == 1 && after.len() == 1 && after > before, "others have taken the first one");
}

#[test]
fn everything_that_is_announced_is_dated_anew() {
    // D12, D16, D24
    let mut node = ahead(8 * HOUR);
    node.input(Input::RoutingTable(3));
    node.wait(100);
    node.command(Command::Advertise { offer: Box::new(offer(&[TransactionType::Spend])), lifetime: None }).unwrap();
    for (name, data, lifetime) in [("one", Some(vec![1]), 2 * HOUR), ("two", None, HOUR)] {
        let (data, lifetime) = (data.and_then(Data::new), core::time::Duration::from_millis(lifetime));
        node.command(Command::AnnounceResource { kind: label("thing"), name: label(name), data, lifetime }).unwrap();
    }
    let before: std::collections::BTreeSet<String> = stored(&mut node).into_iter().map(|(key, _)| key).collect();
    assert_eq!(before.len(), 7, "presence, advertisement in two lists, two resources in one: {before:?}");
    node.wait(30 * MINUTE);
    stored(&mut node);
    node.wall_ahead = 0;
    node.input(Input::Tick);
    node.wait(200);
    let now = WALL + node.time / 1_000_000;
    let anew = stored(&mut node);
    assert_eq!(anew.iter().map(|(key, _)| key.clone()).collect::<std::collections::BTreeSet<_>>(), before);
    for (key, value) in &anew {
        let messages = if value.first() == Some(&b'L') { entries(value) } else { vec![decoded(value)] };
        // No time is used twice, so that some are a little later.
        assert!(messages.iter().all(|message| dates(message).0 <= now + 10), "{key}");
    }
    let id = ResourceId { author: node.key, kind: label("thing"), name: label("one") };
    let key = RecordKey::Resource(id).to_string();
    let (_, value) = anew.iter().find(|(of, _)| *of == key).expect("it was announced");
    assert_eq!(dates(&decoded(value)).1 / MINUTE, (WALL + 2 * HOUR) / MINUTE, "it lasts no longer than it was to");
}

#[test]
fn what_was_taken_from_a_clock_as_wrong_as_this_one_is_nobody_s_newest() {
    // D24
    let (mut node, mut alice) = (ahead(8 * HOUR), ScriptedPeer::new(1));
    node.input(Input::Connected(alice.peer));
    let bytes = alice.presence(alice.peer, WALL + 8 * HOUR);
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().signers().len(), 1);
    node.wall_ahead = 0;
    node.input(Input::Tick);
    let key = RecordKey::Presence(alice.key());
    let bytes = alice.presence(alice.peer, WALL + 1);
    node.hear(&alice, bytes);
    assert_eq!(node.node.view().issued_at(&key), Some(Wall::from_millis(WALL + 1)));
}

#[test]
fn whoever_has_created_a_session_by_a_wrong_clock_is_told_to_do_it_again() {
    // D24
    let mut node = ahead(8 * HOUR);
    let keys = vec![node.key, ScriptedPeer::new(1).key()];
    node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![1; 32])))).unwrap();
    let session = node.node.view().sessions().next().unwrap().id;
    node.wait(MINUTE);
    assert!(!node.events.contains(&Event::SessionMisdated { session }));
    node.wall_ahead = 0;
    node.input(Input::Tick);
    assert!(node.events.contains(&Event::SessionMisdated { session }));
    // Over a restart too, before which nobody has noticed.
    let mut node = ahead(8 * HOUR);
    let keys = vec![node.key, ScriptedPeer::new(1).key()];
    node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![1; 32])))).unwrap();
    let session = node.node.view().sessions().next().unwrap().id;
    let records = node.records.clone().into_iter().collect();
    let node = TestNode::at(Config::new(Network::Regtest), records, 2, WALL);
    assert!(node.events.contains(&Event::SessionMisdated { session }));
    // One that is dated long ago has expired.
    let mut node = TestNode::at(Config::new(Network::Regtest), Vec::new(), 1, 0);
    let keys = vec![node.key, ScriptedPeer::new(1).key()];
    node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![1; 32])))).unwrap();
    let session = node.node.view().sessions().next().unwrap().id;
    node.wall_ahead = 0;
    node.input(Input::Tick);
    assert!(node.events.contains(&Event::SessionExpired { session, may_complete: false }));
}
