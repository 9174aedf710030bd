//! What a list gains: `cargo bench -p nelumbo-core --bench items`.
//!
//! Five signers sign a hundred messages, in one session with a hundred items, and in a hundred sessions with one. Their
//! nodes and signers run in this process, with the real cryptography and without a network or a disk. Both take turns;
//! what is printed is the median over the rounds, and how many bytes the signers send. A list costs at most a quarter.
#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures time")]
#![allow(missing_docs, reason = "a program")]

#[path = "../../crypto/benches/crypto/clock.rs"]
mod clock;

use std::collections::VecDeque;
use std::sync::Arc;

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Output, Phase};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{MessageKey, Network, PublicKey, Secp256k1, SecretKey, SoftwareSigner, Suite, Tweak};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Item, PeerId};

const ROUNDS: usize = 7;
const SIGNERS: u8 = 5;
const MESSAGES: u32 = 100;

fn at(millis: u64) -> Now {
    Now { mono: Mono::from_nanos(millis * 1_000_000), wall: Wall::from_millis(1_767_225_600_000 + millis) }
}

fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[index as u8 + 1]).expect("one byte names a peer")
}

/// The signers, all connected.
struct Crew {
    nodes: Vec<(Node, SoftwareSigner)>,
    keys: Vec<PublicKey>,
    flight: VecDeque<(usize, usize, Bytes)>,
    millis: u64,
    bytes: usize,
}

impl Crew {
    fn new(round: u8) -> Self {
        let entropy = |number: u8| Entropy::new([number; 32]).expect("not all zero").stream(&round.to_string());
        let start = |index: u8| {
            let secret = Arc::new(SecretKey::from_bytes(&[index + 1; 32]).expect("a small number is a key"));
            let boot = Boot {
                message_signer: Box::new(MessageKey::new(secret.clone(), entropy(index + 1))),
                verifier: Secp256k1,
                entropy: entropy(index + 101),
                peer: peer(index.into()),
                records: Vec::new(),
            };
            let node = Node::new(Config::new(Network::Regtest), boot, at(0)).expect("an empty journal");
            (node, SoftwareSigner::new(secret, entropy(index + 201)))
        };
        let nodes: Vec<_> = (0..SIGNERS).map(start).collect();
        let keys = nodes.iter().map(|(node, _)| node.view().own_key()).collect();
        let mut crew = Self { nodes, keys, flight: VecDeque::new(), millis: 1_000, bytes: 0 };
        for index in 0..crew.nodes.len() {
            crew.nodes[index].0.handle(at(1_000), Input::Tick);
            for other in (0..crew.nodes.len()).filter(|other| *other != index) {
                crew.nodes[index].0.handle(at(1_000), Input::Connected(peer(other)));
            }
        }
        crew.run();
        crew
    }

    /// Until nobody says anything more.
    fn run(&mut self) {
        loop {
            for index in 0..self.nodes.len() {
                while let Some(output) = self.nodes[index].0.poll() {
                    self.perform(index, output);
                }
            }
            let Some((from, to, bytes)) = self.flight.pop_front() else { return };
            self.nodes[to].0.handle(at(self.millis), Input::Received { from: peer(from), bytes });
        }
    }

    fn perform(&mut self, index: usize, output: Output) {
        let now = at(self.millis);
        let (node, signer) = &mut self.nodes[index];
        match output {
            Output::Persist { sequence, .. } => node.handle(now, Input::Persisted(sequence)),
            Output::Sign(request) => node.answer(now, signer, &request),
            Output::Event(Event::SessionAnnounced { session, .. }) => {
                node.command(now, Command::Join { session, allow: [Unusual::Opaque].into() }).expect("it waits");
            }
            Output::Send { to, bytes } => {
                self.bytes += bytes.len();
                self.flight.push_back((index, usize::from(to.as_bytes()[0]) - 1, bytes));
            }
            _ => {}
        }
    }

    /// Signs all messages, so many in each session; returns milliseconds and bytes.
    fn sign(&mut self, in_each: u32) -> (f64, usize) {
        let message = |number: u32| [&[7; 28][..], &number.to_be_bytes()].concat();
        self.bytes = 0;
        let start = clock::now();
        for first in (0..MESSAGES).step_by(in_each as usize) {
            let items = (first..first + in_each).map(|number| Item::message(message(number), Tweak::None)).collect();
            let session = NewSession::new(Suite::Lotus, self.keys.clone(), Vec::new());
            let session = NewSession { items, ..session };
            // No faster than others take it from one signer.
            self.millis += 10;
            let (now, node) = (at(self.millis), &mut self.nodes[0].0);
            node.command(now, Command::Create(Box::new(session))).expect("there is room");
            self.run();
        }
        let spent = (clock::now() - start).as_secs_f64() * 1e3;
        for (node, _) in &self.nodes {
            let view = node.view();
            let signed = view.sessions().filter(|session| session.phase == Phase::Complete);
            assert_eq!(signed.map(|session| session.signatures.len()).sum::<usize>(), MESSAGES as usize);
        }
        (spent, self.bytes)
    }
}

fn main() {
    let mut rounds: Vec<[(f64, usize); 2]> =
        (0..ROUNDS as u8).map(|round| [MESSAGES, 1].map(|in_each| Crew::new(round).sign(in_each))).collect();
    rounds.sort_by(|a, b| (a[0].0 / a[1].0).total_cmp(&(b[0].0 / b[1].0)));
    let [(list, list_bytes), (single, single_bytes)] = rounds[ROUNDS / 2];
    println!("{MESSAGES} messages, {SIGNERS} signers in one process");
    println!("| | one session | {MESSAGES} sessions | share |\n|---|---|---|---|");
    println!("| ms | {list:.0} | {single:.0} | {:.1} % |", 100.0 * list / single);
    println!("| bytes | {list_bytes} | {single_bytes} | {:.1} % |", 100.0 * list_bytes as f64 / single_bytes as f64);
}
