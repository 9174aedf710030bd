//! The node's connection to the world.
//!
//! Owns libp2p's swarm and everything around it that decides: whom to dial, what may be stored, how much may wait.
//! Invariant: libp2p's events become the small facts of [`NetworkEvent`], in order, and every collection that a peer
//! can make grow is bounded. Driven by one task that calls [`Network::next`] again and again; between two calls
//! nothing happens.

mod addresses;
mod autonat;
mod backoff;
mod behaviour;
mod channel;
mod codec;
mod config;
mod connect;
mod dht;
mod direct;
mod discovery;
mod event;
mod gateway;
mod gather;
mod gossip;
mod guard;
mod handshakes;
mod kept;
mod known;
mod listeners;
mod neighbours;
mod peers;
mod private;
mod protocols;
mod punching;
mod reach;
mod records;
mod republish;
mod resolve;
mod scores;
mod switch;
mod translate;
mod transport;
mod websocket;
mod woken;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError, gossipsub::TopicHash, identity::Keypair, kad, multiaddr::Protocol,
    request_response::OutboundRequestId, swarm::ConnectionId,
};
pub use nelumbo_core::api::{GossipId, OperationId, PutId, Verdict};
use tokio::time::Instant;

pub use self::{
    addresses::AddressFilter,
    behaviour::{DHT_PROTOCOL, MAX_GOSSIP_MESSAGE},
    channel::CHANNEL_PROTOCOL,
    codec::{MAX_DIRECT_MESSAGE, SESSION_PROTOCOL},
    config::{ConfigError, Connections, DhtMode, MAX_CONNECTIONS_VARIABLE, MIN_CONNECTIONS_VARIABLE, NetworkConfig},
    event::{DhtOutcome, DhtState, DirectFailure, NetworkEvent},
    gossip::{GossipError, Published},
    peers::ConnectedTo,
    private::Relaying,
    records::{MAX_DHT_KEY, MAX_DHT_VALUE},
};
pub(crate) use self::{addresses::split_peer, gossip::TOPIC_KINDS};
use self::{
    addresses::{DecidedFilter, is_circuit},
    backoff::Backoff,
    behaviour::Behaviour,
    discovery::{Discovery, Due},
    gateway::Gateway,
    gossip::Unvalidated,
    guard::DialGuard,
    kept::KeptPeers,
    known::KnownPeers,
    listeners::Listeners,
    peers::ConnectedPeers,
    protocols::Listed,
    reach::Reach,
    republish::RepublishQueue,
};
use crate::{metrics::Metrics, reachability::Machine};

/// At most this many addresses of one peer are used or advertised: identify's message holds about twice as many.
const MAX_ADDRESSES: usize = 16;
const MAX_INBOUND_RECORDS: usize = 256;
/// At most this many dials at a time only to have more connections.
const MAX_FILL: usize = 4;

/// Why a network did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// There is no tokio runtime here.
    #[error("there is no tokio runtime here: start it in an async function of one, or after `Runtime::enter`")]
    NoRuntime,
    /// The operating system gave no randomness for a fresh identity.
    #[error("no randomness from the operating system: {0}")]
    Entropy(getrandom::Error),
    /// A protocol refused its settings.
    #[error("a protocol could not be set up: {0}")]
    Protocol(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
}

#[derive(Clone, Copy, Debug)]
enum Query {
    Get(OperationId),
    /// Whoever asked hears of the first try only.
    Put(Option<OperationId>),
}

/// A running network. See the module's documentation.
pub struct Network {
    swarm: Swarm<Listed<Behaviour>>,
    listeners: Listeners,
    reach: Reach,
    relaying: Relaying,
    /// Asked when there is none that speaks UPnP.
    gateway: Option<Gateway>,
    /// Who has a reservation here.
    reserved: HashSet<PeerId>,
    /// Between whom circuits go through here.
    carried: Vec<(PeerId, PeerId)>,
    filter: DecidedFilter,
    guard: DialGuard,
    dht_mode: DhtMode,
    bootstrap: HashSet<PeerId>,
    /// Addresses that the configuration has others told.
    announced: Vec<Multiaddr>,
    connections: Connections,
    idle_timeout: Duration,
    query_timeout: Duration,
    peers: ConnectedPeers,
    /// Why this node closes a connection.
    closing: HashMap<ConnectionId, &'static str>,
    kept: KeptPeers,
    /// Kept because they are on the same link; of each, whether for that alone.
    neighbours: HashMap<PeerId, bool>,
    known: KnownPeers,
    discovery: Discovery,
    refresh: Option<kad::QueryId>,
    refreshed: bool,
    /// Messages on streams of their own, by what libp2p calls them.
    one_shots: HashMap<OutboundRequestId, (OperationId, PeerId)>,
    queries: HashMap<kad::QueryId, Query>,
    republish: RepublishQueue,
    inbound: BTreeMap<PutId, kad::Record>,
    next_inbound: u64,
    topics: HashSet<TopicHash>,
    unvalidated: Unvalidated,
    routing_peers: usize,
    events: VecDeque<NetworkEvent>,
    metrics: Metrics,
}

impl Network {
    /// Starts to listen, and to connect to the bootstrap peers, on the current tokio runtime.
    pub fn new(config: NetworkConfig, metrics: Metrics) -> Result<Self, NetworkError> {
        require_runtime()?;
        let keypair = match &config.identity {
            Some(keypair) => keypair.clone(),
            None => fresh_identity()?,
        };
        let filter = config.address_filter.decide(&config.listen, config.bootstrap.iter().map(|(_, address)| address));
        let guard = DialGuard::new(filter.clone());
        let (transport, relay_client) = transport::build(&keypair, &config, &guard)?;
        let behaviour = Listed::new(Behaviour::new(&keypair, &config, filter.clone(), relay_client)?);
        let local = keypair.public().to_peer_id();
        let swarm = Swarm::new(transport, behaviour, local, behaviour::swarm());

        // All before the first listener, which would be in the way of what asks.
        transport::check_ports(&config.listen).map_err(|(address, reason)| NetworkError::Listen { address, reason })?;
        let seed = getrandom::u64().map_err(NetworkError::Entropy)?;
        let now = Instant::now();
        let mut network = Self {
            swarm,
            listeners: Listeners::new(Backoff::new(seed.rotate_left(32)), now),
            reach: Reach::new(Machine::new(filter.is_local(), config.uses_relays, now)),
            relaying: config.relaying(),
            gateway: None,
            reserved: HashSet::new(),
            carried: Vec::new(),
            known: KnownPeers::open(config.known_peers, &filter),
            filter,
            guard,
            dht_mode: config.dht,
            bootstrap: config.bootstrap.iter().map(|(peer, _)| *peer).collect(),
            announced: config.announce.clone(),
            connections: config.connections,
            idle_timeout: config.idle_timeout,
            query_timeout: config.query_timeout,
            peers: ConnectedPeers::default(),
            closing: HashMap::new(),
            kept: KeptPeers::new(Backoff::new(seed)),
            neighbours: HashMap::new(),
            discovery: Discovery::new(now),
            refresh: None,
            refreshed: false,
            one_shots: HashMap::new(),
            queries: HashMap::new(),
            republish: RepublishQueue::new(Backoff::new(!seed)),
            inbound: BTreeMap::new(),
            next_inbound: 0,
            topics: HashSet::new(),
            unvalidated: Unvalidated::default(),
            routing_peers: 0,
            events: VecDeque::new(),
            metrics,
        };
        for address in config.listen {
            if !is_circuit(&address) {
                network.listen(address)?;
            } else if !network.reserve_always(&address) {
                let reason = "a relay's address ends with /p2p/<peer id>/p2p-circuit".to_owned();
                return Err(NetworkError::Listen { address, reason });
            }
        }
        for address in config.announce {
            network.on_own_address(&address, true);
            network.announce(address);
        }
        for (peer, address) in config.bootstrap.into_iter().filter(|(peer, _)| *peer != local) {
            network.keep(peer, vec![address]);
        }
        if !network.known.is_empty() {
            network.discovery.fill_soon(now);
        }
        Ok(network)
    }

    fn listen(&mut self, address: Multiaddr) -> Result<(), NetworkError> {
        match self.swarm.listen_on(address.clone()) {
            Ok(listener) => {
                self.listeners.on_first(listener, address, Instant::now());
                Ok(())
            }
            Err(error) => {
                let reason = match error {
                    // libp2p says of it what it says of one where nobody listens.
                    TransportError::Other(_) if matches!(address.iter().next(), Some(Protocol::Memory(_))) => {
                        "the address is in use in this process".to_owned()
                    }
                    // Says nothing about what it holds.
                    TransportError::Other(error) => error.to_string(),
                    error => error.to_string(),
                };
                Err(NetworkError::Listen { address, reason })
            }
        }
    }

    /// The node's own peer id.
    pub fn local_peer(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// The next fact. Dropping the future loses nothing.
    pub async fn next(&mut self) -> NetworkEvent {
        loop {
            // Several come at a time, and then nothing else can have changed.
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.run_due();
            if !self.events.is_empty() {
                continue;
            }
            let dials =
                self.kept.deadline().map(|dials| self.listeners.may_dial_from().map_or(dials, |from| from.max(dials)));
            let deadlines = [
                dials,
                self.listeners.deadline(),
                self.known.deadline(),
                self.republish.deadline(),
                self.queries_deadline(),
                self.reach.deadline(),
            ];
            let deadline = deadlines.into_iter().flatten().fold(self.discovery.deadline(), Instant::min);
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                event = gateway::next(&mut self.gateway) => self.on_gateway(event),
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// Peers with at least one connection.
    pub fn connected_peers(&self) -> impl Iterator<Item = PeerId> {
        self.peers.iter()
    }

    /// The same, each with its best connection.
    pub fn connected_to(&self) -> impl Iterator<Item = ConnectedTo> {
        self.peers.list()
    }

    /// Of each connection to a peer, the oldest first, whether it is a circuit through a relay.
    pub fn paths(&self, peer: &PeerId) -> Vec<bool> {
        self.peers.connections(peer).iter().map(|connection| connection.is_relayed).collect()
    }

    /// Whether there is a connection to this peer.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains(peer)
    }

    /// The addresses that this node tells others, without its peer id.
    pub fn external_addresses(&self) -> impl Iterator<Item = &Multiaddr> {
        self.swarm.external_addresses()
    }

    /// The addresses that this node listens on.
    pub fn listeners(&self) -> impl Iterator<Item = &Multiaddr> {
        self.swarm.listeners()
    }

    /// How many peers the DHT's routing table holds.
    pub fn routing_peers(&self) -> usize {
        self.routing_peers
    }

    /// How many direct messages wait or are on the wire.
    pub fn direct_backlog(&self) -> usize {
        self.swarm.behaviour().channel.len()
    }

    /// Closes all connections and waits, but not longer than `patience`, until the peers know.
    pub async fn close(mut self, patience: Duration) {
        self.known.save();
        let connected: Vec<_> = self.peers.iter().collect();
        for peer in &connected {
            self.part(peer, "this node stops");
        }
        let all_closed = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(patience, all_closed).await.is_err() {
            tracing::debug!("some connections were cut instead of closed");
        }
    }

    /// Does what time asks for.
    fn run_due(&mut self) {
        let now = Instant::now();
        if self.listeners.may_dial_from().is_none_or(|from| from <= now) {
            for (peer, addresses) in self.kept.due(now) {
                self.dial(peer, addresses);
            }
        }
        while let Some(dead) = self.listeners.due(now) {
            match self.swarm.listen_on(dead.address.clone()) {
                Ok(listener) => self.listeners.on_opened(listener, dead, now),
                Err(error) => {
                    tracing::warn!(address = %dead.address, %error, "cannot be listened on again yet");
                    self.listeners.on_failed(dead, now);
                }
            }
        }
        if self.known.deadline().is_some_and(|save| save <= now) {
            self.known.save();
        }
        self.run_reach(now);
        while let Some(key) = self.republish.due(now) {
            self.put(None, key);
        }
        self.end_late_queries();
        while let Some(due) = self.discovery.due(now) {
            match due {
                Due::Refresh => {
                    // Without the DHT nobody is in its table, and there is nothing to refresh.
                    if let Ok(query) = self.swarm.behaviour_mut().kad.bootstrap() {
                        self.refresh = Some(query);
                        self.discovery.on_refresh_started();
                    }
                }
                Due::Fill => {
                    self.fill_or_trim(now);
                    self.measure();
                }
            }
        }
    }

    /// Connects to known peers when there are too few connections, closes idle ones when there are more than enough.
    fn fill_or_trim(&mut self, now: Instant) {
        let minimum = self.connections.minimum() as usize;
        if self.peers.len() < minimum {
            let wanted = (minimum - self.peers.len()).min(MAX_FILL);
            let peers = &self.peers;
            let kad = &mut self.swarm.behaviour_mut().kad;
            let known: Vec<PeerId> = kad
                .kbuckets()
                .flat_map(|bucket| bucket.iter().map(|entry| *entry.node.key.preimage()).collect::<Vec<_>>())
                .filter(|peer| !peers.contains(peer))
                .take(wanted)
                .collect();
            let others = wanted - known.len();
            for peer in known {
                self.dial(peer, Vec::new());
            }
            let peers = &self.peers;
            for (peer, addresses) in self.known.call(others, now, |peer| !peers.contains(peer)) {
                self.dial(peer, addresses);
            }
        } else {
            for peer in self.peers.idle(self.idle_timeout, minimum, now, |peer| !self.needs(peer)) {
                self.part(&peer, "it was idle");
            }
        }
    }

    /// Whether the node itself has a reason to be connected to this peer.
    fn needs(&self, peer: &PeerId) -> bool {
        let is_in_mesh = || self.swarm.behaviour().gossipsub.all_mesh_peers().any(|mesh| mesh == peer);
        self.kept.contains(peer) || self.reach.holds(peer) || is_in_mesh()
    }

    /// At the limit somebody leaves when somebody comes, or the newcomer does.
    fn make_room(&mut self, newcomer: PeerId, now: Instant) {
        let (all, inbound) = self.peers.places();
        if all <= self.connections.maximum() as usize && inbound <= self.connections.inbound() as usize {
            return;
        }
        let leaves = match self.peers.gives_way(&newcomer, now, |peer| self.needs(peer)) {
            None if self.needs(&newcomer) => return,
            leaves => leaves.unwrap_or(newcomer),
        };
        let is_newcomer = leaves == newcomer;
        tracing::info!(peer = %leaves, is_newcomer, "all connections are taken; this one is closed");
        self.metrics.network.gave_way.inc();
        self.part(&leaves, "all connections are taken");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // An address in memory is not free again when its listener is dropped, but when it is removed.
        for listener in self.listeners.take() {
            self.swarm.remove_listener(listener);
        }
    }
}

/// Without this, what needs a runtime would panic.
pub(crate) fn require_runtime() -> Result<(), NetworkError> {
    tokio::runtime::Handle::try_current().map(drop).map_err(|_| NetworkError::NoRuntime)
}

fn fresh_identity() -> Result<Keypair, NetworkError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(NetworkError::Entropy)?;
    // Also wipes `secret`.
    Keypair::ed25519_from_bytes(&mut secret).map_err(|error| NetworkError::Protocol(error.to_string()))
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod liveness_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_dies_is_back_at_its_address() {
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        let mut network = Network::new(NetworkConfig::wallet().listen_on(listen), Metrics::new()).expect("a network");
        while !matches!(network.next().await, NetworkEvent::Listening { .. }) {}
        let listener = network.listeners.first().expect("one");
        assert!(network.swarm.remove_listener(listener));
        let (mut is_closed, back) = (false, tokio::time::Instant::now() + Duration::from_secs(10));
        loop {
            match tokio::time::timeout_at(back, network.next()).await.expect("it listens again in time") {
                NetworkEvent::ListenerClosed { .. } => is_closed = true,
                NetworkEvent::Listening { .. } => break,
                _ => {}
            }
        }
        assert!(is_closed, "and the end was told");
    }
}
