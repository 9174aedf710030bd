//! How a seed draws a schedule from a scenario.
//!
//! Invariant: each group of draws that was added later has a random stream of its own, so that a seed keeps what it
//! drew before.

use super::{AdversaryParams, FaultParams, LinkParams, PeopleParams, Scenario, WARM_UP_MS};
use crate::network::{Direction, Nat};
use crate::peer::WALL_ORIGIN;
use crate::random::Random;
use crate::schedule::{Misbehaviour, Schedule, ScheduledEvent, Step, SuiteChoice};

/// A schedule that is being drawn from its scenario.
pub(super) struct ScheduleBuilder<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) schedule: Schedule,
    pub(super) random: Random,
}

impl ScheduleBuilder<'_> {
    fn step(&mut self, at_ms: u64, event: ScheduledEvent) {
        self.schedule.steps.push(Step { at_ms, event });
    }

    fn moment(&mut self) -> u64 {
        WARM_UP_MS + self.random.below(self.scenario.workload_ms.max(1))
    }

    fn node(&mut self) -> u32 {
        self.random.below(u64::from(self.scenario.nodes)) as u32
    }

    pub(super) fn sessions(&mut self) {
        let Scenario { sessions, signers, .. } = *self.scenario;
        let nodes = self.scenario.possible_signers();
        let mut items = Random::stream(self.schedule.seed, "items", 0);
        for _ in 0..sessions {
            let at = self.moment();
            let count = self.random.within(u64::from(signers), u64::from(self.scenario.most())) as usize;
            let mut chosen = std::collections::BTreeSet::new();
            while chosen.len() < count {
                chosen.insert(self.random.below(u64::from(nodes)) as u32);
            }
            let signers: Vec<u32> = chosen.into_iter().collect();
            let node = signers[self.random.below(count as u64) as usize];
            let suite = if self.random.below(2) == 0 { SuiteChoice::Lotus } else { SuiteChoice::Bip340 };
            let items = items.within(1, u64::from(self.scenario.max_items.max(1))) as u32;
            self.step(at, ScheduledEvent::Create { node, signers, suite, items });
        }
    }

    pub(super) fn network(&mut self) {
        let busy_until = WARM_UP_MS + self.scenario.workload_ms + 5_000;
        let LinkParams { loss, duplication, reordering, reorder_delay_ms, .. } = self.scenario.link;
        if loss + duplication + reordering > 0 {
            let link = ScheduledEvent::LinkConditions {
                until_ms: busy_until,
                loss,
                duplication,
                reordering,
                reorder_delay_ms,
            };
            self.step(0, link);
        }
        let FaultParams { partitions, partition_ms, asymmetric_partitions, slow, slow_ms, .. } = self.scenario.faults;
        for _ in 0..partitions {
            let at = self.moment();
            let until_ms = at + self.random.within(1, partition_ms.max(1));
            let mut members: Vec<u32> = (0..self.scenario.nodes).filter(|_| self.random.below(2) == 0).collect();
            if members.is_empty() {
                members.push(self.node());
            }
            let odd = if asymmetric_partitions { self.random.below(4) } else { 3 };
            let direction = [Direction::Outward, Direction::Inward, Direction::Both, Direction::Both][odd as usize];
            let flapping_ms = if odd == 2 { self.random.within(10, 20_000) } else { 0 };
            self.step(at, ScheduledEvent::Partition { until_ms, members, direction, flapping_ms });
        }
        for _ in 0..slow {
            let node = self.node();
            self.schedule.slow.push(node);
            self.schedule.slow_ms = slow_ms;
        }
    }

    pub(super) fn machines(&mut self) {
        let FaultParams { crashes, down_ms, full_disks, jumps, jump_ms, drift_ppm, forks, .. } = self.scenario.faults;
        for _ in 0..crashes {
            let (at, node, silent) = (self.moment(), self.node(), self.random.below(2) == 0);
            let up = at + self.random.within(1, down_ms.max(1));
            self.step(at, ScheduledEvent::Crash { node, silent });
            self.step(up, ScheduledEvent::Restart { node });
        }
        for _ in 0..full_disks {
            let (at, node) = (self.moment(), self.node());
            let until_ms = at + self.random.within(1, 20_000);
            self.step(at, ScheduledEvent::DiskFull { node, until_ms });
        }
        for _ in 0..jumps {
            let (at, node) = (self.moment(), self.node());
            let ms = self.random.below(u64::from(jump_ms) * 2 + 1) as i64 - i64::from(jump_ms);
            self.step(at, ScheduledEvent::Jump { node, ms });
        }
        if drift_ppm > 0 {
            for node in 0..self.scenario.nodes {
                let ppm = self.random.below(u64::from(drift_ppm) * 2 + 1) as i32 - drift_ppm as i32;
                self.step(0, ScheduledEvent::Drift { node, ppm });
            }
        }
        for fork in 0..forks {
            let (at, node) = (self.moment(), self.node());
            self.step(at, ScheduledEvent::Fork { node, copy: self.scenario.nodes + fork });
        }
    }

    /// Classes of nodes, and crashes of relays where there are crashes; from a stream of their own, so that everything
    /// else is as it would be without.
    pub(super) fn nats(&mut self) {
        let Scenario { nat, workload_ms, ref faults, .. } = *self.scenario;
        if !nat.is_any() {
            return;
        }
        let mut random = Random::stream(self.schedule.seed, "nat", 0);
        let all: u64 = nat.shares().iter().map(|(_, share)| u64::from(*share)).sum();
        let nodes = self.scenario.nodes + faults.forks;
        for _ in 0..nodes {
            let mut lot = random.below(all);
            let is_past = |(_, share): &(Nat, u32)| lot.checked_sub(u64::from(*share)).map(|rest| lot = rest).is_some();
            let class = nat.shares().into_iter().skip_while(is_past).map(|(class, _)| class).next();
            self.schedule.nats.push(class.unwrap_or_default());
        }
        for relay in nodes..nodes + nat.relays {
            self.schedule.nats.push(Nat::Public);
            self.schedule.relays.push(relay);
            if self.scenario.adversaries.relays {
                let misbehaviour = Misbehaviour::Censor;
                self.step(0, ScheduledEvent::Misbehaviour { node: relay, misbehaviour, broken: false });
            }
            if faults.crashes > 0 && random.below(2) == 0 {
                let at = WARM_UP_MS + random.below(workload_ms.max(1));
                let up = at + random.within(1, faults.down_ms.max(1));
                self.step(at, ScheduledEvent::Crash { node: relay, silent: random.below(2) == 0 });
                self.step(up, ScheduledEvent::Restart { node: relay });
            }
        }
    }

    /// Outages of whole regions, from a stream of their own as well.
    pub(super) fn outages(&mut self) {
        let Scenario { workload_ms, faults: FaultParams { outages, outage_ms, .. }, .. } = *self.scenario;
        let regions: Vec<u8> = self.schedule.regions().collect();
        let mut random = Random::stream(self.schedule.seed, "outages", 0);
        for _ in 0..outages {
            // Where somebody is.
            let region = regions[random.below(regions.len() as u64) as usize];
            let members = (0..).zip(&regions).filter(|(_, other)| **other == region).map(|(node, _)| node).collect();
            let at = WARM_UP_MS + random.below(workload_ms.max(1));
            let until_ms = at + random.within(1, outage_ms.max(1));
            self.step(
                at,
                ScheduledEvent::Partition { until_ms, members, direction: Direction::Everywhere, flapping_ms: 0 },
            );
        }
    }

    /// Owners, devices and arrivals, from a stream of their own as well.
    pub(super) fn people(&mut self) {
        let Scenario { nodes, workload_ms, people: ref params, .. } = *self.scenario;
        let PeopleParams { slow_owners, answer_least_ms, answer_most_ms, devices, device_ms, .. } = *params;
        let mut random = Random::stream(self.schedule.seed, "people", 0);
        let mut all: Vec<u32> = (0..nodes).collect();
        random.shuffle(&mut all);
        for node in all.iter().copied().take(slow_owners as usize) {
            self.step(0, ScheduledEvent::Owner { node, least_ms: answer_least_ms, most_ms: answer_most_ms });
        }
        random.shuffle(&mut all);
        let devices: Vec<u32> = all.iter().copied().take(devices as usize).collect();
        for node in devices.iter().copied() {
            let (nonces_ms, partials_ms) = (random.within(1, device_ms.max(1)), random.within(1, device_ms / 10 + 1));
            self.step(0, ScheduledEvent::Device { node, nonces_ms, partials_ms });
        }
        if !devices.is_empty() {
            let node = |random: &mut Random| devices[random.below(devices.len() as u64) as usize];
            for _ in 0..params.device_absences {
                let (at, node) = (WARM_UP_MS + random.below(workload_ms.max(1)), node(&mut random));
                let until_ms = at + random.within(1, params.device_away_ms.max(1));
                self.step(at, ScheduledEvent::DeviceAway { node, until_ms });
            }
            for _ in 0..params.device_restarts {
                let (at, node) = (WARM_UP_MS + random.below(workload_ms.max(1)), node(&mut random));
                self.step(at, ScheduledEvent::DeviceRestart { node });
            }
        }
        if params.arrivals_ms > 0 {
            self.arrivals(params.arrivals_ms, random);
        }
        let mut random = Random::stream(self.schedule.seed, "delegates", 0);
        random.shuffle(&mut all);
        for node in all.into_iter().take(params.delegates as usize) {
            self.step(0, ScheduledEvent::Delegate { node });
        }
    }

    /// All who create no session start one by one, in any order.
    fn arrivals(&mut self, arrivals_ms: u64, mut random: Random) {
        let is_creator = |node: &u32| {
            let creates =
                |step: &Step| matches!(&step.event, ScheduledEvent::Create { node: creator, .. } if creator == node);
            self.schedule.steps.iter().any(creates)
        };
        let mut others: Vec<u32> = (0..self.scenario.possible_signers()).filter(|node| !is_creator(node)).collect();
        random.shuffle(&mut others);
        let pause = arrivals_ms / (others.len() as u64).max(1);
        for (node, place) in others.into_iter().zip(0..) {
            let at = 1 + place * pause + random.below(pause.max(1));
            self.step(at, ScheduledEvent::Start { node });
        }
    }

    /// Sleep and wrong clocks, from a stream of their own as well.
    pub(super) fn clocks(&mut self) {
        let Scenario { nodes, workload_ms, ref faults, .. } = *self.scenario;
        let FaultParams { wrong_clocks, wrong_clock_ms, sleeps, sleep_ms, .. } = *faults;
        let mut random = Random::stream(self.schedule.seed, "clocks", 0);
        for _ in 0..sleeps {
            let (at, node) = (WARM_UP_MS + random.below(workload_ms.max(1)), random.below(u64::from(nodes)) as u32);
            let until_ms = at + random.within(1, sleep_ms.max(1));
            self.step(at, ScheduledEvent::Sleep { node, until_ms });
        }
        for _ in 0..wrong_clocks {
            let node = random.below(u64::from(nodes)) as u32;
            let ms = random.within(1, wrong_clock_ms.max(1)) as i64;
            let ms = match random.below(4) {
                0 => -ms,
                // A machine without a battery begins at the origin of time.
                1 => -(WALL_ORIGIN - ms),
                _ => ms,
            };
            let corrected = WARM_UP_MS + random.below(workload_ms.max(1));
            let at = if random.below(2) == 0 { 0 } else { random.below(corrected) };
            if at > 0 {
                self.step(at, ScheduledEvent::Crash { node, silent: false });
            }
            self.step(at, ScheduledEvent::Jump { node, ms });
            if at > 0 {
                self.step(at, ScheduledEvent::Restart { node });
            }
            self.step(corrected, ScheduledEvent::Jump { node, ms: -ms });
        }
    }

    /// Machines that are resumed, from a stream of their own as well.
    pub(super) fn snapshots(&mut self) {
        let Scenario { nodes, workload_ms, ref faults, .. } = *self.scenario;
        let mut random = Random::stream(self.schedule.seed, "snapshots", 0);
        for _ in 0..faults.snapshots {
            let node = random.below(u64::from(nodes)) as u32;
            let since_ms = WARM_UP_MS + random.below(workload_ms.max(1));
            let at = since_ms + random.within(1, faults.snapshot_age_ms.max(1));
            let keeps_disk = random.below(2) == 0;
            self.step(at, ScheduledEvent::Resume { node, since_ms, keeps_disk, open_nonces: false });
        }
    }

    pub(super) fn adversaries(&mut self) {
        let AdversaryParams { nodes, misbehaviours, per_node, non_signers, .. } = &self.scenario.adversaries;
        let first = if *non_signers { self.scenario.possible_signers() } else { 0 };
        let mut all: Vec<u32> = (first..self.scenario.nodes).collect();
        self.random.shuffle(&mut all);
        for node in all.into_iter().take(*nodes as usize) {
            let mut misbehaviours = misbehaviours.clone();
            if *per_node > 0 {
                self.random.shuffle(&mut misbehaviours);
                misbehaviours.truncate(*per_node as usize);
            }
            for misbehaviour in misbehaviours {
                self.step(0, ScheduledEvent::Misbehaviour { node, misbehaviour, broken: false });
            }
        }
    }
}
