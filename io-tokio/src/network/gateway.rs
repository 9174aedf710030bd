//! Ports that a gateway forwards by PCP or NAT-PMP, where it does not speak UPnP.
//!
//! Owns the task that asks the gateway, and again before each mapping ends. Invariant: what is told as mapped has been
//! granted and has not ended; what could not be renewed is told as gone, and is asked for again after a pause. Driven
//! by tokio; [`super::Network`] takes what it says.

use std::{
    fs,
    future::pending,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    num::NonZeroU16,
    time::Duration,
};

use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp};
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::sync::mpsc;

use super::addresses::{host, is_circuit, is_private};

/// RFC 6886, section 3.3, recommends two hours, and to renew after half of that.
const LIFETIME: u32 = 7200;
/// After that a gateway that does not answer speaks neither protocol.
const TIMEOUT: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 4,
    max_retry_timeout: Some(Duration::from_secs(2)),
};
/// When to ask again: when half of the time is over, and where nothing was mapped: a laptop may be in another network.
const RHYTHM: [Duration; 2] = [Duration::from_secs(LIFETIME as u64 / 2), Duration::from_secs(300)];
/// One gateway says no more than this before it is heard.
const EVENTS: usize = 16;

/// What the gateway does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It forwards this address.
    Mapped(Multiaddr),
    /// It does not any more.
    Gone(Multiaddr),
    /// It forwards nothing.
    NoGateway,
}

/// A task that is over when this is dropped.
#[derive(Debug)]
pub(super) struct Gateway {
    events: mpsc::Receiver<Event>,
}

impl Gateway {
    /// Has the ports of these listeners forwarded.
    pub(super) fn start(listeners: impl Iterator<Item = Multiaddr>) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let listeners: Vec<Port> = listeners.filter_map(Port::of).collect();
        tokio::spawn(async move {
            tokio::select! {
                () = run(&listeners, default_gateway, &sender, RHYTHM) => {}
                () = sender.closed() => {}
            }
        });
        Self { events }
    }
}

/// The next thing that it says, if there is one. Dropping the future loses nothing.
pub(super) async fn next(gateway: &mut Option<Gateway>) -> Event {
    match gateway {
        Some(Gateway { events }) => match events.recv().await {
            Some(event) => event,
            None => pending().await,
        },
        None => pending().await,
    }
}

/// A port that is listened on at a private address.
#[derive(Clone, Debug)]
struct Port {
    address: Multiaddr,
    protocol: InternetProtocol,
    number: NonZeroU16,
}

impl Port {
    fn of(address: Multiaddr) -> Option<Self> {
        if is_circuit(&address) || !host(&address).is_some_and(|host| host.is_ipv4() && is_private(&host)) {
            return None;
        }
        let (protocol, number) = address.iter().find_map(|part| match part {
            Protocol::Tcp(port) => Some((InternetProtocol::Tcp, port)),
            Protocol::Udp(port) => Some((InternetProtocol::Udp, port)),
            _ => None,
        })?;
        Some(Self { number: NonZeroU16::new(number)?, address, protocol })
    }

    /// The same address as it is outside.
    fn outside(&self, host: Ipv4Addr, port: NonZeroU16) -> Multiaddr {
        let parts = self.address.iter().map(|part| match part {
            Protocol::Ip4(_) => Protocol::Ip4(host),
            Protocol::Tcp(_) => Protocol::Tcp(port.get()),
            Protocol::Udp(_) => Protocol::Udp(port.get()),
            other => other,
        });
        parts.collect()
    }
}

async fn run(
    ports: &[Port],
    gateway: impl Fn() -> Option<Ipv4Addr>,
    events: &mpsc::Sender<Event>,
    [renewal, pause]: [Duration; 2],
) {
    let mut mapped: Vec<Multiaddr> = Vec::new();
    loop {
        let now = match gateway() {
            Some(gateway) => map(ports, gateway).await,
            None => Vec::new(),
        };
        for gone in mapped.iter().filter(|before| !now.contains(before)) {
            let _ = events.send(Event::Gone(gone.clone())).await;
        }
        for new in now.iter().filter(|new| !mapped.contains(new)) {
            let _ = events.send(Event::Mapped(new.clone())).await;
        }
        if now.is_empty() {
            let _ = events.send(Event::NoGateway).await;
        }
        mapped = now;
        tokio::time::sleep(if mapped.is_empty() { pause } else { renewal }).await;
    }
}

/// Asks for every port, anew or again, and says what is forwarded now.
async fn map(ports: &[Port], gateway: Ipv4Addr) -> Vec<Multiaddr> {
    let Some(own) = own_address(gateway) else { return Vec::new() };
    let mut mapped = Vec::new();
    for port in ports {
        let options = PortMappingOptions {
            external_port: Some(port.number),
            lifetime_seconds: Some(LIFETIME),
            timeout_config: Some(TIMEOUT),
        };
        let asked = PortMapping::new(gateway.into(), own, port.protocol, port.number, options).await;
        let outside = match &asked {
            Ok(mapping) => match mapping.mapping_type() {
                PortMappingType::Pcp { external_ip: IpAddr::V4(outside), .. } => Some(outside),
                PortMappingType::Pcp { .. } => None,
                PortMappingType::NatPmp => natpmp::external_address(gateway.into(), Some(TIMEOUT)).await.ok(),
            },
            Err(error) => {
                tracing::debug!(%error, address = %port.address, "the gateway does not forward");
                // Who does not answer one will not answer the next.
                return mapped;
            }
        };
        if let (Some(outside), Ok(mapping)) = (outside, asked) {
            mapped.push(port.outside(outside, mapping.external_port()));
        }
    }
    mapped
}

/// The address that this machine has towards the gateway. Sends nothing.
fn own_address(gateway: Ipv4Addr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).ok()?;
    socket.connect(SocketAddr::from((gateway, 9))).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Where the default route leads, as Linux says; elsewhere UPnP alone is asked.
fn default_gateway() -> Option<Ipv4Addr> {
    parse_routes(&fs::read_to_string("/proc/net/route").ok()?)
}

/// proc(5): interface, destination and gateway as hexadecimal numbers in the machine's order, flags.
fn parse_routes(text: &str) -> Option<Ipv4Addr> {
    text.lines().skip(1).find_map(|line| {
        let mut parts = line.split_whitespace();
        let (destination, gateway) = (parts.nth(1)?, parts.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        (destination == "00000000" && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    /// A gateway of the test's own, on this machine, that speaks NAT-PMP (RFC 6886, section 3) and no PCP.
    async fn respond(socket: tokio::net::UdpSocket, grants: Arc<AtomicBool>) {
        let mut asked = [0; 1100];
        while let Ok((_, from)) = socket.recv_from(&mut asked).await {
            let [version, operation] = [asked[0], asked[1]];
            let mut answer = vec![0, 128 + operation, 0, 0, 0, 0, 0, 1];
            match (version, operation) {
                // Version 2 is PCP's; result 1 says that it is not spoken.
                (2, _) => answer = vec![0, 128 + operation, 0, 1, 0, 0, 0, 1],
                (0, 0) => answer.extend([5, 5, 1, 9]),
                (0, 1 | 2) if grants.load(Ordering::SeqCst) => {
                    answer.extend(&asked[4..6]);
                    answer.extend(24_001_u16.to_be_bytes());
                    answer.extend(LIFETIME.to_be_bytes());
                }
                // Result 2: not authorised.
                _ => {
                    answer[3] = 2;
                    answer.extend([0; 8]);
                }
            }
            if socket.send_to(&answer, from).await.is_err() {
                return;
            }
        }
    }

    #[tokio::test]
    async fn ports_are_mapped_by_nat_pmp_and_told_when_that_is_over() {
        // Another address of this machine, because the port is everybody's.
        let gateway = Ipv4Addr::new(127, 7, 7, 7);
        let socket = tokio::net::UdpSocket::bind((gateway, 5351)).await.expect("the port of gateways");
        let grants = Arc::new(AtomicBool::new(true));
        let responder = tokio::spawn(respond(socket, grants.clone()));
        let listeners = ["/ip4/192.168.1.2/tcp/4001", "/ip4/192.168.1.2/udp/4001/quic-v1", "/ip4/127.0.0.1/tcp/4001"];
        let ports: Vec<Port> =
            listeners.iter().filter_map(|text| Port::of(text.parse().expect("an address"))).collect();
        assert_eq!(ports.len(), 2, "what is private and no loopback");
        let mapped = map(&ports, gateway).await;
        let expected = ["/ip4/5.5.1.9/tcp/24001", "/ip4/5.5.1.9/udp/24001/quic-v1"];
        assert_eq!(mapped, expected.map(|text| text.parse::<Multiaddr>().expect("an address")));

        let (sender, mut events) = mpsc::channel(EVENTS);
        let mut heard = Vec::new();
        tokio::select! {
            () = run(&ports, || Some(gateway), &sender, [Duration::from_millis(20); 2]) => {}
            () = async {
                while heard.len() < 2 {
                    heard.extend(events.recv().await);
                }
                grants.store(false, Ordering::SeqCst);
                while heard.len() < 5 {
                    heard.extend(events.recv().await);
                }
            } => {}
        }
        let [tcp, quic] = expected.map(|text| text.parse::<Multiaddr>().expect("an address"));
        let gone = [Event::Gone(tcp.clone()), Event::Gone(quic.clone()), Event::NoGateway];
        assert_eq!(heard, [vec![Event::Mapped(tcp), Event::Mapped(quic)], gone.to_vec()].concat());
        responder.abort();
    }

    #[test]
    fn the_default_route_is_found_among_others() {
        let table = "Iface\tDestination\tGateway\tFlags\n\
            eth0\t0001A8C0\t00000000\t0001\n\
            eth0\t00000000\t0101A8C0\t0003\n";
        assert_eq!(parse_routes(table), Some(Ipv4Addr::from(0x0101_A8C0_u32.to_ne_bytes())));
        assert_eq!(parse_routes("Iface\n"), None);
    }
}
