//! One honest node among signers who lie, strangers, and broken networks: nothing they say changes what it should not,
//! and what is refused is refused for the right reason.

use crate::common::{
    self, HOUR, ScriptedPeer, Signed, TestNode, WALL, all_signed, announcement, approve, definition, joined, nonce_in,
    partial_in, phase,
};
use nelumbo_core::api::{
    AttemptFailure, Blame, Command, Config, Event, Input, ItemFault, Output, Phase, Refusal, Verdict,
};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{Network, PartialSignature, PublicNonce, Secp256k1, Signature, Tweak, Verifier};
use nelumbo_core::wire::{AbortReason, Content, Definition, Item, PeerId, SessionId, SessionMessage};

#[test]
fn honest_peers_and_the_node_make_a_signature() {
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = all_signed();
    let session = definition.id();
    let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::PartialSignatureExchange);
    let bytes = bob.say(session, 1, Content::Partial { nonces, partials: vec![of_bob] });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, session), Phase::Complete);
    let signature = node.node.view().session(&session).unwrap().signatures[0];
    assert!(Secp256k1.verify_final(&common::keys(&definition), &common::message(&definition), &signature));
    assert!(node.events.iter().any(|event| matches!(event, Event::SessionCompleted { .. })));
}

#[test]
fn an_invalid_partial_signature_names_its_author_and_only_its_author() {
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = all_signed();
    let session = definition.id();
    let mut bytes = *of_bob.as_bytes();
    bytes[31] ^= 1;
    let lie = Content::Partial { nonces, partials: vec![PartialSignature::from_bytes(bytes)] };
    let bytes = bob.say(session, 1, lie);
    node.hear(&bob, bytes);
    let bytes = alice.say(session, 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Failed);
    let failure = AttemptFailure::InvalidPartial(vec![ItemFault { signer: bob.key(), item: 0 }]);
    assert!(node.events.contains(&Event::AttemptFailed { session, attempt: 1, failure }), "{:?}", node.events);
}

/// So many that the node halves instead of verifying them one by one.
#[test]
fn liars_among_very_many_signers_are_named_and_nobody_else() {
    let mut node = TestNode::new();
    let mut peers: Vec<ScriptedPeer> = (1..=110).map(ScriptedPeer::new).collect();
    let keys = peers.iter().map(ScriptedPeer::key).chain([node.key]).collect();
    let definition = definition(peers[0].key(), keys);
    let session = definition.id();
    let index_of = |scripted: &ScriptedPeer| definition.index_of(&scripted.key()).unwrap();
    let contributions: Vec<PublicNonce> = peers.iter_mut().map(|scripted| scripted.nonce(&definition, 1)).collect();
    for (index, scripted) in peers.iter_mut().enumerate() {
        let nonce = contributions[index];
        let announce = announcement(&definition, nonce);
        let content = if index == 0 { announce } else { Content::Join { nonces: vec![nonce] } };
        let bytes = scripted.say(session, 1, content);
        node.hear(scripted, bytes);
    }
    node.meet(&mut peers[0]);
    node.command(approve(session)).unwrap();
    let steps = node.steps_to(&peers[0]);
    let mut nonces = vec![nonce_in(&steps); 111];
    peers.iter().zip(contributions).for_each(|(scripted, nonce)| nonces[index_of(scripted)] = nonce);
    let (_, hash) = partial_in(&steps);
    for (number, scripted) in peers.iter_mut().enumerate() {
        let mut partial = *scripted.sign(&definition, 1, &nonces).as_bytes();
        partial[31] ^= u8::from([7, 50, 51].contains(&number));
        let nonces = if number == 50 { [0; 32] } else { hash };
        let content = Content::Partial { nonces, partials: vec![PartialSignature::from_bytes(partial)] };
        let bytes = scripted.say(session, 1, content);
        node.hear(scripted, bytes);
    }
    let mut liars = vec![peers[7].key(), peers[51].key()];
    liars.sort_unstable();
    let failure =
        AttemptFailure::InvalidPartial(liars.into_iter().map(|signer| ItemFault { signer, item: 0 }).collect());
    assert!(node.events.contains(&Event::AttemptFailed { session, attempt: 1, failure }), "{:?}", node.events);
}

#[test]
fn a_partial_signature_over_other_nonces_is_a_split_view_that_blames_nobody_for_signing() {
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, .. } = all_signed();
    let session = definition.id();
    let bytes = bob.say(session, 1, Content::Partial { nonces: [0; 32], partials: vec![of_bob] });
    node.hear(&bob, bytes);
    let mut wrong = *of_alice.as_bytes();
    wrong[0] ^= 0x40;
    let lie = Content::Partial { nonces: [1; 32], partials: vec![PartialSignature::from_bytes(wrong)] };
    let bytes = alice.say(session, 1, lie);
    node.hear(&alice, bytes);
    let mut keys = vec![alice.key(), bob.key()];
    keys.sort_unstable();
    let failure = AttemptFailure::SplitView(keys);
    assert!(node.events.contains(&Event::AttemptFailed { session, attempt: 1, failure }), "{:?}", node.events);
}

#[test]
fn a_nonce_that_is_no_point_fails_the_attempt_and_names_its_author() {
    let (mut node, _alice, mut bob, definition, _) = joined();
    let mut point = [5; 66];
    (point[0], point[33]) = (2, 2);
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![PublicNonce::from_bytes(point)] });
    node.hear(&bob, bytes);
    let failed = node.events.iter().find_map(|event| match event {
        Event::AttemptFailed { failure, .. } => Some(failure.clone()),
        _ => None,
    });
    assert_eq!(failed, Some(AttemptFailure::InvalidNonce(ItemFault { signer: bob.key(), item: 0 })));
}

#[test]
fn a_second_nonce_is_equivocation_and_the_first_one_stands() {
    let (mut node, _alice, mut bob, definition, steps) = joined();
    let other = nonce_in(&steps);
    let mut stranger_nonce = *other.as_bytes();
    stranger_nonce[0] ^= 1;
    let first = bob.nonce(&definition, 1);
    // Alice's nonce is here already, so that bob's first completes the exchange; a second changes nothing.
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![first] });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, definition.id()), Phase::PartialSignatureExchange);
    node.refuses(Refusal::Equivocation, |node| {
        let lie = Content::Join { nonces: vec![PublicNonce::from_bytes(stranger_nonce)] };
        let bytes = bob.say(definition.id(), 1, lie);
        node.hear(&bob, bytes);
    });
    assert_eq!(Refusal::Equivocation.blame(), Blame::Author);
    assert_eq!(phase(&node, definition.id()), Phase::PartialSignatureExchange);
}

#[test]
fn every_message_is_taken_once() {
    let (mut node, _alice, mut bob, definition, _) = joined();
    let nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![nonce] });
    node.hear(&bob, bytes.clone());
    for _ in 0..100 {
        node.refuses(Refusal::Duplicate, |node| node.hear(&bob, bytes.clone()));
    }
    assert_eq!(Refusal::Duplicate.blame(), Blame::Nobody);
    let joined = node.events.iter().filter(|event| matches!(event, Event::SignerJoined { .. })).count();
    assert_eq!(joined, 2, "alice and bob, once each");
}

#[test]
fn strangers_and_forgers_change_nothing() {
    let (mut node, mut alice, mut bob, definition, _) = joined();
    let session = definition.id();
    let mut mallory = ScriptedPeer::new(66);
    node.meet(&mut mallory);
    let before = node.node.view().session(&session);
    node.refuses(Refusal::NotASigner, |node| {
        let bytes = mallory.say(session, 1, Content::Abort { reason: AbortReason::Declined });
        node.hear(&mallory, bytes);
    });
    // Mallory passes bob's key off as her own: the bytes say bob, the signature does not.
    node.refuses(Refusal::Signature, |node| {
        let mut bytes = bob.say(session, 1, Content::Abort { reason: AbortReason::Declined }).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        node.hear(&mallory, bytes.into());
    });
    node.refuses(Refusal::FinalSignature, |node| {
        let lie = Content::Finalized { signatures: vec![Signature::from_bytes([1; 64])] };
        let bytes = alice.say(session, 1, lie);
        node.hear(&alice, bytes);
    });
    assert_eq!(node.node.view().session(&session), before);
}

#[test]
fn a_flipped_bit_anywhere_is_refused_and_changes_nothing() {
    let (mut node, _alice, mut bob, definition, _) = joined();
    let nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![nonce] });
    let before = node.node.view().session(&definition.id());
    // Each flipped bit by another peer, so that none is banned before its turn.
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        let refused = node.node.view().refusals().total();
        let from = PeerId::from_bytes(&bit.to_be_bytes()).unwrap();
        node.input(Input::Received { from, bytes: altered.into() });
        let refused_now = node.node.view().refusals().total();
        assert!(refused_now == refused + 1, "bit {bit} was taken");
    }
    assert_eq!(node.node.view().session(&definition.id()), before);
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, definition.id()), Phase::PartialSignatureExchange);
}

#[test]
fn bytes_that_are_no_message_are_refused_for_what_they_are() {
    let mut node = TestNode::new();
    let mut alice = ScriptedPeer::new(1);
    node.meet(&mut alice);
    let good = alice.presence(alice.peer, WALL + 1);
    node.refuses(Refusal::Malformed, |node| node.hear(&alice, Bytes::from([])));
    node.refuses(Refusal::Malformed, |node| node.hear(&alice, good[..good.len() - 1].into()));
    node.refuses(Refusal::Oversized, |node| node.hear(&alice, vec![0; 100_001].into()));
    node.refuses(Refusal::Version, |node| {
        let mut bytes = good.to_vec();
        bytes[0] = 9;
        node.hear(&alice, bytes.into());
    });
    // An overlong integer says the same in more bytes; taking both would make two messages of one.
    node.refuses(Refusal::NotCanonical, |node| {
        let mut bytes = good.to_vec();
        bytes[1] |= 0x80;
        bytes.insert(2, 0);
        node.hear(&alice, bytes.into());
    });
    node.refuses(Refusal::Network, |node| {
        let mut bytes = good.to_vec();
        bytes[1] = 0;
        node.hear(&alice, bytes.into());
    });
}

#[test]
fn a_session_that_is_not_what_it_says_is_refused() {
    let (mut node, mut alice, bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    let sound = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
    let nonce = alice.nonce(&sound, 1);
    let mut announce = |node: &mut TestNode, definition: Definition, id: SessionId| {
        let bytes = alice.say(id, 1, Content::Announce { definition: definition.into(), nonces: vec![nonce] });
        node.hear(&alice, bytes);
    };
    node.refuses(Refusal::Definition, |node| announce(node, sound.clone(), SessionId::from_bytes([1; 32])));
    let altered = |change: &dyn Fn(&mut Definition)| {
        let mut definition = sound.clone();
        change(&mut definition);
        definition
    };
    let cases: [(Refusal, Definition); 9] = [
        (Refusal::Definition, altered(&|definition| definition.keys.swap(0, 1))),
        (Refusal::Definition, altered(&|definition| definition.keys[1] = definition.keys[0])),
        (Refusal::Definition, altered(&|definition| definition.keys.truncate(1))),
        (Refusal::Definition, altered(&|definition| definition.items = vec![Item::message(vec![1; 31], Tweak::None)])),
        (Refusal::Definition, altered(&|definition| definition.creator = 3)),
        (Refusal::NotTheCreator, altered(&|definition| definition.creator = (definition.creator + 1) % 3)),
        (Refusal::Definition, altered(&|definition| definition.expires_at = Wall::from_millis(u64::MAX))),
        (
            Refusal::NotFresh,
            altered(&|definition| {
                definition.created_at = Wall::from_millis(WALL - 2 * HOUR);
                definition.expires_at = Wall::from_millis(WALL - HOUR);
            }),
        ),
        (
            Refusal::NotFresh,
            altered(&|definition| {
                definition.created_at = Wall::from_millis(WALL + HOUR);
                definition.expires_at = Wall::from_millis(WALL + 2 * HOUR);
            }),
        ),
    ];
    for (refusal, definition) in cases {
        let id = definition.id();
        node.refuses(refusal, |node| announce(node, definition, id));
    }
    node.refuses(Refusal::NotForMe, |node| {
        let others =
            definition(ScriptedPeer::new(1).key(), (1..=3).map(|number| ScriptedPeer::new(number).key()).collect());
        let id = others.id();
        announce(node, others, id);
    });
    assert_eq!(node.node.view().sessions().len(), 0);
}

#[test]
fn a_presence_of_a_distant_time_or_an_older_one_is_refused() {
    let mut node = TestNode::new();
    let mut alice = ScriptedPeer::new(1);
    node.meet(&mut alice);
    let elsewhere = PeerId::from_bytes(b"elsewhere").unwrap();
    for time in [WALL + HOUR, u64::MAX - HOUR] {
        let bytes = alice.presence(elsewhere, time);
        node.refuses(Refusal::NotFresh, |node| node.hear(&alice, bytes));
    }
    let mut bob = ScriptedPeer::new(2);
    let bytes = bob.presence(elsewhere, WALL - 2 * HOUR);
    node.refuses(Refusal::NotFresh, |node| node.hear(&bob, bytes));
    let bytes = alice.presence(elsewhere, WALL - 1);
    node.refuses(Refusal::Duplicate, |node| node.hear(&alice, bytes));
    let holder = |node: &TestNode| node.node.view().signers().next().map(|(_, peer, _)| peer);
    assert_eq!(holder(&node), Some(alice.peer));
    let bytes = alice.presence(elsewhere, WALL + 1);
    node.hear(&alice, bytes);
    assert_eq!(holder(&node), Some(elsewhere));
}

#[test]
fn gossip_is_passed_on_only_when_it_is_sound() {
    let mut node = TestNode::new();
    let mut alice = ScriptedPeer::new(1);
    node.input(Input::Connected(alice.peer));
    let good = alice.presence(alice.peer, WALL);
    let mut forged = alice.presence(alice.peer, WALL + 1).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let step = alice.say(SessionId::from_bytes([0; 32]), 1, Content::Abort { reason: AbortReason::Closed });
    let cases: [(Bytes, Verdict); 5] = [
        (good.clone(), Verdict::Accept),
        (good, Verdict::Ignore),
        (forged.into(), Verdict::Reject),
        (step, Verdict::Reject),
        (vec![0; 10_001].into(), Verdict::Reject),
    ];
    for (number, (bytes, expected)) in cases.into_iter().enumerate() {
        let id = nelumbo_core::api::GossipId(number as u64);
        node.input(Input::Gossip { from: alice.peer, id, bytes });
        assert_eq!(node.others.pop(), Some(Output::Verdict { id, verdict: expected }), "case {number}");
    }
}

/// Those who are connected to a signer know its presence before gossip brings it; the others hear of it only through
/// them.
#[test]
fn gossip_of_a_presence_that_came_another_way_is_passed_on_once() {
    let (mut node, mut alice) = (TestNode::new(), ScriptedPeer::new(1));
    let (old, new) = (alice.presence(alice.peer, WALL), alice.presence(alice.peer, WALL + 1));
    let mut forged = new.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    node.input(Input::Connected(alice.peer));
    node.hear(&alice, new.clone());
    let cases: [(Bytes, Verdict); 4] = [
        (old, Verdict::Ignore),
        (forged.into(), Verdict::Ignore),
        (new.clone(), Verdict::Accept),
        (new, Verdict::Ignore),
    ];
    for (number, (bytes, expected)) in cases.into_iter().enumerate() {
        let id = nelumbo_core::api::GossipId(number as u64);
        node.refuses(Refusal::Duplicate, |node| node.input(Input::Gossip { from: alice.peer, id, bytes }));
        assert_eq!(node.others.pop(), Some(Output::Verdict { id, verdict: expected }), "case {number}");
    }
}

#[test]
fn an_answer_that_overtakes_the_announcement_is_kept_for_it() {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.meet(&mut bob);
    let definition = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
    let session = definition.id();
    let nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(session, 1, Content::Join { nonces: vec![nonce] });
    node.hear(&bob, bytes.clone());
    node.refuses(Refusal::Duplicate, |node| node.hear(&bob, bytes));
    let nonce = alice.nonce(&definition, 1);
    let bytes = alice.say(session, 1, announcement(&definition, nonce));
    node.hear(&alice, bytes);
    assert_eq!(phase(&node, session), Phase::Announced);
    node.command(approve(session)).unwrap();
    assert_eq!(phase(&node, session), Phase::PartialSignatureExchange);
}

#[test]
fn early_messages_are_bounded_and_forgotten() {
    let mut config = Config::new(Network::Regtest);
    config.limits.early = 8;
    config.limits.early_per_author = 4;
    let mut node = TestNode::with(config, Vec::new(), 1);
    let mut peers: Vec<ScriptedPeer> = (1..=3).map(ScriptedPeer::new).collect();
    peers.iter_mut().for_each(|scripted| node.meet(scripted));
    let mut poke = |node: &mut TestNode, scripted: usize, session: u8| {
        let abort = Content::Abort { reason: AbortReason::Closed };
        let bytes = peers[scripted].say(SessionId::from_bytes([session; 32]), 1, abort);
        node.hear(&peers[scripted], bytes);
    };
    for session in 0..4 {
        poke(&mut node, 0, session);
        poke(&mut node, 1, session);
    }
    node.refuses(Refusal::Full, |node| poke(node, 0, 4));
    let before = node.node.view().refusals().total();
    poke(&mut node, 2, 4);
    poke(&mut node, 2, 5);
    assert_eq!(node.node.view().refusals().total(), before, "whoever has the most makes room");
    node.refuses(Refusal::Full, |node| poke(node, 2, 6));
    node.wait(61_000);
    let before = node.node.view().refusals().total();
    poke(&mut node, 2, 6);
    assert_eq!(node.node.view().refusals().total(), before, "there is room again");
}

#[test]
fn nothing_is_said_before_the_record_is_durable() {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.meet(&mut bob);
    node.sent.clear();
    node.syncs = false;
    let definition = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
    let nonce = alice.nonce(&definition, 1);
    let bytes = alice.say(definition.id(), 1, announcement(&definition, nonce));
    node.hear(&alice, bytes);
    node.command(approve(definition.id())).unwrap();
    assert!(node.sent.is_empty(), "the nonce waits for the record of its attempt");
    let opened = node.last_record;
    let nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![nonce] });
    node.hear(&bob, bytes);
    assert!(node.last_record == opened && node.sent.is_empty(), "it has not even been drawn");
    node.input(Input::Persisted(opened));
    let steps = node.steps_to(&alice);
    assert!(matches!(steps[..], [SessionMessage { content: Content::Join { .. }, .. }]), "{steps:?}");
    let spent = node.last_record;
    assert!(spent > opened, "all nonces are here, so that it is spent");
    node.input(Input::Persisted(spent));
    let steps = node.steps_to(&alice);
    assert!(matches!(steps[..], [SessionMessage { content: Content::Partial { .. }, .. }]), "{steps:?}");
}

#[test]
fn an_attempt_that_was_opened_is_never_opened_again() {
    let (node, _, _, definition, first) = joined();
    let records: Vec<_> = node.records.clone().into_iter().collect();
    assert_eq!(records.len(), 2, "what the session is, and how far it has come");
    let mut restarted = TestNode::with(Config::new(Network::Regtest), records, 2);
    let (mut alice, mut bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    restarted.meet(&mut alice);
    assert!(restarted.steps_to(&alice).is_empty(), "no nonce is drawn while bob is away");
    restarted.meet(&mut bob);
    let steps = restarted.steps_to(&alice);
    let attempts: Vec<u32> = steps.iter().map(|step| step.attempt).collect();
    assert!(!attempts.is_empty() && attempts.iter().all(|attempt| *attempt == 2), "{attempts:?}");
    assert_ne!(nonce_in(&steps), nonce_in(&first));
    assert_eq!(restarted.node.view().session(&definition.id()).unwrap().attempt, 2);
}

#[test]
fn a_restarted_signer_waits_for_all_others_and_in_the_end_for_one() {
    let (node, _, _, definition, _) = joined();
    let records: Vec<_> = node.records.clone().into_iter().collect();
    let mut restarted = TestNode::with(Config::new(Network::Regtest), records, 2);
    let attempt = |node: &TestNode| node.node.view().session(&definition.id()).unwrap().attempt;
    for _ in 0..60 {
        restarted.wait(1_000);
    }
    assert_eq!(attempt(&restarted), 1, "there is nobody to sign with");
    let mut alice = ScriptedPeer::new(1);
    restarted.meet(&mut alice);
    assert_eq!(attempt(&restarted), 2, "alice may have messages for bob, and long enough has been waited");
}

#[test]
fn attempts_are_bounded_for_whoever_asks_for_them() {
    let (mut node, mut alice, _bob, definition, _) = joined();
    let session = definition.id();
    for attempt in 2..=16 {
        let nonce = alice.nonce(&definition, attempt);
        let bytes = alice.say_at(session, attempt, 1, announcement(&definition, nonce));
        node.hear(&alice, bytes);
        assert_eq!(node.node.view().session(&session).unwrap().attempt, attempt);
    }
    let nonce = nonce_in(&node.steps_to(&alice));
    for attempt in [0, 17, u32::MAX] {
        node.refuses(Refusal::Attempt, |node| {
            let bytes = alice.say_at(session, attempt, 1, announcement(&definition, nonce));
            node.hear(&alice, bytes);
        });
    }
    assert_eq!(node.node.view().session(&session).unwrap().attempt, 16);
}

#[test]
fn whoever_still_works_on_an_ended_session_is_told_how_it_ended() {
    let (mut node, mut alice, bob, definition, _) = joined();
    let session = definition.id();
    node.command(Command::Abort(session, AbortReason::Declined)).unwrap();
    assert!(node.command(approve(session)).is_err());
    node.steps_to(&alice);
    node.steps_to(&bob);
    node.refuses(Refusal::Ended, |node| {
        let nonce = alice.nonce(&definition, 2);
        let bytes = alice.say_at(session, 2, 1, announcement(&definition, nonce));
        node.hear(&alice, bytes);
    });
    let steps = node.steps_to(&alice);
    assert!(matches!(steps[..], [SessionMessage { content: Content::Abort { .. }, .. }]), "{steps:?}");
    node.command(Command::Close(session)).unwrap();
    assert_eq!(node.node.view().sessions().len(), 0);
    assert_eq!(node.records.len(), 1, "that it was closed is remembered");
    let nonce = alice.nonce(&definition, 3);
    node.refuses(Refusal::Ended, |node| {
        let bytes = alice.say_at(session, 1, 9, announcement(&definition, nonce));
        node.hear(&alice, bytes);
    });
}
