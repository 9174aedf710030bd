//! Behaviours that can be switched off.
//!
//! Owns a wrapper around a behaviour. Invariant: one that is off is told nothing and says nothing, and no connection
//! has a handler of it, so that to other nodes it is not there; what it is asked by this node it answers as if nobody
//! else were. Driven by libp2p's swarm.

use std::{
    ops::{Deref, DerefMut},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, derive_prelude::Either, dummy,
    },
};

/// See the module's documentation.
pub(crate) struct Switch<B> {
    inner: B,
    is_on: bool,
}

impl<B> Switch<B> {
    pub(crate) fn new(inner: B, is_on: bool) -> Self {
        Self { inner, is_on }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }
}

impl<B> Deref for Switch<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B> DerefMut for Switch<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

/// Neither of the two behaviours that are wrapped has anything to say about a connection before it is there.
impl<B: NetworkBehaviour> NetworkBehaviour for Switch<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        if !self.is_on {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_inbound_connection(connection, peer, local, remote).map(Either::Left)
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
        if !self.is_on {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port).map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if self.is_on {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if self.is_on { self.inner.poll(context).map(|event| event.map_in(Either::Left)) } else { Poll::Pending }
    }
}
