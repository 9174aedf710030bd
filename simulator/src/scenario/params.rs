//! The parameters of a scenario: how unreliable links are, which faults there are, who misbehaves, who is behind a NAT.

use serde::{Deserialize, Serialize};

use crate::network::Nat;
use crate::random::Random;
use crate::schedule::Misbehaviour;

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
