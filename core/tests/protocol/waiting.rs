//! An attempt that not all have taken part in lapses, and its signer waits for whoever approves.

use nelumbo_core::api::{AttemptCause, Command, CommandError, Config, Event, Phase, Refusal};
use nelumbo_core::crypto::{Network, PartialSignature};
use nelumbo_core::wire::{Content, Definition, SessionId, SessionMessage};

use crate::common::{ScriptedPeer, TestNode, WALL, announcement, approve, definition, joined, phase};

#[test]
fn an_attempt_that_lacks_nonces_lapses_and_says_whose() {
    // R1, S16
    let (mut node, alice, bob, definition, _) = joined();
    let session = definition.id();
    node.steps_to(&bob);
    node.wait(10 * 60 * 1000);
    let lapsed = Event::AttemptLapsed { session, attempt: 1, missing: vec![bob.key()] };
    assert!(node.events.contains(&lapsed));
    assert_eq!(phase(&node, session), Phase::Waiting);
    let is_word = |step: &SessionMessage| step.content == Content::Waiting && step.attempt == 1;
    assert!(matches!(&node.steps_to(&alice)[..], [step] if is_word(step)), "she has approved");
    let to_bob = node.steps_to(&bob);
    assert!(
        matches!(&to_bob[..], [first, second] if matches!(first.content, Content::Announce { .. }) && is_word(second))
    );
    assert_eq!(node.node.view().reputation(&bob.key()), 50, "nobody is to blame");
    node.command(Command::Retry(session)).expect("the owner need not wait");
    assert_eq!(node.node.view().session(&session).unwrap().attempt, 2);
}

/// The node waits in a session in which alice has approved and bob has not.
fn waiting() -> (TestNode, ScriptedPeer, ScriptedPeer, Definition) {
    let (mut node, alice, bob, definition, _) = joined();
    node.wait(10 * 60 * 1000);
    assert_eq!(phase(&node, definition.id()), Phase::Waiting);
    node.steps_to(&alice);
    node.steps_to(&bob);
    (node, alice, bob, definition)
}

#[test]
fn who_waits_goes_on_when_the_last_approval_comes_whatever_form_it_has() {
    // S6, S9, R5
    let attempt = |node: &TestNode, session: &SessionId| node.node.view().session(session).unwrap().attempt;
    // A nonce of the next attempt is answered in the same step.
    let (mut node, _, mut bob, definition) = waiting();
    let session = definition.id();
    let nonce = bob.nonce(&definition, 2);
    let bytes = bob.say_at(session, 2, 1, Content::Join { nonces: vec![nonce] });
    node.hear(&bob, bytes);
    assert_eq!((phase(&node, session), attempt(&node, &session)), (Phase::NonceExchange, 2));
    // One of the attempt that has lapsed, or the word that he waits, lets the node begin.
    for nonce_first in [true, false] {
        let (mut node, _, mut bob, definition) = waiting();
        let session = definition.id();
        let nonce = bob.nonce(&definition, 1);
        let content = if nonce_first { Content::Join { nonces: vec![nonce] } } else { Content::Waiting };
        let bytes = bob.say(session, 1, content);
        node.hear(&bob, bytes);
        assert_eq!(attempt(&node, &session), 1);
        let told = node.steps_to(&bob).iter().any(|step| step.content == Content::Waiting);
        assert_eq!(told, nonce_first, "he is told that nobody signs in that attempt");
        node.wait(1);
        assert_eq!((phase(&node, session), attempt(&node, &session)), (Phase::NonceExchange, 2));
        let cause = AttemptCause::Gathered;
        assert!(node.events.contains(&Event::AttemptStarted { session, attempt: 2, cause }));
    }
    // Whoever has approved before changes nothing, and a partial signature comes too late.
    let (mut node, mut alice, _, definition) = waiting();
    let session = definition.id();
    let bytes = alice.say(session, 1, Content::Waiting);
    node.hear(&alice, bytes);
    node.refuses(Refusal::StaleAttempt, |node| {
        let partial = PartialSignature::from_bytes([1; 32]);
        let bytes = alice.say(session, 1, Content::Partial { nonces: [1; 32], partials: vec![partial] });
        node.hear(&alice, bytes);
    });
    node.wait(1_000);
    assert_eq!((phase(&node, session), attempt(&node, &session)), (Phase::Waiting, 1));
}

#[test]
fn nobody_signs_in_an_attempt_that_has_lapsed_anywhere() {
    // R5
    let (mut node, mut alice, mut bob, definition, _) = joined();
    let session = definition.id();
    let bytes = alice.say_at(session, 3, 1, Content::Waiting);
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Waiting);
    node.steps_to(&bob);
    node.refuses(Refusal::StaleAttempt, |node| {
        let bytes = bob.say_at(
            session,
            2,
            1,
            Content::Partial { nonces: [1; 32], partials: vec![PartialSignature::from_bytes([1; 32])] },
        );
        node.hear(&bob, bytes);
    });
    let nonce = bob.nonce(&definition, 2);
    let bytes = bob.say_at(session, 2, 2, Content::Join { nonces: vec![nonce] });
    node.hear(&bob, bytes);
    node.wait(1);
    assert_eq!(node.node.view().session(&session).unwrap().attempt, 4, "a number that nobody has seen");
    // Who has not approved yet begins the next one too.
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    let definition = crate::common::definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
    let session = definition.id();
    let nonce = alice.nonce(&definition, 1);
    let bytes = alice.say(session, 1, Content::Announce { definition: definition.into(), nonces: vec![nonce] });
    node.hear(&alice, bytes);
    let bytes = alice.say(session, 1, Content::Waiting);
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Announced);
    node.command(approve(session)).unwrap();
    let steps = node.steps_to(&alice);
    assert!(
        matches!(&steps[..], [step] if step.attempt == 2 && matches!(step.content, Content::Join { .. })),
        "{steps:?}"
    );
}

#[test]
fn what_has_lapsed_is_none_of_the_attempts_that_a_session_may_have() {
    let mut config = Config::new(Network::Regtest);
    config.limits.attempts = 1;
    let (mut node, mut alice) = (TestNode::with(config.clone(), Vec::new(), 1), ScriptedPeer::new(1));
    node.meet(&mut alice);
    let definition = definition(alice.key(), vec![node.key, alice.key(), ScriptedPeer::new(2).key()]);
    let (session, nonce) = (definition.id(), alice.nonce(&definition, 1));
    let bytes = alice.say(session, 1, announcement(&definition, nonce));
    node.hear(&alice, bytes);
    node.command(approve(session)).expect("it is asked for");
    node.wait(10 * 60 * 1000);
    node.command(Command::Retry(session)).expect("the first has lapsed");
    // A restart fails an attempt.
    let records = node.records.into_iter().collect();
    let mut node = TestNode::at(config, records, 2, WALL + 25 * 60 * 1000);
    assert_eq!(node.node.view().session(&session).unwrap().attempt, 2);
    assert_eq!(node.command(Command::Retry(session)), Err(CommandError::NoAttemptsLeft(session)));
}
