//! Direct messages on their way out.
//!
//! Owns the queue in front of libp2p's request-response. Invariant: at most [`MAX_IN_FLIGHT`] messages per peer are on
//! the wire, the rest waits in order; number and bytes of what waits are bounded per peer and in total; every message
//! taken in leaves exactly once, acknowledged or failed. Driven by [`super::Network`].

use std::collections::{HashMap, VecDeque};

use libp2p::{PeerId, request_response::OutboundRequestId};
use nelumbo_core::api::OperationId;

use super::{codec::MAX_DIRECT_MESSAGE, event::DirectFailure};

/// JavaScript accepts 32 streams per protocol and connection, some of which it closes late.
pub(crate) const MAX_IN_FLIGHT: usize = 28;
const MAX_PER_PEER: usize = 1024;
const MAX_BYTES_PER_PEER: usize = 8 * 1024 * 1024;
const MAX_IN_TOTAL: usize = 8192;
const MAX_BYTES_IN_TOTAL: usize = 64 * 1024 * 1024;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct DirectQueue {
    peers: HashMap<PeerId, Waiting>,
    in_flight: HashMap<OutboundRequestId, (OperationId, PeerId)>,
    messages: usize,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(OperationId, Vec<u8>)>,
    bytes: usize,
    in_flight: usize,
}

impl DirectQueue {
    /// Takes a message in, or says why not.
    pub(crate) fn push(&mut self, peer: PeerId, operation: OperationId, message: Vec<u8>) -> Result<(), DirectFailure> {
        if message.is_empty() || message.len() > MAX_DIRECT_MESSAGE {
            return Err(DirectFailure::Size);
        }
        let in_total = self.messages + self.in_flight.len();
        if in_total >= MAX_IN_TOTAL || self.bytes + message.len() > MAX_BYTES_IN_TOTAL {
            return Err(DirectFailure::Backlog);
        }
        let waiting = self.peers.entry(peer).or_default();
        if waiting.messages.len() >= MAX_PER_PEER || waiting.bytes + message.len() > MAX_BYTES_PER_PEER {
            return Err(DirectFailure::Backlog);
        }
        waiting.bytes += message.len();
        self.bytes += message.len();
        self.messages += 1;
        waiting.messages.push_back((operation, message));
        Ok(())
    }

    /// The next message that may go out to a connected peer. It must be handed to [`started`](Self::started).
    pub(crate) fn pop(&mut self, peer: &PeerId) -> Option<(OperationId, Vec<u8>)> {
        let waiting = self.peers.get_mut(peer).filter(|waiting| waiting.in_flight < MAX_IN_FLIGHT)?;
        let (operation, message) = waiting.messages.pop_front()?;
        waiting.bytes -= message.len();
        waiting.in_flight += 1;
        self.bytes -= message.len();
        self.messages -= 1;
        Some((operation, message))
    }

    pub(crate) fn started(&mut self, request: OutboundRequestId, operation: OperationId, peer: PeerId) {
        self.in_flight.insert(request, (operation, peer));
    }

    /// A message on the wire was acknowledged or failed.
    pub(crate) fn finished(&mut self, request: OutboundRequestId) -> Option<(OperationId, PeerId)> {
        let (operation, peer) = self.in_flight.remove(&request)?;
        if let Some(waiting) = self.peers.get_mut(&peer) {
            waiting.in_flight -= 1;
            if waiting.in_flight == 0 && waiting.messages.is_empty() {
                self.peers.remove(&peer);
            }
        }
        Some((operation, peer))
    }

    /// Gives up on what waits for a peer; what is on the wire ends by itself.
    pub(crate) fn give_up(&mut self, peer: &PeerId) -> Vec<OperationId> {
        let Some(waiting) = self.peers.get_mut(peer) else {
            return Vec::new();
        };
        let operations: Vec<_> = waiting.messages.drain(..).map(|(operation, _)| operation).collect();
        self.messages -= operations.len();
        self.bytes -= std::mem::take(&mut waiting.bytes);
        if waiting.in_flight == 0 {
            self.peers.remove(peer);
        }
        operations
    }

    /// How many messages wait or are on the wire.
    pub(crate) fn len(&self) -> usize {
        self.messages + self.in_flight.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_a_bounded_number_at_a_time_and_in_order() {
        let (mut queue, peer) = (DirectQueue::default(), PeerId::random());
        for operation in 0..40 {
            queue.push(peer, OperationId(operation), vec![0; 9]).expect("room");
        }
        let sent: Vec<_> = std::iter::from_fn(|| queue.pop(&peer)).map(|(operation, _)| operation.0).collect();
        assert_eq!(sent, (0..MAX_IN_FLIGHT as u64).collect::<Vec<_>>());
    }

    #[test]
    fn number_and_bytes_are_bounded_per_peer_and_in_total() {
        let mut queue = DirectQueue::default();
        let mut accepted = 0;
        for _ in 0..20 {
            let peer = PeerId::random();
            while queue.push(peer, OperationId(0), vec![0; 1]).is_ok() {
                accepted += 1;
            }
        }
        assert_eq!(accepted, MAX_IN_TOTAL);

        let (mut queue, peer) = (DirectQueue::default(), PeerId::random());
        while queue.push(peer, OperationId(0), vec![0; MAX_DIRECT_MESSAGE]).is_ok() {}
        assert!(queue.bytes <= MAX_BYTES_PER_PEER);
        assert_eq!(queue.push(peer, OperationId(0), Vec::new()), Err(DirectFailure::Size));
        assert_eq!(queue.push(peer, OperationId(0), vec![0; MAX_DIRECT_MESSAGE + 1]), Err(DirectFailure::Size));
    }

    #[test]
    fn giving_up_returns_what_waits_and_frees_its_room() {
        let (mut queue, peer) = (DirectQueue::default(), PeerId::random());
        for operation in 0..3 {
            queue.push(peer, OperationId(operation), vec![0; 9]).expect("room");
        }
        queue.pop(&peer).expect("the first");
        assert_eq!(queue.give_up(&peer), [OperationId(1), OperationId(2)]);
        assert_eq!((queue.bytes, queue.messages), (0, 0));
        assert!(queue.give_up(&PeerId::random()).is_empty());
    }
}
