//! Behaviours that are polled when they have a reason.
//!
//! Owns wrappers around a behaviour and its handlers, and around a multiplexer. Invariant: it is polled again whenever
//! its waker was woken, it was told or asked something, or it had something to say the last time; and not otherwise.
//! libp2p polls every behaviour after each event of the swarm, and every handler of a connection after each of that
//! connection: a dozen for each message, of which one has something to do. Driven by libp2p's swarm.

use std::{
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, StreamMuxer, muxing::StreamMuxerEvent, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, handler::ConnectionEvent,
    },
};

/// What can be wrapped: a behaviour, or one with a sieve in front of what the swarm tells it.
pub(crate) trait Part {
    /// The behaviour.
    type Behaviour: NetworkBehaviour;

    /// What everything goes to but what is sifted.
    fn behaviour(&mut self) -> &mut Self::Behaviour;

    /// The swarm tells something.
    fn sift(&mut self, event: FromSwarm<'_>);
}

impl<B: NetworkBehaviour> Part for B {
    type Behaviour = B;

    fn behaviour(&mut self) -> &mut B {
        self
    }

    fn sift(&mut self, event: FromSwarm<'_>) {
        self.on_swarm_event(event);
    }
}

/// See the module's documentation.
pub(crate) struct Woken<P> {
    inner: P,
    reason: Reason,
}

impl<P> Woken<P> {
    pub(crate) fn new(inner: P) -> Self {
        Self { inner, reason: Reason::default() }
    }

    fn told(&mut self) -> &mut P {
        self.reason.give();
        &mut self.inner
    }
}

impl<P> From<P> for Woken<P> {
    fn from(inner: P) -> Self {
        Self::new(inner)
    }
}

impl<P> Deref for Woken<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.inner
    }
}

impl<P> DerefMut for Woken<P> {
    fn deref_mut(&mut self) -> &mut P {
        self.told()
    }
}

impl<P: Part + 'static> NetworkBehaviour for Woken<P> {
    type ConnectionHandler = Handler<THandler<P::Behaviour>>;
    type ToSwarm = <P::Behaviour as NetworkBehaviour>::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.told().behaviour().handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        self.told().behaviour().handle_established_inbound_connection(connection, peer, local, remote).map(Handler::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.told().behaviour().handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        self.told()
            .behaviour()
            .handle_established_outbound_connection(connection, peer, address, role, port)
            .map(Handler::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.told().sift(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.told().behaviour().on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let Self { inner, reason } = self;
        reason.poll(0, context, |context| inner.behaviour().poll(context))
    }
}

/// A connection's part.
pub(crate) struct Handler<H> {
    inner: H,
    reason: Reason,
}

impl<H> Handler<H> {
    fn new(inner: H) -> Self {
        Self { inner, reason: Reason::default() }
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Handler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<H::InboundProtocol, H::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<H::OutboundProtocol, H::OutboundOpenInfo, H::ToBehaviour>> {
        let Self { inner, reason } = self;
        reason.poll(0, context, |context| inner.poll(context))
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Option<H::ToBehaviour>> {
        self.inner.poll_close(context)
    }

    fn on_behaviour_event(&mut self, event: H::FromBehaviour) {
        self.reason.give();
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, H::InboundProtocol, H::OutboundProtocol, H::InboundOpenInfo, H::OutboundOpenInfo>,
    ) {
        self.reason.give();
        self.inner.on_connection_event(event);
    }
}

/// A multiplexer that drives its connection whichever of two questions it is asked, as yamux does: libp2p asks both
/// each time that the connection is polled.
pub(crate) struct WokenMuxer<M> {
    inner: M,
    reason: Reason<2>,
}

const EVENT: usize = 0;
const INBOUND: usize = 1;

impl<M> WokenMuxer<M> {
    pub(crate) fn new(inner: M) -> Self {
        Self { inner, reason: Reason::default() }
    }
}

impl<M: StreamMuxer + Unpin> StreamMuxer for WokenMuxer<M> {
    type Substream = M::Substream;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        let Self { inner, reason } = &mut *self;
        reason.poll(INBOUND, context, |context| Pin::new(inner).poll_inbound(context))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<M::Substream, M::Error>> {
        let opened = Pin::new(&mut self.inner).poll_outbound(context);
        // What is written to a new stream is found when the connection is polled the next time.
        if opened.is_ready() {
            self.reason.give();
        }
        opened
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        Pin::new(&mut self.inner).poll_close(context)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        let Self { inner, reason } = &mut *self;
        reason.poll(EVENT, context, |context| Pin::new(inner).poll(context))
    }
}

/// Whether there is a reason to poll, for each of as many questions as one waker is for.
struct Reason<const QUESTIONS: usize = 1> {
    wakeup: Arc<Wakeup<QUESTIONS>>,
    /// The same, as the one that is polled gets it.
    waker: Waker,
    /// Whoever polled the last time, so that it need not be told again who that is.
    task: Option<Waker>,
}

struct Wakeup<const QUESTIONS: usize> {
    is_due: [AtomicBool; QUESTIONS],
    task: Mutex<Option<Waker>>,
}

impl<const QUESTIONS: usize> Wakeup<QUESTIONS> {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self) {
        // Read and written in one, as below: either the task that polls sees this, or this sees the task.
        for is_due in &self.is_due {
            let _ = is_due.swap(true, Ordering::AcqRel);
        }
    }
}

impl<const QUESTIONS: usize> Wake for Wakeup<QUESTIONS> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.give();
        let task = self.task().clone();
        task.iter().for_each(Waker::wake_by_ref);
    }
}

impl<const QUESTIONS: usize> Default for Reason<QUESTIONS> {
    fn default() -> Self {
        let is_due = [const { AtomicBool::new(true) }; QUESTIONS];
        let wakeup = Arc::new(Wakeup { is_due, task: Mutex::default() });
        Self { waker: wakeup.clone().into(), wakeup, task: None }
    }
}

impl<const QUESTIONS: usize> Reason<QUESTIONS> {
    fn give(&self) {
        self.wakeup.give();
    }

    fn poll<T>(
        &mut self,
        question: usize,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let is_due = &self.wakeup.is_due[question];
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.task = Some(context.waker().clone());
            *self.wakeup.task() = self.task.clone();
        } else if !is_due.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        if !is_due.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.give();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn nothing_is_polled_without_a_reason_and_no_reason_is_missed() {
        let (mut reason, polls, stored) = (Reason::<1>::default(), Cell::new(0), Cell::new(None));
        let poll = |reason: &mut Reason, answer: Poll<()>| {
            reason.poll(0, &mut Context::from_waker(Waker::noop()), |context| {
                polls.set(polls.get() + 1);
                stored.set(Some(context.waker().clone()));
                answer
            })
        };
        // The first time, and again after an answer, until there is none.
        assert!(poll(&mut reason, Poll::Ready(())).is_ready() && poll(&mut reason, Poll::Ready(())).is_ready());
        assert!(poll(&mut reason, Poll::Pending).is_pending() && poll(&mut reason, Poll::Ready(())).is_pending());
        assert_eq!(polls.get(), 3);
        // Woken from outside.
        stored.take().expect("it was given one").wake();
        assert!(poll(&mut reason, Poll::Ready(())).is_ready() && poll(&mut reason, Poll::Pending).is_pending());
        assert_eq!((poll(&mut reason, Poll::Ready(())), polls.get()), (Poll::Pending, 5));
        // Told something.
        reason.give();
        assert!(poll(&mut reason, Poll::Ready(())).is_ready());
    }

    #[test]
    fn a_wake_up_reaches_the_task_that_polls() {
        struct Counts(AtomicBool);
        impl Wake for Counts {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (mut reason, task) = (Reason::<1>::default(), Arc::new(Counts(AtomicBool::new(false))));
        let waker = task.clone().into();
        assert!(reason.poll(0, &mut Context::from_waker(&waker), |_| Poll::<()>::Pending).is_pending());
        reason.waker.wake_by_ref();
        assert!(task.0.load(Ordering::SeqCst));
    }
}
