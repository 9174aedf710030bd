//! Counters of a running node, for Prometheus.
//!
//! Owns the registry, libp2p's own metrics and the node's. Invariant: no label holds anything a peer chose, so that the
//! number of time series is bounded. Recorded by the network, the journal and the runtime; read through
//! [`Metrics::encode`].

use std::{fmt, sync::Arc, time::Duration};

use libp2p::metrics::Metrics as SwarmMetrics;
use prometheus_client::{
    encoding::text,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use nelumbo_core::api::{Refusal, Verdict};

use crate::network::{DhtOutcome, TOPIC_KINDS};

/// What a metric is told apart by: one word of ours, or two.
type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];

/// A cheap handle on all counters of one node.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    swarm: Arc<SwarmMetrics>,
    pub(crate) network: NetworkCounters,
    pub(crate) journal: JournalCounters,
}

/// What the network counts.
#[derive(Clone, Debug)]
pub(crate) struct NetworkCounters {
    pub(crate) connected_peers: Gauge,
    pub(crate) gave_way: Counter,
    pub(crate) direct_received: Counter,
    pub(crate) direct_sent: Counter,
    pub(crate) direct_failed: Counter,
    gossip_received: Family<One, Counter>,
    gossip_judged: Family<Two, Counter>,
    gossip_published: Family<One, Counter>,
    gossip_mesh: Family<One, Gauge>,
    dht_queries: Family<Two, Counter>,
    dht_query_seconds: Family<One, Histogram, fn() -> Histogram>,
    dht_requests: Family<One, Counter>,
    dht_records: Family<One, Gauge>,
    pub(crate) dht_records_served: Counter,
    pub(crate) records_stored: Counter,
    records_refused: Family<[(&'static str, String); 1], Counter>,
    pub(crate) routing_peers: Gauge,
}

/// What is asked of the DHT, here or by others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DhtRequest {
    Get,
    Put,
    /// The nodes nearest to a key; of this node's own it is the refresh of its routing table.
    FindNode,
    /// Nothing that this node serves.
    Other,
}

impl DhtRequest {
    const ALL: [Self; 4] = [Self::Get, Self::Put, Self::FindNode, Self::Other];

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::FindNode => "find-node",
            Self::Other => "other",
        }
    }
}

const fn outcome_name(outcome: DhtOutcome) -> &'static str {
    match outcome {
        DhtOutcome::Completed => "completed",
        DhtOutcome::NotFound => "not-found",
        DhtOutcome::TimedOut => "timed-out",
        DhtOutcome::NotAcknowledged => "not-acknowledged",
        DhtOutcome::Refused => "refused",
    }
}

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accept",
        Verdict::Ignore => "ignore",
        Verdict::Reject => "reject",
    }
}

/// A refusal's name, as it stands in JSON and in other metrics.
fn refusal_name(refusal: Refusal) -> String {
    let mut name = String::new();
    for letter in format!("{refusal:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// What the journal counts.
#[derive(Clone, Debug)]
pub(crate) struct JournalCounters {
    pub(crate) batches: Counter,
    pub(crate) commits: Counter,
    pub(crate) commit_seconds: Histogram,
}

impl Default for JournalCounters {
    fn default() -> Self {
        Self {
            batches: Counter::default(),
            commits: Counter::default(),
            // From 50 microseconds to 1.6 seconds.
            commit_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
        }
    }
}

impl Metrics {
    /// Counters that all stand at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let swarm = Arc::new(SwarmMetrics::new(&mut registry));
        let (network, journal) = (NetworkCounters::default(), JournalCounters::default());
        network.register(registry.sub_registry_with_prefix("nelumbo_network"));
        journal.register(registry.sub_registry_with_prefix("nelumbo_journal"));
        Self { registry: Arc::new(registry), swarm, network, journal }
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Encoding into a string fails only if a metric's own encoding does, and then what came before is still true.
        if let Err(error) = text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "metrics could not be encoded");
        }
        text
    }

    pub(crate) fn swarm(&self) -> &SwarmMetrics {
        &self.swarm
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What can be named before is there from the start, so that the first of its kind is an increase.
impl Default for NetworkCounters {
    fn default() -> Self {
        let counters = Self {
            connected_peers: Gauge::default(),
            gave_way: Counter::default(),
            direct_received: Counter::default(),
            direct_sent: Counter::default(),
            direct_failed: Counter::default(),
            gossip_received: Family::default(),
            gossip_judged: Family::default(),
            gossip_published: Family::default(),
            gossip_mesh: Family::default(),
            dht_queries: Family::default(),
            // From 5 milliseconds to 10 seconds.
            dht_query_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 12))),
            dht_requests: Family::default(),
            dht_records: Family::default(),
            dht_records_served: Counter::default(),
            records_stored: Counter::default(),
            records_refused: Family::default(),
            routing_peers: Gauge::default(),
        };
        for topic in TOPIC_KINDS {
            drop(counters.gossip_received.get_or_create(&[("topic", topic)]));
            drop(counters.gossip_published.get_or_create(&[("topic", topic)]));
            for verdict in [Verdict::Accept, Verdict::Ignore, Verdict::Reject] {
                drop(counters.gossip_judged.get_or_create(&[("topic", topic), ("verdict", verdict_name(verdict))]));
            }
            counters.set_mesh(topic, 0);
        }
        for (query, outcomes) in [
            (DhtRequest::Get, &[DhtOutcome::Completed, DhtOutcome::NotFound][..]),
            (DhtRequest::Put, &[DhtOutcome::Completed, DhtOutcome::NotAcknowledged]),
            (DhtRequest::FindNode, &[DhtOutcome::Completed]),
        ] {
            for outcome in outcomes.iter().chain(&[DhtOutcome::TimedOut, DhtOutcome::Refused]) {
                let labels = [("query", query.name()), ("outcome", outcome_name(*outcome))];
                drop(counters.dht_queries.get_or_create(&labels));
            }
            drop(counters.dht_query_seconds.get_or_create(&[("query", query.name())]));
        }
        for request in DhtRequest::ALL {
            drop(counters.dht_requests.get_or_create(&[("request", request.name())]));
        }
        counters.set_records(0, 0);
        for refusal in Refusal::ALL {
            drop(counters.records_refused.get_or_create(&[("reason", refusal_name(refusal))]));
        }
        counters
    }
}

impl NetworkCounters {
    pub(crate) fn count_refused(&self, reason: Refusal) {
        self.records_refused.get_or_create(&[("reason", refusal_name(reason))]).inc();
    }

    pub(crate) fn count_gossip_received(&self, topic: &'static str) {
        self.gossip_received.get_or_create(&[("topic", topic)]).inc();
    }

    pub(crate) fn count_gossip_published(&self, topic: &'static str) {
        self.gossip_published.get_or_create(&[("topic", topic)]).inc();
    }

    pub(crate) fn count_gossip_judged(&self, topic: &'static str, verdict: Verdict) {
        self.gossip_judged.get_or_create(&[("topic", topic), ("verdict", verdict_name(verdict))]).inc();
    }

    pub(crate) fn set_mesh(&self, topic: &'static str, peers: usize) {
        self.gossip_mesh.get_or_create(&[("topic", topic)]).set(peers as i64);
    }

    /// A query has ended, after so long if it was begun at all.
    pub(crate) fn count_query(&self, query: DhtRequest, outcome: DhtOutcome, took: Option<Duration>) {
        let labels = [("query", query.name()), ("outcome", outcome_name(outcome))];
        self.dht_queries.get_or_create(&labels).inc();
        if let Some(took) = took {
            self.dht_query_seconds.get_or_create(&[("query", query.name())]).observe(took.as_secs_f64());
        }
    }

    /// Another node has asked.
    pub(crate) fn count_request(&self, request: DhtRequest) {
        self.dht_requests.get_or_create(&[("request", request.name())]).inc();
    }

    pub(crate) fn set_records(&self, own: usize, others: usize) {
        self.dht_records.get_or_create(&[("of", "own")]).set(own as i64);
        self.dht_records.get_or_create(&[("of", "others")]).set(others as i64);
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("connected_peers", "Peers with a connection", self.connected_peers.clone());
        registry.register("gave_way", "Connections closed because all were taken", self.gave_way.clone());
        registry.register("routing_peers", "Peers in the DHT's routing table", self.routing_peers.clone());
        registry.register("direct_received", "Direct messages received", self.direct_received.clone());
        registry.register("direct_sent", "Direct messages acknowledged", self.direct_sent.clone());
        registry.register("direct_failed", "Direct messages that may be lost", self.direct_failed.clone());
        registry.register("gossip_received", "Gossip messages received", self.gossip_received.clone());
        let judged = "Gossip messages judged: accepted and passed on, ignored, or rejected at their neighbour's cost";
        registry.register("gossip_judged", judged, self.gossip_judged.clone());
        registry.register("gossip_published", "Own gossip messages published", self.gossip_published.clone());
        registry.register("gossip_mesh_peers", "Neighbours in the topics' meshes", self.gossip_mesh.clone());
        registry.register("dht_queries", "Own queries that have ended, by outcome", self.dht_queries.clone());
        let (unit, seconds) = (Unit::Seconds, self.dht_query_seconds.clone());
        registry.register_with_unit("dht_query", "How long own queries took", unit, seconds);
        registry.register("dht_requests", "What others asked of the DHT here", self.dht_requests.clone());
        registry.register("dht_records", "DHT records kept", self.dht_records.clone());
        let served = self.dht_records_served.clone();
        registry.register("dht_records_served", "DHT records given to others that asked", served);
        registry.register("records_stored", "DHT records stored for others", self.records_stored.clone());
        registry.register("records_refused", "DHT records of others refused, by reason", self.records_refused.clone());
    }
}

impl JournalCounters {
    fn register(&self, registry: &mut Registry) {
        registry.register("batches", "Batches made durable", self.batches.clone());
        registry.register("commits", "Commits, each of one or more batches", self.commits.clone());
        registry.register("commit_seconds", "Duration of a commit", self.commit_seconds.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_show_in_the_text() {
        let metrics = Metrics::new();
        metrics.network.direct_sent.inc_by(3);
        metrics.network.count_refused(Refusal::NotFresh);
        metrics.journal.commit_seconds.observe(0.001);
        let text = metrics.encode();
        assert!(text.contains("nelumbo_network_direct_sent_total 3"), "{text}");
        assert!(text.contains("nelumbo_network_records_refused_total{reason=\"not-fresh\"} 1"), "{text}");
        assert!(text.contains("nelumbo_network_records_refused_total{reason=\"signature\"} 0"), "from the start");
        assert!(text.contains("nelumbo_journal_commit_seconds_count 1"), "{text}");
        assert!(text.contains("libp2p_swarm"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
