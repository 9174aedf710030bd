//! Scenarios: the kind of network, the number of sessions, the faults. A scenario and a seed make a schedule.
//!
//! Invariant: a schedule follows from the scenario and the seed alone. Faults begin after the nodes have met and end
//! before the time of healing, so that everything honest must come to its end.

mod draw;
mod parameters;
mod params;

use std::time::Duration;

use nelumbo_core::api::Limits;
use nelumbo_core::crypto::Network;
use nelumbo_core::election::Method;
use serde::{Deserialize, Serialize};

use crate::network::Transport;
use crate::random::Random;
use crate::schedule::{CryptoChoice, Misbehaviour, Schedule, ServicesChoice, default_election, default_slowness};
use crate::settings::{Overlay, Protocol, Setting, Time, Unsound, core_config, units, with_nearest};
use draw::ScheduleBuilder;

pub use parameters::names as parameter_names;
pub use params::{AdversaryParams, FaultParams, LatencyParams, LinkParams, NatParams, PeopleParams};

/// When the first session is created: the nodes have met by then.
const WARM_UP_MS: u64 = 2_000;

/// A kind of simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// How many nodes.
    pub nodes: u32,
    /// How many sessions.
    pub sessions: u32,
    /// How many signers each has, at least.
    pub signers: u32,
    /// How many signers each has at most; 0 for as many as at least.
    #[serde(default)]
    pub max_signers: u32,
    /// How many messages each session signs at most; 0 for one.
    #[serde(default)]
    pub max_items: u32,
    /// For how long sessions are created and faults happen.
    #[serde(rename = "workload", with = "units::millis")]
    pub workload_ms: u64,
    /// For how long the simulation goes on after that; 0 is long enough for everything honest to come to its end.
    #[serde(default, rename = "cooldown", with = "units::millis")]
    pub cooldown_ms: u64,
    /// The cryptography.
    #[serde(default)]
    pub crypto: CryptoChoice,
    /// How many times as slow the nodes' devices are as the one whose cryptography was measured, for `toy-charged`.
    #[serde(default = "default_slowness")]
    pub crypto_slowness: u32,
    /// How sessions choose who broadcasts.
    #[serde(default = "default_election")]
    pub election: Method,
    /// How long a record takes to become durable.
    #[serde(default, rename = "disk", with = "units::micros")]
    pub disk_us: u64,
    /// Each node's uplink.
    #[serde(default, with = "units::rate")]
    pub bandwidth: u64,
    /// What carries messages: lossy datagrams, or streams over TCP or QUIC.
    #[serde(default)]
    pub transport: Transport,
    /// Whether the hash table and gossip are ideal or modelled.
    #[serde(default)]
    pub services: ServicesChoice,
    /// Whether signers know nobody: they find each other through the services.
    #[serde(default)]
    pub discovery: bool,
    /// How many nodes the others know when they start, where services are modelled; 0 gives them full tables.
    #[serde(default)]
    pub bootstrap: u32,
    /// How long messages take.
    pub latency: LatencyParams,
    /// NATs.
    #[serde(default)]
    pub nat: NatParams,
    /// The network's reliability.
    #[serde(default)]
    pub link: LinkParams,
    /// Faults.
    #[serde(default)]
    pub faults: FaultParams,
    /// People.
    #[serde(default)]
    pub people: PeopleParams,
    /// Adversaries.
    #[serde(default)]
    pub adversaries: AdversaryParams,
    /// How nodes keep sessions and announcements; what is not set is as in production.
    #[serde(default, skip_serializing_if = "Overlay::is_default", serialize_with = "Overlay::serialize_changes")]
    pub protocol: Overlay<Protocol>,
    /// How much of everything nodes take and keep; what is not set is as in production.
    #[serde(default, skip_serializing_if = "Overlay::is_default", serialize_with = "Overlay::serialize_changes")]
    pub limits: Overlay<Limits>,
}

const READY: [(&str, &str); 19] = [
    ("quiet", include_str!("../../scenarios/quiet.toml")),
    ("lossy", include_str!("../../scenarios/lossy.toml")),
    ("partition", include_str!("../../scenarios/partition.toml")),
    ("crash-storm", include_str!("../../scenarios/crash-storm.toml")),
    ("byzantine", include_str!("../../scenarios/byzantine.toml")),
    ("flood", include_str!("../../scenarios/flood.toml")),
    ("eclipse", include_str!("../../scenarios/eclipse.toml")),
    ("churn", include_str!("../../scenarios/churn.toml")),
    ("discovery", include_str!("../../scenarios/discovery.toml")),
    ("people", include_str!("../../scenarios/people.toml")),
    ("crowd", include_str!("../../scenarios/crowd.toml")),
    ("snapshots", include_str!("../../scenarios/snapshots.toml")),
    ("strangers", include_str!("../../scenarios/strangers.toml")),
    ("pester", include_str!("../../scenarios/pester.toml")),
    ("censor", include_str!("../../scenarios/censor.toml")),
    ("nat", include_str!("../../scenarios/nat.toml")),
    ("failover-cascade", include_str!("../../scenarios/failover-cascade.toml")),
    ("planet", include_str!("../../scenarios/planet.toml")),
    ("million", include_str!("../../scenarios/million.toml")),
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

    /// Reads a scenario from TOML, with some of its values replaced as by [`with`](Self::with).
    ///
    /// # Errors
    /// What is wrong, in words, with the line of the text where it is there.
    pub fn from_toml(text: &str, settings: &[String]) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            format!("line {line}: {}", with_nearest(error.message()))
        })?;
        scenario.with(settings)
    }

    /// The same with some of its values replaced: each setting is `name=value`, the name with dots between tables and
    /// what is in them, or just the end of it where no other parameter has the same.
    ///
    /// # Errors
    /// What is wrong, in words: an unknown name with the nearest that there is, an impossible value with its field.
    pub fn with(&self, settings: &[String]) -> Result<Self, String> {
        let settings = settings.iter().map(|text| text.parse()).collect::<Result<Vec<Setting>, _>>()?;
        self.with_settings(settings)
    }

    /// The same for settings that have been read.
    ///
    /// # Errors
    /// As those of [`with`](Self::with).
    pub fn with_settings(&self, settings: impl IntoIterator<Item = Setting>) -> Result<Self, String> {
        let mut table = self.table();
        for setting in settings {
            let setting = setting.among(parameters::names())?;
            setting.put(&mut table)?;
            // What is no value of the field is told with its name. Fields of another kind may be missing until the end.
            let wrong = |error: toml::de::Error| {
                let (name, message) = (setting.name(), with_nearest(error.message()));
                let has_no_unit = setting.value().is_integer() && message.contains("expected a string");
                let hint = if has_no_unit { "; write its unit, such as \"500ms\", \"10%\" or \"1MB/s\"" } else { "" };
                format!("{name}: {message}{hint}")
            };
            match table.clone().try_into::<Self>() {
                Err(error) if !error.message().starts_with("missing field") => return Err(wrong(error)),
                _ => {}
            }
        }
        let scenario: Self = table.try_into().map_err(|error: toml::de::Error| with_nearest(error.message()))?;
        scenario.check()?;
        Ok(scenario)
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("a scenario has nothing that TOML lacks")
    }

    /// The text of this scenario: what differs from the defaults, and what has none.
    #[must_use]
    pub fn to_toml(&self) -> String {
        parameters::text(self)
    }

    fn check(&self) -> Result<(), String> {
        let unsound = |setting: &str, value: &dyn ToString, allowed: &str| {
            let (setting, value, allowed) = (setting.to_owned(), value.to_string(), allowed.to_owned());
            Err(Unsound { setting, value, allowed }.to_string())
        };
        let most = self.possible_signers().min(128);
        let signers = "2 to 128, and no more than there are nodes to sign";
        if self.signers < 2 || self.signers > most {
            return unsound("signers", &self.signers, signers);
        }
        if self.most() > most {
            return unsound("max-signers", &self.max_signers, signers);
        }
        if self.people.answer_least_ms > self.people.answer_most_ms {
            let least = Time(Duration::from_millis(self.people.answer_least_ms));
            return unsound("people.answer-least", &least, "no more than people.answer-most");
        }
        if self.max_items > 1_024 {
            return unsound("max-items", &self.max_items, "0 to 1024");
        }
        if self.crypto_slowness == 0 {
            return unsound("crypto-slowness", &0, "1 or more; `crypto = \"toy\"` charges nothing");
        }
        if self.faults.outages > 0 && self.latency != LatencyParams::Regions {
            return Err("faults.outages need regions: set latency.kind to regions".into());
        }
        if let LatencyParams::Uniform { least_ms, most_ms } = self.latency
            && least_ms > most_ms
        {
            return Err("latency.least is above latency.most".into());
        }
        if let LatencyParams::LogNormal { sigma, .. } = self.latency
            && !(0.0..=10.0).contains(&sigma)
        {
            return unsound("latency.sigma", &sigma, "0 to 10");
        }
        if self.adversaries.nodes > 0 && self.adversaries.misbehaviours.is_empty() {
            return Err("adversaries.nodes need adversaries.misbehaviours".into());
        }
        core_config(Network::Regtest, &self.protocol, &self.limits).map(drop).map_err(|unsound| unsound.to_string())
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

    /// The scenario that a seed draws: a few nodes with any mixture of faults.
    #[must_use]
    pub fn swarm(seed: u64) -> Self {
        let mut random = Random::stream(seed, "swarm", 0);
        let dice = &mut random;
        let some = |dice: &mut Random, most: u64| if dice.below(2) == 0 { 0 } else { dice.within(1, most) };
        let latency = match dice.below(4) {
            0 => LatencyParams::Fixed { time_ms: dice.within(1, 100) },
            1 => LatencyParams::Uniform { least_ms: dice.within(1, 20), most_ms: dice.within(21, 400) },
            2 => LatencyParams::LogNormal { least_ms: dice.within(1, 10), median_ms: dice.within(5, 150), sigma: 0.7 },
            _ => LatencyParams::Regions,
        };
        let few = dice.within(2, 4) as u32;
        let few_nodes = few + dice.within(0, 3) as u32;
        let Size { signers, nodes, items, is_large } = Size::swarm(seed, few, few_nodes);
        let link = LinkParams {
            loss: some(dice, 400_000) as u32,
            duplication: some(dice, 300_000) as u32,
            reordering: some(dice, 500_000) as u32,
            reorder_delay_ms: dice.within(1, 3_000),
            loses_presences: false,
        };
        // Streams of their own, so that the other choices of a seed stay what they were.
        let mut outages = Random::stream(seed, "swarm-outages", 0);
        let mut clocks = Random::stream(seed, "swarm-clocks", 0);
        let has_outage = latency == LatencyParams::Regions && outages.below(2) == 0;
        let faults = FaultParams {
            partitions: some(dice, 3) as u32,
            partition_ms: dice.within(100, 60_000),
            asymmetric_partitions: dice.below(2) == 0,
            outages: u32::from(has_outage),
            outage_ms: outages.within(1_000, 120_000),
            crashes: some(dice, 8) as u32,
            down_ms: dice.within(1, 30_000),
            full_disks: some(dice, 2) as u32,
            wrong_clocks: if clocks.below(4) == 0 { clocks.within(1, 2) as u32 } else { 0 },
            wrong_clock_ms: clocks.within(60_000, 2 * 86_400_000),
            sleeps: if clocks.below(3) == 0 { clocks.within(1, 3) as u32 } else { 0 },
            sleep_ms: clocks.within(20_000, 6 * 3_600_000),
            jumps: some(dice, 3) as u32,
            jump_ms: 60_000,
            drift_ppm: some(dice, 100_000) as u32,
            forks: u32::from(dice.below(8) == 0),
            snapshots: 0,
            snapshot_age_ms: 0,
            slow: some(dice, 2) as u32,
            slow_ms: dice.within(1, 2_000),
        };
        let is_byzantine = dice.below(3) == 0;
        let adversaries = AdversaryParams {
            nodes: if is_byzantine { dice.within(1, u64::from(few_nodes.min(3)) - 1).max(1) as u32 } else { 0 },
            misbehaviours: Misbehaviour::ALL.into_iter().filter(|misbehaviour| !misbehaviour.is_local()).collect(),
            per_node: dice.within(1, 3) as u32,
            non_signers: false,
            relays: Random::stream(seed, "swarm-censors", 0).below(3) == 0,
        };
        let people = PeopleParams::swarm(seed, few_nodes);
        // Over hours clocks must not part by more than nodes forgive each other.
        let is_short = PeopleParams { delegates: 0, ..people.clone() } == PeopleParams::default() && faults.sleeps == 0;
        let faults = match is_short {
            true => faults,
            false => FaultParams { drift_ppm: faults.drift_ppm.min(5_000), ..faults },
        };
        let mut services = Random::stream(seed, "swarm-services", 0);
        let modelled = match services.below(3) {
            // Meshes mend themselves each second: hours of that are many events, and the same ones.
            0 if people.slow_owners + faults.sleeps == 0 => ServicesChoice::Modelled,
            0 if signers == few && services.below(16) == 0 => ServicesChoice::Modelled,
            _ => ServicesChoice::Ideal,
        };
        Self {
            name: SWARM.into(),
            nodes,
            sessions: dice.within(1, 3) as u32,
            signers: 2,
            max_signers: signers,
            max_items: items,
            workload_ms: dice.within(50, 30_000),
            cooldown_ms: 0,
            crypto: if is_large { CryptoChoice::Toy } else { CryptoChoice::Real },
            crypto_slowness: default_slowness(),
            election: default_election(),
            disk_us: some(dice, 20_000),
            bandwidth: match some(dice, 1_000_000).max(if dice.below(2) == 0 { 0 } else { 20_000 }) {
                0 => 0,
                // Over less than this no session comes to its end in time.
                bytes_per_second => bytes_per_second.max(u64::from(signers * items).max(4) * 250),
            },
            transport: Transport::Datagram,
            services: modelled,
            discovery: false,
            bootstrap: 0,
            nat: NatParams::swarm(seed),
            latency,
            link,
            faults,
            people,
            adversaries,
            protocol: Overlay::default(),
            limits: Overlay::default(),
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
        schedule.transport = self.transport;
        (schedule.services, schedule.discovery) = (self.services, self.discovery);
        schedule.bootstrap = self.bootstrap;
        (schedule.latency, schedule.loses_presences) = (self.latency.choice(), self.link.loses_presences);
        (schedule.protocol, schedule.limits) = (self.protocol.clone(), self.limits.clone());
        schedule.election = self.election;
        let random = Random::stream(seed, "scenario", 0);
        let mut draw = ScheduleBuilder { scenario: self, schedule, random };
        draw.sessions();
        draw.network();
        draw.machines();
        draw.adversaries();
        draw.nats();
        draw.outages();
        draw.people();
        draw.clocks();
        draw.snapshots();
        let mut schedule = draw.schedule;
        schedule.steps.sort_by_key(|step| step.at_ms);
        schedule.until_ms =
            schedule.healed_ms() + if self.cooldown_ms > 0 { self.cooldown_ms } else { schedule.settling_ms() };
        schedule
    }
}

/// How large a world of the swarm is.
struct Size {
    signers: u32,
    nodes: u32,
    items: u32,
    /// Whether it has stand-in cryptography, which a large one needs to end soon.
    is_large: bool,
}

impl Size {
    /// A few signers who sign one message or a handful; now and then a hundred messages, or a crowd of signers, which
    /// may be as large as any. From a stream of its own.
    fn swarm(seed: u64, few: u32, few_nodes: u32) -> Self {
        let mut random = Random::stream(seed, "swarm-size", 0);
        let dice = &mut random;
        let items = if dice.below(3) == 0 { dice.within(2, 6) as u32 } else { 1 };
        let (lot, is_large) = (dice.below(1_024), dice.below(8) > 0);
        let crowd = dice.within(8, 24) as u32;
        match lot {
            0..16 => Self { signers: few, nodes: few_nodes, items: 100, is_large },
            16..32 => Self { signers: crowd, nodes: crowd, items, is_large },
            32 => Self { signers: 120, nodes: 120, items: 1, is_large: true },
            _ => Self { signers: few, nodes: few_nodes, items, is_large: false },
        }
    }
}
