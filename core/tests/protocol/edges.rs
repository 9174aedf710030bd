//! Where the gate's limits lie, to the byte and to the millisecond: the last that is let in and the first that is not.

use nelumbo_core::api::{Config, Event, GossipId, Input, Phase, Refusal, Standing};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::Network;
use nelumbo_core::wire::{AbortReason, Body, Content, PeerId, Presence, SessionId};

use super::common::{Desk, HOUR, Puppet, WALL, definition, phase};

const SKEW: u64 = 5 * 60 * 1000;

#[test]
fn the_largest_message_of_each_channel_is_looked_at_and_a_larger_one_is_not() {
    let from = PeerId::from_bytes(b"courier").unwrap();
    let direct = |bytes: Bytes| Input::Received { from, bytes };
    let gossip = |bytes: Bytes| Input::Gossip { from, id: GossipId(1), bytes };
    let channels: [(usize, &dyn Fn(Bytes) -> Input); 2] = [(100_000, &direct), (10_000, &gossip)];
    for (most, channel) in channels {
        let mut desk = Desk::new();
        desk.refuses(Refusal::Version, |desk| desk.input(channel(vec![0; most].into())));
        desk.refuses(Refusal::Oversized, |desk| desk.input(channel(vec![0; most + 1].into())));
    }
}

#[test]
fn a_presence_is_taken_from_and_until_exactly_the_agreed_times() {
    let mut desk = Desk::new();
    let mut puppets = (1..).map(Puppet::new);
    let mut show = |desk: &mut Desk, from: u64, until: u64| {
        let mut puppet = puppets.next().unwrap();
        let (issued_at, expires_at) = (Wall::from_millis(from), Wall::from_millis(until));
        let presence = Presence { peer: puppet.peer, addresses: Vec::new(), issued_at, expires_at };
        let bytes = puppet.say_body(Body::Presence(presence));
        desk.hear(&puppet, bytes);
    };
    for (from, until) in [
        (WALL + SKEW, WALL + SKEW + 1),
        (WALL - HOUR + 1, WALL + 1),
        (WALL, WALL + HOUR),
        (WALL + SKEW, WALL + SKEW + HOUR),
    ] {
        show(&mut desk, from, until);
    }
    assert_eq!((desk.node.view().signers().len(), desk.node.view().refusals().total()), (4, 0));
    for (from, until) in [
        (WALL + SKEW + 1, WALL + SKEW + 2),
        (WALL - 1, WALL),
        (WALL, WALL + HOUR + 1),
        (WALL + 1, WALL + 1),
        (WALL + 2, WALL + 1),
    ] {
        desk.refuses(Refusal::NotFresh, |desk| show(desk, from, until));
    }
}

/// A peer that nothing but its own offences is known of.
fn offend(desk: &mut Desk, mallory: &mut Puppet, times: u64) {
    for _ in 0..times {
        let mut forged = mallory.presence(mallory.peer, WALL + desk.time).to_vec();
        *forged.last_mut().unwrap() ^= 1;
        desk.hear(mallory, forged.into());
    }
}

#[test]
fn a_penalty_fades_for_who_is_heard_all_the_time_too() {
    let (mut desk, mut mallory) = (Desk::new(), Puppet::new(66));
    offend(&mut desk, &mut mallory, 4);
    for minute in 1..=10 {
        desk.wait(60_000);
        let bytes = mallory.presence(mallory.peer, WALL + minute * 60_000);
        desk.hear(&mallory, bytes);
    }
    assert_eq!(desk.node.view().standing(&mallory.peer), (Standing::Good, 20), "half fades in ten minutes");
}

#[test]
fn what_is_nobody_s_fault_sentences_nobody() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.graylist_at, config.limits.blacklist_at) = (1, 1_000);
    let (mut desk, mut mallory) = (Desk::with(config, Vec::new(), 1), Puppet::new(66));
    let bytes = mallory.presence(mallory.peer, WALL);
    desk.hear(&mallory, bytes.clone());
    offend(&mut desk, &mut mallory, 1);
    assert_eq!(desk.node.view().peers_in_standing(Standing::Good), 0);
    assert_eq!(desk.node.view().peers_in_standing(Standing::Graylisted), 1);
    // Who keeps talking is looked at in between, so that something is left when the hour is over.
    for minutes in [19, 19, 19] {
        desk.wait(minutes * 60_000);
        desk.refuses(Refusal::Graylisted, |desk| desk.hear(&mallory, bytes.clone()));
    }
    desk.wait(4 * 60_000);
    assert_eq!(desk.node.view().standing(&mallory.peer), (Standing::Good, 1));
    desk.events.clear();
    desk.refuses(Refusal::Duplicate, |desk| desk.hear(&mallory, bytes.clone()));
    assert!(!desk.events.iter().any(|event| matches!(event, Event::PeerGraylisted { .. })));
    assert_eq!(desk.node.view().standing(&mallory.peer).0, Standing::Good);
}

#[test]
fn a_full_table_of_peers_keeps_listening_to_those_in_it() {
    let mut config = Config::new(Network::Regtest);
    config.limits.neighbours = 2;
    let mut desk = Desk::with(config, Vec::new(), 1);
    let (mut mallory, mut eve, mut alice) = (Puppet::new(66), Puppet::new(67), Puppet::new(1));
    offend(&mut desk, &mut mallory, 1);
    offend(&mut desk, &mut eve, 1);
    let bytes = alice.presence(alice.peer, WALL);
    desk.refuses(Refusal::Full, |desk| desk.hear(&alice, bytes));
    let before = desk.node.view().refusals().total();
    for puppet in [&mut mallory, &mut eve] {
        let bytes = puppet.presence(puppet.peer, WALL);
        desk.hear(puppet, bytes);
    }
    assert_eq!(desk.node.view().refusals().total(), before);
}

#[test]
fn who_fills_the_early_messages_loses_its_own_and_nobody_else_s() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.early, config.limits.early_per_author) = (4, 4);
    let mut desk = Desk::with(config, Vec::new(), 1);
    let (mut alice, mut bob, mut mallory) = (Puppet::new(1), Puppet::new(2), Puppet::new(66));
    [&mut alice, &mut bob, &mut mallory].into_iter().for_each(|puppet| desk.meet(puppet));
    let definition = definition(bob.key(), vec![desk.key, alice.key(), bob.key()]);
    let session = definition.id();
    let left = || Content::Abort { reason: AbortReason::Left };
    let bytes = alice.say(session, 1, left());
    desk.hear(&alice, bytes);
    for number in 0..3 {
        let bytes = mallory.say(SessionId::from_bytes([number; 32]), 1, left());
        desk.hear(&mallory, bytes);
    }
    for number in 10..12 {
        let bytes = bob.say(SessionId::from_bytes([number; 32]), 1, left());
        if number == 10 {
            desk.hear(&bob, bytes);
        } else {
            desk.refuses(Refusal::Full, |desk| desk.hear(&bob, bytes));
        }
    }
    let nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(session, 1, Content::Announce { definition: definition.into(), nonce });
    desk.hear(&bob, bytes);
    assert_eq!(phase(&desk, session), Phase::Aborted, "alice's word was kept");
}
