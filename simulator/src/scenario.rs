//! Scenarios: what kind of world, how many sessions, which faults. A seed makes a schedule of one.
//!
//! Invariant: a schedule follows from the scenario and the seed alone. Faults begin after the nodes have met and end
//! before the time of healing, so that everything honest must come to its end.

use serde::{Deserialize, Serialize};

use crate::network::{Direction, Nat};
use crate::random::Random;
use crate::run::SETTLING_MS;
use crate::schedule::{
    CryptoChoice, LatencyChoice, Misbehaviour, Schedule, ScheduledEvent, ServicesChoice, Step, SuiteChoice,
    default_slowness,
};

/// When the first session is created: the nodes have met by then.
const WARM_UP_MS: u64 = 2_000;

/// Unreliable network, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkParams {
    /// How many messages are lost.
    pub loss: u32,
    /// How many arrive twice.
    pub duplication: u32,
    /// How many are held back.
    pub reordering: u32,
    /// For how long at most.
    pub reorder_delay_ms: u64,
}

/// How many of each fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultParams {
    /// Partitions.
    pub partitions: u32,
    /// How long each lasts at most.
    pub partition_ms: u64,
    /// Whether they may cut one way only, and come and go.
    pub asymmetric_partitions: bool,
    /// Regions in which nobody has a network for a while, where latencies are those between regions.
    pub outages: u32,
    /// How long each lasts at most.
    pub outage_ms: u64,
    /// Crashes, each followed by a restart.
    pub crashes: u32,
    /// How long a crashed node stays down at most.
    pub down_ms: u64,
    /// Disks that fill up for a while.
    pub full_disks: u32,
    /// Clocks that are set.
    pub jumps: u32,
    /// By how much at most.
    pub jump_ms: u32,
    /// Clocks that drift, by how many millionths at most.
    pub drift_ppm: u32,
    /// Nodes that are copied while they run.
    pub forks: u32,
    /// Slow nodes.
    pub slow: u32,
    /// By how much.
    pub slow_ms: u64,
}

/// Who is dishonest, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdversaryParams {
    /// How many nodes.
    pub nodes: u32,
    /// What they do: each does some of it.
    pub misbehaviours: Vec<Misbehaviour>,
    /// How many deeds each does; 0 is all.
    pub per_node: u32,
    /// Whether they take part in no session: they are the nodes with the highest numbers.
    pub non_signers: bool,
}

/// What stands between nodes and the network: the share that each class has in all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatParams {
    /// Nodes that anyone can dial.
    pub public: u32,
    /// Nodes behind a NAT that is open to anyone.
    pub full_cone: u32,
    /// Behind one that is open to hosts that the node has sent to.
    pub restricted: u32,
    /// Behind one that is open to ports that the node has sent to.
    pub port_restricted: u32,
    /// Behind one that has another port for everyone.
    pub symmetric: u32,
    /// How many nodes there are on top that relay for the others, are public, and sign nothing.
    pub relays: u32,
}

impl NatParams {
    const fn shares(&self) -> [(Nat, u32); 5] {
        [
            (Nat::Public, self.public),
            (Nat::FullCone, self.full_cone),
            (Nat::Restricted, self.restricted),
            (Nat::PortRestricted, self.port_restricted),
            (Nat::Symmetric, self.symmetric),
        ]
    }

    /// Whether any node is behind a NAT.
    fn is_any(&self) -> bool {
        self.shares().iter().any(|(nat, share)| *nat != Nat::Public && *share > 0)
    }

    /// What a seed of the swarm draws, from a stream of its own. There is a relay, so that everybody can meet.
    fn swarm(seed: u64) -> Self {
        let mut random = Random::stream(seed, "swarm-nat", 0);
        let dice = &mut random;
        if dice.below(3) > 0 {
            return Self::default();
        }
        let mut share = || dice.below(3) as u32;
        let (public, full_cone, restricted) = (share(), share(), share());
        let (port_restricted, symmetric) = (share(), share() + 1);
        Self { public, full_cone, restricted, port_restricted, symmetric, relays: dice.within(1, 2) as u32 }
    }
}

/// A kind of simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// How many nodes.
    pub nodes: u32,
    /// How many sessions.
    pub sessions: u32,
    /// How many signers each has, at least.
    pub signers: u32,
    /// And at most; without, as many.
    #[serde(default)]
    pub max_signers: u32,
    /// For how long sessions are created and faults happen.
    pub workload_ms: u64,
    /// For how long the simulation goes on after that; 0 is long enough for everything honest to come to its end.
    #[serde(default)]
    pub cooldown_ms: u64,
    /// The cryptography.
    #[serde(default)]
    pub crypto: CryptoChoice,
    /// How many times as slow the nodes' devices are as the one whose cryptography was measured, for `toy-charged`.
    #[serde(default = "default_slowness")]
    pub crypto_slowness: u32,
    /// How long a record takes to become durable, in microseconds.
    #[serde(default)]
    pub disk_us: u64,
    /// Each node's uplink in bytes a second; 0 has no end.
    #[serde(default)]
    pub bandwidth: u64,
    /// What the hash table and gossip are.
    #[serde(default)]
    pub services: ServicesChoice,
    /// Whether signers know nobody: they find each other through the services.
    #[serde(default)]
    pub discovery: bool,
    /// How many nodes the others know when they start, where services are modelled; 0 gives them full tables.
    #[serde(default)]
    pub bootstrap: u32,
    /// How long messages take.
    pub latency: LatencyChoice,
    /// NATs.
    #[serde(default)]
    pub nat: NatParams,
    /// The network's reliability.
    #[serde(default)]
    pub link: LinkParams,
    /// Faults.
    #[serde(default)]
    pub faults: FaultParams,
    /// Adversaries.
    #[serde(default)]
    pub adversaries: AdversaryParams,
}

const READY: [(&str, &str); 13] = [
    ("quiet", include_str!("../scenarios/quiet.toml")),
    ("lossy", include_str!("../scenarios/lossy.toml")),
    ("partition", include_str!("../scenarios/partition.toml")),
    ("crash-storm", include_str!("../scenarios/crash-storm.toml")),
    ("byzantine", include_str!("../scenarios/byzantine.toml")),
    ("flood", include_str!("../scenarios/flood.toml")),
    ("eclipse", include_str!("../scenarios/eclipse.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("discovery", include_str!("../scenarios/discovery.toml")),
    ("nat", include_str!("../scenarios/nat.toml")),
    ("failover-cascade", include_str!("../scenarios/failover-cascade.toml")),
    ("planet", include_str!("../scenarios/planet.toml")),
    ("million", include_str!("../scenarios/million.toml")),
];

/// The name of the scenario that the seed draws.
pub const SWARM: &str = "swarm";

impl Scenario {
    /// The names of all ready scenarios.
    pub fn names() -> impl Iterator<Item = &'static str> {
        READY.iter().map(|(name, _)| *name).chain([SWARM])
    }

    /// The text of a ready scenario.
    #[must_use]
    pub fn text(name: &str) -> Option<&'static str> {
        READY.iter().find(|(ready, _)| *ready == name).map(|(_, text)| *text)
    }

    /// From a file, with some of its values replaced: each setting is `key=value`, the key with dots for tables.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn from_toml(text: &str, settings: &[String]) -> Result<Self, String> {
        let mut table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.iter().try_for_each(|setting| set(&mut table, setting))?;
        let scenario: Self = table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), String> {
        let most = self.possible_signers().min(128);
        if self.signers < 2 || self.most() > most {
            return Err(format!("a session has 2 to {most} signers here"));
        }
        if self.crypto_slowness == 0 {
            return Err("`crypto_slowness` is at least 1; `crypto = \"toy\"` charges nothing".into());
        }
        if self.faults.outages > 0 && self.latency != LatencyChoice::Regions {
            return Err("outages need regions: set `latency.kind` to `regions`".into());
        }
        if self.adversaries.nodes > 0 && self.adversaries.misbehaviours.is_empty() {
            return Err("adversaries need misbehaviours".into());
        }
        Ok(())
    }

    /// How many nodes take part in sessions.
    const fn possible_signers(&self) -> u32 {
        if self.adversaries.non_signers { self.nodes.saturating_sub(self.adversaries.nodes) } else { self.nodes }
    }

    fn relays(&self) -> u32 {
        if self.nat.is_any() { self.nat.relays } else { 0 }
    }

    fn most(&self) -> u32 {
        self.max_signers.max(self.signers)
    }

    /// The scenario that a seed draws: a small world with any mixture of faults.
    #[must_use]
    pub fn swarm(seed: u64) -> Self {
        let mut random = Random::stream(seed, "swarm", 0);
        let dice = &mut random;
        let some = |dice: &mut Random, most: u64| if dice.below(2) == 0 { 0 } else { dice.within(1, most) };
        let latency = match dice.below(4) {
            0 => LatencyChoice::Fixed { ms: dice.within(1, 100) },
            1 => LatencyChoice::Uniform { low_ms: dice.within(1, 20), high_ms: dice.within(21, 400) },
            2 => LatencyChoice::LogNormal { least_ms: dice.within(1, 10), median_ms: dice.within(5, 150), sigma: 0.7 },
            _ => LatencyChoice::Regions,
        };
        let signers = dice.within(2, 4) as u32;
        let nodes = signers + dice.within(0, 3) as u32;
        let link = LinkParams {
            loss: some(dice, 400_000) as u32,
            duplication: some(dice, 300_000) as u32,
            reordering: some(dice, 500_000) as u32,
            reorder_delay_ms: dice.within(1, 3_000),
        };
        // Streams of their own, so that the other choices of a seed stay what they were.
        let mut outages = Random::stream(seed, "swarm-outages", 0);
        let has_outage = latency == LatencyChoice::Regions && outages.below(2) == 0;
        let faults = FaultParams {
            partitions: some(dice, 3) as u32,
            partition_ms: dice.within(100, 60_000),
            asymmetric_partitions: dice.below(2) == 0,
            outages: u32::from(has_outage),
            outage_ms: outages.within(1_000, 120_000),
            crashes: some(dice, 8) as u32,
            down_ms: dice.within(1, 30_000),
            full_disks: some(dice, 2) as u32,
            jumps: some(dice, 3) as u32,
            jump_ms: 60_000,
            drift_ppm: some(dice, 100_000) as u32,
            forks: u32::from(dice.below(8) == 0),
            slow: some(dice, 2) as u32,
            slow_ms: dice.within(1, 2_000),
        };
        let is_byzantine = dice.below(3) == 0;
        let adversaries = AdversaryParams {
            nodes: if is_byzantine { dice.within(1, u64::from(nodes.min(3)) - 1).max(1) as u32 } else { 0 },
            misbehaviours: Misbehaviour::ALL.into_iter().filter(|misbehaviour| !misbehaviour.is_local()).collect(),
            per_node: dice.within(1, 3) as u32,
            non_signers: false,
        };
        let modelled = match Random::stream(seed, "swarm-services", 0).below(3) {
            0 => ServicesChoice::Modelled,
            _ => ServicesChoice::Ideal,
        };
        Self {
            name: SWARM.into(),
            nodes,
            sessions: dice.within(1, 3) as u32,
            signers: 2,
            max_signers: signers,
            workload_ms: dice.within(50, 30_000),
            cooldown_ms: 0,
            crypto: CryptoChoice::Real,
            crypto_slowness: default_slowness(),
            disk_us: some(dice, 20_000),
            bandwidth: match some(dice, 1_000_000).max(if dice.below(2) == 0 { 0 } else { 20_000 }) {
                0 => 0,
                // Over less than this no session comes to its end in time.
                bytes_per_second => bytes_per_second.max(1_000),
            },
            services: modelled,
            discovery: false,
            bootstrap: 0,
            nat: NatParams::swarm(seed),
            latency,
            link,
            faults,
            adversaries,
        }
    }

    /// The schedule that a seed makes of this scenario.
    #[must_use]
    pub fn schedule(&self, seed: u64) -> Schedule {
        let mut schedule = Schedule::new(seed, self.nodes + self.faults.forks + self.relays());
        schedule.scenario.clone_from(&self.name);
        (schedule.crypto, schedule.crypto_slowness) = (self.crypto, self.crypto_slowness);
        schedule.disk_us = self.disk_us;
        schedule.bandwidth = (self.bandwidth > 0).then_some(self.bandwidth);
        (schedule.services, schedule.discovery) = (self.services, self.discovery);
        schedule.bootstrap = self.bootstrap;
        schedule.latency = self.latency.clone();
        let random = Random::stream(seed, "scenario", 0);
        let mut draw = Draw { scenario: self, schedule, random };
        draw.sessions();
        draw.network();
        draw.machines();
        draw.adversaries();
        draw.nats();
        draw.outages();
        let mut schedule = draw.schedule;
        schedule.steps.sort_by_key(|step| step.at_ms);
        schedule.until_ms = schedule.healed_ms() + if self.cooldown_ms > 0 { self.cooldown_ms } else { SETTLING_MS };
        schedule
    }
}

/// Replaces one value of a table.
fn set(table: &mut toml::Table, setting: &str) -> Result<(), String> {
    let (key, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` is not key=value"))?;
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut place = table;
    for part in parts {
        let inner = place.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = inner.as_table_mut().ok_or_else(|| format!("`{part}` in `{key}` is no table"))?;
    }
    // What is no value of TOML is a text.
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}")).ok();
    let value = parsed.and_then(|mut parsed| parsed.remove("value"));
    place.insert(last.into(), value.unwrap_or_else(|| toml::Value::String(setting[key.len() + 1..].trim().into())));
    Ok(())
}

/// A schedule in the making.
struct Draw<'a> {
    scenario: &'a Scenario,
    schedule: Schedule,
    random: Random,
}

impl Draw<'_> {
    fn step(&mut self, at_ms: u64, event: ScheduledEvent) {
        self.schedule.steps.push(Step { at_ms, event });
    }

    fn moment(&mut self) -> u64 {
        WARM_UP_MS + self.random.below(self.scenario.workload_ms.max(1))
    }

    fn node(&mut self) -> u32 {
        self.random.below(u64::from(self.scenario.nodes)) as u32
    }

    fn sessions(&mut self) {
        let Scenario { sessions, signers, .. } = *self.scenario;
        let nodes = self.scenario.possible_signers();
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
            self.step(at, ScheduledEvent::Create { node, signers, suite });
        }
    }

    fn network(&mut self) {
        let busy_until = WARM_UP_MS + self.scenario.workload_ms + 5_000;
        let LinkParams { loss, duplication, reordering, reorder_delay_ms } = self.scenario.link;
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

    fn machines(&mut self) {
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
    fn nats(&mut self) {
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
            if faults.crashes > 0 && random.below(2) == 0 {
                let at = WARM_UP_MS + random.below(workload_ms.max(1));
                let up = at + random.within(1, faults.down_ms.max(1));
                self.step(at, ScheduledEvent::Crash { node: relay, silent: random.below(2) == 0 });
                self.step(up, ScheduledEvent::Restart { node: relay });
            }
        }
    }

    /// The networks of whole regions, from a stream of their own as well.
    fn outages(&mut self) {
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

    fn adversaries(&mut self) {
        let AdversaryParams { nodes, misbehaviours, per_node, non_signers } = &self.scenario.adversaries;
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
