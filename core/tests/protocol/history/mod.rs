//! What went wrong in earlier implementations of this protocol, done again here: each test is named after the failures
//! that it repeats, and shows that they are harmless. The list is `docs/src/failure-history.md`.

mod ids;
mod sessions;

use std::collections::BTreeMap;

use nelumbo_core::api::{Command, Config, Event, Input, NewSession, Output, Phase, SessionView};
use nelumbo_core::base::{Bytes, Entropy};
use nelumbo_core::crypto::{MessageKey, Network, PublicKey, Secp256k1, SecretKey, SoftwareSigner, Suite};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Body, Content, Message, PeerId, SessionId, SessionMessage};

use crate::common::{approve, now};

/// Honest nodes, all connected, and what is in flight between them: the test says what arrives when.
pub(crate) struct Group {
    pub(crate) nodes: Vec<Node>,
    signers: Vec<SoftwareSigner>,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) time: u64,
    /// From whom, to whom, and what.
    pub(crate) flight: Vec<(usize, usize, Bytes)>,
    /// At whom, and the phase that the node's view showed at that moment.
    pub(crate) events: Vec<(usize, Event, Option<Phase>)>,
    /// Whether owners approve at once, inside of the event.
    pub(crate) approves: bool,
}

impl Group {
    pub(crate) fn new(size: usize) -> Self {
        let mut group = Self::apart(size);
        for index in 0..size {
            let others = (0..size).filter(|other| *other != index);
            others.for_each(|other| group.input(index, Input::Connected(peer(other))));
        }
        group.wait(200);
        group.deliver_all();
        assert!(group.nodes.iter().all(|node| node.view().signers().filter(|(_, _, near)| *near).count() + 1 == size));
        group.events.clear();
        group
    }

    /// The same, when nobody is connected yet.
    pub(crate) fn apart(size: usize) -> Self {
        let secret = |index: usize| SecretKey::from_bytes(&[index as u8 + 1; 32]).expect("a small number is a key");
        let node = |index: usize| {
            let entropy = Entropy::new([index as u8 + 1; 32]).expect("not all zero");
            let message_signer = Box::new(MessageKey::new(secret(index), entropy.stream("messages")));
            let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer: peer(index), records: Vec::new() };
            Node::new(Config::new(Network::Regtest), boot, now(0)).expect("an empty journal is sound")
        };
        let signer = |index: usize| {
            let entropy = Entropy::new([index as u8 + 1; 32]).expect("not all zero");
            SoftwareSigner::new(secret(index), entropy.stream("signer"))
        };
        Self {
            signers: (0..size).map(signer).collect(),
            nodes: (0..size).map(node).collect(),
            keys: (0..size).map(|index| secret(index).public_key()).collect(),
            time: 1,
            flight: Vec::new(),
            events: Vec::new(),
            approves: true,
        }
    }

    /// Two of them are connected.
    pub(crate) fn connect(&mut self, one: usize, other: usize) {
        self.input(one, Input::Connected(peer(other)));
        self.input(other, Input::Connected(peer(one)));
    }

    pub(crate) fn input(&mut self, index: usize, input: Input) {
        self.nodes[index].handle(now(self.time), input);
        self.drain(index);
    }

    pub(crate) fn command(&mut self, index: usize, command: Command) {
        self.nodes[index].command(now(self.time), command).expect("the command makes sense");
        self.drain(index);
    }

    pub(crate) fn create(&mut self, index: usize, keys: Vec<PublicKey>) -> SessionId {
        let known = self.ids(index);
        self.command(index, Command::Create(Box::new(NewSession::new(Suite::Lotus, keys, vec![7; 32]))));
        self.ids(index).into_iter().find(|id| !known.contains(id)).expect("there is one more")
    }

    fn ids(&self, index: usize) -> Vec<SessionId> {
        self.nodes[index].view().sessions().map(|session| session.id).collect()
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.time += millis * 1_000_000;
        (0..self.nodes.len()).for_each(|index| self.input(index, Input::Tick));
    }

    /// Lets what is in flight at this place arrive.
    pub(crate) fn deliver(&mut self, place: usize) {
        let (from, to, bytes) = self.flight.remove(place);
        self.input(to, Input::Received { from: peer(from), bytes });
    }

    pub(crate) fn deliver_all(&mut self) {
        while !self.flight.is_empty() {
            self.deliver(0);
        }
    }

    pub(crate) fn look(&self, index: usize, session: SessionId) -> SessionView {
        self.nodes[index].view().session(&session).expect("the session is known")
    }

    /// How often a node was told something about a session.
    pub(crate) fn told(&self, index: usize) -> BTreeMap<String, usize> {
        let mut told = BTreeMap::new();
        for (_, event, _) in self.events.iter().filter(|(at, ..)| *at == index) {
            *told.entry(format!("{event:?}")).or_default() += 1;
        }
        told
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].poll() {
            match output {
                Output::Persist { sequence, .. } => {
                    self.nodes[index].handle(now(self.time), Input::Persisted(sequence))
                }
                Output::Sign(request) => self.nodes[index].answer(now(self.time), &mut self.signers[index], &request),
                Output::Send { to, bytes } => self.flight.push((index, usize::from(to.as_bytes()[0]) - 1, bytes)),
                Output::Lookup { operation, .. } => {
                    self.nodes[index].handle(now(self.time), Input::LookupFinished(operation));
                }
                Output::Event(event) => self.hear(index, event),
                _ => {}
            }
        }
    }

    fn hear(&mut self, index: usize, event: Event) {
        let session = match &event {
            Event::PhaseChanged { session, .. }
            | Event::SessionAnnounced { session, .. }
            | Event::SessionCreated { session, .. }
            | Event::SessionCompleted { session, .. } => Some(*session),
            _ => None,
        };
        let phase = session.and_then(|session| self.nodes[index].view().session(&session)).map(|view| view.phase);
        self.events.push((index, event.clone(), phase));
        if let (Event::SessionAnnounced { session, .. }, true) = (event, self.approves) {
            self.command(index, approve(session));
        }
    }
}

fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[index as u8 + 1]).expect("one byte names a peer")
}

/// The step in a message, if it is one.
pub(crate) fn step(bytes: &Bytes) -> Option<SessionMessage> {
    match Message::decode(bytes.clone()).expect("nodes send messages").unsigned.body {
        Body::Session(step) => Some(step),
        _ => None,
    }
}

pub(crate) fn is_nonce(bytes: &Bytes) -> bool {
    step(bytes).is_some_and(|step| matches!(step.content, Content::Announce { .. } | Content::Join { .. }))
}
