//! One thread's share of a windowed simulation: its blocks of machines, and the messages that leave them.
//!
//! Invariant: inside a window a block meets nobody else: it sorts what has arrived for it and runs it to the window's
//! end. Driven by `Windowed`, which hands each worker the messages for its blocks before each window.

use std::collections::BTreeMap;

use super::context::Port;
use super::record::{Chunk, Header, Pool, Stream, locate, place};
use super::timers::{RING, Timer, Timers, windows};
use super::{Context, Kind, Machine, Nanos, Noted, Slot, Stamp, Tally};
use crate::world::World;

/// A key's bit that says: a timer, not a message.
const TIMER: u32 = 1 << 31;

/// Messages that have been sent and not yet been handed to the blocks they are for.
#[derive(Debug)]
pub(super) struct Stage {
    length: Nanos,
    block_bits: u32,
    blocks: usize,
    window: u64,
    ring: Vec<Vec<Stream>>,
    waiting: [u64; RING as usize],
    far: BTreeMap<u64, Vec<Stream>>,
    pool: Pool,
}

fn streams(count: usize) -> Vec<Stream> {
    (0..count).map(|_| Stream::default()).collect()
}

impl Stage {
    fn new(length: Nanos, block_bits: u32, blocks: usize) -> Self {
        let ring = (0..RING).map(|_| streams(blocks)).collect();
        let waiting = [0; RING as usize];
        Self { length, block_bits, blocks, window: 0, ring, waiting, far: BTreeMap::new(), pool: Pool::default() }
    }

    #[inline]
    pub(super) fn push(&mut self, header: Header, payload: &[u8]) {
        let window = self.window + windows(header.at - self.window * self.length, self.length);
        assert!(window > self.window, "the world's least latency is the length of a window");
        let block = (header.destination >> self.block_bits) as usize;
        let stream = if window - self.window < RING {
            let slot = (window % RING) as usize;
            self.waiting[slot] += 1;
            &mut self.ring[slot][block]
        } else {
            let blocks = self.blocks;
            &mut self.far.entry(window).or_insert_with(|| streams(blocks))[block]
        };
        stream.push(&mut self.pool, header, payload);
    }

    /// Takes what arrives in this window, by block.
    fn take(&mut self, window: u64) -> Vec<Vec<Stream>> {
        let slot = (window % RING) as usize;
        let mut taken = Vec::new();
        if self.waiting[slot] > 0 {
            self.waiting[slot] = 0;
            taken.push(std::mem::replace(&mut self.ring[slot], streams(self.blocks)));
        }
        taken.extend(self.far.remove(&window));
        taken
    }

    fn next_window(&self) -> Option<u64> {
        let near = (self.window + 1..self.window + RING).find(|window| self.waiting[(window % RING) as usize] > 0);
        near.into_iter().chain(self.far.keys().next().copied()).min()
    }
}

/// Machines that run together, as many as fit into the cache with what they handle.
struct Block<M> {
    first: u32,
    slots: Vec<Slot<M>>,
    timers: Timers,
}

/// What a block needs while it runs, kept for its memory.
#[derive(Default)]
struct Scratch {
    chunks: Vec<Chunk>,
    due: Vec<Timer>,
    keys: Vec<u64>,
}

/// One thread's share.
pub(super) struct Worker<'w, M: Machine> {
    world: &'w World,
    blocks: Vec<Block<M>>,
    stage: Stage,
    scratch: Scratch,
    pub(super) notes: Vec<Noted<M::Note>>,
    pub(super) tally: Tally,
    length: Nanos,
}

impl<'w, M: Machine> Worker<'w, M> {
    /// A worker for these machines, the first of which has number `first`; there are `all` blocks in the simulation.
    pub(super) fn new(world: &'w World, seed: u64, first: u32, machines: Vec<M>, block_bits: u32, all: usize) -> Self {
        let length = world.least_latency();
        let mut slots = (first..).zip(machines).map(|(node, machine)| Slot::new(seed, node, machine));
        let mut blocks = Vec::new();
        let mut at = first;
        loop {
            let some: Vec<Slot<M>> = slots.by_ref().take(1 << block_bits).collect();
            if some.is_empty() {
                break;
            }
            let count = some.len() as u32;
            blocks.push(Block { first: at, slots: some, timers: Timers::new(length) });
            at += count;
        }
        let stage = Stage::new(length, block_bits, all);
        let (scratch, notes, tally) = (Scratch::default(), Vec::new(), Tally::default());
        Self { world, blocks, stage, scratch, notes, tally, length }
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Starts every machine.
    pub(super) fn start(&mut self) {
        let Self { world, blocks, stage, notes, tally, .. } = self;
        for block in blocks {
            for (node, slot) in (block.first..).zip(&mut block.slots) {
                let stamp = Stamp { at: 0, source: node, sequence: 0 };
                let port = Port::Windowed { stage, timers: &mut block.timers };
                let mut context = Context { stamp, node, wire: &mut slot.wire, world, port, notes, tally };
                slot.machine.on_start(&mut context);
            }
        }
    }

    /// Takes what this worker's machines have sent into a window, by block of the whole simulation.
    pub(super) fn take(&mut self, window: u64) -> Vec<Vec<Stream>> {
        self.stage.take(window)
    }

    /// The next window in which something happens, as far as this worker knows.
    pub(super) fn next_window(&self) -> Option<u64> {
        let timers = self.blocks.iter().filter_map(|block| block.timers.next_window());
        timers.chain(self.stage.next_window()).min()
    }

    /// Runs a window with what arrives in it, up to but not including `until`.
    pub(super) fn run(&mut self, window: u64, mut arriving: Vec<Vec<Stream>>, until: Nanos) {
        self.stage.window = window;
        let start = window * self.length;
        let end = start.saturating_add(self.length).min(until);
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let Scratch { chunks, due, keys } = &mut self.scratch;
            chunks.extend(arriving.iter_mut().flat_map(|streams| streams[index].chunks.drain(..)));
            block.timers.enter(window, due);
            if chunks.is_empty() && due.is_empty() && block.timers.soonest().is_none() {
                continue;
            }
            sort(start, chunks, due, keys);
            let run = Run {
                world: self.world,
                chunks,
                due,
                stage: &mut self.stage,
                notes: &mut self.notes,
                tally: &mut self.tally,
                end,
            };
            run.block(block, keys);
            chunks.drain(..).for_each(|chunk| self.stage.pool.give(chunk));
        }
    }

    /// Hands over the machines, and adds their histories to the trace.
    pub(super) fn finish(self) -> (Vec<M>, Tally) {
        let mut tally = self.tally;
        let mut machines = Vec::new();
        for block in self.blocks {
            for (node, slot) in (block.first..).zip(block.slots) {
                tally.trace = tally.trace.wrapping_add(slot.trace(node));
                machines.push(slot.machine);
            }
        }
        (machines, tally)
    }
}

/// Fills `keys` with [time in the window ‖ place] of everything that happens, in order; ties are in stamp order.
fn sort(start: Nanos, chunks: &[Chunk], due: &[Timer], keys: &mut Vec<u64>) {
    keys.clear();
    for (index, chunk) in chunks.iter().enumerate() {
        chunk.for_each(|unit, at| keys.push((at - start) << 32 | u64::from(locate(index, unit))));
    }
    keys.extend((0..).zip(due).map(|(index, timer): (u32, _)| (timer.at - start) << 32 | u64::from(TIMER | index)));
    keys.sort_unstable();
    for tie in keys.chunk_by_mut(|one, other| one >> 32 == other >> 32) {
        if tie.len() > 1 {
            tie.sort_unstable_by_key(|key| stamp(chunks, due, *key as u32));
        }
    }
}

#[inline]
fn stamp(chunks: &[Chunk], due: &[Timer], at: u32) -> Stamp {
    if at & TIMER != 0 {
        return due[(at ^ TIMER) as usize].stamp();
    }
    let (chunk, unit) = place(at);
    let (Header { at, source, sequence, .. }, _) = chunks[chunk].record(unit);
    Stamp { at, source, sequence }
}

/// A block's run through one window.
struct Run<'a, N> {
    world: &'a World,
    chunks: &'a [Chunk],
    due: &'a [Timer],
    stage: &'a mut Stage,
    notes: &'a mut Vec<Noted<N>>,
    tally: &'a mut Tally,
    end: Nanos,
}

impl<N: Send> Run<'_, N> {
    fn block<M: Machine<Note = N>>(mut self, block: &mut Block<M>, keys: &[u64]) {
        for key in keys {
            let place = *key as u32;
            // Timers set in this very window come between.
            if block.timers.soonest().is_some() {
                let next = stamp(self.chunks, self.due, place);
                self.soon(block, Some(next));
            }
            if place & TIMER != 0 {
                let timer = self.due[(place ^ TIMER) as usize];
                self.step(block, timer.node, timer.stamp(), Kind::Timer(timer.tag));
            } else {
                let (chunk, unit) = self::place(place);
                let (Header { at, source, sequence, destination, .. }, payload) = self.chunks[chunk].record(unit);
                self.step(block, destination, Stamp { at, source, sequence }, Kind::Message(payload));
            }
        }
        self.soon(block, None);
    }

    fn soon<M: Machine<Note = N>>(&mut self, block: &mut Block<M>, before: Option<Stamp>) {
        while let Some(stamp) = block.timers.soonest()
            && before.is_none_or(|before| stamp < before)
            && let Some(timer) = block.timers.pop_soonest()
        {
            self.step(block, timer.node, stamp, Kind::Timer(timer.tag));
        }
    }

    #[inline]
    fn step<M: Machine<Note = N>>(&mut self, block: &mut Block<M>, node: u32, stamp: Stamp, kind: Kind<'_>) {
        if stamp.at >= self.end {
            return;
        }
        if matches!(kind, Kind::Message(_)) && self.world.is_cut(stamp.at, stamp.source, node) {
            self.tally.cut += 1;
            return;
        }
        self.tally.events += 1;
        let slot = &mut block.slots[(node - block.first) as usize];
        slot.link(stamp, kind);
        let port = Port::Windowed { stage: self.stage, timers: &mut block.timers };
        let (world, notes, tally) = (self.world, &mut *self.notes, &mut *self.tally);
        let mut context = Context { stamp, node, wire: &mut slot.wire, world, port, notes, tally };
        match kind {
            Kind::Message(payload) => slot.machine.on_message(&mut context, stamp.source, payload),
            Kind::Timer(tag) => slot.machine.on_timer(&mut context, tag),
        }
    }
}
