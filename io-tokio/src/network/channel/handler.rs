//! A channel on one connection.
//!
//! Owns the two streams, one each way. Invariant: at most one stream each way is read from or written to, the newest
//! that came and the one of the present epoch; a connection whose peer has sent what is no frame takes no further
//! stream. Driven by libp2p's task of the connection; [`super::Channel`] is at the other end of its events.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use libp2p::{
    StreamProtocol,
    core::upgrade::{NegotiationError, ReadyUpgrade},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, Stream, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use nelumbo_core::base::Bytes;

use super::{
    super::codec::oversized,
    BatchQueue, CHANNEL_PROTOCOL,
    frames::FrameError,
    stream::{Received, Receiving, Sending},
};

/// What the behaviour wants.
#[derive(Debug)]
pub(crate) enum ToHandler {
    /// Send these. A new epoch begins a new stream, and forgets what was not sent on the old one.
    Send { epoch: u32, messages: Vec<Bytes> },
    /// The same without messages: the stream has shown no life.
    Reset { epoch: u32 },
}

/// What the behaviour is told.
#[derive(Debug)]
pub(crate) enum FromHandler {
    /// These came in, and the peer has taken so many of those that went out, in their order. Told together, because
    /// each event costs a turn of the swarm and one of the connection.
    Moved { received: Vec<Vec<u8>>, epoch: u32, acknowledged: u32 },
    /// The stream is over, or the peer has said that it does not speak the protocol. What was not acknowledged may be
    /// lost.
    Broken { epoch: u32, is_unsupported: bool },
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Handler {
    epoch: u32,
    queue: BatchQueue,
    outbound: Outbound,
    inbound: Option<Receiving<Stream>>,
    has_sent_garbage: bool,
    events: VecDeque<FromHandler>,
}

#[derive(Debug, Default)]
enum Outbound {
    #[default]
    Closed,
    /// Asked for.
    Opening,
    Open(Sending<Stream>),
    /// Over; the behaviour begins a new epoch.
    Broken,
}

type Event = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, u32, FromHandler>;

impl Handler {
    fn begin(&mut self, epoch: u32) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.queue.clear();
            self.outbound = Outbound::Closed;
        }
    }

    /// Whether a stream of this epoch was asked for.
    fn awaits(&self, epoch: u32) -> bool {
        epoch == self.epoch && matches!(self.outbound, Outbound::Opening)
    }

    fn break_outbound(&mut self, is_unsupported: bool) {
        self.queue.clear();
        self.outbound = Outbound::Broken;
        self.events.push_back(FromHandler::Broken { epoch: self.epoch, is_unsupported });
    }

    /// Sends what is queued. How many messages the peer has taken.
    fn poll_outbound(&mut self, context: &mut Context<'_>) -> u32 {
        let Outbound::Open(sending) = &mut self.outbound else { return 0 };
        match sending.poll(context, &mut self.queue) {
            Poll::Ready(Ok(messages)) => messages,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a channel has broken");
                // The protocol is chosen together with the first message, so that a refusal comes as an error.
                self.break_outbound(error.get_ref().is_some_and(|error| error.is::<NegotiationError>()));
                0
            }
            Poll::Pending => 0,
        }
    }

    /// What has come in. `answers` says that something leaves for the other end now.
    fn poll_inbound(&mut self, context: &mut Context<'_>, answers: bool) -> Vec<Vec<u8>> {
        let Some(receiving) = &mut self.inbound else { return Vec::new() };
        match receiving.poll(context, answers) {
            Poll::Ready(Ok(Received::Messages(messages))) => return messages,
            Poll::Ready(Ok(Received::Ended)) => self.inbound = None,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a peer's channel has broken");
                self.has_sent_garbage |= error.kind() == std::io::ErrorKind::InvalidData;
                self.inbound = None;
                let fault = error.get_ref().and_then(|error| error.downcast_ref::<FrameError>());
                if matches!(fault, Some(FrameError::Oversize(_))) {
                    return vec![oversized()];
                }
            }
            Poll::Pending => {}
        }
        Vec::new()
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = FromHandler;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    /// The epoch that the stream is for.
    type OutboundOpenInfo = u32;

    fn listen_protocol(&self) -> SubstreamProtocol<ReadyUpgrade<StreamProtocol>> {
        SubstreamProtocol::new(ReadyUpgrade::new(CHANNEL_PROTOCOL), ())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if matches!(self.outbound, Outbound::Closed) && !self.queue.is_empty() {
            self.outbound = Outbound::Opening;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(CHANNEL_PROTOCOL), self.epoch);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        // Before the messages leave, so that the acknowledgements go with them.
        let answers = matches!(&self.outbound, Outbound::Open(sending) if sending.is_writing(&self.queue));
        let received = self.poll_inbound(context, answers);
        let acknowledged = self.poll_outbound(context);
        if !received.is_empty() || acknowledged > 0 {
            let event = FromHandler::Moved { received, epoch: self.epoch, acknowledged };
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: ToHandler) {
        match event {
            ToHandler::Send { epoch, messages } => {
                self.begin(epoch);
                // What comes for a stream that has just broken is with the behaviour, which is being told.
                if !matches!(self.outbound, Outbound::Broken) {
                    self.queue.extend(messages);
                }
            }
            ToHandler::Reset { epoch } => self.begin(epoch),
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, ReadyUpgrade<StreamProtocol>, ReadyUpgrade<StreamProtocol>, (), u32>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) => {
                // A new one says that the peer has given up the old one.
                self.inbound = (!self.has_sent_garbage).then(|| Receiving::new(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: epoch })
                if self.awaits(epoch) =>
            {
                self.outbound = Outbound::Open(Sending::new(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: epoch, error }) if self.awaits(epoch) => {
                self.break_outbound(matches!(error, StreamUpgradeError::NegotiationFailed));
            }
            _ => {}
        }
    }
}
