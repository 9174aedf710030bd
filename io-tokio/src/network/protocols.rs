//! The protocols of a connection, listed once.
//!
//! Owns a wrapper around all behaviours and their handlers. Invariant: a connection speaks what its handlers speak.
//! libp2p asks for the list of all protocols each time that a connection has been polled, and makes it anew, which for
//! a dozen behaviours costs more than what the connection was polled for. They seldom change what they list, so here
//! the list is made when the connection is, and again when the network says that it changes; a stream's protocol is
//! given to the handler that has it afterwards. Driven by libp2p's swarm.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{InboundUpgrade, UpgradeInfo},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
        SubstreamProtocol, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, InboundUpgradeSend, ListenUpgradeError, UpgradeInfoSend},
    },
};

/// After a change is announced, as many events may come to a handler before the one that changes its list.
const UNTIL_CHANGED: u16 = 256;

/// See the module's documentation.
pub(crate) struct Listed<B> {
    inner: B,
    changes: Arc<AtomicU64>,
}

impl<B> Listed<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, changes: Arc::default() }
    }

    /// A behaviour is about to tell its handlers to list other protocols.
    pub(crate) fn lists_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

impl<B> Deref for Listed<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Listed<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Listed<B> {
    type ConnectionHandler = Handler<B::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(Handler::new(inner, self.changes.clone()))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        let inner = self.inner.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(Handler::new(inner, self.changes.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(context)
    }
}

/// A name, and the stream that speaks it.
#[derive(Clone, Debug)]
pub(crate) struct Names(Arc<Vec<StreamProtocol>>);

/// Over a shared list.
#[derive(Debug)]
pub(crate) struct NamesIter {
    names: Arc<Vec<StreamProtocol>>,
    next: usize,
}

impl Iterator for NamesIter {
    type Item = StreamProtocol;

    fn next(&mut self) -> Option<StreamProtocol> {
        let name = self.names.get(self.next).cloned();
        self.next += 1;
        name
    }
}

impl UpgradeInfo for Names {
    type Info = StreamProtocol;
    type InfoIter = NamesIter;

    fn protocol_info(&self) -> NamesIter {
        NamesIter { names: self.0.clone(), next: 0 }
    }
}

impl InboundUpgrade<Stream> for Names {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, name)))
    }
}

fn list<H: ConnectionHandler>(handler: &H) -> Names {
    let names = handler.listen_protocol().upgrade().protocol_info();
    let names = names.filter_map(|name| StreamProtocol::try_from_owned(name.as_ref().to_owned()).ok());
    Names(Arc::new(names.collect()))
}

type Upgraded<H> = (
    Result<
        <<H as ConnectionHandler>::InboundProtocol as InboundUpgradeSend>::Output,
        <<H as ConnectionHandler>::InboundProtocol as InboundUpgradeSend>::Error,
    >,
    <H as ConnectionHandler>::InboundOpenInfo,
);

/// All handlers of a connection.
pub(crate) struct Handler<H: ConnectionHandler> {
    inner: H,
    names: Names,
    changes: Arc<AtomicU64>,
    /// How many changes were announced when it was looked the last time, and after how many events to stop looking.
    seen: u64,
    unsettled: u16,
    /// Streams whose handlers do more than to take them.
    upgrades: FuturesUnordered<BoxFuture<'static, Upgraded<H>>>,
}

impl<H: ConnectionHandler> Handler<H> {
    fn new(inner: H, changes: Arc<AtomicU64>) -> Self {
        let (names, seen) = (list(&inner), changes.load(Ordering::Acquire));
        Self { inner, names, changes, seen, unsettled: 0, upgrades: FuturesUnordered::new() }
    }

    fn look_for_change(&mut self) {
        let changes = self.changes.load(Ordering::Acquire);
        if changes != self.seen {
            (self.seen, self.unsettled) = (changes, UNTIL_CHANGED);
        }
        if self.unsettled > 0 {
            let names = list(&self.inner);
            let is_changed = names.0 != self.names.0;
            self.unsettled = if is_changed { 0 } else { self.unsettled - 1 };
            self.names = names;
        }
    }

    fn begin_upgrade(&mut self, stream: Stream, name: &StreamProtocol) {
        let (upgrade, info) = self.inner.listen_protocol().into_upgrade();
        let known = upgrade.protocol_info().find(|known| known.as_ref() == name.as_ref());
        // One that is gone meanwhile: the stream is dropped.
        if let Some(known) = known {
            let upgrade = upgrade.upgrade_inbound(stream, known);
            self.upgrades.push(upgrade.map(|output| (output, info)).boxed());
        }
    }

    fn on_upgraded(&mut self, (output, info): Upgraded<H>) {
        self.inner.on_connection_event(match output {
            Ok(protocol) => ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }),
            Err(error) => ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }),
        });
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Handler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = Names;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Names> {
        SubstreamProtocol::new(self.names.clone(), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<H::OutboundProtocol, H::OutboundOpenInfo, H::ToBehaviour>> {
        while let Poll::Ready(Some(upgraded)) = self.upgrades.poll_next_unpin(context) {
            self.on_upgraded(upgraded);
        }
        self.inner.poll(context)
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Option<H::ToBehaviour>> {
        self.inner.poll_close(context)
    }

    fn on_behaviour_event(&mut self, event: H::FromBehaviour) {
        self.inner.on_behaviour_event(event);
        self.look_for_change();
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Names, H::OutboundProtocol, (), H::OutboundOpenInfo>) {
        self.inner.on_connection_event(match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (stream, name), .. }) => {
                return self.begin_upgrade(stream, &name);
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { error, .. }) => match error {},
            ConnectionEvent::FullyNegotiatedOutbound(event) => ConnectionEvent::FullyNegotiatedOutbound(event),
            ConnectionEvent::AddressChange(event) => ConnectionEvent::AddressChange(event),
            ConnectionEvent::DialUpgradeError(event) => ConnectionEvent::DialUpgradeError(event),
            ConnectionEvent::LocalProtocolsChange(event) => ConnectionEvent::LocalProtocolsChange(event),
            ConnectionEvent::RemoteProtocolsChange(event) => ConnectionEvent::RemoteProtocolsChange(event),
            _ => return,
        });
    }
}
