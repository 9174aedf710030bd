//! Which addresses are told to others, and which are believed.
//!
//! Owns the classification of multiaddrs and the filter built on it. Invariant: a node that is reachable from outside
//! neither advertises nor stores loopback or private addresses; a node that listens on loopback only keeps them all,
//! and one in a private network those of its subnets. An address in this process's memory counts as loopback.
//! Decided from parsed multiaddrs, never from their text. Driven by [`super::Network`].

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, PoisonError, RwLock},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use nelumbo_core::api::Subnet;

/// Which addresses a node advertises and puts into its routing table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFilter {
    /// [`All`](Self::All) when every listener is bound to loopback, otherwise [`PublicOnly`](Self::PublicOnly).
    #[default]
    Automatic,
    /// Every address: for tests and for networks that live behind one router.
    All,
    /// Only addresses that are reachable from the whole internet.
    PublicOnly,
}

/// An [`AddressFilter`] whose automatic case has been decided. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct DecidedFilter {
    private: bool,
    /// Subnets of the private network that the node is in.
    near: Arc<RwLock<HashSet<Subnet>>>,
}

impl AddressFilter {
    /// Decides the automatic case from what the node listens on, or, if it does not listen, from whom it joins.
    pub(crate) fn decide<'a>(
        self,
        listen: impl IntoIterator<Item = &'a Multiaddr>,
        bootstrap: impl IntoIterator<Item = &'a Multiaddr>,
    ) -> DecidedFilter {
        let private = match self {
            Self::All => true,
            Self::PublicOnly => false,
            Self::Automatic => all_loopback(listen).or_else(|| all_loopback(bootstrap)).unwrap_or(false),
        };
        DecidedFilter { private, near: Arc::default() }
    }
}

impl DecidedFilter {
    /// Whether the node is for this machine, or this network, alone.
    pub(crate) fn is_local(&self) -> bool {
        self.private
    }

    /// Whether this address may be advertised and stored.
    pub(crate) fn admits(&self, address: &Multiaddr) -> bool {
        self.is_for_all(address) || self.is_near(address)
    }

    /// The same whatever network the node is in now.
    pub(crate) fn is_for_all(&self, address: &Multiaddr) -> bool {
        self.private || is_public(address)
    }

    fn is_near(&self, address: &Multiaddr) -> bool {
        let near = self.near.read().unwrap_or_else(PoisonError::into_inner);
        leading_host(address).filter(is_private).is_some_and(|host| near.contains(&host.into()))
    }

    /// These are the private subnets that the node is in now; what was admitted because of others is not any more.
    pub(crate) fn come_near(&self, subnets: HashSet<Subnet>) {
        *self.near.write().unwrap_or_else(PoisonError::into_inner) = subnets;
    }

    /// The admitted ones of a peer's addresses, without duplicates and at most `most`.
    pub(crate) fn select(&self, addresses: impl IntoIterator<Item = Multiaddr>, most: usize) -> Vec<Multiaddr> {
        let mut selected = Vec::new();
        for address in addresses {
            if selected.len() == most {
                break;
            }
            if self.admits(&address) && !selected.contains(&address) {
                selected.push(address);
            }
        }
        selected
    }
}

/// The peer an address ends with, and the address without it.
pub(crate) fn split_peer(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut transport = address.clone();
    match transport.pop() {
        Some(Protocol::P2p(peer)) => Some((peer, transport)),
        _ => None,
    }
}

/// `None` for an empty list, so that a caller can ask the next one.
fn all_loopback<'a>(addresses: impl IntoIterator<Item = &'a Multiaddr>) -> Option<bool> {
    let mut addresses = addresses.into_iter().peekable();
    addresses.peek()?;
    Some(addresses.all(is_loopback))
}

/// Whether an address leads through a relay.
pub(crate) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The host that an address names by a number.
pub(crate) fn host(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

/// The host that an address begins with, which is the one that is called.
fn leading_host(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Whether a host is one of a private network: neither on the internet, nor this machine, nor on one link alone.
pub(crate) fn is_private(host: &IpAddr) -> bool {
    match host.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// How many come from where: from each subnet, and from each host.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    subnets: HashMap<Option<Subnet>, usize>,
    hosts: HashMap<Option<IpAddr>, usize>,
}

impl Origin {
    /// `None` stands for all whose host is not known.
    pub(crate) fn count(hosts: impl IntoIterator<Item = Option<IpAddr>>) -> Self {
        let mut origins = Self::default();
        for host in hosts {
            *origins.subnets.entry(host.map(Subnet::from)).or_default() += 1;
            *origins.hosts.entry(host).or_default() += 1;
        }
        origins
    }

    /// How many come from the subnet of this host, and from the host itself. Comparable: more is more of a crowd.
    pub(crate) fn of(&self, host: Option<IpAddr>) -> (usize, usize) {
        let subnet = self.subnets.get(&host.map(Subnet::from));
        (subnet.copied().unwrap_or_default(), self.hosts.get(&host).copied().unwrap_or_default())
    }
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => is_local_name(&name),
        Some(Protocol::Memory(_)) => true,
        _ => false,
    }
}

fn is_public(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => is_public_v4(ip),
        Some(Protocol::Ip6(ip)) => is_public_v6(ip),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name)) => {
            !is_local_name(&name)
        }
        _ => false,
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    matches!(last, "localhost" | "local" | "internal" | "lan")
}

/// The ranges that IANA lists as not globally reachable; the standard library's own list is not stable yet.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (b == 18 || b == 19))
        || (a == 192 && b == 0 && c == 0))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return is_public_v4(ip);
    }
    let [first, second, ..] = ip.segments();
    !(ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || (first == 0x2001 && second == 0x0db8)
        || (first == 0x0100 && second == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddr")
    }

    #[test]
    fn public_and_other_addresses_are_told_apart() {
        for text in [
            "/ip4/1.1.1.1/tcp/4001",
            "/ip6/2606:4700::1111/udp/4001/quic-v1",
            "/dns4/bootstrap.example.org/tcp/443/wss",
            "/ip4/9.9.9.9/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
        ] {
            assert!(is_public(&address(text)), "{text}");
        }
        for text in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/172.20.0.1/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/169.254.1.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::ffff:10.0.0.1/tcp/1",
            "/dns4/localhost/tcp/1",
            "/dns4/printer.local/tcp/1",
            "/memory/7",
        ] {
            assert!(!is_public(&address(text)), "{text}");
        }
    }

    #[test]
    fn loopback_listeners_keep_private_addresses_and_others_do_not() {
        let loopback = address("/ip4/127.0.0.1/tcp/4001");
        let wildcard = address("/ip4/0.0.0.0/tcp/4001");
        let lan = address("/ip4/192.168.1.1/tcp/4001");
        let memory = address("/memory/7");
        let none: [&Multiaddr; 0] = [];
        assert!(AddressFilter::Automatic.decide([&loopback], none).admits(&lan));
        assert!(AddressFilter::Automatic.decide([&memory, &loopback], none).admits(&memory));
        assert!(!AddressFilter::Automatic.decide([&wildcard], none).admits(&memory));
        assert!(!AddressFilter::Automatic.decide([&loopback, &wildcard], none).admits(&lan));
        assert!(AddressFilter::Automatic.decide(none, [&loopback]).admits(&loopback));
        assert!(!AddressFilter::Automatic.decide(none, none).admits(&loopback));
        assert!(!AddressFilter::PublicOnly.decide([&loopback], none).admits(&loopback));
        assert!(AddressFilter::All.decide([&wildcard], none).admits(&lan));
    }

    #[test]
    fn in_a_private_network_its_subnets_are_admitted_and_nothing_else_that_is_private() {
        let filter = AddressFilter::Automatic.decide([&address("/ip4/0.0.0.0/tcp/4001")], []);
        let (inside, guard) = (address("/ip4/10.0.0.7/tcp/4001"), filter.clone());
        assert!(!guard.admits(&inside));
        let subnets = ["10.0.0.1", "169.254.169.254", "127.0.0.1", "fe80::1"];
        filter.come_near(subnets.iter().map(|host| host.parse::<IpAddr>().expect("a host").into()).collect());
        assert!(guard.admits(&inside) && !guard.is_for_all(&inside));
        let elsewhere = [
            "/ip4/10.0.1.7/tcp/1",
            "/ip4/192.168.1.1/tcp/80",
            "/ip4/127.0.0.1/tcp/6379",
            "/ip4/169.254.169.254/tcp/80",
            "/ip6/fe80::1/tcp/1",
            "/dns4/printer.local/tcp/1",
        ];
        assert!(elsewhere.iter().all(|text| !guard.admits(&address(text))));
        filter.come_near(HashSet::new());
        assert!(!guard.admits(&inside));
    }

    #[test]
    fn a_selection_is_bounded_and_has_no_duplicates() {
        let filter = AddressFilter::All.decide([], []);
        let addresses = (0..9).map(|port| address(&format!("/ip4/10.0.0.1/tcp/{}", port / 2)));
        assert_eq!(filter.select(addresses.clone(), 3).len(), 3);
        assert_eq!(filter.select(addresses, 99).len(), 5);
    }
}
