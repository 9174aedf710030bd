//! What becomes of attempts: when they are repeated, what is asked of whom, what is wiped, how many there may be.

use std::collections::BTreeSet;

use nelumbo_core::api::{Command, CommandError, Config, Event, Input, NewSession, Output, Phase, Refusal};
use nelumbo_core::crypto::{Network, PartialSignature, PublicNonce, Suite};
use nelumbo_core::wire::{AbortReason, Bits, Content, Definition, SessionId};

use crate::common::{ScriptedPeer, Signed, TestNode, all_signed, definition, joined, phase};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// Lets the node wake exactly when it has asked for it, until this time.
fn sleep_until(node: &mut TestNode, time: u64) {
    while let Some(at) = node.node.deadline().map(|deadline| deadline.at.as_nanos()).filter(|at| *at <= time) {
        node.time = node.time.max(at - 1);
        node.input(Input::Tick);
    }
    node.time = node.time.max(time);
}

fn attempt(node: &TestNode, session: SessionId) -> u32 {
    node.node.view().session(&session).expect("the session is known").attempt
}

fn bits(all: [bool; 3]) -> Bits {
    Bits::collect(all.into_iter())
}

/// The node asks two peers, who are there and say nothing.
fn asked(config: Config) -> (TestNode, ScriptedPeer, ScriptedPeer, SessionId) {
    let mut node = TestNode::with(config, Vec::new(), 1);
    let (mut alice, mut bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.meet(&mut bob);
    let session = create(&mut node, &[&alice, &bob], 7).expect("there is room");
    (node, alice, bob, session)
}

fn create(node: &mut TestNode, peers: &[&ScriptedPeer], message: u8) -> Result<SessionId, CommandError> {
    let keys = peers.iter().map(|scripted| scripted.key()).chain([node.key]).collect();
    node.command(Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![message; 32]))))?;
    let created = |event: &Event| if let Event::SessionCreated { session, .. } = event { Some(*session) } else { None };
    Ok(node.events.iter().rev().find_map(created).expect("an event says so"))
}

/// The first attempt has failed at the node, through bob.
fn failed() -> (TestNode, ScriptedPeer, ScriptedPeer, Definition, Vec<PublicNonce>) {
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, nonces: list, .. } =
        all_signed();
    let session = definition.id();
    let mut wrong = *of_bob.as_bytes();
    wrong[31] ^= 1;
    let bytes = bob.say(session, 1, Content::Partial { nonces, partials: vec![PartialSignature::from_bytes(wrong)] });
    node.hear(&bob, bytes);
    let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Failed);
    (node, alice, bob, definition, list)
}

#[test]
fn the_next_attempt_begins_when_its_pause_is_over_and_not_before() {
    // S6
    let (mut node, _, bob, definition, _) = failed();
    let (session, failed_at) = (definition.id(), node.time);
    node.input(Input::Disconnected(bob.peer));
    node.input(Input::Connected(bob.peer));
    assert_eq!(attempt(&node, session), 1, "that all are there does not cut the pause short");
    sleep_until(&mut node, failed_at + 4 * SECOND - 1);
    assert_eq!(attempt(&node, session), 1);
    sleep_until(&mut node, failed_at + 4 * SECOND);
    assert_eq!(attempt(&node, session), 2);
}

/// The same for so many minutes, but that the peers show their nonces in every attempt.
fn asked_in_vain(config: Config, minutes: u64) -> (TestNode, SessionId) {
    let (mut node, mut alice, mut bob, session) = asked(config);
    for minute in 1..=minutes {
        let view = node.node.view().session(&session).expect("the session is known");
        if view.phase == Phase::NonceExchange {
            for scripted in [&mut alice, &mut bob] {
                let nonce = scripted.nonce(&view.definition, view.attempt);
                let bytes = scripted.say_at(session, view.attempt, 1, Content::Join { nonces: vec![nonce] });
                node.hear(scripted, bytes);
            }
        }
        sleep_until(&mut node, minute * MINUTE);
    }
    (node, session)
}

#[test]
fn a_node_retries_by_itself_as_often_as_it_is_told_to() {
    // S7
    for retries in [0, 1, 2] {
        let mut config = Config::new(Network::Regtest);
        config.retries = retries;
        let (mut node, session) = asked_in_vain(config, 60);
        assert_eq!((attempt(&node, session), phase(&node, session)), (1 + retries, Phase::Failed));
        node.command(Command::Retry(session)).unwrap();
        assert_eq!(attempt(&node, session), 2 + retries, "the embedder may do more");
    }
}

#[test]
fn the_last_attempt_is_not_followed_by_another() {
    // S5, S7
    let mut config = Config::new(Network::Regtest);
    config.limits.attempts = 1;
    let (mut node, session) = asked_in_vain(config, 60);
    assert_eq!((attempt(&node, session), phase(&node, session)), (1, Phase::Failed));
    assert_eq!(node.command(Command::Retry(session)), Err(CommandError::NoAttemptsLeft(session)));
}

#[test]
fn what_belongs_to_a_failed_attempt_comes_too_late_and_what_belongs_to_the_next_one_does_not() {
    // S9
    let (mut node, mut alice, mut bob, definition, nonces) = failed();
    let session = definition.id();
    let nonce = nonces[definition.index_of(&bob.key()).unwrap()];
    let bytes = bob.say(session, 1, Content::Join { nonces: vec![nonce] });
    node.refuses(Refusal::StaleAttempt, |node| node.hear(&bob, bytes));
    let nonce = alice.nonce(&definition, 2);
    let bytes =
        alice.say_at(session, 2, 1, Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] });
    node.hear(&alice, bytes);
    assert_eq!((attempt(&node, session), phase(&node, session)), (2, Phase::NonceExchange));
}

#[test]
fn a_partial_signature_of_an_attempt_that_has_not_begun_here_is_none() {
    let Signed { mut node, mut bob, definition, of_bob: partial, hash: nonces, .. } = all_signed();
    let bytes = bob.say_at(definition.id(), 2, 1, Content::Partial { nonces, partials: vec![partial] });
    node.refuses(Refusal::Attempt, |node| node.hear(&bob, bytes));
    assert_eq!(attempt(&node, definition.id()), 1);
}

#[test]
fn who_repeats_itself_in_a_new_message_is_no_equivocator() {
    let Signed { mut node, mut alice, mut bob, definition, nonces: list, hash: nonces, of_alice, .. } = all_signed();
    let session = definition.id();
    for _ in 0..2 {
        let nonce = list[definition.index_of(&bob.key()).unwrap()];
        let bytes = bob.say(session, 1, Content::Join { nonces: vec![nonce] });
        node.hear(&bob, bytes);
        let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
        node.hear(&alice, bytes);
    }
    assert_eq!(node.node.view().refusals().total(), 0);
    assert!(!node.events.iter().any(|event| matches!(event, Event::SignerMisbehaved { .. })));
}

#[test]
fn those_who_owe_something_are_asked_first_and_everyone_later() {
    // R1
    let (mut node, mut alice, bob, definition, _) = joined();
    let start = node.time;
    node.sent.clear();
    let mut asked = [Vec::new(), Vec::new()];
    for second in 1..=15 {
        sleep_until(&mut node, start + second * SECOND);
        for (scripted, times) in [&alice, &bob].into_iter().zip(&mut asked) {
            let steps = node.steps_to(scripted);
            times.extend(steps.iter().filter(|step| matches!(step.content, Content::Status { .. })).map(|_| second));
        }
    }
    assert_eq!(asked, [vec![6, 14], vec![2, 6, 14]], "bob owes his nonce");
    let bytes = alice.say(definition.id(), 1, Content::Status { nonces: bits([true; 3]), partials: bits([true; 3]) });
    node.hear(&alice, bytes);
    assert!(node.steps_to(&alice).is_empty(), "whoever lacks nothing is sent nothing");
}

#[test]
fn who_has_joined_is_not_told_of_the_session_again() {
    // R2
    let again = |node: &mut TestNode, scripted: &ScriptedPeer| {
        node.steps_to(scripted);
        node.input(Input::Disconnected(scripted.peer));
        node.input(Input::Connected(scripted.peer));
        node.steps_to(scripted).into_iter().map(|step| step.content).collect::<Vec<_>>()
    };
    let (mut node, alice, bob, _, _) = joined();
    assert!(matches!(again(&mut node, &alice)[..], [Content::Join { .. }, Content::Status { .. }]));
    let to_bob = again(&mut node, &bob);
    assert!(matches!(to_bob[..], [Content::Announce { .. }, Content::Join { .. }, Content::Status { .. }]));
    let (mut node, alice, _, _) = asked(Config::new(Network::Regtest));
    let to_alice = again(&mut node, &alice);
    assert!(matches!(to_alice[..], [Content::Announce { .. }, Content::Status { .. }]), "once is enough");
}

#[test]
fn who_says_what_it_has_is_sent_the_rest() {
    // R3
    let Signed { mut node, mut alice, mut bob, definition, .. } = all_signed();
    let session = definition.id();
    node.steps_to(&alice);
    let place = definition.index_of(&node.key).unwrap();
    for (has_partial, expected) in [(false, 1), (true, 0)] {
        let mut partials = [false; 3];
        partials[place] = has_partial;
        let status = Content::Status { nonces: bits([true; 3]), partials: bits(partials) };
        let bytes = alice.say(session, 1, status);
        node.hear(&alice, bytes);
        let steps = node.steps_to(&alice);
        assert_eq!(steps.len(), expected, "{steps:?}");
        assert!(steps.iter().all(|step| matches!(step.content, Content::Partial { .. })), "{steps:?}");
    }
    // Whoever is behind has nothing of this attempt, whatever it has of its own; whoever is before is left alone.
    let nonce = alice.nonce(&definition, 2);
    let bytes =
        alice.say_at(session, 2, 1, Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] });
    node.hear(&alice, bytes);
    node.steps_to(&bob);
    let all = || Content::Status { nonces: bits([true; 3]), partials: bits([true; 3]) };
    let bytes = bob.say(session, 1, all());
    node.hear(&bob, bytes);
    let steps = node.steps_to(&bob);
    assert!(steps.len() == 2 && steps.iter().all(|step| step.attempt == 2), "alice's nonce and the node's: {steps:?}");
    let none = Content::Status { nonces: bits([false; 3]), partials: bits([false; 3]) };
    let bytes = bob.say_at(session, 3, 1, none);
    node.hear(&bob, bytes);
    assert!(node.steps_to(&bob).is_empty());
}

#[test]
fn a_nonce_that_will_not_be_signed_with_is_wiped_at_once() {
    let mut config = Config::new(Network::Regtest);
    config.retries = 0;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let open = |node: &TestNode| node.signer.as_ref().unwrap().open_nonces();
    let (mut alice, bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    let first = create(&mut node, &[&alice, &bob], 1).unwrap();
    assert_eq!(open(&node), 1);
    // Given up, and tried again by hand.
    sleep_until(&mut node, 15 * MINUTE);
    assert_eq!((phase(&node, first), open(&node)), (Phase::Waiting, 0));
    node.command(Command::Retry(first)).unwrap();
    assert_eq!(open(&node), 1);
    let definition = node.node.view().session(&first).unwrap().definition.clone();
    let nonce = alice.nonce(&definition, 3);
    let bytes = alice.say_at(first, 3, 1, Content::Join { nonces: vec![nonce] });
    node.hear(&alice, bytes);
    assert_eq!(open(&node), 1, "followed: the one of attempt 2 is gone");
    node.command(Command::Abort(first, AbortReason::Left)).unwrap();
    assert_eq!(open(&node), 0);
    create(&mut node, &[&alice, &bob], 2).unwrap();
    assert_eq!(open(&node), 1);
    node.wait(3 * 60 * 60 * 1000);
    assert_eq!(open(&node), 0, "expired");
}

#[test]
fn sessions_that_are_open_are_bounded_and_those_that_have_ended_make_room() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.sessions, config.limits.unapproved, config.limits.unapproved_per_creator) = (1, 1, 1);
    let (mut node, alice, bob, first) = asked(config);
    let refused = create(&mut node, &[&alice, &bob], 1).unwrap_err();
    assert_eq!(refused, CommandError::TooManySessions(1));
    assert!(refused.to_string().contains("limits.sessions"), "{refused}");
    node.others.clear();
    node.command(Command::Abort(first, AbortReason::Left)).unwrap();
    let released: Vec<_> = node.others.iter().filter(|output| matches!(output, Output::Release(_))).collect();
    assert_eq!(released.len(), 2, "its signers are not needed any more: {released:?}");
    create(&mut node, &[&alice, &bob], 1).expect("there is room again");
}

#[test]
fn sessions_that_have_ended_are_bounded_and_make_room_for_newer_ones() {
    let mut config = Config::new(Network::Regtest);
    config.limits.ended = 2;
    let (mut node, alice, bob, first) = asked(config);
    node.command(Command::Abort(first, AbortReason::Left)).unwrap();
    let second = create(&mut node, &[&alice, &bob], 2).expect("one has ended");
    node.command(Command::Close(second)).unwrap();
    let third = create(&mut node, &[&alice, &bob], 3).expect("one has ended and one is closed");
    node.command(Command::Abort(third, AbortReason::Left)).unwrap();
    let kept = |node: &TestNode| node.node.view().sessions().map(|session| session.id).collect::<BTreeSet<_>>();
    assert_eq!(kept(&node), [first, third].into());
    node.events.clear();
    let fourth = create(&mut node, &[&alice, &bob], 4).expect("nothing that has ended stands in the way");
    node.command(Command::Abort(fourth, AbortReason::Left)).unwrap();
    assert_eq!(kept(&node), [third, fourth].into());
    assert!(node.events.contains(&Event::SessionClosed { session: first }), "the embedder hears of it");
    assert_eq!(node.command(Command::Retry(first)), Err(CommandError::UnknownSession(first)));
    node.wait(3 * 60 * 60 * 1000);
    assert_eq!((kept(&node).len(), node.records.len()), (0, 0), "what ended long ago is forgotten");
}

#[test]
fn requests_that_wait_for_approval_are_bounded_over_all_creators() {
    let mut config = Config::new(Network::Regtest);
    (config.limits.unapproved, config.limits.unapproved_per_creator) = (2, 2);
    let mut node = TestNode::with(config, Vec::new(), 1);
    let announce = |node: &mut TestNode, number: u8| {
        let mut creator = ScriptedPeer::new(number);
        let definition = definition(creator.key(), vec![node.key, creator.key()]);
        let nonce = creator.nonce(&definition, 1);
        let bytes =
            creator.say(definition.id(), 1, Content::Announce { definition: definition.into(), nonces: vec![nonce] });
        node.hear(&creator, bytes);
    };
    announce(&mut node, 1);
    announce(&mut node, 2);
    node.refuses(Refusal::Requests, |node| announce(node, 3));
    assert_eq!(node.node.view().sessions().len(), 2);
}

#[test]
fn a_session_is_remembered_until_everyone_has_had_its_turn_to_broadcast() {
    let signed = all_signed();
    let signature = signed.combine();
    let Signed { mut node, mut alice, definition, .. } = signed;
    let session = definition.id();
    sleep_until(&mut node, 59 * MINUTE);
    let bytes = alice.say(session, 1, Content::Finalized { signatures: vec![signature] });
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Complete);
    sleep_until(&mut node, 73 * MINUTE);
    assert_eq!(phase(&node, session), Phase::Complete, "its time was over, but the third turn is not");
    sleep_until(&mut node, 75 * MINUTE);
    assert!(node.events.contains(&Event::FailoverExhausted { session, failures: 3 }));
    sleep_until(&mut node, 25 * 60 * MINUTE);
    assert_eq!(phase(&node, session), Phase::Complete, "until a day after its expiry others may ask for the signature");
    sleep_until(&mut node, 25 * 60 * MINUTE + 11 * MINUTE);
    assert_eq!((node.node.view().sessions().len(), node.session_records()), (0, 0));
}

#[test]
fn nobody_confirms_the_broadcast_of_what_was_aborted() {
    let (mut node, mut alice, _, definition, _) = joined();
    node.command(Command::Abort(definition.id(), AbortReason::Left)).unwrap();
    let bytes = alice.say(definition.id(), 1, Content::Confirmed);
    node.refuses(Refusal::Ended, |node| node.hear(&alice, bytes));
}

#[test]
fn sessions_that_go_on_differently_have_different_fingerprints() {
    let print = |is_alice: bool, step: &dyn Fn(&Signed) -> Option<(u32, Content)>| {
        let mut signed = all_signed();
        let session = signed.definition.id();
        if let Some((attempt, content)) = step(&signed) {
            let scripted = if is_alice { &mut signed.alice } else { &mut signed.bob };
            let bytes = scripted.say(session, attempt, content);
            signed.node.hear(scripted, bytes);
        }
        let text = signed.node.node.view().fingerprint();
        assert!(text.contains(&session.to_string()));
        text
    };
    let partial = |signed: &Signed, partial| Content::Partial { nonces: signed.hash, partials: vec![partial] };
    let left = || Content::Abort { reason: AbortReason::Left };
    let prints = [
        print(true, &|_| None),
        print(true, &|signed| Some((1, partial(signed, signed.of_alice)))),
        print(false, &|signed| Some((1, partial(signed, signed.of_bob)))),
        print(true, &|_| Some((1, Content::Confirmed))),
        print(false, &|_| Some((1, Content::Confirmed))),
        print(true, &|_| Some((1, left()))),
        print(false, &|_| Some((1, left()))),
        print(true, &|_| Some((2, left()))),
    ];
    assert_eq!(prints.iter().collect::<BTreeSet<_>>().len(), prints.len(), "{prints:#?}");
}
