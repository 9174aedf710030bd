//! Whatever arrives, a node keeps no more than its limits say, measured by a counting allocator.

use std::sync::Arc;

use nelumbo_core::api::{Config, Input, Output, Quota};
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicNonce, Secp256k1, SecretKey, SoftwareSigner, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{
    AbortReason, Address, Advertisement, Body, Content, Data, Definition, Details, Item, MAX_ITEMS, MAX_MESSAGE,
    MAX_RESOURCE, MAX_SLOTS, Offer, PeerId, Presence, Resource, SessionId, SessionMessage, TransactionType, seal,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const WALL: u64 = 1_767_225_600_000;

fn now() -> Now {
    Now { mono: Mono::ZERO, wall: Wall::from_millis(WALL) }
}

fn signer(number: u32) -> (MessageKey, SoftwareSigner) {
    let mut bytes = [1; 32];
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    let entropy = Entropy::new(bytes).expect("not all zero");
    let secret = Arc::new(SecretKey::from_bytes(&bytes).expect("a small number is a key"));
    (MessageKey::new(secret.clone(), entropy.stream("messages")), SoftwareSigner::new(secret, entropy))
}

fn say(author: &mut MessageKey, body: Body) -> Bytes {
    seal(author, Network::Regtest, body).expect("software signs")
}

/// What a session of a flood signs: a long message, as many items as so many signers may have, or as many bytes as fit.
fn items(number: u32, signers: usize) -> Vec<Item> {
    match number % 3 {
        0 => vec![Item::message(vec![7; MAX_MESSAGE], Tweak::None)],
        1 => (0..MAX_SLOTS / signers).map(|item| Item::message(vec![item as u8; 32], TWEAKS[item % 2])).collect(),
        _ => (0..15).map(|item| Item::message(vec![item; MAX_MESSAGE], Tweak::None)).collect(),
    }
}

const TWEAKS: [Tweak; 2] = [Tweak::None, Tweak::Taproot { merkle_root: None }];

/// A flood of valid messages: presences with as many and as long addresses as fit, sessions with many signers, long
/// messages and long lists, steps that make signers familiar, and steps of sessions that do not exist, each from
/// another key and peer.
fn flood(number: u32, victim: nelumbo_core::crypto::PublicKey) -> Vec<Bytes> {
    let (mut author, _) = signer(number);
    let presence = Presence {
        peer: PeerId::from_bytes(&number.to_be_bytes()).unwrap(),
        addresses: (0..16).map(|tail| Address::from_bytes(vec![tail; 255]).unwrap()).collect(),
        issued_at: Wall::from_millis(WALL),
        expires_at: Wall::from_millis(WALL + 60_000),
    };
    let offer = Offer { types: vec![TransactionType::Spend], ..Offer::default() };
    let advertisement = Advertisement {
        peer: presence.peer,
        addresses: presence.addresses.clone(),
        offer: Some(offer),
        issued_at: presence.issued_at,
        expires_at: presence.expires_at,
    };
    let resource = Resource {
        kind: "thing".parse().unwrap(),
        name: "one".parse().unwrap(),
        data: Data::new(vec![1; MAX_RESOURCE]),
        issued_at: presence.issued_at,
        expires_at: presence.expires_at,
    };
    let mut messages = vec![
        say(&mut author, Body::Presence(presence)),
        say(&mut author, Body::Advertisement(Box::new(advertisement))),
        say(&mut author, Body::Resource(resource)),
    ];
    let own = author.public_key();
    let others = (0..10).map(|other| signer(1_000_000 + other).0.public_key());
    let mut keys: Vec<_> = others.chain([own, victim]).collect();
    keys.sort_unstable();
    let definition = Definition {
        network: Network::Regtest,
        suite: Suite::Bip340,
        creator: keys.binary_search(&own).unwrap() as u16,
        items: items(number, keys.len()),
        keys,
        details: Details::default(),
        is_listed: false,
        election: Method::Rotating,
        created_at: Wall::from_millis(WALL),
        expires_at: Wall::from_millis(WALL + 60_000),
        nonce: [number as u8; 32],
    };
    let session = definition.id();
    // Nonces are not looked at before all are there.
    let nonces = vec![PublicNonce::from_bytes([2; 66]); definition.items.len()];
    assert!(definition.announces_nonces());
    let content = Content::Announce { definition: definition.into(), nonces };
    messages.push(say(&mut author, Body::Session(SessionMessage { session, attempt: 1, sequence: 1, content })));
    // Enough of them to make the author familiar; they are refused, because the session is not complete.
    for sequence in 2..8 {
        let content = Content::Confirmed;
        messages.push(say(&mut author, Body::Session(SessionMessage { session, attempt: 1, sequence, content })));
    }
    for sequence in 1..4 {
        let session = SessionId::from_bytes([sequence as u8; 32]);
        let content = if sequence == 1 {
            Content::Join { nonces: vec![PublicNonce::from_bytes([2; 66]); MAX_ITEMS] }
        } else {
            Content::Abort { reason: AbortReason::Left }
        };
        messages.push(say(&mut author, Body::Session(SessionMessage { session, attempt: 1, sequence, content })));
    }
    messages
}

#[test]
fn a_flood_stays_under_the_ceiling() {
    let mut config = Config::new(Network::Regtest);
    let free = Quota { burst: u64::from(u32::MAX), every: std::time::Duration::from_nanos(1) };
    let limits = &mut config.limits;
    // Small caps, so that the flood reaches them all; no quota in its way.
    (limits.sessions, limits.unapproved, limits.unapproved_per_creator, limits.ended) = (20, 20, 20, 20);
    (limits.closed, limits.requests, limits.slots) = (50, 50, 3 * MAX_SLOTS);
    (limits.peers, limits.neighbours, limits.presences, limits.keys_per_peer) = (50, 50, 50, 1);
    limits.prepared_keys = 10;
    (limits.early, limits.early_per_author, limits.announcers, limits.lookups) = (50, 50, 50, 8);
    (limits.advertisements, limits.resources) = (50, 50);
    (limits.resources_per_author, limits.resources_per_kind) = (5, 5);
    (limits.lookups_waiting, limits.searches, limits.reputations) = (50, 2, 50);
    (limits.records, limits.protocol_messages, limits.protocol_waiting) = (50, 50, 2);
    (limits.messages, limits.bytes, limits.announced_keys) = (free, free, free);
    let ceiling = limits.ceiling();
    let (author, mut own) = signer(u32::MAX);
    let victim = own.public_key();
    let sample: Vec<Vec<Bytes>> = (0..150).map(|number| flood(number, victim)).collect();
    let boot = Boot {
        message_signer: Box::new(author),
        verifier: Secp256k1,
        entropy: Entropy::new([9; 32]).unwrap(),
        peer: PeerId::from_bytes(b"victim").unwrap(),
        records: Vec::new(),
    };
    let before = ALLOCATOR.current_usage();
    let mut node = Node::new(config, boot, now()).unwrap();
    let mut drain = |node: &mut Node| {
        while let Some(output) = node.poll() {
            match output {
                Output::Persist { sequence, .. } => node.handle(now(), Input::Persisted(sequence)),
                Output::Sign(request) => node.answer(now(), &mut own, &request),
                _ => {}
            }
        }
    };
    ALLOCATOR.reset_peak_usage();
    for _ in 0..2 {
        for (number, messages) in sample.iter().enumerate() {
            let from = PeerId::from_bytes(&(number as u32).to_be_bytes()).unwrap();
            node.handle(now(), Input::Connected(from));
            for bytes in messages {
                // A copy, as from a network: what the node keeps of it counts.
                node.handle(now(), Input::Received { from, bytes: Bytes::from(&bytes[..]) });
            }
            drain(&mut node);
        }
    }
    let kept = ALLOCATOR.peak_usage() - before;
    let view = node.view();
    assert!(
        view.sessions().len() == 20
            && view.signers().len() == 50 + 50
            && view.connected().len() == 50
            && view.advertisements().count() == 50
            && view.resources().count() == 50,
        "the caps are hit"
    );
    let slots = |session: nelumbo_core::api::SessionView| session.definition.slots();
    assert_eq!(view.sessions().map(slots).filter(|slots| *slots > MAX_SLOTS / 2).count(), 2, "lists have their limit");
    assert!(kept <= ceiling, "{kept} bytes were in use, {ceiling} are promised");
    assert!(kept >= ceiling / 100, "{kept} of {ceiling} bytes: the promise would say nothing");
}
