//! Target `node_bytes`: one node on the real curve, and everything that a host, a peer and an embedder can do to it.
//!
//! Invariants: no panic, a bounded number of outputs for each input, and those of [`SafetyMonitor`]. Most bytes stop at
//! the signature; `ByStranger` has them sealed with a valid key. Sessions in depth are `script`'s business.

pub(crate) mod moves;

use nelumbo_core::api::{
    Command, Config, GossipId, Input, NewSession, OperationId, Output, PutId, RecordSequence, SignReply, SignRequest,
    Subnet,
};
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    MessageKey, Network, PartialSignature, PublicKey, Secp256k1, SignerError, SoftwareSigner, Verifier,
};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Address, Body, List, Message, PeerId, RecordKey, SessionId, Unsigned, seal};

use super::disk::Disk;
use super::journal::{OWN, WALL};
use super::monitor::SafetyMonitor;
use super::scheme::secret;
use super::values::Wire;
pub use moves::Moves;
pub(crate) use moves::SessionCommand;
use moves::{Answer, Created, Move, Record, Said};

/// More outputs than one input has a reason to bring about, with so few peers and sessions.
const MAX_OUTPUTS: usize = 20_000;
/// How many moves are made.
const MAX_MOVES: usize = 64;

struct TestNode {
    node: Node,
    signer: SoftwareSigner,
    /// What waits for the signer, and what it has answered.
    requests: Vec<SignRequest>,
    replies: Vec<SignReply>,
    own: PublicKey,
    stranger: MessageKey,
    stranger_key: PublicKey,
    nanos: u64,
    wall: u64,
    disk: Disk,
    monitor: SafetyMonitor,
    synced: u64,
    gossip: u64,
    offers: u64,
}

pub(crate) fn run(input: &Moves) {
    let mut test_node = TestNode::new();
    for each in input.moves.iter().take(MAX_MOVES) {
        test_node.make(each);
        test_node.drain();
    }
    test_node.nanos += 1_000_000_000;
    test_node.input(Input::Tick);
    test_node.sync(usize::MAX);
    test_node.drain();
}

/// Takes all outputs and reports all records as durable.
pub(crate) fn acknowledge<V: Verifier>(node: &mut Node<V>, now: Now) {
    let mut outputs = 0;
    while let Some(output) = node.poll() {
        outputs += 1;
        assert!(outputs < MAX_OUTPUTS, "one input brings about {outputs} outputs");
        if let Output::Persist { sequence, .. } = output {
            node.handle(now, Input::Persisted(sequence));
        }
    }
}

impl TestNode {
    fn new() -> Self {
        let entropy = Entropy::new([9; 32]).expect("not all zero");
        let own = secret(OWN).public_key();
        let signer = SoftwareSigner::new(secret(OWN), entropy.stream("signer"));
        let boot = Boot {
            message_signer: Box::new(MessageKey::new(secret(OWN), entropy.stream("messages"))),
            verifier: Secp256k1,
            entropy,
            peer: PeerId::from_bytes(&[OWN]).expect("one byte names a peer"),
            records: Vec::new(),
        };
        let now = Now { mono: Mono::ZERO, wall: Wall::from_millis(WALL) };
        let node = Node::new(Config::new(Network::Regtest), boot, now).expect("an empty journal is sound");
        let stranger = MessageKey::new(secret(2), Entropy::new([2; 32]).expect("not all zero"));
        Self {
            node,
            signer,
            requests: Vec::new(),
            replies: Vec::new(),
            own,
            stranger,
            stranger_key: secret(2).public_key(),
            nanos: 0,
            wall: WALL,
            disk: Disk::default(),
            monitor: SafetyMonitor::default(),
            synced: 0,
            gossip: 0,
            offers: 0,
        }
    }

    fn now(&self) -> Now {
        let wall = self.wall.saturating_add(self.nanos / 1_000_000);
        Now { mono: Mono::from_nanos(self.nanos), wall: Wall::from_millis(wall) }
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now(), input);
    }

    fn command(&mut self, command: Command) {
        if let Err(error) = self.node.command(self.now(), command) {
            assert!(!error.to_string().is_empty());
        }
    }

    fn make(&mut self, each: &Move) {
        match each {
            Move::Deadline => self.deadline(),
            Move::Receive { from, message } => {
                let bytes = self.said(message);
                self.input(Input::Received { from: from.id(), bytes });
            }
            Move::Gossip { from, message } => {
                let bytes = self.said(message);
                self.gossip += 1;
                self.input(Input::Gossip { from: from.id(), id: GossipId(self.gossip), bytes });
            }
            Move::Find { operation, message } => {
                let bytes = self.said(message);
                self.input(Input::Found { operation: OperationId(u64::from(*operation)), bytes });
            }
            Move::Connect { peer } => self.input(Input::Connected(peer.id())),
            Move::Disconnect { peer } => self.input(Input::Disconnected(peer.id())),
            Move::Advance { step, times } => {
                self.nanos += step.millis() * 1_000_000 * u64::from(*times);
                self.input(Input::Tick);
            }
            Move::Create { session } => self.create(session),
            Move::Command { session, command } => self.command_session(*session, command),
            Move::Sync { count } => self.sync(usize::from(count % 8)),
            Move::SyncAgain { sequence } => {
                let sequence = self.synced.min(u64::from(*sequence));
                self.input(Input::Persisted(RecordSequence::from_u64(sequence)));
            }
            Move::LookupFinished { operation } => self.input(Input::LookupFinished(OperationId(operation.0))),
            Move::RoutingTable { size } => self.input(Input::RoutingTable(usize::from(size % 20))),
            Move::Addresses { addresses } => {
                let addresses = addresses.iter().filter_map(|bytes| Address::from_bytes(bytes.0.clone())).collect();
                self.input(Input::Addresses(addresses));
            }
            Move::Ban { peer } => self.command(Command::Ban(peer.id())),
            Move::Unban { peer } => self.command(Command::Unban(peer.id())),
            Move::SetWall { millis } => self.wall = millis.0,
            Move::ReceiveTooLong { from, beyond } => {
                let bytes = vec![1; 9_990 + usize::from(*beyond) * 2].into();
                self.input(Input::Received { from: from.id(), bytes });
            }
            Move::Put { from, subnet, record, stored, is_misplaced } => {
                let bytes = self.record(record);
                let stored = stored.as_ref().map(|stored| self.record(stored));
                let key = self.record_key(&bytes, *is_misplaced);
                self.offers += 1;
                let subnet = subnet.map(|byte| Subnet::V4([byte, 0, 0]));
                self.input(Input::PutRequested { from: from.id(), subnet, id: PutId(self.offers), key, bytes, stored });
            }
            Move::Discover { command } => self.command(command.command()),
            Move::Answer { request, answer } => self.answer(*request, answer),
            Move::AnswerAgain { reply } => {
                if let Some(reply) = self.replies.get(usize::from(*reply)).cloned() {
                    self.input(Input::Signed(reply));
                }
            }
            Move::SignerReady => self.input(Input::SignerReady),
        }
    }

    fn said(&mut self, said: &Said) -> Bytes {
        match said {
            Said::ByStranger { body: Wire(body) } => self.seal(body.clone()),
            Said::Resigned { unsigned } => match postcard::from_bytes::<Unsigned>(&unsigned.0) {
                Ok(unsigned) => self.seal(unsigned.body),
                Err(_) => unsigned.0.as_slice().into(),
            },
            Said::Bytes { bytes } => bytes.0.as_slice().into(),
        }
    }

    /// The signer answers with what is right, with something else, or not at all.
    fn answer(&mut self, place: u8, answer: &Answer) {
        if self.requests.is_empty() {
            return;
        }
        let request = self.requests.remove(usize::from(place) % self.requests.len());
        let reply = match answer {
            Answer::Unavailable => request.failed(SignerError::Unavailable),
            Answer::Declined => request.failed(SignerError::Declined),
            Answer::Lost => None,
            Answer::Right | Answer::Spoiled { .. } => self.node.view().answer(&mut self.signer, &request),
        };
        let Some(mut reply) = reply else { return };
        if let Answer::Spoiled { partial } = answer {
            match &mut reply {
                SignReply::Nonces { nonces: Ok(nonces), .. } => drop(nonces.pop()),
                SignReply::Partials { partials: Ok(partials), .. } => {
                    partials.push(PartialSignature::from_bytes(partial.0));
                }
                _ => {}
            }
        }
        self.replies.insert(0, reply.clone());
        self.replies.truncate(16);
        self.input(Input::Signed(reply));
    }

    fn record(&mut self, record: &Record) -> Bytes {
        match record {
            Record::Message { body: Wire(body) } => self.seal(body.clone()),
            Record::List { body: Wire(body) } => {
                let mut log = vec![b'L'];
                let entries = [self.seal(body.clone()).to_vec()];
                log.extend(postcard::to_allocvec(entries.as_slice()).expect("memory"));
                log.into()
            }
            Record::Bytes { bytes } => bytes.0.as_slice().into(),
        }
    }

    /// The key that a record belongs under, or another one.
    fn record_key(&self, bytes: &Bytes, is_misplaced: bool) -> String {
        let message = Message::decode(bytes.clone()).ok();
        let key = message.and_then(|message| RecordKey::of(&message.unsigned.author, &message.unsigned.body));
        match key.filter(|_| !is_misplaced) {
            Some(key) => key.to_string(),
            None => RecordKey::of_entry(&List::AllSigners, &self.stranger_key).to_string(),
        }
    }

    fn seal(&mut self, mut body: Body) -> Bytes {
        // What is true of every session message that gets far: it is about a session that the node knows.
        if let Body::Session(step) = &mut body
            && step.session.as_bytes()[0] == 0
            && let Some(session) = self.node.view().sessions().next()
        {
            step.session = session.id;
        }
        seal(&mut self.stranger, Network::Regtest, body).expect("software signs")
    }

    fn deadline(&mut self) {
        if let Some(deadline) = self.node.deadline() {
            self.nanos = self.nanos.max(deadline.at.as_nanos());
            self.input(Input::Tick);
        }
    }

    fn create(&mut self, created: &Created) {
        let keys = [self.own, self.stranger_key].into_iter().chain(created.third).collect();
        let message = created.message.as_ref().map_or_else(|| vec![created.byte; 32], |message| message.0.clone());
        let session = NewSession { election: created.election, ..NewSession::new(created.suite, keys, message) };
        self.command(Command::Create(Box::new(session.with_tweak(created.tweak))));
    }

    fn command_session(&mut self, place: u8, command: &SessionCommand) {
        let sessions: Vec<SessionId> = self.node.view().sessions().map(|session| session.id).collect();
        let session = match sessions.len() {
            0 => SessionId::from_bytes([0; 32]),
            known => sessions[usize::from(place) % known],
        };
        self.command(command.on(session));
    }

    fn sync(&mut self, count: usize) {
        if let Some(sequence) = self.disk.sync(count) {
            self.synced = sequence.as_u64();
            self.input(Input::Persisted(sequence));
        }
    }

    fn on_sent(&mut self, to: Option<PeerId>, bytes: Bytes) {
        let message = Message::decode(bytes).expect("a node sends messages");
        self.monitor.on_sent(&self.own, to, &message, &self.disk);
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        self.monitor.on_input();
        while let Some(output) = self.node.poll() {
            outputs += 1;
            assert!(outputs < MAX_OUTPUTS, "one input brings about {outputs} outputs");
            match output {
                Output::Persist { sequence, key, value } => self.disk.push(sequence, key, value),
                Output::Sign(request) => self.requests.push(request),
                Output::Send { to, bytes } => self.on_sent(Some(to), bytes),
                Output::Publish { bytes, .. } => self.on_sent(None, bytes),
                _ => {}
            }
        }
    }
}
