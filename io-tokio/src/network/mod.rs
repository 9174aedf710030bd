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
mod gossip;
mod guard;
mod kept;
mod peers;
mod protocols;
mod punching;
mod reach;
mod records;
mod republish;
mod scores;
mod translate;
mod transport;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    io,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError, core::transport::ListenerId, gossipsub::TopicHash, identity::Keypair,
    kad, multiaddr::Protocol, request_response::OutboundRequestId,
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
    records::{MAX_DHT_KEY, MAX_DHT_VALUE},
};
use self::{
    addresses::{DecidedFilter, is_circuit},
    backoff::Backoff,
    behaviour::Behaviour,
    discovery::{Discovery, Due},
    gossip::Unvalidated,
    guard::DialGuard,
    kept::KeptPeers,
    peers::ConnectedPeers,
    protocols::Listed,
    reach::Reach,
    republish::RepublishQueue,
};
use crate::{metrics::Metrics, reachability::Machine};

/// At most this many addresses of one peer are used or advertised: identify's message holds about twice as many.
const MAX_ADDRESSES: usize = 16;
const MAX_INBOUND_RECORDS: usize = 256;
/// The first dials wait as long for the listeners, whose ports they leave from.
const LISTENERS_BOUND: Duration = Duration::from_millis(500);
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
    /// Name resolution could not be set up.
    #[error("name resolution could not be set up: {0}")]
    Names(io::Error),
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
    listeners: Vec<ListenerId>,
    /// Those of the first listeners that have no address yet, and until when dials wait for them.
    unbound: HashSet<ListenerId>,
    unbound_until: Instant,
    reach: Reach,
    filter: DecidedFilter,
    guard: DialGuard,
    dht_mode: DhtMode,
    bootstrap: HashSet<PeerId>,
    minimum: usize,
    idle_timeout: Duration,
    query_timeout: Duration,
    peers: ConnectedPeers,
    kept: KeptPeers,
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
        let guard = DialGuard::new(filter);
        let (transport, relay_client) = transport::build(&keypair, &config, &guard)?;
        let behaviour = Listed(Behaviour::new(&keypair, &config, filter, relay_client)?);
        let local = keypair.public().to_peer_id();
        let swarm = Swarm::new(transport, behaviour, local, behaviour::swarm());

        // All before the first listener, so that none is in the way of another of the same node.
        for address in &config.listen {
            transport::check_port(address)
                .map_err(|error| NetworkError::Listen { address: address.clone(), reason: error.to_string() })?;
        }
        let seed = getrandom::u64().map_err(NetworkError::Entropy)?;
        let now = Instant::now();
        let mut network = Self {
            swarm,
            listeners: Vec::new(),
            unbound: HashSet::new(),
            unbound_until: now + LISTENERS_BOUND,
            reach: Reach::new(Machine::new(filter.is_local(), config.uses_relays, now)),
            filter,
            guard,
            dht_mode: config.dht,
            bootstrap: config.bootstrap.iter().map(|(peer, _)| *peer).collect(),
            minimum: config.connections.minimum() as usize,
            idle_timeout: config.idle_timeout,
            query_timeout: config.query_timeout,
            peers: ConnectedPeers::default(),
            kept: KeptPeers::new(Backoff::new(seed)),
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
        Ok(network)
    }

    fn listen(&mut self, address: Multiaddr) -> Result<(), NetworkError> {
        match self.swarm.listen_on(address.clone()) {
            Ok(listener) => {
                self.listeners.push(listener);
                self.unbound.insert(listener);
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
            self.run_due();
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let dials = self.kept.deadline().map(|dials| self.may_dial_from().map_or(dials, |from| from.max(dials)));
            let deadlines = [dials, self.republish.deadline(), self.queries_deadline(), self.reach.deadline()];
            let deadline = deadlines.into_iter().flatten().fold(self.discovery.deadline(), Instant::min);
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
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
        let connected: Vec<_> = self.peers.iter().collect();
        for peer in &connected {
            self.disconnect(peer);
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
        if self.may_dial_from().is_none_or(|from| from <= now) {
            for (peer, addresses) in self.kept.due(now) {
                self.dial(peer, addresses);
            }
        }
        self.run_reach(now);
        while let Some(key) = self.republish.due(now) {
            self.put(None, key);
        }
        self.end_late_queries();
        while let Some(due) = self.discovery.due(now) {
            match due {
                Due::Refresh => {
                    if let Ok(query) = self.swarm.behaviour_mut().kad.bootstrap() {
                        self.refresh = Some(query);
                        self.discovery.on_refresh_started();
                    }
                }
                Due::Fill => self.fill_or_trim(now),
            }
        }
    }

    /// When the first dials may leave, if not yet: what leaves from a port that passes is seen at a port that does.
    fn may_dial_from(&self) -> Option<Instant> {
        (!self.unbound.is_empty()).then_some(self.unbound_until)
    }

    /// Connects to known peers when there are too few connections, closes idle ones when there are more than enough.
    fn fill_or_trim(&mut self, now: Instant) {
        if self.peers.len() < self.minimum {
            let wanted = (self.minimum - self.peers.len()).min(MAX_FILL);
            let peers = &self.peers;
            let kad = &mut self.swarm.behaviour_mut().kad;
            let known: Vec<PeerId> = kad
                .kbuckets()
                .flat_map(|bucket| bucket.iter().map(|entry| *entry.node.key.preimage()).collect::<Vec<_>>())
                .filter(|peer| !peers.contains(peer))
                .take(wanted)
                .collect();
            for peer in known {
                self.dial(peer, Vec::new());
            }
        } else {
            let mesh: HashSet<PeerId> = self.swarm.behaviour().gossipsub.all_mesh_peers().copied().collect();
            let is_held = |peer: &PeerId| self.kept.contains(peer) || self.reach.holds(peer);
            let spare = |peer: &PeerId| !is_held(peer) && !mesh.contains(peer);
            for peer in self.peers.idle(self.idle_timeout, self.minimum, now, spare) {
                self.disconnect(&peer);
            }
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // An address in memory is not free again when its listener is dropped, but when it is removed.
        for listener in self.listeners.drain(..) {
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
