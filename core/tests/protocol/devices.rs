//! A signer that has nothing but the node's requests to go by.

use std::sync::Arc;

use nelumbo_core::api::{AttemptCause, Event, Phase, SignReply, SignRequest};
use nelumbo_core::base::{Entropy, Wall};
use nelumbo_core::crypto::{NonceSlot, Secp256k1, SecretKey, SignerError, SoftwareSigner, Tweak};
use nelumbo_core::device::Device;
use nelumbo_core::wire::{Content, Definition, Item};

use crate::common::{NODE, ScriptedPeer, WALL, approve, definition, partial_in, phase};
use crate::signing::Scene;

/// What has gone through another process.
fn carried<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    postcard::from_bytes(&postcard::to_allocvec(value).unwrap()).unwrap()
}

#[test]
fn a_device_signs_with_nothing_but_the_requests() {
    let mut scene = Scene::new();
    let secret = SecretKey::from_bytes(&[NODE; 32]).unwrap();
    let mut device = Device::new(Secp256k1, SoftwareSigner::new(secret, Entropy::new([5; 32]).unwrap()));
    scene.node.command(approve(scene.id())).unwrap();
    let request: SignRequest = carried(&scene.request());
    let summary = device.summary(&request).expect("it is sound").expect("a person is to be asked");
    let view = scene.node.node.view().session(&scene.id()).unwrap();
    assert_eq!(summary, view.summary().unwrap(), "what the device shows is what the node has told");
    let reply = device.answer(&request).expect("it has a reply");
    assert_eq!(device.answer(&request), Some(reply.clone()), "the same again");
    assert_eq!(device.summary(&request), Ok(None), "without asking again");
    scene.give(carried(&reply));
    let nonces = scene.others_join(1);
    let request: SignRequest = carried(&scene.request());
    assert_eq!(device.summary(&request), Ok(None), "nobody is asked");
    let reply = device.answer(&request).expect("it has a reply");
    assert_eq!(device.answer(&request), Some(reply.clone()));
    // Over other nonces it signs nothing.
    let mut others = nonces.clone();
    others[0] = others[1];
    let other = SignRequest::Partials { slot: scene.slot(1), nonces: vec![others] };
    let refused = SignReply::Partials { slot: scene.slot(1), partials: Err(SignerError::NonceSpent) };
    assert_eq!(device.answer(&other), Some(refused));
    scene.give(carried(&reply));
    let (_, hash) = partial_in(&scene.node.steps_to(&scene.bob));
    scene.others_sign(1, &nonces, hash);
}

#[test]
fn a_device_refuses_what_is_not_what_it_says() {
    let (alice, bob) = (ScriptedPeer::new(1), ScriptedPeer::new(2));
    let secret = || SecretKey::from_bytes(&[NODE; 32]).unwrap();
    let key = secret().public_key();
    let mut device = Device::new(Secp256k1, SoftwareSigner::new(secret(), Entropy::new([5; 32]).unwrap()));
    let sound = definition(alice.key(), vec![key, alice.key()]);
    let slot = NonceSlot { session: *sound.id().as_bytes(), attempt: 1 };
    let mut refuses = |slot, definition: Definition, error| {
        let request = SignRequest::Nonces { slot, definition: Arc::new(definition) };
        assert_eq!(device.summary(&request), Err(error));
        assert_eq!(device.answer(&request), request.failed(error));
    };
    let other = Definition { items: vec![Item::message(vec![8; 32], Tweak::None)], ..sound.clone() };
    refuses(slot, other, SignerError::RoundMismatch);
    let foreign = definition(alice.key(), vec![bob.key(), alice.key()]);
    refuses(NonceSlot { session: *foreign.id().as_bytes(), attempt: 1 }, foreign, SignerError::NotASigner);
    let expired = Definition { expires_at: Wall::from_millis(WALL - 1), ..sound.clone() };
    refuses(NonceSlot { session: *expired.id().as_bytes(), attempt: 1 }, expired, SignerError::RoundMismatch);
    let early = SignRequest::Partials { slot, nonces: vec![Vec::new()] };
    assert_eq!(device.answer(&early), early.failed(SignerError::NoNonce));
    let request = SignRequest::Nonces { slot, definition: Arc::new(sound) };
    assert!(matches!(device.answer(&request), Some(SignReply::Nonces { nonces: Ok(_), .. })));
    for nonces in [Vec::new(), vec![Vec::new()], vec![Vec::new(); 2]] {
        let request = SignRequest::Partials { slot, nonces };
        assert_eq!(device.answer(&request), request.failed(SignerError::RoundMismatch));
    }
    assert_eq!(device.answer(&SignRequest::Forget(slot)), None);
    assert_eq!(device.answer(&request), request.failed(SignerError::SlotServed));
    assert_eq!(device.answer(&early), early.failed(SignerError::NoNonce));
}

/// A device that is slow, or waits for its person, while the others give the attempt up: what it gives then is of no
/// use, and the attempt that the node asks it for instead is the one that those who wait follow.
#[test]
fn a_signer_that_owes_nonces_is_asked_for_those_of_the_next_attempt_when_another_waits() {
    // R5, S17
    for attempt in [1, 3] {
        let mut scene = Scene::new();
        let (session, next) = (scene.id(), attempt + 1);
        scene.node.command(approve(session)).unwrap();
        let late = scene.request();
        let bytes = scene.alice.say_at(session, attempt, 2, Content::Waiting);
        scene.node.hear(&scene.alice, bytes);
        let requests = std::mem::take(&mut scene.node.requests);
        let [SignRequest::Forget(forgotten), SignRequest::Nonces { slot, .. }] = &requests[..] else {
            panic!("{requests:?}")
        };
        assert_eq!((*forgotten, *slot), (scene.slot(1), scene.slot(next)));
        let started = Event::AttemptStarted { session, attempt: next, cause: AttemptCause::Approved };
        assert!(scene.node.events.contains(&started) && phase(&scene.node, session) == Phase::NonceExchange);
        assert!(!scene.node.events.iter().any(|event| matches!(event, Event::AttemptLapsed { .. })));
        // It answers what it was asked first: nobody sees it, and it is wiped.
        scene.node.steps_to(&scene.alice);
        let reply = scene.reply(&late);
        scene.give(reply);
        assert!(matches!(scene.request(), SignRequest::Forget(slot) if slot == scene.slot(1)));
        assert!(scene.node.steps_to(&scene.alice).is_empty());
        let reply = scene.reply(&requests[1]);
        scene.give(reply);
        let steps = scene.node.steps_to(&scene.alice);
        assert!(
            matches!(&steps[..], [step] if step.attempt == next && matches!(step.content, Content::Join { .. })),
            "{steps:?}"
        );
    }
    // Where no attempt is left it waits like the others.
    let mut scene = Scene::new();
    let session = scene.id();
    scene.node.command(approve(session)).unwrap();
    let bytes = scene.alice.say_at(session, 16, 2, Content::Waiting);
    scene.node.hear(&scene.alice, bytes);
    assert_eq!(phase(&scene.node, session), Phase::Waiting);
}
