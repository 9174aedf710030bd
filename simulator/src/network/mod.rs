//! The network between machines: how long messages take, and which of them are lost, duplicated, delayed or stopped.
//!
//! Invariant: loss and latency are decided when a message is sent, with the sender's own randomness; partitions when it
//! arrives. Nothing here changes while a simulation runs in windows, so every thread reads the same network: what
//! changes with time is listed in advance. Driven by the engine.

mod latency;
mod nat;
mod partition;
mod quantiles;
mod stream;

pub use latency::{Latency, REGIONS, Regions};
pub use nat::{Nat, Nats, Path};
pub use partition::{Direction, NodeSet, Partition};
pub(crate) use stream::{Departure, Heard, Stack};
pub use stream::{GIVE_UP, QUEUE, Transport};

use crate::engine::Nanos;
use crate::random::Random;

/// How unreliable the network is, for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LinkConditions {
    /// How many messages in a million are lost.
    pub loss: u32,
    /// How many messages in a million arrive twice.
    pub duplication: u32,
    /// How many messages in a million are held back, so that later ones overtake them.
    pub reordering: u32,
    /// How long a message is held back at most.
    pub reorder_delay: Nanos,
}

impl LinkConditions {
    /// Whether a third of a lot, 21 bits, which are even enough for millionths, falls on one of these.
    #[inline]
    const fn hits(lot: u64, third: u32, millionths: u32) -> bool {
        (((lot >> (21 * third)) & 0x1f_ffff) * 1_000_000) >> 21 < millionths as u64
    }

    #[inline]
    const fn duplicates(&self, lot: u64) -> bool {
        Self::hits(lot, 0, self.duplication)
    }

    #[inline]
    const fn holds_back(&self, lot: u64) -> bool {
        Self::hits(lot, 1, self.reordering)
    }

    #[inline]
    const fn loses(&self, lot: u64) -> bool {
        Self::hits(lot, 2, self.loss)
    }

    #[inline]
    const fn affects(&self, lot: u64) -> bool {
        self.duplicates(lot) | self.holds_back(lot) | self.loses(lot)
    }
}

/// How long a transport waits before it sends again, and how often it does in a partition.
const RETRANSMISSION_DELAY: Nanos = 1_000_000_000;
const RETRANSMISSIONS: u64 = 12;

/// What a sender keeps for the links of a packet.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    /// Until when its uplink is busy; none where bandwidth is unlimited.
    pub(crate) uplink: Option<&'a mut Nanos>,
    /// When the last packet on the same path arrives; none for datagrams, which may overtake each other.
    pub(crate) path: Option<&'a mut Nanos>,
}

/// What a sender does about loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// Nothing: what is lost is lost.
    BestEffort,
    /// Sends it again, as transports do: loss and short partitions only delay it.
    Retransmit,
}

/// The link conditions of some time. At times that no window covers, links are reliable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkWindow {
    /// When it begins.
    pub from: Nanos,
    /// When it ends.
    pub until: Nanos,
    /// The conditions.
    pub conditions: LinkConditions,
}

/// The network between the machines.
#[derive(Clone, Debug)]
pub struct NetworkModel {
    nodes: u32,
    latency: Latency,
    regions: Option<Box<[u8]>>,
    slow: Option<(NodeSet, Nanos)>,
    bandwidth: Option<u64>,
    transport: Transport,
    link_windows: Vec<LinkWindow>,
    partitions: Vec<Partition>,
    /// When the last partition ends.
    healed: Nanos,
    nats: Option<Nats>,
    /// From when on random choices differ, and by what.
    fork: Option<(Nanos, u64)>,
}

impl NetworkModel {
    /// A reliable network of this many machines.
    #[must_use]
    pub const fn new(nodes: u32, latency: Latency) -> Self {
        Self {
            nodes,
            latency,
            regions: None,
            slow: None,
            bandwidth: None,
            transport: Transport::Datagram,
            link_windows: Vec::new(),
            partitions: Vec::new(),
            healed: 0,
            nats: None,
            fork: None,
        }
    }

    /// Puts each machine into a region, for latencies that depend on it.
    ///
    /// # Panics
    /// When there are not as many as machines.
    #[must_use]
    pub fn with_regions(mut self, regions: Box<[u8]>) -> Self {
        assert_eq!(regions.len(), self.nodes as usize, "every machine is in a region");
        self.regions = Some(regions);
        self
    }

    /// Makes some machines slow: what they send takes longer by this much.
    #[must_use]
    pub fn with_slow(mut self, members: NodeSet, by: Nanos) -> Self {
        self.slow = Some((members, by));
        self
    }

    /// Gives each machine an uplink of this many bytes a second, which sends one message after the other.
    #[must_use]
    pub const fn with_bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// Carries messages by this transport instead of datagrams.
    #[must_use]
    pub const fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// What carries messages.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Adds a time in which links are unreliable.
    #[must_use]
    pub fn with_link_window(mut self, window: LinkWindow) -> Self {
        self.link_windows.push(window);
        self
    }

    /// Adds a partition.
    #[must_use]
    pub fn with_partition(mut self, partition: Partition) -> Self {
        self.healed = self.healed.max(partition.until);
        self.partitions.push(partition);
        self
    }

    /// Puts machines behind NATs.
    ///
    /// # Panics
    /// When there are not as many classes as machines.
    #[must_use]
    pub fn with_nats(mut self, nats: Nats) -> Self {
        assert_eq!(nats.machines(), self.nodes as usize, "every machine has a class");
        self.nats = Some(nats);
        self
    }

    /// The path from one machine to another: of a dial, or of the frames that follow it.
    #[inline]
    pub fn path(&self, from: u32, to: u32, is_dial: impl FnOnce() -> bool) -> Path {
        match &self.nats {
            None => Path::Direct,
            Some(nats) if is_dial() => nats.dial(from, to),
            Some(nats) => nats.path(from, to),
        }
    }

    /// Whether a machine relays for those behind NATs.
    #[must_use]
    pub fn is_relay(&self, node: u32) -> bool {
        self.nats.as_ref().is_some_and(|nats| nats.is_relay(node))
    }

    /// How many machines there are.
    #[inline]
    #[must_use]
    pub const fn nodes(&self) -> u32 {
        self.nodes
    }

    /// The least time that any message takes.
    #[must_use]
    pub const fn least_latency(&self) -> Nanos {
        self.latency.least()
    }

    /// The mean time that a message takes while links are reliable.
    #[must_use]
    pub fn mean_latency(&self) -> Nanos {
        self.latency.mean()
    }

    /// The region of a machine.
    #[inline]
    #[must_use]
    pub fn region(&self, node: u32) -> u8 {
        self.regions.as_ref().map_or(0, |regions| regions[node as usize])
    }

    /// For each of so many machines, until when its uplink is busy. Empty where bandwidth is unlimited.
    pub(crate) fn uplinks(&self, machines: usize) -> Vec<Nanos> {
        vec![0; if self.bandwidth.is_some() { machines } else { 0 }]
    }

    /// Makes other random choices from this time on, which differ by this key.
    #[must_use]
    pub(crate) const fn with_fork(mut self, from: Nanos, key: u64) -> Self {
        self.fork = Some((from, key));
        self
    }

    /// What random choices differ by at this time.
    #[inline]
    pub(crate) fn key_at(&self, now: Nanos) -> u64 {
        self.fork.map_or(0, |(from, key)| if now < from { 0 } else { key })
    }

    /// For each of so many machines, its network stack. Empty where there are no streams.
    pub(crate) fn stacks(&self, first: u32, machines: usize) -> Vec<Stack> {
        let parameters = self.transport.parameters();
        let stacks = parameters.map(|parameters| (first..).take(machines).map(|node| Stack::new(parameters, node)));
        stacks.into_iter().flatten().collect()
    }

    /// When a message arrives that leaves now: never, once, or twice.
    #[inline(always)]
    pub(crate) fn transmit(
        &self,
        random: &mut Random,
        Link { uplink, path }: Link<'_>,
        now: Nanos,
        (from, to): (u32, u32),
        length: usize,
        reliability: Reliability,
    ) -> [Option<Nanos>; 2] {
        let mut leaves = now;
        if let (Some(bandwidth), Some(busy_until)) = (self.bandwidth, uplink) {
            let takes = |length: u64| length.saturating_mul(1_000_000_000) / bandwidth.max(1);
            if path.is_some() && busy_until.saturating_sub(now) > takes(QUEUE) {
                return [None, None];
            }
            leaves = now.max(*busy_until).saturating_add(takes(length as u64));
            *busy_until = leaves;
        }
        if let Some((members, by)) = &self.slow
            && members.contains(from)
        {
            leaves = leaves.saturating_add(*by);
        }
        let (here, there) = (self.region(from), self.region(to));
        let mut arrives = leaves.saturating_add(self.latency.draw(random, here, there));
        if let Some(path) = path {
            // What differs from packet to packet is mostly how long all of them queue: they keep their order.
            arrives = arrives.max(*path);
            *path = arrives;
        }
        let mut arrivals = [Some(arrives), None];
        for LinkWindow { from, until, conditions } in &self.link_windows {
            if (*from..*until).contains(&now) {
                // One lot for everything: most messages draw one by which nothing befalls them.
                let lot = random.draw();
                if conditions.affects(lot) {
                    arrivals = self.apply_conditions(conditions, lot, arrivals, random, (leaves, here, there));
                }
            }
        }
        if reliability == Reliability::Retransmit && arrivals == [None, None] {
            // Sent again each second until it gets through; half of what was lost is lost again.
            let times = 1 + u64::from(random.draw().trailing_ones().min(8));
            let latency = self.latency.draw(random, here, there);
            arrivals[0] = Some(leaves.saturating_add(latency).saturating_add(times * RETRANSMISSION_DELAY));
        }
        if reliability == Reliability::Retransmit && !self.partitions.is_empty() {
            for at in arrivals.iter_mut().flatten() {
                // Partitions are known in advance, so the sender's patience can be asked here.
                let tries = (0..RETRANSMISSIONS).map(|count| at.saturating_add(count * RETRANSMISSION_DELAY));
                *at = tries.into_iter().find(|at| !self.is_cut(*at, from, to)).unwrap_or(*at);
            }
        }
        arrivals
    }

    /// Applies link conditions to a message: when it arrives, if it does, and when its duplicate does.
    #[cold]
    fn apply_conditions(
        &self,
        conditions: &LinkConditions,
        lot: u64,
        [mut first, mut again]: [Option<Nanos>; 2],
        random: &mut Random,
        (leaves, here, there): (Nanos, u8, u8),
    ) -> [Option<Nanos>; 2] {
        if conditions.duplicates(lot) {
            again = Some(leaves.saturating_add(self.latency.draw(random, here, there)));
        }
        if conditions.holds_back(lot) {
            let longer = random.below(conditions.reorder_delay);
            first = first.map(|at| at.saturating_add(longer));
        }
        if conditions.loses(lot) { [None, None] } else { [first, again] }
    }

    /// Whether a partition keeps a message from arriving now.
    #[inline]
    #[must_use]
    pub fn is_cut(&self, now: Nanos, from: u32, to: u32) -> bool {
        now < self.healed && self.partitions.iter().any(|partition| partition.cuts(now, from, to))
    }

    /// Since when one of two machines has not been able to reach the other, if that is so now.
    #[must_use]
    pub fn cut_since(&self, now: Nanos, one: u32, other: u32) -> Option<Nanos> {
        let cuts = |partition: &&Partition| partition.cuts(now, one, other) || partition.cuts(now, other, one);
        self.partitions.iter().filter(cuts).filter_map(|partition| partition.since(now)).min()
    }

    /// Whether there is any partition, at any time.
    #[must_use]
    pub const fn has_partitions(&self) -> bool {
        !self.partitions.is_empty()
    }
}
