//! Where this node may knock.
//!
//! Owns the last look at an address before it is dialled, whichever behaviour has found it, and after its name has been
//! resolved. Invariant: an address that the address filter does not admit is dialled only when this node's own
//! configuration or owner has named its host, by its number or by a name that leads there: a stranger who says that it
//! is at an address of this network, or of this machine, learns nothing about what is there. The number of named hosts
//! is bounded. Driven by libp2p's transports.

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    multiaddr::Protocol,
};

use super::{
    addresses::{DecidedFilter, host},
    resolve::has_name,
};

const MAX_NAMED: usize = 4096;

/// What may be dialled. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct DialGuard {
    filter: DecidedFilter,
    named: Arc<Mutex<VecDeque<Host>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Number(IpAddr),
    Name(String),
}

fn host_of(address: &Multiaddr) -> Option<Host> {
    match address.iter().next()? {
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name) => {
            Some(Host::Name(name.to_lowercase()))
        }
        _ => host(address).map(Host::Number),
    }
}

impl DialGuard {
    pub(crate) fn new(filter: DecidedFilter) -> Self {
        Self { filter, named: Arc::default() }
    }

    /// The owner of this node has named these.
    pub(crate) fn name<'a>(&self, addresses: impl IntoIterator<Item = &'a Multiaddr>) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = |address: &&Multiaddr| has_name(address) || !self.filter.admits(address);
        for host in addresses.into_iter().filter(is_news).filter_map(host_of) {
            if !named.contains(&host) {
                if named.len() == MAX_NAMED {
                    named.pop_front();
                }
                named.push_back(host);
            }
        }
    }

    /// Whether the owner has named the host of this address, in these words.
    pub(crate) fn is_named(&self, address: &Multiaddr) -> bool {
        let is_named = |host| self.named.lock().unwrap_or_else(PoisonError::into_inner).contains(&host);
        host_of(address).is_some_and(is_named)
    }

    fn admits(&self, address: &Multiaddr) -> bool {
        self.filter.admits(address) || self.is_named(address)
    }
}

/// A transport behind the guard.
pub(crate) struct Guarded<T> {
    inner: T,
    guard: DialGuard,
}

impl<T> Guarded<T> {
    pub(crate) fn new(inner: T, guard: DialGuard) -> Self {
        Self { inner, guard }
    }
}

impl<T> Transport for Guarded<T>
where
    T: Transport + Unpin,
    T::Error: From<io::Error>,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        if self.guard.admits(&address) {
            return self.inner.dial(address, options);
        }
        let text = "the address is of a private network, and nobody here has named it";
        Err(TransportError::Other(io::Error::new(io::ErrorKind::PermissionDenied, text).into()))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::AddressFilter;

    #[test]
    fn private_hosts_are_called_only_when_they_were_named() {
        let address = |text: &str| text.parse::<Multiaddr>().expect("an address");
        let guard = DialGuard::new(AddressFilter::PublicOnly.decide([], []));
        let inside =
            ["/ip4/192.168.1.1/tcp/80", "/ip4/169.254.169.254/tcp/80", "/ip4/127.0.0.1/tcp/6379", "/ip6/::1/tcp/1"];
        assert!(inside.iter().all(|text| !guard.admits(&address(text))));
        assert!(guard.admits(&address("/ip4/9.9.9.9/udp/4001/quic-v1")));
        guard.name([&address("/ip4/192.168.1.1/tcp/4001")]);
        assert!(guard.admits(&address(inside[0])), "its owner knows the host");
        assert!(inside[1..].iter().all(|text| !guard.admits(&address(text))));
        for number in 0..2 * MAX_NAMED {
            guard.name([&address(&format!("/ip4/10.0.{}.{}/tcp/1", number / 256, number % 256))]);
        }
        assert_eq!(guard.named.lock().expect("whole").len(), MAX_NAMED);
        let local = DialGuard::new(AddressFilter::All.decide([], []));
        assert!(inside.iter().all(|text| local.admits(&address(text))));
    }
}
