//! The services of the network besides connections: a hash table and gossip.
//!
//! Owns the services, each in two forms: an ideal one, for simulations in which they are not the question, and a model
//! of the one that production uses. Invariant: a service does no I/O. It is given the messages that arrive and the
//! time, and returns the messages to send and the inputs for the node; messages are bytes that the service alone reads.
//! Driven by [`Peer`](crate::peer::Peer), or by a researcher's own machine.

pub mod gossipsub;
mod ideal_dht;
mod ideal_gossip;
pub mod kademlia;

use nelumbo_core::api::Verdict;
use nelumbo_core::base::Bytes;

use crate::engine::Nanos;
use gossipsub::Gossipsub;
use ideal_dht::IdealDht;
use ideal_gossip::IdealGossip;
pub use ideal_gossip::neighbours;
use kademlia::Kademlia;

/// What a service asks its peer to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this message to a peer's service of the same kind.
    Send(u32, Vec<u8>),
    /// A lookup has found a value.
    RecordFound(u64, Bytes),
    /// A lookup has ended.
    LookupFinished(u64, LookupStats),
    /// A peer asks for a record to be stored; it waits for a verdict under this name.
    PutRequested {
        /// The service's name for it.
        id: u64,
        /// The peer that asks.
        from: u32,
        /// The record's key.
        key: String,
        /// The record's value.
        bytes: Bytes,
        /// The value that is stored under this key, if any.
        stored: Option<Bytes>,
    },
    /// A message has arrived by gossip; it waits for a verdict under this name.
    MessageReceived {
        /// The service's name for it.
        id: u64,
        /// The peer that passed it on.
        from: u32,
        /// The message.
        bytes: Bytes,
    },
}

/// How much work a lookup took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupStats {
    /// The number of hops to the nearest peer that answered: each was named by the one before.
    pub hops: u32,
    /// How many peers were asked.
    pub requests: u32,
}

/// One peer's side of the hash table.
#[derive(Debug)]
pub enum Dht {
    /// Each record is at a few peers that everybody knows, one hop away.
    Ideal(IdealDht),
    /// Kademlia.
    Kademlia(Box<Kademlia>),
}

impl Dht {
    /// The ideal hash table, for this many peers.
    #[must_use]
    pub const fn ideal(nodes: u32) -> Self {
        Self::Ideal(IdealDht::new(nodes))
    }

    /// Looks a record up. Ends in one [`Effect::LookupFinished`], after any number of [`Effect::RecordFound`]s.
    pub fn lookup(&mut self, now: Nanos, operation: u64, key: &str) -> Vec<Effect> {
        let key = hash(key);
        match self {
            Self::Ideal(table) => table.lookup(now, operation, key),
            Self::Kademlia(kademlia) => kademlia.lookup(now, operation, key),
        }
    }

    /// Puts a record where it belongs, for this long at most.
    pub fn store(&mut self, now: Nanos, key: &str, value: Bytes, ttl: Nanos) -> Vec<Effect> {
        match self {
            Self::Ideal(table) => table.store(key, &value),
            Self::Kademlia(kademlia) => kademlia.store(now, key, value, ttl),
        }
    }

    /// Stores a record that was offered, or the version that the node has made of it, or drops it.
    pub fn resolve_put(&mut self, now: Nanos, id: u64, kept: Option<(Bytes, Nanos)>) {
        match self {
            Self::Ideal(table) => table.resolve_put(id, kept.map(|(value, ttl)| (value, now + ttl))),
            Self::Kademlia(kademlia) => kademlia.resolve_put(now, id, kept),
        }
    }

    /// Removes a record that was stored for others.
    pub fn remove(&mut self, key: &str) {
        match self {
            Self::Ideal(table) => table.remove(hash(key)),
            Self::Kademlia(kademlia) => kademlia.remove(key),
        }
    }

    /// A message of another peer's service has arrived.
    pub fn on_message(&mut self, now: Nanos, from: u32, message: &[u8]) -> Vec<Effect> {
        match self {
            Self::Ideal(table) => table.on_message(now, from, message),
            Self::Kademlia(kademlia) => kademlia.on_message(now, from, message),
        }
    }

    /// Time has passed.
    pub fn on_tick(&mut self, now: Nanos) -> Vec<Effect> {
        match self {
            Self::Ideal(table) => table.on_tick(now),
            Self::Kademlia(kademlia) => kademlia.on_tick(now),
        }
    }

    /// When `on_tick` is to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        match self {
            Self::Ideal(table) => table.deadline(),
            Self::Kademlia(kademlia) => kademlia.deadline(),
        }
    }

    /// Closes its connections, where it has any of its own.
    pub(crate) fn leave(&mut self) -> Vec<Effect> {
        match self {
            Self::Ideal(_) => Vec::new(),
            Self::Kademlia(kademlia) => kademlia.leave(),
        }
    }

    /// How often it has misbehaved since this was last called.
    pub(crate) fn take_misbehaviours(&mut self) -> u64 {
        match self {
            Self::Ideal(_) => 0,
            Self::Kademlia(kademlia) => std::mem::take(&mut kademlia.misbehaviours),
        }
    }

    /// How many peers it can route to.
    #[must_use]
    pub fn peers(&self) -> usize {
        match self {
            Self::Ideal(table) => table.peers(),
            Self::Kademlia(kademlia) => kademlia.peers(),
        }
    }
}

/// One peer's side of gossip.
#[derive(Debug)]
pub enum PubSub {
    /// Over a fixed mesh.
    Ideal(IdealGossip),
    /// gossipsub.
    Gossipsub(Box<Gossipsub>),
}

impl PubSub {
    /// Ideal gossip, with these neighbours in the mesh.
    #[must_use]
    pub fn ideal(neighbours: Vec<u32>) -> Self {
        Self::Ideal(IdealGossip::new(neighbours))
    }

    /// Takes part in a topic from now on.
    pub fn subscribe(&mut self, topic: &str) -> Vec<Effect> {
        match self {
            Self::Ideal(_) => Vec::new(),
            Self::Gossipsub(gossip) => gossip.subscribe(hash(topic)),
        }
    }

    /// Publishes a message of the peer's own.
    pub fn publish(&mut self, now: Nanos, topic: &str, bytes: &Bytes) -> Vec<Effect> {
        match self {
            Self::Ideal(mesh) => mesh.publish(bytes),
            Self::Gossipsub(gossip) => gossip.publish(now, hash(topic), bytes),
        }
    }

    /// The node has judged a message.
    pub fn report_validation(&mut self, id: u64, verdict: Verdict) -> Vec<Effect> {
        match self {
            Self::Ideal(mesh) => mesh.report_validation(id, verdict),
            Self::Gossipsub(gossip) => gossip.report_validation(id, verdict),
        }
    }

    /// A message of another peer's service has arrived.
    pub fn on_message(&mut self, now: Nanos, from: u32, message: &[u8]) -> Vec<Effect> {
        match self {
            Self::Ideal(mesh) => mesh.on_message(from, message),
            Self::Gossipsub(gossip) => gossip.on_message(now, from, message),
        }
    }

    /// Time has passed.
    pub fn on_tick(&mut self, now: Nanos) -> Vec<Effect> {
        match self {
            Self::Ideal(_) => Vec::new(),
            Self::Gossipsub(gossip) => gossip.on_tick(now),
        }
    }

    /// When `on_tick` is to be called next.
    #[must_use]
    pub const fn deadline(&self) -> Option<Nanos> {
        match self {
            Self::Ideal(_) => None,
            Self::Gossipsub(gossip) => Some(gossip.deadline()),
        }
    }
}

/// The hash of a name, which is its place among 2⁶⁴.
#[must_use]
pub fn hash(name: &str) -> u64 {
    crate::random::mix(crate::random::fold(0, name.as_bytes()))
}
