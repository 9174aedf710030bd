//! Whom a node calls, and how often it asks, for requests that strangers make of it: with real connections, at the
//! settings that users have.

mod nodes;
mod support;

use std::{
    io,
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nelumbo_tokio::{
    Unusual,
    core::{
        api::{Config, NewSession},
        base::{Bytes, Wall},
        crypto::{
            MessageKey, Network, NonceSlot, PublicKey, Secp256k1, SecretKey, Signer, SoftwareSigner, Suite, Tweak,
            Verifier,
        },
        election::Method,
        wire::{Address, Body, Content, Definition, Details, Item, PeerId, Presence, SessionMessage, seal},
    },
    fresh_entropy,
    network::{NetworkConfig, OperationId},
};
use support::{Group, LOOPBACK, address};

const HOUR: u64 = 3_600_000;
/// Where presences are published.
const PRESENCE_TOPIC: &str = "musig2:presence";
/// As many as one neighbour may speak of at once.
const STRANGERS: usize = 9;

/// A key with what signs for it.
struct Stranger {
    key: PublicKey,
    author: MessageKey,
    signer: SoftwareSigner,
}

impl Stranger {
    fn new() -> Self {
        let entropy = fresh_entropy().expect("entropy");
        let mut bytes = [0; 32];
        entropy.stream("key").fill(&mut bytes);
        let secret = Arc::new(SecretKey::from_bytes(&bytes).expect("almost every number is a key"));
        let author = MessageKey::new(secret.clone(), entropy.stream("messages"));
        Self { key: secret.public_key(), author, signer: SoftwareSigner::new(secret, entropy) }
    }

    fn say(&mut self, body: Body) -> Bytes {
        seal(&mut self.author, Network::Regtest, body).expect("software signs")
    }

    fn presence(&mut self, peer: PeerId, at: Address) -> Bytes {
        let now = now();
        let (issued_at, expires_at) = (Wall::from_millis(now), Wall::from_millis(now + HOUR));
        self.say(Body::Presence(Presence { peer, addresses: vec![at], issued_at, expires_at }))
    }

    /// Asks all of these for a signature.
    fn announce(&mut self, mut keys: Vec<PublicKey>) -> (Definition, Bytes) {
        keys.sort_unstable();
        let now = now();
        let definition = Definition {
            network: Network::Regtest,
            suite: Suite::Lotus,
            creator: keys.iter().position(|key| *key == self.key).expect("the creator signs") as u16,
            keys,
            items: vec![Item::message(vec![9; 32], Tweak::None)],
            details: Details::default(),
            is_listed: false,
            election: Method::Lexicographic,
            created_at: Wall::from_millis(now),
            expires_at: Wall::from_millis(now + HOUR),
            nonce: [3; 32],
        };
        let slot = NonceSlot { session: *definition.id().as_bytes(), attempt: 1 };
        let keys = Secp256k1.aggregate_keys(definition.suite, &definition.keys, &Tweak::None).expect("keys");
        let nonces = self.signer.nonces(slot, &[(&keys, &[9; 32])]).expect("the slot is new");
        let content = Content::Announce { definition: definition.clone().into(), nonces };
        let message = SessionMessage { session: definition.id(), attempt: 1, sequence: 1, content };
        let bytes = self.say(Body::Session(message));
        (definition, bytes)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("not so far away")
}

#[tokio::test]
async fn an_unapproved_request_makes_a_node_call_nobody() {
    let mut group = Group::default();
    let (neighbour, at) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    // A node calls hosts of its own machine that its owner has named, and these are on the neighbour's.
    let mut node = nodes::Signer::start(nodes::through(NetworkConfig::full(), &[&at])).await;
    let peer = node.handle.peer();
    let connected =
        async { node.until(async |handle| handle.status().await.is_ok_and(|now| now.connected.len() == 1)).await };
    drive(&mut group, connected).await;
    group.networks[neighbour].subscribe(PRESENCE_TOPIC).expect("a topic");
    group.until(|networks| networks[neighbour].subscribers(PRESENCE_TOPIC) == 1).await;

    let mut asking = Stranger::new();
    let mut strangers: Vec<Stranger> = (0..STRANGERS).map(|_| Stranger::new()).collect();
    let keys = strangers.iter().map(|stranger| stranger.key).chain([asking.key, node.key()]).collect();
    let (definition, request) = asking.announce(keys);
    group.networks[neighbour].send(peer, OperationId(1), request);
    drive(&mut group, nodes::announced(&mut node.events)).await;

    // Where the strangers are said to be, something listens that never answers.
    let doors: Vec<TcpListener> = strangers.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    for (stranger, door) in strangers.iter_mut().zip(&doors) {
        door.set_nonblocking(true).expect("it can be asked");
        let port = door.local_addr().expect("a port").port();
        let at = Address::from_bytes(address(&format!("/ip4/127.0.0.1/tcp/{port}")).to_vec()).expect("short");
        let holder = PeerId::from_bytes(&libp2p::PeerId::random().to_bytes()).expect("a peer id");
        let presence = stranger.presence(holder, at);
        group.networks[neighbour].publish(PRESENCE_TOPIC, presence.to_vec()).expect("somebody listens");
    }
    let known = async {
        node.until(async |handle| handle.with_view(|view| view.signers().len()).await == Ok(STRANGERS)).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    drive(&mut group, known).await;
    let knocked = || doors.iter().filter(|door| door.accept().is_ok()).count();
    assert_eq!(knocked(), 0, "nobody has approved it");
    assert_eq!(doors[0].accept().expect_err("nobody knocks").kind(), io::ErrorKind::WouldBlock);

    node.handle.join(definition.id(), [Unusual::Opaque]).await.expect("it is sound");
    let mut calls = 0;
    let called = nodes::within(async {
        while calls < STRANGERS {
            tokio::time::sleep(Duration::from_millis(20)).await;
            calls += knocked();
        }
    });
    drive(&mut group, called).await;
    node.stop().await;
}

#[tokio::test]
async fn sessions_that_wait_for_absent_signers_ask_others_at_a_bounded_rate() {
    let bystander = nodes::Signer::start(NetworkConfig::full()).await;
    let creator = nodes::Signer::start(nodes::through(NetworkConfig::full(), &[&bystander.address])).await;
    creator.meet(1).await;
    creator.until(async |handle| handle.status().await.is_ok_and(|now| now.routing_peers > 0)).await;
    let asked = || requests(&bystander.handle.metrics());
    let (before, begin) = (asked(), Instant::now());
    for _ in 0..16 {
        let keys = (0..127).map(|_| Stranger::new().key).chain([creator.key()]).collect();
        let new = NewSession::new(Suite::Lotus, keys, vec![7; 32]);
        creator.handle.create(new).await.expect("it is created");
    }
    // Each of the 2,032 keys would be asked for three times meanwhile.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (count, took) = (asked() - before, begin.elapsed());
    let rate = Config::new(Network::Regtest).limits.lookup_rate;
    let most = rate.burst + u64::try_from(took.as_millis() / rate.every.as_millis()).expect("a few");
    assert!(count > 127, "{count} questions");
    assert!(count <= most, "{count} questions in {took:?}, of at most {most}");
    for signer in [creator, bystander] {
        signer.stop().await;
    }
}

/// Lets the networks of the group run until something is done.
async fn drive<T>(group: &mut Group, done: impl Future<Output = T>) -> T {
    tokio::select! {
        done = done => done,
        () = async { loop { group.next().await; } } => unreachable!("networks have no end"),
    }
}

/// How many records a node was asked for, by its own count.
fn requests(metrics: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with("libp2p_kad_inbound_requests_total"));
    lines
        .filter(|line| line.contains("GetRecord"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}
