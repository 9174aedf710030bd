//! Target `node_bytes`: one node on the real curve, and everything that a host, a peer and an embedder can do to it.
//!
//! Invariants: no panic, a bounded number of outputs for each input, and those of [`SafetyMonitor`]. Most bytes stop at
//! the signature; `signed` has them sealed by a stranger with a valid key. Sessions in depth are `script`'s business.

use nelumbo_core::api::{
    Command, Config, GossipId, Input, NewSession, OperationId, Output, PutId, RecordSequence, SignReply, SignRequest,
    SignerFilter, Subnet,
};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    MessageKey, Network, PartialSignature, PublicKey, Secp256k1, SignerError, SoftwareSigner, Verifier,
};
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Body, List, Message, PeerId, RecordKey, SessionId, Unsigned, seal};

use super::disk::Disk;
use super::journal::{OWN, WALL};
use super::monitor::SafetyMonitor;
use super::scheme::secret;
use super::source::Source;
use super::values;

/// More outputs than one input has a reason to bring about, with so few peers and sessions.
const MAX_OUTPUTS: usize = 20_000;

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

pub(crate) fn run(data: &[u8]) {
    let source = &mut Source::new(data);
    let mut test_node = TestNode::new();
    let mut steps = 0;
    while !source.is_empty() && steps < 64 {
        test_node.step(source);
        test_node.drain();
        steps += 1;
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

/// A command of discovery.
fn discovery(source: &mut Source<'_>) -> Command {
    match source.below(8) {
        0 => Command::Advertise(Box::new(values::offer(source))),
        1 => Command::Withdraw,
        2 => Command::Subscribe(values::kind(source)),
        3 => Command::FindSigners(SignerFilter {
            kind: source.flag().then(|| values::kind(source)),
            amount: source.flag().then(|| source.number()),
            min_reputation: source.byte(),
            max_results: source.below(4),
        }),
        4 => Command::FindRequests,
        5 => Command::FindSession(SessionId::from_bytes(source.array())),
        6 => Command::AnnounceResource {
            kind: values::label(source),
            name: values::label(source),
            data: values::data(source),
            lifetime: std::time::Duration::from_millis(source.number()),
        },
        _ => Command::FindResources(values::label(source)),
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

    fn step(&mut self, source: &mut Source<'_>) {
        match source.byte() {
            0 => {
                let (from, bytes) = (peer(source), source.bytes(2_000).into());
                self.input(Input::Received { from, bytes });
            }
            1 => {
                let (from, bytes) = (peer(source), source.bytes(2_000));
                let bytes = self.signed(bytes);
                self.input(Input::Received { from, bytes });
            }
            2 => {
                let (from, bytes) = (peer(source), source.bytes(2_000));
                let bytes = if source.flag() { self.signed(bytes) } else { bytes.into() };
                self.gossip += 1;
                self.input(Input::Gossip { from, id: GossipId(self.gossip), bytes });
            }
            3 => {
                let (operation, bytes) = (OperationId(u64::from(source.byte())), source.bytes(2_000));
                let bytes = if source.flag() { self.signed(bytes) } else { bytes.into() };
                self.input(Input::Found { operation, bytes });
            }
            4 => self.input(Input::Connected(peer(source))),
            5 => self.input(Input::Disconnected(peer(source))),
            6 => self.advance_time(source),
            7 => self.create(source),
            8 => self.command_session(source),
            9 => self.sync(source.below(8)),
            // Said before; never that a record is durable which is not.
            10 => self.input(Input::Persisted(RecordSequence::from_u64(self.synced.min(u64::from(source.byte()))))),
            11 => self.input(Input::LookupFinished(OperationId(source.number()))),
            12 => self.input(Input::RoutingTable(source.below(20))),
            13 => {
                let addresses = (0..source.below(20)).filter_map(|_| values::address(source)).collect();
                self.input(Input::Addresses(addresses));
            }
            14 => self.command(Command::Ban(peer(source))),
            15 => self.command(Command::Unban(peer(source))),
            16 => self.wall = source.number(),
            17 => {
                // More than any channel takes.
                let length = 9_990 + usize::from(u16::from_le_bytes(source.array())) * 2;
                self.input(Input::Received { from: peer(source), bytes: vec![1; length].into() });
            }
            18 => {
                let body = values::body(source);
                let bytes = self.seal(body);
                self.input(Input::Received { from: peer(source), bytes });
            }
            19 => {
                let bytes = self.record(source);
                let stored = source.flag().then(|| self.record(source));
                let key = self.record_key(source, &bytes);
                self.offers += 1;
                let (from, id) = (peer(source), PutId(self.offers));
                let subnet = source.flag().then(|| Subnet::V4([source.byte(), 0, 0]));
                self.input(Input::PutRequested { from, subnet, id, key, bytes, stored });
            }
            20 => {
                let command = discovery(source);
                self.command(command);
            }
            21 => self.answer(source),
            22 => {
                if let Some(reply) = self.replies.get(source.below(16)).cloned() {
                    self.input(Input::Signed(reply));
                }
            }
            23 => self.input(Input::SignerReady),
            _ => self.deadline(),
        }
    }

    /// The signer answers one of the requests that wait, with what is right, with something else, or not at all.
    fn answer(&mut self, source: &mut Source<'_>) {
        if self.requests.is_empty() {
            return;
        }
        let request = self.requests.remove(source.below(self.requests.len()));
        let reply = match source.below(6) {
            0 => request.failed(SignerError::Unavailable),
            1 => request.failed(SignerError::Declined),
            2 => None,
            _ => self.node.view().answer(&mut self.signer, &request),
        };
        let Some(mut reply) = reply else { return };
        if source.byte() > 240 {
            match &mut reply {
                SignReply::Nonces { nonces: Ok(nonces), .. } => drop(nonces.pop()),
                SignReply::Partials { partials: Ok(partials), .. } => {
                    partials.push(PartialSignature::from_bytes(source.array()));
                }
                _ => {}
            }
        }
        self.replies.insert(0, reply.clone());
        self.replies.truncate(16);
        self.input(Input::Signed(reply));
    }

    /// A record: a message of an unknown author, a list with one, or any bytes.
    fn record(&mut self, source: &mut Source<'_>) -> Bytes {
        let body = values::body(source);
        let message = self.seal(body);
        match source.below(3) {
            0 => message,
            1 => {
                let mut log = vec![b'L'];
                log.extend(postcard::to_allocvec(&[message.to_vec()].as_slice()).expect("memory"));
                log.into()
            }
            _ => source.bytes(300).into(),
        }
    }

    /// The key that a record belongs under, most of the time.
    fn record_key(&self, source: &mut Source<'_>, bytes: &Bytes) -> String {
        let message = Message::decode(bytes.clone()).ok();
        let key = message.and_then(|message| RecordKey::of(&message.unsigned.author, &message.unsigned.body));
        match key.filter(|_| source.byte() < 240) {
            Some(key) => key.to_string(),
            None => RecordKey::of_entry(&List::AllSigners, &self.stranger_key).to_string(),
        }
    }

    /// The body in these bytes, signed by an unknown author with its own key.
    fn signed(&mut self, bytes: &[u8]) -> Bytes {
        match postcard::from_bytes::<Unsigned>(bytes) {
            Ok(unsigned) => self.seal(unsigned.body),
            Err(_) => bytes.into(),
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

    fn advance_time(&mut self, source: &mut Source<'_>) {
        let millis = [0, 1, 100, 2_000, 30_000, 600_000, 3_600_000, 86_400_000][source.below(8)];
        self.nanos += millis * 1_000_000 * u64::from(source.byte());
        self.input(Input::Tick);
    }

    fn deadline(&mut self) {
        if let Some(deadline) = self.node.deadline() {
            self.nanos = self.nanos.max(deadline.at.as_nanos());
            self.input(Input::Tick);
        }
    }

    fn create(&mut self, source: &mut Source<'_>) {
        let (suite, tweak, election) = (values::suite(source), values::tweak(source), values::method(source));
        let mut keys = vec![self.own, self.stranger_key];
        (0..source.below(3)).for_each(|_| keys.push(values::key(source)));
        let message = if source.flag() { source.bytes(5_000).to_vec() } else { vec![source.byte(); 32] };
        let session = NewSession { election, ..NewSession::new(suite, keys, message) };
        self.command(Command::Create(Box::new(session.with_tweak(tweak))));
    }

    fn command_session(&mut self, source: &mut Source<'_>) {
        let sessions: Vec<SessionId> = self.node.view().sessions().map(|session| session.id).collect();
        let session = source.place(sessions.len()).map_or(SessionId::from_bytes([0; 32]), |place| sessions[place]);
        self.command(match source.below(5) {
            0 => Command::Join { session, allow: Unusual::ALL.into() },
            1 => Command::Abort(session, values::reason(source)),
            2 => Command::Retry(session),
            3 => Command::ConfirmBroadcast(session),
            _ => Command::Close(session),
        });
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

/// One of a few peers, or any.
fn peer(source: &mut Source<'_>) -> PeerId {
    match source.byte() {
        255 => values::peer(source),
        number => PeerId::from_bytes(&[2 + number % 6]).expect("one byte names a peer"),
    }
}
