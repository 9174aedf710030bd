//! The DHT: gets, puts, and records for others.
//!
//! Owns the requests about the DHT. Invariant: every get and put ends in exactly one event, and nothing is stored for
//! others that was not judged first. Driven by the owner of the [`Network`].

use std::time::{Duration, Instant};

use libp2p::{
    PeerId,
    kad::{self, store::RecordStore},
};
use nelumbo_core::api::{OperationId, PutId, Refusal, Subnet};

use super::{
    MAX_DHT_KEY, Network, Query,
    addresses::host,
    config::DhtMode,
    event::{DhtOutcome, DhtState, NetworkEvent},
    gossip,
};
use crate::metrics::DhtRequest;

const MAX_QUERIES: usize = 256;

impl Network {
    /// What this node does in the DHT.
    pub fn dht_mode(&self) -> DhtMode {
        self.dht_mode
    }

    /// How far the node is on its way into the DHT.
    pub fn dht_state(&self) -> DhtState {
        match self.routing_peers {
            _ if self.dht_mode == DhtMode::Off => DhtState::Stopped,
            0 if self.bootstrap.is_empty() && self.peers.len() == 0 => DhtState::Initialised,
            0 => DhtState::Bootstrapping,
            _ if self.refreshed => DhtState::Ready,
            _ => DhtState::Populating,
        }
    }

    /// Looks a record up. Ends in one [`DhtFinished`](NetworkEvent::DhtFinished), after any number of
    /// [`DhtRecord`](NetworkEvent::DhtRecord)s.
    pub fn dht_get(&mut self, operation: OperationId, key: &[u8]) {
        if self.dht_mode == DhtMode::Off || self.queries.len() >= MAX_QUERIES || key.len() > MAX_DHT_KEY {
            return self.end_get(operation, DhtOutcome::Refused, None);
        }
        let query = self.swarm.behaviour_mut().kad.get_record(kad::RecordKey::new(&key));
        self.queries.insert(query, Query::Get(operation));
    }

    pub(super) fn end_get(&mut self, operation: OperationId, outcome: DhtOutcome, took: Option<Duration>) {
        self.metrics.network.count_query(DhtRequest::Get, outcome, took);
        self.events.push_back(NetworkEvent::DhtFinished { operation, outcome });
    }

    /// Stores a record here and at the nodes nearest to its key, and publishes it again every hour until it expires.
    /// Ends in one [`DhtPutFinished`](NetworkEvent::DhtPutFinished); when no other node has it then, it is offered
    /// again after pauses that grow.
    pub fn dht_put(&mut self, operation: OperationId, key: &[u8], value: Vec<u8>, life: Option<Duration>) {
        if self.dht_mode == DhtMode::Off {
            return self.finish_put(Some(operation), DhtOutcome::Refused, None);
        }
        let key = kad::RecordKey::new(&key);
        let record = kad::Record {
            key: key.clone(),
            value,
            publisher: Some(self.local_peer()),
            expires: life.and_then(|life| Instant::now().checked_add(life)),
        };
        match self.swarm.behaviour_mut().kad.store_mut().put(record) {
            Ok(()) => self.put(Some(operation), key),
            Err(_) => self.finish_put(Some(operation), DhtOutcome::Refused, None),
        }
    }

    /// Offers a record of this node's own store to the nodes nearest to its key.
    pub(super) fn put(&mut self, operation: Option<OperationId>, key: kad::RecordKey) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let record = kad.store_mut().get(&key).map(std::borrow::Cow::into_owned);
        let Some(record) = record.filter(|record| !record.is_expired(Instant::now())) else {
            return self.republish.forget(&key);
        };
        // `All` makes the query talk to every near node; with `One` it would end at the first acknowledgement and
        // leave the others out. How many acknowledged decides about success later.
        let started =
            if self.queries.len() < MAX_QUERIES { kad.put_record(record, kad::Quorum::All).ok() } else { None };
        match started {
            Some(query) => drop(self.queries.insert(query, Query::Put(operation))),
            None => self.end_put(operation, key, DhtOutcome::Refused, None),
        }
    }

    pub(super) fn end_put(
        &mut self,
        operation: Option<OperationId>,
        key: kad::RecordKey,
        outcome: DhtOutcome,
        took: Option<Duration>,
    ) {
        match outcome {
            DhtOutcome::Completed => self.republish.forget(&key),
            _ => self.republish.on_failed(key, tokio::time::Instant::now()),
        }
        self.finish_put(operation, outcome, took);
    }

    fn finish_put(&mut self, operation: Option<OperationId>, outcome: DhtOutcome, took: Option<Duration>) {
        self.metrics.network.count_query(DhtRequest::Put, outcome, took);
        if let Some(operation) = operation {
            self.events.push_back(NetworkEvent::DhtPutFinished { operation, outcome });
        }
    }

    /// What another node has asked. Records that it puts here are judged elsewhere.
    pub(super) fn on_inbound_request(&mut self, request: kad::InboundRequest) {
        let counters = &self.metrics.network;
        match request {
            kad::InboundRequest::FindNode { .. } => counters.count_request(DhtRequest::FindNode),
            kad::InboundRequest::GetRecord { present_locally, .. } => {
                counters.count_request(DhtRequest::Get);
                counters.dht_records_served.inc_by(present_locally.into());
            }
            kad::InboundRequest::PutRecord { source, record, .. } => {
                counters.count_request(DhtRequest::Put);
                if let Some(record) = record {
                    self.on_inbound_record(source, record);
                }
            }
            _ => counters.count_request(DhtRequest::Other),
        }
    }

    /// Takes the measure of what no event tells: the records that are kept, and the meshes of gossip.
    pub(crate) fn measure(&mut self) {
        let (own, others) = self.swarm.behaviour_mut().kad.store_mut().counts();
        let (counters, gossipsub) = (&self.metrics.network, &self.swarm.behaviour().gossipsub);
        counters.set_records(own, others);
        for kind in gossip::TOPIC_KINDS {
            let topics = gossipsub.topics().filter(|topic| gossip::kind(topic.as_str()) == kind);
            counters.set_mesh(kind, topics.map(|topic| gossipsub.mesh_peers(topic).count()).sum());
        }
    }

    /// When a query has taken its time, of those that are under way.
    pub(super) fn queries_deadline(&self) -> Option<tokio::time::Instant> {
        let took = self.swarm.behaviour().kad.iter_queries().map(|query| query.stats().duration().unwrap_or_default());
        took.max().map(|longest| tokio::time::Instant::now() + self.query_timeout.saturating_sub(longest))
    }

    /// Ends queries that have taken their time, with what they have found so far: a put goes on to the near nodes that
    /// have answered by then, past one that is switched off.
    pub(super) fn end_late_queries(&mut self) {
        for mut query in self.swarm.behaviour_mut().kad.iter_queries_mut() {
            if query.stats().duration().is_some_and(|took| took >= self.query_timeout) {
                query.finish();
            }
        }
    }

    /// Removes this node's own record from its store, so that it is not published again.
    pub fn dht_remove(&mut self, key: &[u8]) {
        let key = kad::RecordKey::new(&key);
        self.swarm.behaviour_mut().kad.remove_record(&key);
        self.republish.forget(&key);
    }

    /// The value that this node's own store has under a key.
    pub fn stored(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let record = self.swarm.behaviour_mut().kad.store_mut().get(&kad::RecordKey::new(&key))?.into_owned();
        Some(record.value)
    }

    /// How many records this node's own store holds, its own and those of others.
    pub fn local_records(&mut self) -> usize {
        self.swarm.behaviour_mut().kad.store_mut().records().count()
    }

    /// Stores a record that another node sent, or what has become of it, for at most `life`. `false` when it was
    /// decided before, or there is no room.
    pub fn store_inbound(&mut self, id: PutId, value: Vec<u8>, life: Duration) -> bool {
        let Some(mut record) = self.inbound.remove(&id) else {
            return false;
        };
        record.value = value;
        let end = Instant::now().checked_add(life);
        record.expires = match (record.expires, end) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let stored = self.swarm.behaviour_mut().kad.store_mut().put(record).is_ok();
        if stored {
            self.metrics.network.records_stored.inc();
        } else {
            self.metrics.network.count_refused(Refusal::Full);
        }
        stored
    }

    /// Removes a record that is stored for others, and none of this node's own.
    pub fn remove_inbound(&mut self, key: &[u8]) {
        self.swarm.behaviour_mut().kad.store_mut().remove_foreign(&kad::RecordKey::new(&key));
    }

    /// The part of the network that a connected peer comes from; through a relay, the relay's.
    pub fn subnet(&self, peer: &PeerId) -> Option<Subnet> {
        self.peers.best(peer).and_then(|best| host(&best.address)).map(Subnet::from)
    }

    /// Does not store a record that another node sent.
    pub fn refuse_inbound(&mut self, id: PutId, refusal: Refusal) {
        if self.inbound.remove(&id).is_some() {
            self.metrics.network.count_refused(refusal);
        }
    }
}
