//! The engine in global order: one event after the other, whatever the latencies.
//!
//! Invariant: the next event is the first of all in the order of stamps. Callers may interfere between two events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::context::Port;
use super::record::Header;
use super::{Context, Kind, Machine, Nanos, Noted, Pulse, Slot, Stamp, Tally};
use crate::world::World;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    header: Header,
    payload: Box<[u8]>,
}

/// Everything that is to happen.
#[derive(Debug, Default)]
pub(super) struct Queue(BinaryHeap<Reverse<Entry>>);

impl Queue {
    #[inline(never)]
    pub(super) fn push(&mut self, header: Header, payload: &[u8]) {
        self.0.push(Reverse(Entry { header, payload: payload.into() }));
    }
}

/// A simulation in global order.
pub struct Global<M: Machine> {
    world: World,
    slots: Vec<Slot<M>>,
    uplinks: Vec<Nanos>,
    queue: Queue,
    notes: Vec<Noted<M::Note>>,
    tally: Tally,
    now: Nanos,
}

impl<M: Machine> Global<M> {
    /// A simulation of these machines in this world.
    ///
    /// # Panics
    /// When the world is not made for as many machines.
    #[must_use]
    pub fn new(world: World, seed: u64, machines: Vec<M>) -> Self {
        assert_eq!(world.nodes() as usize, machines.len(), "the world is made for as many machines as there are");
        let uplinks = world.uplinks(machines.len());
        let slots = (0..).zip(machines).map(|(node, machine)| Slot::new(seed, node, machine)).collect();
        let (queue, notes, tally) = (Queue::default(), Vec::new(), Tally::default());
        let mut simulation = Self { world, slots, uplinks, queue, notes, tally, now: 0 };
        for node in 0..simulation.world.nodes() {
            simulation.with(node, Stamp { at: 0, source: node, sequence: 0 }, |machine, context| {
                machine.on_start(context);
            });
        }
        simulation
    }

    /// The time of the last event, or to which the caller has let time pass.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// What has happened so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// How far it has come.
    #[must_use]
    pub const fn pulse(&self) -> Pulse {
        Pulse { at: self.now, events: self.tally.events }
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

    /// Takes what machines have told since it was last taken.
    pub fn take_notes(&mut self) -> Vec<Noted<M::Note>> {
        std::mem::take(&mut self.notes)
    }

    /// Runs the next event if it is before `until`, and says whether it was.
    pub fn step(&mut self, until: Nanos) -> bool {
        if self.next_at().is_none_or(|next| next >= until) {
            return false;
        }
        let Some(Reverse(Entry { header, payload })) = self.queue.0.pop() else { return false };
        let (stamp, node, kind) = (header.stamp(), header.node, header.kind(&payload));
        self.now = stamp.at;
        if matches!(kind, Kind::Message(_)) && self.world.is_cut(stamp.at, stamp.source, node) {
            self.tally.cut += 1;
            return true;
        }
        self.tally.add_event(node, self.slots[node as usize].wire.sequence, stamp, kind);
        self.with(node, stamp, |machine, context| match kind {
            Kind::Message(payload) => machine.on_message(context, stamp.source, payload),
            Kind::Timer(tag) => machine.on_timer(context, tag),
        });
        true
    }

    /// Interferes with a machine, as if by an event of its own that happens now.
    pub fn interfere<R>(&mut self, node: u32, act: impl FnOnce(&mut M, &mut Context<'_, M::Note>) -> R) -> R {
        self.with(node, Stamp { at: self.now, source: node, sequence: 0 }, act)
    }

    fn with<R>(&mut self, node: u32, stamp: Stamp, act: impl FnOnce(&mut M, &mut Context<'_, M::Note>) -> R) -> R {
        let Self { world, slots, uplinks, queue, notes, tally, .. } = self;
        let (Slot { wire, machine }, uplink) = (&mut slots[node as usize], uplinks.get_mut(node as usize));
        let mut context = Context { stamp, node, wire, uplink, world, port: Port::Global(queue), notes, tally };
        act(machine, &mut context)
    }
}

impl<M: Machine> std::fmt::Debug for Global<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Global").field("now", &self.now).field("nodes", &self.slots.len()).finish_non_exhaustive()
    }
}
