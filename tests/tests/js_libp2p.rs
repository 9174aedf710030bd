//! Networks of ours together with js-libp2p, in the versions that the Lotus SDK pins and in current ones.
//!
//! The other side runs in Node.js processes that speak JSON lines (`tests/js-libp2p/peer.mjs`). What is put, gossiped
//! and sent is made here and opaque there. Needs Node.js and `npm ci` in both folders below `tests/js-libp2p`,
//! therefore the feature `js-libp2p`.

mod js_support;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use js_support::{JsPeer, Plain, TCP, WEBSOCKET, is_websocket, until};
use nelumbo_tokio::core::api::{Config, NewSession, Refusal};
use nelumbo_tokio::core::base::Wall;
use nelumbo_tokio::core::crypto::{MessageKey, Network as Chain, PublicKey, SecretKey, Suite};
use nelumbo_tokio::core::wire::{
    self, Advertisement, Body, MAX_GOSSIP, Message, Offer, RecordKey, TransactionType, seal,
};
use nelumbo_tokio::network::{DhtOutcome, NetworkConfig, NetworkEvent, OperationId, Published};
use nelumbo_tokio::{Builder, Handle, Multiaddr, PeerId, fresh_entropy};
use tempfile::TempDir;

const TYPE: TransactionType = TransactionType::Spend;
const TOPIC: &str = TYPE.topic();
/// More than js-libp2p's gossip may have when it is read with the limits that libraries set by default.
const LARGE: usize = 70_000;

macro_rules! with_both_sets_of_versions {
    ($($test:ident)*) => {
        mod old {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test("old").await })*
        }
        mod new {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test("new").await })*
        }
    };
}

with_both_sets_of_versions! {
    either_side_dials_over_tcp_and_websocket
    records_go_both_ways_and_an_altered_one_is_refused
    a_record_that_we_alone_hold_is_found_there
    offers_are_gossiped_both_ways_and_an_altered_one_is_refused
    gossip_goes_both_ways_and_a_large_message_silences_nothing
    a_thousand_direct_messages_go_each_way_on_one_connection
    a_mixed_network_of_seven_finds_every_record
}

/// A whole node.
struct Node {
    handle: Handle,
    /// Where it listens, with its peer id: over TCP, and over WebSocket.
    addresses: [Multiaddr; 2],
    _folder: TempDir,
}

impl Node {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let network = NetworkConfig::full()
            .listen_on(TCP.parse().expect("an address"))
            .listen_on(WEBSOCKET.parse().expect("an address"));
        let builder =
            Builder::with_key(Config::new(Chain::Regtest), network, folder.path(), fresh_key()).expect("entropy");
        let (handle, _) = builder.start().expect("the node starts");
        until("both listeners", async || handle.status().await.expect("it runs").listening.len() == 2).await;
        let listening = handle.status().await.expect("it runs").listening;
        let peer = handle.peer();
        let addresses = [false, true].map(|websocket| {
            let found = listening.iter().find(|address| is_websocket(&address.to_string()) == websocket);
            found.expect("it listens on both").clone().with_p2p(peer).expect("no peer id yet")
        });
        Self { handle, addresses, _folder: folder }
    }

    /// A node that js-libp2p has dialled, each in the other's routing table.
    async fn dialled_by(js: &JsPeer) -> Self {
        let node = Self::start().await;
        js.dial(&node.addresses[0]).await;
        node.until_routed(js).await;
        node
    }

    async fn until_routed(&self, js: &JsPeer) {
        until("each is in the other's routing table", async || {
            let status = self.handle.status().await.expect("it runs");
            status.connected.iter().map(|connected| connected.peer).eq([js.peer()])
                && status.routing_peers == 1
                && js.routes(self.handle.peer()).await
        })
        .await;
    }

    async fn refused(&self, refusal: Refusal) -> u64 {
        self.handle.status().await.expect("it runs").refusals.get(refusal)
    }

    /// Whether the node knows that this peer, to which it is connected, holds a key.
    async fn knows(&self, key: PublicKey, peer: PeerId) -> bool {
        let peer = name_of(peer);
        self.handle
            .with_view(move |view| view.signers().any(|signer| signer == (key, peer, true)))
            .await
            .expect("it runs")
    }

    /// Makes the node look for the holder of a key, in the DHT if nothing else.
    async fn seek(&self, key: PublicKey) {
        let session = NewSession::new(Suite::Lotus, vec![self.handle.key(), key], vec![7; 32]);
        self.handle.create(session).await.expect("the session is sound");
    }
}

fn fresh_key() -> SecretKey {
    SecretKey::generate(&mut fresh_entropy().expect("entropy"))
}

/// Where a signer at this peer is to be found: its key, and what it has signed.
fn presence(peer: PeerId) -> (PublicKey, Vec<u8>) {
    signed(Body::Presence(advertisement(peer).presence()))
}

/// What a signer at this peer offers: its key, and what it has signed.
fn offered(peer: PeerId) -> (PublicKey, Vec<u8>) {
    signed(Body::Advertisement(Box::new(advertisement(peer))))
}

fn advertisement(peer: PeerId) -> Advertisement {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    let issued_at = Wall::from_millis(since.as_millis().try_into().expect("in range"));
    let expires_at = issued_at.checked_add(Duration::from_secs(3600)).expect("in range");
    Advertisement { peer: name_of(peer), addresses: Vec::new(), offer: Some(offer()), issued_at, expires_at }
}

fn offer() -> Offer {
    Offer { types: vec![TYPE], ..Offer::default() }
}

fn signed(body: Body) -> (PublicKey, Vec<u8>) {
    let mut author = MessageKey::new(fresh_key(), fresh_entropy().expect("entropy"));
    let bytes = seal(&mut author, Chain::Regtest, body).expect("a signature");
    (author.public_key(), bytes.to_vec())
}

fn name_of(peer: PeerId) -> wire::PeerId {
    wire::PeerId::from_bytes(&peer.to_bytes()).expect("short enough")
}

/// The same bytes with another signature.
fn altered(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().expect("not empty") ^= 1;
    bytes
}

fn author(bytes: &[u8]) -> Option<PublicKey> {
    Message::decode(bytes.into()).ok().map(|message| message.unsigned.author)
}

async fn either_side_dials_over_tcp_and_websocket(set: &str) {
    let js = JsPeer::start(set).await;
    for websocket in [false, true] {
        for we_dial in [false, true] {
            let node = Node::start().await;
            if we_dial {
                node.handle.dial(js.peer(), vec![js.address(websocket)]).await.expect("it runs");
            } else {
                js.dial(&node.addresses[usize::from(websocket)]).await;
            }
            node.until_routed(&js).await;
            let connections = js.connections(node.handle.peer()).await;
            let [connection] = &connections[..] else { panic!("{connections:?}") };
            let direction = if we_dial { "inbound" } else { "outbound" };
            assert_eq!(connection["direction"], direction);
            assert_eq!(is_websocket(&connection["address"].to_string()), websocket, "{connection}");
            node.handle.stop().await.expect("a clean end");
        }
    }
}

async fn records_go_both_ways_and_an_altered_one_is_refused(set: &str) {
    let js = JsPeer::start(set).await;
    let node = Node::dialled_by(&js).await;

    // Ours, there.
    node.handle.advertise(offer()).await.expect("a sound offer");
    let own = node.handle.key();
    for key in [RecordKey::Presence(own), RecordKey::Advertisement(own)] {
        let found = async || js.get(&key.to_string()).await.and_then(|value| author(&value)) == Some(own);
        until("our record is found there", found).await;
    }

    // Theirs, here. An acknowledgement says only that the record has arrived.
    let (signer, record) = presence(js.peer());
    assert_eq!(js.put(&RecordKey::Presence(signer).to_string(), &record).await, 1);
    until("the record is stored", async || node.handle.metrics().contains("records_stored_total 1")).await;
    node.seek(signer).await;
    until("their record is found here", async || node.knows(signer, js.peer()).await).await;

    // One that was altered is neither stored when it is sent to us, nor believed when we find it there.
    let (signer, record) = presence(js.peer());
    assert_eq!(js.put(&RecordKey::Presence(signer).to_string(), &altered(record)).await, 1);
    let reason = "records_refused_total{reason=\"signature\"} 1";
    until("the refusal is counted", async || node.handle.metrics().contains(reason)).await;
    assert_eq!(node.refused(Refusal::Signature).await, 1);
    node.seek(signer).await;
    until("what was found is refused", async || node.refused(Refusal::Signature).await == 2).await;
    assert!(!node.knows(signer, js.peer()).await);
}

async fn a_record_that_we_alone_hold_is_found_there(set: &str) {
    let js = JsPeer::start(set).await;
    let mut ours = Plain::start(NetworkConfig::full()).await;
    let (key, value) = ("/lotus/resource:test:ours", b"value".to_vec());
    let record = value.clone();
    ours.with(move |network| network.dht_put(OperationId(0), key.as_bytes(), record, None)).await;
    let outcome = ours
        .find("the end of the put", |event| match event {
            NetworkEvent::DhtPutFinished { outcome, .. } => Some(*outcome),
            _ => None,
        })
        .await;
    assert_eq!(outcome, DhtOutcome::NotAcknowledged, "there is nobody yet");

    js.dial(&ours.address).await;
    until("the peer knows whom to ask", async || js.routes(ours.peer).await).await;
    assert_eq!(js.get(key).await, Some(value));
}

async fn offers_are_gossiped_both_ways_and_an_altered_one_is_refused(set: &str) {
    let js = JsPeer::start(set).await;
    js.subscribe(TOPIC).await;
    let node = Node::dialled_by(&js).await;
    node.handle.subscribe(TYPE).await.expect("it runs");
    until("it knows that we listen", async || js.knows_subscriber(TOPIC, node.handle.peer()).await).await;

    let (signer, bytes) = offered(js.peer());
    js.publish(TOPIC, &bytes).await;
    until("their offer is heard here", async || node.knows(signer, js.peer()).await).await;

    node.handle.advertise(offer()).await.expect("a sound offer");
    until("our offer is heard there", async || {
        js.heard().await.iter().any(|(_, bytes)| author(bytes) == Some(node.handle.key()))
    })
    .await;

    // Two refusals, after which we gossip to it no more, but hear it.
    let (signer, bytes) = offered(js.peer());
    js.publish(TOPIC, &altered(bytes)).await;
    until("the altered offer is refused", async || node.refused(Refusal::Signature).await == 1).await;
    assert!(!node.knows(signer, js.peer()).await);
    const { assert!(LARGE > MAX_GOSSIP) };
    js.publish(TOPIC, &vec![1; LARGE]).await;
    until("the large message is refused", async || node.refused(Refusal::Oversized).await == 1).await;

    let (signer, bytes) = offered(js.peer());
    js.publish(TOPIC, &bytes).await;
    until("the next offer is heard here", async || node.knows(signer, js.peer()).await).await;
}

async fn gossip_goes_both_ways_and_a_large_message_silences_nothing(set: &str) {
    let js = JsPeer::start(set).await;
    js.subscribe(TOPIC).await;
    let mut ours = Plain::start(NetworkConfig::wallet()).await;
    ours.with(|network| network.subscribe(TOPIC)).await.expect("a topic");
    js.dial(&ours.address).await;
    until("each knows that the other listens", async || {
        js.knows_subscriber(TOPIC, ours.peer).await && ours.with(|network| network.subscribers(TOPIC)).await == 1
    })
    .await;

    // A large message between two that are not; all three arrive.
    for payload in [b"one".to_vec(), vec![2; LARGE], b"three".to_vec()] {
        js.publish(TOPIC, &payload).await;
        ours.find("gossip from there", |event| match event {
            NetworkEvent::Gossip { topic, author, bytes, .. } => {
                assert_eq!((topic.as_str(), *author), (TOPIC, js.peer()));
                (*bytes == payload).then_some(())
            }
            _ => None,
        })
        .await;
    }

    let payload = b"four".to_vec();
    let message = payload.clone();
    assert_eq!(ours.with(|network| network.publish(TOPIC, message)).await, Ok(Published::ToNeighbours));
    until("gossip from here", async || js.heard().await.contains(&(TOPIC.to_owned(), payload.clone()))).await;
}

async fn a_thousand_direct_messages_go_each_way_on_one_connection(set: &str) {
    const MESSAGES: u64 = 1_000;
    let js = JsPeer::start(set).await;
    let mut ours = Plain::start(NetworkConfig::wallet()).await;
    js.dial(&ours.address).await;
    let before = js.connections(ours.peer).await;

    let payloads = |from: u8| {
        let numbers = 0..MESSAGES;
        numbers.map(|number| [&[from], &number.to_be_bytes()[..]].concat().repeat(1 + number as usize % 40)).collect()
    };
    let (outbound, inbound): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (payloads(1), payloads(2));
    let (to, messages) = (js.peer(), outbound.clone());
    ours.with(move |network| {
        for (operation, message) in (0..).zip(messages) {
            network.send(to, OperationId(operation), message);
        }
    })
    .await;
    js.send(ours.peer, &inbound).await;

    let (mut acknowledged, mut received) = (BTreeSet::new(), BTreeSet::new());
    ours.find("all messages on their way", |event| {
        match event {
            NetworkEvent::DirectSent { operation } => assert!(acknowledged.insert(operation.0)),
            NetworkEvent::DirectReceived { bytes, .. } => assert!(received.insert(bytes.clone()), "it arrives once"),
            NetworkEvent::DirectFailed { operation, failure, .. } => panic!("{}: {failure}", operation.0),
            NetworkEvent::PeerDisconnected { .. } => panic!("the connection was lost"),
            _ => {}
        }
        (acknowledged.len() == outbound.len() && received.len() == inbound.len()).then_some(())
    })
    .await;
    assert!(inbound.iter().all(|message| received.contains(message)));
    // Acknowledged is received.
    let there = js.received().await;
    assert_eq!(there.len(), outbound.len(), "each arrives once");
    assert_eq!(BTreeSet::from_iter(there), BTreeSet::from_iter(outbound));
    assert_eq!((before.len(), js.connections(ours.peer).await), (1, before));
}

/// Four of ours and three of theirs, who know one of ours and find the others through it.
async fn mixed_network(set: &str) -> (Vec<Plain>, Vec<JsPeer>) {
    let mut ours = vec![Plain::start(NetworkConfig::full()).await];
    let first = ours[0].address.clone();
    for _ in 1..4 {
        ours.push(Plain::start(NetworkConfig::full().join_through(first.clone()).expect("a peer id")).await);
    }
    let mut theirs = Vec::new();
    for _ in 0..3 {
        let js = JsPeer::start(set).await;
        js.dial(&first).await;
        theirs.push(js);
    }
    until("everyone is in our routing tables", async || {
        let mut complete = true;
        for one in &ours {
            complete &= one.with(|network| network.routing_peers()).await == 6;
        }
        complete
    })
    .await;
    (ours, theirs)
}

async fn a_mixed_network_of_seven_finds_every_record(set: &str) {
    let (mut ours, theirs) = mixed_network(set).await;
    let key = |author: usize| format!("/lotus/resource:test:{author}");
    let value = |author: usize| vec![author as u8; 100];
    for (author, one) in ours.iter_mut().enumerate() {
        let (key, value) = (key(author), value(author));
        one.with(move |network| network.dht_put(OperationId(0), key.as_bytes(), value, None)).await;
        one.find("the end of a put", |event| matches!(event, NetworkEvent::DhtPutFinished { .. }).then_some(())).await;
    }
    for (author, js) in (4..).zip(&theirs) {
        assert_ne!(js.put(&key(author), &value(author)).await, 0);
    }

    for author in 0..7 {
        for js in &theirs {
            assert_eq!(js.get(&key(author)).await, Some(value(author)), "{author} at {}", js.peer());
        }
        for one in &mut ours {
            let sought = key(author);
            one.with(move |network| network.dht_get(OperationId(1), sought.as_bytes())).await;
            let mut holders = Vec::new();
            one.find("the end of a get", |event| match event {
                NetworkEvent::DhtRecord { value: found, holder, .. } => {
                    assert_eq!(*found, value(author));
                    holders.extend(*holder);
                    None
                }
                NetworkEvent::DhtFinished { .. } => Some(()),
                _ => None,
            })
            .await;
            // Ours is held by some of theirs, and theirs at least by its author.
            let held_there = match author {
                0..4 => theirs.iter().any(|js| holders.contains(&js.peer())),
                _ => holders.contains(&theirs[author - 4].peer()),
            };
            assert!(held_there, "{author}, as {} sees it: {holders:?}", one.peer);
        }
    }
}
