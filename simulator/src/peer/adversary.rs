//! Adversaries: an honest node whose messages are altered, withheld or added to, with the node's own key.
//!
//! Invariant: misbehaviour touches the messages that leave the machine, the events and the commands of the embedder,
//! and never the node itself. Each is counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use nelumbo_core::api::Event;
use nelumbo_core::base::{Bytes, Entropy, Wall};
use nelumbo_core::crypto::{Network, PartialSignature, PublicKey, PublicNonce, Signature, Suite, Tweak};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{
    Body, Content, Definition, Details, Item, Message, PeerId, Presence, SessionId, SessionMessage, Subject, seal,
};

use super::session_step;
use crate::crypto::{Crypto, Meter};
use crate::random::Random;
use crate::schedule::Misbehaviour;

/// How many strangers an adversary announces, as many as a peer may, and each how often it sends of its own accord one
/// of them is announced: each once a minute.
const STRANGERS: usize = 10;
const STRANGER_EVERY: usize = 24;
/// How the sessions are described that owners refuse.
pub(super) const UNWANTED: &str = "unwanted";
/// How many messages an adversary remembers.
const MEMORY: usize = 64;

/// The misbehaviours of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Adversary {
    kinds: BTreeSet<Misbehaviour>,
    memory: VecDeque<Bytes>,
    /// The keys of the strangers that it announces, and how often it might have announced one.
    strangers: Vec<[u8; 32]>,
    chances: usize,
    /// How often each was done since the last call of [`Peer::take_misbehaviours`](super::Peer::take_misbehaviours).
    pub(super) done: BTreeMap<Misbehaviour, u64>,
}

impl Adversary {
    pub(super) fn add(&mut self, misbehaviour: Misbehaviour) {
        self.kinds.insert(misbehaviour);
    }

    /// Whether the node is to do this.
    pub(super) fn is(&self, misbehaviour: Misbehaviour) -> bool {
        self.kinds.contains(&misbehaviour)
    }

    /// Whether the node does this; if so, it counts as done now.
    pub(super) fn does(&mut self, misbehaviour: Misbehaviour) -> bool {
        let does = self.kinds.contains(&misbehaviour);
        if does {
            *self.done.entry(misbehaviour).or_default() += 1;
        }
        does
    }

    /// Whether one of its misbehaviours happens from time to time, and not in answer to something.
    pub(super) fn is_active(&self) -> bool {
        [
            Misbehaviour::Replay,
            Misbehaviour::Flood,
            Misbehaviour::Tamper,
            Misbehaviour::ClockManipulation,
            Misbehaviour::Sybils,
            Misbehaviour::Strangers,
            Misbehaviour::Pester,
        ]
        .iter()
        .any(|misbehaviour| self.kinds.contains(misbehaviour))
    }

    /// Remembers a message, to replay it or to tamper with it later.
    pub(super) fn remember(&mut self, bytes: &Bytes) {
        if bytes.is_empty() || !self.is_active() || self.memory.back().is_some_and(|last| Bytes::ptr_eq(last, bytes)) {
            return;
        }
        if self.memory.len() == MEMORY {
            self.memory.pop_front();
        }
        self.memory.push_back(bytes.clone());
    }

    /// Whether it does not hear this message.
    pub(super) fn is_deaf_to(&mut self, bytes: &Bytes) -> bool {
        let is_signature = self.is(Misbehaviour::DeafToSignatures)
            && session_step(bytes).is_some_and(|(_, step)| matches!(step.content, Content::Finalized { .. }));
        is_signature && self.does(Misbehaviour::DeafToSignatures)
    }

    /// The messages that leave instead of this one to this receiver.
    pub(super) fn alter<C: Crypto>(&mut self, secret: &[u8; 32], to: u32, bytes: Bytes) -> Vec<Bytes> {
        self.remember(&bytes);
        let Ok(message) = Message::decode(bytes.clone()) else { return vec![bytes] };
        let (network, author) = (message.unsigned.network, message.unsigned.author);
        let is_own = C::public_key(secret) == Some(author);
        if is_own && matches!(message.unsigned.body, Body::Presence(_)) && self.does(Misbehaviour::HidesPresence) {
            return Vec::new();
        }
        let Body::Session(step) = message.unsigned.body else { return vec![bytes] };
        if !is_own {
            return vec![bytes];
        }
        match step.content {
            Content::Announce { .. } if to % 2 == 1 && self.does(Misbehaviour::WrongTransaction) => {
                vec![other_message::<C>(secret, network, step)]
            }
            Content::Announce { .. } | Content::Join { .. } => self.alter_nonce::<C>(secret, network, to, step, bytes),
            // Who sees all partial signatures has the signature, and keeps that too.
            Content::Finalized { .. } if self.does(Misbehaviour::WithholdPartials) => Vec::new(),
            Content::Partial { .. } => self.alter_partial::<C>(secret, network, step, bytes),
            _ => vec![bytes],
        }
    }

    fn alter_nonce<C: Crypto>(
        &mut self,
        secret: &[u8; 32],
        network: Network,
        to: u32,
        mut step: SessionMessage,
        bytes: Bytes,
    ) -> Vec<Bytes> {
        if self.does(Misbehaviour::WithholdNonces) {
            return Vec::new();
        }
        let (Content::Announce { nonces, .. } | Content::Join { nonces }) = &mut step.content else {
            return vec![bytes];
        };
        // One wrong item spoils all.
        let Some(nonce) = nonces.last_mut() else { return vec![bytes] };
        if self.does(Misbehaviour::InvalidNonces) {
            // An x coordinate above the field's prime.
            *nonce = PublicNonce::from_bytes([0xff; 66]);
        } else if to % 2 == 1 && self.does(Misbehaviour::Equivocate) {
            let mut swapped = *nonce.as_bytes();
            swapped.rotate_left(33);
            *nonce = PublicNonce::from_bytes(swapped);
        } else {
            return vec![bytes];
        }
        vec![sealed::<C>(secret, network, step)]
    }

    fn alter_partial<C: Crypto>(
        &mut self,
        secret: &[u8; 32],
        network: Network,
        step: SessionMessage,
        bytes: Bytes,
    ) -> Vec<Bytes> {
        if self.does(Misbehaviour::WithholdPartials) {
            return Vec::new();
        }
        let Content::Partial { nonces, mut partials } = step.content else { return vec![bytes] };
        if let Some(partial) = partials.last_mut() {
            let mut other = *partial.as_bytes();
            other[31] ^= 1;
            *partial = PartialSignature::from_bytes(other);
        }
        let content = Content::Partial { nonces, partials };
        if self.does(Misbehaviour::InvalidPartials) {
            return vec![sealed::<C>(secret, network, SessionMessage { content, ..step })];
        }
        if self.does(Misbehaviour::SignTwice) {
            let sequence = step.sequence + 50;
            return vec![bytes, sealed::<C>(secret, network, SessionMessage { content, sequence, ..step })];
        }
        vec![bytes]
    }

    /// The messages that are sent from time to time without the node's doing.
    pub(super) fn inject<C: Crypto>(
        &mut self,
        secret: &[u8; 32],
        own: PeerId,
        wall: Wall,
        random: &mut Random,
    ) -> Vec<Bytes> {
        let mut sent = Vec::new();
        let pick = |memory: &VecDeque<Bytes>, random: &mut Random| {
            memory.get(random.below(memory.len() as u64) as usize).cloned()
        };
        if self.does(Misbehaviour::Replay) {
            sent.extend(pick(&self.memory, random));
        }
        if self.does(Misbehaviour::Tamper)
            && let Some(bytes) = pick(&self.memory, random)
        {
            let mut bytes = bytes.to_vec();
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
            sent.push(bytes.into());
        }
        if self.does(Misbehaviour::Flood) {
            let garbage = random.bytes32();
            sent.extend((0..20).filter_map(|_| pick(&self.memory, random)));
            sent.extend((0..10).map(|count| garbage[..count].into()));
            sent.extend((0..20).map(|_| unheard_of::<C>(secret, random)));
        }
        if self.does(Misbehaviour::Sybils) {
            sent.extend((0..10).filter_map(|_| sybil::<C>(wall, random)));
        }
        if self.is(Misbehaviour::Strangers) {
            sent.extend(self.stranger::<C>(own, wall, random));
        }
        sent
    }

    /// The presence of the next stranger, when it is time for it.
    fn stranger<C: Crypto>(&mut self, own: PeerId, wall: Wall, random: &mut Random) -> Option<Bytes> {
        self.chances += 1;
        if !self.chances.is_multiple_of(STRANGER_EVERY) || !self.does(Misbehaviour::Strangers) {
            return None;
        }
        if self.strangers.len() < STRANGERS {
            self.strangers.push(random.bytes32());
        }
        let secret = self.strangers[self.chances / STRANGER_EVERY % self.strangers.len()];
        C::public_key(&secret)?;
        let expires_at = Wall::from_millis(wall.as_millis() + 3_600_000);
        let presence = Presence { peer: own, addresses: Vec::new(), issued_at: wall, expires_at };
        Some(signed::<C>(&secret, Network::Regtest, Body::Presence(presence)))
    }

    /// An announcement of a new session with the signer that holds this key; none if the node does no such thing.
    pub(super) fn pester<C: Crypto>(
        &mut self,
        secret: &[u8; 32],
        victim: PublicKey,
        wall: Wall,
        random: &mut Random,
    ) -> Option<Bytes> {
        let own = C::public_key(secret).filter(|own| self.is(Misbehaviour::Pester) && *own != victim)?;
        self.does(Misbehaviour::Pester);
        let mut keys = vec![own, victim];
        keys.sort_unstable();
        let definition = Definition {
            network: Network::Regtest,
            suite: Suite::Bip340,
            creator: u16::from(keys[1] == own),
            keys,
            items: vec![Item::message(random.bytes32().to_vec(), Tweak::None)],
            election: Method::default(),
            created_at: wall,
            expires_at: Wall::from_millis(wall.as_millis() + 3_600_000),
            nonce: random.bytes32(),
            details: Details { description: UNWANTED.parse().expect("a short text"), ..Details::default() },
            is_listed: false,
        };
        let (session, nonces) = (definition.id(), vec![PublicNonce::from_bytes([2; 66])]);
        let content = Content::Announce { definition: definition.into(), nonces };
        Some(sealed::<C>(secret, Network::Regtest, SessionMessage { session, attempt: 1, sequence: 1, content }))
    }

    /// The event that the embedder gets instead of this one.
    pub(super) fn alter_event(&mut self, event: Event) -> Event {
        match event {
            Event::SessionCompleted { session, attempt, mut signatures } if self.does(Misbehaviour::FalseSignature) => {
                if let Some(signature) = signatures.last_mut() {
                    let mut bytes = *signature.as_bytes();
                    bytes[63] ^= 1;
                    *signature = Signature::from_bytes(bytes);
                }
                Event::SessionCompleted { session, attempt, signatures }
            }
            Event::SessionCompleted { session, .. } if self.does(Misbehaviour::BroadcastOutOfTurn) => {
                Event::ShouldBroadcast { session }
            }
            event => event,
        }
    }
}

/// A message about a session that nobody has announced.
fn unheard_of<C: Crypto>(secret: &[u8; 32], random: &mut Random) -> Bytes {
    let session = SessionId::from_bytes(random.bytes32());
    let content = Content::Join { nonces: vec![PublicNonce::from_bytes([2; 66])] };
    sealed::<C>(secret, Network::Regtest, SessionMessage { session, attempt: 1, sequence: 1, content })
}

/// The presence of a signer that does not exist.
fn sybil<C: Crypto>(wall: Wall, random: &mut Random) -> Option<Bytes> {
    let secret = random.bytes32();
    C::public_key(&secret)?;
    let peer = PeerId::from_bytes(&(u64::from(u32::MAX) + 1 + random.below(1 << 32)).to_be_bytes())?;
    let expires_at = Wall::from_millis(wall.as_millis() + 3_600_000);
    let presence = Presence { peer, addresses: Vec::new(), issued_at: wall, expires_at };
    Some(signed::<C>(&secret, Network::Regtest, Body::Presence(presence)))
}

/// An announcement of the session with another message to sign.
fn other_message<C: Crypto>(secret: &[u8; 32], network: Network, mut step: SessionMessage) -> Bytes {
    if let Content::Announce { definition, .. } = &mut step.content {
        for item in &mut Arc::make_mut(definition).items {
            if let Subject::Message(message) = &mut item.subject {
                message.iter_mut().for_each(|byte| *byte ^= 0xff);
            }
        }
        step.session = definition.id();
    }
    sealed::<C>(secret, network, step)
}

fn sealed<C: Crypto>(secret: &[u8; 32], network: Network, step: SessionMessage) -> Bytes {
    signed::<C>(secret, network, Body::Session(step))
}

fn signed<C: Crypto>(secret: &[u8; 32], network: Network, body: Body) -> Bytes {
    let entropy = Entropy::new([7; 32]).expect("not all zero");
    let mut author = C::message_signer(secret, entropy, &Meter::default());
    seal(author.as_mut(), network, body).expect("a software signer always signs")
}
