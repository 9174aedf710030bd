//! Finding the other signers: which peer holds which key and how to reach it, what this node announces, and what it
//! looks for.
//!
//! A machine like the session: told what has happened with a [`Context`](crate::effect::Context), it returns
//! [`Effect`](crate::effect::Effect)s. What comes from outside has passed the gate, and its tables store nothing else.
//! The numbers D1… name the transitions of `docs/src/machines.md`.
//!
//! Reading order: `peers` says who is connected and seeks the signers that sessions need, `publish` is what this node
//! announces, `search` what others announce and what the embedder looks for. Below them are their tables: `presences`
//! and `catalogue` keep what authors announce, `lookups` what is being looked for in the DHT, `searches` for whom,
//! `routes` says when what this node announces belongs elsewhere, `reputations` what this node itself has seen of whom,
//! `identities` what its host has verified of whom.

mod catalogue;
mod fingerprint;
mod identities;
mod lookups;
mod peers;
mod presences;
mod publish;
mod reputations;
mod routes;
mod search;
mod searches;

use alloc::vec::Vec;

use crate::api::{Command, CommandError, CommandId, Config, Event, TimerReason};
use crate::base::Wall;
use crate::crypto::{PublicKey, Verifier};
use crate::effect::Context;
use crate::wire::{Address, Advertisement, Offer, PeerId, RecordKey, Resource, ResourceId};
use identities::Identities;
pub(crate) use identities::IdentityChange;
use peers::Peers;
use publish::Publisher;
pub(crate) use publish::SETTLE_ADDRESSES;
pub(crate) use reputations::ReputationChange;
use reputations::Reputations;
use search::Search;

/// What became of something admitted that a table was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertOutcome {
    /// It was not known, or says something else than before.
    New,
    /// Newer, but says the same.
    Renewed,
    /// Not newer than what is known.
    Old,
    /// There is no room for it.
    Full,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Discovery {
    peers: Peers,
    publisher: Publisher,
    search: Search,
    reputations: Reputations,
    identities: Identities,
}

impl Discovery {
    pub(crate) fn new(config: &Config, salt: [u8; 32]) -> Self {
        let limits = &config.limits;
        Self {
            peers: Peers::new(limits, salt),
            publisher: Publisher::new(),
            search: Search::new(limits, salt),
            reputations: Reputations::new(limits.reputations),
            identities: Identities::default(),
        }
    }

    /// What the embedder wants of discovery; other commands do not come here.
    pub(crate) fn command<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: CommandId,
        command: Command,
    ) -> Result<(), CommandError> {
        match command {
            Command::Advertise { offer, lifetime } => self.advertise(context, *offer, lifetime),
            Command::Withdraw => self.withdraw(context),
            Command::Subscribe(kind) => {
                self.subscribe(context, kind);
                Ok(())
            }
            Command::Unsubscribe(kind) => {
                self.unsubscribe(context, kind);
                Ok(())
            }
            Command::FindSigners(filter) => self.find_signers(context, id, filter),
            Command::FindRequests => self.find_requests(context, id),
            Command::FindSession(session) => self.find_session(context, id, session),
            Command::AnnounceResource { kind, name, data, lifetime } => {
                self.announce_resource(context, kind, name, data, lifetime)
            }
            Command::FindResources(kind) => self.find_resources(context, id, kind, None),
            _ => unreachable!("the node hands over commands of discovery only"),
        }
    }

    /// A timer of discovery is due.
    pub(crate) fn on_timer<V: Verifier>(&mut self, context: &mut Context<'_, V>, reason: TimerReason) {
        match reason {
            TimerReason::Seek => self.on_seek(context),
            TimerReason::Presence => self.announce_presence(context),
            TimerReason::Store => self.republish(context),
            TimerReason::Advertisement => self.renew_advertisement(context),
            TimerReason::Search(command) => self.finish_search(context, command),
            TimerReason::Lookup(operation) => self.end_lookup(context, operation),
            TimerReason::NextLookup => self.begin_lookups(context),
            _ => unreachable!("the node hands over timers of discovery only"),
        }
    }

    /// When the newest announcement of this name that is known was signed.
    pub(crate) fn issued_at(&self, record: &RecordKey) -> Option<Wall> {
        match record {
            RecordKey::Presence(key) => self.peers.presences.get(key).map(|presence| presence.issued_at),
            RecordKey::Advertisement(key) => self.search.advertisements.issued_at(key),
            RecordKey::Resource(id) => self.search.resources.issued_at(id),
            RecordKey::Request(_) | RecordKey::List(..) => None,
        }
    }

    /// When this node has signed its newest announcement, once it has signed a presence.
    pub(crate) fn own_issued_at(&self) -> Option<Wall> {
        self.publisher.presence.as_ref().map(|_| self.publisher.issued_at)
    }

    /// What an event of a session says about its other signers; returns what is to be remembered.
    pub(crate) fn learn(&mut self, event: &Event, others: impl Iterator<Item = PublicKey>) -> Vec<ReputationChange> {
        self.reputations.learn(event, others)
    }

    /// The reputation of a signer, as an earlier run left it; returns what is not to be remembered any more.
    pub(crate) fn resume_reputation(&mut self, key: PublicKey, value: u8) -> Vec<ReputationChange> {
        self.reputations.resume(key, value)
    }

    /// Whether a signer has earned more with this node than it has lost.
    pub(crate) fn has_earned(&self, key: &PublicKey) -> bool {
        self.reputations.has_earned(key)
    }

    pub(crate) fn reputation(&self, key: &PublicKey) -> u8 {
        self.reputations.get(key)
    }

    pub(crate) fn offer(&self) -> Option<&Offer> {
        self.publisher.offered.as_ref().map(|offered| &offered.offer)
    }

    /// Where this node can be reached.
    pub(crate) fn own_addresses(&self) -> &[Address] {
        &self.publisher.addresses
    }

    /// Whether this node announces something under this name.
    pub(crate) fn announces(&self, record: &RecordKey) -> bool {
        self.publisher.records.contains_key(record)
    }

    /// How many records this node announces.
    pub(crate) fn own_records(&self) -> usize {
        self.publisher.records.len()
    }

    /// What this node announces as resources, by kind and name, or has withdrawn.
    pub(crate) fn own_resources(&self) -> impl Iterator<Item = (&ResourceId, Resource)> {
        self.publisher.records.iter().filter_map(|(key, record)| match key {
            RecordKey::Resource(id) => Some((id, record.resource()?)),
            _ => None,
        })
    }

    /// What others offer to sign, by key, or have withdrawn.
    pub(crate) fn advertisements(&self, now: Wall) -> impl Iterator<Item = (&PublicKey, &Advertisement)> {
        self.search.advertisements.iter(now)
    }

    pub(crate) fn advertisement(&self, key: &PublicKey, now: Wall) -> Option<&Advertisement> {
        self.search.advertisements.get(key, now)
    }

    /// What others announce, by author, kind and name, or have withdrawn.
    pub(crate) fn resources(&self, now: Wall) -> impl Iterator<Item = (&ResourceId, &Resource)> {
        self.search.resources.iter(now)
    }

    pub(crate) fn resource(&self, id: &ResourceId, now: Wall) -> Option<&Resource> {
        self.search.resources.get(id, now)
    }

    /// The signers whose peers are known, by key, and whether they are connected.
    pub(crate) fn signers(&self) -> impl ExactSizeIterator<Item = (PublicKey, PeerId, bool)> {
        let connected = &self.peers.connected;
        self.peers.presences.iter().map(|(key, presence)| (*key, presence.peer, connected.contains(&presence.peer)))
    }

    pub(crate) fn connected(&self) -> impl ExactSizeIterator<Item = &PeerId> {
        self.peers.connected.iter()
    }
}
