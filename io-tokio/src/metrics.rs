//! Counters of a running node, for Prometheus.
//!
//! Owns the registry, libp2p's own metrics and the node's. Invariant: no label holds anything a peer chose, so that the
//! number of time series is bounded. Recorded by the network, the journal and the runtime; read through
//! [`Metrics::encode`].

use std::{fmt, sync::Arc};

use libp2p::metrics::Metrics as SwarmMetrics;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use nelumbo_core::api::Refusal;

/// A cheap handle on all counters of one node.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    swarm: Arc<SwarmMetrics>,
    pub(crate) network: NetworkCounters,
    pub(crate) journal: JournalCounters,
}

/// What the network counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkCounters {
    pub(crate) connected_peers: Gauge,
    pub(crate) gave_way: Counter,
    pub(crate) direct_received: Counter,
    pub(crate) direct_sent: Counter,
    pub(crate) direct_failed: Counter,
    pub(crate) gossip_received: Counter,
    pub(crate) gossip_rejected: Counter,
    pub(crate) gossip_published: Counter,
    pub(crate) dht_queries: Counter,
    pub(crate) records_stored: Counter,
    records_refused: Family<Refused, Counter>,
    pub(crate) routing_peers: Gauge,
}

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: String,
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

impl NetworkCounters {
    pub(crate) fn count_refused(&self, reason: Refusal) {
        self.records_refused.get_or_create(&Refused { reason: format!("{reason:?}") }).inc();
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("connected_peers", "Peers with a connection", self.connected_peers.clone());
        registry.register("gave_way", "Connections closed because all were taken", self.gave_way.clone());
        registry.register("routing_peers", "Peers in the DHT's routing table", self.routing_peers.clone());
        registry.register("direct_received", "Direct messages received", self.direct_received.clone());
        registry.register("direct_sent", "Direct messages acknowledged", self.direct_sent.clone());
        registry.register("direct_failed", "Direct messages that may be lost", self.direct_failed.clone());
        registry.register("gossip_received", "Gossip messages received", self.gossip_received.clone());
        registry.register("gossip_rejected", "Gossip messages rejected", self.gossip_rejected.clone());
        registry.register("gossip_published", "Gossip messages published", self.gossip_published.clone());
        registry.register("dht_queries", "Gets and puts started", self.dht_queries.clone());
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
        assert!(text.contains("nelumbo_network_records_refused_total{reason=\"NotFresh\"} 1"), "{text}");
        assert!(text.contains("nelumbo_journal_commit_seconds_count 1"), "{text}");
        assert!(text.contains("libp2p_swarm"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
