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
#[path = "resolve_tests.rs"]
mod tests;
