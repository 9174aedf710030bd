//! Nodes, puppets, and a network that the fuzzer holds in its hands.
//!
//! Owns everything that outlives a node. Driven by the script; the invariants over several nodes are in `checks`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use nelumbo_core::api::{Command, GossipId, Input, OperationId, Output, Refusal};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::wire::{Body, Definition, Message, PeerId, Presence, merge_own};

use super::super::journal::WALL;
use super::super::scheme::Scheme;
use super::checks::Checks;
use super::honest::Honest;
use super::puppet::{Heard, Puppet};

/// More outputs than one input has a reason to bring about, with so few peers and sessions.
const MOST_OUTPUTS: usize = 20_000;
/// What the network holds; more is lost.
const MOST_FLYING: usize = 256;
/// How many sessions a script can speak of.
const MOST_KNOWN: usize = 8;
const HOUR: u64 = 60 * 60 * 1000;

/// Something on its way.
#[derive(Clone)]
pub(super) enum Flight {
    Direct { from: PeerId, to: usize, bytes: Bytes },
    Gossip { from: PeerId, to: usize, bytes: Bytes },
    Dial { from: usize, to: usize },
    Lookup { by: usize, operation: OperationId, key: String },
}

pub(super) enum Party<S: Scheme> {
    Honest(Box<Honest<S>>),
    Puppet(Box<Puppet<S>>),
}

pub(super) struct World<S: Scheme> {
    pub(super) time: u64,
    pub(super) parties: Vec<Party<S>>,
    pub(super) flying: VecDeque<Flight>,
    /// Everything that ever left anyone, for replays.
    pub(super) past: Vec<Bytes>,
    pub(super) known: Vec<Definition>,
    pub(super) heard: Heard,
    pub(super) checks: Checks,
    links: BTreeSet<(usize, usize)>,
    records: BTreeMap<String, Bytes>,
    gossip: u64,
    newest: Option<Message>,
    /// What the whole script may still deliver, so that no input takes long.
    pub(super) patience: usize,
}

impl<S: Scheme> World<S> {
    /// `puppets` has a bit for each party but the first, which is honest.
    pub(super) fn new(parties: usize, puppets: u8) -> Self {
        let party = |index: usize| {
            let (number, peer) = (index as u8 + 1, peer_of(index));
            if index > 0 && puppets >> (index - 1) & 1 == 1 {
                Party::Puppet(Box::new(Puppet::new(number)))
            } else {
                Party::Honest(Box::new(Honest::new(number, peer)))
            }
        };
        let parties: Vec<Party<S>> = (0..parties).map(party).collect();
        let honest = parties.iter().filter_map(|party| match party {
            Party::Honest(honest) => Some((honest.key, honest.peer)),
            Party::Puppet(_) => None,
        });
        Self {
            time: 0,
            checks: Checks::new(honest.collect()),
            parties,
            flying: VecDeque::new(),
            past: Vec::new(),
            known: Vec::new(),
            heard: Heard::default(),
            links: BTreeSet::new(),
            records: BTreeMap::new(),
            gossip: 0,
            newest: None,
            patience: 1_500,
        }
    }

    pub(super) fn keys(&self) -> Vec<PublicKey> {
        let key = |party: &Party<S>| match party {
            Party::Honest(honest) => honest.key,
            Party::Puppet(puppet) => puppet.key,
        };
        self.parties.iter().map(key).collect()
    }

    pub(super) fn honest(&mut self, index: usize) -> Option<&mut Honest<S>> {
        match self.parties.get_mut(index) {
            Some(Party::Honest(honest)) => Some(honest),
            _ => None,
        }
    }

    pub(super) fn puppet(&mut self, index: usize) -> Option<&mut Puppet<S>> {
        match self.parties.get_mut(index) {
            Some(Party::Puppet(puppet)) => Some(puppet),
            _ => None,
        }
    }

    /// Starts a node that is down and connects it to everyone.
    pub(super) fn start(&mut self, index: usize) {
        let time = self.time;
        let Some(honest) = self.honest(index) else { return };
        if honest.node.is_some() {
            return;
        }
        honest.boot(time);
        self.pump(index);
        (0..self.parties.len()).for_each(|other| self.link(index, other));
    }

    /// Stops a node at once; the oldest `kept` of its waiting records reach the disk.
    pub(super) fn crash(&mut self, index: usize, kept: usize) {
        let Some(honest) = self.honest(index) else { return };
        honest.node = None;
        honest.disk.sync(kept);
        (0..self.parties.len()).for_each(|other| self.unlink(index, other));
    }

    pub(super) fn link(&mut self, one: usize, other: usize) {
        let is_up = |party: &Party<S>| !matches!(party, Party::Honest(honest) if honest.node.is_none());
        if one == other || !is_up(&self.parties[one]) || !is_up(&self.parties[other]) {
            return;
        }
        if self.links.insert((one.min(other), one.max(other))) {
            self.input(one, Input::Connected(peer_of(other)));
            self.input(other, Input::Connected(peer_of(one)));
            for (puppet, to) in [(one, other), (other, one)] {
                let from = peer_of(puppet);
                if let Some(bytes) = self.presence(puppet, from, 0) {
                    self.fly(Flight::Direct { from, to, bytes });
                }
            }
        }
    }

    /// A puppet's presence at this peer, issued so many milliseconds from now.
    pub(super) fn presence(&mut self, puppet: usize, peer: PeerId, later: u64) -> Option<Bytes> {
        let issued_at = WALL.wrapping_add(self.time / 1_000_000).wrapping_add(later);
        let presence = Presence {
            peer,
            addresses: Vec::new(),
            issued_at: Wall::from_millis(issued_at),
            expires_at: Wall::from_millis(issued_at.wrapping_add(HOUR)),
        };
        Some(self.puppet(puppet)?.seal(Body::Presence(presence)))
    }

    pub(super) fn unlink(&mut self, one: usize, other: usize) {
        if self.links.remove(&(one.min(other), one.max(other))) {
            self.input(one, Input::Disconnected(peer_of(other)));
            self.input(other, Input::Disconnected(peer_of(one)));
        }
    }

    pub(super) fn fly(&mut self, flight: Flight) {
        if let Flight::Direct { bytes, .. } = &flight {
            self.past.push(bytes.clone());
        }
        if self.flying.len() < MOST_FLYING {
            self.flying.push_back(flight);
        }
    }

    pub(super) fn deliver(&mut self, flight: Flight) {
        let Some(patience) = self.patience.checked_sub(1) else { return };
        self.patience = patience;
        match flight {
            Flight::Direct { from, to, bytes } => self.receive(from, to, bytes),
            Flight::Gossip { from, to, bytes } => {
                self.gossip += 1;
                self.input(to, Input::Gossip { from, id: GossipId(self.gossip), bytes });
            }
            Flight::Dial { from, to } => self.link(from, to),
            Flight::Lookup { by, operation, key } => {
                if let Some(bytes) = self.records.get(&key).cloned() {
                    self.input(by, Input::Found { operation, bytes });
                }
                self.input(by, Input::LookupFinished(operation));
            }
        }
    }

    fn receive(&mut self, from: PeerId, to: usize, bytes: Bytes) {
        let before = self.gaps(to);
        self.input(to, Input::Received { from, bytes: bytes.clone() });
        // What a stranger brings may be anything that claims to be an honest node's.
        let is_genuine = self.index_of(&from).is_some_and(|from| self.honest(from).is_some());
        if self.gaps(to) > before
            && is_genuine
            && let Ok(message) = Message::decode(bytes)
        {
            let author = self.keys().iter().position(|key| *key == message.unsigned.author);
            if let Some(honest) = author.and_then(|author| self.honest(author)) {
                honest.watch.is_refused(&message);
            }
        }
    }

    /// How often a node has refused a message for its number.
    fn gaps(&mut self, index: usize) -> u64 {
        let node = self.honest(index).and_then(|honest| honest.node.as_ref());
        node.map_or(0, |node| node.view().refusals().get(Refusal::SequenceGap))
    }

    /// Delivers everything, oldest first, until nothing is on its way.
    pub(super) fn quiet(&mut self) {
        for _ in 0..400 {
            let Some(flight) = self.flying.pop_front() else { return };
            self.deliver(flight);
        }
    }

    pub(super) fn input(&mut self, index: usize, input: Input) {
        let time = self.time;
        if let Some(honest) = self.honest(index) {
            honest.input(time, input);
            self.pump(index);
        }
    }

    pub(super) fn command(&mut self, index: usize, command: Command) {
        let time = self.time;
        let Some(honest) = self.honest(index) else { return };
        let (key, now) = (honest.key, honest.now(time));
        let Some(node) = &mut honest.node else { return };
        let told = command.clone();
        let result = node.command(now, command);
        self.checks.commanded(key, &told, result.is_ok());
        self.pump(index);
    }

    /// Time passes for everyone.
    pub(super) fn pass(&mut self, nanos: u64) {
        self.time += nanos;
        (0..self.parties.len()).for_each(|index| self.input(index, Input::Tick));
    }

    /// Takes all that a node has to say.
    fn pump(&mut self, index: usize) {
        let mut outputs = 0;
        if let Some(honest) = self.honest(index) {
            honest.watch.hears();
        }
        while let Some(output) = self.honest(index).and_then(|honest| honest.node.as_mut()?.poll()) {
            outputs += 1;
            assert!(outputs < MOST_OUTPUTS, "one input brings about {outputs} outputs");
            self.on_output(index, output);
        }
    }

    fn on_output(&mut self, index: usize, output: Output) {
        let (time, from) = (self.time, peer_of(index));
        match output {
            Output::Persist { sequence, key, value } => {
                let honest = self.honest(index).expect("only nodes have outputs");
                honest.disk.push(sequence, key, value);
                if honest.syncs {
                    honest.sync(time, usize::MAX);
                }
            }
            Output::Send { to, bytes } => {
                self.listen(index, Some(to), &bytes);
                if let Some(to) = self.index_of(&to) {
                    self.fly(Flight::Direct { from, to, bytes });
                }
            }
            Output::Publish { bytes, .. } => {
                self.listen(index, None, &bytes);
                for to in (0..self.parties.len()).filter(|to| *to != index) {
                    self.fly(Flight::Gossip { from, to, bytes: bytes.clone() });
                }
            }
            Output::Dial { peer, .. } => {
                if let Some(to) = self.index_of(&peer) {
                    self.fly(Flight::Dial { from: index, to });
                }
            }
            Output::Lookup { operation, key } => self.fly(Flight::Lookup { by: index, operation, key }),
            Output::Store { key, value, .. } => {
                let value = self.records.get(&key).map_or(value.clone(), |stored| merge_own(stored, &value).into());
                self.records.insert(key, value);
            }
            Output::Event(event) => {
                if let Party::Honest(honest) = &self.parties[index]
                    && let Some(node) = &honest.node
                {
                    let new = node
                        .view()
                        .sessions()
                        .find(|session| !self.known.iter().any(|known| known == session.definition.as_ref()));
                    if self.known.len() < MOST_KNOWN {
                        self.known.extend(new.map(|session| (*session.definition).clone()));
                    }
                    self.checks.event::<S::Verifier>(node, &honest.disk, &event);
                }
            }
            _ => {}
        }
    }

    /// What leaves a node: its watch sees it, and the puppets hear it.
    fn listen(&mut self, index: usize, to: Option<PeerId>, bytes: &Bytes) {
        // One message to several peers is decoded once.
        let message = match self.newest.take() {
            Some(message) if Arc::ptr_eq(&message.bytes, bytes) => message,
            _ => {
                let message = Message::decode(bytes.clone()).expect("a node sends messages");
                self.heard.hear(&message);
                message
            }
        };
        let honest = self.honest(index).expect("only nodes have outputs");
        honest.watch.sends(&honest.key, to, &message, &honest.disk);
        self.newest = Some(message);
    }

    fn index_of(&self, peer: &PeerId) -> Option<usize> {
        (0..self.parties.len()).find(|index| peer_of(*index) == *peer)
    }
}

/// The peer of the party with this index, or of a stranger beyond them.
pub(super) fn peer_of(index: usize) -> PeerId {
    PeerId::from_bytes(&[index as u8 + 1]).expect("one byte names a peer")
}
