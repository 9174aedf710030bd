//! What the node asks of its own signer, and what comes of answers that are late, wrong, missing or repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nelumbo_core::api::{
    AttemptFailure, Command, CommandError, Config, Event, Input, NewSession, Output, Phase, SignReply, SignRequest,
    SignerTask,
};
use nelumbo_core::approval::{Summary, Unusual};
use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    MessageKey, MessageSigner, Network, NonceSlot, PartialSignature, PublicKey, PublicNonce, Secp256k1, SecretKey,
    Signature, SignerError, SoftwareSigner, Suite,
};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{AbortReason, Content, Definition, PeerId, SessionId};
use nelumbo_core::{Policy, Review};

use crate::common::{HOUR, NODE, ScriptedPeer, TestNode, approve, definition, nonce_in, now, partial_in, phase};

const SECOND: u64 = 1000;

/// The node with a signer that answers when the test says so, and two peers; alice has asked for a session.
pub(crate) struct Scene {
    pub(crate) node: TestNode,
    signer: SoftwareSigner,
    pub(crate) alice: ScriptedPeer,
    pub(crate) bob: ScriptedPeer,
    pub(crate) definition: Definition,
    of_alice: PublicNonce,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(TestNode::new())
    }

    pub(crate) fn with(mut node: TestNode) -> Self {
        let signer = node.signer.take().expect("nobody has taken it");
        let (mut alice, mut bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
        node.meet(&mut alice);
        node.meet(&mut bob);
        let definition = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
        let of_alice = alice.nonce(&definition, 1);
        let mut scene = Self { node, signer, alice, bob, definition, of_alice };
        let announce = Content::Announce { definition: scene.definition.clone().into(), nonces: vec![of_alice] };
        let bytes = scene.alice.say(scene.id(), 1, announce);
        scene.node.hear(&scene.alice, bytes);
        scene
    }

    pub(crate) fn id(&self) -> SessionId {
        self.definition.id()
    }

    pub(crate) fn slot(&self, attempt: u32) -> NonceSlot {
        NonceSlot { session: *self.id().as_bytes(), attempt }
    }

    pub(crate) fn owes(&self) -> Option<SignerTask> {
        self.node.node.view().session(&self.id()).expect("the session is known").signer_owes
    }

    /// The one request that has come since this was last asked.
    pub(crate) fn request(&mut self) -> SignRequest {
        let requests = std::mem::take(&mut self.node.requests);
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().expect("one")
    }

    /// What the signer answers, which is not given to the node.
    pub(crate) fn reply(&mut self, request: &SignRequest) -> SignReply {
        self.node.node.view().answer(&mut self.signer, request).expect("it has a reply")
    }

    pub(crate) fn give(&mut self, reply: SignReply) {
        self.node.input(Input::Signed(reply));
    }

    fn answer(&mut self) {
        let request = self.request();
        let reply = self.reply(&request);
        self.give(reply);
    }

    /// Bob joins; alice's nonce is here already, if the attempt is the first.
    pub(crate) fn others_join(&mut self, attempt: u32) -> Vec<PublicNonce> {
        let mut of_others = Vec::new();
        for peer in [&mut self.alice, &mut self.bob] {
            let is_alice = peer.key() == *self.definition.creator_key();
            let nonce = if is_alice && attempt == 1 { self.of_alice } else { peer.nonce(&self.definition, attempt) };
            of_others.push((peer.key(), nonce));
            if !is_alice || attempt > 1 {
                let definition = self.definition.clone().into();
                let content = if is_alice {
                    Content::Announce { definition, nonces: vec![nonce] }
                } else {
                    Content::Join { nonces: vec![nonce] }
                };
                let bytes = peer.say_at(self.definition.id(), attempt, 1, content);
                self.node.hear(peer, bytes);
            }
        }
        let steps = self.node.steps_to(&self.alice);
        of_others.push((self.node.key, nonce_in(&steps)));
        of_others.sort_unstable();
        of_others.into_iter().map(|(_, nonce)| nonce).collect()
    }

    /// The others sign over these nonces, and what they make completes the session.
    pub(crate) fn others_sign(&mut self, attempt: u32, nonces: &[PublicNonce], hash: [u8; 32]) {
        for peer in [&mut self.alice, &mut self.bob] {
            let partial = peer.sign(&self.definition, attempt, nonces);
            let content = Content::Partial { nonces: hash, partials: vec![partial] };
            let bytes = peer.say_at(self.definition.id(), attempt, 2, content);
            self.node.hear(peer, bytes);
        }
        assert_eq!(phase(&self.node, self.definition.id()), Phase::Complete);
    }

    pub(crate) fn failures(&self) -> Vec<AttemptFailure> {
        let failure = |event: &Event| match event {
            Event::AttemptFailed { failure, .. } => Some(failure.clone()),
            _ => None,
        };
        self.node.events.iter().filter_map(failure).collect()
    }

    /// Takes an attempt from its nonces to the signature, with a signer that works.
    pub(crate) fn completes(&mut self, attempt: u32) {
        self.answer();
        let nonces = self.others_join(attempt);
        self.answer();
        let (_, hash) = partial_in(&self.node.steps_to(&self.bob));
        self.others_sign(attempt, &nonces, hash);
    }
}

#[test]
fn the_signer_is_asked_behind_the_records_and_what_it_answers_goes_to_all() {
    // S8, S13, S11, S14
    let mut scene = Scene::new();
    scene.node.syncs = false;
    scene.node.command(approve(scene.id())).unwrap();
    assert_eq!((phase(&scene.node, scene.id()), scene.owes()), (Phase::NonceExchange, Some(SignerTask::Nonces)));
    assert!(scene.node.requests.is_empty(), "the attempt is not durable");
    let recorded = scene.node.last_record;
    scene.node.input(Input::Persisted(recorded));
    let request = scene.request();
    let (slot, definition) = (scene.slot(1), Arc::new(scene.definition.clone()));
    assert_eq!(request, SignRequest::Nonces { slot, definition });
    assert!(scene.node.steps_to(&scene.alice).is_empty(), "there is no nonce to show");
    let reply = scene.reply(&request);
    let SignReply::Nonces { nonces: Ok(drawn), .. } = &reply else { panic!("{reply:?}") };
    let drawn = drawn[0];
    scene.give(reply);
    assert_eq!(scene.owes(), None);
    let nonces = scene.others_join(1);
    assert!(nonces.contains(&drawn));

    assert_eq!(phase(&scene.node, scene.id()), Phase::PartialSignatureExchange);
    assert_eq!(scene.owes(), Some(SignerTask::Partials));
    assert!(scene.node.requests.is_empty(), "that the nonce is spent is not durable");
    assert!(scene.node.last_record > recorded);
    scene.node.input(Input::Persisted(scene.node.last_record));
    let request = scene.request();
    assert_eq!(request, SignRequest::Partials { slot, nonces: vec![nonces.clone()] });
    let reply = scene.reply(&request);
    scene.give(reply);
    let (_, hash) = partial_in(&scene.node.steps_to(&scene.bob));
    scene.node.syncs = true;
    scene.others_sign(1, &nonces, hash);
    assert!(scene.node.requests.is_empty(), "what has signed is not forgotten");
}

#[test]
fn what_the_signer_answers_a_second_time_changes_nothing() {
    let mut scene = Scene::new();
    scene.node.command(approve(scene.id())).unwrap();
    let request = scene.request();
    let reply = scene.reply(&request);
    assert_eq!(scene.reply(&request), reply, "the same request has the same answer");
    scene.give(reply.clone());
    let nonces = scene.others_join(1);
    scene.give(reply.clone());
    let request = scene.request();
    let signed = scene.reply(&request);
    assert_eq!(scene.reply(&request), signed, "also after it has signed");
    scene.give(signed.clone());
    let (_, hash) = partial_in(&scene.node.steps_to(&scene.bob));
    let before = scene.node.sent.len();
    scene.give(signed.clone());
    scene.give(reply.clone());
    assert_eq!((scene.node.sent.len(), scene.node.requests.len()), (before, 0), "nothing is said, nothing forgotten");
    scene.others_sign(1, &nonces, hash);
    scene.give(signed);
    assert!(scene.node.requests.is_empty());
}

#[test]
fn nonces_that_come_too_late_are_wiped() {
    // S9
    let mut scene = Scene::new();
    scene.node.command(approve(scene.id())).unwrap();
    let late = scene.request();
    let nonce = scene.alice.nonce(&scene.definition, 2);
    let announce = Content::Announce { definition: scene.definition.clone().into(), nonces: vec![nonce] };
    let bytes = scene.alice.say_at(scene.id(), 2, 1, announce);
    scene.node.hear(&scene.alice, bytes);
    let (first, second) = (scene.slot(1), scene.slot(2));
    let definition = Arc::new(scene.definition.clone());
    let expected = [SignRequest::Forget(first), SignRequest::Nonces { slot: second, definition }];
    assert_eq!(scene.node.requests, expected, "in this order");
    scene.node.requests.remove(0);
    // The signer was slow, and answers the first request after it was told to forget it.
    let reply = scene.reply(&late);
    scene.give(reply);
    assert_eq!(scene.node.requests.pop(), Some(SignRequest::Forget(first)), "so it is told again");
    assert_eq!(scene.owes(), Some(SignerTask::Nonces), "and the second attempt still waits for its own");
    scene.answer();
    assert_eq!(scene.owes(), None);

    // The same when there is nothing left that they could be for.
    let forgotten = SignReply::Nonces { slot: NonceSlot { session: [9; 32], attempt: 1 }, nonces: Ok(vec![nonce]) };
    scene.give(forgotten.clone());
    assert_eq!(scene.request(), SignRequest::Forget(forgotten.slot().expect("it is of a session")));
    scene.node.command(Command::Abort(scene.id(), AbortReason::Left)).unwrap();
    assert_eq!(scene.request(), SignRequest::Forget(second), "what is open dies with the session");
    scene.give(SignReply::Nonces { slot: second, nonces: Ok(vec![nonce]) });
    assert_eq!(scene.request(), SignRequest::Forget(second));
    scene.give(SignReply::Nonces { slot: second, nonces: Err(SignerError::Declined) });
    scene.give(SignReply::Partials { slot: second, partials: Ok(Vec::new()) });
    assert_eq!((phase(&scene.node, scene.id()), scene.node.requests.len()), (Phase::Aborted, 0));
}

#[test]
fn a_signer_that_fails_is_a_failed_attempt_that_is_told_and_the_next_one_works() {
    // S7
    let errors = [SignerError::Unavailable, SignerError::TooManyNonces, SignerError::SlotServed, SignerError::NoNonce];
    for error in errors {
        let mut scene = Scene::new();
        scene.node.command(approve(scene.id())).unwrap();
        let failed = scene.request().failed(error).expect("it has a reply");
        scene.give(failed);
        assert_eq!(scene.failures(), [AttemptFailure::Signer(error)]);
        assert_eq!(phase(&scene.node, scene.id()), Phase::Failed);
        assert_eq!(scene.request(), SignRequest::Forget(scene.slot(1)));
        scene.node.command(approve(scene.id())).expect("it is approved already");
        scene.node.wait(4 * SECOND);
        assert_eq!(scene.node.node.view().session(&scene.id()).unwrap().attempt, 2, "{error:?} passes by itself");
        scene.completes(2);
    }
    for error in [SignerError::Declined, SignerError::NotASigner, SignerError::RoundMismatch] {
        let mut scene = Scene::new();
        scene.node.command(approve(scene.id())).unwrap();
        let failed = scene.request().failed(error).expect("it has a reply");
        scene.give(failed);
        assert_eq!(scene.failures(), [AttemptFailure::Signer(error)]);
        scene.node.requests.clear();
        scene.node.wait(60 * SECOND);
        assert_eq!(phase(&scene.node, scene.id()), Phase::Failed, "{error:?} does not pass by itself");
        scene.node.command(Command::Retry(scene.id())).unwrap();
        scene.completes(2);
    }
}

#[test]
fn an_answer_of_another_shape_is_a_failed_attempt() {
    for count in [0, 2] {
        let mut scene = Scene::new();
        scene.node.command(approve(scene.id())).unwrap();
        scene.node.requests.clear();
        let nonces = Ok(vec![scene.of_alice; count]);
        scene.give(SignReply::Nonces { slot: scene.slot(1), nonces });
        assert_eq!(scene.failures(), [AttemptFailure::Signer(SignerError::RoundMismatch)]);

        let mut scene = Scene::new();
        scene.node.command(approve(scene.id())).unwrap();
        scene.answer();
        scene.others_join(1);
        scene.node.requests.clear();
        let partials = Ok(vec![PartialSignature::from_bytes([1; 32]); count]);
        scene.give(SignReply::Partials { slot: scene.slot(1), partials });
        assert_eq!(scene.failures(), [AttemptFailure::Signer(SignerError::RoundMismatch)]);
    }
}

/// Signs unless it is told not to.
struct Flaky(MessageKey, Arc<AtomicBool>);

impl MessageSigner for Flaky {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        if self.1.load(Relaxed) { Err(SignerError::Unavailable) } else { self.0.sign(digest) }
    }
}

struct Approves;

impl Policy for Approves {
    fn review(&mut self, _: &Definition, _: &Summary) -> Review {
        Review::Approve { allow: [Unusual::Opaque].into() }
    }
}

fn boot(fails: &Arc<AtomicBool>) -> Node {
    let (secret, entropy) = (SecretKey::from_bytes(&[NODE; 32]).unwrap(), Entropy::new([1; 32]).unwrap());
    let message_signer = Box::new(Flaky(MessageKey::new(secret, entropy.stream("messages")), fails.clone()));
    let peer = PeerId::from_bytes(&[NODE]).unwrap();
    let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer, records: Vec::new() };
    Node::new(Config::new(Network::Regtest), boot, now(0)).unwrap()
}

#[test]
fn a_message_that_cannot_be_signed_once_costs_an_attempt_and_no_session() {
    for is_policy in [false, true] {
        let fails = Arc::new(AtomicBool::new(is_policy));
        let mut node = TestNode::new();
        node.node = boot(&fails);
        if is_policy {
            node.node.set_policy(Box::new(Approves));
        }
        let mut scene = Scene::with(node);
        fails.store(true, Relaxed);
        if !is_policy {
            scene.node.command(approve(scene.id())).expect("it is approved, whatever comes of it");
        }
        scene.node.requests.retain(|request| *request != SignRequest::ForgetAll);
        scene.answer();
        assert_eq!(scene.failures(), [AttemptFailure::Signer(SignerError::Unavailable)]);
        assert_eq!(scene.request(), SignRequest::Forget(scene.slot(1)), "a nonce that nobody was shown");
        scene.node.command(approve(scene.id())).expect("approved once is approved");
        fails.store(false, Relaxed);
        if is_policy {
            scene.node.wait(4 * SECOND);
        } else {
            scene.node.command(Command::Retry(scene.id())).expect("an attempt has failed");
        }
        scene.completes(2);
    }
}

#[test]
fn a_signer_that_never_answers_holds_up_its_session_alone() {
    // R4
    let mut scene = Scene::new();
    scene.node.command(approve(scene.id())).unwrap();
    let awaited = |scene: &Scene| {
        let is_of = |event: &&Event| matches!(event, Event::SignerAwaited { session, .. } if *session == scene.id());
        scene.node.events.iter().filter(is_of).count()
    };
    assert_eq!(awaited(&scene), 0);
    scene.node.wait(2 * SECOND);
    let (session, task) = (scene.id(), SignerTask::Nonces);
    assert!(scene.node.events.contains(&Event::SignerAwaited { session, attempt: 1, task }));
    // Another session of the same signers, in which the signer answers at once.
    let other = Definition { nonce: [4; 32], ..scene.definition.clone() };
    let waiting = std::mem::replace(&mut scene.definition, other);
    scene.of_alice = scene.alice.nonce(&scene.definition, 1);
    let announce = Content::Announce { definition: scene.definition.clone().into(), nonces: vec![scene.of_alice] };
    let bytes = scene.alice.say_at(scene.id(), 1, 1, announce);
    scene.node.hear(&scene.alice, bytes);
    scene.node.requests.clear();
    scene.node.command(approve(scene.id())).unwrap();
    scene.completes(1);
    scene.definition = waiting;
    scene.node.wait(40 * 60 * SECOND);
    assert_eq!((phase(&scene.node, scene.id()), awaited(&scene)), (Phase::NonceExchange, 1), "told once, not given up");
    assert!(scene.failures().is_empty());
    scene.node.command(Command::Abort(scene.id(), AbortReason::Left)).unwrap();
    let aborts = scene.node.steps_to(&scene.bob);
    assert!(aborts.iter().any(|step| matches!(step.content, Content::Abort { .. })), "{aborts:?}");
}

#[test]
fn a_session_that_waits_for_a_person_expires_in_its_time() {
    let mut scene = Scene::new();
    scene.node.command(approve(scene.id())).unwrap();
    scene.node.requests.clear();
    scene.node.wait(HOUR + 25 * 60 * SECOND);
    assert!(scene.node.events.contains(&Event::SessionExpired { session: scene.id(), may_complete: false }));
    assert_eq!(scene.request(), SignRequest::Forget(scene.slot(1)));
}

#[test]
fn partial_signatures_that_never_come_end_the_attempt_as_the_signer_s_absence() {
    let mut scene = Scene::new();
    scene.node.command(approve(scene.id())).unwrap();
    scene.answer();
    let nonces = scene.others_join(1);
    let lost = scene.request();
    let (_, hash) = (0, crate::common::nonces_hash(&nonces));
    for peer in [&mut scene.alice, &mut scene.bob] {
        let partial = peer.sign(&scene.definition, 1, &nonces);
        let bytes =
            peer.say_at(scene.definition.id(), 1, 2, Content::Partial { nonces: hash, partials: vec![partial] });
        scene.node.hear(peer, bytes);
    }
    scene.node.wait(2 * SECOND);
    let (session, task) = (scene.id(), SignerTask::Partials);
    assert!(scene.node.events.contains(&Event::SignerAwaited { session, attempt: 1, task }));
    while scene.failures().is_empty() {
        scene.node.wait(30 * SECOND);
        assert!(scene.node.time < 15 * 60 * SECOND * 1_000_000, "it is given up after the stuck time");
    }
    assert_eq!(scene.failures(), [AttemptFailure::Signer(SignerError::Unavailable)]);
    assert_eq!(scene.request(), SignRequest::Forget(scene.slot(1)));
    // What was lost comes after all, for an attempt that is over: nobody hears of it.
    let sent = scene.node.sent.len();
    let reply = lost.failed(SignerError::NonceSpent).expect("it has a reply");
    scene.give(reply);
    scene.give(SignReply::Partials { slot: scene.slot(1), partials: Ok(vec![PartialSignature::from_bytes([1; 32])]) });
    assert_eq!((scene.node.sent.len(), scene.failures().len()), (sent, 1));
}

#[test]
fn a_signer_that_comes_back_is_asked_again_and_begins_another_attempt() {
    // S15
    let mut scene = Scene::new();
    scene.node.command(approve(scene.id())).unwrap();
    let request = scene.request();
    scene.node.input(Input::SignerReady);
    assert_eq!(scene.request(), request, "what was asked is asked again");
    assert_eq!(scene.node.command(Command::Retry(scene.id())), Ok(()), "and by hand");
    assert_eq!(scene.request(), request);
    let reply = scene.reply(&request);
    scene.give(reply);
    assert_eq!(scene.node.command(Command::Retry(scene.id())), Err(CommandError::NothingToRetry(scene.id())));
    // The signer is killed and has forgotten its nonce.
    let secret = SecretKey::from_bytes(&[NODE; 32]).unwrap();
    scene.signer = SoftwareSigner::new(secret, Entropy::new([2; 32]).unwrap());
    let first = nonce_in(&scene.node.steps_to(&scene.bob));
    let bytes = {
        let nonce = scene.bob.nonce(&scene.definition, 1);
        scene.bob.say_at(scene.definition.id(), 1, 1, Content::Join { nonces: vec![nonce] })
    };
    scene.node.hear(&scene.bob, bytes);
    scene.answer();
    assert_eq!(scene.failures(), [AttemptFailure::Signer(SignerError::NoNonce)]);
    scene.node.requests.clear();
    scene.node.input(Input::SignerReady);
    scene.node.wait(1);
    let SignRequest::Nonces { slot, .. } = scene.node.requests[0] else { panic!("{:?}", scene.node.requests) };
    assert_eq!(slot, scene.slot(2), "at once, without the pause");
    scene.answer();
    let second = nonce_in(&scene.node.steps_to(&scene.bob));
    assert_ne!(first, second, "no nonce is shown twice");
    assert_eq!(scene.node.node.view().session(&scene.id()).unwrap().attempt, 2);
}

#[test]
fn a_node_that_begins_has_the_signer_forget_what_is_open() {
    let mut node = boot(&Arc::default());
    assert_eq!(node.poll(), Some(Output::Sign(SignRequest::ForgetAll)));
}

#[test]
fn a_session_that_this_node_creates_is_announced_when_its_signer_has_answered() {
    let mut node = TestNode::new();
    let mut signer = node.signer.take().unwrap();
    let mut alice = ScriptedPeer::new(1);
    node.meet(&mut alice);
    node.sent.clear();
    let session = NewSession::new(Suite::Lotus, vec![node.key, alice.key()], vec![9; 32]);
    node.command(Command::Create(Box::new(session))).unwrap();
    assert!(node.events.iter().any(|event| matches!(event, Event::SessionCreated { .. })), "it is there");
    assert!(node.steps_to(&alice).is_empty(), "and nobody has heard of it");
    let request = node.requests.pop().expect("the signer is asked");
    node.node.answer(now(node.time), &mut signer, &request);
    node.drain();
    assert!(matches!(node.steps_to(&alice)[..], [ref step] if matches!(step.content, Content::Announce { .. })));
}
