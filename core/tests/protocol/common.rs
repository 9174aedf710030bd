//! One honest node, and scripted peers: signers whose every message the test writes.

use std::sync::Arc;

use nelumbo_core::api::{Command, Config, Event, Input, Output, Phase, RecordSequence, Refusal, SignRequest};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Entropy, Mono, Now, Wall};
use nelumbo_core::crypto::{
    MessageKey, Network, NonceSlot, PartialSignature, PublicKey, PublicNonce, Secp256k1, SecretKey, Signature, Signer,
    SoftwareSigner, Suite, Tweak, Verifier,
};
use nelumbo_core::election::Method;
use nelumbo_core::node::{Boot, BootError, Node};
use nelumbo_core::protocol::Protocol;
use nelumbo_core::single::SingleSigner;
use nelumbo_core::wire::{
    Body, Content, Definition, Delegation, Details, Item, Label, Message, PeerId, Presence, SessionId, SessionMessage,
    seal, seal_delegated,
};

pub(crate) const WALL: u64 = 1_767_225_600_000;
pub(crate) const HOUR: u64 = 60 * 60 * 1000;

pub(crate) fn now(nanos: u64) -> Now {
    Now { mono: Mono::from_nanos(nanos), wall: Wall::from_millis(WALL + nanos / 1_000_000) }
}

/// The same, with the wall clock ahead by so many milliseconds.
fn ahead(nanos: u64, millis: i64) -> Now {
    let Now { mono, wall } = now(nanos);
    Now { mono, wall: Wall::from_millis(wall.as_millis().saturating_add_signed(millis)) }
}

/// A signer that says whatever the test wants.
pub(crate) struct ScriptedPeer {
    pub(crate) peer: PeerId,
    pub(crate) author: MessageKey,
    /// What speaks for it, if it has delegated.
    pub(crate) delegated: Option<(MessageKey, Delegation)>,
    signer: SoftwareSigner,
    sequence: u64,
}

impl ScriptedPeer {
    pub(crate) fn new(number: u8) -> Self {
        let secret = SecretKey::from_bytes(&[number; 32]).expect("a small number is a key");
        let entropy = Entropy::new([number; 32]).expect("not all zero");
        Self::with(PeerId::from_bytes(&[number]).expect("one byte names a peer"), secret, entropy)
    }

    /// One of many, for whom a byte is not enough.
    pub(crate) fn numbered(number: u16) -> Self {
        let (mut bytes, entropy) = ([1; 32], Entropy::new([1; 32]).expect("not all zero"));
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let secret = SecretKey::from_bytes(&bytes).expect("below the order");
        let peer = PeerId::from_bytes(&number.to_be_bytes()).expect("two bytes name a peer");
        Self::with(peer, secret, entropy)
    }

    fn with(peer: PeerId, secret: SecretKey, entropy: Entropy) -> Self {
        let (secret, stream) = (Arc::new(secret), entropy.stream("messages"));
        let author = MessageKey::new(secret.clone(), stream);
        Self { peer, author, delegated: None, signer: SoftwareSigner::new(secret, entropy), sequence: 0 }
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.signer.public_key()
    }

    pub(crate) fn say_body(&mut self, body: Body) -> Bytes {
        let key = self.key();
        match &mut self.delegated {
            None => seal(&mut self.author, Network::Regtest, body),
            Some((author, delegation)) => seal_delegated(author, key, delegation, Network::Regtest, body),
        }
        .expect("software signs")
    }

    pub(crate) fn say(&mut self, session: SessionId, attempt: u32, content: Content) -> Bytes {
        self.sequence += 1;
        self.say_at(session, attempt, self.sequence, content)
    }

    pub(crate) fn say_at(&mut self, session: SessionId, attempt: u32, sequence: u64, content: Content) -> Bytes {
        self.say_body(Body::Session(SessionMessage { session, attempt, sequence, content }))
    }

    pub(crate) fn presence(&mut self, peer: PeerId, issued_at: u64) -> Bytes {
        self.say_body(Body::Presence(Presence {
            peer,
            addresses: Vec::new(),
            issued_at: Wall::from_millis(issued_at),
            expires_at: Wall::from_millis(issued_at + HOUR),
        }))
    }

    /// The nonce of a session with one item.
    pub(crate) fn nonce(&mut self, definition: &Definition, attempt: u32) -> PublicNonce {
        self.nonces(definition, attempt)[0]
    }

    /// One nonce for each item.
    pub(crate) fn nonces(&mut self, definition: &Definition, attempt: u32) -> Vec<PublicNonce> {
        let slot = NonceSlot { session: *definition.id().as_bytes(), attempt };
        let (keys, messages) = (all_keys(definition), definition.messages().expect("they are sound"));
        let items: Vec<_> = keys.iter().zip(messages.iter().map(|message| &message[..])).collect();
        self.signer.nonces(slot, &items).expect("the slot is new")
    }

    /// The partial signature of a session with one item, over these nonces in key order.
    pub(crate) fn sign(&mut self, definition: &Definition, attempt: u32, nonces: &[PublicNonce]) -> PartialSignature {
        let lists: Vec<_> = nonces.iter().map(|nonce| vec![*nonce]).collect();
        self.sign_all(definition, attempt, &lists)[0]
    }

    /// The partial signature of each item, over the nonces of each signer in key order.
    pub(crate) fn sign_all(
        &mut self,
        definition: &Definition,
        attempt: u32,
        nonces: &[Vec<PublicNonce>],
    ) -> Vec<PartialSignature> {
        let slot = NonceSlot { session: *definition.id().as_bytes(), attempt };
        let (keys, rounds) = (all_keys(definition), rounds(definition, nonces));
        self.signer.sign(slot, &keys.iter().zip(&rounds).collect::<Vec<_>>()).expect("the nonces are fresh")
    }
}

/// The keys of each item.
pub(crate) fn all_keys(definition: &Definition) -> Vec<<Secp256k1 as Verifier>::Keys> {
    let of = |item: &Item| Secp256k1.aggregate_keys(definition.suite, &definition.keys, &item.tweak);
    definition.items.iter().map(|item| of(item).expect("the keys are sound")).collect()
}

/// The round of each item, opened with the nonces of each signer in key order.
pub(crate) fn rounds(definition: &Definition, nonces: &[Vec<PublicNonce>]) -> Vec<<Secp256k1 as Verifier>::Round> {
    let messages = definition.messages().expect("they are sound");
    let items = all_keys(definition).into_iter().zip(messages).enumerate();
    let open = |(item, (keys, message)): (usize, (_, std::borrow::Cow<'_, [u8]>))| {
        let nonces: Vec<_> = nonces.iter().map(|list| list[item]).collect();
        Secp256k1.open_round(&keys, &nonces, &message).expect("the nonces are sound")
    };
    items.map(open).collect()
}

/// The message of a session with one item.
pub(crate) fn message(definition: &Definition) -> Vec<u8> {
    definition.message(0).expect("it has one").into_owned()
}

/// The keys of a session with one item.
pub(crate) fn keys(definition: &Definition) -> <Secp256k1 as Verifier>::Keys {
    Secp256k1
        .aggregate_keys(definition.suite, &definition.keys, &definition.items[0].tweak)
        .expect("the keys are sound")
}

/// The approval of a session that signs a bare message, as these tests have them.
pub(crate) fn approve(session: SessionId) -> Command {
    Command::Join { session, allow: [Unusual::Opaque].into() }
}

/// The honest node.
pub(crate) struct TestNode {
    pub(crate) node: Node,
    /// Answers at once, unless the test does.
    pub(crate) signer: Option<SoftwareSigner>,
    /// Signs alone, unless the test does.
    pub(crate) single: Option<SingleSigner>,
    /// What it was asked for, when the test answers.
    pub(crate) requests: Vec<SignRequest>,
    pub(crate) key: PublicKey,
    pub(crate) time: u64,
    /// By how much the wall clock is ahead of what it would show, in milliseconds.
    pub(crate) wall_ahead: i64,
    /// Whether records become durable at once.
    pub(crate) syncs: bool,
    pub(crate) last_record: RecordSequence,
    pub(crate) records: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    /// Each record that was written, in order: the first byte of its key, and how many bytes the value has.
    pub(crate) written: Vec<(u8, Option<usize>)>,
    pub(crate) sent: Vec<(PeerId, Message)>,
    pub(crate) events: Vec<Event>,
    pub(crate) others: Vec<Output>,
}

pub(crate) const NODE: u8 = 0x77;

impl TestNode {
    pub(crate) fn new() -> Self {
        Self::with(Config::new(Network::Regtest), Vec::new(), 1)
    }

    pub(crate) fn with(config: Config, records: Vec<(Vec<u8>, Vec<u8>)>, life: u8) -> Self {
        Self::of(NODE, config, records, life)
    }

    /// A node that starts at this time by its wall clock.
    pub(crate) fn at(config: Config, records: Vec<(Vec<u8>, Vec<u8>)>, life: u8, wall: u64) -> Self {
        Self::start(NODE, config, records, life, (0, wall as i64 - WALL as i64))
    }

    /// How many sessions the journal knows.
    pub(crate) fn session_records(&self) -> usize {
        self.records.keys().filter(|key| key.starts_with(b"s")).count()
    }

    /// A node with the key and peer of this number.
    pub(crate) fn of(number: u8, config: Config, records: Vec<(Vec<u8>, Vec<u8>)>, life: u8) -> Self {
        Self::start(number, config, records, life, (0, 0))
    }

    /// The same, that starts at this time with a wall clock that is ahead by so many milliseconds.
    pub(crate) fn start(
        number: u8,
        config: Config,
        records: Vec<(Vec<u8>, Vec<u8>)>,
        life: u8,
        (time, wall_ahead): (u64, i64),
    ) -> Self {
        let secret = Arc::new(SecretKey::from_bytes(&[number; 32]).expect("a small number is a key"));
        let key = secret.public_key();
        let entropy = Entropy::new([life; 32]).expect("not all zero");
        let signer = SoftwareSigner::new(secret.clone(), entropy.stream("signer"));
        let boot = Boot {
            message_signer: Box::new(MessageKey::new(secret, entropy.stream("messages"))),
            verifier: Secp256k1,
            entropy,
            peer: PeerId::from_bytes(&[number]).expect("one byte names a peer"),
            records: records.clone(),
        };
        let mut node = Self {
            node: Node::new(config, boot, ahead(time, wall_ahead)).expect("the records are sound"),
            signer: Some(signer),
            single: None,
            requests: Vec::new(),
            key,
            time,
            wall_ahead,
            syncs: true,
            last_record: RecordSequence::default(),
            records: records.into_iter().collect(),
            written: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            others: Vec::new(),
        };
        node.drain();
        node
    }

    /// Makes a scripted a connected peer that has shown its key.
    pub(crate) fn meet(&mut self, scripted: &mut ScriptedPeer) {
        self.input(Input::Connected(scripted.peer));
        let presence = scripted.presence(scripted.peer, WALL);
        self.hear(scripted, presence);
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.time += 1;
        self.node.handle(self.now(), input);
        self.drain();
    }

    pub(crate) fn hear(&mut self, from: &ScriptedPeer, bytes: Bytes) {
        self.input(Input::Received { from: from.peer, bytes });
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.time += millis * 1_000_000;
        self.input(Input::Tick);
    }

    /// The machine sleeps: its monotonic clock stands still.
    pub(crate) fn sleep(&mut self, millis: u64) {
        self.wall_ahead += millis as i64;
        self.input(Input::Tick);
    }

    fn now(&self) -> Now {
        ahead(self.time, self.wall_ahead)
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<(), nelumbo_core::api::CommandError> {
        let result = self.node.command(self.now(), command).map(|_| ());
        self.drain();
        result
    }

    pub(crate) fn register(&mut self, protocol: Box<dyn Protocol>) {
        self.node.register(protocol).ok().expect("the first of its name");
        self.drain();
    }

    /// Takes a protocol out. False when there was none of this name.
    pub(crate) fn unregister(&mut self, name: &Label) -> bool {
        let protocol = self.node.unregister(name);
        self.drain();
        protocol.is_some()
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.node.poll() {
            match output {
                Output::Sign(request @ SignRequest::Single { .. }) => {
                    match self.single.as_mut().and_then(|single| single.answer(&request)) {
                        Some(reply) => self.node.handle(ahead(self.time, self.wall_ahead), Input::Signed(reply)),
                        None => self.requests.push(request),
                    }
                }
                Output::Sign(request) => match &mut self.signer {
                    Some(signer) => self.node.answer(ahead(self.time, self.wall_ahead), signer, &request),
                    None => self.requests.push(request),
                },
                Output::Persist { sequence, key, value } => {
                    self.last_record = sequence;
                    self.written.push((key[0], value.as_ref().map(Vec::len)));
                    match value {
                        Some(value) => self.records.insert(key, value),
                        None => self.records.remove(&key),
                    };
                    if self.syncs {
                        self.node.handle(self.now(), Input::Persisted(sequence));
                    }
                }
                Output::Send { to, bytes } => {
                    self.sent.push((to, Message::decode(bytes).expect("a node sends messages")));
                }
                Output::Event(event) => self.events.push(event),
                other => self.others.push(other),
            }
        }
    }

    /// Counts a refusal exactly once, for what `attack` does.
    pub(crate) fn refuses(&mut self, refusal: Refusal, attack: impl FnOnce(&mut Self)) {
        let before = self.node.view().refusals().get(refusal);
        let all = self.node.view().refusals().total();
        attack(self);
        let counts: Vec<_> = self.node.view().refusals().iter().collect();
        assert_eq!(self.node.view().refusals().get(refusal), before + 1, "{refusal:?} in {counts:?}");
        assert_eq!(self.node.view().refusals().total(), all + 1, "only {refusal:?} in {counts:?}");
    }

    /// The steps that the node has sent to a peer since this was last asked.
    pub(crate) fn steps_to(&mut self, scripted: &ScriptedPeer) -> Vec<SessionMessage> {
        let (to_peer, rest) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == scripted.peer);
        self.sent = rest;
        let steps = |(_, message): (PeerId, Message)| match message.unsigned.body {
            Body::Session(step) => Some(step),
            _ => None,
        };
        Vec::into_iter(to_peer).filter_map(steps).collect()
    }
}

/// A session of the node and these peers, which `creator` has asked for.
pub(crate) fn definition(creator: PublicKey, mut keys: Vec<PublicKey>) -> Definition {
    keys.sort_unstable();
    Definition {
        network: Network::Regtest,
        suite: Suite::Lotus,
        creator: keys.iter().position(|key| *key == creator).expect("the creator signs") as u16,
        keys,
        items: vec![Item::message(vec![9; 32], Tweak::None)],
        details: Details::default(),
        is_listed: false,
        election: Method::Lexicographic,
        created_at: Wall::from_millis(WALL),
        expires_at: Wall::from_millis(WALL + HOUR),
        nonce: [3; 32],
    }
}

/// The node and two peers in a session that the first peer has announced and the node has joined.
pub(crate) fn joined() -> (TestNode, ScriptedPeer, ScriptedPeer, Definition, Vec<SessionMessage>) {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.meet(&mut bob);
    let definition = definition(alice.key(), vec![node.key, alice.key(), bob.key()]);
    let nonce = alice.nonce(&definition, 1);
    let bytes =
        alice.say(definition.id(), 1, Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] });
    node.hear(&alice, bytes);
    node.command(approve(definition.id())).unwrap();
    let steps = node.steps_to(&alice);
    (node, alice, bob, definition, steps)
}

/// Why a node does not begin with these records.
pub(crate) fn boot_error(records: Vec<(Vec<u8>, Vec<u8>)>) -> Option<BootError> {
    let entropy = Entropy::new([1; 32]).expect("not all zero");
    let secret = SecretKey::from_bytes(&[NODE; 32]).expect("a small number is a key");
    let message_signer = Box::new(MessageKey::new(secret, entropy.stream("messages")));
    let peer = PeerId::from_bytes(&[NODE]).expect("one byte names a peer");
    let boot = Boot { message_signer, verifier: Secp256k1, entropy, peer, records };
    Node::new(Config::new(Network::Regtest), boot, now(0)).err()
}

/// The announcement of a session with one item.
pub(crate) fn announcement(definition: &Definition, nonce: PublicNonce) -> Content {
    Content::Announce { definition: definition.clone().into(), nonces: vec![nonce] }
}

pub(crate) fn nonce_in(steps: &[SessionMessage]) -> PublicNonce {
    steps.iter().find_map(|step| step.content.nonces().map(|nonces| nonces[0])).expect("a nonce was sent")
}

pub(crate) fn partial_in(steps: &[SessionMessage]) -> (PartialSignature, [u8; 32]) {
    steps
        .iter()
        .find_map(|step| match step.content {
            Content::Partial { ref partials, nonces } => Some((partials[0], nonces)),
            _ => None,
        })
        .expect("a partial signature was sent")
}

pub(crate) fn phase(node: &TestNode, session: SessionId) -> Phase {
    node.node.view().session(&session).expect("the session is known").phase
}

/// A session in which all three have signed; the peers' partial signatures are not delivered.
pub(crate) struct Signed {
    pub(crate) node: TestNode,
    pub(crate) alice: ScriptedPeer,
    pub(crate) bob: ScriptedPeer,
    pub(crate) definition: Definition,
    /// In key order.
    pub(crate) nonces: Vec<PublicNonce>,
    /// Of their list, as the node sees it.
    pub(crate) hash: [u8; 32],
    pub(crate) of_alice: PartialSignature,
    pub(crate) of_bob: PartialSignature,
    pub(crate) of_node: PartialSignature,
}

pub(crate) fn all_signed() -> Signed {
    all_signed_with(Method::Lexicographic)
}

/// The same, with this way to choose the coordinator.
pub(crate) fn all_signed_with(election: Method) -> Signed {
    let (mut node, mut alice, mut bob) = (TestNode::new(), ScriptedPeer::new(1), ScriptedPeer::new(2));
    node.meet(&mut alice);
    node.meet(&mut bob);
    let definition = Definition { election, ..definition(alice.key(), vec![node.key, alice.key(), bob.key()]) };
    let alice_nonce = alice.nonce(&definition, 1);
    let announce = Content::Announce { definition: definition.clone().into(), nonces: vec![alice_nonce] };
    let bytes = alice.say(definition.id(), 1, announce);
    node.hear(&alice, bytes);
    node.command(approve(definition.id())).unwrap();
    let node_nonce = nonce_in(&node.steps_to(&alice));
    let bob_nonce = bob.nonce(&definition, 1);
    let bytes = bob.say(definition.id(), 1, Content::Join { nonces: vec![bob_nonce] });
    node.hear(&bob, bytes);
    let mut nonces = vec![node_nonce; 3];
    nonces[definition.index_of(&alice.key()).unwrap()] = alice_nonce;
    nonces[definition.index_of(&bob.key()).unwrap()] = bob_nonce;
    let (of_node, hash) = partial_in(&node.steps_to(&alice));
    let of_alice = alice.sign(&definition, 1, &nonces);
    let of_bob = bob.sign(&definition, 1, &nonces);
    Signed { node, alice, bob, definition, nonces, hash, of_alice, of_bob, of_node }
}

impl Signed {
    /// The final signature.
    pub(crate) fn combine(&self) -> Signature {
        let mut partials = [self.of_node; 3];
        partials[self.definition.index_of(&self.alice.key()).unwrap()] = self.of_alice;
        partials[self.definition.index_of(&self.bob.key()).unwrap()] = self.of_bob;
        let keys = keys(&self.definition);
        let message = message(&self.definition);
        let round = Secp256k1.open_round(&keys, &self.nonces, &message).expect("the nonces are sound");
        Secp256k1.combine(&keys, &round, &partials).expect("the partial signatures are sound")
    }
}

/// A session that has completed at the node.
pub(crate) fn completed() -> (TestNode, ScriptedPeer, ScriptedPeer, Definition) {
    let Signed { mut node, mut alice, mut bob, definition, of_alice, of_bob, hash: nonces, .. } = all_signed();
    let bytes = alice.say(definition.id(), 1, Content::Partial { nonces, partials: vec![of_alice] });
    node.hear(&alice, bytes);
    let bytes = bob.say(definition.id(), 1, Content::Partial { nonces, partials: vec![of_bob] });
    node.hear(&bob, bytes);
    assert_eq!(phase(&node, definition.id()), Phase::Complete);
    (node, alice, bob, definition)
}

/// What a partial signature names of the nonces that it is over, as the wire's documentation defines it.
pub(crate) fn nonces_hash(nonces: &[PublicNonce]) -> [u8; 32] {
    let list: Vec<u8> = nonces.iter().flat_map(|nonce| *nonce.as_bytes()).collect();
    nelumbo_core::crypto::tagged_hash("nelumbo/nonces/1", &[&list])
}
