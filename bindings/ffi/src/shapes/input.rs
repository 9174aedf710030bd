//! Facts about the world that a host reports.

use nelumbo_core::api::{self, GossipId, OperationId, PutId, RecordSequence, Tier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::signing::SignReply;
use super::text::{AddressHex, Burned, Hex, Id, Key, Peer, To};
use super::words::Word;

/// Something that has happened. Handling one cannot fail: what a peer did wrong is refused and counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Input {
    /// The first connection to this peer is up.
    Connected {
        /// The peer.
        peer: Peer,
    },
    /// The last connection to this peer is down.
    Disconnected {
        /// The peer.
        peer: Peer,
    },
    /// A peer sent these bytes directly.
    Received {
        /// The peer at the other end of the connection, authenticated by the transport.
        peer: Peer,
        /// The message.
        bytes: Hex,
    },
    /// These bytes came by gossip; the host waits for the output `verdict`.
    Gossip {
        /// The peer that passed the message on.
        peer: Peer,
        /// The host's name for the message.
        id: Id,
        /// The message.
        bytes: Hex,
    },
    /// A DHT lookup found this value.
    Found {
        /// The lookup.
        operation: Id,
        /// The record's value.
        bytes: Hex,
    },
    /// A DHT lookup has ended; whatever it found has been reported.
    LookupFinished {
        /// The lookup.
        operation: Id,
    },
    /// A peer asks this node to store a DHT record; the host waits for `accept-record` or `reject-record`.
    PutRequested {
        /// The peer at the other end of the connection.
        peer: Peer,
        /// Where the connection comes from, if the host knows.
        #[serde(default)]
        subnet: Option<Subnet>,
        /// The host's name for the record.
        id: Id,
        /// The DHT key.
        key: String,
        /// The record's value.
        bytes: Hex,
        /// The value that is stored under this key, if any.
        #[serde(default)]
        stored: Option<Hex>,
    },
    /// The routing table has this many peers now.
    RoutingTable {
        /// How many.
        peers: u32,
    },
    /// The addresses at which this node can be reached, all of them.
    Addresses {
        /// The addresses.
        addresses: Vec<AddressHex>,
    },
    /// All records up to this one are durable.
    Persisted {
        /// The record's number.
        sequence: Id,
    },
    /// The signer has answered. It may be late, or come twice.
    Signed {
        /// The answer.
        reply: SignReply,
    },
    /// The signer can be reached again, having perhaps forgotten everything.
    SignerReady {},
    /// The host has verified on a chain which identity a key has, or that it has none any more.
    Identity {
        /// The key; this node's own too.
        key: Key,
        /// Its identity.
        #[serde(default)]
        identity: Option<Identity>,
    },
    /// Time has passed. Any other input runs due timers too.
    Tick {},
}

/// The identity that a key has: every burn is in the chain, old enough and used for nothing else, and all keys have
/// signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its name.
    pub id: Burned,
    /// What it gives its key.
    pub tier: Word<Tier>,
    /// The keys that had it before, in order.
    #[serde(default)]
    pub former: Vec<Key>,
}

/// A part of the network of which one party can be thought to hold every address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subnet {
    /// The first 24 bits of an IPv4 address.
    V4 {
        /// They.
        prefix: [u8; 3],
    },
    /// The first 48 bits of an IPv6 address.
    V6 {
        /// They.
        prefix: [u8; 6],
    },
}

impl From<Input> for api::Input {
    fn from(from: Input) -> Self {
        match from {
            Input::Connected { peer } => Self::Connected(peer.0),
            Input::Disconnected { peer } => Self::Disconnected(peer.0),
            Input::Received { peer, bytes } => Self::Received { from: peer.0, bytes: bytes.0.into() },
            Input::Gossip { peer, id, bytes } => {
                Self::Gossip { from: peer.0, id: GossipId(id.0), bytes: bytes.0.into() }
            }
            Input::Found { operation, bytes } => {
                Self::Found { operation: OperationId(operation.0), bytes: bytes.0.into() }
            }
            Input::LookupFinished { operation } => Self::LookupFinished(OperationId(operation.0)),
            Input::PutRequested { peer, subnet, id, key, bytes, stored } => Self::PutRequested {
                from: peer.0,
                subnet: subnet.to(),
                id: PutId(id.0),
                key,
                bytes: bytes.0.into(),
                stored: stored.map(|stored| stored.0.into()),
            },
            Input::RoutingTable { peers } => Self::RoutingTable(peers as usize),
            Input::Addresses { addresses } => Self::Addresses(addresses.to()),
            Input::Persisted { sequence } => Self::Persisted(RecordSequence::from_u64(sequence.0)),
            Input::Signed { reply } => Self::Signed(reply.into()),
            Input::SignerReady {} => Self::SignerReady,
            Input::Identity { key, identity } => Self::Identity { key: key.0, identity: identity.to() },
            Input::Tick {} => Self::Tick,
        }
    }
}

impl To<api::Identity> for Identity {
    fn to(self) -> api::Identity {
        api::Identity { id: self.id.0, tier: self.tier.0, former: self.former.to() }
    }
}

impl To<api::Subnet> for Subnet {
    fn to(self) -> api::Subnet {
        match self {
            Self::V4 { prefix } => api::Subnet::V4(prefix),
            Self::V6 { prefix } => api::Subnet::V6(prefix),
        }
    }
}
