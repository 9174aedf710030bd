//! The facts a network reports.
//!
//! Owns [`NetworkEvent`] and its parts. Invariant: nothing of libp2p's own events shows through, and "sent", "stored"
//! and "published" are hints about this node's neighbours, never proof that a message arrived where it matters. Driven
//! by [`super::Network::next`].

use libp2p::{Multiaddr, PeerId};
use nelumbo_core::api::{GossipId, OperationId, PutId};

use crate::reachability::Reached;

/// Why a direct message was not delivered, as far as this node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectFailure {
    /// There is no connection, and none could be made.
    #[error("the peer cannot be reached")]
    Unreachable,
    /// No acknowledgement in time; the message may have arrived.
    #[error("the message was not acknowledged in time")]
    TimedOut,
    /// The connection ended first; the message may have arrived.
    #[error("the connection was closed before the message was acknowledged")]
    ConnectionClosed,
    /// The peer does not speak this protocol.
    #[error("the peer does not speak the session protocol")]
    Unsupported,
    /// The stream broke; the message may have arrived.
    #[error("the stream broke before the message was acknowledged")]
    StreamBroken,
    /// Empty, or over the limit.
    #[error("the message is empty or over the limit of a direct message")]
    Size,
    /// Too much is waiting for this peer, or for all peers.
    #[error("too much is waiting to be sent")]
    Backlog,
}

/// How a DHT operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhtOutcome {
    /// A get: every reachable node near the key was asked. A put: at least one node acknowledged.
    Completed,
    /// A get found nothing.
    NotFound,
    /// Time ran out; what was found until then has been reported.
    TimedOut,
    /// No node acknowledged a put. The local copy stays and is published again later.
    NotAcknowledged,
    /// Too many operations are running, or the record is over a limit.
    Refused,
}

/// How far a node is on its way into the DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DhtState {
    /// The node takes no part in it.
    Stopped,
    /// Nobody is known who could let the node in.
    Initialised,
    /// On the way to the first peer that serves the DHT.
    Bootstrapping,
    /// Looking for the neighbours.
    Populating,
    /// The neighbours are known.
    Ready,
}

impl DhtState {
    /// The state's name, for people and for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Initialised => "initialised",
            Self::Bootstrapping => "bootstrapping",
            Self::Populating => "populating",
            Self::Ready => "ready",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NetworkEvent {
    /// The node listens on this address.
    Listening {
        /// The concrete address, without the peer id.
        address: Multiaddr,
    },
    /// The node no longer listens on these addresses.
    ListenerClosed {
        /// The addresses.
        addresses: Vec<Multiaddr>,
        /// What went wrong, if something did.
        error: Option<String>,
    },
    /// The node can be reached at this address from outside, as far as is known.
    ExternalAddress {
        /// The address, without the peer id.
        address: Multiaddr,
    },
    /// The node can no longer be reached at this address.
    ExternalAddressExpired {
        /// The address.
        address: Multiaddr,
    },
    /// Whether others can reach the node, or through which relays, is another than before.
    Reachability {
        /// What it is now.
        reached: Reached,
    },
    /// The best connection to a peer that stays connected is another than before.
    PathChanged {
        /// The peer.
        peer: PeerId,
        /// The other end of the best connection, or the relay's.
        address: Multiaddr,
        /// Whether that is a circuit through a relay.
        is_relayed: bool,
    },
    /// A circuit could not be made a direct connection.
    HolePunchFailed {
        /// The peer at its other end.
        peer: PeerId,
        /// The reason, for people.
        reason: String,
    },
    /// The first connection to a peer was made.
    PeerConnected {
        /// The peer.
        peer: PeerId,
        /// The other end of the connection.
        address: Multiaddr,
    },
    /// The last connection to a peer ended.
    PeerDisconnected {
        /// The peer.
        peer: PeerId,
        /// Why, for people.
        reason: String,
    },
    /// A peer could not be reached.
    DialFailed {
        /// The peer.
        peer: PeerId,
        /// The reason, for people.
        reason: String,
    },
    /// A peer said what it is.
    Identified {
        /// The peer.
        peer: PeerId,
        /// Its addresses that pass the address filter.
        addresses: Vec<Multiaddr>,
        /// The protocols it speaks.
        protocols: Vec<String>,
        /// Its name and version.
        agent: String,
    },
    /// A direct message came in. That it arrived is being acknowledged, and no more than that. One that was on its way
    /// when a connection was cut may come twice.
    DirectReceived {
        /// The sender, authenticated by the connection.
        peer: PeerId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The peer's node has taken a direct message.
    DirectSent {
        /// Which.
        operation: OperationId,
    },
    /// A direct message may not have arrived.
    DirectFailed {
        /// Which.
        operation: OperationId,
        /// To whom.
        peer: PeerId,
        /// Why.
        failure: DirectFailure,
    },
    /// A gossip message waits for [`report_gossip`](super::Network::report_gossip).
    Gossip {
        /// The topic.
        topic: String,
        /// Who signed it.
        author: PeerId,
        /// Which neighbour passed it on.
        propagation_source: PeerId,
        /// Its name for the verdict.
        id: GossipId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A neighbour subscribed to a topic.
    PeerSubscribed {
        /// The neighbour.
        peer: PeerId,
        /// The topic.
        topic: String,
    },
    /// A neighbour unsubscribed from a topic.
    PeerUnsubscribed {
        /// The neighbour.
        peer: PeerId,
        /// The topic.
        topic: String,
    },
    /// A get found a record. It has not been validated, and more may follow.
    DhtRecord {
        /// Which get.
        operation: OperationId,
        /// Its key.
        key: Vec<u8>,
        /// Its value, as some node claims it.
        value: Vec<u8>,
        /// That node; `None` for this node's own store.
        holder: Option<PeerId>,
    },
    /// A get ended.
    DhtFinished {
        /// Which.
        operation: OperationId,
        /// How.
        outcome: DhtOutcome,
    },
    /// A put ended.
    DhtPutFinished {
        /// Which.
        operation: OperationId,
        /// How.
        outcome: DhtOutcome,
    },
    /// Another node wants a record stored here; it waits for
    /// [`store_inbound`](super::Network::store_inbound) or [`refuse_inbound`](super::Network::refuse_inbound).
    InboundRecord {
        /// Its name for the decision.
        id: PutId,
        /// The node that sent it, which is often not its author.
        source: PeerId,
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// The routing table of the DHT changed its size.
    RoutingTable {
        /// How many peers it holds now.
        peers: usize,
    },
}
