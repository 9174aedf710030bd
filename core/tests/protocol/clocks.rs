//! Clocks that are wrong, set right, or stand still while the machine sleeps, at the settings that users have.

use nelumbo_core::api::{Command, CommandError, Config, Event, Input, Phase, Refusal};
use nelumbo_core::base::{Bytes, Mono, Now, Wall};
use nelumbo_core::crypto::Network;
use nelumbo_core::wire::{AbortReason, Body, Content, Definition, SessionId};

use crate::common::{HOUR, ScriptedPeer, TestNode, WALL, approve, definition, joined, nonce_in, phase};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * HOUR;

/// A session of the node and two peers that the first of them has announced.
fn announced() -> (TestNode, ScriptedPeer, ScriptedPeer, Definition) {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.meet(&mut bob);
    let definition = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
    node.hear(&alice, announcement(&definition));
    (node, alice, bob, definition)
}

/// The first peer's announcement, once more, in a message that was not seen before.
fn announcement(definition: &Definition) -> Bytes {
    let mut alice = ScriptedPeer::new(1);
    let nonce = alice.nonce(definition, 1);
    alice.say_at(
        definition.id(),
        1,
        9,
        Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] },
    )
}

/// What the node has said in a session, to anyone.
fn said(node: &TestNode, session: SessionId) -> usize {
    let steps = node.sent.iter().filter_map(|(_, message)| match &message.unsigned.body {
        Body::Session(step) => Some(step.session),
        _ => None,
    });
    steps.filter(|of| *of == session).count()
}

/// The node after a restart, at this time by its wall clock.
fn restart(node: &TestNode, wall: u64, life: u8) -> TestNode {
    let records = node.records.clone().into_iter().collect();
    TestNode::at(Config::new(Network::Regtest), records, life, wall)
}

#[test]
fn what_has_expired_while_the_machine_slept_is_not_approved() {
    // E3
    let (mut node, _, _, definition) = announced();
    let session = definition.id();
    node.sleep(5 * HOUR);
    let error = node.command(approve(session)).unwrap_err();
    assert_eq!(error, CommandError::Expired(session));
    assert!(error.to_string().contains("ask its creator"), "{error}");
    assert!(node.events.contains(&Event::SessionExpired { session, may_complete: false }));
    assert_eq!((said(&node, session), node.records.len()), (0, 0), "no nonce was shown");
    assert_eq!(node.command(Command::Retry(session)), Err(CommandError::Expired(session)));
    assert_eq!(node.command(Command::Abort(session, AbortReason::Left)), Err(CommandError::Expired(session)));
}

#[test]
fn what_expires_is_not_signed_however_late_its_nonces_come() {
    // E3
    let (mut node, mut alice, mut bob, definition, _) = joined();
    let session = definition.id();
    node.wall_ahead += 61 * MINUTE as i64;
    node.sent.clear();
    node.refuses(Refusal::Ended, |node| {
        let nonce = bob.nonce(&definition, 1);
        let bytes = bob.say(session, 1, Content::Join { nonces: vec![nonce] });
        node.hear(&bob, bytes);
    });
    assert_eq!((phase(&node, session), said(&node, session)), (Phase::Expired, 0));
    // Nor does anyone begin another attempt.
    node.refuses(Refusal::Ended, |node| {
        let nonce = alice.nonce(&definition, 2);
        let announce = Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] };
        let bytes = alice.say_at(session, 2, 1, announce);
        node.hear(&alice, bytes);
    });
    assert_eq!(said(&node, session), 0);
}

#[test]
fn what_has_expired_while_the_process_was_down_is_not_taken_up_again() {
    // S3, E3
    let (node, mut alice, mut bob, definition, _) = joined();
    let session = definition.id();
    let mut node = restart(&node, WALL + 71 * HOUR, 2);
    assert!(node.events.contains(&Event::SessionExpired { session, may_complete: false }));
    node.meet(&mut alice);
    node.meet(&mut bob);
    for _ in 0..60 {
        node.wait(MINUTE);
    }
    assert_eq!(said(&node, session), 0);
    assert_eq!(node.node.view().sessions().len(), 0, "it is over at once");
    // That is told once.
    let node = restart(&node, WALL + 72 * HOUR, 3);
    assert!(!node.events.contains(&Event::SessionExpired { session, may_complete: false }));
}

#[test]
fn a_session_lives_as_long_as_it_says_to_the_millisecond() {
    // E3
    let (mut node, _, _, definition) = announced();
    let session = definition.id();
    let until = HOUR - node.time / 1_000_000;
    node.time += (until - 1) * 1_000_000;
    node.input(Input::Tick);
    assert_eq!(phase(&node, session), Phase::Announced);
    let due = node.node.deadline().expect("it waits for that").at;
    node.time = due.as_nanos();
    node.input(Input::Tick);
    assert_eq!(node.time / 1_000_000, HOUR);
    assert_eq!(phase(&node, session), Phase::Expired);
}

#[test]
fn a_clock_that_was_ahead_at_a_restart_makes_no_second_nonce() {
    let (mut node, mut alice, _, definition) = announced();
    let session = definition.id();
    node.command(approve(session)).unwrap();
    let first = nonce_in(&node.steps_to(&alice));
    let mut node = restart(&node, WALL + DAY, 2);
    for _ in 0..12 {
        node.wait(MINUTE);
    }
    node.wall_ahead -= DAY as i64;
    node.input(Input::Tick);
    node.meet(&mut alice);
    node.refuses(Refusal::Ended, |node| node.hear(&alice, announcement(&definition)));
    assert_eq!(node.command(approve(session)), Err(CommandError::UnknownSession(session)));
    assert_eq!(said(&node, session), 0, "{first:?} is the only nonce of attempt 1");
    // Over another restart too, and when its time is over by both clocks it is gone.
    let mut node = restart(&node, WALL + 20 * MINUTE, 3);
    node.meet(&mut alice);
    node.refuses(Refusal::Ended, |node| node.hear(&alice, announcement(&definition)));
    node.wait(2 * HOUR);
    assert_eq!(node.records.len(), 1);
    node.wait(12 * MINUTE);
    assert_eq!(node.records.len(), 0);
}

#[test]
fn a_clock_that_was_ahead_while_the_process_lives_makes_no_second_nonce() {
    let (mut node, alice, _, definition, _) = joined();
    let session = definition.id();
    node.sent.clear();
    node.sleep(DAY);
    assert_eq!(phase(&node, session), Phase::Expired);
    for _ in 0..12 {
        node.wait(MINUTE);
    }
    node.wall_ahead -= DAY as i64;
    node.input(Input::Tick);
    node.refuses(Refusal::Ended, |node| node.hear(&alice, announcement(&definition)));
    assert_eq!(node.command(approve(session)), Err(CommandError::Expired(session)));
    assert_eq!(said(&node, session), 0);
    // Closing it changes nothing.
    node.command(Command::Close(session)).unwrap();
    node.refuses(Refusal::Ended, |node| node.hear(&alice, announcement(&definition)));
    assert_eq!((said(&node, session), node.records.len()), (0, 1));
    node.wait(HOUR);
    assert_eq!(node.records.len(), 0);
}

#[test]
fn a_clock_that_was_at_its_origin_at_boot_keeps_nothing_for_decades() {
    let (node, _, _, definition, _) = joined();
    let session = definition.id();
    let mut node = restart(&node, 0, 2);
    node.wait(SECOND);
    node.wall_ahead = 0;
    node.input(Input::Tick);
    assert_eq!(phase(&node, session), Phase::Failed, "its time is not over");
    node.wait(HOUR);
    assert_eq!(phase(&node, session), Phase::Expired);
    node.wait(11 * MINUTE);
    assert_eq!((node.node.view().sessions().len(), node.records.len()), (0, 0));
    // The same of what was closed.
    let (mut node, _, _, definition, _) = joined();
    node.command(Command::Close(definition.id())).unwrap();
    let mut node = restart(&node, 0, 2);
    node.wait(SECOND);
    node.wall_ahead = 0;
    node.input(Input::Tick);
    node.wait(2 * HOUR);
    assert_eq!(node.records.len(), 1, "how long ago that was, the process cannot know");
    node.wait(11 * MINUTE);
    assert_eq!(node.records.len(), 0);
}

#[test]
fn a_restart_with_everything_expired_blocks_nothing() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.sessions, config.limits.unapproved, config.limits.unapproved_per_creator) = (1, 1, 1);
    let (node, ..) = joined();
    let records = node.records.clone().into_iter().collect();
    let mut node = TestNode::at(config, records, 2, WALL + 2 * HOUR);
    let alice = ScriptedPeer::new(1);
    let keys = vec![node.key, alice.key()];
    let wanted = nelumbo_core::api::NewSession::new(nelumbo_core::crypto::Suite::Lotus, keys, vec![1; 32]);
    node.command(Command::Create(Box::new(wanted))).expect("what is over takes no room");
}

#[test]
fn clocks_that_jump_anywhere_are_survived() {
    let (mut node, _, _, definition, _) = joined();
    for wall in [0, 1, WALL, u64::MAX, WALL + HOUR / 2, u64::MAX - 1, 0] {
        node.time += 1;
        let now = Now { mono: Mono::from_nanos(node.time), wall: Wall::from_millis(wall) };
        node.node.handle(now, Input::Tick);
        assert!(node.node.deadline().is_none_or(|deadline| deadline.at > now.mono));
    }
    assert_eq!(node.node.view().session(&definition.id()).map(|session| session.phase), Some(Phase::Expired));
}
