//! One simulated machine: a node, its disk, and what the node has asked for since it was last looked at.
//!
//! Invariant: the disk holds what the node was told is durable, and nothing else; a crash loses the rest.

use std::collections::BTreeMap;

use nelumbo_core::api::{Event, GossipId, OperationId, RecordSequence, Topic, Verdict};
use nelumbo_core::base::{Bytes, Entropy, Now};
use nelumbo_core::crypto::{PublicKey, Secp256k1, SecretKey, SoftwareSigner};
use nelumbo_core::host::Host;
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Address, PeerId};

use crate::options::Options;
use crate::random::Random;

/// Something a node wants of the world.
#[derive(Debug)]
pub(crate) enum Wish {
    Persist(RecordSequence),
    Send(PeerId, Bytes),
    Lookup(OperationId),
}

/// A machine that is running or has crashed.
pub(crate) struct Machine {
    pub(crate) peer: PeerId,
    pub(crate) key: PublicKey,
    secret: [u8; 32],
    pub(crate) node: Option<Node>,
    /// Grows with each boot; what was on its way to an earlier life does not arrive.
    pub(crate) life: u64,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    writing: Vec<(RecordSequence, Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) asked: Asked,
}

/// What the node has asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) events: Vec<Event>,
    writes: Vec<(RecordSequence, Vec<u8>, Option<Vec<u8>>)>,
}

impl Machine {
    pub(crate) fn new(seed: u64, index: usize) -> Self {
        let mut random = Random::stream(seed, "key", index as u64);
        let (secret, key) = loop {
            let bytes = random.bytes32();
            if let Ok(key) = SecretKey::from_bytes(&bytes) {
                break (bytes, key.public_key());
            }
        };
        let peer = PeerId::from_bytes(&(index as u64).to_be_bytes()).expect("eight bytes name a peer");
        Self {
            peer,
            key,
            secret,
            node: None,
            life: 0,
            disk: BTreeMap::new(),
            writing: Vec::new(),
            asked: Asked::default(),
        }
    }

    /// Starts the node with what the disk holds.
    pub(crate) fn boot(&mut self, options: &Options, now: Now) {
        self.life += 1;
        let secret = SecretKey::from_bytes(&self.secret).expect("the key was valid before");
        let number = u64::from_be_bytes(*self.peer.as_bytes().first_chunk().expect("eight bytes name a peer"));
        let life = Random::stream(options.seed, "life", self.life).draw();
        let seed = Random::stream(life, "boot", number).bytes32();
        let entropy = Entropy::new(seed).expect("a mixed counter is not all zero");
        let boot = Boot {
            signer: Box::new(SoftwareSigner::new(secret, entropy.stream("signer"))),
            verifier: Secp256k1,
            entropy,
            peer: self.peer,
            records: self.disk.clone().into_iter().collect(),
        };
        self.node = Some(Node::new(options.config.clone(), boot, now).expect("a node reads its own journal"));
    }

    /// Stops the node at once. What the disk had not taken is gone.
    pub(crate) fn crash(&mut self) {
        self.node = None;
        self.writing.clear();
        self.asked = Asked::default();
    }

    /// The disk takes every write up to this one.
    pub(crate) fn sync(&mut self, up_to: RecordSequence) {
        for (_, key, value) in self.writing.extract_if(.., |(sequence, ..)| *sequence <= up_to) {
            match value {
                Some(value) => self.disk.insert(key, value),
                None => self.disk.remove(&key),
            };
        }
    }

    /// Takes what the node has asked for; its writes are under way from now on.
    pub(crate) fn take(&mut self) -> (Vec<Wish>, Vec<Event>) {
        let Asked { wishes, events, writes } = std::mem::take(&mut self.asked);
        self.writing.extend(writes);
        (wishes, events)
    }
}

impl Host for Asked {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.writes.push((sequence, key, value));
        self.wishes.push(Wish::Persist(sequence));
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.wishes.push(Wish::Send(to, bytes));
    }

    fn lookup(&mut self, operation: OperationId, _: String) {
        self.wishes.push(Wish::Lookup(operation));
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    // This world has neither gossip nor a DHT, and whoever is up is connected: presences travel from peer to peer.
    fn dial(&mut self, _: PeerId, _: Vec<Address>) {}
    fn subscribe(&mut self, _: Topic) {}
    fn publish(&mut self, _: Topic, _: Bytes) {}
    fn verdict(&mut self, _: GossipId, _: Verdict) {}
    fn store(&mut self, _: String, _: Bytes) {}
    fn release(&mut self, _: PeerId) {}
}
