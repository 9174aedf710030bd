//! What a peer cannot make a node do.

mod support;

use std::{io, net::TcpListener};

use nelumbo_tokio::network::{AddressFilter, NetworkConfig, NetworkEvent, OperationId};
use support::{Group, LOOPBACK, address};

#[tokio::test]
async fn a_stranger_does_not_make_a_node_knock_at_its_own_network() {
    let mut group = Group::default();
    let (node, at) = group.listen(NetworkConfig::full().address_filter(AddressFilter::PublicOnly), LOOPBACK).await;
    // Something that is for this machine only, and a peer that says it is there.
    let private = TcpListener::bind("127.0.0.2:0").expect("loopback is a network");
    private.set_nonblocking(true).expect("it can be asked");
    let port = private.local_addr().expect("a port").port();
    let lie = address(&format!("/ip4/127.0.0.2/tcp/{port}"));
    let config = NetworkConfig::full().address_filter(AddressFilter::All).listen_on(address(LOOPBACK)).announce(lie);
    let stranger = group.add(config);
    group.connect(stranger, node, &at).await;
    let peer = group.peer(stranger);
    group.find(|index, event| (index == node && matches!(event, NetworkEvent::Identified { .. })).then_some(())).await;
    drop(group.networks.remove(stranger));
    group.until(|networks| !networks[node].is_connected(&peer)).await;

    group.networks[node].send(peer, OperationId(1), b"where are you?".to_vec());
    group.find(|_, event| matches!(event, NetworkEvent::DirectFailed { .. }).then_some(())).await;
    assert_eq!(private.accept().expect_err("nobody knocks").kind(), io::ErrorKind::WouldBlock);

    // Whoever runs the node may name the host.
    let lie = address(&format!("/ip4/127.0.0.2/tcp/{port}"));
    group.networks[node].dial(peer, vec![lie]);
    let private = tokio::net::TcpListener::from_std(private).expect("a listener");
    let knock = async {
        tokio::select! {
            knock = private.accept() => drop(knock.expect("a knock")),
            () = async { loop { group.next().await; } } => {}
        }
    };
    tokio::time::timeout(support::PATIENCE, knock).await.expect("somebody knocks");
}
