//! Where the gate's limits lie, to the byte and to the millisecond: the last that is let in and the first that is not.

use nelumbo_core::api::{Config, Event, GossipId, Input, Phase, Refusal, Standing};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::Network;
use nelumbo_core::wire::{AbortReason, Body, Content, PeerId, Presence, SessionId};

use super::common::{HOUR, ScriptedPeer, TestNode, WALL, definition, phase};

const SKEW: u64 = 5 * 60 * 1000;

#[test]
fn the_largest_message_of_each_channel_is_looked_at_and_a_larger_one_is_not() {
    let from = PeerId::from_bytes(b"courier").unwrap();
    let direct = |bytes: Bytes| Input::Received { from, bytes };
    let gossip = |bytes: Bytes| Input::Gossip { from, id: GossipId(1), bytes };
    let channels: [(usize, &dyn Fn(Bytes) -> Input); 2] = [(100_000, &direct), (10_000, &gossip)];
    for (most, channel) in channels {
        let mut node = TestNode::new();
        node.refuses(Refusal::Version, |node| node.input(channel(vec![0; most].into())));
        node.refuses(Refusal::Oversized, |node| node.input(channel(vec![0; most + 1].into())));
    }
}

#[test]
fn a_presence_is_taken_from_and_until_exactly_the_agreed_times() {
    let mut node = TestNode::new();
    let mut peers = (1..).map(ScriptedPeer::new);
    let mut show = |node: &mut TestNode, from: u64, until: u64| {
        let mut scripted = peers.next().unwrap();
        let (issued_at, expires_at) = (Wall::from_millis(from), Wall::from_millis(until));
        let presence = Presence { peer: scripted.peer, addresses: Vec::new(), issued_at, expires_at };
        let bytes = scripted.say_body(Body::Presence(presence));
        node.hear(&scripted, bytes);
    };
    for (from, until) in [
        (WALL + SKEW, WALL + SKEW + 1),
        (WALL - HOUR + 1, WALL + 1),
        (WALL, WALL + HOUR),
        (WALL + SKEW, WALL + SKEW + HOUR),
    ] {
        show(&mut node, from, until);
    }
    assert_eq!((node.node.view().signers().len(), node.node.view().refusals().total()), (4, 0));
    for (from, until) in [
        (WALL + SKEW + 1, WALL + SKEW + 2),
        (WALL - 1, WALL),
        (WALL, WALL + HOUR + 1),
        (WALL + 1, WALL + 1),
        (WALL + 2, WALL + 1),
    ] {
        node.refuses(Refusal::NotFresh, |node| show(node, from, until));
    }
}

/// A peer that nothing but its own offences is known of.
fn offend(node: &mut TestNode, mallory: &mut ScriptedPeer, times: u64) {
    for _ in 0..times {
        let mut forged = mallory.presence(mallory.peer, WALL + node.time).to_vec();
        *forged.last_mut().unwrap() ^= 1;
        node.hear(mallory, forged.into());
    }
}

#[test]
fn a_penalty_fades_for_who_is_heard_all_the_time_too() {
    let (mut node, mut mallory) = (TestNode::new(), ScriptedPeer::new(66));
    offend(&mut node, &mut mallory, 4);
    for minute in 1..=10 {
        node.wait(60_000);
        let bytes = mallory.presence(mallory.peer, WALL + minute * 60_000);
        node.hear(&mallory, bytes);
    }
    assert_eq!(node.node.view().standing(&mallory.peer), (Standing::Good, 20), "half fades in ten minutes");
}

#[test]
fn what_is_nobody_s_fault_sentences_nobody() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.graylist_at, config.limits.blacklist_at) = (1, 1_000);
    let (mut node, mut mallory) = (TestNode::with(config, Vec::new(), 1), ScriptedPeer::new(66));
    let bytes = mallory.presence(mallory.peer, WALL);
    node.hear(&mallory, bytes.clone());
    offend(&mut node, &mut mallory, 1);
    assert_eq!(node.node.view().peers_in_standing(Standing::Good), 0);
    assert_eq!(node.node.view().peers_in_standing(Standing::Graylisted), 1);
    // Who keeps talking is looked at in between, so that something is left when the hour is over.
    for minutes in [19, 19, 19] {
        node.wait(minutes * 60_000);
        node.refuses(Refusal::Graylisted, |node| node.hear(&mallory, bytes.clone()));
    }
    node.wait(4 * 60_000);
    assert_eq!(node.node.view().standing(&mallory.peer), (Standing::Good, 1));
    node.events.clear();
    node.refuses(Refusal::Duplicate, |node| node.hear(&mallory, bytes.clone()));
    assert!(!node.events.iter().any(|event| matches!(event, Event::PeerGraylisted { .. })));
    assert_eq!(node.node.view().standing(&mallory.peer).0, Standing::Good);
}

#[test]
fn a_full_table_of_peers_keeps_listening_to_those_in_it() {
    let mut config = Config::new(Network::Regtest);
    config.limits.neighbours = 2;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let (mut mallory, mut eve, mut alice) = (ScriptedPeer::new(66), ScriptedPeer::new(67), ScriptedPeer::new(1));
    offend(&mut node, &mut mallory, 2);
    offend(&mut node, &mut eve, 1);
    let before = node.node.view().refusals().total();
    for scripted in [&mut alice, &mut mallory, &mut eve] {
        let bytes = scripted.presence(scripted.peer, WALL);
        node.hear(scripted, bytes);
    }
    assert_eq!(node.node.view().refusals().total(), before);
}

#[test]
fn who_fills_the_early_messages_loses_its_own_and_nobody_else_s() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.early, config.limits.early_per_author) = (4, 4);
    let mut node = TestNode::with(config, Vec::new(), 1);
    let (mut alice, mut bob, mut mallory) = (ScriptedPeer::new(1), ScriptedPeer::new(2), ScriptedPeer::new(66));
    [&mut alice, &mut bob, &mut mallory].into_iter().for_each(|scripted| node.meet(scripted));
    let definition = definition(bob.key(), vec![node.key, alice.key(), bob.key()]);
    let session = definition.id();
    let left = || Content::Abort { reason: AbortReason::Left };
    let bytes = alice.say(session, 1, left());
    node.hear(&alice, bytes);
    for number in 0..3 {
        let bytes = mallory.say(SessionId::from_bytes([number; 32]), 1, left());
        node.hear(&mallory, bytes);
    }
    for number in 10..12 {
        let bytes = bob.say(SessionId::from_bytes([number; 32]), 1, left());
        if number == 10 {
            node.hear(&bob, bytes);
        } else {
            node.refuses(Refusal::Full, |node| node.hear(&bob, bytes));
        }
    }
    let nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(session, 1, Content::Announce { definition: definition.into(), nonce });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, session), Phase::Aborted, "alice's word was kept");
}
