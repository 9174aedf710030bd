//! How a node comes to life, the first time or after a crash.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::Node;
use crate::api::{Config, ConfigError, Output, RefusalCounts, SignRequest, TimerReason, Topic};
use crate::author::Author;
use crate::base::{HashKey, Now, Outbox, Timers};
use crate::crypto::{Entropy, MessageSigner, Network, PublicKey, Verifier};
use crate::discovery::{Discovery, SETTLE_ADDRESSES};
use crate::effect::Environment;
use crate::gate::{Gate, Secrets};
use crate::journal::{CorruptRecord, Record, Remembered, SessionRecord};
use crate::protocol::Protocols;
use crate::session::Sessions;
use crate::wire::{Definition, PRESENCE_TOPIC, PeerId, REQUEST_TOPIC, SessionId};

/// What a node needs to begin: who it is, and what it remembers.
pub struct Boot<V: Verifier> {
    /// Signs what this node says, with its signing key, or with a message key of a node that
    /// [delegates](Node::delegating). What makes the sessions' signatures is asked through the host: [`Output::Sign`].
    pub message_signer: Box<dyn MessageSigner + Send>,
    /// What checks others' contributions.
    pub verifier: V,
    /// Fresh for every boot, from the operating system. Two boots with the same entropy would be told apart by
    /// nothing.
    pub entropy: Entropy,
    /// This node's name on the network.
    pub peer: PeerId,
    /// The journal: each key with its newest value.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<V: Verifier> fmt::Debug for Boot<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boot").field("peer", &self.peer).field("records", &self.records.len()).finish_non_exhaustive()
    }
}

/// Why a node cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The configuration makes no node.
    Config(ConfigError),
    /// The journal is damaged.
    Corrupt(CorruptRecord),
    /// The journal belongs to another key.
    ForeignSession(SessionId),
    /// The journal belongs to another network.
    ForeignNetwork {
        /// A session of it.
        session: SessionId,
        /// The session's network.
        journal: Network,
        /// The configuration's network.
        config: Network,
    },
    /// The journal has a session whose keys do not aggregate.
    Keys(SessionId),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Corrupt(error) => error.fmt(f),
            Self::ForeignSession(session) => {
                write!(f, "the journal has session {session} of another signer; every key needs a journal of its own")
            }
            Self::ForeignNetwork { session, journal, config } => write!(
                f,
                "the journal has session {session} of the network {journal}, and the configuration is for {config}; \
                 every network needs a journal of its own"
            ),
            Self::Keys(session) => write!(f, "the journal's session {session} has keys that cannot be aggregated"),
        }
    }
}

impl core::error::Error for BootError {}

impl<V: Verifier> Node<V> {
    /// A node that remembers what its journal does. Sessions that had not ended go on with a new attempt. Many nodes
    /// can share one configuration.
    ///
    /// # Errors
    /// When [`Config::check`] refuses the configuration, or the journal cannot be read. Nothing is guessed: a node that
    /// has forgotten an attempt could show a second nonce for it, and honest signers would take it for a liar.
    pub fn new(config: impl Into<Arc<Config>>, boot: Boot<V>, now: Now) -> Result<Self, BootError> {
        let signing_key = boot.message_signer.public_key();
        Self::delegating(config, boot, signing_key, now)
    }

    /// The same for the signer with this key, where what signs messages has another one, a message key. The node asks
    /// its signer to delegate to it, by [`SignRequest::Single`] with a statement that a person can read, and says
    /// nothing before; it remembers the delegation, and asks again after half of its time. A message key signs nothing
    /// but messages: whoever steals it can disturb, and be blamed for it, and spend nothing.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn delegating(
        config: impl Into<Arc<Config>>,
        boot: Boot<V>,
        signing_key: PublicKey,
        now: Now,
    ) -> Result<Self, BootError> {
        let config = config.into();
        config.check().map_err(BootError::Config)?;
        let Boot { message_signer, verifier, entropy, peer, records } = boot;
        let own_key = signing_key;
        let salt = entropy.stream("ranks").bytes32();
        let hash_key = HashKey::from_bytes(entropy.stream("tables").bytes32());
        let environment = Environment {
            own_key,
            own_peer: peer,
            author: Author::new(message_signer, own_key),
            verifier,
            batch_entropy: entropy.stream("weights"),
            now,
            in_step: now,
            config: config.clone(),
        };
        let mut node = Self {
            environment,
            entropy: entropy.stream("node"),
            gate: Gate::new(config.clone(), (own_key, &peer), Secrets { salt, hash_key }),
            sessions: Sessions::new(),
            discovery: Discovery::new(&config, salt),
            protocols: Protocols::default(),
            timers: Timers::new(),
            outbox: Outbox::default(),
            refusals: RefusalCounts::default(),
            gossip_refusals: RefusalCounts::default(),
            commands: 0,
        };
        // Whatever a signer that has lived longer still holds open, nothing will be signed with it.
        node.outbox.push(Output::Sign(SignRequest::ForgetAll));
        node.outbox.push(Output::Subscribe(Topic::from_static(PRESENCE_TOPIC)));
        node.outbox.push(Output::Subscribe(Topic::from_static(REQUEST_TOPIC)));
        // Even a node that nobody can dial tells its peers which key it holds.
        node.timers.set(TimerReason::Presence, now.mono.after(SETTLE_ADDRESSES));
        let (mut definitions, mut sessions, mut delegation) = (BTreeMap::new(), Vec::new(), None);
        for (key, value) in records {
            match Record::decode(&key, &value).map_err(BootError::Corrupt)? {
                Remembered::Definition(id, definition) => drop(definitions.insert(id, definition)),
                Remembered::Session(id, record) => sessions.push((id, record)),
                Remembered::Closed(id, until) => {
                    node.sign(|sessions, context| sessions.resume_closed(context, id, until));
                }
                Remembered::Protocol { protocol, name, value } => node.protocols.resume_record(protocol, name, value),
                Remembered::Owner(id, protocol) => node.protocols.own(id, protocol),
                Remembered::Reputation(key, value) => {
                    let changes = node.discovery.resume_reputation(key, value);
                    node.remember(changes);
                }
                Remembered::Identity(key, id, tier) => {
                    node.discovery.resume_identity(key, (id, tier), config.limits.identities);
                }
                Remembered::Delegation(remembered) => delegation = Some(remembered),
                Remembered::Offer(offered) => {
                    node.discover(|discovery, context| discovery.resume_offer(context, offered));
                }
            }
        }
        node.resume_delegation(delegation);
        for (id, record) in sessions {
            let corrupt = || BootError::Corrupt(CorruptRecord { key: Record::key(&id) });
            let definition = definitions.remove(&id).ok_or_else(corrupt)?;
            node.resume(id, definition, *record)?;
        }
        // Of sessions that had not begun when the node stopped, or were forgotten already.
        for id in definitions.keys() {
            node.outbox.persist(Record::definition_key(id), None);
        }
        node.sign(|sessions, context| sessions.make_room(context));
        // The clock may have been set while the node was not running.
        node.sign(|sessions, context| sessions.tell_misdated(context));
        // A session that a protocol was about to create or approve when the node stopped.
        for id in node.protocols.owned() {
            if node.sessions.get(&id).is_none() {
                node.disown(&id);
            }
        }
        Ok(node)
    }

    fn resume(&mut self, id: SessionId, definition: Arc<Definition>, record: SessionRecord) -> Result<(), BootError> {
        self.sign(|sessions, context| sessions.resume(context, definition.clone(), record))?;
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        let is_open = !session.phase().has_ended();
        self.gate.watch(&definition, None);
        if is_open && *definition.creator_key() == self.environment.own_key {
            self.list_request(&definition);
        }
        Ok(())
    }
}
