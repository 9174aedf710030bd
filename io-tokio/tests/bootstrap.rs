//! How a node finds in: several bootstrap nodes of which most are no good, and none at all.

mod support;

use std::{collections::BTreeMap, net::TcpListener};

use libp2p::{PeerId, multiaddr::Protocol};
use nelumbo_tokio::network::{AddressFilter, DhtOutcome, NetworkConfig, NetworkEvent, OperationId};
use support::{Group, LOOPBACK, address};

fn at(port: u16, peer: PeerId) -> libp2p::Multiaddr {
    address(&format!("/ip4/127.0.0.1/tcp/{port}")).with(Protocol::P2p(peer))
}

#[tokio::test]
async fn one_good_bootstrap_node_among_dead_lying_and_slow_ones_is_enough() {
    let mut group = Group::default();
    let (good, good_at) = group.listen(NetworkConfig::bootstrap(), LOOPBACK).await;
    let (_, liar_at) = group.listen(NetworkConfig::bootstrap(), LOOPBACK).await;
    let other =
        group.add(NetworkConfig::full().listen_on(address(LOOPBACK)).join_through(good_at.clone()).expect("one"));

    let dead = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port").port();
    // The system takes what comes, and nobody ever says a word.
    let slow = TcpListener::bind("127.0.0.1:0").expect("a port");
    let slow_port = slow.local_addr().expect("a port").port();
    let liar_port = liar_at.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None });
    let [dead_peer, not_the_liar, slow_peer] = [(); 3].map(|()| PeerId::random());
    let all = [at(dead, dead_peer), at(liar_port.expect("a port"), not_the_liar), at(slow_port, slow_peer), good_at];
    let config = NetworkConfig::full().listen_on(address(LOOPBACK));
    let config = all.into_iter().fold(config, |config, at| config.join_through(at).expect("it names its peer"));
    let joining = group.add(config);
    let mut failed = BTreeMap::new();
    let (good, other) = (group.peer(good), group.peer(other));
    let mut met = [false; 2];
    group
        .find(|index, event| {
            match event {
                NetworkEvent::PeerConnected { peer, .. } if index == joining => {
                    met[0] |= *peer == good;
                    met[1] |= *peer == other;
                }
                NetworkEvent::DialFailed { peer, reason } if index == joining => {
                    failed.insert(*peer, reason.clone());
                }
                _ => {}
            }
            (met == [true; 2] && failed.len() == 2).then_some(())
        })
        .await;
    assert!(failed[&dead_peer].contains("refused"), "{failed:?}");
    assert!(failed[&not_the_liar].to_lowercase().contains("peer"), "{failed:?}");
    assert!(!failed.contains_key(&slow_peer), "it did not wait for who is slow");
    drop(slow);
}

/// A node keeps and serves what it has announced, whatever its routing table holds.
#[tokio::test]
async fn what_a_node_alone_has_announced_is_there_for_the_first_who_asks() {
    let mut group = Group::default();
    let (alone, at) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    let key = b"/lotus/resource:test:1";
    group.networks[alone].dht_put(OperationId(1), key, b"mine".to_vec(), None);
    let outcome = group
        .find(|_, event| match event {
            NetworkEvent::DhtPutFinished { outcome, .. } => Some(*outcome),
            _ => None,
        })
        .await;
    assert_eq!(outcome, DhtOutcome::NotAcknowledged);
    assert_eq!(group.networks[alone].stored(key).as_deref(), Some(&b"mine"[..]));
    // A client: it keeps nothing for others.
    let asks = group.add(NetworkConfig::wallet().address_filter(AddressFilter::All).join_through(at).expect("one"));
    group.until(|networks| networks[asks].routing_peers() == 1).await;
    group.networks[asks].dht_get(OperationId(2), key);
    let holder = group
        .find(|_, event| match event {
            NetworkEvent::DhtRecord { value, holder, .. } => {
                assert_eq!(value, b"mine");
                Some(*holder)
            }
            NetworkEvent::DhtFinished { operation: OperationId(2), outcome } => panic!("{outcome:?}"),
            _ => None,
        })
        .await;
    assert_eq!(holder, Some(group.peer(alone)));
}
