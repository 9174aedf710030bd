//! Failures of sessions: messages early, late, twice, lost, in every order, and events that came too soon or too often.

use nelumbo_core::api::{Command, Event, Input, Phase, Refusal};
use nelumbo_core::base::Bytes;
use nelumbo_core::wire::Content;

use crate::common::approve;

use super::{Group, is_nonce, peer, step};

/// A few numbers that look like chance.
fn draw(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % below
}

#[test]
fn failures_7_and_8_there_is_one_record_of_a_session_in_every_state() {
    let mut group = Group::new(3);
    let session = group.create(0, group.keys.clone());
    loop {
        for node in &group.nodes {
            let all: Vec<_> = node.view().sessions().collect();
            assert_eq!(all.first().cloned(), node.view().session(&session), "by its id and in the list");
            assert!(all.len() <= 1, "{all:?}");
        }
        if group.flight.is_empty() {
            break;
        }
        group.deliver(0);
    }
    assert_eq!(group.look(2, session).phase, Phase::Complete);
}

#[test]
fn failures_10_and_18_whoever_starts_last_has_lost_nothing_and_finishes_at_once() {
    let mut group = Group::new(3);
    group.approves = false;
    let session = group.create(0, group.keys.clone());
    let place =
        |group: &Group, to| group.flight.iter().position(|(_, receiver, _)| *receiver == to).expect("it is sent");
    let to_second = place(&group, 1);
    group.deliver(to_second);
    group.command(1, approve(session));
    // The third one hears the announcement and the second one's nonce before its owner has looked at anything.
    group.deliver_all();
    let seen = group.look(2, session);
    assert_eq!((seen.phase, seen.joined.iter().filter(|joined| **joined).count()), (Phase::Announced, 2));
    group.command(2, approve(session));
    assert_eq!(group.look(2, session).phase, Phase::PartialSignatureExchange, "in the step of the command");
    group.deliver_all();
    assert!((0..3).all(|index| group.look(index, session).phase == Phase::Complete));
}

#[test]
fn failure_11_a_nonce_makes_no_session_and_is_there_when_the_session_is() {
    let mut group = Group::new(3);
    let session = group.create(0, group.keys.clone());
    let to_second = group.flight.iter().position(|(_, to, _)| *to == 1).expect("it is announced");
    group.deliver(to_second);
    // Now the second one's nonce overtakes the announcement on its way to the third.
    let overtaker = group.flight.iter().position(|(from, to, _)| (*from, *to) == (1, 2)).expect("it has joined");
    group.deliver(overtaker);
    assert!(group.nodes[2].view().session(&session).is_none(), "a session comes from its announcement alone");
    group.deliver_all();
    assert!((0..3).all(|index| group.look(index, session).phase == Phase::Complete));
}

#[test]
fn failures_12_and_b_what_is_lost_is_sent_again_the_creator_s_part_as_well() {
    for lost in 0..12 {
        let mut group = Group::new(3);
        let session = group.create(0, group.keys.clone());
        let mut sent = 0;
        while !group.flight.is_empty() {
            if sent == lost {
                group.flight.remove(0);
            } else {
                group.deliver(0);
            }
            sent += 1;
        }
        for _ in 0..20 {
            group.wait(1_000);
            group.deliver_all();
        }
        assert!((0..3).all(|index| group.look(index, session).phase == Phase::Complete), "message {lost}");
        assert_eq!(group.look(0, session).attempt, 1, "message {lost} costs no attempt");
    }
}

#[test]
fn failures_13_and_16_every_order_ends_alike_for_creator_and_joiners() {
    for seed in 0..30 {
        let (mut group, mut state) = (Group::new(3), seed);
        let session = group.create(0, group.keys.clone());
        while !group.flight.is_empty() {
            let place = draw(&mut state, group.flight.len());
            group.deliver(place);
        }
        let end = group.look(0, session);
        assert_eq!(end.phase, Phase::Complete, "seed {seed}");
        assert!((1..3).all(|index| group.look(index, session) == end), "seed {seed}");
    }
}

#[test]
fn failure_14_a_node_s_own_message_that_comes_back_changes_nothing() {
    let mut group = Group::new(3);
    group.create(0, group.keys.clone());
    while let Some((from, to, bytes)) = group.flight.first().cloned() {
        let before = group.nodes[from].view().fingerprint();
        let echoes = group.nodes[from].view().refusals().get(Refusal::Echo);
        group.input(from, Input::Received { from: peer(to), bytes });
        assert_eq!(group.nodes[from].view().refusals().get(Refusal::Echo), echoes + 1);
        assert_eq!(group.nodes[from].view().fingerprint(), before);
        group.deliver(0);
    }
}

#[test]
fn failure_15_every_event_is_told_once_however_often_its_cause_arrives() {
    let mut group = Group::new(3);
    let session = group.create(0, group.keys.clone());
    let mut everything: Vec<(usize, usize, Bytes)> = Vec::new();
    while let Some(first) = group.flight.first().cloned() {
        everything.push(first);
        group.deliver(0);
        // All that has ever been said, again.
        for (from, to, bytes) in &everything {
            group.input(*to, Input::Received { from: peer(*from), bytes: bytes.clone() });
        }
    }
    for index in 0..3 {
        let told = group.told(index);
        let repeated: Vec<_> = told.iter().filter(|(_, times)| **times > 1).collect();
        assert!(repeated.is_empty(), "{repeated:?}");
        assert_eq!(told.keys().filter(|event| event.starts_with("SessionCompleted")).count(), 1);
    }
    // And a command that is repeated has no second effect.
    group.command(0, Command::ConfirmBroadcast(session));
    let said = group.flight.len();
    group.command(0, Command::ConfirmBroadcast(session));
    assert_eq!(group.flight.len(), said);
}

#[test]
fn failures_16_and_17_an_event_is_seen_after_its_transition_and_its_command_works() {
    // The owners of this group join inside of the event; `Group` panics when the command is refused.
    let mut group = Group::new(3);
    group.create(0, group.keys.clone());
    group.deliver_all();
    let mut seen = 0;
    for (_, event, shown) in &group.events {
        let shown = *shown;
        match event {
            Event::SessionAnnounced { .. } => assert_eq!(shown, Some(Phase::Announced)),
            Event::SessionCreated { .. } => assert!(shown.is_some(), "it exists"),
            Event::PhaseChanged { phase, .. } => assert!(shown >= Some(*phase), "{phase:?} and {shown:?}"),
            Event::SessionCompleted { .. } => assert_eq!(shown, Some(Phase::Complete)),
            _ => continue,
        }
        seen += 1;
    }
    assert_eq!(seen, 1 + 2 + 3 * 3 + 3);
}

#[test]
fn failure_25_an_undisturbed_session_is_two_messages_of_each_signer_to_each_other() {
    let mut group = Group::new(4);
    let session = group.create(0, group.keys.clone());
    let (mut nonces, mut partials) = (0, 0);
    while let Some((_, _, bytes)) = group.flight.first().cloned() {
        let content = step(&bytes).expect("nothing else is said").content;
        nonces += usize::from(is_nonce(&bytes));
        partials += usize::from(matches!(content, Content::Partial { .. }));
        group.deliver(0);
    }
    assert_eq!((nonces, partials), (4 * 3, 4 * 3));
    assert_eq!(group.look(3, session).phase, Phase::Complete);
}

#[test]
fn a_confirmation_reaches_whoever_was_away_and_nobody_broadcasts_again() {
    let mut group = Group::new(3);
    let session = group.create(0, group.keys.clone());
    group.deliver_all();
    let is_due = |(_, event, _): &&(usize, Event, Option<Phase>)| matches!(event, Event::ShouldBroadcast { .. });
    let coordinator = group.events.iter().find(is_due).expect("it is somebody's turn").0;
    let away = (coordinator + 1) % 3;
    for (one, other) in [(coordinator, away), (away, coordinator)] {
        group.input(one, Input::Disconnected(peer(other)));
    }
    group.command(coordinator, Command::ConfirmBroadcast(session));
    group.deliver_all();
    assert_eq!(group.look(away, session).coordinator, Some(group.keys[coordinator]), "it has not heard of it");
    for (one, other) in [(coordinator, away), (away, coordinator)] {
        group.input(one, Input::Connected(peer(other)));
    }
    group.deliver_all();
    assert_eq!(group.look(away, session).coordinator, None);
    (0..20).for_each(|_| group.wait(60_000));
    assert_eq!(group.events.iter().filter(is_due).count(), 1, "one turn was enough");
}
