//! Facts about the world that a host reports.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::output::RecordSequence;
use crate::base::{Bytes, shared};
use crate::wire::{Address, PeerId};

/// Names a gossip message between host and node, so that the verdict finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GossipId(pub u64);

/// Names a DHT lookup between node and host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(pub u64);

/// Names a record that a peer wants to be stored, so that the answer finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PutId(pub u64);

/// Something that has happened. Handling one cannot fail: what a peer did wrong is refused and counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// The first connection to this peer is up.
    Connected(PeerId),
    /// The last connection to this peer is down.
    Disconnected(PeerId),
    /// A peer sent these bytes directly.
    Received {
        /// The peer at the other end of the connection, authenticated by the transport.
        from: PeerId,
        /// The message.
        #[serde(with = "shared")]
        bytes: Bytes,
    },
    /// These bytes came by gossip; the host waits for an [`Output::Verdict`](super::Output::Verdict).
    Gossip {
        /// The peer that passed the message on.
        from: PeerId,
        /// The host's name for the message.
        id: GossipId,
        /// The message.
        #[serde(with = "shared")]
        bytes: Bytes,
    },
    /// A DHT lookup found this value. There may be several, and none of them has been checked by anyone.
    Found {
        /// The lookup.
        operation: OperationId,
        /// The record's value.
        #[serde(with = "shared")]
        bytes: Bytes,
    },
    /// A DHT lookup has ended; whatever it found has been reported.
    LookupFinished(OperationId),
    /// A peer asks this node to store a DHT record; the host waits for [`Output::AcceptRecord`](super::Output::AcceptRecord) or
    /// [`Output::RejectRecord`](super::Output::RejectRecord).
    PutRequested {
        /// The peer at the other end of the connection.
        from: PeerId,
        /// The host's name for the record.
        id: PutId,
        /// The DHT key.
        key: String,
        /// The record's value.
        #[serde(with = "shared")]
        bytes: Bytes,
        /// The value that is stored under this key, if any.
        #[serde(with = "shared::option")]
        stored: Option<Bytes>,
    },
    /// The routing table has this many peers now.
    RoutingTable(usize),
    /// The addresses at which this node can be reached, all of them.
    Addresses(Vec<Address>),
    /// All records up to this one are on the disk.
    Persisted(RecordSequence),
    /// Time has passed; due timers run. Any other input runs them too.
    Tick,
}
