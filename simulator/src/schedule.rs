//! A schedule: everything that a simulation's outcome depends on besides the code, written down.
//!
//! Invariant: the same schedule gives the same run, byte for byte. A scenario and a seed make one; a failing one is
//! saved, shrunk and replayed. Times are milliseconds since the start.

use nelumbo_core::election::Method;
use serde::{Deserialize, Serialize};

use crate::engine::Nanos;
use crate::network::{
    Direction, Latency, LinkConditions, LinkWindow, Nat, Nats, NetworkModel, NodeSet, Partition, REGIONS,
};
use crate::random::Random;

/// Nanoseconds in a millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// Which cryptography the nodes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CryptoChoice {
    /// The one of production.
    #[default]
    Real,
    /// The stand-in, free of charge.
    Toy,
    /// The stand-in, each node charged what the real one costs.
    ToyCharged,
}

impl CryptoChoice {
    /// What outputs call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Toy => "toy",
            Self::ToyCharged => "toy-charged",
        }
    }
}

/// How long messages take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LatencyChoice {
    /// Always as long.
    Fixed {
        /// How long.
        ms: u64,
    },
    /// Evenly drawn.
    Uniform {
        /// The least.
        low_ms: u64,
        /// The most.
        high_ms: u64,
    },
    /// Most near the median, a few far above it.
    LogNormal {
        /// The least.
        least_ms: u64,
        /// The median of what comes on top.
        median_ms: u64,
        /// The spread of its logarithm.
        sigma: f64,
    },
    /// As measured between regions; nodes are spread over all of them.
    Regions,
}

impl LatencyChoice {
    fn latency(&self) -> Latency {
        match *self {
            Self::Fixed { ms } => Latency::Fixed(ms * MILLISECOND),
            Self::Uniform { low_ms, high_ms } => {
                let low = low_ms.max(1);
                Latency::Uniform { low: low * MILLISECOND, span: high_ms.saturating_sub(low) * MILLISECOND }
            }
            Self::LogNormal { least_ms, median_ms, sigma } => {
                Latency::log_normal(least_ms.max(1) * MILLISECOND, median_ms * MILLISECOND, sigma)
            }
            Self::Regions => Latency::regions(),
        }
    }
}

/// What the network's services are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServicesChoice {
    /// Ideal ones: records one hop away, gossip over a mesh that stands fast.
    #[default]
    Ideal,
    /// Models of Kademlia and gossipsub.
    Modelled,
    /// None: signers know each other, and nobody is looked for.
    None,
}

/// The rules of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteChoice {
    /// Lotus.
    #[default]
    Lotus,
    /// Bitcoin's.
    Bip340,
}

/// What a node does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misbehaviour {
    /// Keeps its nonces to itself.
    WithholdNonces,
    /// Keeps its partial signatures to itself, and the signature that it makes of the others'.
    WithholdPartials,
    /// Sends partial signatures that are none.
    InvalidPartials,
    /// Sends public nonces that are none.
    InvalidNonces,
    /// Shows different signers different nonces.
    Equivocate,
    /// Signs again with the same nonce: a second partial signature in one attempt.
    SignTwice,
    /// Sends old messages of others and its own again.
    Replay,
    /// Sends many messages, some of which cost whoever gets them a look at a signature.
    Flood,
    /// Passes messages on with one bit changed, in the name of their authors.
    Tamper,
    /// Joins each session and aborts it.
    AbortGriefing,
    /// Never broadcasts when it is its turn.
    SilentCoordinator,
    /// Takes every signature for its own to broadcast.
    BroadcastOutOfTurn,
    /// Sets its clock back and forth by days.
    ClockManipulation,
    /// Tells its owner a signature that is none.
    FalseSignature,
    /// Keeps more than the limits allow.
    ExceedLimits,
    /// Stops with a panic when it is its turn to broadcast.
    Panic,
    /// Says that it has broadcast when it has not.
    LyingCoordinator,
    /// Announces one session to some signers and another message to the others.
    WrongTransaction,
    /// Appears as ever more signers, each with a key and a peer of its own.
    Sybils,
    /// Stands beside a signer's record in the hash table, and leads whoever asks to its fellows alone.
    Eclipse,
    /// Stands beside a signer's record in the hash table, and answers with records that are none.
    Poison,
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::WithholdNonces,
        Self::WithholdPartials,
        Self::InvalidPartials,
        Self::InvalidNonces,
        Self::Equivocate,
        Self::SignTwice,
        Self::Replay,
        Self::Flood,
        Self::Tamper,
        Self::AbortGriefing,
        Self::SilentCoordinator,
        Self::BroadcastOutOfTurn,
        Self::ClockManipulation,
        Self::FalseSignature,
        Self::ExceedLimits,
        Self::Panic,
        Self::LyingCoordinator,
        Self::WrongTransaction,
        Self::Sybils,
        Self::Eclipse,
        Self::Poison,
    ];
}

impl Misbehaviour {
    /// Whether it harms nobody but the node's own owner, so that only checkers notice it.
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(self, Self::FalseSignature | Self::ExceedLimits | Self::BroadcastOutOfTurn | Self::Panic)
    }
}

/// Something that happens from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum ScheduledEvent {
    /// A node starts a session.
    Create {
        /// The node.
        node: u32,
        /// All signers, the node among them.
        signers: Vec<u32>,
        /// The rules.
        #[serde(default)]
        suite: SuiteChoice,
    },
    /// A node stops at once. Its peers see the connections close, unless the power has failed.
    Crash {
        /// The node.
        node: u32,
        /// Whether its peers are left to find out.
        #[serde(default)]
        silent: bool,
    },
    /// A crashed node starts again with what its disk holds.
    Restart {
        /// The node.
        node: u32,
    },
    /// A node is copied while it runs, with its disk: both go on, with one key.
    Fork {
        /// The node.
        node: u32,
        /// The number that its copy has on the network; nobody else may have it.
        copy: u32,
    },
    /// A node's clock is set.
    Jump {
        /// The node.
        node: u32,
        /// By how much.
        ms: i64,
    },
    /// A node's clock runs faster or slower from now on.
    Drift {
        /// The node.
        node: u32,
        /// By how many millionths.
        ppm: i32,
    },
    /// A node's disk takes this long from now on.
    Disk {
        /// The node.
        node: u32,
        /// How long, in microseconds.
        us: u64,
    },
    /// A node's disk takes nothing for a while.
    DiskFull {
        /// The node.
        node: u32,
        /// Until when.
        until_ms: u64,
    },
    /// Some nodes cannot reach the others for a while.
    Partition {
        /// Until when.
        until_ms: u64,
        /// Those nodes.
        members: Vec<u32>,
        /// In which direction.
        #[serde(default)]
        direction: Direction,
        /// Comes and goes with this half period; 0 stays.
        #[serde(default)]
        flapping_ms: u64,
    },
    /// The network is unreliable for a while; shares are in millionths.
    LinkConditions {
        /// Until when.
        until_ms: u64,
        /// How many messages are lost.
        #[serde(default)]
        loss: u32,
        /// How many arrive twice.
        #[serde(default)]
        duplication: u32,
        /// How many are held back.
        #[serde(default)]
        reordering: u32,
        /// For how long at most.
        #[serde(default)]
        reorder_delay_ms: u64,
    },
    /// A node does from now on what it should not.
    Misbehaviour {
        /// The node.
        node: u32,
        /// What.
        misbehaviour: Misbehaviour,
        /// Whether checkers take the node for honest all the same: a defect, to see them fire.
        #[serde(default)]
        broken: bool,
    },
}

impl ScheduledEvent {
    /// The node that it happens to, where it is one.
    #[must_use]
    pub const fn node(&self) -> Option<u32> {
        match self {
            Self::Create { node, .. }
            | Self::Crash { node, .. }
            | Self::Restart { node }
            | Self::Fork { node, .. }
            | Self::Jump { node, .. }
            | Self::Drift { node, .. }
            | Self::Disk { node, .. }
            | Self::DiskFull { node, .. }
            | Self::Misbehaviour { node, .. } => Some(*node),
            Self::Partition { .. } | Self::LinkConditions { .. } => None,
        }
    }
}

/// Something that happens from outside, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub event: ScheduledEvent,
}

/// Everything that a simulation's outcome depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The scenario that it was made from.
    pub scenario: String,
    /// What every random choice in the run follows from.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: u32,
    /// When it ends.
    pub until_ms: u64,
    /// The cryptography.
    #[serde(default)]
    pub crypto: CryptoChoice,
    /// How many times as slow the nodes' devices are as the one whose cryptography was measured, where they are charged.
    #[serde(default = "default_slowness", skip_serializing_if = "is_default_slowness")]
    pub crypto_slowness: u32,
    /// How sessions choose who broadcasts.
    #[serde(default = "default_election", skip_serializing_if = "is_default_election")]
    pub election: Method,
    /// How long a record takes to become durable, in microseconds.
    #[serde(default)]
    pub disk_us: u64,
    /// Each node's uplink in bytes a second; without, it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// Nodes whose messages take longer.
    #[serde(default)]
    pub slow: Vec<u32>,
    /// By how much.
    #[serde(default)]
    pub slow_ms: u64,
    /// How many sessions a node keeps; without, as many as in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_limit: Option<u32>,
    /// Whether bad weather loses presences too, which nodes send once to each connection; without, the transport repeats
    /// them.
    #[serde(default)]
    pub loses_presences: bool,
    /// What the hash table and gossip are.
    #[serde(default)]
    pub services: ServicesChoice,
    /// Whether signers know nobody: they find each other through the services.
    #[serde(default)]
    pub discovery: bool,
    /// How many nodes, those with the lowest numbers, the others know when they start, where the hash table is Kademlia.
    /// They look for everyone else, and dial whom they ask. 0 gives them tables as after a long time, and free dials.
    #[serde(default)]
    pub bootstrap: u32,
    /// What stands between each node and the network; without, nothing stands before any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nats: Vec<Nat>,
    /// Nodes that relay for those behind NATs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<u32>,
    /// How long messages take.
    pub latency: LatencyChoice,
    /// What happens, in any order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

pub(crate) const fn default_slowness() -> u32 {
    1
}

const fn is_default_slowness(slowness: &u32) -> bool {
    *slowness == default_slowness()
}

/// It has the most to go wrong.
const fn default_election() -> Method {
    Method::HashBased
}

fn is_default_election(method: &Method) -> bool {
    *method == default_election()
}

impl Schedule {
    /// A fair world without anything to do.
    #[must_use]
    pub fn new(seed: u64, nodes: u32) -> Self {
        Self {
            scenario: "custom".into(),
            seed,
            nodes,
            until_ms: 60_000,
            crypto: CryptoChoice::Real,
            crypto_slowness: default_slowness(),
            election: default_election(),
            disk_us: 0,
            bandwidth: None,
            slow: Vec::new(),
            slow_ms: 0,
            sessions_limit: None,
            loses_presences: false,
            services: ServicesChoice::Ideal,
            discovery: false,
            bootstrap: 0,
            nats: Vec::new(),
            relays: Vec::new(),
            latency: LatencyChoice::Fixed { ms: 10 },
            steps: Vec::new(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn with(mut self, at_ms: u64, event: ScheduledEvent) -> Self {
        self.steps.push(Step { at_ms, event });
        self
    }

    /// Where each node is, in a world of regions.
    pub(crate) fn regions(&self) -> impl Iterator<Item = u8> {
        let mut random = Random::stream(self.seed, "regions", 0);
        (0..self.nodes).map(move |_| random.below(REGIONS.len() as u64) as u8)
    }

    /// The world that it describes.
    #[must_use]
    pub fn network(&self) -> NetworkModel {
        let mut network = NetworkModel::new(self.nodes, self.latency.latency());
        if self.latency == LatencyChoice::Regions {
            network = network.with_regions(self.regions().collect());
        }
        if let Some(bandwidth) = self.bandwidth {
            network = network.with_bandwidth(bandwidth);
        }
        if !self.slow.is_empty() {
            network = network.with_slow(NodeSet::collect(self.slow.iter().copied()), self.slow_ms * MILLISECOND);
        }
        if !self.nats.is_empty() {
            network = network.with_nats(Nats::new(self.nats.clone().into(), self.relays.clone().into()));
        }
        for Step { at_ms, event } in &self.steps {
            let from = at_ms * MILLISECOND;
            match event {
                ScheduledEvent::Partition { until_ms, members, direction, flapping_ms } => {
                    let (until, flapping) = (until_ms * MILLISECOND, flapping_ms * MILLISECOND);
                    let members = NodeSet::collect(members.iter().copied());
                    network =
                        network.with_partition(Partition { from, until, members, direction: *direction, flapping });
                }
                ScheduledEvent::LinkConditions { until_ms, loss, duplication, reordering, reorder_delay_ms } => {
                    let (until, reorder_delay) = (until_ms * MILLISECOND, reorder_delay_ms * MILLISECOND);
                    let conditions = LinkConditions {
                        loss: *loss,
                        duplication: *duplication,
                        reordering: *reordering,
                        reorder_delay,
                    };
                    network = network.with_link_window(LinkWindow { from, until, conditions });
                }
                _ => {}
            }
        }
        network
    }

    /// When the last of all faults has ended. Sessions are no faults, and neither are deeds: those go on.
    #[must_use]
    pub fn healed_ms(&self) -> u64 {
        let ends = self.steps.iter().map(|Step { at_ms, event }| match event {
            ScheduledEvent::Partition { until_ms, .. }
            | ScheduledEvent::LinkConditions { until_ms, .. }
            | ScheduledEvent::DiskFull { until_ms, .. } => *until_ms,
            _ => *at_ms,
        });
        ends.max().unwrap_or(0)
    }

    /// Whether every node that is named exists and relays can be dialled, and no step is after the end.
    ///
    /// # Errors
    /// The first fault, in words.
    pub fn check(&self) -> Result<(), String> {
        let exists = |node: &u32| {
            if *node < self.nodes { Ok(()) } else { Err(format!("there is no node {node}, only {}", self.nodes)) }
        };
        for Step { at_ms, event } in &self.steps {
            if at_ms > &self.until_ms {
                return Err(format!("a step at {at_ms} ms is after the end at {} ms", self.until_ms));
            }
            event.node().iter().try_for_each(exists)?;
            match event {
                ScheduledEvent::Create { node, signers, .. } => {
                    signers.iter().try_for_each(exists)?;
                    if !signers.contains(node) {
                        return Err(format!("node {node} starts a session that it is no signer of"));
                    }
                }
                ScheduledEvent::Partition { members, .. } => members.iter().try_for_each(exists)?,
                ScheduledEvent::Fork { copy, .. } => exists(copy)?,
                _ => {}
            }
        }
        self.slow.iter().chain(&self.relays).try_for_each(exists)?;
        if !self.nats.is_empty() && self.nats.len() != self.nodes as usize {
            return Err(format!("there are {} nodes and {} NAT classes", self.nodes, self.nats.len()));
        }
        let hidden =
            self.relays.iter().find(|relay| self.nats.get(**relay as usize).is_some_and(|nat| !nat.is_dialable()));
        hidden.map_or(Ok(()), |relay| Err(format!("node {relay} relays, and nobody can dial it")))
    }

    /// As a file.
    ///
    /// # Panics
    /// Never: every schedule has a form in TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a schedule has nothing that TOML lacks")
    }

    /// From a file.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let schedule: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        schedule.check()?;
        Ok(schedule)
    }
}
