//! What came of a demonstration.
//!
//! Owns its two forms, for people and as JSON. Invariant: the JSON is one object whose fields are documented in the
//! help of `demo` and stay. `course` makes it, the command prints it.

use std::time::Duration;

use nelumbo_core::crypto::{PublicKey, Signature, Suite};
use serde::Serialize;

use super::discovery::Discovery;
use super::failover::Failover;
use super::messages::Transport;
use super::spend::Paid;
use crate::failure::Failure;
use crate::output;

/// See the module's documentation.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(super) suite: Suite,
    pub(super) message: String,
    pub(super) public_keys: Vec<PublicKey>,
    pub(super) aggregate_key: PublicKey,
    pub(super) address: String,
    pub(super) signature: Signature,
    pub(super) items: usize,
    pub(super) signatures: Vec<Signature>,
    pub(super) coordinator: PublicKey,
    pub(super) verified: bool,
    pub(super) signers: usize,
    pub(super) transport: Transport,
    pub(super) processes: bool,
    pub(super) elapsed_ms: f64,
    pub(super) phases_ms: Phases,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_ms: Option<SessionTimes>,
    /// After the first session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sessions_per_second: Option<f64>,
    #[serde(flatten)]
    pub(super) failover: Option<Failover>,
    #[serde(flatten)]
    pub(super) discovery: Option<Discovery>,
    #[serde(flatten)]
    pub(super) paid: Option<Paid>,
    pub(super) rss_mib: Option<f64>,
}

/// How long each phase took, the signing phases for the first session.
#[derive(Debug, Serialize)]
pub(super) struct Phases {
    /// Until every node listens.
    pub(super) start: f64,
    /// Until every node is connected to every other.
    pub(super) discovery: f64,
    /// From the command until every node has all nonces.
    pub(super) nonce_exchange: f64,
    /// From there until every node has the signature.
    pub(super) partial_signatures: f64,
    /// All sessions after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeats: Option<f64>,
    /// From the last signature until every node that is left knows that it was broadcast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failover: Option<f64>,
}

/// From the command to the signature at every node, over all sessions.
#[derive(Debug, Serialize)]
pub(super) struct SessionTimes {
    first: f64,
    median: f64,
    p99: f64,
}

impl SessionTimes {
    /// Of sessions in the order in which they were signed; at least one.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        let first = millis(times[0]);
        times.sort_unstable();
        let rank = |hundredths: usize| millis(times[(times.len() * hundredths).div_ceil(100) - 1]);
        Self { first, median: rank(50), p99: rank(99) }
    }
}

/// In milliseconds, to the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Outcome {
    /// Prints it as one JSON object.
    pub(crate) fn print_json(&self) -> Result<(), Failure> {
        output::json(self)
    }

    /// Prints it for people.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let home = if self.processes { "processes" } else { "nodes in one process" };
        let mut rows = vec![
            ("suite", self.suite.to_string()),
            ("signers", format!("{} {home}, over {}", self.signers, self.transport)),
            ("aggregate key", self.aggregate_key.to_string()),
            ("address", self.address.clone()),
            ("message", self.message.clone()),
            ("signature", self.signature.to_string()),
            ("items", self.items.to_string()),
            ("verified", if self.verified { "yes" } else { "no" }.to_owned()),
            ("coordinator", self.coordinator.to_string()),
            ("elapsed", format!("{:.1} ms", self.elapsed_ms)),
            ("  start", format!("{:.1} ms", self.phases_ms.start)),
            ("  discovery", format!("{:.1} ms", self.phases_ms.discovery)),
            ("  nonce exchange", format!("{:.1} ms", self.phases_ms.nonce_exchange)),
            ("  partial signatures", format!("{:.1} ms", self.phases_ms.partial_signatures)),
        ];
        rows.extend(self.phases_ms.repeats.map(|repeats| ("  repeats", format!("{repeats:.1} ms"))));
        if let Some(SessionTimes { first, median, p99 }) = &self.session_ms {
            rows.push(("sessions", format!("first {first:.1} ms, median {median:.1} ms, 99 % within {p99:.1} ms")));
        }
        rows.extend(self.sessions_per_second.map(|rate| ("sessions per second", format!("{rate:.1}"))));
        rows.extend(self.rss_mib.map(|mib| ("largest process", format!("{mib:.1} MiB"))));
        if let Some(failover) = &self.failover {
            rows.push(("  failover", format!("{:.1} ms", millis(failover.took))));
            rows.push(("broadcast by", failover.broadcast_by.to_string()));
            rows.push(("failovers", failover.failovers.to_string()));
        }
        if let Some(Paid { txid, fee, size, inputs, confirmations, judged_by, .. }) = &self.paid {
            let unit = if self.suite == Suite::Lotus { "bytes" } else { "virtual bytes" };
            rows.push(("transaction", txid.clone()));
            rows.push(("  inputs", inputs.to_string()));
            rows.push(("  fee", format!("{fee} satoshi, for {size} {unit}")));
            rows.extend(confirmations.map(|count| ("  confirmations", count.to_string())));
            rows.extend(judged_by.map(|library| ("  judged by", library.to_owned())));
        }
        output::table(&rows)?;
        self.failover.as_ref().map_or(Ok(()), Failover::print)?;
        self.discovery.as_ref().map_or(Ok(()), Discovery::print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_sessions_that_took_place() {
        let of = |times: &[u64]| SessionTimes::of(times.iter().map(|time| Duration::from_millis(*time)).collect());
        let one = of(&[7]);
        assert_eq!((one.first, one.median, one.p99), (7.0, 7.0, 7.0));
        let times: Vec<u64> = (1..=100).rev().collect();
        let many = of(&times);
        assert_eq!((many.first, many.median, many.p99), (100.0, 50.0, 99.0));
    }
}
