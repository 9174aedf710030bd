//! Attempts that fail and are followed by others, sessions that end, and turns to broadcast.

use std::time::Duration;

use nelumbo_core::api::{
    AttemptCause, AttemptFailure, Command, CommandError, Config, Event, Input, NewSession, Phase, Refusal, SessionView,
};
use nelumbo_core::crypto::{Network, PartialSignature, Suite};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{AbortReason, Body, Content, DefinitionError, PeerId, SessionId};

use crate::common::{
    NODE, ScriptedPeer, Signed, TestNode, all_signed, announcement, approve, completed, definition, joined, nonce_in,
    phase,
};

/// The node asks these peers to sign with it.
fn create(node: &mut TestNode, peers: &[&ScriptedPeer]) {
    let keys = peers.iter().map(|scripted| scripted.key()).chain([node.key]).collect();
    let create = Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![7; 32])));
    node.command(create).expect("the session is sound");
}

#[test]
fn a_failed_attempt_is_followed_by_others_with_growing_pauses_until_the_limit() {
    // S6, S7, S8
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = all_signed();
    let session = definition.id();
    let mut bytes = *of_bob.as_bytes();
    bytes[31] ^= 1;
    let bytes = bob.say(session, 1, Content::Partial { nonces, partials: vec![PartialSignature::from_bytes(bytes)] });
    node.hear(&bob, bytes);
    let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    let attempt = |node: &TestNode| node.node.view().session(&session).unwrap().attempt;
    assert_eq!((phase(&node, session), attempt(&node)), (Phase::Failed, 1));
    node.wait(3_900);
    assert_eq!(attempt(&node), 1, "the first pause is twice the stall time");
    node.wait(200);
    assert_eq!((phase(&node, session), attempt(&node)), (Phase::NonceExchange, 2));
    let retried = Event::AttemptStarted { session, attempt: 2, cause: AttemptCause::Retried };
    assert!(node.events.contains(&retried));
    // Each further attempt hangs until it is given up, three times by itself.
    node.wait(3 * 60 * 60 * 1000);
    assert_eq!(phase(&node, session), Phase::Expired, "and in the end the session expires");
    let expired = Event::SessionExpired { session, may_complete: true };
    assert!(node.events.contains(&expired), "attempt 1 was signed, and its signature may still appear");
}

#[test]
fn an_attempt_that_lacks_partial_signatures_fails_and_says_whose() {
    // R1, S7
    let Signed { mut node, alice, bob, definition, .. } = all_signed();
    let session = definition.id();
    for _ in 0..11 * 60 {
        node.wait(1_000);
    }
    let failure = node.events.iter().find_map(|event| match event {
        Event::AttemptFailed { failure: AttemptFailure::Stuck(missing), .. } => Some(missing.clone()),
        _ => None,
    });
    let missing = failure.expect("the attempt was given up");
    assert!(missing.len() == 2 && missing.contains(&alice.key()) && missing.contains(&bob.key()), "{missing:?}");
    let text = AttemptFailure::Stuck(missing).to_string();
    assert!(text.contains(&bob.key().to_string()) && text.contains("retry"), "{text}");
    assert_eq!(node.node.view().session(&session).unwrap().attempt, 2, "all are connected, so it is tried again");
}

#[test]
fn a_signer_that_returns_is_told_what_it_missed() {
    // R2, R3
    let (mut node, mut alice, mut bob, definition, first) = joined();
    let session = definition.id();
    node.input(Input::Disconnected(bob.peer));
    node.steps_to(&bob);
    node.input(Input::Connected(bob.peer));
    let steps = node.steps_to(&bob);
    assert!(matches!(steps[0].content, Content::Announce { .. }), "{steps:?}");
    assert_eq!(nonce_in(&steps[1..]), nonce_in(&first), "the same nonce, not another one");
    let nothing = nelumbo_core::wire::Bits::collect([false; 3].into_iter());
    let status = Content::Status { nonces: nothing.clone(), partials: nothing };
    let bytes = bob.say(session, 1, status.clone());
    node.hear(&bob, bytes);
    assert_eq!(node.steps_to(&bob).len(), 2, "alice's nonce and the node's, each in its author's own message");
    let bytes = alice.say(session, 1, status);
    node.hear(&alice, bytes);
    assert_eq!(node.steps_to(&alice).len(), 2);
}

#[test]
fn an_attempt_follows_whoever_began_it_and_an_unapproved_one_waits() {
    // S2, S4, S9
    let (mut node, mut alice, mut bob, definition, _) = joined();
    let session = definition.id();
    let nonce = alice.nonce(&definition, 2);
    let bytes = alice.say_at(session, 2, 1, announcement(&definition, nonce));
    node.hear(&alice, bytes);
    let cause = AttemptCause::Followed(alice.key());
    assert!(node.events.contains(&Event::AttemptStarted { session, attempt: 2, cause }));
    let of_node = node.steps_to(&bob).pop().unwrap();
    assert_eq!(of_node.attempt, 2);
    node.refuses(Refusal::StaleAttempt, |node| {
        let nonce = bob.nonce(&definition, 1);
        let bytes = bob.say(session, 1, Content::Join { nonces: vec![nonce] });
        node.hear(&bob, bytes);
    });
}

#[test]
fn a_signature_from_elsewhere_ends_the_session() {
    // S10
    let signed = all_signed();
    let signature = signed.combine();
    let Signed { mut node, mut alice, definition, .. } = signed;
    let session = definition.id();
    let bytes = alice.say(session, 1, Content::Finalized { signatures: vec![signature] });
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Complete);
    assert_eq!(node.node.view().session(&session).unwrap().signatures, [signature]);
}

#[test]
fn a_refusal_ends_the_session_for_everyone() {
    // E1, E2
    let (mut node, mut alice, _, definition, _) = joined();
    let session = definition.id();
    let bytes = alice.say(session, 1, Content::Abort { reason: AbortReason::Left });
    node.hear(&alice, bytes);
    let aborted = Event::SessionAborted { session, by: alice.key(), reason: AbortReason::Left, may_complete: false };
    assert!(node.events.contains(&aborted));
    assert_eq!(phase(&node, session), Phase::Aborted);
    assert_eq!(node.command(Command::Retry(session)), Err(CommandError::Ended(session)));
    assert_eq!(node.command(approve(session)), Err(CommandError::Ended(session)));
}

#[test]
fn the_embedder_may_retry_what_failed_and_nothing_else() {
    // S1, S5
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    let keys = vec![node.key, alice.key(), bob.key()];
    let create = Command::Create(Box::new(NewSession {
        election: Method::Rotating,
        ..NewSession::new(Suite::Bip340, keys, b"any length".to_vec())
    }));
    node.command(create).unwrap();
    let session = node.node.view().sessions().next().unwrap().id;
    assert_eq!(node.command(Command::Retry(session)), Err(CommandError::NothingToRetry(session)));
    let unknown = SessionId::from_bytes([0; 32]);
    assert_eq!(node.command(Command::Retry(unknown)), Err(CommandError::UnknownSession(unknown)));
    // It stands still, and waits: bob was never there.
    node.wait(11 * 60 * 1000);
    node.wait(1);
    assert_eq!(phase(&node, session), Phase::Waiting);
    node.command(Command::Retry(session)).unwrap();
    assert_eq!(node.node.view().session(&session).unwrap().attempt, 2);
    let cause = AttemptCause::Commanded;
    assert!(node.events.contains(&Event::AttemptStarted { session, attempt: 2, cause }));
}

#[test]
fn a_session_may_be_given_less_time_than_there_is_and_not_more() {
    let (mut node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    let longest = Config::new(Network::Regtest).session_timeout;
    let create = |lifetime| {
        let session = NewSession::new(Suite::Lotus, vec![node.key, alice.key()], vec![7; 32]);
        Command::Create(Box::new(NewSession { lifetime, ..session }))
    };
    let (short, usual) = (create(Some(Duration::from_secs(60))), create(None));
    for none in [Duration::ZERO, longest + Duration::from_millis(1)].map(|lifetime| create(Some(lifetime))) {
        assert_eq!(node.command(none), Err(CommandError::Definition(DefinitionError::Lifetime)));
    }
    node.command(short).unwrap();
    node.command(usual).unwrap();
    let lives = |view: SessionView| view.definition.expires_at.since(view.definition.created_at);
    let mut all: Vec<Duration> = node.node.view().sessions().map(lives).collect();
    all.sort();
    assert_eq!(all, [Duration::from_secs(60), longest]);
    node.wait(60_000);
    let expired = node.node.view().sessions().filter(|view| view.phase == Phase::Expired).count();
    assert_eq!(expired, 1);
}

/// D9.
#[test]
fn a_node_that_nobody_can_dial_tells_its_peers_which_key_it_holds() {
    let (mut node, alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.input(Input::Connected(alice.peer));
    node.wait(100);
    let [(to, message)] = &node.sent[..] else { panic!("{:?}", node.sent) };
    assert_eq!((*to, message.unsigned.author), (alice.peer, node.key));
    assert!(matches!(&message.unsigned.body, Body::Presence(presence) if presence.addresses.is_empty()));
}

#[test]
fn a_closed_session_stays_closed_over_a_restart() {
    let (mut node, mut alice, _, definition, _) = joined();
    let session = definition.id();
    node.command(Command::Close(session)).unwrap();
    let mut node = TestNode::with(Config::new(Network::Regtest), node.records.into_iter().collect(), 2);
    node.meet(&mut alice);
    // A second approval would show a second nonce for attempt 1, and make an honest signer look like a liar.
    node.refuses(Refusal::Ended, |node| {
        let nonce = alice.nonce(&definition, 2);
        let bytes = alice.say(session, 1, announcement(&definition, nonce));
        node.hear(&alice, bytes);
    });
    node.wait(3 * 60 * 60 * 1000);
    assert!(node.records.is_empty(), "and is forgotten in the end");
}

#[test]
fn what_is_said_after_a_restart_is_not_taken_for_what_was_said_before() {
    let (mut node, _, _, definition) = completed();
    let session = definition.id();
    let of_node = |node: &mut TestNode| {
        let steps = node.sent.drain(..).filter_map(|(_, message)| match message.unsigned.body {
            Body::Session(step) => Some((step.attempt, step.sequence)),
            _ => None,
        });
        steps.collect::<std::collections::BTreeSet<_>>()
    };
    let mut said = of_node(&mut node);
    let mut records = node.records;
    for life in 2..5 {
        let mut node = TestNode::with(Config::new(Network::Regtest), records.clone().into_iter().collect(), life);
        let mut alice = ScriptedPeer::new(1);
        node.meet(&mut alice);
        if life == 2 {
            node.command(Command::ConfirmBroadcast(session)).unwrap();
            assert_eq!(node.session_records(), 1);
        }
        let now = of_node(&mut node);
        assert!(now.is_disjoint(&said), "{now:?} and {said:?}");
        assert_eq!(now.is_empty(), life > 2);
        said.extend(now);
        records = node.records;
    }
}

#[test]
fn the_last_word_after_a_restart_is_not_too_old_for_who_has_heard_of_this_life() {
    // S3, R3
    let (node, _, _, definition) = completed();
    let (session, window) = (definition.id(), Config::new(Network::Regtest).limits.sequence_window);
    let mut node = TestNode::with(Config::new(Network::Regtest), node.records.clone().into_iter().collect(), 2);
    let mut alice = ScriptedPeer::new(1);
    node.meet(&mut alice);
    node.command(Command::ConfirmBroadcast(session)).unwrap();
    let nothing = || nelumbo_core::wire::Bits::collect([false; 0].into_iter());
    for _ in 0..2 {
        node.refuses(Refusal::Ended, |node| {
            let bytes = alice.say(session, 1, Content::Status { nonces: nothing(), partials: nothing() });
            node.hear(&alice, bytes);
        });
    }
    let steps = node.steps_to(&alice);
    let newest = steps.iter().map(|step| step.sequence).max().expect("the confirmation at least");
    let last_words: std::collections::BTreeSet<_> = steps
        .iter()
        .filter(|step| matches!(step.content, Content::Finalized { .. }))
        .map(|step| step.sequence)
        .collect();
    assert_eq!(last_words.len(), 1, "said anew once, and repeated");
    assert!(last_words.iter().all(|sequence| newest - sequence <= window), "{last_words:?} of {newest}");
}

#[test]
fn questions_do_not_pile_up_behind_a_slow_disk() {
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.syncs = false;
    create(&mut node, &[&alice, &bob]);
    let held = node.node.view().held();
    for _ in 0..100 {
        node.wait(5_000);
        node.input(Input::Disconnected(alice.peer));
        node.input(Input::Connected(alice.peer));
    }
    assert_eq!(node.node.view().held(), held);
    node.input(Input::Persisted(node.last_record));
    assert_eq!(node.node.view().held(), 0);
    node.wait(60_000);
    assert!(node.steps_to(&alice).iter().any(|step| matches!(step.content, Content::Status { .. })));
}

/// A session of 128 signers that the node has joined, when the record of that is not durable.
#[test]
fn what_waits_for_a_slow_disk_stays_bounded_whatever_others_ask_and_repeat() {
    let mut node = TestNode::new();
    let mut others: Vec<ScriptedPeer> = (1..=128).filter(|number| *number != NODE).map(ScriptedPeer::new).collect();
    others.truncate(127);
    let (first, keys) = (others[0].key(), others.iter().map(ScriptedPeer::key).chain([node.key]).collect());
    let definition = definition(first, keys);
    let session = definition.id();
    node.meet(&mut others[0]);
    for index in 0..others.len() {
        let nonce = others[index].nonce(&definition, 1);
        let content = match index {
            0 => Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] },
            // The last one is missing, so that the attempt goes on.
            126 => continue,
            _ => Content::Join { nonces: vec![nonce] },
        };
        let bytes = others[index].say(session, 1, content);
        node.hear(&others[0], bytes);
    }
    node.syncs = false;
    node.command(approve(session)).unwrap();
    let held = node.node.view().held();
    assert_eq!(held, 3, "its nonce to who is connected, and what its owner is told");
    let nothing = || nelumbo_core::wire::Bits::collect([false; 128].into_iter());
    for number in 0..10_000_u64 {
        node.wait(1);
        let content = match number % 100 {
            0 => Content::Join { nonces: others[1].nonces(&definition, 2 + number as u32) },
            1 => {
                Content::Finalized { signatures: vec![nelumbo_core::crypto::Signature::from_bytes([number as u8; 64])] }
            }
            _ => Content::Status { nonces: nothing(), partials: nothing() },
        };
        let bytes = others[1].say(session, 1, content);
        node.hear(&others[1], bytes);
    }
    assert_eq!(node.node.view().held(), held + 2, "one proof of each misdeed");
    node.input(Input::Persisted(node.last_record));
    assert_eq!(node.node.view().held(), 0);
    node.sent.clear();
    let bytes = others[0].say(session, 1, Content::Status { nonces: nothing(), partials: nothing() });
    node.hear(&others[0], bytes);
    assert_eq!(node.steps_to(&others[0]).len(), 127, "once it is durable, whoever asks is answered");
}

/// The presences of the node's own that were sent to this peer.
fn presences_to(node: &mut TestNode, peer: &PeerId) -> usize {
    let sent = std::mem::take(&mut node.sent);
    sent.iter().filter(|(to, message)| to == peer && matches!(message.unsigned.body, Body::Presence(_))).count()
}

#[test]
fn a_presence_that_was_lost_is_shown_again_when_a_session_misses_its_signer() {
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.input(Input::Connected(bob.peer));
    node.wait(100);
    assert_eq!(presences_to(&mut node, &bob.peer), 1);
    create(&mut node, &[&alice, &bob]);
    node.sent.clear();
    node.wait(2_000);
    assert_eq!(presences_to(&mut node, &bob.peer), 1, "bob is missing; he may be connected and unheard");
    node.wait(4_000);
    assert_eq!(presences_to(&mut node, &alice.peer), 0, "whose key is known is not asked for it");
}

/// Two nodes that show each other what the other knows come to an end, however slow the way between them is.
#[test]
fn a_presence_that_is_repeated_is_answered_after_pauses_that_double() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    node.wait(100);
    presences_to(&mut node, &alice.peer);
    let bytes = alice.presence(alice.peer, crate::common::WALL);
    let mut answers = Vec::new();
    for second in 1..=70 {
        node.wait(1_000);
        node.hear(&alice, bytes.clone());
        if presences_to(&mut node, &alice.peer) > 0 {
            answers.push(second);
        }
    }
    assert_eq!(answers, [2, 6, 14, 30, 60], "and no less often than the longest pause");
}

#[test]
fn the_end_of_time_is_a_moment_like_any_other() {
    let (mut node, _, _, definition, _) = joined();
    node.node.handle(crate::common::now(u64::MAX), Input::Tick);
    assert!(node.node.view().session(&definition.id()).is_none(), "it has expired");
    assert!(node.node.deadline().is_none_or(|deadline| deadline.at < nelumbo_core::base::Mono::MAX));
}

#[test]
fn a_session_that_nobody_finishes_expires() {
    // E3
    let (mut node, alice, _, definition, _) = joined();
    let session = definition.id();
    node.input(Input::Disconnected(alice.peer));
    node.wait(3 * 60 * 60 * 1000);
    assert!(node.events.contains(&Event::SessionExpired { session, may_complete: false }));
    assert_eq!(node.node.view().sessions().len(), 0);
    assert!(node.records.is_empty(), "nothing remains in the journal");
}
