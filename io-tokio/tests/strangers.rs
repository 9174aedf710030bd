//! What a peer cannot make a node do.

mod support;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

use futures::{FutureExt, StreamExt};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, multiaddr::Protocol, noise, ping, tcp, yamux};
use nelumbo_tokio::network::{AddressFilter, NetworkConfig, NetworkEvent, OperationId};
use support::{Group, LOOPBACK, PATIENCE, address};
use tokio::{io::copy_bidirectional, net::TcpSocket, task::JoinHandle};

/// More than a node has room for, at any setting of its own.
const CROWD: usize = 200;

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

/// A way to a node's address that leaves from another host of this machine.
async fn from_host(host: Ipv4Addr, at: &Multiaddr) -> (Multiaddr, JoinHandle<()>) {
    let is_port = |part| if let Protocol::Tcp(port) = part { Some(port) } else { None };
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, at.iter().find_map(is_port).expect("a port")));
    let listener = tokio::net::TcpListener::bind((host, 0)).await.expect("loopback is a network");
    let port = listener.local_addr().expect("a port").port();
    let forward = tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind((host, 0).into()).expect("a host of this machine");
            let mut outside = socket.connect(to).await.expect("the node listens");
            tokio::spawn(async move { copy_bidirectional(&mut inside, &mut outside).await });
        }
    });
    (address(&format!("/ip4/{host}/tcp/{port}")), forward)
}

#[tokio::test]
async fn idle_handshakes_keep_no_newcomer_out() {
    let mut group = Group::default();
    let (node, at) = group.listen(NetworkConfig::full(), LOOPBACK).await;
    let port = at.to_string().split('/').nth(4).and_then(|port| port.parse::<u16>().ok()).expect("a port");
    let idle: Vec<_> = (0..CROWD)
        .map(|_| {
            // The node takes them while the test connects: the backlog of a listener is shorter than the crowd.
            while group.networks[node].next().now_or_never().is_some() {}
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the node listens")
        })
        .collect();
    for _ in 0..5 {
        let newcomer = group.add(NetworkConfig::wallet());
        // At the first try.
        group.connect(newcomer, node, &at).await;
    }
    drop(idle);
}

/// A peer that does nothing but to stay.
fn idler() -> Swarm<ping::Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|_| ping::Behaviour::default())
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

#[tokio::test]
async fn idle_peers_of_one_host_keep_no_newcomer_out() {
    let mut group = Group::default();
    let (node, at) = group.listen(NetworkConfig::wallet(), LOOPBACK).await;
    // As many as others may make at default settings.
    let mut idlers: Vec<_> = (0..39).map(|_| idler()).collect();
    for number in 0..idlers.len() {
        idlers[number].dial(at.clone()).expect("an address");
        while group.networks[node].connected_peers().count() <= number {
            let idle = futures::future::select_all(idlers.iter_mut().map(StreamExt::next));
            tokio::select! {
                _ = group.next() => {}
                _ = idle => {}
            }
        }
    }
    let (elsewhere, forward) = from_host(Ipv4Addr::new(127, 9, 9, 9), &at).await;
    let mut newcomers = Vec::<PeerId>::new();
    for _ in 0..5 {
        let newcomer = group.add(NetworkConfig::wallet().address_filter(AddressFilter::All));
        group.connect(newcomer, node, &elsewhere).await;
        newcomers.push(group.peer(newcomer));
    }
    // And they stay.
    group.until(|networks| networks[node].connected_peers().count() <= 39).await;
    assert!(newcomers.iter().all(|newcomer| group.networks[node].is_connected(newcomer)));
    forward.abort();
}
