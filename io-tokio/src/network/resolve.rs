//! Names, resolved by the servers that the system has now.
//!
//! Owns the way from an address with a name to those with numbers. Invariant: before a name is resolved the system's
//! configuration is read again, and one that cannot be read leaves the last one in use: a laptop that wakes up in
//! another network, or a machine that starts before its resolver is configured, needs no restart. Where a name leads
//! the guard looks again, unless it is a name that the owner has given: that may lead into a private network. Driven
//! by libp2p's transports.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use hickory_resolver::system_conf::read_system_conf;
use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    dns::{self, ResolverConfig, ResolverOpts},
    multiaddr::Protocol,
};

use super::guard::{DialGuard, Guarded};

/// Where the configuration is read.
#[derive(Clone)]
pub(crate) struct Servers(Arc<dyn Fn() -> io::Result<(ResolverConfig, ResolverOpts)> + Send + Sync>);

impl Servers {
    /// The system's own.
    pub(crate) fn of_system() -> Self {
        Self::new(|| read_system_conf().map_err(|error| io::Error::other(error.to_string())))
    }

    fn new(read: impl Fn() -> io::Result<(ResolverConfig, ResolverOpts)> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").finish_non_exhaustive()
    }
}

/// A transport that takes names, and what the guard admits.
pub(crate) struct Resolved<T> {
    inner: Shared<T>,
    guard: DialGuard,
    servers: Servers,
    /// The configuration in use, printed.
    in_use: String,
    resolving: dns::tokio::Transport<Guarded<Shared<T>>>,
    /// For names that the owner has given. It listens to nothing, so that nobody needs to poll it.
    trusting: dns::tokio::Transport<Shared<T>>,
}

impl<T> Resolved<T> {
    pub(crate) fn new(inner: T, guard: DialGuard, servers: Servers) -> Self {
        let inner = Shared(Arc::new(Mutex::new(inner)));
        // With none, addresses that are numbers still work.
        let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        let (resolving, trusting) = transports(&inner, &guard, config, ResolverOpts::default());
        let mut resolved = Self { inner, guard, servers, in_use: String::new(), resolving, trusting };
        if let Err(error) = resolved.renew() {
            tracing::warn!(%error, "no name can be resolved until the system's configuration can be read");
        }
        resolved
    }

    fn renew(&mut self) -> io::Result<()> {
        let (config, options) = (self.servers.0)()?;
        // It cannot be compared, but it can be printed.
        let read = format!("{config:?}");
        if read != self.in_use {
            (self.resolving, self.trusting) = transports(&self.inner, &self.guard, config, options);
            self.in_use = read;
        }
        Ok(())
    }
}

fn transports<T>(
    inner: &Shared<T>,
    guard: &DialGuard,
    config: ResolverConfig,
    options: ResolverOpts,
) -> (dns::tokio::Transport<Guarded<Shared<T>>>, dns::tokio::Transport<Shared<T>>) {
    let guarded = Guarded::new(inner.clone(), guard.clone());
    let resolving = dns::tokio::Transport::custom(guarded, config.clone(), options.clone());
    (resolving, dns::tokio::Transport::custom(inner.clone(), config, options))
}

type Resolving<T> = dns::tokio::Transport<Guarded<Shared<T>>>;

impl<T> Transport for Resolved<T>
where
    T: Transport + Send + Unpin + 'static,
    T::Error: From<io::Error> + Send,
    T::Dial: Send,
{
    type Output = T::Output;
    type Error = <Resolving<T> as Transport>::Error;
    type ListenerUpgrade = <Resolving<T> as Transport>::ListenerUpgrade;
    type Dial = <Resolving<T> as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.resolving.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.resolving.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        if has_name(&address)
            && let Err(error) = self.renew()
        {
            tracing::debug!(%error, "the system's configuration of names cannot be read");
        }
        if has_name(&address) && self.guard.is_named(&address) {
            return self.trusting.dial(address, options);
        }
        self.resolving.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.resolving).poll(context)
    }
}

pub(super) fn has_name(address: &Multiaddr) -> bool {
    let is_name =
        |part| matches!(part, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_));
    address.iter().any(is_name)
}

/// One transport for whoever resolves names: dials that are under way have the one before.
#[derive(Debug)]
pub(crate) struct Shared<T>(Arc<Mutex<T>>);

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Transport + Unpin> Transport for Shared<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.lock().listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.lock().remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        self.lock().dial(address, options)
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut *self.lock()).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, SocketAddr},
        sync::atomic::{AtomicU16, Ordering},
        time::Duration,
    };

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use libp2p::{
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

    /// A server that knows one node: `/dnsaddr/nodes.test` leads to `/dns4/one.nodes.test`, and that to this machine.
    async fn answer(socket: UdpSocket, node: String) {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            let answered = answer_one(&query[..length], &node);
            if socket.send_to(&answered, from).await.is_err() {
                return;
            }
        }
    }

    /// RFC 1035, section 4: the header and the question of the query, and one record.
    fn answer_one(query: &[u8], node: &str) -> Vec<u8> {
        let (mut name, mut at) = (String::new(), 12);
        while query[at] != 0 {
            let label = &query[at + 1..=at + usize::from(query[at])];
            name += &format!("{}.", String::from_utf8_lossy(label));
            at += 1 + label.len();
        }
        let question = &query[12..at + 5];
        let data = match (name.to_lowercase().as_str(), query[at + 2]) {
            ("_dnsaddr.nodes.test.", TXT) => {
                let text = format!("dnsaddr={node}");
                Some([&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat())
            }
            ("one.nodes.test.", A) => Some(Ipv4Addr::LOCALHOST.octets().to_vec()),
            _ => None,
        };
        let answers = u8::from(data.is_some());
        let refusal = if data.is_some() { 0 } else { NO_SUCH_NAME };
        let mut answer = query[..2].to_vec();
        answer.extend([0x85, 0x80 | refusal, 0, 1, 0, answers, 0, 0, 0, 0]);
        answer.extend(question);
        if let Some(data) = data {
            answer.extend([0xc0, 12, 0, query[at + 2], 0, 1, 0, 0, 0, 60]);
            answer.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            answer.extend(data);
        }
        answer
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

    #[tokio::test]
    async fn a_resolver_that_is_configured_later_is_used_and_dnsaddr_leads_to_a_node() {
        let local = || NetworkConfig::full().address_filter(AddressFilter::All);
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        let mut node = Network::new(local().listen_on(listen), Metrics::new()).expect("a network");
        let address = loop {
            if let NetworkEvent::Listening { address } = node.next().await {
                break address;
            }
        };
        let peer = node.local_peer();
        let port = address.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None });
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a socket");
        let at = socket.local_addr().expect("a port").port();
        let known = format!("/dns4/one.nodes.test/tcp/{}/p2p/{peer}", port.expect("a port"));
        let server = tokio::spawn(answer(socket, known));

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
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a socket");
        let at = Arc::new(AtomicU16::new(socket.local_addr().expect("a port").port()));
        let server = tokio::spawn(answer(socket, String::new()));
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
}
