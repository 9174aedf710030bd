//! What the core asks for, done on libp2p and the disk.
//!
//! Owns the network, the journal and the names that connect their results to the core's. Invariant: everything the core
//! wants made durable between two inputs goes to the journal as one batch, in order, before the next input is taken.
//! Driven by [`nelumbo_core::host::drain`] inside the runtime; `inputs` has the other direction.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use nelumbo_core::{
    api::{self, CommandId, Event, OperationId, PutId, RecordSequence, Refusal, Topic},
    base::Bytes,
    host::Host,
    wire::{Address, PeerId, SessionId, merge_own},
};
use tokio::sync::{broadcast, oneshot};

use crate::{
    event::NodeEvent,
    journal::{Change, Journal, JournalError},
    names,
    network::{self, GossipId, InboundRecordId, Network, Published},
};

/// At most this many gossip messages wait for a verdict; the core gives it at once, so that one is normal.
const MAX_UNJUDGED: usize = 1024;

/// A [`Host`] on libp2p and a [`Journal`], for those who drive a node themselves: [`next`](Self::next) is what to hand to
/// the node, and [`commit`](Self::commit) is to be called when the node has been drained. A [`Builder`](crate::Builder)
/// does all of that.
pub struct World {
    pub(crate) network: Network,
    pub(crate) journal: Journal,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    /// Who waits for the session that a command makes.
    pub(crate) created: HashMap<CommandId, oneshot::Sender<SessionId>>,
    changes: Vec<Change>,
    newest: u64,
    unjudged: BTreeMap<u64, GossipId>,
    gossip: u64,
    operations: u64,
}

impl World {
    /// What the core has nothing to do with is told to the listeners of `events`.
    pub fn new(network: Network, journal: Journal, events: broadcast::Sender<NodeEvent>) -> Self {
        Self {
            network,
            journal,
            events,
            created: HashMap::new(),
            changes: Vec::new(),
            newest: 0,
            unjudged: BTreeMap::new(),
            gossip: 0,
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

    /// The sequence number of the newest record that the core has handed out.
    pub(crate) fn newest_record(&self) -> u64 {
        self.newest
    }

    /// Names a gossip message for the core. `None` when too many wait; then it is ignored.
    pub(crate) fn await_verdict(&mut self, id: GossipId) -> Option<api::GossipId> {
        if self.unjudged.len() >= MAX_UNJUDGED {
            self.network.report_gossip(&id, network::Verdict::Ignore);
            return None;
        }
        self.gossip += 1;
        self.unjudged.insert(self.gossip, id);
        Some(api::GossipId(self.gossip))
    }

    /// Tells every listener. That there is none is no error.
    pub(crate) fn tell(&self, event: NodeEvent) {
        let _ = self.events.send(event);
    }

    fn operation(&mut self) -> network::OperationId {
        self.operations += 1;
        network::OperationId(self.operations)
    }
}

impl Host for World {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.newest = sequence.as_u64();
        self.changes.push((key, value));
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        if let Some(peer) = names::from_core(&to) {
            let operation = self.operation();
            self.network.send(peer, operation, bytes.to_vec());
        }
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

    fn verdict(&mut self, id: api::GossipId, verdict: api::Verdict) {
        if let Some(id) = self.unjudged.remove(&id.0) {
            let verdict = match verdict {
                api::Verdict::Accept => network::Verdict::Accept,
                api::Verdict::Ignore => network::Verdict::Ignore,
                api::Verdict::Reject => network::Verdict::Reject,
            };
            self.network.report_gossip(&id, verdict);
        }
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
        self.network.dht_get(network::OperationId(operation.0), key.as_bytes());
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
        let _stored = self.network.store_inbound(InboundRecordId(id.0), value.to_vec(), lifetime);
    }

    fn remove_record(&mut self, key: String) {
        self.network.remove_inbound(key.as_bytes());
    }

    fn reject_record(&mut self, id: PutId, refusal: Refusal) {
        self.network.refuse_inbound(InboundRecordId(id.0), refusal);
    }

    fn event(&mut self, event: Event) {
        if let Event::SessionCreated { command, session } = &event
            && let Some(waiting) = self.created.remove(command)
        {
            // Whoever asked may have stopped to wait; the event below tells everyone else.
            let _ = waiting.send(*session);
        }
        self.tell(NodeEvent::Core(event));
    }
}
