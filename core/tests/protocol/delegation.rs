//! A node that has a message key: how its signer delegates to it, what waits for that, and what outlasts a restart.

use nelumbo_core::api::{
    Command, CommandError, Config, Event, Input, NewSession, Output, Phase, SignReply, SignRequest, SignerTask,
};
use nelumbo_core::approval::Signs;
use nelumbo_core::base::{Bytes, Entropy, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicKey, Secp256k1, Signature, SignerError, Suite};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::single::{Single, SingleSigner, Statement};
use nelumbo_core::wire::{
    Body, Content, DELEGATION, Delegation, MAX_DELEGATION, Message, Offer, PeerId, TransactionType,
};

use crate::common::{HOUR, NODE, ScriptedPeer, TestNode, WALL, approve, now, phase};
use crate::delegated::secret;
use crate::discovery::label;
use crate::signing::Scene;

const SECOND: u64 = 1000;
const DAY: u64 = 24 * HOUR;
/// The number of the node's message key.
const KEY: u8 = 50;
/// How far back a delegation reaches: a session, a day, and twice the skew.
const BACK: u64 = 2 * HOUR + DAY + 10 * 60 * SECOND;

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn config() -> Config {
    Config::new(Network::Regtest)
}

/// A node that speaks with a message key. Its signer answers when the test does.
fn node_with(message_key: u8, records: Records, life: u8, time: u64) -> TestNode {
    let mut node = TestNode::new();
    let entropy = Entropy::new([life; 32]).expect("not all zero");
    let boot = Boot {
        message_signer: Box::new(MessageKey::new(secret(message_key), entropy.stream("messages"))),
        verifier: Secp256k1,
        entropy,
        peer: PeerId::from_bytes(&[NODE]).expect("one byte names a peer"),
        records: records.clone(),
    };
    node.node = Node::delegating(config(), boot, node.key, now(time)).expect("the records are sound");
    node.time = time;
    node.records = records.into_iter().collect();
    (node.requests, node.events, node.others, node.sent) = Default::default();
    node.drain();
    node
}

fn node() -> TestNode {
    node_with(KEY, Vec::new(), 1, 0)
}

fn signer() -> SingleSigner {
    SingleSigner::new(secret(NODE), Entropy::new([5; 32]).expect("not all zero"))
}

/// The statements that the signer is asked for, since this was last asked.
fn asked(node: &mut TestNode) -> Vec<SignRequest> {
    let (singles, rest) =
        std::mem::take(&mut node.requests).into_iter().partition(|one| matches!(one, SignRequest::Single { .. }));
    node.requests = rest;
    singles
}

fn delegate(node: &mut TestNode) {
    let [request] = &asked(node)[..] else { panic!("one request") };
    let reply = signer().answer(request).expect("it has a reply");
    node.input(Input::Signed(reply));
}

fn told(node: &mut TestNode) -> Vec<Event> {
    let is_ours = |event: &Event| matches!(event, Event::Delegated { .. } | Event::DelegationAwaited { .. });
    std::mem::take(&mut node.events).into_iter().filter(is_ours).collect()
}

fn delegation(node: &TestNode) -> Option<Delegation> {
    node.node.view().delegation().copied()
}

fn message_key(number: u8) -> PublicKey {
    secret(number).public_key()
}

/// Everything that leaves the node and is signed.
fn said(node: &TestNode) -> Vec<Message> {
    let published = node.others.iter().filter_map(|output| match output {
        Output::Publish { bytes, .. } => Some(bytes.clone()),
        Output::Store { value, .. } if value[0] != b'L' => Some(value.clone()),
        _ => None,
    });
    let decoded = published.map(|bytes: Bytes| Message::decode(bytes).expect("a node says messages"));
    node.sent.iter().map(|(_, message)| message.clone()).chain(decoded).collect()
}

#[test]
fn a_node_with_a_message_key_says_nothing_until_its_signer_has_delegated() {
    // K1, K2, K3
    let (mut node, alice) = (node(), ScriptedPeer::new(1));
    assert_eq!((node.node.view().own_key(), node.node.view().message_key()), (node.key, message_key(KEY)));
    node.input(Input::Connected(alice.peer));
    node.input(Input::RoutingTable(3));
    node.wait(SECOND);
    assert!(said(&node).is_empty() && delegation(&node).is_none());
    // What is asked is what a person can read.
    let [SignRequest::Single { id, single }] = &asked(&mut node)[..] else { panic!("one request") };
    let shown = single.summary(&node.key).expect("it has one").to_string();
    let dates = "until 2026-01-31T00:00:00.000Z, from 2025-12-30T21:50:00.000Z: m";
    assert!(shown.starts_with("the statement delegation, a message of ") && shown.contains(dates), "{shown}");
    let Signs::Statement { message, .. } = single.summary(&node.key).expect("it has one").signs else { panic!() };
    assert!(message.text.expect("it is text").ends_with(&message_key(KEY).to_string()));
    let request = SignRequest::Single { id: *id, single: single.clone() };
    let reply = signer().answer(&request).expect("it has a reply");
    node.input(Input::Signed(reply.clone()));
    let held = delegation(&node).expect("it was given");
    assert_eq!(held.mandate.valid_from, Wall::from_millis(WALL - BACK));
    assert_eq!(held.mandate.expires_at, Wall::from_millis(WALL + 30 * DAY));
    assert_eq!(
        told(&mut node),
        [Event::Delegated { message_key: message_key(KEY), expires_at: held.mandate.expires_at }]
    );
    node.wait(SECOND);
    let said = said(&node);
    assert!(said.iter().any(|message| matches!(message.unsigned.body, Body::Presence(_))), "{said:?}");
    for message in said {
        assert_eq!((message.unsigned.author, message.delegation.as_deref()), (node.key, Some(&held)));
    }
    // An answer comes once, and the signer has nothing more to do.
    node.input(Input::Signed(reply));
    node.wait(HOUR);
    assert!(asked(&mut node).is_empty() && told(&mut node).is_empty());
}

#[test]
fn a_session_of_a_node_with_a_message_key_is_signed_by_its_signing_key() {
    let mut node = node();
    delegate(&mut node);
    node.requests.clear();
    let mut scene = Scene::with(node);
    let held = delegation(&scene.node).expect("it was given");
    scene.node.command(approve(scene.id())).unwrap();
    let sent = scene.node.sent.len();
    let before: Vec<_> = scene.node.sent.drain(..).collect();
    assert!(before.iter().all(|(_, message)| message.delegation.as_deref() == Some(&held)), "{sent} messages");
    scene.completes(1);
    let view = scene.node.node.view().session(&scene.id()).unwrap();
    assert_eq!(view.signatures.len(), 1, "which verifies under the signing keys: the node has looked");
}

#[test]
fn no_signer_is_asked_for_nonces_that_nobody_would_take() {
    let mut node = node();
    let [of_delegation] = &asked(&mut node)[..] else { panic!("one request") };
    let reply = signer().answer(of_delegation).expect("it has a reply");
    node.requests.clear();
    let mut scene = Scene::with(node);
    scene.node.command(approve(scene.id())).unwrap();
    assert_eq!((scene.owes(), phase(&scene.node, scene.id())), (Some(SignerTask::Nonces), Phase::NonceExchange));
    assert!(scene.node.requests.is_empty(), "its person would agree in vain");
    // Nothing is given up, whatever time it takes.
    scene.node.wait(60 * 60 * SECOND / 2);
    assert!(scene.failures().is_empty() && scene.node.steps_to(&scene.alice).is_empty());
    asked(&mut scene.node);
    scene.give(reply);
    scene.completes(1);
}

#[test]
fn what_this_node_asks_for_before_it_has_a_delegation_is_announced_after() {
    let (mut node, mut alice) = (node(), ScriptedPeer::new(1));
    node.meet(&mut alice);
    node.input(Input::RoutingTable(3));
    let session = NewSession::new(Suite::Lotus, vec![node.key, alice.key()], vec![9; 32]);
    node.command(Command::Create(Box::new(NewSession { is_listed: true, ..session }))).unwrap();
    let offer = Offer { types: vec![TransactionType::Spend], ..Offer::default() };
    let refused = Err(CommandError::Signer(SignerError::Unavailable));
    assert_eq!(
        node.command(Command::Advertise { offer: Box::new(offer), lifetime: None }),
        refused,
        "but it is remembered"
    );
    let resource = |name: &str| Command::AnnounceResource {
        kind: label("kind"),
        name: label(name),
        data: None,
        lifetime: std::time::Duration::from_secs(60),
    };
    assert_eq!(node.command(resource("one")), refused);
    assert!(said(&node).is_empty());
    delegate(&mut node);
    node.wait(SECOND);
    let kinds: Vec<_> = said(&node).into_iter().map(|message| message.unsigned.body).collect();
    let has = |is_one: fn(&Body) -> bool| kinds.iter().any(is_one);
    assert!(has(|body| matches!(body, Body::Request(_))), "{kinds:?}");
    assert!(has(|body| matches!(body, Body::Advertisement(_))) && has(|body| matches!(body, Body::Presence(_))));
    assert!(has(|body| matches!(body, Body::Session(step) if matches!(step.content, Content::Announce { .. }))));
    assert_eq!(node.command(resource("one")), Ok(()));
}

#[test]
fn a_delegation_outlasts_a_restart_and_one_that_was_not_durable_is_asked_for_again() {
    // K1
    let mut first = node();
    first.syncs = false;
    delegate(&mut first);
    let held = delegation(&first).expect("it was given");
    let records: Records = first.records.clone().into_iter().collect();
    assert!(records.iter().any(|(key, _)| key == b"k"));
    let mut again = node_with(KEY, records.clone(), 2, 1_000_000);
    assert!(asked(&mut again).is_empty() && told(&mut again).is_empty());
    assert_eq!(delegation(&again), Some(held));
    again.wait(SECOND);
    assert!(!said(&again).is_empty());
    // A crash before the record: as if it had never been.
    let mut lost = node_with(KEY, Vec::new(), 2, 1_000_000);
    assert_eq!(asked(&mut lost).len(), 1);
    // Another message key, for which there is none.
    let mut rotated = node_with(KEY + 1, records.clone(), 2, 1_000_000);
    assert_eq!((asked(&mut rotated).len(), delegation(&rotated)), (1, None));
    // It is over.
    let mut late = node_with(KEY, records.clone(), 2, 31 * DAY * 1_000_000);
    assert_eq!(asked(&mut late).len(), 1);
    late.wait(SECOND);
    assert!(said(&late).is_empty(), "nobody would take it");
    // A node whose signing key speaks again has no use for it.
    let mut plain = TestNode::with(config(), records.clone(), 2);
    plain.wait(SECOND);
    assert!(!plain.records.contains_key(&b"k"[..]) && said(&plain).iter().all(|message| message.delegation.is_none()));
    // What is no delegation by this signing key is none, and damage is found.
    let mut forged = records.clone();
    forged.iter_mut().filter(|(key, _)| key == b"k").for_each(|(_, value)| *value.last_mut().unwrap() ^= 1);
    let mut forged = node_with(KEY, forged, 2, 1_000_000);
    assert_eq!((asked(&mut forged).len(), delegation(&forged)), (1, None));
    let mut cut = records;
    cut.iter_mut().filter(|(key, _)| key == b"k").for_each(|(_, value)| value.truncate(value.len() - 1));
    assert!(crate::common::boot_error(cut).is_some());
}

#[test]
fn a_delegation_is_renewed_after_half_of_its_time_and_holds_until_then() {
    // K2
    let mut node = node();
    delegate(&mut node);
    let first = delegation(&node).expect("it was given");
    told(&mut node);
    node.wait(15 * DAY - HOUR);
    assert!(asked(&mut node).is_empty());
    node.wait(HOUR);
    let [request] = &asked(&mut node)[..] else { panic!("one request") };
    // It speaks on under the first, and asks again in the same words.
    assert_eq!(delegation(&node), Some(first));
    node.wait(10 * SECOND);
    assert!(asked(&mut node).iter().all(|again| again == request));
    node.input(Input::Signed(signer().answer(request).expect("it has a reply")));
    let second = delegation(&node).expect("it was given");
    let (time, expires) = (WALL + 15 * DAY, |held: &Delegation| held.mandate.expires_at.as_millis());
    assert!((time + 30 * DAY..time + 30 * DAY + 10).contains(&expires(&second)), "{second:?}");
    assert!(second.mandate.valid_from.as_millis().abs_diff(time - BACK) < 10);
    let longest = second.mandate.expires_at.since(second.mandate.valid_from);
    assert!(longest < MAX_DELEGATION, "{longest:?}");
    node.others.clear();
    node.wait(SECOND);
    let said = said(&node);
    assert!(!said.is_empty() && said.iter().all(|message| message.delegation.as_deref() == Some(&second)));
}

#[test]
fn a_signer_that_says_nothing_is_asked_again_and_one_that_says_no_an_hour_later() {
    // K4, K5
    let mut node = node();
    let [first] = &asked(&mut node)[..] else { panic!("one request") };
    let awaited = |error| Event::DelegationAwaited { message_key: message_key(KEY), error };
    node.wait(2 * SECOND);
    assert_eq!(told(&mut node), [awaited(None)]);
    let mut times = Vec::new();
    let start = node.time;
    while times.len() < 14 {
        let at = node.node.deadline().expect("it is asked again").at.as_nanos();
        node.time = at.max(node.time);
        node.input(Input::Tick);
        for request in asked(&mut node) {
            assert_eq!(&request, first, "in the same words");
            times.push((node.time - start) / 1_000_000_000);
        }
    }
    assert!(told(&mut node).is_empty(), "that is told once");
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]) && *pauses.last().unwrap() == 3_600, "{pauses:?}");
    // It is back.
    node.input(Input::SignerReady);
    assert_eq!(asked(&mut node).len(), 1);
    // What it gives is looked at.
    let SignRequest::Single { id, .. } = first else { panic!("{first:?}") };
    node.input(Input::Signed(SignReply::Single { id: *id, signature: Ok(Signature::from_bytes([1; 64])) }));
    assert_eq!((told(&mut node), delegation(&node)), (vec![awaited(Some(SignerError::RoundMismatch))], None));
    node.wait(HOUR - 1);
    assert!(asked(&mut node).is_empty(), "it is left alone");
    node.wait(2);
    let [second] = &asked(&mut node)[..] else { panic!("one request") };
    assert_ne!(second, first, "a new request");
    node.input(Input::Signed(second.failed(SignerError::Declined).expect("it has a reply")));
    assert_eq!(told(&mut node), [awaited(Some(SignerError::Declined))]);
    node.wait(HOUR / 2);
    assert!(asked(&mut node).is_empty());
    node.wait(HOUR / 2);
    let [third] = &asked(&mut node)[..] else { panic!("one request") };
    node.input(Input::Signed(third.failed(SignerError::Unavailable).expect("it has a reply")));
    assert_eq!(told(&mut node), [awaited(Some(SignerError::Unavailable))]);
    node.wait(HOUR);
    delegate(&mut node);
    assert!(delegation(&node).is_some());
    // Late answers to what is no more awaited change nothing.
    for old in [first, second, third] {
        node.input(Input::Signed(signer().answer(old).expect("it has a reply")));
    }
    assert!(!told(&mut node).iter().any(|event| matches!(event, Event::DelegationAwaited { .. })));
}

#[test]
fn a_clock_that_is_set_back_behind_a_delegation_has_another_one_asked_for() {
    let mut node = node();
    delegate(&mut node);
    let first = delegation(&node).expect("it was given");
    node.sleep(HOUR);
    assert!(asked(&mut node).is_empty());
    node.wall_ahead -= 40 * DAY as i64;
    node.input(Input::Tick);
    let [request] = &asked(&mut node)[..] else { panic!("one request") };
    node.others.clear();
    node.wait(SECOND);
    assert!(said(&node).is_empty(), "the first is not for this time");
    node.input(Input::Signed(signer().answer(request).expect("it has a reply")));
    node.wait(SECOND);
    assert!(delegation(&node).expect("it was given").mandate.expires_at < first.mandate.expires_at);
    assert!(!said(&node).is_empty());
    // The machine sleeps until long after its end.
    node.sleep(60 * DAY);
    assert!(!asked(&mut node).is_empty());
}

#[test]
fn what_is_announced_is_valid_no_longer_than_the_delegation() {
    let mut node = node();
    delegate(&mut node);
    node.input(Input::RoutingTable(3));
    node.wait(29 * DAY + 23 * HOUR + HOUR / 2);
    node.others.clear();
    let offer = Offer { types: vec![TransactionType::Spend], ..Offer::default() };
    node.command(Command::Advertise { offer: Box::new(offer), lifetime: None }).unwrap();
    let lifetime = std::time::Duration::from_secs(7 * 24 * 60 * 60);
    let (kind, name) = (label("kind"), label("name"));
    node.command(Command::AnnounceResource { kind, name, data: None, lifetime }).unwrap();
    let end = Wall::from_millis(WALL + 30 * DAY);
    let ends: Vec<_> = said(&node)
        .iter()
        .filter_map(|message| match &message.unsigned.body {
            Body::Advertisement(advertisement) => Some(advertisement.expires_at),
            Body::Resource(resource) => Some(resource.expires_at),
            _ => None,
        })
        .collect();
    assert!(ends.len() >= 2 && ends.iter().all(|expires_at| *expires_at == end), "{ends:?}");
    // A session that would outlast it asks nobody for nonces before there is another one.
    let alice = ScriptedPeer::new(1);
    asked(&mut node);
    node.requests.clear();
    node.signer = None;
    let session = NewSession::new(Suite::Lotus, vec![node.key, alice.key()], vec![9; 32]);
    node.command(Command::Create(Box::new(session))).unwrap();
    assert!(node.requests.is_empty());
    node.input(Input::SignerReady);
    delegate(&mut node);
    assert!(node.requests.iter().any(|request| matches!(request, SignRequest::Nonces { .. })), "{:?}", node.requests);
}

#[test]
fn no_protocol_has_this_node_delegate() {
    let (mut node, script) = (TestNode::new(), crate::scripted_protocol::Script::new("pool"));
    node.single = Some(signer());
    script.register(&mut node);
    script.told();
    let text = b"until 9999-01-01T00:00:00.000Z".to_vec();
    let statement = Statement { network: Network::Regtest, name: label(DELEGATION), text };
    script.act(&mut node, move |context| context.sign(label("who"), Single::Statement(statement), [].into()));
    assert!(script.told()[0].contains("the policy of this node"));
    assert_eq!(script.signature(), None);
}

#[test]
fn many_inputs_at_once_cost_no_more_verifications_for_a_delegation_that_is_known() {
    let (mut node, mut scripted) = (TestNode::new(), ScriptedPeer::new(1));
    scripted.delegate(KEY, (WALL, WALL + DAY));
    node.meet(&mut scripted);
    assert_eq!(node.node.view().refusals().total(), 0);
    let definition = crate::common::definition(scripted.key(), vec![node.key, scripted.key()]);
    let nonce = scripted.nonce(&definition, 1);
    let bytes = scripted.say(definition.id(), 1, crate::common::announcement(&definition, nonce));
    node.hear(&scripted, bytes);
    node.command(approve(definition.id())).unwrap();
    let nonces = {
        let own = crate::common::nonce_in(&node.steps_to(&scripted));
        let mut nonces = vec![own; 2];
        nonces[definition.index_of(&scripted.key()).unwrap()] = nonce;
        nonces
    };
    let partial = scripted.sign(&definition, 1, &nonces);
    let hash = crate::common::nonces_hash(&nonces);
    let contents = [Content::Confirmed, Content::Partial { nonces: hash, partials: vec![partial] }];
    let inputs = contents.map(|content| scripted.say(definition.id(), 1, content));
    let inputs = inputs.map(|bytes| Input::Received { from: scripted.peer, bytes });
    node.node.handle_many(now(node.time + 1), inputs.into());
    node.drain();
    assert_eq!(phase(&node, definition.id()), Phase::Complete);
}
