//! The parameters of a scenario: how unreliable links are, which faults there are, who misbehaves, who is behind a NAT.

use serde::{Deserialize, Serialize};

use crate::network::Nat;
use crate::random::Random;
use crate::schedule::Misbehaviour;

/// How unreliable links are; shares in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkParams {
    /// The share of messages that are lost.
    pub loss: u32,
    /// The share of messages that arrive twice.
    pub duplication: u32,
    /// The share of messages that are held back, so that later ones overtake them.
    pub reordering: u32,
    /// How long a message is held back at most, in milliseconds.
    pub reorder_delay_ms: u64,
}

/// How many faults of each kind there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultParams {
    /// Partitions.
    pub partitions: u32,
    /// How long each lasts at most, in milliseconds.
    pub partition_ms: u64,
    /// Whether they may cut one way only, and come and go.
    pub asymmetric_partitions: bool,
    /// Regions in which nobody has a network for a while, where latencies are those between regions.
    pub outages: u32,
    /// How long each lasts at most, in milliseconds.
    pub outage_ms: u64,
    /// Crashes, each followed by a restart.
    pub crashes: u32,
    /// How long a crashed node stays down at most, in milliseconds.
    pub down_ms: u64,
    /// Disks that fill up for a while.
    pub full_disks: u32,
    /// How often a wall clock is set to another time.
    pub jumps: u32,
    /// By how much at most, in milliseconds.
    pub jump_ms: u32,
    /// Machines whose wall clock is wrong when they boot, at the beginning or after a crash, and is corrected later.
    pub wrong_clocks: u32,
    /// By how much at most, in milliseconds; some begin at the origin of time.
    pub wrong_clock_ms: u64,
    /// Machines that sleep: their monotonic clock stands still, and their wall clock goes on.
    pub sleeps: u32,
    /// For how long at most, in milliseconds.
    pub sleep_ms: u64,
    /// By how many millionths clocks drift at most.
    pub drift_ppm: u32,
    /// Nodes that are copied while they run.
    pub forks: u32,
    /// Slow nodes.
    pub slow: u32,
    /// By how much, in milliseconds.
    pub slow_ms: u64,
}

/// People, what they sign with, and when they come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeopleParams {
    /// Owners who look at what they are asked to approve after a while, which is drawn for each request.
    pub slow_owners: u32,
    /// How long they take at least, in milliseconds.
    pub answer_least_ms: u64,
    /// How long they take at most, in milliseconds.
    pub answer_most_ms: u64,
    /// Signers that are devices.
    pub devices: u32,
    /// How long a device and its person take at most, in milliseconds.
    pub device_ms: u64,
    /// How often a device is out of reach for a while.
    pub device_absences: u32,
    /// For how long at most, in milliseconds.
    pub device_away_ms: u64,
    /// How often a device is restarted.
    pub device_restarts: u32,
    /// Nodes that have message keys, to which their signers delegate.
    pub delegates: u32,
    /// Within which time nodes start, one by one, but for those who create sessions; 0 if all are there at once.
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
#[serde(default, deny_unknown_fields)]
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
#[serde(default, deny_unknown_fields)]
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
