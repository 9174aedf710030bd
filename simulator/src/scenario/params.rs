//! The parameters of a scenario: how unreliable links are, which faults there are, who misbehaves, who is behind a NAT.

use serde::{Deserialize, Serialize};

use crate::network::Nat;
use crate::random::Random;
use crate::schedule::{LatencyChoice, Misbehaviour};
use crate::settings::units;

/// How unreliable links are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinkParams {
    /// The share of messages that are lost.
    #[serde(with = "units::share")]
    pub loss: u32,
    /// The share of messages that arrive twice.
    #[serde(with = "units::share")]
    pub duplication: u32,
    /// The share of messages that are held back, so that later ones overtake them.
    #[serde(with = "units::share")]
    pub reordering: u32,
    /// How long a message is held back at most.
    #[serde(rename = "reorder-delay", with = "units::millis")]
    pub reorder_delay_ms: u64,
    /// Whether presences, which nodes send once to each connection, are lost like other messages; if not, the transport
    /// repeats them.
    pub loses_presences: bool,
}

/// How long messages take, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum LatencyParams {
    /// Every message takes as long.
    Fixed {
        /// How long.
        #[serde(rename = "time", with = "units::millis")]
        time_ms: u64,
    },
    /// Drawn evenly between two bounds.
    Uniform {
        /// The least.
        #[serde(rename = "least", with = "units::millis")]
        least_ms: u64,
        /// The most.
        #[serde(rename = "most", with = "units::millis")]
        most_ms: u64,
    },
    /// Log-normal: most near the median, a few far above it.
    LogNormal {
        /// The least.
        #[serde(rename = "least", with = "units::millis")]
        least_ms: u64,
        /// The median of what comes on top of the least.
        #[serde(rename = "median", with = "units::millis")]
        median_ms: u64,
        /// The spread of the logarithm of what comes on top.
        sigma: f64,
    },
    /// As measured between regions; nodes are spread over all of them.
    Regions,
}

impl LatencyParams {
    /// The names of the fields of all kinds.
    pub(super) const FIELDS: [&str; 6] = ["kind", "time", "least", "most", "median", "sigma"];

    pub(super) const fn choice(self) -> LatencyChoice {
        match self {
            Self::Fixed { time_ms } => LatencyChoice::Fixed { ms: time_ms },
            Self::Uniform { least_ms, most_ms } => LatencyChoice::Uniform { low_ms: least_ms, high_ms: most_ms },
            Self::LogNormal { least_ms, median_ms, sigma } => LatencyChoice::LogNormal { least_ms, median_ms, sigma },
            Self::Regions => LatencyChoice::Regions,
        }
    }
}

/// How many faults of each kind there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultParams {
    /// Partitions.
    pub partitions: u32,
    /// How long each lasts at most.
    #[serde(rename = "partition-length", with = "units::millis")]
    pub partition_ms: u64,
    /// Whether they may cut one way only, and come and go.
    pub asymmetric_partitions: bool,
    /// Regions in which nobody has a network for a while, where latencies are those between regions.
    pub outages: u32,
    /// How long each lasts at most.
    #[serde(rename = "outage-length", with = "units::millis")]
    pub outage_ms: u64,
    /// Crashes, each followed by a restart.
    pub crashes: u32,
    /// How long a crashed node stays down at most.
    #[serde(rename = "down-time", with = "units::millis")]
    pub down_ms: u64,
    /// Disks that fill up for a while.
    pub full_disks: u32,
    /// How often a wall clock is set to another time.
    pub jumps: u32,
    /// By how much at most.
    #[serde(rename = "jump", with = "units::millis")]
    pub jump_ms: u32,
    /// Machines whose wall clock is wrong when they boot, at the beginning or after a crash, and is corrected later.
    pub wrong_clocks: u32,
    /// By how much at most; some begin at the origin of time.
    #[serde(rename = "clock-error", with = "units::millis")]
    pub wrong_clock_ms: u64,
    /// Machines that sleep: their monotonic clock stands still, and their wall clock goes on.
    pub sleeps: u32,
    /// For how long at most.
    #[serde(rename = "sleep-length", with = "units::millis")]
    pub sleep_ms: u64,
    /// By how much clocks drift at most.
    #[serde(rename = "drift", with = "units::share")]
    pub drift_ppm: u32,
    /// Nodes that are copied while they run.
    pub forks: u32,
    /// How often a machine is resumed from a snapshot of its memory, taken when no nonce was open.
    pub snapshots: u32,
    /// How old such a snapshot is at most.
    #[serde(rename = "snapshot-age", with = "units::millis")]
    pub snapshot_age_ms: u64,
    /// Slow nodes.
    pub slow: u32,
    /// By how much.
    #[serde(rename = "slow-delay", with = "units::millis")]
    pub slow_ms: u64,
}

/// People, what they sign with, and when they come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PeopleParams {
    /// Owners who look at what they are asked to approve after a while, which is drawn for each request.
    pub slow_owners: u32,
    /// How long they take at least.
    #[serde(rename = "answer-least", with = "units::millis")]
    pub answer_least_ms: u64,
    /// How long they take at most.
    #[serde(rename = "answer-most", with = "units::millis")]
    pub answer_most_ms: u64,
    /// Signers that are devices.
    pub devices: u32,
    /// How long a device and its person take at most.
    #[serde(rename = "device-time", with = "units::millis")]
    pub device_ms: u64,
    /// How often a device is out of reach for a while.
    pub device_absences: u32,
    /// For how long at most.
    #[serde(rename = "device-away", with = "units::millis")]
    pub device_away_ms: u64,
    /// How often a device is restarted.
    pub device_restarts: u32,
    /// Nodes that have message keys, to which their signers delegate.
    pub delegates: u32,
    /// Within which time nodes start, one by one, but for those who create sessions; 0 if all are there at once.
    #[serde(rename = "arrivals", with = "units::millis")]
    pub arrivals_ms: u64,
}

impl PeopleParams {
    /// What a seed of the swarm draws, from a stream of its own.
    pub(super) fn swarm(seed: u64, nodes: u32) -> Self {
        let mut random = Random::stream(seed, "swarm-people", 0);
        let dice = &mut random;
        let nodes = u64::from(nodes);
        let mut people = Self::default();
        if dice.below(3) == 0 {
            people.slow_owners = dice.within(1, nodes) as u32;
            people.answer_most_ms = [600_000, 3_600_000, 3 * 3_600_000][dice.below(3) as usize];
            people.answer_least_ms = dice.below(people.answer_most_ms / 2);
        }
        if dice.below(3) == 0 {
            people.devices = dice.within(1, nodes) as u32;
            people.device_ms = dice.within(1, 120_000);
            people.device_absences = dice.below(3) as u32;
            people.device_away_ms = dice.within(1, 1_800_000);
            people.device_restarts = dice.below(4) as u32;
        }
        if dice.below(4) == 0 {
            people.arrivals_ms = dice.within(1, 600_000);
        }
        if dice.below(3) == 0 {
            people.delegates = dice.within(1, nodes) as u32;
        }
        people
    }
}

/// Which nodes misbehave, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdversaryParams {
    /// How many nodes misbehave.
    pub nodes: u32,
    /// The misbehaviours: each of these nodes does some of them.
    pub misbehaviours: Vec<Misbehaviour>,
    /// How many of the misbehaviours each does; 0 is all.
    pub per_node: u32,
    /// Whether they take part in no session: they are the nodes with the highest numbers.
    pub non_signers: bool,
    /// Whether all relays censor what they carry, besides.
    pub relays: bool,
}

/// NATs: the share that each class has in all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NatParams {
    /// Nodes that anyone can dial.
    pub public: u32,
    /// Nodes behind a NAT that is open to anyone.
    pub full_cone: u32,
    /// Nodes behind a NAT that is open to hosts that the node has sent to.
    pub restricted: u32,
    /// Nodes behind a NAT that is open to ports that the node has sent to.
    pub port_restricted: u32,
    /// Nodes behind a NAT that has another port for each receiver.
    pub symmetric: u32,
    /// How many nodes there are on top that relay for the others, are public, and sign nothing.
    pub relays: u32,
}

impl NatParams {
    pub(super) const fn shares(&self) -> [(Nat, u32); 5] {
        [
            (Nat::Public, self.public),
            (Nat::FullCone, self.full_cone),
            (Nat::Restricted, self.restricted),
            (Nat::PortRestricted, self.port_restricted),
            (Nat::Symmetric, self.symmetric),
        ]
    }

    /// Whether any node is behind a NAT.
    pub(super) fn is_any(&self) -> bool {
        self.shares().iter().any(|(nat, share)| *nat != Nat::Public && *share > 0)
    }

    /// What a seed of the swarm draws, from a stream of its own. There is a relay, so that everybody can meet.
    pub(super) fn swarm(seed: u64) -> Self {
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
