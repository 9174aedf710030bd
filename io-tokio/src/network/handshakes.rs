//! Inbound connections that are not made yet.
//!
//! Owns how many there are. Invariant: a newcomer always gets its turn. At the limit the oldest of the largest group
//! gives way: of the subnet that has most of them, and of the host there that has most. Whoever opens connections and
//! says nothing pushes out its own. Driven by libp2p's transports.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, channel::oneshot};
use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
};
use tokio::time::{Sleep, sleep};

use super::addresses::{Origin, host};

/// At most this many at a time.
pub(crate) const MAX_HANDSHAKES: usize = 64;
/// Several round trips of a bad connection. Whoever dials waits longer, because it may have to find a way first.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A transport whose inbound connections take turns.
pub(crate) struct TakingTurns<T> {
    inner: T,
    waiting: Arc<Mutex<Waiting>>,
}

impl<T> TakingTurns<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, waiting: Arc::default() }
    }
}

impl<T> Transport for TakingTurns<T>
where
    T: Transport<Error = io::Error> + Unpin,
    T::ListenerUpgrade: Unpin,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = Handshake<T::ListenerUpgrade>;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = Pin::new(&mut self.inner).poll(context);
        event.map(|event| match event {
            TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } => {
                let upgrade = Handshake::new(upgrade, self.waiting.clone(), host(&send_back_addr));
                TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr }
            }
            event => event.map_upgrade(|_| unreachable!("the only event that has one is taken above")),
        })
    }
}

/// A connection that is being made.
pub(crate) struct Handshake<F> {
    inner: F,
    waiting: Arc<Mutex<Waiting>>,
    ticket: u64,
    gives_way: oneshot::Receiver<()>,
    timeout: Pin<Box<Sleep>>,
}

impl<F> Handshake<F> {
    fn new(inner: F, waiting: Arc<Mutex<Waiting>>, host: Option<IpAddr>) -> Self {
        let (ticket, gives_way) = waiting.lock().unwrap_or_else(PoisonError::into_inner).enter(host);
        Self { inner, waiting, ticket, gives_way, timeout: Box::pin(sleep(HANDSHAKE_TIMEOUT)) }
    }
}

impl<F: Future<Output = Result<O, io::Error>> + Unpin, O> Future for Handshake<F> {
    type Output = Result<O, io::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.gives_way.poll_unpin(context).is_ready() {
            return Poll::Ready(Err(io::Error::other("others wait, and this one was slow")));
        }
        if self.timeout.poll_unpin(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.inner.poll_unpin(context)
    }
}

impl<F> Drop for Handshake<F> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).leave(self.ticket);
    }
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// The oldest first.
    open: BTreeMap<u64, (Option<IpAddr>, oneshot::Sender<()>)>,
}

impl Waiting {
    fn enter(&mut self, host: Option<IpAddr>) -> (u64, oneshot::Receiver<()>) {
        if self.open.len() >= MAX_HANDSHAKES {
            self.make_room();
        }
        let (sender, gives_way) = oneshot::channel();
        let ticket = self.next;
        self.next += 1;
        self.open.insert(ticket, (host, sender));
        (ticket, gives_way)
    }

    fn leave(&mut self, ticket: u64) {
        self.open.remove(&ticket);
    }

    fn make_room(&mut self) {
        let origins = Origin::count(self.open.values().map(|(host, _)| *host));
        let crowd = self.open.iter().rev().max_by_key(|(_, (host, _))| origins.of(*host));
        if let Some(oldest) = crowd.map(|(ticket, _)| *ticket) {
            // Dropping its sender tells it.
            self.open.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(last: [u8; 4]) -> Option<IpAddr> {
        Some(last.into())
    }

    #[test]
    fn the_oldest_of_the_crowd_gives_way_and_others_stay() {
        let mut waiting = Waiting::default();
        let (_, mut honest) = waiting.enter(host([9, 9, 9, 9]));
        let crowd: Vec<_> = (0..MAX_HANDSHAKES - 1).map(|_| waiting.enter(host([5, 5, 5, 5]))).collect();
        assert_eq!(waiting.open.len(), MAX_HANDSHAKES);
        for (at, (_, mut oldest)) in crowd.into_iter().take(20).enumerate() {
            assert_eq!(oldest.try_recv(), Ok(None), "{at}: nobody had to go for it");
            drop(waiting.enter(host([5, 5, 5, 5])));
            assert!(oldest.try_recv().is_err(), "{at}: it gives way");
        }
        assert_eq!((honest.try_recv(), waiting.open.len()), (Ok(None), MAX_HANDSHAKES));
        // Many hosts of one subnet are a crowd too, and of two hosts there the one with more.
        let mut waiting = Waiting::default();
        let (_, mut honest) = waiting.enter(host([9, 9, 9, 9]));
        let (_, mut neighbour) = waiting.enter(host([5, 5, 5, 1]));
        (2..MAX_HANDSHAKES).for_each(|at| drop(waiting.enter(host([5, 5, 5, 2 + (at % 3) as u8]))));
        (0..30).for_each(|_| drop(waiting.enter(host([7, 7, 7, 7]))));
        assert_eq!((honest.try_recv(), neighbour.try_recv()), (Ok(None), Ok(None)));
        let of = |waiting: &Waiting, wanted| waiting.open.values().filter(|(host, _)| *host == wanted).count();
        assert_eq!(of(&waiting, host([7, 7, 7, 7])), 30);
    }
}
