//! Signers who come late, and messages that come later than many others of their authors.

use nelumbo_core::api::{Event, Phase, Refusal};
use nelumbo_core::wire::{AbortReason, Bits, Content};

use crate::common::{ScriptedPeer, Signed, TestNode, all_signed, joined, phase};
use crate::history::Group;

/// More than the replay window has room for.
const MANY: u64 = 200;

/// Asks what the node lacks so often that everything that was said before is behind the window.
fn ask_often(node: &mut TestNode, scripted: &mut ScriptedPeer, session: nelumbo_core::wire::SessionId) {
    for _ in 0..MANY {
        let bits = || Bits::collect([true; 3].into_iter());
        let bytes = scripted.say(session, 1, Content::Status { nonces: bits(), partials: bits() });
        node.hear(scripted, bytes);
    }
}

#[test]
fn a_nonce_that_comes_after_two_hundred_later_messages_counts_and_once() {
    let (mut node, _, mut bob, definition, _) = joined();
    let session = definition.id();
    let nonce = bob.nonce(&definition, 1);
    let late = bob.say(session, 1, Content::Join { nonces: vec![nonce] });
    ask_often(&mut node, &mut bob, session);
    node.hear(&bob, late.clone());
    let is_joined = |event: &&Event| matches!(event, Event::SignerJoined { signer, .. } if *signer == bob.key());
    assert_eq!(node.events.iter().filter(is_joined).count(), 1);
    assert_eq!(phase(&node, session), Phase::PartialSignatureExchange);
    node.refuses(Refusal::SequenceGap, |node| node.hear(&bob, late));
}

#[test]
fn partial_signatures_that_come_after_two_hundred_later_messages_complete_the_session() {
    let signed = all_signed();
    let signature = signed.combine();
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = signed;
    let session = definition.id();
    for (scripted, partial) in [(&mut alice, of_alice), (&mut bob, of_bob)] {
        let late = scripted.say(session, 1, Content::Partial { nonces, partials: vec![partial] });
        ask_often(&mut node, scripted, session);
        node.hear(scripted, late);
    }
    assert_eq!(node.node.view().session(&session).unwrap().signatures, [signature]);
    let claim = alice.say(session, 1, Content::Confirmed);
    ask_often(&mut node, &mut alice, session);
    node.hear(&alice, claim.clone());
    node.refuses(Refusal::SequenceGap, |node| node.hear(&alice, claim));
    node.wait(15 * 60_000);
    let by = alice.key();
    assert!(node.events.contains(&Event::BroadcastClaimed { session, by }));
}

#[test]
fn an_end_that_comes_after_two_hundred_later_messages_is_heard() {
    let signature = all_signed().combine();
    let reason = AbortReason::Left;
    for (content, end) in [
        (Content::Finalized { signatures: vec![signature] }, Phase::Complete),
        (Content::Abort { reason }, Phase::Aborted),
    ] {
        let Signed { mut node, mut alice, definition, .. } = all_signed();
        let late = alice.say(definition.id(), 1, content);
        ask_often(&mut node, &mut alice, definition.id());
        node.hear(&alice, late.clone());
        assert_eq!(phase(&node, definition.id()), end);
        node.refuses(Refusal::SequenceGap, |node| node.hear(&alice, late));
    }
}

#[test]
fn what_says_nothing_that_is_lacking_stays_behind_the_window() {
    let (mut node, mut alice, _, definition, _) = joined();
    let session = definition.id();
    let bits = || Bits::collect([false; 3].into_iter());
    let late = alice.say(session, 1, Content::Status { nonces: bits(), partials: bits() });
    ask_often(&mut node, &mut alice, session);
    node.steps_to(&alice);
    node.refuses(Refusal::SequenceGap, |node| node.hear(&alice, late));
    assert!(node.steps_to(&alice).is_empty(), "an old question is not answered again");
}

#[test]
fn a_hundred_and_twenty_signers_who_come_one_after_another_sign() {
    const SIGNERS: usize = 120;
    let mut group = Group::apart(SIGNERS);
    group.wait(200);
    group.flight.clear();
    let session = group.create(0, group.keys.clone());
    // All of them are connected to the creator alone. What was said last arrives first: questions overtake what they
    // are about, and what others have said comes by way of the creator.
    let settle = |group: &mut Group| {
        while !group.flight.is_empty() {
            group.deliver(group.flight.len() - 1);
        }
    };
    for newcomer in 1..SIGNERS {
        group.connect(newcomer, 0);
        settle(&mut group);
    }
    for _ in 0..60 {
        group.wait(1_000);
        settle(&mut group);
    }
    let complete = (0..SIGNERS).filter(|index| group.look(*index, session).phase == Phase::Complete);
    assert_eq!(complete.count(), SIGNERS);
}
