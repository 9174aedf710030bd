//! What a node gains from what it keeps of authors: `cargo bench -p nelumbo-core --bench node`.
//!
//! Prints how long it takes over a message, decoding and all: of a signer whose key is prepared and whose is not, and
//! of several authors at once and one by one. Both take turns, and a ratio is the median over the rounds.
#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures time")]
#![allow(missing_docs, reason = "a program")]

#[path = "../../crypto/benches/crypto/clock.rs"]
mod clock;

use std::time::Duration;

use nelumbo_core::api::{Config, Input, Quota};
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    MessageKey, Network, NonceSlot, Secp256k1, SecretKey, Signer, SoftwareSigner, Suite, Tweak, Verifier,
};
use nelumbo_core::election::Method;
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Body, Content, Definition, Item, PeerId, Presence, SessionMessage, seal};

const ROUNDS: usize = 201;
const NOW: Now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_000_000) };
const UNTIL: Wall = Wall::from_millis(2_000_000);
const OWN: u8 = 200;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).expect("a key")
}

fn signer(number: u8) -> SoftwareSigner {
    SoftwareSigner::new(secret(number), Entropy::new([number; 32]).expect("not all zero"))
}

fn author(number: u8) -> MessageKey {
    MessageKey::new(secret(number), Entropy::new([number; 32]).expect("not all zero").stream("messages"))
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes(&[number]).expect("a name")
}

fn say(author: &mut MessageKey, body: Body) -> Bytes {
    seal(author, Network::Regtest, body).expect("software signs")
}

fn node(familiar: usize) -> Node {
    let mut config = Config::new(Network::Regtest);
    let free = Quota { burst: u64::from(u32::MAX), every: Duration::from_nanos(1) };
    let limits = &mut config.limits;
    (limits.messages_per_peer, limits.bytes_per_peer, limits.messages_reserved_per_peer) = (free, free, free);
    limits.prepared_keys = familiar;
    let entropy = Entropy::new([9; 32]).expect("not all zero");
    let boot = Boot {
        message_signer: Box::new(author(OWN)),
        verifier: Secp256k1,
        entropy,
        peer: peer(OWN),
        records: Vec::new(),
    };
    Node::new(config, boot, NOW).expect("an empty journal")
}

/// A session that the first signer announces, and many further messages of it.
fn messages_of_a_signer(count: u64) -> Vec<Bytes> {
    let (mut author, mut signer) = (author(1), signer(1));
    let key = author.public_key();
    let mut keys = vec![key, secret(OWN).public_key()];
    keys.sort_unstable();
    let definition = Definition {
        network: Network::Regtest,
        suite: Suite::Lotus,
        creator: u16::from(keys[0] != key),
        keys,
        items: vec![Item::message(vec![7; 32], Tweak::None)],
        details: nelumbo_core::wire::Details::default(),
        is_listed: false,
        election: Method::Rotating,
        created_at: NOW.wall,
        expires_at: UNTIL,
        nonce: [1; 32],
    };
    let session = definition.id();
    let keys =
        Secp256k1.aggregate_keys(definition.suite, &definition.keys, &definition.items[0].tweak).expect("points");
    let slot = NonceSlot { session: *session.as_bytes(), attempt: 1 };
    let message = definition.message(0).expect("bare");
    let nonces = signer.nonces(slot, &[(&keys, &message)]).expect("a fresh slot");
    let mut say =
        |sequence, content| say(&mut author, Body::Session(SessionMessage { session, attempt: 1, sequence, content }));
    let mut messages = vec![say(1, Content::Announce { definition: definition.into(), nonces })];
    messages.extend((2..count).map(|sequence| say(sequence, Content::Confirmed)));
    messages
}

/// Presences of different authors, by peers of their own.
fn presences(count: u8) -> Vec<Input> {
    let one = |number| {
        let from = peer(number);
        let presence = Presence { peer: from, addresses: Vec::new(), issued_at: NOW.wall, expires_at: UNTIL };
        Input::Received { from, bytes: say(&mut author(number), Body::Presence(presence)) }
    };
    (1..=count).map(one).collect()
}

/// How long each message takes at a node in this state.
fn time(node: &mut Node, inputs: Vec<Input>, take: impl FnOnce(&mut Node, Vec<Input>)) -> f64 {
    let count = inputs.len() as f64;
    let start = clock::now();
    take(node, inputs);
    let spent = clock::now() - start;
    while node.poll().is_some() {}
    spent.as_secs_f64() * 1e6 / count
}

fn one_by_one(node: &mut Node, inputs: Vec<Input>) {
    inputs.into_iter().for_each(|input| node.handle(NOW, input));
}

fn print(name: &str, rounds: Vec<[f64; 2]>) {
    let median = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (before, after) = (median(&|round| round[0]), median(&|round| round[1]));
    println!("| {name} | {before:.1} | {after:.1} | {:.2} |", median(&|round| round[0] / round[1]));
}

fn main() {
    println!("| messages | plain µs | µs | times |\n|---|---|---|---|");
    let messages = messages_of_a_signer(100 * ROUNDS as u64 + 100);
    let input = |bytes: &Bytes| Input::Received { from: peer(1), bytes: bytes.clone() };
    let mut nodes = [node(0), node(1)];
    let mut chunks = messages.chunks(100).map(|chunk| chunk.iter().map(input).collect::<Vec<_>>());
    let first = chunks.next().expect("the announcement and more");
    nodes.iter_mut().for_each(|node| one_by_one(node, first.clone()));
    let rounds = chunks.map(|inputs| nodes.each_mut().map(|node| time(node, inputs.clone(), one_by_one))).collect();
    print("of a signer whose key is prepared", rounds);
    for count in [2, 3, 4, 8, 16, 32, 64, 128] {
        let inputs = presences(count);
        let round = |_| {
            let single = time(&mut node(0), inputs.clone(), one_by_one);
            [single, time(&mut node(0), inputs.clone(), |node, inputs| node.handle_many(NOW, inputs))]
        };
        print(&format!("of {count} authors at once"), (0..ROUNDS).map(round).collect());
    }
}
