//! What a network is told before it starts.
//!
//! Owns [`NetworkConfig`], its presets and the two environment variables. Invariant: a configuration that builds is one
//! that can run: the number of connections makes sense and every bootstrap peer names its peer id. Driven by the
//! embedder.

use std::{env, num::NonZeroU32, path::PathBuf, time::Duration};

use libp2p::{Multiaddr, PeerId, StreamProtocol, identity::Keypair};

use super::{
    addresses::{AddressFilter, split_peer},
    resolve::Servers,
    websocket::WebSocketTls,
};

/// The environment variable with the largest number of connections.
pub const MAX_CONNECTIONS_VARIABLE: &str = "P2P_MAX_CONNECTIONS";
/// The environment variable with the number of connections that the node tries to keep.
pub const MIN_CONNECTIONS_VARIABLE: &str = "P2P_MIN_CONNECTIONS";

const MIB: usize = 1024 * 1024;

/// What the node does in the DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhtMode {
    /// Nothing: it finds other signers by gossip and among those that it is connected to.
    Off,
    /// Asks, and stores nothing for others: for nodes that come and go or cannot be reached.
    Client,
    /// Asks, answers and stores.
    Server,
}

/// How many connections a node keeps and allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    minimum: u32,
    maximum: NonZeroU32,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An environment variable does not hold a whole number.
    #[error("{variable} must be a whole number from {least} to 4294967295, but it is {value:?}")]
    NotANumber {
        /// The variable.
        variable: &'static str,
        /// The smallest allowed number.
        least: u32,
        /// What it holds.
        value: String,
    },
    /// An environment variable holds bytes that are not text.
    #[error("{variable} is not valid Unicode")]
    NotUnicode {
        /// The variable.
        variable: &'static str,
    },
    /// No connection would be allowed.
    #[error("the largest number of connections must be at least 1")]
    NoConnections,
    /// More connections are to be kept than are allowed.
    #[error("{minimum} connections cannot be kept when at most {maximum} are allowed")]
    MinimumAboveMaximum {
        /// How many were to be kept.
        minimum: u32,
        /// How many are allowed.
        maximum: u32,
    },
    /// A certificate or its key cannot be used.
    #[error("the certificate for WebSocket cannot be used: {reason}")]
    Certificate {
        /// Why.
        reason: String,
    },
    /// A bootstrap address that does not say whom to expect there.
    #[error("the bootstrap address {address} does not end with /p2p/<peer id>")]
    NoPeerId {
        /// The address.
        address: Multiaddr,
    },
}

impl Connections {
    /// Keeps at least `minimum` connections if that many peers are known, and allows at most `maximum`.
    pub fn new(minimum: u32, maximum: u32) -> Result<Self, ConfigError> {
        let allowed = NonZeroU32::new(maximum).ok_or(ConfigError::NoConnections)?;
        if minimum > maximum {
            return Err(ConfigError::MinimumAboveMaximum { minimum, maximum });
        }
        Ok(Self { minimum, maximum: allowed })
    }

    /// Reads `P2P_MIN_CONNECTIONS` (10 when unset) and `P2P_MAX_CONNECTIONS` (50 when unset).
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(Self::default(), |variable| match env::var(variable) {
            Ok(value) => Ok(Some(value)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(ConfigError::NotUnicode { variable }),
        })
    }

    /// The same from any source, with what holds when a variable is unset.
    pub fn from_variables(
        unset: Self,
        read: impl Fn(&'static str) -> Result<Option<String>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let number = |variable, least, unset| match read(variable)? {
            None => Ok(unset),
            Some(value) => match value.trim().parse::<u32>() {
                Ok(number) if number >= least => Ok(number),
                _ => Err(ConfigError::NotANumber { variable, least, value }),
            },
        };
        let maximum = number(MAX_CONNECTIONS_VARIABLE, 1, unset.maximum())?;
        // Someone who only lowers the maximum does not mean an error by it.
        let minimum = number(MIN_CONNECTIONS_VARIABLE, 0, unset.minimum.min(maximum))?;
        Self::new(minimum, maximum)
    }

    /// How many connections the node tries to keep.
    pub fn minimum(self) -> u32 {
        self.minimum
    }

    /// How many connections the node allows.
    pub fn maximum(self) -> u32 {
        self.maximum.get()
    }

    /// How many of these others may make. A quarter stays for peers that the node chooses: whoever fills all the rest
    /// has not eclipsed it.
    pub fn inbound(self) -> u32 {
        self.maximum().div_ceil(4) * 3
    }

    const fn preset(minimum: u32, maximum: u32) -> Self {
        match NonZeroU32::new(maximum) {
            Some(maximum) => Self { minimum, maximum },
            None => panic!("a preset allows connections"),
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::preset(10, 50)
    }
}

/// Everything a [`Network`](super::Network) needs to start.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    pub(crate) identity: Option<Keypair>,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) announce: Vec<Multiaddr>,
    pub(crate) bootstrap: Vec<(PeerId, Multiaddr)>,
    pub(crate) dht: DhtMode,
    pub(crate) gossip: bool,
    pub(crate) address_filter: AddressFilter,
    pub(crate) connections: Connections,
    pub(crate) memory_limit: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) dial_timeout: Duration,
    pub(crate) direct_timeout: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) streams_per_connection: usize,
    pub(crate) relay_server: bool,
    pub(crate) relays_a_little: bool,
    pub(crate) autonat_server: bool,
    pub(crate) uses_relays: bool,
    pub(crate) maps_ports: bool,
    pub(crate) punches_holes: bool,
    pub(crate) mdns: bool,
    pub(crate) websocket_tls: WebSocketTls,
    pub(crate) agent: String,
    /// Stream protocols of others, on which direct messages are taken too.
    pub(crate) served: Vec<StreamProtocol>,
    pub(crate) servers: Servers,
    pub(crate) known_peers: Option<PathBuf>,
    /// How often the other end of a connection is asked whether it is there, and how long it may take to answer.
    pub(crate) ping: (Duration, Duration),
}

impl NetworkConfig {
    /// A wallet: asks the DHT, keeps 10 connections, allows 50.
    pub fn wallet() -> Self {
        Self {
            identity: None,
            listen: Vec::new(),
            announce: Vec::new(),
            bootstrap: Vec::new(),
            dht: DhtMode::Client,
            gossip: true,
            address_filter: AddressFilter::Automatic,
            connections: Connections::preset(10, 50),
            memory_limit: 512 * MIB,
            idle_timeout: Duration::from_secs(600),
            dial_timeout: Duration::from_secs(10),
            direct_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(5),
            // JavaScript sizes its windows by this number; with yamux's own 512 its frames exceed what we accept.
            streams_per_connection: 4096,
            relay_server: false,
            relays_a_little: true,
            autonat_server: false,
            uses_relays: true,
            maps_ports: true,
            punches_holes: true,
            mdns: false,
            websocket_tls: WebSocketTls::default(),
            agent: concat!("nelumbo/", env!("CARGO_PKG_VERSION")).to_owned(),
            served: Vec::new(),
            servers: Servers::of_system(),
            known_peers: None,
            ping: (Duration::from_secs(15), Duration::from_secs(20)),
        }
    }

    /// A full client: serves the DHT, keeps 20 connections, allows 100.
    pub fn full() -> Self {
        Self { dht: DhtMode::Server, connections: Connections::preset(20, 100), ..Self::wallet() }
    }

    /// A node that others join through: keeps 50 connections, allows 500, tells others whether they can be reached.
    pub fn bootstrap() -> Self {
        Self {
            dht: DhtMode::Server,
            connections: Connections::preset(50, 500),
            memory_limit: 2048 * MIB,
            autonat_server: true,
            ..Self::wallet()
        }
    }

    /// A bootstrap node that also relays for nodes behind NAT: keeps 100 connections, allows 1000.
    pub fn relay() -> Self {
        Self { connections: Connections::preset(100, 1000), relay_server: true, ..Self::bootstrap() }
    }

    /// Uses this identity instead of a fresh Ed25519 key.
    pub fn identity(mut self, identity: Keypair) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Listens on this address too. `…/p2p/<relay>/p2p-circuit` stays connected to that relay and reserves there.
    /// `/memory/N` is in this process's memory, for tests and for many nodes in one process; `/memory/0` takes a number
    /// that is free.
    pub fn listen_on(mut self, address: Multiaddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Tells others that the node can be reached at this address too.
    pub fn announce(mut self, address: Multiaddr) -> Self {
        self.announce.push(address);
        self
    }

    /// Joins through this peer, and stays connected to it. The address ends with `/p2p/<peer id>`.
    pub fn join_through(mut self, address: Multiaddr) -> Result<Self, ConfigError> {
        let peer = split_peer(&address).ok_or(ConfigError::NoPeerId { address })?;
        self.bootstrap.push(peer);
        Ok(self)
    }

    /// Sets what the node does in the DHT.
    pub fn dht(mut self, mode: DhtMode) -> Self {
        self.dht = mode;
        self
    }

    /// Takes part in gossip, or not; yes by default. Without, other signers hear of this node's announcements, and it
    /// of theirs, by the DHT and from those that it is connected to.
    pub fn gossip(mut self, gossip: bool) -> Self {
        self.gossip = gossip;
        self
    }

    /// Sets which addresses are advertised and stored.
    pub fn address_filter(mut self, filter: AddressFilter) -> Self {
        self.address_filter = filter;
        self
    }

    /// Sets how many connections are kept and allowed.
    pub fn connections(mut self, connections: Connections) -> Self {
        self.connections = connections;
        self
    }

    /// Lets the two environment variables, where they are set, override the number of connections.
    pub fn connections_from_env(mut self) -> Result<Self, ConfigError> {
        let read = |variable| match env::var(variable) {
            Ok(value) => Ok(Some(value)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(ConfigError::NotUnicode { variable }),
        };
        self.connections = Connections::from_variables(self.connections, read)?;
        Ok(self)
    }

    /// Refuses new connections while the process uses more than this many bytes.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Closes a connection that nobody used for this long, unless the peer is kept.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Gives up on an address of a peer that could not be connected to within this time.
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout;
        self
    }

    /// Gives up on a direct message that was not acknowledged within this time.
    pub fn direct_timeout(mut self, timeout: Duration) -> Self {
        self.direct_timeout = timeout;
        self
    }

    /// Ends a DHT query after this time, with what it has found so far. A put has it twice: to find the nodes nearest
    /// to the key, and to have them store the record.
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// Sets how often the other end of a connection is asked whether it is there, 15 seconds if nothing is said, and
    /// how long it may take to answer, 20 seconds. Two answers that are late in a row end the connection.
    pub fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        self.ping = (interval, timeout);
        self
    }

    /// Sets how many streams one connection may have open at once, from 64 to 4096.
    pub fn streams_per_connection(mut self, streams: usize) -> Self {
        self.streams_per_connection = streams.clamp(64, 4096);
        self
    }

    /// Relays for others, or not.
    pub fn relay_server(mut self, serve: bool) -> Self {
        self.relay_server = serve;
        self
    }

    /// Relays a little for others where it can be reached itself, or not; yes by default. At most 16 reservations and
    /// 16 circuits of 128 KiB and two minutes, so that a network without a relay is one for all the same.
    pub fn small_relay(mut self, serve: bool) -> Self {
        self.relays_a_little = serve;
        self
    }

    /// Tells others whether they can be reached from outside, or not.
    pub fn autonat_server(mut self, serve: bool) -> Self {
        self.autonat_server = serve;
        self
    }

    /// Reserves at relays as long as the node cannot be reached otherwise, or not; yes by default. A relay that is
    /// listened on is reserved at in any case.
    pub fn relay_client(mut self, reserve: bool) -> Self {
        self.uses_relays = reserve;
        self
    }

    /// Asks the gateway to forward the ports that are listened on, or not; yes by default.
    pub fn port_mapping(mut self, map: bool) -> Self {
        self.maps_ports = map;
        self
    }

    /// Tries to make circuits direct by dialling from both ends at once, or not; yes by default.
    pub fn hole_punching(mut self, punch: bool) -> Self {
        self.punches_holes = punch;
        self
    }

    /// Looks for other nodes on the same link by multicast DNS, and tells them of this one, or not; no by default.
    pub fn mdns(mut self, look: bool) -> Self {
        self.mdns = look;
        self
    }

    /// Remembers in this file which peers were of use, so that the node finds back without its bootstrap nodes. A
    /// [`Builder`](crate::Builder) does it in its folder.
    pub fn remember_peers(mut self, file: impl Into<PathBuf>) -> Self {
        self.known_peers = Some(file.into());
        self
    }

    /// Sets the name and version that other nodes see.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = agent.into();
        self
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
