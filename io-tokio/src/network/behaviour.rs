//! The libp2p protocols that a node speaks, and their settings.
//!
//! Owns the composition and every number in it. Invariant: each behaviour that holds something for others is bounded,
//! and gossip and DHT records wait for the application before they are forwarded or stored. Driven by libp2p's swarm
//! inside [`super::Network`].

use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

use libp2p::{
    PeerId, StreamProtocol, allow_block_list, autonat, connection_limits, gossipsub, identify,
    identity::Keypair,
    kad, mdns, memory_connection_limits, ping, relay, request_response, swarm,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    upnp,
};

use super::{
    NetworkError,
    addresses::DecidedFilter,
    autonat::AutonatClient,
    channel::Channel,
    codec::{OneShot, SESSION_PROTOCOL},
    config::{DhtMode, NetworkConfig},
    handshakes::MAX_HANDSHAKES,
    neighbours,
    punching::Punching,
    records::Records,
    scores,
    switch::Switch,
    woken::Woken,
};

/// The protocol of the DHT, shared with the Lotus SDK.
pub const DHT_PROTOCOL: StreamProtocol = StreamProtocol::new("/lotus/kad/1.0.0");
/// The largest gossip message that this node publishes: larger ones silence JavaScript nodes.
pub const MAX_GOSSIP_MESSAGE: usize = 60_000;
/// The largest gossip message that is read. With less, one larger message from JavaScript would silence its gossip to
/// us for the rest of the connection.
const MAX_GOSSIP_READ: usize = 1024 * 1024;
/// The largest message of the DHT: what k peers with their addresses, or one record, need.
const MAX_DHT_PACKET: usize = 128 * 1024;
/// Inbound and outbound one-shot streams together, per connection.
const MAX_ONE_SHOT_STREAMS: usize = 64;
/// Outbound; those that come in take turns before.
const MAX_PENDING_CONNECTIONS: u32 = 64;
/// Room for those that have given up their place and are being closed.
const LEAVING: u32 = 16;
/// The network itself closes the oldest when there are more than a few, which may be dead.
const MAX_CONNECTIONS_PER_PEER: u32 = 8;

/// As many reservations, and as many circuits, at a node that is no relay otherwise.
pub(crate) const SMALL_RELAY: usize = 16;

pub(crate) type Gossipsub = gossipsub::Behaviour<
    gossipsub::IdentityTransform,
    gossipsub::MaxCountSubscriptionFilter<gossipsub::AllowAllSubscriptionFilter>,
>;

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour {
    // Those that may deny a connection come first.
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(crate) channel: Channel,
    // Those that seldom have something to do.
    pub(crate) one_shot: Woken<request_response::Behaviour<OneShot>>,
    pub(crate) identify: Woken<identify::Behaviour>,
    pub(crate) ping: Woken<ping::Behaviour>,
    pub(crate) kad: Woken<Switch<kad::Behaviour<Records>>>,
    pub(crate) gossipsub: Woken<Switch<Gossipsub>>,
    pub(crate) relay_client: Woken<relay::client::Behaviour>,
    pub(crate) relay_server: Woken<Toggle<relay::Behaviour>>,
    pub(crate) punching: Toggle<Woken<Punching>>,
    pub(crate) upnp: Woken<Toggle<upnp::tokio::Behaviour>>,
    pub(crate) autonat: Woken<AutonatClient>,
    pub(crate) autonat_server: Woken<Toggle<autonat::v2::server::Behaviour>>,
    pub(crate) mdns: Woken<Toggle<mdns::tokio::Behaviour>>,
}

impl Behaviour {
    pub(crate) fn new(
        keypair: &Keypair,
        config: &NetworkConfig,
        filter: DecidedFilter,
        relay_client: relay::client::Behaviour,
    ) -> Result<Self, NetworkError> {
        let local = keypair.public().to_peer_id();
        Ok(Self {
            limits: connection_limits::Behaviour::new(connection_limits(config)),
            memory: memory_connection_limits::Behaviour::with_max_bytes(config.memory_limit),
            blocked: allow_block_list::Behaviour::default(),
            channel: Channel::new(config.direct_timeout),
            one_shot: one_shot(config).into(),
            identify: identify::Behaviour::new(identify(keypair, config)).into(),
            ping: ping::Behaviour::new(ping(config)).into(),
            kad: Switch::new(kad(keypair, config), config.dht != DhtMode::Off).into(),
            gossipsub: Switch::new(gossipsub(keypair)?, config.gossip).into(),
            relay_client: relay_client.into(),
            relay_server: optional(relay_server(local, config)),
            punching: config.punches_holes.then(|| Punching::new(local, filter.clone()).into()).into(),
            // For this machine or network alone no gateway has to do anything.
            upnp: optional((config.maps_ports && !filter.is_local()).then(upnp::tokio::Behaviour::default)),
            autonat: AutonatClient::new(filter.clone()).into(),
            autonat_server: optional(config.autonat_server.then(autonat::v2::server::Behaviour::default)),
            mdns: optional(config.mdns.then(|| neighbours::behaviour(local)).transpose()?),
        })
    }
}

fn ping(config: &NetworkConfig) -> ping::Config {
    let (interval, timeout) = config.ping;
    ping::Config::new().with_interval(interval).with_timeout(timeout)
}

fn optional<B: NetworkBehaviour>(behaviour: Option<B>) -> Woken<Toggle<B>> {
    Toggle::from(behaviour).into()
}

/// Settings of the swarm itself.
pub(crate) fn swarm() -> swarm::Config {
    swarm::Config::with_tokio_executor()
        // The network itself closes idle connections, because it knows which peers are kept. A year is for ever here.
        .with_idle_connection_timeout(Duration::from_secs(365 * 24 * 3600))
        // JavaScript accepts five dials at a time from one host.
        .with_dial_concurrency_factor(const { NonZeroU8::new(4).expect("not zero") })
        .with_notify_handler_buffer_size(const { NonZeroUsize::new(32).expect("not zero") })
        .with_per_connection_event_buffer_size(32)
        // A message leaves together with the name of its protocol instead of a round trip after it.
        .with_substream_upgrade_protocol_override(libp2p::core::upgrade::Version::V1Lazy)
}

fn connection_limits(config: &NetworkConfig) -> connection_limits::ConnectionLimits {
    let most = config.connections.maximum();
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(4 * MAX_HANDSHAKES as u32))
        .with_max_pending_outgoing(Some(MAX_PENDING_CONNECTIONS))
        .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER))
        // The network itself decides who stays at a limit that is lower.
        .with_max_established_incoming(Some(config.connections.inbound().saturating_add(LEAVING)))
        .with_max_established(Some(most.saturating_add(LEAVING)))
}

fn one_shot(config: &NetworkConfig) -> request_response::Behaviour<OneShot> {
    let settings = request_response::Config::default()
        .with_request_timeout(config.direct_timeout)
        .with_max_concurrent_streams(MAX_ONE_SHOT_STREAMS);
    let session = (SESSION_PROTOCOL, request_response::ProtocolSupport::Full);
    let others = config.served.iter().map(|id| (id.clone(), request_response::ProtocolSupport::Inbound));
    request_response::Behaviour::new(std::iter::once(session).chain(others), settings)
}

fn identify(keypair: &Keypair, config: &NetworkConfig) -> identify::Config {
    // Only the public key goes in: a signed peer record breaks JavaScript's identify. The listeners' addresses are
    // hidden because some are private; the admitted ones are registered as external addresses instead.
    identify::Config::new("/lotus/1.0.0".to_owned(), keypair.public())
        .with_agent_version(config.agent.clone())
        .with_hide_listen_addrs(true)
        .with_push_listen_addr_updates(true)
        .with_cache_size(128)
}

fn kad(keypair: &Keypair, config: &NetworkConfig) -> kad::Behaviour<Records> {
    let mut settings = kad::Config::new(DHT_PROTOCOL);
    settings
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_max_packet_size(MAX_DHT_PACKET)
        // We end what takes too long before that: libp2p would forget whom a put has found.
        .set_query_timeout(config.query_timeout.saturating_mul(2))
        .disjoint_query_paths(true)
        // Peers enter the routing table when identify has told us addresses that pass the filter, not before.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_caching(kad::Caching::Disabled)
        .set_provider_publication_interval(None)
        .set_record_ttl(Some(Duration::from_secs(24 * 3600)))
        // The core announces again what it still stands by.
        .set_publication_interval(None)
        .set_replication_interval(Some(Duration::from_secs(3600)))
        // The upkeep decides when to look for peers.
        .set_periodic_bootstrap_interval(None);
    let local = keypair.public().to_peer_id();
    let mut kad = kad::Behaviour::with_config(local, Records::new(local), settings);
    // Before the first connection: a peer that has seen us as a client does not look again.
    kad.set_mode(Some(match config.dht {
        DhtMode::Off | DhtMode::Client => kad::Mode::Client,
        DhtMode::Server => kad::Mode::Server,
    }));
    kad
}

fn gossipsub(keypair: &Keypair) -> Result<Gossipsub, NetworkError> {
    let settings = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(MAX_GOSSIP_READ)
        .message_id_fn(message_id)
        // The first heartbeat follows after one interval; the default would add five seconds to it.
        .heartbeat_initial_delay(Duration::ZERO)
        .connection_handler_queue_len(256)
        .build()
        .map_err(|error| NetworkError::Protocol(error.to_string()))?;
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: gossipsub::AllowAllSubscriptionFilter::default(),
        max_subscribed_topics: 256,
        max_subscriptions_per_request: 256,
    };
    let authenticity = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    let mut gossipsub = Gossipsub::new_with_subscription_filter(authenticity, settings, filter)
        .map_err(|error| NetworkError::Protocol(error.to_owned()))?;
    gossipsub.with_peer_score(scores::params(), scores::thresholds()).map_err(NetworkError::Protocol)?;
    Ok(gossipsub)
}

/// The author's public key and the sequence number: the id that JavaScript gives to the same message, without which
/// "I have" and "I want" would not work between the two.
fn message_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    let mut id = Vec::with_capacity(48);
    if let Some(author) = message.source {
        // The hash in an Ed25519 peer id is the identity function: its digest is the key.
        id.extend_from_slice(author.as_ref().digest());
    }
    id.extend_from_slice(&message.sequence_number.unwrap_or_default().to_be_bytes());
    gossipsub::MessageId::from(id)
}

/// A circuit has the limits of the specification, which are libp2p's: 128 KiB and 2 minutes are plenty for a session,
/// and useless for most else. It is short, because its ends connect directly where they can.
fn relay_server(local: PeerId, config: &NetworkConfig) -> Option<relay::Behaviour> {
    let limits = relay::Config::default();
    let limits = match (config.relay_server, config.relays_a_little) {
        // Each session of 30 takes 29 circuits.
        (true, _) => relay::Config { max_reservations: 1000, max_circuits: 4096, max_circuits_per_peer: 64, ..limits },
        (false, true) => relay::Config {
            max_reservations: SMALL_RELAY,
            max_reservations_per_peer: 1,
            max_circuits: SMALL_RELAY,
            max_circuits_per_peer: 4,
            ..limits
        },
        (false, false) => return None,
    };
    let mut relay = relay::Behaviour::new(local, limits);
    // The network itself decides when.
    relay.set_status(Some(relay::Status::Disable));
    Some(relay)
}
