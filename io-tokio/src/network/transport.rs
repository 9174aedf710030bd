//! How connections are made.
//!
//! Owns the stack of transports: TCP, WebSocket, QUIC, relayed circuits and this process's memory, names resolved by
//! DNS, Noise and yamux on everything but QUIC, which brings its own. Invariant: every connection is authenticated,
//! none waits for Nagle, and none is made past the guard. Driven by libp2p's swarm.
//!
//! `/memory/N` is for many nodes in one process, and for tests: it takes no port and no socket, and all else is as over
//! TCP. Nothing outside the process can reach such an address, and other nodes count it as loopback.

use std::{
    io,
    net::{IpAddr, TcpListener},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::{StreamMuxerBox, SubstreamBox as Socket},
        transport::{Boxed, MemoryTransport},
        upgrade::Version,
    },
    dns,
    identity::Keypair,
    multiaddr::Protocol,
    noise, quic, relay, tcp, websocket, yamux,
};

use super::{
    NetworkError,
    config::NetworkConfig,
    guard::{DialGuard, Guarded},
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

    let secured = |socket| secured(socket, noise.clone(), yamux.clone(), config.dial_timeout);

    let quic = Guarded::new(quic::tokio::Transport::new(quic_config(keypair, config)), guard.clone())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let direct = resolved(secured(tcp_socket(guard)).or_transport(quic).map(|either, _| either.into_inner()))?;

    let mut websocket = websocket::Config::new(resolved(tcp_socket(guard))?);
    websocket.set_max_data_size(MAX_WEBSOCKET_FRAME);
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
    Ok((transport, relay_client))
}

fn tcp_socket(guard: &DialGuard) -> Boxed<Socket> {
    socket(Guarded::new(tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)), guard.clone()))
}

/// Any stream of bytes as one type, so that what stands on it is compiled once.
fn socket<T>(transport: T) -> Boxed<Socket>
where
    T: Transport<Output: AsyncRead + AsyncWrite + Send + 'static, Error: Send + Sync> + Send + Unpin + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    transport.map(|stream, _| Socket::new(stream)).boxed()
}

fn secured(socket: Boxed<Socket>, noise: noise::Config, yamux: yamux::Config, timeout: Duration) -> Connections {
    socket
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(timeout)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed()
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

/// Refuses an address whose TCP port is taken. libp2p's listeners share their ports with others of the same user, so
/// that without this a second node on a port would start, and each of the two would get some of the other's
/// connections.
pub(crate) fn check_port(address: &Multiaddr) -> io::Result<()> {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        // The port is the relay's.
        return Ok(());
    }
    let mut parts = address.iter();
    let host: IpAddr = match parts.next() {
        Some(Protocol::Ip4(host)) => host.into(),
        Some(Protocol::Ip6(host)) => host.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) => TcpListener::bind((host, port)).map(drop),
        // QUIC shares no ports.
        _ => Ok(()),
    }
}

/// Adds name resolution with the system's servers. Where it has none, addresses that are numbers still work.
fn resolved<T>(transport: T) -> Result<dns::tokio::Transport<T>, NetworkError> {
    // Asked first with nothing inside, because a failure would swallow the transport.
    match dns::tokio::Transport::system(()) {
        Ok(_) => dns::tokio::Transport::system(transport).map_err(NetworkError::Names),
        Err(error) => {
            tracing::warn!(%error, "names will not be resolved: the system has no usable configuration");
            let nobody = dns::ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            Ok(dns::tokio::Transport::custom(transport, nobody, dns::ResolverOpts::default()))
        }
    }
}
