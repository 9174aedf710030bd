//! How many messages one core of the machine admits in a second, through the whole of the node, when cryptography is
//! all but free: `cargo bench -p nelumbo-simulator --bench core`.
//!
//! Nodes with their default limits sign one session after the other with the stand-in for the curve, each taking what
//! the others send as it is. Everything that they do counts, from decoding to draining, at the sender and at the
//! receiver; a message counts once, when its receiver admits it: what was received, less what was refused. Records are
//! durable, sessions approved and signatures broadcast at once. The time is that of the processor.
#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![allow(missing_docs, reason = "a program")]

#[path = "../../crypto/benches/crypto/clock.rs"]
mod clock;

use std::collections::VecDeque;
use std::time::Duration;

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, RecordSequence, SignRequest};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{Network, PublicKey, Signer, Suite};
use nelumbo_core::host::{Host, drain};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::PeerId;
use nelumbo_simulator::crypto::{Crypto, Meter, Toy, ToyVerifier};
use nelumbo_simulator::peer::{node_of, peer_id};

/// How much time passes from one session to the next: a node remembers each for two hours, and 4096 at most.
const PAUSE: Duration = Duration::from_secs(10);
/// How many messages are admitted before those that are measured, so that nodes have as much to remember as they ever
/// will.
const WARM_UP: u64 = 200_000;
const MEASURED: u64 = 1_000_000;

struct Envelope {
    from: PeerId,
    to: u32,
    bytes: Bytes,
}

/// A host that collects what a node sends and answers its events.
struct BenchHost<'a> {
    own: PeerId,
    in_flight: &'a mut VecDeque<Envelope>,
    durable: Option<RecordSequence>,
    requests: Vec<SignRequest>,
    commands: Vec<Command>,
    completed: u64,
}

impl Host for BenchHost<'_> {
    fn persist(&mut self, sequence: RecordSequence, _: Vec<u8>, _: Option<Vec<u8>>) {
        self.durable = Some(sequence);
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.in_flight.push_back(Envelope { from: self.own, to: node_of(&to).expect("a node of ours"), bytes });
    }

    fn sign(&mut self, request: SignRequest) {
        self.requests.push(request);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::SessionAnnounced { session, .. } => {
                self.commands.push(Command::Join { session, allow: [Unusual::Opaque].into() })
            }
            Event::ShouldBroadcast { session } => self.commands.push(Command::ConfirmBroadcast(session)),
            Event::SessionCompleted { .. } => self.completed += 1,
            _ => {}
        }
    }
}

/// Nodes that know each other.
struct Cluster {
    nodes: Vec<Node<ToyVerifier>>,
    signers: Vec<Box<dyn Signer<ToyVerifier> + Send>>,
    keys: Vec<PublicKey>,
    now: Now,
    in_flight: VecDeque<Envelope>,
    received: u64,
    sessions: u64,
    completed: u64,
}

impl Cluster {
    fn new(signers: u32) -> Self {
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_767_225_600_000) };
        let node = |number: u32| {
            let entropy = Entropy::new([number as u8 + 1; 32]).expect("not all zero");
            let meter = Meter::default();
            let message_signer = Toy::message_signer(&[number as u8; 32], entropy.stream("messages"), &meter);
            let boot = Boot {
                message_signer,
                verifier: Toy::verifier(&meter),
                entropy,
                peer: peer_id(number),
                records: Vec::new(),
            };
            Node::new(Config::new(Network::Regtest), boot, now).expect("an empty journal")
        };
        let signer = |number: u32| {
            let entropy = Entropy::new([number as u8 + 1; 32]).expect("not all zero");
            Toy::signer(&[number as u8; 32], entropy.stream("signer"), &Meter::default())
        };
        let own_signers = (0..signers).map(signer).collect();
        let nodes: Vec<_> = (0..signers).map(node).collect();
        let keys = nodes.iter().map(|node| node.view().own_key()).collect();
        let in_flight = VecDeque::new();
        let mut cluster =
            Self { nodes, signers: own_signers, keys, now, in_flight, received: 0, sessions: 0, completed: 0 };
        for node in 0..signers {
            (0..signers)
                .filter(|other| *other != node)
                .for_each(|other| cluster.give(node, Input::Connected(peer_id(other))));
        }
        cluster.pause();
        cluster
    }

    fn pause(&mut self) {
        let wall = self.now.wall.checked_add(PAUSE).expect("time goes on");
        self.now = Now { mono: self.now.mono.after(PAUSE), wall };
        (0..self.nodes.len() as u32).for_each(|node| self.give(node, Input::Tick));
        self.deliver();
    }

    fn give(&mut self, node: u32, input: Input) {
        self.nodes[node as usize].handle(self.now, input);
        self.settle(node);
    }

    fn settle(&mut self, number: u32) {
        let (node, signer) = (&mut self.nodes[number as usize], &mut self.signers[number as usize]);
        let in_flight = &mut self.in_flight;
        let mut host = BenchHost {
            own: peer_id(number),
            in_flight,
            durable: None,
            requests: Vec::new(),
            commands: Vec::new(),
            completed: 0,
        };
        loop {
            drain(node, &mut host);
            if let Some(sequence) = host.durable.take() {
                node.handle(self.now, Input::Persisted(sequence));
            } else if !host.requests.is_empty() {
                for request in std::mem::take(&mut host.requests) {
                    node.answer(self.now, signer.as_mut(), &request);
                }
            } else if let Some(command) = host.commands.pop() {
                node.command(self.now, command).expect("what a node asks for can be done");
            } else {
                break;
            }
        }
        self.completed += host.completed;
    }

    fn deliver(&mut self) {
        while let Some(Envelope { from, to, bytes }) = self.in_flight.pop_front() {
            self.received += 1;
            self.give(to, Input::Received { from, bytes });
        }
    }

    fn sign(&mut self) {
        self.pause();
        let creator = (self.sessions % self.nodes.len() as u64) as u32;
        self.sessions += 1;
        let message = [7; 32].to_vec();
        let command = Command::Create(Box::new(NewSession::new(Suite::Lotus, self.keys.clone(), message)));
        self.nodes[creator as usize].command(self.now, command).expect("there is room");
        self.settle(creator);
        self.deliver();
    }

    fn refused(&self) -> u64 {
        self.nodes.iter().map(|node| node.view().refusals().total()).sum()
    }

    fn admitted(&self) -> u64 {
        self.received - self.refused()
    }

    /// Signs until so many more messages were admitted; how many it were.
    fn admit(&mut self, count: u64) -> u64 {
        let before = self.admitted();
        while self.admitted() < before + count {
            self.sign();
        }
        assert_eq!(self.completed, self.sessions * self.nodes.len() as u64, "every session completes at every signer");
        self.admitted() - before
    }
}

fn main() {
    let arguments: Vec<u32> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let signers = if arguments.is_empty() { vec![2, 3, 5, 10, 30, 100] } else { arguments };
    println!("| signers | messages in a session | refused | admitted per core-second |\n|---|---|---|---|");
    for signers in signers {
        let mut cluster = Cluster::new(signers);
        cluster.admit(WARM_UP);
        let (sessions, refused, start) = (cluster.sessions, cluster.refused(), clock::now());
        let admitted = cluster.admit(MEASURED);
        let seconds = (clock::now() - start).as_secs_f64();
        let of_each = admitted as f64 / (cluster.sessions - sessions) as f64;
        let (refused, rate) = (cluster.refused() - refused, admitted as f64 / seconds);
        println!("| {signers} | {of_each:.0} | {refused} | {rate:.0} |");
    }
}
