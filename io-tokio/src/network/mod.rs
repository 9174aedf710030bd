//! The node's connection to the world.
//!
//! Owns libp2p's swarm and everything around it that decides: whom to dial, what may be stored, how much may wait.
//! Invariant: libp2p's events become the small facts of [`NetworkEvent`], in order, and every collection that a peer
//! can make grow is bounded. Driven by one task that calls [`Network::next`] again and again; between two calls
//! nothing happens.

mod addresses;
mod backoff;
mod behaviour;
mod codec;
mod config;
mod direct;
mod discovery;
mod event;
mod kept;
mod peers;
mod records;
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
    Multiaddr, PeerId, Swarm,
    gossipsub::{self, IdentTopic, MessageAcceptance, TopicHash},
    identity::Keypair,
    kad,
    kad::store::RecordStore,
    swarm::{DialError, dial_opts::DialOpts},
};
use tokio::time::Instant;

pub use self::{
    addresses::AddressFilter,
    behaviour::{DHT_PROTOCOL, MAX_GOSSIP_MESSAGE},
    codec::{MAX_DIRECT_MESSAGE, SESSION_PROTOCOL},
    config::{ConfigError, Connections, DhtMode, MAX_CONNECTIONS_VARIABLE, MIN_CONNECTIONS_VARIABLE, NetworkConfig},
    event::{DhtOutcome, DhtState, DirectFailure, GossipId, InboundRecordId, NetworkEvent, OperationId, Verdict},
    records::{MAX_DHT_KEY, MAX_DHT_VALUE},
};
use self::{
    addresses::DecidedFilter,
    backoff::Backoff,
    behaviour::Behaviour,
    direct::DirectQueue,
    discovery::{Discovery, Due},
    kept::KeptPeers,
    peers::ConnectedPeers,
};
use crate::metrics::Metrics;

/// At most this many addresses of one peer are used or advertised: identify's message holds about twice as many.
const MAX_ADDRESSES: usize = 16;
const MAX_QUERIES: usize = 256;
const MAX_INBOUND_RECORDS: usize = 256;
const MAX_TOPICS: usize = 256;
const MAX_BLOCKED: usize = 16_384;
/// At most this many dials at a time only to have more connections.
const MAX_FILL: usize = 4;

/// Why a network did not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
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

/// What became of a gossip message that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is on its way to at least one neighbour.
    ToNeighbours,
    /// No neighbour subscribes to the topic.
    ToNobody,
}

/// Why a gossip message was not published, or a topic not subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GossipError {
    /// The message is over the limit.
    #[error("the message has {0} bytes, over the limit of gossip")]
    TooLarge(usize),
    /// Every neighbour's queue is full, or the message could not be signed.
    #[error("the message was not taken: {0}")]
    NotTaken(String),
    /// Too many topics.
    #[error("too many topics")]
    TooManyTopics,
}

#[derive(Clone, Copy, Debug)]
enum Query {
    Get(OperationId),
    Put(OperationId),
}

/// A running network. See the module's documentation.
pub struct Network {
    swarm: Swarm<Behaviour>,
    filter: DecidedFilter,
    dht_mode: DhtMode,
    bootstrap: HashSet<PeerId>,
    minimum: usize,
    idle_timeout: Duration,
    peers: ConnectedPeers,
    kept: KeptPeers,
    discovery: Discovery,
    refresh: Option<kad::QueryId>,
    refreshed: bool,
    direct: DirectQueue,
    queries: HashMap<kad::QueryId, Query>,
    inbound: BTreeMap<u64, kad::Record>,
    next_inbound: u64,
    topics: HashSet<TopicHash>,
    routing_peers: usize,
    events: VecDeque<NetworkEvent>,
    metrics: Metrics,
}

impl Network {
    /// Starts to listen, and to connect to the bootstrap peers. Must be called inside a tokio runtime.
    pub fn new(config: NetworkConfig, metrics: Metrics) -> Result<Self, NetworkError> {
        let keypair = match &config.identity {
            Some(keypair) => keypair.clone(),
            None => fresh_identity()?,
        };
        let (transport, relay_client) = transport::build(&keypair, &config)?;
        let behaviour = Behaviour::new(&keypair, &config, relay_client)?;
        let local = keypair.public().to_peer_id();
        let mut swarm = Swarm::new(transport, behaviour, local, behaviour::swarm(&config));

        for address in &config.listen {
            swarm
                .listen_on(address.clone())
                .map_err(|error| NetworkError::Listen { address: address.clone(), reason: error.to_string() })?;
        }
        let seed = getrandom::u64().map_err(NetworkError::Entropy)?;
        let now = Instant::now();
        let mut network = Self {
            swarm,
            filter: config.address_filter.decide(&config.listen, config.bootstrap.iter().map(|(_, address)| address)),
            dht_mode: config.dht,
            bootstrap: config.bootstrap.iter().map(|(peer, _)| *peer).collect(),
            minimum: config.connections.minimum() as usize,
            idle_timeout: config.idle_timeout,
            peers: ConnectedPeers::default(),
            kept: KeptPeers::new(Backoff::new(seed)),
            discovery: Discovery::new(now),
            refresh: None,
            refreshed: false,
            direct: DirectQueue::default(),
            queries: HashMap::new(),
            inbound: BTreeMap::new(),
            next_inbound: 0,
            topics: HashSet::new(),
            routing_peers: 0,
            events: VecDeque::new(),
            metrics,
        };
        for address in config.announce {
            network.announce(address);
        }
        for (peer, address) in config.bootstrap.into_iter().filter(|(peer, _)| *peer != local) {
            network.keep(peer, vec![address]);
        }
        Ok(network)
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
            let deadline =
                self.kept.deadline().map_or(self.discovery.deadline(), |kept| kept.min(self.discovery.deadline()));
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

    /// Whether this node serves the DHT.
    pub fn dht_mode(&self) -> DhtMode {
        self.dht_mode
    }

    /// How far the node is on its way into the DHT.
    pub fn dht_state(&self) -> DhtState {
        match self.routing_peers {
            0 if self.bootstrap.is_empty() && self.peers.len() == 0 => DhtState::Initialised,
            0 => DhtState::Bootstrapping,
            _ if self.refreshed => DhtState::Ready,
            _ => DhtState::Populating,
        }
    }

    /// How many direct messages wait or are on the wire.
    pub fn direct_backlog(&self) -> usize {
        self.direct.len()
    }

    /// The score of a gossip neighbour: negative for one that passes on what is rejected.
    pub fn gossip_score(&self, peer: &PeerId) -> Option<f64> {
        self.swarm.behaviour().gossipsub.peer_score(peer)
    }

    /// Tries once to connect to a peer, at these addresses and at those already known.
    pub fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.peers.contains(&peer) {
            return;
        }
        let options = DialOpts::peer_id(peer).addresses(addresses).extend_addresses_through_behaviour().build();
        match self.swarm.dial(options) {
            // In the second case a dial is under way already, and its result serves this caller too.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => self.on_dial_failed(peer, &error),
        }
    }

    /// Connects to a peer now and whenever the connection is lost, and lets it in even if the node is full. `false`
    /// when too many peers are kept.
    pub fn keep(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> bool {
        let connected = self.peers.contains(&peer);
        let kept = self.kept.keep(peer, addresses, connected, Instant::now());
        if kept {
            self.swarm.behaviour_mut().limits.bypass_peer_id(&peer);
        }
        kept
    }

    /// Ends [`keep`](Self::keep). The connection stays until it is idle; bootstrap peers are always kept.
    pub fn release(&mut self, peer: &PeerId) {
        if !self.bootstrap.contains(peer) {
            self.forget_kept(peer);
        }
    }

    fn forget_kept(&mut self, peer: &PeerId) {
        self.kept.release(peer);
        self.swarm.behaviour_mut().limits.remove_peer_id(peer);
    }

    /// Closes every connection to a peer.
    pub fn disconnect(&mut self, peer: &PeerId) {
        // An error says that there is none.
        let _ = self.swarm.disconnect_peer_id(*peer);
    }

    /// Closes every connection to a peer and allows no new one. `false` when too many are blocked already.
    pub fn block(&mut self, peer: PeerId) -> bool {
        let behaviour = self.swarm.behaviour_mut();
        let blocked = behaviour.blocked.blocked_peers();
        if blocked.len() >= MAX_BLOCKED && !blocked.contains(&peer) {
            return false;
        }
        behaviour.blocked.block_peer(peer);
        behaviour.gossipsub.blacklist_peer(&peer);
        behaviour.kad.remove_peer(&peer);
        self.forget_kept(&peer);
        self.update_routing_peers();
        true
    }

    /// Ends [`block`](Self::block).
    pub fn unblock(&mut self, peer: PeerId) {
        let behaviour = self.swarm.behaviour_mut();
        behaviour.blocked.unblock_peer(peer);
        behaviour.gossipsub.remove_blacklisted_peer(&peer);
    }

    /// Sends a direct message, over a connection that exists or is made now. Ends in one
    /// [`DirectSent`](NetworkEvent::DirectSent) or [`DirectFailed`](NetworkEvent::DirectFailed).
    pub fn send(&mut self, peer: PeerId, operation: OperationId, bytes: Vec<u8>) {
        match self.direct.push(peer, operation, bytes) {
            Err(failure) => self.fail_direct(operation, peer, failure),
            Ok(()) if self.peers.contains(&peer) => self.pump_direct(peer),
            Ok(()) => self.dial(peer, Vec::new()),
        }
    }

    /// Subscribes to a topic.
    pub fn subscribe(&mut self, topic: &str) -> Result<(), GossipError> {
        let topic = IdentTopic::new(topic);
        if self.topics.len() >= MAX_TOPICS && !self.topics.contains(&topic.hash()) {
            return Err(GossipError::TooManyTopics);
        }
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        gossipsub
            .set_topic_params(topic.clone(), scores::topic())
            .map_err(|error| GossipError::NotTaken(error.to_owned()))?;
        gossipsub.subscribe(&topic).map_err(|error| GossipError::NotTaken(error.to_string()))?;
        self.topics.insert(topic.hash());
        Ok(())
    }

    /// Unsubscribes from a topic.
    pub fn unsubscribe(&mut self, topic: &str) {
        let topic = IdentTopic::new(topic);
        self.topics.remove(&topic.hash());
        self.swarm.behaviour_mut().gossipsub.unsubscribe(&topic);
    }

    /// How many neighbours subscribe to a topic.
    pub fn subscribers(&self, topic: &str) -> usize {
        let topic = IdentTopic::new(topic).hash();
        self.swarm.behaviour().gossipsub.all_peers().filter(|(_, topics)| topics.contains(&&topic)).count()
    }

    /// Publishes a gossip message. That nobody subscribes is not an error.
    pub fn publish(&mut self, topic: &str, bytes: Vec<u8>) -> Result<Published, GossipError> {
        if bytes.len() > MAX_GOSSIP_MESSAGE {
            return Err(GossipError::TooLarge(bytes.len()));
        }
        match self.swarm.behaviour_mut().gossipsub.publish(IdentTopic::new(topic).hash(), bytes) {
            Ok(_) => {
                self.metrics.network.gossip_published.inc();
                Ok(Published::ToNeighbours)
            }
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => Ok(Published::ToNobody),
            Err(error) => Err(GossipError::NotTaken(error.to_string())),
        }
    }

    /// Says what the node thinks of a gossip message. `false` when the verdict came too late to matter.
    pub fn report_gossip(&mut self, id: &GossipId, verdict: Verdict) -> bool {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => {
                self.metrics.network.gossip_rejected.inc();
                MessageAcceptance::Reject
            }
        };
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        gossipsub.report_message_validation_result(&id.message, &id.propagation_source, acceptance)
    }

    /// Looks a record up. Ends in one [`DhtFinished`](NetworkEvent::DhtFinished), after any number of
    /// [`DhtRecord`](NetworkEvent::DhtRecord)s.
    pub fn dht_get(&mut self, operation: OperationId, key: &[u8]) {
        if self.queries.len() >= MAX_QUERIES || key.len() > MAX_DHT_KEY {
            self.events.push_back(NetworkEvent::DhtFinished { operation, outcome: DhtOutcome::Refused });
            return;
        }
        let query = self.swarm.behaviour_mut().kad.get_record(kad::RecordKey::new(&key));
        self.queries.insert(query, Query::Get(operation));
        self.metrics.network.dht_queries.inc();
    }

    /// Stores a record here and at the nodes nearest to its key, and publishes it again every hour until it expires.
    /// Ends in one [`DhtPutFinished`](NetworkEvent::DhtPutFinished).
    pub fn dht_put(&mut self, operation: OperationId, key: &[u8], value: Vec<u8>, life: Option<Duration>) {
        let record = kad::Record {
            key: kad::RecordKey::new(&key),
            value,
            publisher: None,
            expires: life.and_then(|life| std::time::Instant::now().checked_add(life)),
        };
        // `All` makes the query talk to every near node; with `One` it would end at the first acknowledgement and
        // leave the others out. How many acknowledged decides about success later.
        let started = if self.queries.len() < MAX_QUERIES {
            self.swarm.behaviour_mut().kad.put_record(record, kad::Quorum::All).ok()
        } else {
            None
        };
        match started {
            Some(query) => {
                self.queries.insert(query, Query::Put(operation));
                self.metrics.network.dht_queries.inc();
            }
            None => {
                self.events.push_back(NetworkEvent::DhtPutFinished { operation, outcome: DhtOutcome::Refused });
            }
        }
    }

    /// Removes this node's own record from its store, so that it is not published again.
    pub fn dht_remove(&mut self, key: &[u8]) {
        self.swarm.behaviour_mut().kad.remove_record(&kad::RecordKey::new(&key));
    }

    /// The value that this node's own store has under a key.
    pub fn stored(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let record = self.swarm.behaviour_mut().kad.store_mut().get(&kad::RecordKey::new(&key))?.into_owned();
        Some(record.value)
    }

    /// Stores a record that another node sent, for at most `life`. `false` when it was decided before, or there is no
    /// room.
    pub fn store_inbound(&mut self, id: InboundRecordId, life: Duration) -> bool {
        let Some(mut record) = self.inbound.remove(&id.0) else {
            return false;
        };
        let end = std::time::Instant::now().checked_add(life);
        record.expires = match (record.expires, end) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let stored = self.swarm.behaviour_mut().kad.store_mut().put(record).is_ok();
        let counter = if stored { &self.metrics.network.records_stored } else { &self.metrics.network.records_refused };
        counter.inc();
        stored
    }

    /// Does not store a record that another node sent.
    pub fn refuse_inbound(&mut self, id: InboundRecordId) {
        if self.inbound.remove(&id.0).is_some() {
            self.metrics.network.records_refused.inc();
        }
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

    fn announce(&mut self, address: Multiaddr) {
        if self.swarm.external_addresses().count() < MAX_ADDRESSES {
            self.swarm.add_external_address(address.clone());
            self.events.push_back(NetworkEvent::ExternalAddress { address });
        }
    }

    /// Hands waiting messages to a connected peer, as many as may be on the wire.
    fn pump_direct(&mut self, peer: PeerId) {
        while let Some((operation, bytes)) = self.direct.pop(&peer) {
            let request = self.swarm.behaviour_mut().direct.send_request(&peer, bytes);
            self.direct.started(request, operation, peer);
        }
    }

    fn fail_direct(&mut self, operation: OperationId, peer: PeerId, failure: DirectFailure) {
        self.metrics.network.direct_failed.inc();
        self.events.push_back(NetworkEvent::DirectFailed { operation, peer, failure });
    }

    /// Does what time asks for.
    fn run_due(&mut self) {
        let now = Instant::now();
        for (peer, addresses) in self.kept.due(now) {
            self.dial(peer, addresses);
        }
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
            let spare = |peer: &PeerId| !self.kept.contains(peer) && !mesh.contains(peer);
            for peer in self.peers.idle(self.idle_timeout, self.minimum, now, spare) {
                self.disconnect(&peer);
            }
        }
    }
}

fn fresh_identity() -> Result<Keypair, NetworkError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(NetworkError::Entropy)?;
    // Also wipes `secret`.
    Keypair::ed25519_from_bytes(&mut secret).map_err(|error| NetworkError::Protocol(error.to_string()))
}
