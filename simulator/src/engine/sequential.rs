//! The engine that runs one event after the other in global order, whatever the latencies.
//!
//! Invariant: the next event is the first of all in the order of stamps. Callers may interfere between two events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::context::EventSink;
use super::record::Header;
use super::{Context, Kind, Machine, Nanos, Observed, Progress, Slot, Stamp, Stats, handle};
use crate::network::{NetworkModel, Stack};

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    header: Header,
    payload: Box<[u8]>,
}

/// All events that are still to happen.
#[derive(Debug, Default)]
pub(super) struct Queue(BinaryHeap<Reverse<Entry>>);

impl Queue {
    #[inline(never)]
    pub(super) fn push(&mut self, header: Header, payload: &[u8]) {
        self.0.push(Reverse(Entry { header, payload: payload.into() }));
    }
}

/// A simulation in global order.
pub struct Sequential<M: Machine> {
    network: NetworkModel,
    slots: Vec<Slot<M>>,
    uplinks: Vec<Nanos>,
    stacks: Vec<Stack>,
    queue: Queue,
    observations: Vec<Observed<M::Observation>>,
    stats: Stats,
    now: Nanos,
}

impl<M: Machine> Sequential<M> {
    /// A simulation of these machines on this network.
    ///
    /// # Panics
    /// When the network is not made for as many machines.
    #[must_use]
    pub fn new(network: NetworkModel, seed: u64, machines: Vec<M>) -> Self {
        assert_eq!(network.nodes() as usize, machines.len(), "the network is made for as many machines as there are");
        let (uplinks, stacks) = (network.uplinks(machines.len()), network.stacks(0, machines.len()));
        let slots = (0..).zip(machines).map(|(node, machine)| Slot::new(seed, node, machine)).collect();
        let (queue, observations, stats) = (Queue::default(), Vec::new(), Stats::default());
        let mut simulation = Self { network, slots, uplinks, stacks, queue, observations, stats, now: 0 };
        for node in 0..simulation.network.nodes() {
            simulation.with(node, Stamp { at: 0, source: node, sequence: 0 }, |machine, context| {
                machine.on_start(context);
            });
        }
        simulation
    }

    /// The time of the last event, or the time up to which the caller has run.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// Counts of what has happened so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// How far it has run.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        Progress { at: self.now, events: self.stats.events }
    }

    /// Ends the simulation and hands over the machines.
    #[must_use]
    pub fn into_machines(self) -> Vec<M> {
        self.slots.into_iter().map(|slot| slot.machine).collect()
    }

    /// When the next event is.
    #[must_use]
    pub fn next_at(&self) -> Option<Nanos> {
        self.queue.0.peek().map(|Reverse(entry)| entry.header.at)
    }

    /// Takes the observations that machines have emitted since this was last called.
    pub fn take_observations(&mut self) -> Vec<Observed<M::Observation>> {
        std::mem::take(&mut self.observations)
    }

    /// Runs the next event if it is before `until`, and says whether it was.
    pub fn step(&mut self, until: Nanos) -> bool {
        if self.next_at().is_none_or(|next| next >= until) {
            return false;
        }
        let Some(Reverse(Entry { header, payload })) = self.queue.0.pop() else { return false };
        let (stamp, node, kind) = (header.stamp(), header.node, header.kind(&payload));
        self.now = stamp.at;
        if matches!(kind, Kind::Message(_)) && self.network.is_cut(stamp.at, stamp.source, node) {
            self.stats.cut += 1;
            return true;
        }
        self.stats.add_event(node, self.slots[node as usize].sender.sequence, stamp, kind);
        self.with(node, stamp, |machine, context| handle(machine, context, stamp.source, kind));
        true
    }

    /// Calls a machine from outside, as if an event of its own happened now.
    pub fn inject<R>(&mut self, node: u32, act: impl FnOnce(&mut M, &mut Context<'_, M::Observation>) -> R) -> R {
        self.with(node, Stamp { at: self.now, source: node, sequence: 0 }, act)
    }

    fn with<R>(
        &mut self,
        node: u32,
        stamp: Stamp,
        act: impl FnOnce(&mut M, &mut Context<'_, M::Observation>) -> R,
    ) -> R {
        let Self { network, slots, uplinks, stacks, queue, observations, stats, .. } = self;
        let index = node as usize;
        let (Slot { sender, machine }, uplink, stack) =
            (&mut slots[index], uplinks.get_mut(index), stacks.get_mut(index));
        let sink = EventSink::Sequential(queue);
        let mut context = Context { stamp, node, sender, uplink, stack, network, sink, observations, stats };
        act(machine, &mut context)
    }
}

impl<M: Machine> std::fmt::Debug for Sequential<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Global").field("now", &self.now).field("nodes", &self.slots.len()).finish_non_exhaustive()
    }
}
