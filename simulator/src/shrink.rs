//! Reduces a failing schedule to a small one that fails in the same way.
//!
//! Invariant: what is returned fails, and by the same checker. Steps are taken away in ever smaller pieces, then nodes
//! that nothing needs, then whatever else can be made simpler, until nothing more can go.

use std::collections::BTreeSet;

use crate::network::Transport;
use crate::run::{Engine, run};
use crate::schedule::{LatencyChoice, Schedule, ScheduledEvent};
use crate::summary::Summary;

/// The names of the checkers that found violations in a run.
fn fired(summary: &Summary) -> BTreeSet<&str> {
    summary.violations.iter().map(|violation| violation.checker.as_str()).collect()
}

/// Makes a failing schedule small. Nothing when it does not fail. At most `budget` runs are made.
#[must_use]
pub fn shrink(schedule: &Schedule, budget: usize) -> Option<Schedule> {
    let first = run(schedule, Engine::Windowed(1));
    let checker = first.violations.first()?.checker.clone();
    let mut search = Search { checker, budget };
    let mut best = schedule.clone();
    loop {
        let before = best.clone();
        best = search.fewer_steps(best);
        best = search.simpler(best);
        best = search.fewer_nodes(best);
        if best == before || search.budget == 0 {
            return Some(best);
        }
    }
}

struct Search {
    checker: String,
    budget: usize,
}

impl Search {
    fn fails(&mut self, schedule: &Schedule) -> bool {
        if self.budget == 0 || schedule.check().is_err() {
            return false;
        }
        self.budget -= 1;
        fired(&run(schedule, Engine::Windowed(1))).contains(self.checker.as_str())
    }

    /// Takes pieces of the steps away, first halves, in the end single ones.
    fn fewer_steps(&mut self, mut best: Schedule) -> Schedule {
        let mut size = best.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < best.steps.len() {
                let mut fewer = best.clone();
                fewer.steps.drain(at..(at + size).min(fewer.steps.len()));
                if self.fails(&fewer) {
                    best = fewer;
                } else {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        best
    }

    fn simpler(&mut self, mut best: Schedule) -> Schedule {
        let simplifications: [fn(&mut Schedule); 12] = [
            |schedule| {
                schedule.nats.clear();
                schedule.relays.clear();
            },
            |schedule| schedule.bandwidth = None,
            |schedule| schedule.transport = Transport::Datagram,
            |schedule| schedule.slow.clear(),
            |schedule| schedule.latency = LatencyChoice::Fixed { ms: 10 },
            |schedule| schedule.disk_us = 0,
            |schedule| schedule.until_ms = schedule.healed_ms() + schedule.settling_ms(),
            |schedule| schedule.until_ms = schedule.until_ms.min(schedule.healed_ms() + 1_000),
            |schedule| {
                for step in &mut schedule.steps {
                    if let ScheduledEvent::Create { node, signers, .. } = &mut step.event
                        && let Some(spare) = signers.iter().position(|signer| signer != node)
                        && signers.len() > 2
                    {
                        signers.remove(spare);
                    }
                }
            },
            |schedule| {
                for step in &mut schedule.steps {
                    if let ScheduledEvent::Create { items, .. } = &mut step.event {
                        *items = 1;
                    }
                }
            },
            |schedule| {
                for step in &mut schedule.steps {
                    if let ScheduledEvent::LinkConditions { until_ms, .. }
                    | ScheduledEvent::Partition { until_ms, .. } = &mut step.event
                    {
                        *until_ms = step.at_ms + (*until_ms - step.at_ms) / 2;
                    }
                }
            },
            |schedule| {
                for step in &mut schedule.steps {
                    if let ScheduledEvent::LinkConditions { duplication, reordering, .. } = &mut step.event {
                        (*duplication, *reordering) = (0, 0);
                    }
                }
            },
        ];
        for simplify in simplifications {
            let mut simpler = best.clone();
            simplify(&mut simpler);
            if simpler != best && self.fails(&simpler) {
                best = simpler;
            }
        }
        best
    }

    /// Takes away the nodes with the highest numbers that no step names.
    fn fewer_nodes(&mut self, best: Schedule) -> Schedule {
        let named = best.steps.iter().flat_map(|step| match &step.event {
            ScheduledEvent::Create { signers, .. } => signers.clone(),
            ScheduledEvent::Partition { members, .. } => members.clone(),
            ScheduledEvent::Fork { node, copy } => vec![*node, *copy],
            other => other.node().into_iter().collect(),
        });
        let most = named.chain(best.slow.iter().chain(&best.relays).copied()).max().unwrap_or(0);
        let mut fewer = Schedule { nodes: (most + 1).max(2), ..best.clone() };
        fewer.nats.truncate(fewer.nodes as usize);
        if fewer.nodes < best.nodes && self.fails(&fewer) { fewer } else { best }
    }
}
