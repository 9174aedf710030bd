//! The core's outputs, performed on libp2p and the disk.
//!
//! Owns the network, the journal and the names that connect their results to the core's. Invariant: everything the core
//! wants made durable between two inputs goes to the journal as one batch, in order, before the next input is taken.
//! Driven by [`nelumbo_core::host::drain`] inside the runtime; `inputs` has the other direction.

use std::{collections::HashMap, time::Duration};

use libp2p::Multiaddr;
use nelumbo_core::{
    api::{CommandId, Event, GossipId, OperationId, PutId, RecordSequence, Refusal, SignRequest, Topic, Verdict},
    base::Bytes,
    host::Host,
    wire::{Address, PeerId, SessionId, merge_own},
};
use tokio::sync::broadcast;

use crate::{
    event::NodeEvent,
    handle::Answer,
    journal::{Change, Journal, JournalError},
    names,
    network::{Network, Published},
};

/// A [`Host`] on libp2p and a [`Journal`], for those who drive a node themselves: [`next`](Self::next) is what to hand
/// to the node, and [`commit`](Self::commit) is to be called when the node has been drained. A
/// [`Builder`](crate::Builder) does all of that.
pub struct Libp2pHost {
    pub(crate) network: Network,
    pub(crate) journal: Journal,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    /// Who waits for the session that a command makes.
    pub(crate) created: HashMap<CommandId, Answer<SessionId>>,
    /// Who waits for a connection to whom.
    pub(crate) connecting: Vec<(libp2p::PeerId, Answer<Multiaddr>)>,
    /// What the signer is asked for, since the core was last drained.
    pub(crate) requests: Vec<SignRequest>,
    changes: Vec<Change>,
    newest: u64,
    operations: u64,
}

impl Libp2pHost {
    /// What the core has nothing to do with is told to the listeners of `events`.
    pub fn new(network: Network, journal: Journal, events: broadcast::Sender<NodeEvent>) -> Self {
        Self {
            network,
            journal,
            events,
            created: HashMap::new(),
            connecting: Vec::new(),
            requests: Vec::new(),
            changes: Vec::new(),
            newest: 0,
            operations: 0,
        }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Hands what the core wants durable to the journal, whose [`Durable`](crate::journal::Durable) says when it is.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        self.journal.append(self.newest, std::mem::take(&mut self.changes))
    }

    /// What the signer is asked for, for those who drive a node themselves: hand it over once the node is drained.
    pub fn take_requests(&mut self) -> Vec<SignRequest> {
        std::mem::take(&mut self.requests)
    }

    /// The sequence number of the newest record that the core has handed out.
    pub(crate) fn newest_record(&self) -> u64 {
        self.newest
    }

    /// Sends an event to every listener. That there is none is no error.
    pub(crate) fn emit(&self, event: NodeEvent) {
        let _ = self.events.send(event);
    }

    /// Names a message or a record to store. Lookups have names from the core; their results are other events.
    fn operation(&mut self) -> OperationId {
        self.operations += 1;
        OperationId(self.operations)
    }
}

impl Host for Libp2pHost {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.newest = sequence.as_u64();
        self.changes.push((key, value));
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        if let Some(peer) = names::from_core(&to) {
            let operation = self.operation();
            self.network.send(peer, operation, bytes);
        }
    }

    fn sign(&mut self, request: SignRequest) {
        self.requests.push(request);
    }

    fn subscribe(&mut self, topic: Topic) {
        if let Err(error) = self.network.subscribe(topic.as_str()) {
            tracing::error!(topic = topic.as_str(), %error, "not subscribed");
        }
    }

    fn unsubscribe(&mut self, topic: Topic) {
        self.network.unsubscribe(topic.as_str());
    }

    fn publish(&mut self, topic: Topic, bytes: Bytes) {
        match self.network.publish(topic.as_str(), bytes.to_vec()) {
            Ok(Published::ToNeighbours) => {}
            Ok(Published::ToNobody) => tracing::debug!(topic = topic.as_str(), "nobody subscribes"),
            Err(error) => tracing::warn!(topic = topic.as_str(), %error, "not published"),
        }
    }

    fn verdict(&mut self, id: GossipId, verdict: Verdict) {
        self.network.report_gossip(id, verdict);
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Address>) {
        let Some(peer) = names::from_core(&peer) else { return };
        let addresses = self.network.admissible(names::addresses_from_core(&addresses));
        if !self.network.keep(peer, addresses.clone()) {
            tracing::warn!(%peer, "too many peers are kept; this one is dialled once only");
            self.network.dial(peer, addresses);
        }
    }

    fn release(&mut self, peer: PeerId) {
        if let Some(peer) = names::from_core(&peer) {
            self.network.release(&peer);
        }
    }

    fn ban(&mut self, peer: PeerId) {
        if let Some(peer) = names::from_core(&peer)
            && !self.network.block(peer)
        {
            // The core does not listen to it in any case.
            tracing::warn!(%peer, "too many peers are banned; this one keeps its connection");
        }
    }

    fn unban(&mut self, peer: PeerId) {
        if let Some(peer) = names::from_core(&peer) {
            self.network.unblock(peer);
        }
    }

    fn lookup(&mut self, operation: OperationId, key: String) {
        self.network.dht_get(operation, key.as_bytes());
    }

    fn store(&mut self, key: String, value: Bytes, lifetime: Duration) {
        let operation = self.operation();
        let value = match self.network.stored(key.as_bytes()) {
            Some(stored) => merge_own(&stored, &value),
            None => value.to_vec(),
        };
        self.network.dht_put(operation, key.as_bytes(), value, Some(lifetime));
    }

    fn accept_record(&mut self, id: PutId, value: Bytes, lifetime: Duration) {
        // Whether there was room is counted.
        let _stored = self.network.store_inbound(id, value.to_vec(), lifetime);
    }

    fn remove_record(&mut self, key: String) {
        self.network.remove_inbound(key.as_bytes());
    }

    fn reject_record(&mut self, id: PutId, refusal: Refusal) {
        self.network.refuse_inbound(id, refusal);
    }

    fn event(&mut self, event: Event) {
        if let Event::SessionCreated { command, session } = &event
            && let Some(waiting) = self.created.remove(command)
        {
            // Whoever asked may have stopped to wait; the event below tells everyone else.
            let _ = waiting.send(Ok(*session));
        }
        self.emit(NodeEvent::Core(event));
    }
}
