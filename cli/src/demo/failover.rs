//! The part of a demonstration in which coordinators die before they broadcast, and the next ones take over.
//!
//! Owns the timeline of the turns, and who is killed when. Invariant: nobody is killed before every node has the
//! signature, because without it the dead would be needed to sign; and what is told about the turns is what the nodes
//! have reported. `course` drives it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nelumbo_core::crypto::PublicKey;
use nelumbo_core::wire::SessionId;
use serde::Serialize;

use super::course::Course;
use super::crew::Arrival;
use super::messages::{Order, Payment, Report, Turn};
use super::outcome::millis;
use super::stages::named;
use crate::failure::Failure;
use crate::output;

/// How long a coordinator's turn is here: long enough for a confirmation to reach everyone, short enough to watch.
pub(super) const TURN: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Failover {
    /// The signer that broadcast in the end.
    pub(super) broadcast_by: PublicKey,
    /// How many coordinators that signer has seen fail.
    pub(super) failovers: usize,
    timeline: Vec<Entry>,
    /// The nodes' keys, in the order of the nodes.
    #[serde(skip)]
    nodes: Vec<PublicKey>,
    /// From the last signature until every node that is left knows that it was broadcast.
    #[serde(skip)]
    pub(super) took: Duration,
}

/// A row of the timeline.
#[derive(Debug, Serialize)]
struct Entry {
    /// Since the command to sign.
    ms: f64,
    node: usize,
    #[serde(flatten)]
    what: Moment,
}

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Moment {
    SessionCompleted,
    ShouldBroadcast,
    CoordinatorFailed { coordinator: PublicKey },
    FailoverExhausted,
    BroadcastClaimed { by: PublicKey },
    Killed,
}

impl From<Turn> for Moment {
    fn from(turn: Turn) -> Self {
        match turn {
            Turn::ShouldBroadcast => Self::ShouldBroadcast,
            Turn::CoordinatorFailed { coordinator } => Self::CoordinatorFailed { coordinator },
            Turn::FailoverExhausted => Self::FailoverExhausted,
            Turn::BroadcastClaimed { by } => Self::BroadcastClaimed { by },
        }
    }
}

/// What has happened to which node when, in the order in which it was heard.
#[derive(Debug, Default)]
pub(super) struct Timeline(Vec<(Instant, usize, Moment)>);

impl Timeline {
    /// Takes a report; most of them do not belong here.
    pub(super) fn take(&mut self, arrival: &Arrival) {
        let moment = match &arrival.report {
            Report::Signed { .. } => Moment::SessionCompleted,
            Report::Turn { turn, .. } => Moment::from(*turn),
            _ => return,
        };
        self.0.push((arrival.at, arrival.node, moment));
    }

    fn nodes_with(&self, is_meant: impl Fn(Moment) -> bool) -> BTreeSet<usize> {
        self.0.iter().filter(|(_, _, moment)| is_meant(*moment)).map(|(_, node, _)| *node).collect()
    }
}

impl Course<'_> {
    /// Kills each of these coordinators when its turn has come, lets the first other one broadcast, and waits until
    /// every node that is left has heard of it. `nodes` are the nodes' keys in the order of the nodes.
    pub(super) async fn fail_over(
        &mut self,
        (session, commanded): (SessionId, Instant),
        nodes: &[PublicKey],
        doomed: BTreeSet<PublicKey>,
        payment: Option<Payment>,
    ) -> Result<Failover, Failure> {
        let begun = Instant::now();
        self.progress.begin("failover", nodes.len() - doomed.len());
        // Nothing can happen while the turns of the dead pass; the patience is for what comes then.
        let turns = TURN.saturating_mul(u32::try_from(doomed.len()).unwrap_or(u32::MAX));
        let until = tokio::time::Instant::now() + turns + self.plan.patience;
        let mut seen = 0;
        loop {
            while let Some((_, node, moment)) = self.timeline.0.get(seen).copied() {
                seen += 1;
                match moment {
                    Moment::ShouldBroadcast if doomed.contains(&nodes[node]) => {
                        self.crew.kill(node).await;
                        self.timeline.0.push((Instant::now(), node, Moment::Killed));
                    }
                    Moment::ShouldBroadcast => {
                        let payment = payment.clone();
                        self.crew.order(node, Order::Broadcast { session, payment }).await?;
                    }
                    _ => {}
                }
            }
            let heard = self.timeline.nodes_with(|moment| matches!(moment, Moment::BroadcastClaimed { .. }));
            self.progress.at(heard.len());
            let is_waiting = |node: usize| !doomed.contains(&nodes[node]) && !heard.contains(&node);
            let waiting: Vec<bool> = (0..nodes.len()).map(is_waiting).collect();
            let Some(waiting) = named(&waiting, |waits| *waits) else { break };
            self.arrival(until, &format!("{waiting} did not hear that the signature was broadcast")).await?;
        }
        let took = begun.elapsed();
        self.progress.end(&[("failover", took)]);
        self.judge(commanded, nodes, took)
    }

    /// Sums up what the nodes have reported.
    fn judge(&self, commanded: Instant, nodes: &[PublicKey], took: Duration) -> Result<Failover, Failure> {
        let moments = &self.timeline.0;
        let broadcast_by = moments.iter().find_map(|(_, _, moment)| match moment {
            Moment::BroadcastClaimed { by } => Some(*by),
            _ => None,
        });
        let broadcast_by =
            broadcast_by.ok_or_else(|| Failure::unmet("every coordinator was killed", "this is a bug: report it"))?;
        let is_failure = |(_, node, moment): &&(Instant, usize, Moment)| {
            nodes[*node] == broadcast_by && matches!(moment, Moment::CoordinatorFailed { .. })
        };
        let failovers = moments.iter().filter(is_failure).count();
        let entry = |(at, node, what): &(Instant, usize, Moment)| {
            let ms = millis(at.saturating_duration_since(commanded));
            Entry { ms, node: node + 1, what: *what }
        };
        Ok(Failover {
            broadcast_by,
            failovers,
            timeline: moments.iter().map(entry).collect(),
            nodes: nodes.to_vec(),
            took,
        })
    }
}

impl Failover {
    /// Prints the timeline for people: what several nodes say alike is one row, at the time of the first.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let mut rows: Vec<(f64, Moment, Vec<bool>)> = Vec::new();
        for Entry { ms, node, what } in &self.timeline {
            let is_shared = !matches!(what, Moment::ShouldBroadcast | Moment::Killed);
            let row = rows.iter().position(|(_, known, _)| is_shared && known == what).unwrap_or_else(|| {
                rows.push((*ms, *what, vec![false; self.nodes.len()]));
                rows.len() - 1
            });
            rows[row].2[node - 1] = true;
        }
        output::line("timeline")?;
        rows.iter().try_for_each(|(ms, what, nodes)| {
            let nodes = named(nodes, |is_meant| *is_meant).unwrap_or_default();
            output::line(format_args!("{ms:10.1} ms  {:32}  {nodes}", self.describe(*what)))
        })
    }

    fn describe(&self, what: Moment) -> String {
        let node = |key| self.nodes.iter().position(|other| *other == key).map_or(0, |node| node + 1);
        match what {
            Moment::SessionCompleted => "session-completed".to_owned(),
            Moment::ShouldBroadcast => "should-broadcast".to_owned(),
            Moment::CoordinatorFailed { coordinator } => format!("coordinator-failed: node {}", node(coordinator)),
            Moment::FailoverExhausted => "failover-exhausted".to_owned(),
            Moment::BroadcastClaimed { by } => format!("broadcast-claimed: by node {}", node(by)),
            Moment::Killed => "killed".to_owned(),
        }
    }
}
