//! Nodes, scripted peers, and a network whose deliveries the fuzzer decides.
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
use super::honest_node::HonestNode;
use super::scripted_peer::{ScriptedPeer, Transcript};

/// More outputs than one input has a reason to bring about, with so few peers and sessions.
const MAX_OUTPUTS: usize = 20_000;
/// How many messages may be in flight; more are lost.
const MAX_IN_FLIGHT: usize = 256;
/// How many sessions a script can refer to.
const MAX_SESSIONS: usize = 8;
const HOUR: u64 = 60 * 60 * 1000;

/// A message in flight.
#[derive(Clone)]
pub(super) enum InFlight {
    Direct { from: PeerId, to: usize, bytes: Bytes },
    Gossip { from: PeerId, to: usize, bytes: Bytes },
    Dial { from: usize, to: usize },
    Lookup { by: usize, operation: OperationId, key: String },
}

pub(super) enum Participant<S: Scheme> {
    HonestNode(Box<HonestNode<S>>),
    ScriptedPeer(Box<ScriptedPeer<S>>),
}

pub(super) struct Harness<S: Scheme> {
    pub(super) time: u64,
    pub(super) participants: Vec<Participant<S>>,
    pub(super) in_flight: VecDeque<InFlight>,
    /// All messages that were ever sent, for replays.
    pub(super) sent_messages: Vec<Bytes>,
    pub(super) sessions: Vec<Definition>,
    pub(super) transcript: Transcript,
    pub(super) checks: Checks,
    connections: BTreeSet<(usize, usize)>,
    records: BTreeMap<String, Bytes>,
    gossip: u64,
    newest: Option<Message>,
    /// How many messages the script may still deliver, so that no input takes long.
    pub(super) delivery_budget: usize,
}

impl<S: Scheme> Harness<S> {
    /// `scripted` has a bit for each participant but the first, which is honest.
    pub(super) fn new(participants: usize, scripted: u8) -> Self {
        let participant = |index: usize| {
            let (number, peer) = (index as u8 + 1, peer_of(index));
            if index > 0 && scripted >> (index - 1) & 1 == 1 {
                Participant::ScriptedPeer(Box::new(ScriptedPeer::new(number)))
            } else {
                Participant::HonestNode(Box::new(HonestNode::new(number, peer)))
            }
        };
        let participants: Vec<Participant<S>> = (0..participants).map(participant).collect();
        let honest = participants.iter().filter_map(|participant| match participant {
            Participant::HonestNode(honest) => Some((honest.key, honest.peer)),
            Participant::ScriptedPeer(_) => None,
        });
        Self {
            time: 0,
            checks: Checks::new(honest.collect()),
            participants,
            in_flight: VecDeque::new(),
            sent_messages: Vec::new(),
            sessions: Vec::new(),
            transcript: Transcript::default(),
            connections: BTreeSet::new(),
            records: BTreeMap::new(),
            gossip: 0,
            newest: None,
            delivery_budget: 1_500,
        }
    }

    pub(super) fn keys(&self) -> Vec<PublicKey> {
        let key = |participant: &Participant<S>| match participant {
            Participant::HonestNode(honest) => honest.key,
            Participant::ScriptedPeer(peer) => peer.key,
        };
        self.participants.iter().map(key).collect()
    }

    /// The session at this place, modulo their number.
    pub(super) fn session(&self, place: u8) -> Option<&Definition> {
        self.sessions.get(usize::from(place) % self.sessions.len().max(1))
    }

    pub(super) fn honest(&mut self, index: usize) -> Option<&mut HonestNode<S>> {
        match self.participants.get_mut(index) {
            Some(Participant::HonestNode(honest)) => Some(honest),
            _ => None,
        }
    }

    pub(super) fn scripted(&mut self, index: usize) -> Option<&mut ScriptedPeer<S>> {
        match self.participants.get_mut(index) {
            Some(Participant::ScriptedPeer(peer)) => Some(peer),
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
        self.drain_outputs(index);
        (0..self.participants.len()).for_each(|other| self.connect(index, other));
    }

    /// Stops a node at once; the oldest `kept` of its waiting records reach the disk.
    pub(super) fn crash(&mut self, index: usize, kept: usize) {
        let Some(honest) = self.honest(index) else { return };
        honest.node = None;
        honest.disk.sync(kept);
        (0..self.participants.len()).for_each(|other| self.disconnect(index, other));
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let is_down = |index: usize| match &self.participants[index] {
            Participant::HonestNode(honest) => honest.node.is_none(),
            _ => false,
        };
        if one == other || is_down(one) || is_down(other) {
            return;
        }
        if self.connections.insert((one.min(other), one.max(other))) {
            self.input(one, Input::Connected(peer_of(other)));
            self.input(other, Input::Connected(peer_of(one)));
            for (peer, to) in [(one, other), (other, one)] {
                let from = peer_of(peer);
                if let Some(bytes) = self.presence(peer, from, 0) {
                    self.enqueue(InFlight::Direct { from, to, bytes });
                }
            }
        }
    }

    /// A scripted peer's presence at this peer, issued so many milliseconds from now.
    pub(super) fn presence(&mut self, author: usize, peer: PeerId, later: u64) -> Option<Bytes> {
        let issued_at = WALL.wrapping_add(self.time / 1_000_000).wrapping_add(later);
        let presence = Presence {
            peer,
            addresses: Vec::new(),
            issued_at: Wall::from_millis(issued_at),
            expires_at: Wall::from_millis(issued_at.wrapping_add(HOUR)),
        };
        Some(self.scripted(author)?.seal(Body::Presence(presence)))
    }

    pub(super) fn disconnect(&mut self, one: usize, other: usize) {
        if self.connections.remove(&(one.min(other), one.max(other))) {
            self.input(one, Input::Disconnected(peer_of(other)));
            self.input(other, Input::Disconnected(peer_of(one)));
        }
    }

    pub(super) fn enqueue(&mut self, item: InFlight) {
        if let InFlight::Direct { bytes, .. } = &item {
            self.sent_messages.push(bytes.clone());
        }
        if self.in_flight.len() < MAX_IN_FLIGHT {
            self.in_flight.push_back(item);
        }
    }

    pub(super) fn deliver(&mut self, item: InFlight) {
        let Some(delivery_budget) = self.delivery_budget.checked_sub(1) else { return };
        self.delivery_budget = delivery_budget;
        match item {
            InFlight::Direct { from, to, bytes } => self.receive(from, to, bytes),
            InFlight::Gossip { from, to, bytes } => {
                self.gossip += 1;
                self.input(to, Input::Gossip { from, id: GossipId(self.gossip), bytes });
            }
            InFlight::Dial { from, to } => self.connect(from, to),
            InFlight::Lookup { by, operation, key } => {
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
                honest.monitor.on_refused(&message);
            }
        }
    }

    /// How often a node has refused a message for its number.
    fn gaps(&mut self, index: usize) -> u64 {
        let node = self.honest(index).and_then(|honest| honest.node.as_ref());
        node.map_or(0, |node| node.view().refusals().get(Refusal::SequenceGap))
    }

    /// Delivers everything in flight, oldest first, until nothing is left.
    pub(super) fn deliver_all(&mut self) {
        for _ in 0..400 {
            let Some(item) = self.in_flight.pop_front() else { return };
            self.deliver(item);
        }
    }

    pub(super) fn input(&mut self, index: usize, input: Input) {
        let time = self.time;
        if let Some(honest) = self.honest(index) {
            honest.input(time, input);
            self.drain_outputs(index);
        }
    }

    pub(super) fn command(&mut self, index: usize, command: Command) {
        let time = self.time;
        let Some(honest) = self.honest(index) else { return };
        let (key, now) = (honest.key, honest.now(time));
        let Some(node) = &mut honest.node else { return };
        let told = command.clone();
        let result = node.command(now, command);
        self.checks.on_command(key, &told, result.is_ok());
        self.drain_outputs(index);
    }

    /// Time passes for everyone.
    pub(super) fn advance_time(&mut self, nanos: u64) {
        self.time += nanos;
        (0..self.participants.len()).for_each(|index| self.input(index, Input::Tick));
    }

    /// Takes all outputs of a node.
    fn drain_outputs(&mut self, index: usize) {
        let mut outputs = 0;
        if let Some(honest) = self.honest(index) {
            honest.monitor.on_input();
        }
        while let Some(output) = self.honest(index).and_then(|honest| honest.node.as_mut()?.poll()) {
            outputs += 1;
            assert!(outputs < MAX_OUTPUTS, "one input brings about {outputs} outputs");
            self.on_output(index, output);
        }
    }

    fn on_output(&mut self, index: usize, output: Output) {
        let (time, from) = (self.time, peer_of(index));
        match output {
            Output::Persist { sequence, key, value } => {
                let honest = self.honest(index).expect("only nodes have outputs");
                honest.disk.push(sequence, key, value);
                if honest.syncs_at_once {
                    honest.sync(time, usize::MAX);
                }
            }
            Output::Sign(request) => self.honest(index).expect("only nodes have outputs").answer(time, &request),
            Output::Send { to, bytes } => {
                self.on_sent(index, Some(to), &bytes);
                if let Some(to) = self.index_of(&to) {
                    self.enqueue(InFlight::Direct { from, to, bytes });
                }
            }
            Output::Publish { bytes, .. } => {
                self.on_sent(index, None, &bytes);
                for to in (0..self.participants.len()).filter(|to| *to != index) {
                    self.enqueue(InFlight::Gossip { from, to, bytes: bytes.clone() });
                }
            }
            Output::Dial { peer, .. } => {
                if let Some(to) = self.index_of(&peer) {
                    self.enqueue(InFlight::Dial { from: index, to });
                }
            }
            Output::Lookup { operation, key } => self.enqueue(InFlight::Lookup { by: index, operation, key }),
            Output::Store { key, value, .. } => {
                let value = self.records.get(&key).map_or(value.clone(), |stored| merge_own(stored, &value).into());
                self.records.insert(key, value);
            }
            Output::Event(event) => {
                if let Participant::HonestNode(honest) = &self.participants[index]
                    && let Some(node) = &honest.node
                {
                    let new = node
                        .view()
                        .sessions()
                        .find(|session| !self.sessions.iter().any(|known| known == session.definition.as_ref()));
                    if self.sessions.len() < MAX_SESSIONS {
                        self.sessions.extend(new.map(|session| (*session.definition).clone()));
                    }
                    self.checks.event::<S::Verifier>(node, &honest.disk, &event);
                }
            }
            _ => {}
        }
    }

    /// Passes a message that leaves a node to its monitor and to the scripted peers.
    fn on_sent(&mut self, index: usize, to: Option<PeerId>, bytes: &Bytes) {
        // One message to several peers is decoded once.
        let message = match self.newest.take() {
            Some(message) if Arc::ptr_eq(&message.bytes, bytes) => message,
            _ => {
                let message = Message::decode(bytes.clone()).expect("a node sends messages");
                self.transcript.hear(&message);
                message
            }
        };
        let honest = self.honest(index).expect("only nodes have outputs");
        honest.monitor.on_sent(&honest.key, to, &message, &honest.disk);
        self.newest = Some(message);
    }

    fn index_of(&self, peer: &PeerId) -> Option<usize> {
        (0..self.participants.len()).find(|index| peer_of(*index) == *peer)
    }
}

/// The peer id of the participant with this index, or of an unknown peer beyond them.
pub(super) fn peer_of(index: usize) -> PeerId {
    PeerId::from_bytes(&[index as u8 + 1]).expect("one byte names a peer")
}
