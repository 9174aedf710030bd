//! Names, with a server of the test's own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use libp2p::{
    PeerId,
    core::{Endpoint, transport::PortUse},
    tcp,
};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::{
    metrics::Metrics,
    network::{AddressFilter, Network, NetworkConfig, NetworkEvent},
};

const TXT: u8 = 16;
const A: u8 = 1;
const NO_SUCH_NAME: u8 = 3;

/// What a server knows: the data of all records of this name and kind.
type Zone = Arc<dyn Fn(&str, u8) -> Vec<Vec<u8>> + Send + Sync>;

/// One node: `/dnsaddr/nodes.test` leads to what is given, and `one.nodes.test` to this machine.
fn one_node(node: String) -> Zone {
    Arc::new(move |name, kind| match (name, kind) {
        ("_dnsaddr.nodes.test.", TXT) => vec![txt(&node)],
        ("one.nodes.test.", A) => vec![Ipv4Addr::LOCALHOST.octets().to_vec()],
        _ => Vec::new(),
    })
}

fn txt(address: &str) -> Vec<u8> {
    let text = format!("dnsaddr={address}");
    [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat()
}

/// Answers over UDP, and counts.
async fn answer(socket: UdpSocket, zone: Zone, asked: Arc<AtomicU16>) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query).await {
        asked.fetch_add(1, Ordering::SeqCst);
        if socket.send_to(&answer_one(&query[..length], &zone), from).await.is_err() {
            return;
        }
    }
}

/// RFC 1035, section 4: the header and the question of the query, and the records.
fn answer_one(query: &[u8], zone: &Zone) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let label = &query[at + 1..=at + usize::from(query[at])];
        name += &format!("{}.", String::from_utf8_lossy(label));
        at += 1 + label.len();
    }
    let question = &query[12..at + 5];
    let records = zone(&name.to_lowercase(), query[at + 2]);
    let answers = u8::try_from(records.len()).expect("a few");
    let refusal = if records.is_empty() { NO_SUCH_NAME } else { 0 };
    let mut answer = query[..2].to_vec();
    answer.extend([0x85, 0x80 | refusal, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    for data in records {
        answer.extend([0xc0, 12, 0, query[at + 2], 0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        answer.extend(data);
    }
    answer
}

/// A server, by its port, and how often it was asked.
async fn serve(zone: Zone) -> (u16, Arc<AtomicU16>, tokio::task::JoinHandle<()>) {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a socket");
    let (port, asked) = (socket.local_addr().expect("a port").port(), Arc::<AtomicU16>::default());
    (port, asked.clone(), tokio::spawn(answer(socket, zone, asked)))
}

/// The system's configuration: unreadable until it names a server, by its port.
fn servers(port: Arc<AtomicU16>) -> Servers {
    Servers::new(move || match port.load(Ordering::SeqCst) {
        0 => Err(io::Error::other("no nameservers found in config")),
        port => {
            let mut connection = ConnectionConfig::udp();
            connection.port = port;
            let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
            Ok((ResolverConfig::from_parts(None, Vec::new(), vec![server]), ResolverOpts::default()))
        }
    })
}

/// A node, and where it listens.
async fn listening(config: NetworkConfig) -> (Network, Multiaddr) {
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    let mut node = Network::new(config.listen_on(listen), Metrics::new()).expect("a network");
    loop {
        if let NetworkEvent::Listening { address } = node.next().await {
            return (node, address);
        }
    }
}

#[tokio::test]
async fn a_resolver_that_is_configured_later_is_used_and_dnsaddr_leads_to_a_node() {
    let local = || NetworkConfig::full().address_filter(AddressFilter::All);
    let (mut node, address) = listening(local()).await;
    let peer = node.local_peer();
    let port = address.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None });
    let known = format!("/dns4/one.nodes.test/tcp/{}/p2p/{peer}", port.expect("a port"));
    let (at, _, server) = serve(one_node(known)).await;

    let system = Arc::new(AtomicU16::new(0));
    let bootstrap = format!("/dnsaddr/nodes.test/p2p/{peer}").parse().expect("an address");
    let mut config = local().join_through(bootstrap).expect("it names its peer");
    config.servers = servers(system.clone());
    let mut joining = Network::new(config, Metrics::new()).expect("a network");
    let mut failed = 0;
    let connected = async {
        loop {
            tokio::select! {
                _ = node.next() => {}
                event = joining.next() => match event {
                    NetworkEvent::DialFailed { .. } => {
                        failed += 1;
                        system.store(at, Ordering::SeqCst);
                    }
                    NetworkEvent::PeerConnected { .. } => break,
                    _ => {}
                },
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), connected).await.expect("it finds the node");
    assert_eq!(failed, 1, "and it does at the next try");
    server.abort();
}

/// A name may lead into this machine or network, whoever it belongs to.
#[tokio::test]
async fn a_name_leads_to_a_private_host_only_if_the_owner_has_given_it() {
    let (at, _, server) = serve(one_node(String::new())).await;
    let at = Arc::new(AtomicU16::new(at));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("a port").port();
    let guard = DialGuard::new(AddressFilter::PublicOnly.decide([], []));
    let tcp = tcp::tokio::Transport::new(tcp::Config::default());
    let mut resolved = Resolved::new(tcp, guard.clone(), servers(at));
    let address: Multiaddr = format!("/dns4/One.Nodes.test/tcp/{port}").parse().expect("an address");
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let stranger = resolved.dial(address.clone(), options).expect("it has a name");
    let refused = stranger.await.expect_err("nobody here has named it");
    assert!(format!("{refused:?}").contains("private network"), "{refused:?}");
    guard.name([&"/dns4/one.nodes.TEST/tcp/1".parse().expect("an address")]);
    resolved.dial(address, options).expect("it has a name").await.expect("its owner has given the name");
    let inside = resolved.dial(format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address"), options);
    inside.expect("an address").await.expect_err("the number was not named");
    server.abort();
}

/// Of several records those of the peer are tried, and names that lead to themselves end.
#[tokio::test]
async fn dnsaddr_leads_to_the_peer_among_several_and_is_not_followed_for_ever() {
    let local = || NetworkConfig::full().address_filter(AddressFilter::All);
    let (mut node, address) = listening(local()).await;
    let (peer, other) = (node.local_peer(), PeerId::random());
    let door = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("a port");
    let port = door.local_addr().expect("a port").port();
    let zone: Zone = Arc::new(move |name, kind| match (name, kind) {
        ("_dnsaddr.several.test.", TXT) => vec![
            txt(&format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}")),
            txt(&format!("/ip4/127.0.0.7/tcp/{port}/p2p/{other}")),
            b"\x05empty".to_vec(),
            txt("no address"),
            txt(&format!("/dnsaddr/deeper.test/p2p/{peer}")),
        ],
        ("_dnsaddr.deeper.test.", TXT) => vec![txt(&format!("{address}/p2p/{peer}"))],
        ("_dnsaddr.loop.test.", TXT) => (0..9).map(|_| txt(&format!("/dnsaddr/loop.test/p2p/{peer}"))).collect(),
        _ => Vec::new(),
    });
    let (at, asked, server) = serve(zone).await;
    let join = |name: &str| {
        let mut config = local().join_through(format!("/dnsaddr/{name}/p2p/{peer}").parse().expect("an address"));
        let config = config.as_mut().expect("it names its peer");
        config.servers = servers(Arc::new(AtomicU16::new(at)));
        config.dial_timeout = Duration::from_secs(2);
        Network::new(config.clone(), Metrics::new()).expect("a network")
    };
    let end = async |mut joining: Network| {
        loop {
            tokio::select! {
                _ = node.next() => {}
                event = joining.next() => match event {
                    NetworkEvent::PeerConnected { peer: connected, .. } => return Some(connected),
                    NetworkEvent::DialFailed { .. } => return None,
                    _ => {}
                },
            }
        }
    };
    let mut end = end;
    let within = Duration::from_secs(20);
    let connected = tokio::time::timeout(within, end(join("several.test"))).await.expect("in time");
    assert_eq!(connected, Some(peer));
    let before = asked.load(Ordering::SeqCst);
    assert_eq!(tokio::time::timeout(within, end(join("loop.test"))).await.expect("it ends"), None);
    let questions = asked.load(Ordering::SeqCst) - before;
    // The resolver remembers what it has been told.
    assert!((1..=64).contains(&questions), "{questions} questions");
    server.abort();
}
