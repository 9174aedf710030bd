//! Metrics in the OpenMetrics text format, for Prometheus.
//!
//! Owns what is counted of events; the network and the journal count for themselves. Invariants: every label is one of
//! a few words of ours, so that nobody outside can make new time series; counting follows the log of events as any
//! reader does, so that the node does not wait for it, and what is remembered of sessions meanwhile is bounded. The
//! API's server drives it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use nelumbo_chain::chronik::{ChronikClient, ChronikCounts};
use nelumbo_core::api::{Refusal, SignerTask};
use nelumbo_core::wire::SessionId;
use nelumbo_tokio::Handle;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serde::Deserialize;
use serde_json::Value;

use super::Api;
use super::routes::{Failed, failed};
use crate::control::Stats;
use crate::node::{Entry, Follower, Next};
use crate::output;

/// Of how many sessions it is remembered since when they are in their phase.
const MAX_SESSIONS: usize = 4096;

type Label = [(&'static str, String); 1];
type Labels = [(&'static str, String); 2];

/// What is counted as it happens. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    events: Family<Label, Counter>,
    missed: Counter,
    sessions: Family<Label, Histogram, fn() -> Histogram>,
    phases: Family<Label, Histogram, fn() -> Histogram>,
    attempts: Family<Label, Counter>,
    attempt_failures: Family<Label, Counter>,
    decisions: Family<Label, Counter>,
    waits: Family<Label, Counter>,
    /// The phase of each session, and since when.
    since: Arc<Mutex<BTreeMap<SessionId, (String, u64)>>>,
}

/// What is looked at of an event.
#[derive(Debug, Deserialize)]
struct Seen {
    event: String,
    session: Option<SessionId>,
    #[serde(default)]
    phase: Value,
    #[serde(default)]
    cause: Value,
    #[serde(default)]
    failure: Value,
    #[serde(default)]
    decision: Value,
    #[serde(default)]
    task: Value,
}

/// The name of a variant, with fields or without.
fn variant(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Object(fields) => fields.keys().next().cloned(),
        _ => None,
    }
}

/// From a millisecond to nine hours: some sessions wait for people.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 13))
}

impl Metrics {
    /// What can be named before is there from the start, so that the first of its kind is an increase.
    pub(crate) fn new() -> Self {
        let metrics = Self::empty();
        for (family, label, names) in [
            (
                &metrics.attempts,
                "cause",
                &["restarted", "retried", "commanded", "approved", "gathered", "followed"][..],
            ),
            (
                &metrics.attempt_failures,
                "reason",
                &["invalid-partial", "invalid-nonce", "split-view", "nonces-cancel", "stuck", "signer"][..],
            ),
            (&metrics.decisions, "decision", &["ask", "decline", "approve"][..]),
            (&metrics.waits, "task", &["nonces", "partials"][..]),
        ] {
            names.iter().for_each(|name| drop(family.get_or_create(&[(label, (*name).to_owned())])));
        }
        for outcome in ["complete", "aborted", "expired"] {
            drop(metrics.sessions.get_or_create(&[("outcome", outcome.to_owned())]));
        }
        metrics
    }

    fn empty() -> Self {
        Self {
            events: Family::default(),
            missed: Counter::default(),
            sessions: Family::new_with_constructor(seconds as fn() -> Histogram),
            phases: Family::new_with_constructor(seconds as fn() -> Histogram),
            attempts: Family::default(),
            attempt_failures: Family::default(),
            decisions: Family::default(),
            waits: Family::default(),
            since: Arc::default(),
        }
    }

    /// Counts what happens, to the end.
    pub(crate) async fn follow(self, mut events: Follower, handle: Handle) {
        while let Some(next) = events.next().await {
            match next {
                Next::Entry(entry) => {
                    if let Some(ended) = self.count(&entry) {
                        self.count_end(ended, entry.time, &handle).await;
                    }
                }
                Next::Missed(missed) => drop(self.missed.inc_by(missed)),
            }
        }
    }

    /// Counts an event. The session that has ended with it, and how.
    fn count(&self, entry: &Entry) -> Option<(SessionId, &'static str)> {
        let seen: Seen = serde_json::from_str(entry.event.get()).ok()?;
        self.events.get_or_create(&[("event", seen.event.clone())]).inc();
        let labelled = |family: &Family<Label, Counter>, label, value: &Value| {
            if let Some(name) = variant(value) {
                family.get_or_create(&[(label, name)]).inc();
            }
        };
        match seen.event.as_str() {
            "attempt-started" => labelled(&self.attempts, "cause", &seen.cause),
            "attempt-failed" => labelled(&self.attempt_failures, "reason", &seen.failure),
            "approval-decided" => labelled(&self.decisions, "decision", &seen.decision),
            "signer-awaited" => labelled(&self.waits, "task", &seen.task),
            _ => {}
        }
        let (phase, outcome) = match seen.event.as_str() {
            "session-announced" => (Some("announced".to_owned()), None),
            "phase-changed" => (variant(&seen.phase), None),
            "session-completed" => (None, Some("complete")),
            "session-aborted" => (None, Some("aborted")),
            "session-expired" => (None, Some("expired")),
            "session-closed" => (None, None),
            _ => return None,
        };
        let session = seen.session?;
        self.move_on(session, phase, entry.time);
        outcome.map(|outcome| (session, outcome))
    }

    fn move_on(&self, session: SessionId, phase: Option<String>, time: u64) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((phase, began)) = since.remove(&session) {
            let took = Duration::from_millis(time.saturating_sub(began));
            self.phases.get_or_create(&[("phase", phase)]).observe(took.as_secs_f64());
        }
        if let Some(phase) = phase.filter(|_| since.len() < MAX_SESSIONS) {
            since.insert(session, (phase, time));
        }
    }

    async fn count_end(&self, (session, outcome): (SessionId, &'static str), time: u64, handle: &Handle) {
        if let Ok(Some(view)) = handle.session(session).await {
            let took = Duration::from_millis(time.saturating_sub(view.definition.created_at.as_millis()));
            self.sessions.get_or_create(&[("outcome", outcome.to_owned())]).observe(took.as_secs_f64());
        }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("events", "Events of each kind", self.events.clone());
        registry.register("events_missed", "Events that were not counted by kind", self.missed.clone());
        let sessions = self.sessions.clone();
        registry.register_with_unit("session", "From a session's creation to its end", Unit::Seconds, sessions);
        let phases = self.phases.clone();
        registry.register_with_unit("phase", "How long sessions were in each phase", Unit::Seconds, phases);
        registry.register("attempts", "Attempts that were begun, by their cause", self.attempts.clone());
        let failures = self.attempt_failures.clone();
        registry.register("attempt_failures", "Attempts that have failed, by reason", failures);
        registry.register("approval_decisions", "Requests that rules have judged", self.decisions.clone());
        registry.register("signer_waits", "How often sessions waited long for the signer", self.waits.clone());
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
    if let Err(error) = text::encode(&mut text, &registry(&api, &stats)) {
        tracing::error!(%error, "metrics could not be encoded");
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// All that is not counted elsewhere.
fn registry(api: &Api, stats: &Stats) -> Registry {
    let mut registry = Registry::with_prefix("nelumbo");
    let build = Info::new(vec![("version", env!("NELUMBO_VERSION"))]);
    registry.register("build", "The version that runs", build);
    api.metrics.register(&mut registry);
    let payments = &api.answers.payments;
    let (broadcasts, states) = (payments.broadcasts.clone(), payments.payments.clone());
    registry.register("broadcasts", "Transactions given to the chain's servers, by outcome", broadcasts);
    registry.register("payments", "Signed payments, by how far they have come on the chain", states);
    chain(&mut registry, api.answers.chronik.as_ref().map(ChronikClient::counts).unwrap_or_default());
    let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    let gauge = |value: i64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        gauge
    };
    let started = gauge(i64::try_from(stats.started / 1000).unwrap_or(i64::MAX));
    registry.register_with_unit("start_time", "When the node started, since 1970-01-01 UTC", Unit::Seconds, started);

    let family = |label: &'static str, values: Vec<(String, usize)>| {
        let family = Family::<Label, Gauge>::default();
        for (name, value) in values {
            family.get_or_create(&[(label, name)]).set(number(value));
        }
        family
    };
    let phases = stats.sessions.by_phase.iter().map(|(phase, count)| (output::name(phase), *count)).collect();
    registry.register("sessions", "Sessions in each phase", family("phase", phases));
    let owed = |task| (output::name(&task), stats.sessions.signer_owes.get(&task).copied().unwrap_or_default());
    let owed = vec![owed(SignerTask::Nonces), owed(SignerTask::Partials)];
    registry.register("signer_owes", "Sessions that wait for this node's signer", family("task", owed));
    let standings =
        [("graylisted", stats.peers.graylisted), ("blacklisted", stats.peers.blacklisted)].map(|(k, v)| (k.into(), v));
    registry.register("peers_held_against", "Peers that are not listened to", family("standing", standings.into()));

    let refusals = Family::<Labels, Counter>::default();
    let by_gossip = Family::<Label, Counter>::default();
    for refusal in Refusal::ALL {
        let (layer, reason) = (output::name(&refusal.layer()), output::name(&refusal));
        let count = stats.refusals.get(&refusal.layer()).and_then(|reasons| reasons.get(&refusal)).copied();
        let labels = [("layer", layer), ("reason", reason.clone())];
        refusals.get_or_create(&labels).inc_by(count.unwrap_or_default());
        let count = stats.gossip_refusals.get(&refusal).copied().unwrap_or_default();
        by_gossip.get_or_create(&[("reason", reason)]).inc_by(count);
    }
    registry.register("refusals", "What came from outside and was not taken", refusals);

    registry.register("gossip_refusals", "What came by gossip and was not taken", by_gossip);

    // As OpenMetrics has sets of states: all of them, the one that holds with 1.
    let states = |names: &[&str], now: &str| {
        family("state", names.iter().map(|name| ((*name).to_owned(), usize::from(*name == now))).collect())
    };
    let reachable = states(
        &["public", "mapped", "private", "behind-nat", "no-route", "local", "unknown"],
        &stats.reachability.state,
    );
    registry.register("reachability", "How others can reach the node", reachable);
    let relays = gauge(number(stats.reachability.relays.len()));
    registry.register("relays", "Relays through which others can reach the node", relays);
    registry.register("dht_ready", "Whether the node is in the DHT", gauge(stats.dht.ready.into()));
    registry.register(
        "dht_state",
        "How far the node is into the DHT",
        states(&["stopped", "initialised", "bootstrapping", "populating", "ready"], &stats.dht.state),
    );
    registry.register("gossip_enabled", "Whether the node takes part in gossip", gauge(stats.gossip.into()));
    registry
}

/// What is known of the chain's servers. Their addresses are the operator's own.
fn chain(registry: &mut Registry, counts: ChronikCounts) {
    let (answers, failures) = (Family::<Label, Counter>::default(), Family::<Labels, Counter>::default());
    for server in &counts.servers {
        answers.get_or_create(&[("server", server.name.clone())]).inc_by(server.answers);
        for (kind, count) in &server.failures {
            let labels = [("server", server.name.clone()), ("reason", (*kind).to_owned())];
            failures.get_or_create(&labels).inc_by(*count);
        }
    }
    registry.register("chain_answers", "Questions that a server of the chain has answered", answers);
    registry.register("chain_failures", "Questions that it has not, by reason", failures);
    let disagreements = Counter::<u64>::default();
    disagreements.inc_by(counts.disagreements);
    registry.register("chain_disagreements", "How often too few servers said the same", disagreements);
    let height = Family::<[(&'static str, String); 0], Gauge>::default();
    if let Some(known) = counts.height {
        height.get_or_create(&[]).set(known.into());
    }
    registry.register("chain_height", "The height of the chain, as it was asked for last", height);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::node::EventLog;

    #[test]
    fn sessions_are_counted_by_phase_and_attempts_by_what_became_of_them() {
        let (log, metrics) = (EventLog::new(), Metrics::new());
        let session = SessionId::from_bytes([7; 32]);
        let mut follower = log.follow(Some(0));
        for (time, event) in [
            (1_000, json!({ "event": "session-announced", "session": session })),
            (3_000, json!({ "event": "phase-changed", "session": session, "phase": "nonce-exchange" })),
            (3_000, json!({ "event": "attempt-started", "session": session, "cause": { "followed": "02" } })),
            (3_500, json!({ "event": "attempt-failed", "session": session, "failure": "nonces-cancel" })),
            (4_000, json!({ "event": "session-aborted", "session": session })),
            (4_000, json!("no event")),
        ] {
            log.note(time, &event);
        }
        let mut ended = Vec::new();
        while let Some(Next::Entry(entry)) = follower.try_next() {
            ended.extend(metrics.count(&entry));
        }
        assert_eq!(ended, [(session, "aborted")]);
        assert!(metrics.since.lock().expect("nobody panics").is_empty(), "what has ended is forgotten");
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("memory");
        for line in [
            "phase_seconds_sum{phase=\"announced\"} 2.0",
            "phase_seconds_sum{phase=\"nonce-exchange\"} 1.0",
            "attempts_total{cause=\"followed\"} 1",
            "attempt_failures_total{reason=\"nonces-cancel\"} 1",
            "events_total{event=\"session-aborted\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn what_is_remembered_of_sessions_is_bounded() {
        let metrics = Metrics::new();
        for number in 0..MAX_SESSIONS + 100 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
            metrics.move_on(SessionId::from_bytes(bytes), Some("announced".to_owned()), 0);
        }
        assert_eq!(metrics.since.lock().expect("nobody panics").len(), MAX_SESSIONS);
    }
}
