//! How a node comes to life, the first time or after a crash.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::Node;
use super::protocols::Protocols;
use super::reach::SETTLE_ADDRESSES;
use crate::api::{Config, Output, RefusalCounts, TimerReason, Topic};
use crate::base::{Entropy, HashKey, Map, Now, Outbox, Timers, Wall};
use crate::crypto::{Signer, Verifier};
use crate::discovery::{Catalogue, Lookups, Presences, Reputations, Routes, Searches};
use crate::gate::{Authors, Gate, NoPolicy};
use crate::journal::{CorruptRecord, Record, Remembered, SessionRecord};
use crate::session::{Session, Sessions};
use crate::wire::{PRESENCE_TOPIC, PeerId, REQUEST_TOPIC, SessionId};

/// What a node needs to begin: who it is, and what it remembers.
pub struct Boot<V: Verifier> {
    /// The key and the nonces.
    pub signer: Box<dyn Signer<V> + Send>,
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
    /// The journal is damaged.
    Corrupt(CorruptRecord),
    /// The journal belongs to another key.
    ForeignSession(SessionId),
    /// The journal has a session whose keys do not aggregate.
    Keys(SessionId),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(error) => error.fmt(f),
            Self::ForeignSession(session) => {
                write!(f, "the journal has session {session} of another signer; every key needs a journal of its own")
            }
            Self::Keys(session) => write!(f, "the journal's session {session} has keys that cannot be aggregated"),
        }
    }
}

impl core::error::Error for BootError {}

impl<V: Verifier> Node<V> {
    /// A node that remembers what its journal does. Sessions that had not ended go on with a new attempt. Many nodes can
    /// share one configuration.
    ///
    /// # Errors
    /// When the journal cannot be read. Nothing is guessed: a node that has forgotten an attempt could show a second
    /// nonce for it, and honest signers would take it for a liar.
    pub fn new(config: impl Into<Arc<Config>>, boot: Boot<V>, now: Now) -> Result<Self, BootError> {
        let config = config.into();
        let Boot { signer, verifier, entropy, peer, records } = boot;
        let own_key = signer.public_key();
        let limits = &config.limits;
        let salt = entropy.stream("ranks").bytes32();
        let hash_key = HashKey::from_bytes(entropy.stream("tables").bytes32());
        let mut node = Self {
            gate: Gate::new(config.clone(), own_key, &peer, salt, hash_key),
            authors: Authors::new(limits.prepared_keys),
            policy: Box::new(NoPolicy),
            presences: Presences::new(limits.presences),
            own_key,
            own_peer: peer,
            signer,
            verifier,
            entropy: entropy.stream("node"),
            batch_entropy: entropy.stream("batch_entropy"),
            now,
            connected: BTreeSet::new(),
            shown: Map::new(),
            addresses: Vec::new(),
            own_presence: None,
            is_presence_gossip: false,
            routes: Routes::default(),
            lookups: Lookups::new(limits.lookups, limits.lookups_waiting),
            searches: Searches::default(),
            advertisements: Catalogue::new(limits.advertisements, salt),
            resources: Catalogue::new(limits.resources, salt),
            reputations: Reputations::new(limits.reputations),
            offer: None,
            advertised: Vec::new(),
            subscribed: BTreeSet::new(),
            issued_at: Wall::default(),
            own: Map::new(),
            protocols: Protocols::new(),
            sessions: Sessions::new(),
            timers: Timers::new(),
            outbox: Outbox::default(),
            refusals: RefusalCounts::default(),
            commands: 0,
            config,
        };
        node.outbox.push(Output::Subscribe(Topic::from_static(PRESENCE_TOPIC)));
        node.outbox.push(Output::Subscribe(Topic::from_static(REQUEST_TOPIC)));
        // Even a node that nobody can dial tells its peers which key it holds.
        node.timers.set(TimerReason::Presence, now.mono.after(SETTLE_ADDRESSES));
        for (key, value) in records {
            match Record::decode(&key, &value).map_err(BootError::Corrupt)? {
                Remembered::Session(id, record) => node.resume(id, *record)?,
                Remembered::Closed(id, until) => {
                    node.sessions.close(&id);
                    node.expire_after(id, until);
                }
                Remembered::Offer(offer) => {
                    node.advertised.clone_from(&offer.types);
                    node.offer = Some(offer);
                    node.timers.set(TimerReason::Advertisement, now.mono.after(SETTLE_ADDRESSES));
                }
            }
        }
        Ok(node)
    }

    fn resume(&mut self, id: SessionId, record: SessionRecord) -> Result<(), BootError> {
        let definition = &record.definition;
        let foreign = BootError::ForeignSession(id);
        if definition.network != self.config.network || definition.check(core::time::Duration::MAX).is_err() {
            return Err(foreign);
        }
        let me = definition.index_of(&self.own_key).ok_or(foreign)?;
        let keys = self
            .verifier
            .aggregate_keys(definition.suite, &definition.keys, &definition.tweak)
            .map_err(|_| BootError::Keys(id))?;
        let (session, effects) = self.in_context(|context| Session::resume(context, record, keys, me));
        let definition = session.definition().clone();
        let is_listed = definition.is_listed && !session.phase().has_ended() && me == usize::from(definition.creator);
        self.adopt(session);
        self.settle(id, effects);
        if is_listed {
            let _listed = self.list_request(&definition);
        }
        Ok(())
    }
}
