//! Nodes that reach each other through a relay.

mod support;

use std::{collections::BTreeSet, time::Duration};

use libp2p::{Multiaddr, PeerId, identity::Keypair, multiaddr::Protocol};
use nelumbo_tokio::network::{AddressFilter, Network, NetworkConfig, NetworkError, NetworkEvent, OperationId};
use support::{Group, LOOPBACK, PATIENCE, address};

fn circuit(relay: &Multiaddr) -> Multiaddr {
    relay.clone().with(Protocol::P2pCircuit)
}

/// Adds a node that is reached through this relay, and waits until it is: where it listens beside that, and its
/// circuit.
async fn reserved(group: &mut Group, relay: &Multiaddr, also: Option<&str>) -> (usize, PeerId, Multiaddr) {
    let config = NetworkConfig::wallet().listen_on(circuit(relay));
    let index = group.add(also.into_iter().fold(config, |config, also| config.listen_on(address(also))));
    group.until(|networks| networks[index].external_addresses().any(is_circuit)).await;
    let peer = group.peer(index);
    (index, peer, circuit(relay).with(Protocol::P2p(peer)))
}

fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

fn is_relayed(group: &Group, at: usize, peer: PeerId) -> Option<bool> {
    group.networks[at].connected_to().find(|to| to.peer == peer).map(|to| to.is_relayed)
}

#[tokio::test]
async fn a_circuit_becomes_direct_and_is_closed_and_no_message_is_lost() {
    let mut group = Group::default();
    let (_, relay) = group.listen(NetworkConfig::relay(), LOOPBACK).await;
    let (one, to, at) = reserved(&mut group, &relay, Some(LOOPBACK)).await;
    let other = group.add(NetworkConfig::wallet().address_filter(AddressFilter::All));
    group.networks[other].dial(to, vec![at]);
    let (mut paths, mut sent, mut received) = (Vec::new(), 0_u64, BTreeSet::new());
    // A few are always on their way, as long as it takes, and then some more.
    let mut more = 100;
    while more > 0 || received.len() < sent as usize {
        let (index, event) = group.next().await;
        match event {
            NetworkEvent::PeerConnected { peer, address } if index == other && peer == to => {
                paths.push(is_circuit(&address));
            }
            NetworkEvent::PathChanged { peer, is_relayed, .. } if index == other && peer == to => {
                paths.push(is_relayed)
            }
            NetworkEvent::DirectReceived { bytes, .. } if index == one => drop(received.insert(bytes)),
            NetworkEvent::DirectFailed { failure, .. } => panic!("{failure}"),
            NetworkEvent::PeerDisconnected { peer, .. } if index == other && peer == to => panic!("it was connected"),
            _ => {}
        }
        if more > 0 && !paths.is_empty() && sent < received.len() as u64 + 8 {
            group.networks[other].send(to, OperationId(sent), sent.to_be_bytes().to_vec());
            sent += 1;
            more -= usize::from(is_relayed(&group, other, to) == Some(false));
        }
    }
    assert_eq!(paths, [true, false], "through the relay, and then directly");
    // The relay has its circuit back, and of the dials that came through at once one is left.
    let from = group.peer(other);
    let is_tidy = |networks: &[Network]| networks[one].paths(&from) == [false] && networks[other].paths(&to) == [false];
    let tidy = async {
        while !is_tidy(&group.networks) {
            // Nothing is said when a connection closes that was of no use.
            let _ = tokio::time::timeout(Duration::from_millis(20), group.next()).await;
        }
    };
    tokio::time::timeout(PATIENCE, tidy).await.expect("one direct connection is left");
}

#[tokio::test]
async fn a_relay_that_restarts_is_reserved_at_again_and_messages_wait_for_it() {
    let mut group = Group::default();
    let identity = Keypair::generate_ed25519();
    let (_, relay) = group.listen(NetworkConfig::relay().identity(identity.clone()), LOOPBACK).await;
    // Nowhere but through the relay.
    let (_, to, at) = reserved(&mut group, &relay, None).await;
    let (_, from, from_at) = reserved(&mut group, &relay, None).await;
    assert!(group.networks[2].keep(to, vec![at]) && group.networks[1].keep(from, vec![from_at]));
    group.until(|networks| networks[2].is_connected(&to) && networks[1].is_connected(&from)).await;
    assert_eq!(is_relayed(&group, 2, to), Some(true));

    let relay_id = group.peer(0);
    drop(group.networks.remove(0));
    group.until(|networks| networks.iter().all(|network| !network.is_connected(&relay_id))).await;
    // Nothing is promised meanwhile.
    group.until(|networks| !networks.iter().any(|network| network.external_addresses().any(is_circuit))).await;

    let mut port = relay;
    port.pop();
    group.add(NetworkConfig::relay().identity(identity).listen_on(port));
    group.until(|networks| networks[..2].iter().all(|network| network.external_addresses().any(is_circuit))).await;
    group.until(|networks| networks[1].is_connected(&to)).await;
    group.networks[1].send(to, OperationId(1), b"still there?".to_vec());
    group.find(|at, event| (at == 0 && matches!(event, NetworkEvent::DirectReceived { .. })).then_some(())).await;
}

#[tokio::test]
async fn a_circuit_without_a_relay_is_refused() {
    let config = NetworkConfig::wallet().listen_on(address("/ip4/127.0.0.1/tcp/1/p2p-circuit"));
    let error = Network::new(config, nelumbo_tokio::metrics::Metrics::new()).map(drop);
    let Err(NetworkError::Listen { reason, .. }) = error else { panic!("{error:?}") };
    assert!(reason.contains("/p2p-circuit"), "{reason}");
}
