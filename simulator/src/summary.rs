//! The outcome of a simulation in numbers, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::checkers::Violation;
use crate::schedule::Misbehaviour;
use crate::statistics::Sketch;

/// The distribution of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many values there are.
    pub count: u64,
    /// The smallest value.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

impl Percentiles {
    /// The percentiles of these values.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = values.len().saturating_sub(1);
            values.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
        };
        Self { count: values.len() as u64, min: at(0.0), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

/// How many sessions ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sessions {
    /// Sessions whose creation became durable.
    pub started: u64,
    /// Sessions that completed at every honest signer.
    pub completed: u64,
    /// Sessions that did not.
    pub failed: u64,
    /// How often nodes reported each reason for a failed attempt.
    pub by_reason: BTreeMap<String, u64>,
}

/// The outcome of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// The scenario.
    pub scenario: String,
    /// The name of the cryptography; anything but `real` is a stand-in.
    pub crypto: String,
    /// The hash over every event.
    pub trace_hash: String,
    /// How many nodes there were.
    pub nodes: u32,
    /// How many events there were.
    pub events: u64,
    /// How many messages machines sent.
    pub messages: u64,
    /// The bytes in those messages.
    pub bytes: u64,
    /// How many messages were lost, stopped by a partition, and duplicated.
    pub faults: BTreeMap<String, u64>,
    /// Dials that NATs refused, dials that relays made direct connections of, circuits that were opened, and cut.
    pub nat: BTreeMap<String, u64>,
    /// What adversaries did, and how often.
    pub misbehaviours: BTreeMap<Misbehaviour, u64>,
    /// How many messages nodes have refused, in the lives that they were in at the end.
    pub refusals: u64,
    /// How much virtual time has passed.
    pub virtual_ms: u64,
    /// What all nodes together were charged for cryptography, in nanoseconds of virtual time.
    pub crypto_ns: u64,
    /// How many sessions ended how.
    pub sessions: Sessions,
    /// From the command to the signature at each signer.
    pub latency_ms: Percentiles,
    /// The same in nanoseconds as a sketch, which merges with those of other runs.
    pub latency: Sketch,
    /// From the command to the signature at each signer, in mean one-way delays of the network.
    pub one_way_delays: Percentiles,
    /// How many hops lookups in the hash table took.
    pub lookup_hops: Percentiles,
    /// How many coordinators let their turn pass, and how many signatures were broadcast.
    pub failovers: u64,
    /// How many signatures were confirmed as broadcast, by their broadcaster.
    pub broadcasts: u64,
    /// The violations that checkers found.
    pub violations: Vec<Violation>,
    /// How long the run took in real time, in milliseconds. Zero when it was not measured: this crate reads no clock.
    pub wall_ms: u64,
    /// Events per second of real time.
    pub events_per_second: u64,
    /// Memory per node, where it was measured.
    pub bytes_per_node: u64,
}

impl Summary {
    /// As one JSON object.
    ///
    /// # Panics
    /// Never: every field has a form in JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a summary has nothing that JSON lacks")
    }

    /// Fills in how long the run took in real time.
    #[must_use]
    pub fn timed(mut self, wall: std::time::Duration) -> Self {
        self.wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        self.events_per_second = (self.events as f64 / wall.as_secs_f64().max(1e-9)) as u64;
        self
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    groups.extend((first > 0).then_some(&digits[..first]));
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.join(",")
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sessions { started, completed, failed, by_reason } = &self.sessions;
        if self.crypto != "real" {
            writeln!(f, "STAND-IN CRYPTOGRAPHY ({}): these signatures sign nothing", self.crypto)?;
        }
        writeln!(f, "scenario      {} (seed {})", self.scenario, self.seed)?;
        writeln!(f, "trace         {}", self.trace_hash)?;
        writeln!(f, "nodes         {}", grouped(self.nodes.into()))?;
        writeln!(f, "virtual time  {:.3} s", self.virtual_ms as f64 / 1e3)?;
        if self.crypto_ns > 0 {
            writeln!(f, "cryptography  {:.3} s of all nodes", self.crypto_ns as f64 / 1e9)?;
        }
        writeln!(
            f,
            "events        {} ({} per second, {} ms)",
            grouped(self.events),
            grouped(self.events_per_second),
            grouped(self.wall_ms)
        )?;
        writeln!(f, "messages      {} ({} bytes)", grouped(self.messages), grouped(self.bytes))?;
        let list = |f: &mut fmt::Formatter<'_>, name: &str, pairs: Vec<String>| {
            if pairs.is_empty() { Ok(()) } else { writeln!(f, "{name:<13} {}", pairs.join(", ")) }
        };
        let faults = self.faults.iter().filter(|(_, count)| **count > 0);
        list(f, "faults", faults.map(|(name, count)| format!("{name} {}", grouped(*count))).collect())?;
        list(f, "nat", self.nat.iter().map(|(name, count)| format!("{name} {count}")).collect())?;
        list(
            f,
            "misbehaviours",
            self.misbehaviours.iter().map(|(kind, count)| format!("{} {}", kind.name(), grouped(*count))).collect(),
        )?;
        writeln!(f, "refusals      {}", grouped(self.refusals))?;
        let [started, completed, failed] = [*started, *completed, *failed].map(grouped);
        writeln!(f, "sessions      {started} started, {completed} completed, {failed} failed")?;
        list(f, "reasons", by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect())?;
        for (name, Percentiles { min, p50, p90, p99, max, .. }) in
            [("latency ms", self.latency_ms), ("one-way", self.one_way_delays), ("lookup hops", self.lookup_hops)]
        {
            writeln!(f, "{name:<13} min {min:.1}  p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  max {max:.1}")?;
        }
        writeln!(f, "broadcasts    {} ({} turns passed)", grouped(self.broadcasts), grouped(self.failovers))?;
        write!(f, "violations    {}", self.violations.len())?;
        for Violation { checker, at, node, what, .. } in &self.violations {
            let node = node.map(|node| format!(" node {node}")).unwrap_or_default();
            write!(f, "\n  {checker} at {:.3} s{node}: {what}", *at as f64 / 1e9)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        let all = [0, 999, 1_000, 12_345, 1_000_000, u64::MAX].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "12,345", "1,000,000", "18,446,744,073,709,551,615"]);
    }
}
