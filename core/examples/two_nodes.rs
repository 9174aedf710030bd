//! Two signers in two threads sign a message together. Channels stand in for the network.
//!
//! `cargo run -p nelumbo-core --example two_nodes`. The loop in `sign` is that of every host: do what the node asks,
//! tell it what has come of it, and wait until something happens or the node wants to be called again.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a host has what the core may not")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, RecordSequence, SignRequest};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    KeyAggContext, MessageKey, Network, Secp256k1, SecretKey, Signature, SoftwareSigner, Suite, Tweak, schnorr,
};
use nelumbo_core::host::{Host, drain};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Item, PeerId};

/// What one of the two has of the world: a way to the other. There is no gossip, no DHT and nobody to dial.
struct Link {
    to_the_other: Sender<Bytes>,
    durable: Option<RecordSequence>,
    requests: VecDeque<SignRequest>,
    events: VecDeque<Event>,
}

impl Host for Link {
    fn persist(&mut self, sequence: RecordSequence, _key: Vec<u8>, _value: Option<Vec<u8>>) {
        // Nothing has to outlive this program. The example `journal` keeps records as a host must.
        self.durable = Some(sequence);
    }

    fn send(&mut self, _to: PeerId, bytes: Bytes) {
        // Nobody is there any more: a message that is lost is asked for again, or not needed.
        let _lost = self.to_the_other.send(bytes);
    }

    fn sign(&mut self, request: SignRequest) {
        self.requests.push_back(request);
    }

    fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// Runs a node until it has a signature of this message.
fn sign(
    (mut node, mut signer): (Node, SoftwareSigner),
    mut link: Link,
    from_the_other: Receiver<Bytes>,
    other: PeerId,
    message: &[u8],
    ask: Option<NewSession>,
) -> Signature {
    let start = Instant::now();
    let now = || Now { mono: Mono::from_nanos(start.elapsed().as_nanos() as u64), wall: wall() };
    node.handle(now(), Input::Connected(other));
    if let Some(session) = ask {
        node.command(now(), Command::Create(Box::new(session))).expect("the session is sound");
    }
    loop {
        drain(&mut node, &mut link);
        if let Some(sequence) = link.durable.take() {
            node.handle(now(), Input::Persisted(sequence));
            continue;
        }
        if let Some(request) = link.requests.pop_front() {
            // The key is in memory. A device would get the request, and its answer would come as `Input::Signed`.
            node.answer(now(), &mut signer, &request);
            continue;
        }
        if let Some(event) = link.events.pop_front() {
            match event {
                Event::SessionAnnounced { session, .. } => {
                    // To join is to approve, so what is to be signed is looked at first.
                    let view = node.view().session(&session).expect("it has just been announced");
                    let items = [Item::message(message.to_vec(), Tweak::None)];
                    assert_eq!(view.definition.items, items, "this is not what we have agreed to");
                    node.command(now(), Command::Join { session, allow: [Unusual::Opaque].into() })
                        .expect("it waits for this");
                }
                Event::SessionCompleted { signatures, .. } => return signatures[0],
                _ => {}
            }
            continue;
        }
        let wait = node.deadline().map_or(Duration::from_secs(1), |deadline| deadline.at.since(now().mono));
        match from_the_other.recv_timeout(wait) {
            Ok(bytes) => node.handle(now(), Input::Received { from: other, bytes }),
            Err(RecvTimeoutError::Timeout) => node.handle(now(), Input::Tick),
            // Whoever leaves with a signature has sent all that it takes.
            Err(RecvTimeoutError::Disconnected) => panic!("the other one has left without a signature"),
        }
    }
}

fn wall() -> Wall {
    Wall::from_millis(SystemTime::UNIX_EPOCH.elapsed().expect("it is past 1970").as_millis() as u64)
}

/// 32 bytes that nobody has seen before.
fn fresh() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has entropy");
    bytes
}

fn node(secret: SecretKey, peer: PeerId) -> (Node, SoftwareSigner) {
    let entropy = Entropy::new(fresh()).expect("not all zero");
    let secret = Arc::new(secret);
    let message_signer = Box::new(MessageKey::new(secret.clone(), entropy.stream("messages")));
    // Here the entropy of each nonce is from a stream; a program that lives long asks the operating system each time.
    let signer = SoftwareSigner::new(secret, entropy.stream("signer"));
    let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer, records: Vec::new() };
    let now = Now { mono: Mono::ZERO, wall: wall() };
    (Node::new(Config::new(Network::Regtest), boot, now).expect("nothing is wrong"), signer)
}

fn main() {
    let message = b"what both have agreed to";
    let [alice, bob] = [b"alice".as_slice(), b"bob"].map(|name| PeerId::from_bytes(name).expect("a short name"));
    let secrets = [(); 2].map(|()| SecretKey::from_bytes(&fresh()).expect("almost every number is a key"));
    let mut keys = secrets.each_ref().map(SecretKey::public_key);
    keys.sort_unstable();
    let [secret_of_alice, secret_of_bob] = secrets;
    let (to_bob, from_alice) = channel();
    let (to_alice, from_bob) = channel();
    let link = |to_the_other| Link { to_the_other, durable: None, requests: VecDeque::new(), events: VecDeque::new() };
    let (at_alice, at_bob) = (link(to_bob), link(to_alice));

    let ask = NewSession::new(Suite::Bip340, keys.to_vec(), message.to_vec());
    let alices = thread::spawn(move || sign(node(secret_of_alice, alice), at_alice, from_bob, bob, message, Some(ask)));
    let bobs = thread::spawn(move || sign(node(secret_of_bob, bob), at_bob, from_alice, alice, message, None));
    let signatures = [alices, bobs].map(|thread| thread.join().expect("it ends with a signature"));

    // Both have the same one, and it is of the key that the two hold together.
    let key = KeyAggContext::new(Suite::Bip340, &keys).expect("two keys").challenge_key();
    for signature in signatures {
        assert!(schnorr::verify(Suite::Bip340, &key, message, &signature));
        println!("{signature} by {key}");
    }
}

#[test]
fn it_ends_with_a_signature() {
    main();
}
