//! How connections are made.
//!
//! Owns the stack of transports: TCP, WebSocket, QUIC, relayed circuits and this process's memory, names resolved by
//! DNS, Noise and yamux on everything but QUIC, which brings its own. Invariant: every connection is authenticated,
//! none waits for Nagle, and none is made past the guard. Driven by libp2p's swarm.
//!
//! `/memory/N` is for many nodes in one process, and for tests: it takes no port and no socket, and all else is as over
//! TCP. Nothing outside the process can reach such an address, and other nodes count it as loopback.

use std::{io, net::SocketAddr, time::Duration};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        ConnectedPoint, StreamMuxer,
        muxing::{StreamMuxerBox, SubstreamBox as ByteStream},
        transport::{Boxed, MemoryTransport},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise, quic, relay, tcp, websocket, yamux,
};
use socket2::{Domain, Socket, Type};

use super::{
    NetworkError, addresses::is_circuit, config::NetworkConfig, gather::Gathering, guard::DialGuard,
    handshakes::TakingTurns, resolve::Resolved, woken::WokenMuxer,
};

/// One WebSocket frame carries at most one frame of Noise; this leaves room for senders that batch.
const MAX_WEBSOCKET_FRAME: usize = 2 * 1024 * 1024;

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// The transports, and the behaviour that belongs to the relayed one.
pub(crate) fn build(
    keypair: &Keypair,
    config: &NetworkConfig,
    guard: &DialGuard,
) -> Result<(Connections, relay::client::Behaviour), NetworkError> {
    let noise = noise::Config::new(keypair).map_err(|error| NetworkError::Protocol(error.to_string()))?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(config.streams_per_connection);
    let yamux = Gathering(yamux);

    let secured = |socket| secured(socket, noise.clone(), yamux.clone(), config.dial_timeout);

    let quic = quic::tokio::Transport::new(quic_config(keypair, config))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let direct = secured(tcp_socket()).or_transport(quic).map(|either, _| either.into_inner()).boxed();
    let direct = Resolved::new(direct, guard.clone(), config.servers.clone());

    let named = Resolved::new(tcp_socket(), guard.clone(), config.servers.clone());
    let mut websocket = websocket::Config::new(named);
    websocket.set_max_data_size(MAX_WEBSOCKET_FRAME);
    let tls = config.websocket_tls.config().map_err(|error| NetworkError::Protocol(error.to_string()))?;
    websocket.set_tls_config(tls);
    let websocket = secured(socket(websocket));

    let memory = secured(socket(MemoryTransport::new()));

    let (circuits, relay_client) = relay::client::new(keypair.public().to_peer_id());
    let circuits = secured(socket(circuits));

    // WebSocket comes before TCP, which would take a WebSocket address for one that it can listen on. Circuits come
    // before memory, which would dial the relay itself, and memory before names, which are looked for in any address.
    let transport = circuits
        .or_transport(websocket)
        .map(|either, _| either.into_inner())
        .or_transport(memory)
        .map(|either, _| either.into_inner())
        .or_transport(direct)
        .map(|either, _| either.into_inner())
        .boxed();
    Ok((TakingTurns::new(transport).boxed(), relay_client))
}

fn woken<M>((peer, muxer): (PeerId, M), _: ConnectedPoint) -> (PeerId, StreamMuxerBox)
where
    M: StreamMuxer + Send + Unpin + 'static,
    M::Substream: Send + 'static,
    M::Error: Send + Sync + 'static,
{
    (peer, StreamMuxerBox::new(WokenMuxer::new(muxer)))
}

fn tcp_socket() -> Boxed<ByteStream> {
    socket(tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)))
}

/// Any stream of bytes as one type, so that what stands on it is compiled once.
fn socket<T>(transport: T) -> Boxed<ByteStream>
where
    T: Transport<Output: AsyncRead + AsyncWrite + Send + 'static, Error: Send + Sync> + Send + Unpin + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    transport.map(|stream, _| ByteStream::new(stream)).boxed()
}

fn secured(
    socket: Boxed<ByteStream>,
    noise: noise::Config,
    yamux: Gathering<yamux::Config>,
    timeout: Duration,
) -> Connections {
    socket.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux).timeout(timeout).map(woken).boxed()
}

fn quic_config(keypair: &Keypair, config: &NetworkConfig) -> quic::Config {
    let mut quic = quic::Config::new(keypair);
    quic.handshake_timeout = config.dial_timeout;
    // The largest message of any protocol here is 1 MiB; libp2p's own windows of 10 and 15 MB invite a peer to fill
    // them.
    quic.max_stream_data = 2 * 1024 * 1024;
    quic.max_connection_data = 8 * 1024 * 1024;
    quic
}

/// Refuses addresses whose TCP ports are taken, by others or by another of them; says which and why. libp2p's listeners
/// share their ports with others of the same user, so that without this a second node on a port would start, and each
/// of the two would get some of the other's connections; and so would two listeners of one node.
pub(crate) fn check_ports(addresses: &[Multiaddr]) -> Result<(), (Multiaddr, String)> {
    let mut held: Vec<(SocketAddr, Socket)> = Vec::new();
    for (address, wanted) in addresses.iter().filter_map(|address| Some((address, tcp_port(address)?))) {
        match hold(wanted) {
            Ok(socket) => held.push((wanted, socket)),
            Err(error) => {
                let own = held.iter().any(|(own, _)| own.port() == wanted.port() && own.is_ipv4() == wanted.is_ipv4());
                let reason = match own && error.kind() == io::ErrorKind::AddrInUse {
                    true => format!("another address of this node has port {}; give each its own", wanted.port()),
                    false => error.to_string(),
                };
                return Err((address.clone(), reason));
            }
        }
    }
    Ok(())
}

/// The address and port of a listener on TCP. That of a circuit is the relay's, and QUIC shares no ports.
fn tcp_port(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let (host, Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else { return None };
    let host = match host {
        Some(Protocol::Ip4(host)) => host.into(),
        Some(Protocol::Ip6(host)) => host.into(),
        _ => return None,
    };
    (!is_circuit(address)).then(|| SocketAddr::new(host, port))
}

/// A socket that keeps others from this port for as long as it lives.
fn hold(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // As libp2p does: what listens on IPv4 is no collision.
        socket.set_only_v6(true)?;
    }
    // Connections of a node that has just stopped do not keep its port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn check(addresses: &[String]) -> Result<(), (Multiaddr, String)> {
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        check_ports(&addresses)
    }

    #[tokio::test]
    async fn a_node_does_not_collide_with_itself() {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback is a network");
        let port = free.local_addr().expect("a port").port();
        let taken = format!("/ip4/127.0.0.1/tcp/{port}");
        let (_, reason) = check(std::slice::from_ref(&taken)).expect_err("somebody listens there");
        assert!(reason.contains("in use"), "{reason}");
        check(&[format!("/ip6/::/tcp/{port}")]).expect("IPv6 has ports of its own");
        drop(free);
        check(&[taken.clone(), format!("/ip6/::/tcp/{port}"), format!("/ip4/127.0.0.1/udp/{port}/quic-v1")])
            .expect("three kinds of ports");
        for other in [format!("{taken}/ws"), format!("/ip4/0.0.0.0/tcp/{port}"), taken.clone()] {
            let (address, reason) = check(&[taken.clone(), other.clone()]).expect_err("one port is for one");
            assert_eq!(address.to_string(), other);
            assert!(reason.contains("another address of this node"), "{reason}");
            let listen = |network: NetworkConfig, text: &str| network.listen_on(text.parse().expect("an address"));
            let config = listen(listen(NetworkConfig::wallet(), &taken), &other);
            let started = crate::network::Network::new(config, crate::metrics::Metrics::new());
            assert!(matches!(started, Err(NetworkError::Listen { .. })), "a node says so at its start");
        }
    }
}
