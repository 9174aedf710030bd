//! A session of three nodes, and a crash at every write to every journal: before it, in every piece of it, and after
//! it.
//!
//! The nodes, their cryptography and their journals are the real ones; time and network are virtual, so that every run
//! is the same. The disk remembers every operation of the journal, and can show itself as it was after any of them,
//! with the last one half done.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::{Arc, Mutex},
};

use nelumbo_core::{
    api::{Command, Config, Event, Input, NewSession, OperationId, Phase, RecordSequence, SignRequest},
    approval::Unusual,
    base::{Bytes, Entropy, Mono, Now, Wall},
    crypto::{
        KeyAggContext, MessageKey, Network, PublicKey, PublicNonce, Secp256k1, SecretKey, SoftwareSigner, Suite,
        schnorr,
    },
    host::{Host, drain},
    node::{Boot, Node},
    wire::{Body, Content, Message, PeerId, SessionId},
};
use redb::StorageBackend;

use super::{Change, Journal};
use crate::metrics::Metrics;

const SIGNERS: usize = 3;
const MILLISECOND: u64 = 1_000_000;
/// From peer to peer.
const LATENCY: u64 = 10 * MILLISECOND;
/// From crash to restart.
const DOWN: u64 = 500 * MILLISECOND;
const MESSAGE: [u8; 32] = [7; 32];

#[derive(Clone, Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLength(u64),
    Sync,
}

/// What a disk holds, and how it came to that.
#[derive(Debug, Default)]
struct Platter {
    first: Vec<u8>,
    now: Vec<u8>,
    done: Vec<Operation>,
}

impl Platter {
    /// As it was after so many operations, and with `torn` half of the next one.
    fn after(&self, operations: usize, torn: bool) -> Vec<u8> {
        let mut image = self.first.clone();
        self.done[..operations].iter().for_each(|operation| apply(&mut image, operation));
        if let (true, Some(Operation::Write(offset, data))) = (torn, self.done.get(operations)) {
            apply(&mut image, &Operation::Write(*offset, data[..data.len() / 2].to_vec()));
        }
        image
    }
}

fn apply(image: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Write(offset, data) => {
            let offset = usize::try_from(*offset).expect("a small file");
            image[offset..offset + data.len()].copy_from_slice(data);
        }
        Operation::SetLength(length) => image.resize(usize::try_from(*length).expect("a small file"), 0),
        Operation::Sync => {}
    }
}

/// A disk that remembers.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    fn with(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Platter { first: image.clone(), now: image, done: Vec::new() })))
    }

    fn look<T>(&self, look: impl FnOnce(&mut Platter) -> T) -> T {
        look(&mut self.0.lock().expect("nobody panics while it looks"))
    }

    fn take(&self, operation: Operation) {
        self.look(|platter| {
            apply(&mut platter.now, &operation);
            platter.done.push(operation);
        });
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.look(|platter| platter.now.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let offset = usize::try_from(offset).expect("a small file");
        self.look(|platter| out.copy_from_slice(&platter.now[offset..offset + out.len()]));
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.take(Operation::SetLength(length));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.take(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.take(Operation::Write(offset, data.to_vec()));
        Ok(())
    }
}

/// Where in a write to the journal a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    /// In this operation of the write.
    During(usize),
    /// Everything is on the disk, and the node has not heard of it.
    After,
}

/// This node dies at its `write`-th write.
#[derive(Clone, Copy, Debug)]
struct Crash {
    node: usize,
    write: usize,
    moment: Moment,
}

struct Machine {
    node: Option<Node<Secp256k1>>,
    signer: Option<SoftwareSigner>,
    journal: Option<Journal>,
    disk: Disk,
    incarnation: u8,
    /// The operations of each write to the journal in the first life.
    writes: Vec<Range<usize>>,
}

enum ScheduledEvent {
    Arrive { from: usize, to: usize, bytes: Bytes },
    Restart(usize),
    Create,
}

struct Simulation {
    machines: Vec<Machine>,
    keys: Vec<PublicKey>,
    time: u64,
    queue: BTreeMap<(u64, u64), ScheduledEvent>,
    queued: u64,
    crash: Option<Crash>,
    /// Every nonce that was shown, and where; every partial signature.
    nonces: BTreeMap<PublicNonce, (PublicKey, SessionId, u32)>,
    contributions: BTreeMap<(PublicKey, SessionId, u32, bool), Vec<u8>>,
}

/// What a node wants done.
#[derive(Default)]
struct Outputs {
    changes: Vec<Change>,
    sequence: u64,
    sends: Vec<(usize, Bytes)>,
    requests: Vec<SignRequest>,
    lookups: Vec<OperationId>,
    announced: Vec<SessionId>,
}

impl Simulation {
    fn new(crash: Option<Crash>) -> Self {
        let machine = |_| Machine {
            node: None,
            signer: None,
            journal: None,
            disk: Disk::default(),
            incarnation: 0,
            writes: Vec::new(),
        };
        let mut simulation = Self {
            machines: (0..SIGNERS).map(machine).collect(),
            keys: (0..SIGNERS).map(|node| secret(node).public_key()).collect(),
            time: 0,
            queue: BTreeMap::new(),
            queued: 0,
            crash,
            nonces: BTreeMap::new(),
            contributions: BTreeMap::new(),
        };
        (0..SIGNERS).for_each(|node| simulation.boot(node));
        simulation.after(1_000 * MILLISECOND, ScheduledEvent::Create);
        simulation
    }

    fn boot(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.incarnation += 1;
        let (journal, records) =
            Journal::open_on(machine.disk.clone(), &Metrics::new()).expect("a crash damages no journal");
        let entropy = Entropy::new([16 * (index as u8 + 1) + machine.incarnation; 32]).expect("not all zero");
        let message_signer = Box::new(MessageKey::new(secret(index), entropy.stream("messages")));
        let signer = SoftwareSigner::new(secret(index), entropy.stream("signer"));
        let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer: peer(index), records };
        let node = Node::new(Config::new(Network::Regtest), boot, now(self.time)).expect("a node reads what it wrote");
        (machine.node, machine.signer, machine.journal) = (Some(node), Some(signer), Some(journal));
        for other in (0..SIGNERS).filter(|other| *other != index) {
            if self.machines[other].node.is_some() {
                self.input(index, Input::Connected(peer(other)));
                self.input(other, Input::Connected(peer(index)));
            }
        }
    }

    fn after(&mut self, delay: u64, event: ScheduledEvent) {
        self.queued += 1;
        self.queue.insert((self.time + delay, self.queued), event);
    }

    fn input(&mut self, index: usize, input: Input) {
        if let Some(node) = &mut self.machines[index].node {
            node.handle(now(self.time), input);
            self.settle(index);
        }
    }

    fn command(&mut self, index: usize, command: Command) {
        if let Some(node) = &mut self.machines[index].node {
            node.command(now(self.time), command).expect("the session is sound");
            self.settle(index);
        }
    }

    /// Does what a node wants, until it wants nothing more or dies.
    fn settle(&mut self, index: usize) {
        loop {
            let Some(node) = &mut self.machines[index].node else { return };
            let mut outputs = Outputs::default();
            drain(node, &mut outputs);
            for (to, bytes) in outputs.sends {
                self.watch(&bytes);
                self.after(LATENCY, ScheduledEvent::Arrive { from: index, to, bytes });
            }
            let wrote = !outputs.changes.is_empty();
            if wrote {
                if !self.write(index, outputs.sequence, outputs.changes) {
                    return;
                }
                let durable = Input::Persisted(RecordSequence::from_u64(outputs.sequence));
                self.machines[index].node.as_mut().expect("it runs").handle(now(self.time), durable);
            }
            let asked = !outputs.requests.is_empty();
            for request in outputs.requests {
                let machine = &mut self.machines[index];
                let signer = machine.signer.as_mut().expect("it runs");
                machine.node.as_mut().expect("it runs").answer(now(self.time), signer, &request);
            }
            if !wrote && !asked && outputs.lookups.is_empty() && outputs.announced.is_empty() {
                return;
            }
            outputs.lookups.into_iter().for_each(|operation| self.input(index, Input::LookupFinished(operation)));
            outputs
                .announced
                .into_iter()
                .for_each(|session| self.command(index, Command::Join { session, allow: [Unusual::Opaque].into() }));
        }
    }

    /// Writes to the journal. False when the node dies of it.
    fn write(&mut self, index: usize, sequence: u64, changes: Vec<Change>) -> bool {
        let machine = &mut self.machines[index];
        let journal = machine.journal.as_ref().expect("it runs");
        let start = machine.disk.look(|platter| platter.done.len());
        journal.append(sequence, changes).expect("there is room");
        let mut durable = journal.durable();
        let written = durable.wait_for(|durable| durable.sequence >= sequence || durable.failure.is_some());
        let failure = futures::executor::block_on(written).expect("the writer runs").failure.clone();
        assert!(failure.is_none(), "{failure:?}");
        let end = machine.disk.look(|platter| platter.done.len());
        if machine.incarnation > 1 {
            return true;
        }
        machine.writes.push(start..end);
        let number = machine.writes.len();
        let is_hit = |crash: &Crash| crash.node == index && crash.write == number;
        let Some(Crash { moment, .. }) = self.crash.filter(is_hit) else { return true };
        let image = machine.disk.look(|platter| match moment {
            Moment::Before => platter.after(start, false),
            Moment::During(operation) => platter.after(start + operation, true),
            Moment::After => platter.after(end, false),
        });
        (machine.node, machine.journal, machine.disk) = (None, None, Disk::with(image));
        self.after(DOWN, ScheduledEvent::Restart(index));
        for other in (0..SIGNERS).filter(|other| *other != index) {
            self.input(other, Input::Disconnected(peer(index)));
        }
        false
    }

    /// Asserts that no nonce is used twice.
    fn watch(&mut self, bytes: &Bytes) {
        let message = Message::decode(bytes.clone()).expect("nodes send messages").unsigned;
        let Body::Session(step) = message.body else { return };
        let (author, place) = (message.author, (step.session, step.attempt));
        let contribution = match &step.content {
            Content::Announce { nonces, .. } | Content::Join { nonces } => {
                for nonce in nonces {
                    let before = self.nonces.insert(*nonce, (author, place.0, place.1));
                    let is_same = before.is_none_or(|before| before == (author, place.0, place.1));
                    assert!(is_same, "a nonce in two attempts");
                }
                nonces.iter().flat_map(|nonce| nonce.to_bytes()).collect()
            }
            Content::Partial { partials, nonces } => nonces
                .iter()
                .copied()
                .chain(partials.iter().flat_map(|partial| partial.to_bytes()))
                .collect::<Vec<u8>>(),
            _ => return,
        };
        let key = (author, place.0, place.1, matches!(step.content, Content::Partial { .. }));
        let first = self.contributions.entry(key).or_insert_with(|| contribution.clone());
        assert_eq!(*first, contribution, "two nonces, or two partial signatures, in one attempt");
    }

    /// Goes on until every node has the signature. Returns the attempt that it came from.
    fn run(&mut self) -> u32 {
        while !self.is_signed() {
            assert!(self.time < 3_600_000 * MILLISECOND, "no signature within an hour: {:?}", self.crash);
            let due =
                |(index, machine): (usize, &Machine)| Some((machine.node.as_ref()?.deadline()?.at.as_nanos(), index));
            let timer = self.machines.iter().enumerate().filter_map(due).min();
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (timer, next) {
                (Some((at, index)), next) if next.is_none_or(|next| at < next) => {
                    self.time = self.time.max(at);
                    self.input(index, Input::Tick);
                }
                (_, Some(_)) => {
                    let ((at, _), event) = self.queue.pop_first().expect("seen above");
                    self.time = at;
                    self.occur(event);
                }
                (_, None) => panic!("nothing happens any more: {:?}", self.crash),
            }
        }
        self.check()
    }

    fn occur(&mut self, event: ScheduledEvent) {
        match event {
            ScheduledEvent::Arrive { from, to, bytes } => self.input(to, Input::Received { from: peer(from), bytes }),
            ScheduledEvent::Restart(index) => {
                self.boot(index);
                let is_unborn =
                    |machine: &Machine| machine.node.as_ref().is_none_or(|node| node.view().sessions().len() == 0);
                // An owner that has not heard that the session exists asks again.
                if self.machines.iter().all(is_unborn) {
                    self.after(1_000 * MILLISECOND, ScheduledEvent::Create);
                }
            }
            ScheduledEvent::Create => {
                let session = NewSession::new(Suite::Lotus, self.keys.clone(), MESSAGE.to_vec());
                self.command(0, Command::Create(Box::new(session)));
            }
        }
    }

    fn is_signed(&self) -> bool {
        self.machines.iter().all(|machine| {
            machine
                .node
                .as_ref()
                .is_some_and(|node| node.view().sessions().any(|session| session.phase == Phase::Complete))
        })
    }

    fn check(&self) -> u32 {
        let mut keys = self.keys.clone();
        keys.sort_unstable();
        let aggregate = KeyAggContext::new(Suite::Lotus, &keys).expect("the keys are sound").aggregate_key();
        let nodes = self.machines.iter().flat_map(|machine| &machine.node);
        let signatures: BTreeSet<_> = nodes
            .flat_map(|node| node.view().sessions().flat_map(|session| session.signatures).collect::<Vec<_>>())
            .collect();
        assert_eq!(signatures.len(), 1, "all have the same signature");
        assert!(signatures.iter().all(|signature| schnorr::verify(Suite::Lotus, &aggregate, &MESSAGE, signature)));
        let partials = self.contributions.keys().filter(|(_, _, _, is_partial)| *is_partial);
        partials.map(|(_, _, attempt, _)| *attempt).max().expect("a signature has partial signatures")
    }
}

impl Host for Outputs {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.sequence = sequence.as_u64();
        self.changes.push((key, value));
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.sends.push((usize::from(to.as_bytes()[0]) - 1, bytes));
    }

    fn lookup(&mut self, operation: OperationId, _: String) {
        self.lookups.push(operation);
    }

    fn sign(&mut self, request: SignRequest) {
        self.requests.push(request);
    }

    fn event(&mut self, event: Event) {
        if let Event::SessionAnnounced { session, .. } = event {
            self.announced.push(session);
        }
    }
}

fn secret(node: usize) -> SecretKey {
    SecretKey::from_bytes(&[node as u8 + 1; 32]).expect("a small number is a key")
}

fn peer(node: usize) -> PeerId {
    PeerId::from_bytes(&[node as u8 + 1]).expect("one byte names a peer")
}

fn now(time: u64) -> Now {
    Now { mono: Mono::from_nanos(time), wall: Wall::from_millis(1_767_225_600_000 + time / MILLISECOND) }
}

#[test]
#[allow(clippy::print_stdout, reason = "how many points were tried is worth knowing")]
fn a_crash_at_any_write_to_any_journal_costs_an_attempt_at_most() {
    let mut undisturbed = Simulation::new(None);
    assert_eq!(undisturbed.run(), 1);
    let (mut points, mut images, mut later) = (0, 0, 0);
    for (node, machine) in undisturbed.machines.iter().enumerate() {
        for (operations, write) in machine.writes.iter().zip(1..) {
            points += 3;
            let during = (0..operations.len()).map(Moment::During);
            for moment in during.chain([Moment::Before, Moment::After]) {
                images += 1;
                later += u32::from(Simulation::new(Some(Crash { node, write, moment })).run() > 1);
            }
        }
    }
    println!("{points} crash points, seen as {images} images of a disk; {later} ended in a later attempt");
    // An attempt, a spent nonce and a signature at each of three signers, each before, during and after.
    assert_eq!(points, 3 * 3 * 3);
    assert!(later > points, "{later} later attempts");
    assert_eq!(images, 87, "the book has this number");
}
