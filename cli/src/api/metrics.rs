//! Metrics in the OpenMetrics text format, for Prometheus.
//!
//! Owns what is counted of sessions; the network and the journal count for themselves. Invariant: every label is one of
//! a few words of ours, so that nobody outside can make new time series. The node's life tells it what happens.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use nelumbo_core::api::Event;
use nelumbo_tokio::{Handle, NodeEvent};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serde_json::Value;

use super::Api;
use super::routes::{Failed, failed};
use crate::control::Stats;
use crate::output;

type Label = [(&'static str, String); 1];

/// What is counted as it happens. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct SessionMetrics {
    events: Family<Label, Counter>,
    seconds: Histogram,
}

impl SessionMetrics {
    pub(crate) fn new() -> Self {
        // From a millisecond to nine hours: some sessions wait for people.
        Self { events: Family::default(), seconds: Histogram::new(exponential_buckets(0.001, 4.0, 13)) }
    }

    /// Counts an event, at a time in milliseconds since 1970-01-01 UTC.
    pub(crate) async fn count(&self, event: &NodeEvent, time: u64, handle: &Handle) {
        if let Ok(Value::String(name)) = serde_json::to_value(event).map(|mut event| event["event"].take()) {
            self.events.get_or_create(&[("event", name)]).inc();
        }
        if let NodeEvent::Core(Event::SessionCompleted { session, .. }) = event
            && let Ok(Some(view)) = handle.session(*session).await
        {
            let took = time.saturating_sub(view.definition.created_at.as_millis());
            self.seconds.observe(Duration::from_millis(took).as_secs_f64());
        }
    }
}

/// What the node counts, for Prometheus
///
/// In the OpenMetrics text format.
#[utoipa::path(get, path = "/metrics", tag = "node", security(("token" = ["read"])), responses(
    (status = 200, content_type = "application/openmetrics-text", body = String), (status = "4XX", body = Failed),
))]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let stats = match api.answers.stats().await {
        Ok(stats) => stats,
        Err(problem) => return failed(problem),
    };
    let network = api.answers.handle.metrics();
    let mut text = network.trim_end().trim_end_matches("# EOF").to_owned();
    if let Err(error) = text::encode(&mut text, &registry(&api.metrics, &stats)) {
        tracing::error!(%error, "metrics could not be encoded");
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// All that is not counted elsewhere.
fn registry(metrics: &SessionMetrics, stats: &Stats) -> Registry {
    let mut registry = Registry::with_prefix("nelumbo");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version that runs", build);
    registry.register("events", "Events of each kind", metrics.events.clone());
    let seconds = metrics.seconds.clone();
    registry.register_with_unit("session", "From a session's creation to its signature", Unit::Seconds, seconds);
    let gauge = |value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    let started = gauge(stats.started / 1000);
    registry.register_with_unit("start_time", "When the node started, since 1970-01-01 UTC", Unit::Seconds, started);

    let phases = Family::<Label, Gauge>::default();
    for (phase, count) in &stats.sessions.by_phase {
        phases.get_or_create(&[("phase", output::name(phase))]).set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    registry.register("sessions", "Sessions in each phase", phases);

    let standings = Family::<Label, Gauge>::default();
    let counts = [("graylisted", stats.peers.graylisted), ("blacklisted", stats.peers.blacklisted)];
    for (standing, count) in counts {
        standings.get_or_create(&[("standing", standing.into())]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("peers_held_against", "Peers that are not listened to", standings);

    let refusals = Family::<[(&'static str, String); 2], Counter>::default();
    for (layer, reasons) in &stats.refusals {
        for (reason, count) in reasons {
            let labels = [("layer", output::name(layer)), ("reason", output::name(reason))];
            refusals.get_or_create(&labels).inc_by(*count);
        }
    }
    registry.register("refusals", "What came from outside and was not taken", refusals);

    let reachable = Family::<Label, Gauge>::default();
    reachable.get_or_create(&[("state", stats.reachability.state.clone())]).set(1);
    registry.register("reachability", "How others can reach the node", reachable);
    registry.register("dht_ready", "Whether the node has found its way into the DHT", gauge(stats.dht.ready.into()));
    registry
}
