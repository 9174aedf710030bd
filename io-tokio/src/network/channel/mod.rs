//! Direct messages on streams that stay.
//!
//! Owns the protocol [`CHANNEL_PROTOCOL`]: on the best connection to a peer one stream each way, opened by the sender
//! at its first message, that carries [frames](frames) and the [acknowledgements](stream) of what the application has
//! taken. Invariant: a message that was not acknowledged is sent again when its stream or connection is gone, as long
//! as there is another; what waits and what is on its way is bounded by [`DirectQueue`], and what comes in is read
//! only as fast as the application takes it. A peer that does not speak the protocol gets one stream for each message
//! ([`OneShot`](super::codec::OneShot)). Driven by libp2p's swarm.

mod frames;
mod handler;
mod stream;
#[cfg(test)]
mod stream_tests;

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, ToSwarm,
        behaviour::ConnectionEstablished,
    },
};
use nelumbo_core::{api::OperationId, base::Bytes};
use tokio::time::{Instant, Sleep, sleep_until};

use self::handler::{FromHandler, Handler, ToHandler};
use super::{
    direct::{Action, DirectQueue},
    event::DirectFailure,
};

/// The protocol of direct messages that share a stream.
pub const CHANNEL_PROTOCOL: StreamProtocol = StreamProtocol::new("/nelumbo/channel/1.0.0");

/// Messages on their way to one stream.
type BatchQueue = VecDeque<Bytes>;

/// What became of messages.
#[derive(Debug)]
pub(crate) enum Event {
    /// These came in, and the peer's application has those.
    Moved { peer: PeerId, received: Vec<Vec<u8>>, sent: Vec<OperationId> },
    /// This one may be lost.
    Failed { peer: PeerId, operation: OperationId, failure: DirectFailure },
    /// This one goes on a stream of its own; [`Channel::one_shot_ended`] is to be told.
    OneShot { peer: PeerId, operation: OperationId, message: Bytes },
}

/// See the module's documentation.
pub(crate) struct Channel {
    queue: DirectQueue,
    events: VecDeque<Event>,
    alarm: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Channel {
    /// Gives up on a message that was not acknowledged within this time.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { queue: DirectQueue::new(timeout), events: VecDeque::new(), alarm: None }
    }

    /// Takes a message in, for a peer that is connected or being dialled, or says why not.
    pub(crate) fn send(&mut self, peer: PeerId, operation: OperationId, message: Bytes) -> Result<(), DirectFailure> {
        self.queue.push(peer, operation, message)
    }

    /// The peer has said which protocols it speaks.
    pub(crate) fn on_identified(&mut self, peer: &PeerId, protocols: &[StreamProtocol]) {
        self.queue.on_speaks(peer, protocols.contains(&CHANNEL_PROTOCOL));
    }

    /// A message on a stream of its own has arrived, or failed.
    pub(crate) fn one_shot_ended(&mut self, peer: &PeerId) {
        self.queue.on_one_shot_ended(peer);
    }

    /// Forgets what has not been acknowledged by a peer.
    pub(crate) fn give_up(&mut self, peer: &PeerId) -> Vec<OperationId> {
        self.queue.give_up(peer)
    }

    /// Whether something waits for a peer.
    pub(crate) fn has_waiting(&self, peer: &PeerId) -> bool {
        self.queue.has_waiting(peer)
    }

    /// How many messages wait or are on their way.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    fn poll_alarm(&mut self, context: &mut Context<'_>) {
        while let Some(at) = self.queue.deadline() {
            let (set, alarm) = self.alarm.get_or_insert_with(|| (at, Box::pin(sleep_until(at))));
            if *set != at {
                *set = at;
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(context).is_pending() {
                break;
            }
            self.queue.due(at);
        }
    }
}

impl NetworkBehaviour for Channel {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                self.queue.on_connected(peer_id, connection_id, endpoint.is_relayed(), Instant::now());
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.queue.on_disconnected(&peer_id, connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: FromHandler) {
        match event {
            FromHandler::Moved { received, epoch, acknowledged } => {
                if !received.is_empty() {
                    self.queue.on_speaks(&peer, true);
                }
                let sent = match acknowledged {
                    0 => Vec::new(),
                    _ => self.queue.on_acknowledged(&peer, connection, epoch, acknowledged, Instant::now()),
                };
                if !received.is_empty() || !sent.is_empty() {
                    self.events.push_back(Event::Moved { peer, received, sent });
                }
            }
            FromHandler::Broken { epoch, is_unsupported } => {
                self.queue.on_broken(&peer, connection, epoch, is_unsupported);
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Event, ToHandler>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        let notify = |peer_id, connection, event| {
            Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event })
        };
        if let Some(action) = self.queue.next(Instant::now()) {
            return match action {
                Action::Send { peer, connection, epoch, messages } => {
                    notify(peer, connection, ToHandler::Send { epoch, messages })
                }
                Action::Reset { peer, connection, epoch } => notify(peer, connection, ToHandler::Reset { epoch }),
                Action::OneShot { peer, operation, message } => {
                    Poll::Ready(ToSwarm::GenerateEvent(Event::OneShot { peer, operation, message }))
                }
                Action::Failed { peer, operation, failure } => {
                    Poll::Ready(ToSwarm::GenerateEvent(Event::Failed { peer, operation, failure }))
                }
            };
        }
        self.poll_alarm(context);
        if self.queue.has_actions() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
