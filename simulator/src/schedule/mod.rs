//! A schedule: everything that a simulation's outcome depends on besides the code.
//!
//! Invariant: the same schedule gives the same run, byte for byte. A scenario and a seed make one; a failing one is
//! saved, shrunk and replayed. Times are milliseconds since the start.

mod choices;
mod event;
mod misbehaviour;

use nelumbo_core::api::{Config, Limits};
use nelumbo_core::crypto::Network;
use nelumbo_core::election::Method;
use serde::{Deserialize, Serialize};

use crate::engine::Nanos;
use crate::network::{LinkConditions, LinkWindow, Nat, Nats, NetworkModel, NodeSet, Partition, REGIONS, Transport};
use crate::random::Random;
use crate::run::SETTLING_MS;
use crate::settings::{Overlay, Protocol, Unsound, core_config};

pub use choices::{CryptoChoice, LatencyChoice, ServicesChoice, SuiteChoice};
pub use event::ScheduledEvent;
pub use misbehaviour::Misbehaviour;

/// Nanoseconds in a millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// An event, and when it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The time of the event, in milliseconds.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub event: ScheduledEvent,
}

/// Everything that a simulation's outcome depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The scenario that it was made from.
    pub scenario: String,
    /// The seed of every random choice in the run.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: u32,
    /// When the run ends, in milliseconds.
    pub until_ms: u64,
    /// The cryptography.
    #[serde(default)]
    pub crypto: CryptoChoice,
    /// How many times as slow the nodes' devices are as the one whose cryptography was measured, where they are
    /// charged.
    #[serde(default = "default_slowness", skip_serializing_if = "is_default_slowness")]
    pub crypto_slowness: u32,
    /// How sessions choose who broadcasts.
    #[serde(default = "default_election", skip_serializing_if = "is_default_election")]
    pub election: Method,
    /// How long a record takes to become durable, in microseconds.
    #[serde(default)]
    pub disk_us: u64,
    /// Each node's uplink in bytes per second; unlimited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// What carries messages.
    #[serde(default, skip_serializing_if = "is_datagram")]
    pub transport: Transport,
    /// Nodes whose messages take longer.
    #[serde(default)]
    pub slow: Vec<u32>,
    /// By how much longer, in milliseconds.
    #[serde(default)]
    pub slow_ms: u64,
    /// Whether presences, which nodes send once to each connection, are lost like other messages; if not, the transport
    /// repeats them.
    #[serde(default)]
    pub loses_presences: bool,
    /// Whether the hash table and gossip are ideal or modelled.
    #[serde(default)]
    pub services: ServicesChoice,
    /// Whether signers know nobody: they find each other through the services.
    #[serde(default)]
    pub discovery: bool,
    /// How many nodes, those with the lowest numbers, the others know when they start, where the hash table is
    /// Kademlia. They look for everyone else, and dial whom they ask. 0 gives them tables as after a long time, and
    /// free dials.
    #[serde(default)]
    pub bootstrap: u32,
    /// The NAT of each node; if empty, all nodes are public.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nats: Vec<Nat>,
    /// Nodes that relay for those behind NATs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<u32>,
    /// How long messages take.
    pub latency: LatencyChoice,
    /// How nodes keep sessions and announcements; what is not set is as in production.
    #[serde(default, skip_serializing_if = "Overlay::is_default", serialize_with = "Overlay::serialize_changes")]
    pub protocol: Overlay<Protocol>,
    /// How much of everything nodes take and keep; what is not set is as in production.
    #[serde(default, skip_serializing_if = "Overlay::is_default", serialize_with = "Overlay::serialize_changes")]
    pub limits: Overlay<Limits>,
    /// The events, in any order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

pub(crate) const fn default_slowness() -> u32 {
    1
}

const fn is_default_slowness(slowness: &u32) -> bool {
    *slowness == default_slowness()
}

fn is_datagram(transport: &Transport) -> bool {
    *transport == Transport::Datagram
}

/// The method that depends on most, so that most can go wrong in it.
pub(crate) const fn default_election() -> Method {
    Method::HashBased
}

fn is_default_election(method: &Method) -> bool {
    *method == default_election()
}

impl Schedule {
    /// A reliable network without sessions and faults.
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
            transport: Transport::Datagram,
            slow: Vec::new(),
            slow_ms: 0,
            loses_presences: false,
            services: ServicesChoice::Ideal,
            discovery: false,
            bootstrap: 0,
            nats: Vec::new(),
            relays: Vec::new(),
            latency: LatencyChoice::Fixed { ms: 10 },
            protocol: Overlay::default(),
            limits: Overlay::default(),
            steps: Vec::new(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn with(mut self, at_ms: u64, event: ScheduledEvent) -> Self {
        self.steps.push(Step { at_ms, event });
        self
    }

    /// The region of each node.
    pub(crate) fn regions(&self) -> impl Iterator<Item = u8> {
        let mut random = Random::stream(self.seed, "regions", 0);
        (0..self.nodes).map(move |_| random.below(REGIONS.len() as u64) as u8)
    }

    /// The steps, by their place, in the order of their times.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        order.sort_by_key(|step| self.steps[*step].at_ms);
        order
    }

    /// The network that it describes.
    #[must_use]
    pub fn network(&self) -> NetworkModel {
        self.network_without(|_| false)
    }

    /// The network without the effects of some steps, by their place.
    pub(crate) fn network_without(&self, omits: impl Fn(usize) -> bool) -> NetworkModel {
        let mut network = NetworkModel::new(self.nodes, self.latency.latency()).with_transport(self.transport);
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
        for (place, Step { at_ms, event }) in self.steps.iter().enumerate() {
            let from = at_ms * MILLISECOND;
            match event {
                ScheduledEvent::Partition { until_ms, members, direction, flapping_ms } => {
                    // That there are partitions is known from the beginning, so one that does not happen is empty.
                    let until_ms = if omits(place) { at_ms } else { until_ms };
                    let (until, flapping) = (until_ms * MILLISECOND, flapping_ms * MILLISECOND);
                    let members = NodeSet::collect(members.iter().copied());
                    network =
                        network.with_partition(Partition { from, until, members, direction: *direction, flapping });
                }
                ScheduledEvent::LinkConditions { .. } if omits(place) => {}
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

    /// When the last fault has ended, and whoever was asked before has answered, in milliseconds. Sessions are no
    /// faults, and neither are misbehaviours, which go on.
    #[must_use]
    pub fn healed_ms(&self) -> u64 {
        let ends = self.steps.iter().map(|Step { at_ms, event }| match event {
            ScheduledEvent::Partition { until_ms, .. }
            | ScheduledEvent::LinkConditions { until_ms, .. }
            | ScheduledEvent::Sleep { until_ms, .. }
            | ScheduledEvent::DeviceAway { until_ms, .. }
            | ScheduledEvent::DiskFull { until_ms, .. } => *until_ms,
            _ => *at_ms,
        });
        let answers = self.steps.iter().map(|step| match step.event {
            ScheduledEvent::Owner { most_ms, .. } => most_ms,
            ScheduledEvent::Device { nonces_ms, partials_ms, .. } => nonces_ms + partials_ms,
            _ => 0,
        });
        ends.max().unwrap_or(0) + answers.max().unwrap_or(0)
    }

    /// How every node is configured.
    ///
    /// # Errors
    /// The first setting whose value makes no node.
    pub fn config(&self) -> Result<Config, Unsound> {
        core_config(Network::Regtest, &self.protocol, &self.limits)
    }

    /// How long after the last fault all sessions among honest signers must have ended, in milliseconds: what is twice
    /// as long as the longest wait in a session, and [`SETTLING_MS`] where settings are as in production or shorter.
    #[must_use]
    pub fn settling_ms(&self) -> u64 {
        let longest = self.config().map_or(0, |config| config.stuck_timeout.as_millis());
        SETTLING_MS.max(u64::try_from(2 * longest).unwrap_or(u64::MAX))
    }

    /// Whether its settings make nodes, every node that is named exists and relays can be dialled, and no step is after
    /// the end.
    ///
    /// # Errors
    /// The first fault, in words.
    pub fn check(&self) -> Result<(), String> {
        let exists = |node: &u32| {
            if *node < self.nodes { Ok(()) } else { Err(format!("there is no node {node}, only {}", self.nodes)) }
        };
        self.config().map_err(|unsound| unsound.to_string())?;
        for Step { at_ms, event } in &self.steps {
            if at_ms > &self.until_ms {
                return Err(format!("a step at {at_ms} ms is after the end at {} ms", self.until_ms));
            }
            event.node().iter().try_for_each(exists)?;
            match event {
                ScheduledEvent::Owner { least_ms, most_ms, .. } if least_ms > most_ms => {
                    return Err(format!("an owner takes at least {least_ms} ms and at most {most_ms} ms"));
                }
                ScheduledEvent::Resume { since_ms, .. } if since_ms > at_ms => {
                    return Err(format!("a snapshot of {since_ms} ms is resumed at {at_ms} ms"));
                }
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

    /// The schedule as TOML.
    ///
    /// # Panics
    /// Never: every schedule has a form in TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a schedule has nothing that TOML lacks")
    }

    /// Reads a schedule from TOML.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let schedule: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        schedule.check()?;
        Ok(schedule)
    }
}
