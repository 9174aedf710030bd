//! Whose turn it is to broadcast, and what is made of those who say that they have.

use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, Config, Event, Input, Phase, Refusal};
use nelumbo_core::crypto::{Network, PublicKey};
use nelumbo_core::election::{Election, Method};
use nelumbo_core::wire::{AbortReason, Content, Definition, SessionId};

use crate::common::{ScriptedPeer, Signed, TestNode, all_signed, all_signed_with, completed, phase};

const TURN: u64 = 5 * 60 * 1000;

/// The events about broadcasting since this was last asked.
fn turns(node: &mut TestNode) -> Vec<Event> {
    let is_turn = |event: &Event| {
        matches!(
            event,
            Event::ShouldBroadcast { .. }
                | Event::CoordinatorFailed { .. }
                | Event::FailoverExhausted { .. }
                | Event::BroadcastClaimed { .. }
                | Event::BroadcastUnconfirmed { .. }
        )
    };
    std::mem::take(&mut node.events).into_iter().filter(is_turn).collect()
}

fn priority(definition: &Definition) -> Vec<PublicKey> {
    let election = Election::new(definition.election, &definition.keys).unwrap();
    election.priority().iter().map(|index| definition.keys[*index]).collect()
}

fn failed(session: SessionId, priority: &[PublicKey], failures: usize) -> Event {
    Event::CoordinatorFailed { session, coordinator: priority[failures - 1], failures }
}

/// The script of all turns as the node must see it, from its own place in the list.
#[test]
fn every_signer_has_its_turn_without_a_message() {
    // S11, S12, T3, F1, F2, F3
    let (mut node, _, _, definition) = completed();
    let (session, priority) = (definition.id(), priority(&definition));
    let mine = priority.iter().position(|key| *key == node.key).unwrap();
    for turn in 0..=3 {
        let mut expected = Vec::new();
        expected.extend((turn > 0).then(|| failed(session, &priority, turn)));
        expected.extend((turn == mine).then_some(Event::ShouldBroadcast { session }));
        expected.extend((turn == 3).then_some(Event::FailoverExhausted { session, failures: 3 }));
        assert_eq!(turns(&mut node), expected, "turn {turn}");
        let coordinator = node.node.view().session(&session).unwrap().coordinator;
        assert_eq!(coordinator, priority.get(turn).copied());
        node.wait(TURN);
    }
    assert_eq!(turns(&mut node), []);
}

#[test]
fn the_order_of_coordinators_is_not_what_the_sender_of_the_signature_says() {
    for election in [Method::Lexicographic, Method::Rotating] {
        let told = (1..=9).map(|attempt| {
            let signed = all_signed_with(election);
            let signature = signed.combine();
            let Signed { mut node, mut alice, definition, .. } = signed;
            let bytes = alice.say(definition.id(), attempt, Content::Finalized { signatures: vec![signature] });
            node.hear(&alice, bytes);
            assert_eq!(phase(&node, definition.id()), Phase::Complete);
            let elected =
                Election::in_session(election, &definition.keys, definition.id().as_bytes(), &[signature]).unwrap();
            let coordinator = node.node.view().session(&definition.id()).unwrap().coordinator;
            assert_eq!(coordinator, Some(definition.keys[elected.coordinator()]));
            node.wait(3 * TURN);
            turns(&mut node)
        });
        let told: Vec<_> = told.collect();
        assert!(told.iter().all(|one| *one == told[0]), "{election}: {told:?}");
    }
}

/// Alice and bob, whoever's turn comes first.
fn in_turn<'a>(
    priority: &[PublicKey],
    alice: &'a mut ScriptedPeer,
    bob: &'a mut ScriptedPeer,
) -> (&'a mut ScriptedPeer, &'a mut ScriptedPeer) {
    let place = |key: PublicKey| priority.iter().position(|other| *other == key);
    if place(alice.key()) < place(bob.key()) { (alice, bob) } else { (bob, alice) }
}

#[test]
fn a_claim_by_whose_turn_it_is_ends_the_turns_and_is_told_as_its_word() {
    // T2, F4, F5
    let (mut node, mut alice, mut bob, definition) = completed();
    let (session, priority) = (definition.id(), priority(&definition));
    turns(&mut node);
    let (coordinator, later) = in_turn(&priority, &mut alice, &mut bob);
    // Whoever is not due yet is believed when its turn comes.
    let bytes = later.say(session, 1, Content::Confirmed);
    node.hear(later, bytes);
    assert_eq!(turns(&mut node), []);
    let due = priority.iter().position(|key| *key == coordinator.key()).unwrap();
    node.wait(TURN * due as u64);
    turns(&mut node);
    let by = coordinator.key();
    let bytes = coordinator.say(session, 1, Content::Confirmed);
    node.hear(coordinator, bytes);
    assert_eq!(turns(&mut node), [Event::BroadcastClaimed { session, by }]);
    assert_eq!(node.node.view().session(&session).unwrap().coordinator, None);
    let again = coordinator.say(session, 1, Content::Confirmed);
    node.hear(coordinator, again);
    node.wait(TURN * (3 - due as u64) - 60_000);
    assert_eq!(turns(&mut node), [], "late and repeated claims do nothing");
    node.wait(60_000);
    assert_eq!(turns(&mut node), [Event::BroadcastUnconfirmed { session, by }], "it may have lied");
    node.wait(9 * TURN);
    assert_eq!(turns(&mut node), []);
}

#[test]
fn what_rests_on_another_s_word_is_told_after_a_restart_until_the_owner_says_so_itself() {
    // S3, F5, T1
    let (mut node, mut alice, mut bob, definition) = completed();
    let (session, priority) = (definition.id(), priority(&definition));
    let (coordinator, _) = in_turn(&priority, &mut alice, &mut bob);
    node.wait(TURN);
    let bytes = coordinator.say(session, 1, Content::Confirmed);
    node.hear(coordinator, bytes);
    let by = coordinator.key();
    turns(&mut node);
    let restart = |node: &TestNode| {
        let mut node = TestNode::with(Config::new(Network::Regtest), node.records.clone().into_iter().collect(), 2);
        node.wait(3 * TURN);
        turns(&mut node)
    };
    assert_eq!(restart(&node), [Event::BroadcastUnconfirmed { session, by }]);
    node.wait(3 * TURN);
    assert_eq!(turns(&mut node), [Event::BroadcastUnconfirmed { session, by }]);
    assert_eq!(restart(&node), [Event::BroadcastUnconfirmed { session, by }], "until it is answered");
    node.command(Command::ConfirmBroadcast(session)).unwrap();
    assert_eq!(turns(&mut node), [Event::BroadcastClaimed { session, by: node.key }]);
    assert_eq!(restart(&node), []);
}

#[test]
fn a_signer_that_was_away_hears_of_the_broadcast_when_it_returns() {
    // R2 after S12
    let (mut node, mut alice, _, definition) = completed();
    let session = definition.id();
    let confirmations = |node: &mut TestNode, alice: &ScriptedPeer| {
        node.steps_to(alice);
        node.input(Input::Disconnected(alice.peer));
        node.input(Input::Connected(alice.peer));
        node.steps_to(alice).iter().filter(|step| step.content == Content::Confirmed).count()
    };
    assert_eq!(confirmations(&mut node, &alice), 0, "nobody has broadcast yet");
    node.command(Command::ConfirmBroadcast(session)).unwrap();
    assert_eq!(confirmations(&mut node, &alice), 1);
    // Three turns of five minutes, and nobody thinks any more that it is its turn.
    node.wait(15 * 60_000);
    assert_eq!(confirmations(&mut node, &alice), 0);
    // What it missed all the same it is told when it asks.
    let nothing = || nelumbo_core::wire::Bits::collect([false; 0].into_iter());
    node.refuses(Refusal::Ended, |node| {
        let bytes = alice.say(session, 1, Content::Status { nonces: nothing(), partials: nothing() });
        node.hear(&alice, bytes);
    });
    assert!(node.steps_to(&alice).iter().any(|step| step.content == Content::Confirmed));
}

#[test]
fn the_embedder_s_word_ends_the_turns_and_is_passed_on() {
    // T1, F4, E1 is refused afterwards
    let (mut node, alice, _, definition) = completed();
    let session = definition.id();
    node.steps_to(&alice);
    turns(&mut node);
    node.command(Command::ConfirmBroadcast(session)).unwrap();
    assert_eq!(turns(&mut node), [Event::BroadcastClaimed { session, by: node.key }]);
    let steps = node.steps_to(&alice);
    assert!(matches!(steps[..], [ref step] if step.content == Content::Confirmed), "{steps:?}");
    node.command(Command::ConfirmBroadcast(session)).unwrap();
    assert!(node.steps_to(&alice).is_empty() && turns(&mut node).is_empty(), "twice is once");
    assert_eq!(node.command(Command::Abort(session, AbortReason::Left)), Err(CommandError::Ended(session)));
}

#[test]
fn a_confirmation_that_overtakes_the_signature_is_kept() {
    // T2 before S12
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = all_signed();
    let session = definition.id();
    for scripted in [&mut alice, &mut bob] {
        let bytes = scripted.say(session, 1, Content::Confirmed);
        node.hear(scripted, bytes);
    }
    assert_eq!(node.command(Command::ConfirmBroadcast(session)), Err(CommandError::NotComplete(session)));
    let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    let bytes = bob.say(session, 1, Content::Partial { nonces, partials: vec![of_bob] });
    node.hear(&bob, bytes);
    node.wait(TURN);
    let confirmed = turns(&mut node).into_iter().filter(|event| matches!(event, Event::BroadcastClaimed { .. }));
    assert_eq!(confirmed.count(), 1);
}

#[test]
fn a_coordinator_that_restarts_takes_up_its_turn_and_a_confirmed_one_does_not() {
    // S3, F1
    let (mut node, _, _, definition) = completed();
    let (session, priority) = (definition.id(), priority(&definition));
    let mine = priority.iter().position(|key| *key == node.key).unwrap();
    let restart = |node: &TestNode, millis: u64| {
        let mut config = Config::new(Network::Regtest);
        // The node's clocks begin anew at its boot; a shorter turn stands for time that has passed in between.
        config.broadcast_timeout = Duration::from_millis(millis);
        let mut node = TestNode::with(config, node.records.clone().into_iter().collect(), 2);
        let told = node.events.iter().filter(|event| matches!(event, Event::SessionCompleted { .. })).count();
        (told, turns(&mut node))
    };
    let expected: &[Event] = if mine == 0 { &[Event::ShouldBroadcast { session }] } else { &[] };
    assert_eq!(restart(&node, TURN), (1, expected.to_vec()));
    node.command(Command::ConfirmBroadcast(session)).unwrap();
    assert_eq!(restart(&node, TURN), (0, Vec::new()));
}
