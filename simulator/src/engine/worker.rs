//! One thread's share of a windowed simulation: its blocks of machines, and the events that they cause.
//!
//! Invariant: inside a window a block does not depend on others: it sorts its events and runs them to the window's end.
//! Driven by `Windowed`, which hands each worker the events for its blocks before each window.

use super::context::EventSink;
use super::record::{Chunk, Header, Record, Stream, locate, place};
use super::sort::Sorter;
use super::stage::Stage;
use super::{Context, Kind, Machine, Nanos, Observed, Slot, Stamp, Stats, handle};
use crate::network::{NetworkModel, Stack};

/// Machines that run together, as many as fit into the cache with what they handle.
struct Block<M> {
    first: u32,
    slots: Vec<Slot<M>>,
    uplinks: Vec<Nanos>,
    stacks: Vec<Stack>,
}

impl<M> Block<M> {
    #[inline]
    fn slot(&self, node: u32) -> &Slot<M> {
        &self.slots[(node - self.first) as usize]
    }
}

/// One thread's share.
pub(super) struct Worker<'w, M: Machine> {
    network: &'w NetworkModel,
    blocks: Vec<Block<M>>,
    stage: Stage,
    /// Buffers of the running block, which are kept to be used again.
    chunks: Vec<Chunk>,
    sorter: Sorter,
    nodes: Vec<u32>,
    pub(super) observations: Vec<Observed<M::Observation>>,
    pub(super) stats: Stats,
}

impl<'w, M: Machine> Worker<'w, M> {
    /// A worker for these machines, the first of which has number `first`.
    pub(super) fn new(network: &'w NetworkModel, seed: u64, first: u32, machines: Vec<M>, stage: Stage) -> Self {
        let mut slots = (first..).zip(machines).map(|(node, machine)| Slot::new(seed, node, machine));
        let mut blocks = Vec::new();
        let mut at = first;
        loop {
            let some: Vec<Slot<M>> = slots.by_ref().take(1 << stage.block_bits()).collect();
            if some.is_empty() {
                break;
            }
            let count = some.len() as u32;
            let (uplinks, stacks) = (network.uplinks(some.len()), network.stacks(at, some.len()));
            blocks.push(Block { first: at, slots: some, uplinks, stacks });
            at += count;
        }
        let (chunks, sorter, observations) = (Vec::new(), Sorter::default(), Vec::new());
        Self { network, blocks, stage, chunks, sorter, nodes: Vec::new(), observations, stats: Stats::default() }
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Starts every machine.
    pub(super) fn start(&mut self) {
        let Self { network, blocks, stage, observations, stats, .. } = self;
        for block in blocks {
            for (index, slot) in block.slots.iter_mut().enumerate() {
                let (node, uplink) = (block.first + index as u32, block.uplinks.get_mut(index));
                let stack = block.stacks.get_mut(index);
                let stamp = Stamp { at: 0, source: node, sequence: 0 };
                let sink = EventSink::Windowed(stage);
                let mut context = Context {
                    stamp,
                    node,
                    sender: &mut slot.sender,
                    uplink,
                    stack,
                    network,
                    sink,
                    observations,
                    stats,
                };
                slot.machine.on_start(&mut context);
            }
        }
    }

    /// Takes the events of a window that this worker's machines have caused, by block of the whole simulation.
    pub(super) fn take(&mut self, window: u64) -> Option<Vec<Stream>> {
        self.stage.take(window)
    }

    /// The next window in which something happens, as far as this worker knows.
    pub(super) fn next_window(&self) -> Option<u64> {
        self.stage.next_window()
    }

    /// Runs a window with what happens in it, up to but not including `until`.
    pub(super) fn run(&mut self, window: u64, mut arriving: Vec<Vec<Stream>>, until: Nanos) {
        let Self { network, stage, chunks, sorter, nodes, observations, stats, .. } = self;
        let (start, length) = stage.enter(window);
        let end = start.saturating_add(length).min(until);
        for (index, block) in self.blocks.iter_mut().enumerate() {
            chunks.extend(arriving.iter_mut().flat_map(|streams| streams[index].drain()));
            if chunks.is_empty() {
                continue;
            }
            sort((start, length), chunks, sorter, nodes, block);
            Run { network, chunks, stage, observations, stats, start, end }.block(block, &sorter.keys);
            stage.reuse(chunks);
        }
    }

    /// Hands over the machines.
    pub(super) fn finish(self) -> (Vec<M>, Stats) {
        let slots = self.blocks.into_iter().flat_map(|block| block.slots);
        (slots.map(|slot| slot.machine).collect(), self.stats)
    }
}

/// Sorts keys, [time in the window ‖ place], of everything that happens; ties are in the order of stamps.
fn sort<M>(
    (start, length): (Nanos, Nanos),
    chunks: &[Chunk],
    sorter: &mut Sorter,
    nodes: &mut Vec<u32>,
    block: &Block<M>,
) {
    std::hint::black_box(chunks.iter().fold(0, |sum, chunk| sum ^ chunk.prefetch()));
    for (index, chunk) in chunks.iter().enumerate() {
        let first = locate(index, 0);
        chunk.for_each(|unit, after, node| {
            sorter.push(u64::from(after) << 32 | u64::from(first + unit as u32));
            nodes.push(node);
        });
    }
    // A glance at each machine that something happens to: memory brings many at a time, and later one by one.
    std::hint::black_box(nodes.drain(..).fold(0, |sum, node| sum ^ block.slot(node).prefetch()));
    if !sorter.sort(32 + (u64::BITS - length.leading_zeros())) {
        return;
    }
    for tie in sorter.keys.chunk_by_mut(|one, other| one >> 32 == other >> 32) {
        if tie.len() > 1 {
            tie.sort_unstable_by_key(|key| record(chunks, *key).read(start).0.stamp());
        }
    }
}

#[inline]
fn record(chunks: &[Chunk], key: u64) -> Record<'_> {
    let (chunk, unit) = place(key as u32);
    chunks[chunk].record(unit)
}

/// A block's run through one window.
struct Run<'a, N> {
    network: &'a NetworkModel,
    chunks: &'a [Chunk],
    stage: &'a mut Stage,
    observations: &'a mut Vec<Observed<N>>,
    stats: &'a mut Stats,
    start: Nanos,
    end: Nanos,
}

impl<N> Run<'_, N> {
    fn block<M: Machine<Observation = N>>(mut self, block: &mut Block<M>, keys: &[u64]) {
        let mut prefetched = 0;
        let chunks = self.chunks;
        let mut records = keys.iter().map(|key| record(chunks, *key));
        let mut next = records.next();
        while let Some(record) = next {
            // A glance at the machine that comes next, so that the nearest cache has it by then.
            next = records.next();
            prefetched ^= next.map_or(0, |next| block.slot(next.node()).prefetch());
            let (header, payload) = record.read(self.start);
            // Timers set in this very window come between.
            if self.stage.soonest().is_some() {
                self.soon(block, Some(header.stamp()));
            }
            self.step(block, header, payload);
        }
        std::hint::black_box(prefetched);
        self.soon(block, None);
    }

    #[cold]
    fn soon<M: Machine<Observation = N>>(&mut self, block: &mut Block<M>, before: Option<Stamp>) {
        while let Some(stamp) = self.stage.soonest()
            && before.is_none_or(|before| stamp < before)
            && let Some(timer) = self.stage.pop_soonest()
        {
            self.step(block, timer, &[]);
        }
    }

    #[inline(always)]
    fn step<M: Machine<Observation = N>>(&mut self, block: &mut Block<M>, header: Header, payload: &[u8]) {
        let (stamp, node, kind) = (header.stamp(), header.node, header.kind(payload));
        if stamp.at >= self.end {
            return;
        }
        if matches!(kind, Kind::Message(_)) && self.network.is_cut(stamp.at, stamp.source, node) {
            self.stats.cut += 1;
            return;
        }
        let index = (node - block.first) as usize;
        let (slot, uplink) = (&mut block.slots[index], block.uplinks.get_mut(index));
        let stack = block.stacks.get_mut(index);
        self.stats.add_event(node, slot.sender.sequence, stamp, kind);
        let (network, sink, observations, stats) =
            (self.network, EventSink::Windowed(self.stage), &mut *self.observations, &mut *self.stats);
        let mut context =
            Context { stamp, node, sender: &mut slot.sender, uplink, stack, network, sink, observations, stats };
        handle(&mut slot.machine, &mut context, stamp.source, kind);
    }
}
