//! A journal in one file that is only ever appended to: a node is killed at the worst moment, comes back, and signs.
//!
//! `cargo run -p nelumbo-core --example journal`. The node holds back whatever depends on a record until the record is
//! reported as durable, so a host has three duties: say so only when it is true, in the order of the records, and hand
//! all records to `Boot` at the next start.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a host has what the core may not")]

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::take;
use std::path::Path;
use std::sync::Arc;

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Phase, RecordSequence, SignRequest};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    EntropyError, EntropySource, MessageKey, Network, Secp256k1, SecretKey, SoftwareSigner, Suite, sha256,
};
use nelumbo_core::host::{Host, drain};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::PeerId;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The length of no value.
const REMOVED: u32 = u32::MAX;

/// An entry is the lengths of key and value, eight bytes each of a hash over them and of one over the rest, the key and
/// the value. The last value of a key counts.
struct Journal {
    file: File,
    /// Held while the journal is open: of two nodes on one journal, neither would know what the other has begun.
    _lock: File,
}

impl Journal {
    fn open(folder: &Path) -> io::Result<(Self, Records)> {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock()?;
        let path = folder.join("journal");
        let records = match fs::read(&path) {
            Ok(bytes) => read(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Records::new(),
            Err(error) => return Err(error),
        };
        // Begun anew at each start: without what was replaced, and without a last entry that was cut off. The old file
        // is there until the new one is whole and on the disk, and so is its name.
        let new = folder.join("journal.new");
        let mut journal = Self { file: File::create(&new)?, _lock: lock };
        for (key, value) in &records {
            journal.file.write_all(&entry(key, Some(value)))?;
        }
        journal.file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()?;
        Ok((journal, records))
    }

    /// Returns when the record is on the disk. After an error nothing more may be reported: the node has to stop.
    fn append(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        self.file.write_all(&entry(key, value))?;
        self.file.sync_data()
    }
}

fn entry(key: &[u8], value: Option<&[u8]>) -> Vec<u8> {
    let lengths = [key.len() as u32, value.map_or(REMOVED, |value| value.len() as u32)].map(u32::to_be_bytes).concat();
    let contents = [key, value.unwrap_or_default()].concat();
    [&lengths, &sha256(&[&lengths])[..8], &sha256(&[&contents])[..8], &contents].concat()
}

fn read(mut bytes: &[u8]) -> io::Result<Records> {
    let mut records = Records::new();
    let damage = || io::Error::new(io::ErrorKind::InvalidData, "the journal is damaged");
    while let Some((head, rest)) = bytes.split_first_chunk::<24>() {
        let (lengths, hashes) = head.split_at(8);
        if sha256(&[lengths])[..8] != hashes[..8] {
            return Err(damage());
        }
        let [key, value] = [0, 4].map(|at| u32::from_be_bytes(lengths[at..at + 4].try_into().expect("four bytes")));
        let end = key as usize + if value == REMOVED { 0 } else { value as usize };
        let Some((contents, rest)) = rest.split_at_checked(end) else { break };
        if sha256(&[contents])[..8] != hashes[8..] {
            // A crash can spoil the last entry, of which nobody has been told, and no other.
            return if rest.is_empty() { Ok(records) } else { Err(damage()) };
        }
        let (key, contents) = contents.split_at(key as usize);
        match value {
            REMOVED => drop(records.remove(key)),
            _ => drop(records.insert(key.to_vec(), contents.to_vec())),
        }
        bytes = rest;
    }
    Ok(records)
}

/// A node with its journal and a clock of its own. What it sends waits here until somebody carries it over.
struct Signer {
    node: Node,
    signer: SoftwareSigner,
    now: Now,
    world: World,
}

/// Asks the operating system for each nonce, so that no copy of this process draws the same.
struct Fresh;

impl EntropySource for Fresh {
    fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| EntropyError::Unavailable)?;
        Ok(bytes)
    }
}

struct World {
    journal: Journal,
    durable: Option<RecordSequence>,
    requests: VecDeque<SignRequest>,
    sent: VecDeque<Bytes>,
    events: VecDeque<Event>,
}

impl Host for World {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.journal.append(&key, value.as_deref()).expect("a node without a journal must stop");
        self.durable = Some(sequence);
    }

    fn send(&mut self, _to: PeerId, bytes: Bytes) {
        self.sent.push_back(bytes);
    }

    fn sign(&mut self, request: SignRequest) {
        self.requests.push_back(request);
    }

    fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

impl Signer {
    /// Starts with whatever an earlier life has left in the folder.
    fn start(folder: &Path, secret: u8) -> Self {
        let (journal, records) = Journal::open(folder).expect("a journal");
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the operating system has entropy");
        // Fresh at each start and never stored: nonces of an earlier life are gone, and none of them comes again.
        let entropy = Entropy::new(seed).expect("not all zero");
        let secret = Arc::new(SecretKey::from_bytes(&[secret; 32]).expect("a key"));
        let signer = SoftwareSigner::new(secret.clone(), Fresh);
        let boot = Boot {
            peer: PeerId::from_bytes(&secret.public_key().to_bytes()).expect("33 bytes"),
            message_signer: Box::new(MessageKey::new(secret.clone(), entropy.stream("messages"))),
            verifier: Secp256k1,
            entropy,
            records: records.into_iter().collect(),
        };
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(1_800_000_000_000) };
        let node = Node::new(Config::new(Network::Regtest), boot, now).expect("its own records");
        let (requests, sent, events) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { node, signer, now, world: World { journal, durable: None, requests, sent, events } }
    }

    fn peer(&self) -> PeerId {
        PeerId::from_bytes(&self.node.view().own_key().to_bytes()).expect("33 bytes")
    }

    /// Tells the node what has happened, does what it asks, and reports what is durable, until it asks for nothing
    /// more.
    fn handle(&mut self, input: Input) {
        self.node.handle(self.now, input);
        loop {
            drain(&mut self.node, &mut self.world);
            if let Some(sequence) = self.world.durable.take() {
                self.node.handle(self.now, Input::Persisted(sequence));
            } else if let Some(request) = self.world.requests.pop_front() {
                self.node.answer(self.now, &mut self.signer, &request);
            } else {
                break;
            }
        }
    }
}

/// Connects the two, carries their messages and lets time pass until both are where they should be. Whoever is asked to
/// sign says yes, unseen: the example `two_nodes` looks first.
fn meet(alice: &mut Signer, bob: &mut Signer, is_done: impl Fn(&Node) -> bool) {
    let [alices, bobs] = [&*alice, &*bob].map(Signer::peer);
    alice.handle(Input::Connected(bobs));
    bob.handle(Input::Connected(alices));
    while !is_done(&alice.node) || !is_done(&bob.node) {
        for bytes in take(&mut alice.world.sent) {
            bob.handle(Input::Received { from: alices, bytes });
        }
        for bytes in take(&mut bob.world.sent) {
            alice.handle(Input::Received { from: bobs, bytes });
        }
        for signer in [&mut *alice, &mut *bob] {
            for event in take(&mut signer.world.events) {
                if let Event::SessionAnnounced { session, .. } = event {
                    signer
                        .node
                        .command(signer.now, Command::Join { session, allow: [Unusual::Opaque].into() })
                        .expect("it waits for this");
                }
            }
            if signer.world.sent.is_empty()
                && let Some(deadline) = signer.node.deadline()
            {
                signer.now.mono = deadline.at;
            }
            signer.handle(Input::Tick);
        }
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let [of_alice, of_bob] = ["alice", "bob"].map(|name| folder.path().join(name));
    let (mut alice, mut bob) = (Signer::start(&of_alice, 1), Signer::start(&of_bob, 2));
    // Each has learned which key is at the other end.
    meet(&mut alice, &mut bob, |node| node.view().signers().len() == 1);

    let keys = [&alice, &bob].map(|signer| signer.node.view().own_key());
    let session = NewSession::new(Suite::Bip340, keys.to_vec(), b"what both have agreed to".to_vec());
    take(&mut alice.world.sent);
    alice.node.command(alice.now, Command::Create(Box::new(session))).expect("the session is sound");
    drain(&mut alice.node, &mut alice.world);
    assert!(alice.world.durable.is_some() && alice.world.sent.is_empty(), "nothing is said before it is reported");
    alice.handle(Input::Tick);
    assert!(!alice.world.sent.is_empty(), "now it is, and Alice's nonce with it");
    println!("Alice is killed, and her message is lost. Half an entry is at the end of her journal.");
    drop(alice);
    let torn = entry(b"a key", Some(b"a value"));
    let mut file = File::options().append(true).open(of_alice.join("journal")).expect("her journal");
    file.write_all(&torn[..torn.len() / 2]).expect("a disk");

    let mut alice = Signer::start(&of_alice, 1);
    let view = alice.node.view().sessions().next().expect("her journal has it");
    assert_eq!((view.phase, view.attempt), (Phase::Failed, 1), "the nonce is gone, and that it was drawn is known");
    let id = view.id;
    meet(&mut alice, &mut bob, |node| node.view().session(&id).is_some_and(|view| view.phase == Phase::Complete));
    let view = alice.node.view().session(&id).expect("it has completed");
    assert_eq!(view.attempt, 2);
    println!("She came back, and in attempt 2, with another nonce, both have signed: {}", view.signatures[0]);

    // And once more: a signature that somebody has seen is never lost either.
    drop((alice, bob));
    for (folder, secret) in [(of_alice, 1), (of_bob, 2)] {
        let again = Signer::start(&folder, secret).node.view().session(&id).expect("the journal has it");
        assert_eq!((again.phase, &again.signatures), (Phase::Complete, &view.signatures));
    }
}

#[test]
fn a_last_entry_that_was_cut_off_is_forgiven_and_damage_before_it_is_not() {
    let (one, two) = (entry(b"a", Some(b"1")), entry(b"b", Some(b"2")));
    let both = [one.as_slice(), &two].concat();
    let first = Records::from([(b"a".to_vec(), b"1".to_vec())]);
    for end in one.len()..both.len() {
        assert_eq!(read(&both[..end]).expect("a journal"), first);
    }
    for at in 0..one.len() {
        let mut damaged = both.clone();
        damaged[at] ^= 1;
        assert_eq!(read(&damaged).expect_err("damage").kind(), io::ErrorKind::InvalidData, "byte {at}");
    }
    assert!(read(&[one, entry(b"a", None)].concat()).expect("a journal").is_empty());
}

#[test]
fn it_comes_back_and_signs() {
    main();
}
