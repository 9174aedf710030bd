//! Sessions that end without a signature after this node has signed: one may have come of it all the same.

use nelumbo_core::api::{Command, CommandError, Config, Event, Input, Phase, Refusal};
use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::{Network, Signature};
use nelumbo_core::wire::{AbortReason, Content, Definition, SessionId};

use crate::common::{HOUR, ScriptedPeer, Signed, TestNode, all_signed, completed, joined, phase};

/// All have signed, the others' partial signatures have not arrived, and alice has the signature.
struct Signing {
    node: TestNode,
    alice: ScriptedPeer,
    bob: ScriptedPeer,
    definition: Definition,
    signature: Signature,
}

fn signing() -> Signing {
    let signed = all_signed();
    let signature = signed.combine();
    let Signed { mut node, alice, bob, definition, .. } = signed;
    node.sent.clear();
    node.events.clear();
    Signing { node, alice, bob, definition, signature }
}

impl Signing {
    fn session(&self) -> SessionId {
        self.definition.id()
    }

    fn finalized(&mut self) -> Bytes {
        let (session, signature) = (self.session(), self.signature);
        self.alice.say(session, 1, Content::Finalized { signatures: vec![signature] })
    }

    /// The node dies, and starts again after so many milliseconds.
    fn restart(&mut self, millis: u64) {
        let time = self.node.time;
        self.node = TestNode::with(Config::new(Network::Regtest), self.node.records.clone().into_iter().collect(), 2);
        self.node.time = time;
        self.node.wait(millis);
        self.node.meet(&mut self.alice);
        self.node.meet(&mut self.bob);
    }

    /// The signature arrives, and is told; whether the node is asked to broadcast at once or in its turn.
    fn completes(&mut self) -> bool {
        let (session, signature) = (self.session(), self.signature);
        let bytes = self.finalized();
        self.node.events.clear();
        self.node.hear(&self.alice, bytes);
        let told = |event: &Event| {
            matches!(event, Event::SessionCompleted { session: id, signatures: told, .. }
            if *id == session && told[..] == [signature])
        };
        assert_eq!(self.node.events.iter().filter(|event| told(event)).count(), 1, "{:?}", self.node.events);
        let view = self.node.node.view().session(&session).expect("it can be looked at");
        assert_eq!((view.phase, view.signatures, view.may_complete), (Phase::Complete, vec![signature], false));
        self.node.wait(HOUR);
        self.node.events.contains(&Event::ShouldBroadcast { session })
    }

    fn questions(&mut self) -> usize {
        let (to_alice, to_bob) = (self.node.steps_to(&self.alice), self.node.steps_to(&self.bob));
        let is_question = |step: &&nelumbo_core::wire::SessionMessage| matches!(step.content, Content::Status { .. });
        let [of_alice, of_bob] = [to_alice, to_bob].map(|steps| steps.iter().filter(is_question).count());
        assert_eq!(of_alice, of_bob);
        of_alice
    }
}

#[test]
fn a_signature_that_comes_after_the_own_refusal_is_taken_and_told() {
    // E4
    for closes in [false, true] {
        let mut signing = signing();
        let session = signing.session();
        let command = if closes { Command::Close(session) } else { Command::Abort(session, AbortReason::Left) };
        signing.node.command(command).unwrap();
        let (by, reason) = (signing.node.key, if closes { AbortReason::Closed } else { AbortReason::Left });
        let aborted = Event::SessionAborted { session, by, reason, may_complete: true };
        assert!(signing.node.events.contains(&aborted), "{:?}", signing.node.events);
        assert!(signing.node.node.view().may_complete(&session), "and so does what answers the command");
        assert!(!signing.completes(), "whoever has refused it does not broadcast it");
        signing.restart(0);
        signing.node.wait(HOUR);
        assert!(!signing.node.events.contains(&Event::ShouldBroadcast { session }), "not after a restart either");
    }
}

#[test]
fn what_was_closed_is_gone_but_for_its_signature() {
    // E6
    let mut signing = signing();
    let session = signing.session();
    signing.node.command(Command::Close(session)).unwrap();
    assert!(signing.node.events.contains(&Event::SessionClosed { session }));
    for again in [false, true] {
        assert!(signing.node.node.view().session(&session).is_none(), "after a restart: {again}");
        assert_eq!(signing.node.node.view().sessions().len(), 0);
        let unknown = Err(CommandError::UnknownSession(session));
        assert_eq!(signing.node.command(Command::Close(session)), unknown);
        assert_eq!(signing.node.command(Command::Retry(session)), unknown);
        signing.restart(0);
    }
    signing.completes();
}

#[test]
fn a_signature_that_comes_after_the_refusal_of_another_is_taken_and_told_and_broadcast() {
    // E2, E4
    let mut signing = signing();
    let (session, by, reason) = (signing.session(), signing.bob.key(), AbortReason::Left);
    let bytes = signing.bob.say(session, 1, Content::Abort { reason });
    signing.node.hear(&signing.bob, bytes);
    assert!(signing.node.events.contains(&Event::SessionAborted { session, by, reason, may_complete: true }));
    signing.restart(0);
    assert_eq!(phase(&signing.node, session), Phase::Aborted);
    assert!(signing.completes());
}

#[test]
fn a_signature_that_comes_after_the_time_is_taken_and_told_until_a_day_later() {
    // E3, E5
    for (restarts, late) in [(false, HOUR), (false, 24 * HOUR), (true, HOUR), (true, 24 * HOUR)] {
        let mut signing = signing();
        let session = signing.session();
        signing.node.wait(HOUR + HOUR / 6);
        let expired = Event::SessionExpired { session, may_complete: true };
        assert!(signing.node.events.contains(&expired), "{:?}", signing.node.events);
        if restarts {
            signing.restart(late - HOUR / 6 - 1_000);
        } else {
            signing.node.wait(late - HOUR / 6 - 1_000);
        }
        assert_eq!(phase(&signing.node, session), Phase::Expired);
        assert!(signing.completes());
    }
    let mut signing = signing();
    signing.node.wait(HOUR + HOUR / 6);
    signing.node.wait(25 * HOUR);
    assert_eq!((signing.node.node.view().sessions().len(), signing.node.records.len()), (0, 0), "then it is forgotten");
}

#[test]
fn whoever_has_signed_and_given_up_asks_for_the_signature() {
    // R6
    let mut signing = signing();
    let session = signing.session();
    signing.node.command(Command::Abort(session, AbortReason::Left)).unwrap();
    assert_eq!(signing.questions(), 0);
    for again in [false, true] {
        signing.node.input(Input::Disconnected(signing.alice.peer));
        signing.node.input(Input::Connected(signing.alice.peer));
        let steps = signing.node.steps_to(&signing.alice);
        let asks = steps.iter().filter(|step| matches!(step.content, Content::Status { .. })).count();
        assert_eq!(asks, 1, "whoever comes within reach is asked; after a restart: {again}");
        signing.restart(0);
        signing.node.sent.clear();
    }
    // After 2, 4, 8, … 512 seconds, and not for ever.
    for _ in 0..12 * 60 * 60 {
        signing.node.wait(1_000);
    }
    assert_eq!(signing.questions(), 9);
    signing.completes();
    assert_eq!(signing.questions(), 0);
}

#[test]
fn a_signature_that_is_none_is_refused_after_the_end_too_and_its_author_named() {
    let mut signing = signing();
    let session = signing.session();
    signing.node.command(Command::Abort(session, AbortReason::Left)).unwrap();
    let mut bytes = *signing.signature.as_bytes();
    bytes[63] ^= 1;
    let bytes = signing.alice.say(session, 1, Content::Finalized { signatures: vec![Signature::from_bytes(bytes)] });
    signing.node.refuses(Refusal::FinalSignature, |node| node.hear(&signing.alice, bytes));
    let named =
        |event: &Event| matches!(event, Event::SignerMisbehaved { signer, .. } if *signer == signing.alice.key());
    assert!(signing.node.events.iter().any(named));
    assert_eq!(phase(&signing.node, session), Phase::Aborted);
    signing.completes();
}

#[test]
fn without_a_nonce_that_has_signed_a_refusal_is_final() {
    let signature = signing().signature;
    let (mut node, mut alice, _, definition, _) = joined();
    let session = definition.id();
    node.command(Command::Abort(session, AbortReason::Left)).unwrap();
    let (by, reason) = (node.key, AbortReason::Left);
    assert!(node.events.contains(&Event::SessionAborted { session, by, reason, may_complete: false }));
    node.wait(HOUR / 2);
    let asks = node.steps_to(&alice).iter().filter(|step| matches!(step.content, Content::Status { .. })).count();
    assert_eq!(asks, 0, "there is nothing to ask for");
    let bytes = alice.say(session, 1, Content::Finalized { signatures: vec![signature] });
    node.sent.clear();
    node.refuses(Refusal::Ended, |node| node.hear(&alice, bytes));
    assert_eq!(phase(&node, session), Phase::Aborted);
    assert!(node.steps_to(&alice).is_empty(), "who knows an end is told of none");
}

#[test]
fn an_attempt_that_was_signed_counts_when_another_one_is_given_up() {
    let mut signing = signing();
    let session = signing.session();
    let nonce = signing.alice.nonce(&signing.definition, 2);
    let announce = Content::Announce { definition: signing.definition.clone().into(), nonces: vec![nonce] };
    let bytes = signing.alice.say_at(session, 2, 1, announce);
    signing.node.hear(&signing.alice, bytes);
    assert_eq!(signing.node.node.view().session(&session).unwrap().attempt, 2);
    for _ in 0..2 {
        signing.node.command(Command::Abort(session, AbortReason::Left)).ok();
        assert!(signing.node.node.view().may_complete(&session), "attempt 1 was signed");
        signing.restart(0);
    }
    let bytes = signing.alice.say_at(session, 2, 2, Content::Finalized { signatures: vec![signing.signature] });
    signing.node.hear(&signing.alice, bytes);
    assert_eq!(phase(&signing.node, session), Phase::Complete);
}

#[test]
fn what_was_seen_of_a_signer_outlasts_a_restart() {
    let (node, alice, bob, _) = completed();
    let seen = |node: &TestNode, signer: &ScriptedPeer| node.node.view().reputation(&signer.key());
    assert_eq!((seen(&node, &alice), seen(&node, &bob)), (52, 52));
    let records: Vec<_> = node.records.into_iter().collect();
    let again = TestNode::with(Config::new(Network::Regtest), records.clone(), 2);
    assert_eq!((seen(&again, &alice), seen(&again, &bob)), (52, 52));
    // There is no more room than before, and who goes is forgotten on the disk too.
    let mut config = Config::new(Network::Regtest);
    config.limits.reputations = 1;
    let small = TestNode::with(config, records, 3);
    assert_eq!([&alice, &bob].map(|signer| seen(&small, signer)).iter().filter(|seen| **seen == 52).count(), 1);
}
