//! Facts about the world that a host reports.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::output::RecordSequence;
use super::signing::SignReply;
use crate::base::{Bytes, shared};
use crate::crypto::PublicKey;
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

/// A part of the network of which one party can be thought to hold every address: the first 24 bits of an IPv4 address,
/// the first 48 of an IPv6 address. The node only compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subnet {
    /// Of IPv4.
    V4([u8; 3]),
    /// Of IPv6.
    V6([u8; 6]),
}

impl From<IpAddr> for Subnet {
    /// An IPv4 address that is mapped into IPv6 counts as IPv4.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

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
    /// A peer asks this node to store a DHT record; the host waits for
    /// [`Output::AcceptRecord`](super::Output::AcceptRecord) or [`Output::RejectRecord`](super::Output::RejectRecord).
    PutRequested {
        /// The peer at the other end of the connection.
        from: PeerId,
        /// Where the connection comes from, if the host knows.
        subnet: Option<Subnet>,
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
    /// The signer has answered. It may be late, or come twice: what is of no use any more changes nothing, and its
    /// nonces are to be wiped.
    Signed(SignReply),
    /// The signer can be reached again, having perhaps forgotten everything: what waits for it is asked again, and
    /// sessions whose last attempt failed for want of it begin another.
    SignerReady,
    /// Time has passed; due timers run. Any other input runs them too.
    Tick,
    /// The host has verified on a chain which identity a key has, or that it has none any more. It says so again after
    /// each change, be it that a block was replaced; the node verifies nothing of it, and remembers it over restarts.
    Identity {
        /// The key; this node's own too.
        key: PublicKey,
        /// Its identity.
        identity: Option<Identity>,
    },
}
