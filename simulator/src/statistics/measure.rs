//! What a run contributes to the measures, and what they are.

use serde::{Deserialize, Serialize};

use super::Sketch;
use crate::summary::Summary;

/// What one run, or several together, contribute to every measure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Sessions whose creation became durable.
    pub started: u64,
    /// Sessions that completed at every honest signer.
    pub completed: u64,
    /// Attempts that failed, as nodes reported them.
    pub failed_attempts: u64,
    /// Broadcasts of signatures.
    pub broadcasts: u64,
    /// Turns to broadcast that passed without one.
    pub failovers: u64,
    /// Messages that nodes sent.
    pub messages: u64,
    /// The bytes in them.
    pub bytes: u64,
    /// Messages that were lost.
    pub lost: u64,
    /// Events.
    pub events: u64,
    /// Violations that checkers found.
    pub violations: u64,
    /// From the command to the signature at each signer, in nanoseconds.
    pub latency: Sketch,
}

impl Sample {
    /// What a run contributes.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let attempts = ["aborted", "expired", "refused-command"];
        let reasons = summary.sessions.by_reason.iter().filter(|(reason, _)| !attempts.contains(&reason.as_str()));
        Self {
            started: summary.sessions.started,
            completed: summary.sessions.completed,
            failed_attempts: reasons.map(|(_, count)| count).sum(),
            broadcasts: summary.broadcasts,
            failovers: summary.failovers,
            messages: summary.messages,
            bytes: summary.bytes,
            lost: summary.faults.get("lost").copied().unwrap_or(0),
            events: summary.events,
            violations: summary.violations.len() as u64,
            latency: summary.latency.clone(),
        }
    }

    /// Adds what another one contributes.
    pub fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.completed += other.completed;
        self.failed_attempts += other.failed_attempts;
        self.broadcasts += other.broadcasts;
        self.failovers += other.failovers;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.events += other.events;
        self.violations += other.violations;
        self.latency.merge(&other.latency);
    }
}

/// A number that is asked of many runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The median time from the command to the signature at a signer, over the signers of all runs.
    LatencyP50,
    /// The 90th percentile of it.
    LatencyP90,
    /// The 99th percentile of it.
    LatencyP99,
    /// The mean of it.
    LatencyMean,
    /// Which share of the sessions completed at every honest signer.
    Completed,
    /// Attempts that failed, for each session.
    FailedAttempts,
    /// Broadcasts of the signature, for each session that completed.
    Broadcasts,
    /// Turns to broadcast that passed, for each session that completed.
    Failovers,
    /// Messages, for each session.
    Messages,
    /// Bytes, for each session.
    Bytes,
}

/// How a measure is made of samples.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// This quantile of all latencies, in milliseconds.
    Quantile(f64),
    /// The mean of all latencies, in milliseconds.
    Mean,
    /// A sum over another one, times a factor.
    Ratio(fn(&Sample) -> u64, fn(&Sample) -> u64, f64),
}

impl Measure {
    /// All measures.
    pub const ALL: [Self; 10] = [
        Self::LatencyP50,
        Self::LatencyP90,
        Self::LatencyP99,
        Self::LatencyMean,
        Self::Completed,
        Self::FailedAttempts,
        Self::Broadcasts,
        Self::Failovers,
        Self::Messages,
        Self::Bytes,
    ];

    /// Its name in plans and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LatencyP50 => "latency-p50",
            Self::LatencyP90 => "latency-p90",
            Self::LatencyP99 => "latency-p99",
            Self::LatencyMean => "latency-mean",
            Self::Completed => "completed",
            Self::FailedAttempts => "failed-attempts",
            Self::Broadcasts => "broadcasts",
            Self::Failovers => "failovers",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
        }
    }

    /// Its unit; counts have none.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::LatencyP50 | Self::LatencyP90 | Self::LatencyP99 | Self::LatencyMean => "ms",
            Self::Completed => "%",
            Self::Bytes => "B",
            _ => "",
        }
    }

    /// What it is, in a few words, as on a plot.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::LatencyP50 => "Time to signature, median",
            Self::LatencyP90 => "Time to signature, 90th percentile",
            Self::LatencyP99 => "Time to signature, 99th percentile",
            Self::LatencyMean => "Time to signature, mean",
            Self::Completed => "Sessions that completed",
            Self::FailedAttempts => "Failed attempts for each session",
            Self::Broadcasts => "Broadcasts for each completed session",
            Self::Failovers => "Turns that passed for each completed session",
            Self::Messages => "Messages for each session",
            Self::Bytes => "Bytes for each session",
        }
    }

    pub(super) fn form(self) -> Form {
        match self {
            Self::LatencyP50 => Form::Quantile(0.5),
            Self::LatencyP90 => Form::Quantile(0.9),
            Self::LatencyP99 => Form::Quantile(0.99),
            Self::LatencyMean => Form::Mean,
            Self::Completed => Form::Ratio(|sample| sample.completed, |sample| sample.started, 100.0),
            Self::FailedAttempts => Form::Ratio(|sample| sample.failed_attempts, |sample| sample.started, 1.0),
            Self::Broadcasts => Form::Ratio(|sample| sample.broadcasts, |sample| sample.completed, 1.0),
            Self::Failovers => Form::Ratio(|sample| sample.failovers, |sample| sample.completed, 1.0),
            Self::Messages => Form::Ratio(|sample| sample.messages, |sample| sample.started, 1.0),
            Self::Bytes => Form::Ratio(|sample| sample.bytes, |sample| sample.started, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_measure_is_read_by_the_name_that_it_has() {
        for measure in Measure::ALL {
            let name = serde_json::to_string(&measure).expect("a text");
            assert_eq!(name, format!("\"{}\"", measure.name()));
        }
    }
}
