//! Connections whose other end is gone without a word: an address that has changed under a running process, a link that
//! was pulled out.

use std::{net::SocketAddr, time::Duration};

use libp2p::{PeerId, identity::Keypair, multiaddr::Protocol};
use nelumbo_core::api::OperationId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    time::timeout,
};

use super::*;
use crate::metrics::Metrics;

const PATIENCE: Duration = Duration::from_secs(20);
/// Instead of the fifteen and twenty seconds that users have.
const PING: Duration = Duration::from_millis(200);

fn network(identity: &Keypair) -> Network {
    let listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"].map(|text| text.parse().expect("an address"));
    let mut config = NetworkConfig::full().identity(identity.clone()).address_filter(AddressFilter::All);
    config.ping = (PING, PING);
    Network::new(listen.into_iter().fold(config, NetworkConfig::listen_on), Metrics::new()).expect("a network")
}

/// Both addresses, without the peer: over TCP and over QUIC.
async fn addresses(network: &mut Network) -> [Multiaddr; 2] {
    let mut found = Vec::new();
    while found.len() < 2 {
        if let NetworkEvent::Listening { address } = network.next().await {
            found.push(address);
        }
    }
    found.sort_by_key(|address| address.to_string().contains("quic"));
    found.try_into().expect("two")
}

/// A link to the port of an address, which carries nothing any more once it is cut, and tells neither end. Where it can
/// be dialled.
async fn link(to: &Multiaddr, is_cut: watch::Receiver<bool>) -> Multiaddr {
    let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let mut parts: Vec<Protocol<'_>> = to.iter().collect();
    let port = match parts[1] {
        Protocol::Tcp(port) => {
            let listener = TcpListener::bind(local(0)).await.expect("a port");
            let own = listener.local_addr().expect("a port").port();
            tokio::spawn(carry_tcp(listener, local(port), is_cut));
            Protocol::Tcp(own)
        }
        Protocol::Udp(port) => {
            let socket = UdpSocket::bind(local(0)).await.expect("a port");
            let own = socket.local_addr().expect("a port").port();
            tokio::spawn(carry_udp(socket, local(port), is_cut));
            Protocol::Udp(own)
        }
        ref other => panic!("{other}"),
    };
    parts[1] = port;
    parts.into_iter().collect()
}

async fn carry_tcp(listener: TcpListener, to: SocketAddr, is_cut: watch::Receiver<bool>) {
    let (near, _) = listener.accept().await.expect("it is dialled once");
    let far = TcpStream::connect(to).await.expect("the node listens");
    let [(near_read, near_write), (far_read, far_write)] = [near, far].map(TcpStream::into_split);
    let pump = |mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf| {
        let is_cut = is_cut.clone();
        async move {
            let mut buffer = vec![0; 65_536];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                // Both sockets stay open, and nothing is read or written.
                if *is_cut.borrow() {
                    std::future::pending::<()>().await;
                }
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::join!(pump(near_read, far_write), pump(far_read, near_write));
}

async fn carry_udp(near: UdpSocket, to: SocketAddr, is_cut: watch::Receiver<bool>) {
    let far = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
    far.connect(to).await.expect("an address");
    let (mut there, mut back, mut dialler) = (vec![0; 65_536], vec![0; 65_536], None);
    loop {
        tokio::select! {
            read = near.recv_from(&mut there) => {
                let Ok((read, from)) = read else { continue };
                dialler = Some(from);
                if !*is_cut.borrow() {
                    let _ = far.send(&there[..read]).await;
                }
            }
            read = far.recv(&mut back) => {
                let is_cut = *is_cut.borrow();
                if let (Ok(read), Some(dialler), false) = (read, dialler, is_cut) {
                    let _ = near.send_to(&back[..read], dialler).await;
                }
            }
        }
    }
}

/// Lets a network run until this has happened.
async fn until<T>(network: &mut Network, mut look: impl FnMut(&NetworkEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look(&network.next().await) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it happens")
}

async fn run(mut network: Network) {
    loop {
        network.next().await;
    }
}

#[tokio::test]
async fn a_connection_whose_other_end_is_silent_is_closed_over_tcp_and_quic() {
    let [node, other] = [(); 2].map(|()| Keypair::generate_ed25519());
    let peer = PeerId::from(node.public());
    for transport in 0..2 {
        let (mut node, mut other) = (network(&node), network(&other));
        let to = addresses(&mut node).await[transport].clone();
        let (cut, is_cut) = watch::channel(false);
        let through = link(&to, is_cut).await;
        other.dial(peer, vec![through]);
        let node = tokio::spawn(run(node));
        until(&mut other, |event| matches!(event, NetworkEvent::PeerConnected { .. }).then_some(())).await;
        cut.send(true).expect("the link is there");
        let reason = until(&mut other, |event| match event {
            NetworkEvent::PeerDisconnected { peer: gone, reason } if *gone == peer => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(reason.await, "it does not answer", "{to}");
        node.abort();
    }
}

/// Long before pings say that a connection is dead: the other end may be somewhere else by now, and know it alone.
#[tokio::test]
async fn a_peer_that_acknowledges_nothing_is_dialled_besides_and_hears_what_comes_next() {
    let [node, other] = [(); 2].map(|()| Keypair::generate_ed25519());
    let peer = PeerId::from(node.public());
    for transport in 0..2 {
        let mut node = network(&node);
        // Pings at the pace that users have, which end nothing here.
        let config = NetworkConfig::full().identity(other.clone()).address_filter(AddressFilter::All);
        let config = config.direct_timeout(Duration::from_secs(1));
        let mut other = Network::new(config, Metrics::new()).expect("a network");
        let to = addresses(&mut node).await[transport].clone();
        let (cut, is_cut) = watch::channel(false);
        let through = link(&to, is_cut).await;
        let node = tokio::spawn(run(node));
        other.keep(peer, vec![through]);
        until(&mut other, |event| matches!(event, NetworkEvent::PeerConnected { .. }).then_some(())).await;
        cut.send(true).expect("the link is there");
        other.keep(peer, vec![to.clone()]);
        let mut failed = 0;
        for time in 0.. {
            other.send(peer, OperationId(time), &b"hello"[..]);
            let is_sent = until(&mut other, |event| match event {
                NetworkEvent::DirectSent { .. } => Some(true),
                NetworkEvent::DirectFailed { .. } => Some(false),
                NetworkEvent::PeerDisconnected { reason, .. } => panic!("{to}: {reason}"),
                _ => None,
            });
            if is_sent.await {
                break;
            }
            failed += 1;
            assert!(failed < 10, "{to}");
        }
        assert!(failed > 0, "the link is cut");
        node.abort();
    }
}

/// As a laptop that changes networks ten times within a minute, whose old connections nobody has closed: more often
/// than libp2p allows one peer connections.
#[tokio::test]
async fn a_peer_that_comes_back_again_and_again_gets_in_and_is_heard_over_its_newest_connection() {
    let [node, other] = [(); 2].map(|()| Keypair::generate_ed25519());
    let (peer, back) = (PeerId::from(node.public()), PeerId::from(other.public()));
    for transport in 0..2 {
        let mut config = NetworkConfig::full().identity(node.clone()).address_filter(AddressFilter::All);
        for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
            config = config.listen_on(listen.parse().expect("an address"));
        }
        // At the pace that users have: nothing but the limit makes room here.
        let mut node = Network::new(config, Metrics::new()).expect("a network");
        let to = addresses(&mut node).await[transport].clone();
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                if let NetworkEvent::DirectReceived { bytes, .. } = node.next().await {
                    let _ = heard.send(bytes);
                }
                // To whoever comes: over its newest connection.
                if node.connected_peers().any(|peer| peer == back) && node.direct_backlog() == 0 {
                    node.send(back, OperationId(0), &b"hello"[..]);
                }
            }
        });
        let mut gone = Vec::new();
        for time in 0..10_u8 {
            let mut returning = network(&other);
            let (cut, is_cut) = watch::channel(false);
            returning.dial(peer, vec![link(&to, is_cut).await]);
            until(&mut returning, |event| matches!(event, NetworkEvent::PeerConnected { .. }).then_some(())).await;
            returning.send(peer, OperationId(time.into()), vec![time]);
            until(&mut returning, |event| matches!(event, NetworkEvent::DirectSent { .. }).then_some(())).await;
            assert_eq!(timeout(PATIENCE, hears.recv()).await.expect("in time").expect("it runs")[..], [time]);
            until(&mut returning, |event| matches!(event, NetworkEvent::DirectReceived { .. }).then_some(())).await;
            cut.send(true).expect("the link is there");
            // It is gone, and its sockets say nothing.
            gone.push((returning, cut));
        }
    }
}
