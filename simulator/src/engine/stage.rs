//! Future events that one thread's machines have caused: a heap for timers inside the window that is running, a ring of
//! the next windows by block, and rungs, each of as many windows as the ring has, for events farther ahead.
//!
//! Invariant: an event is in exactly one of the three, and is handed out in the window in which it happens. Driven by
//! the windowed engine's workers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::record::{Cause, Chunk, Header, Pool, Stream};
use super::{Nanos, Stamp};

/// The events of as many windows as the ring has, farther ahead than it reaches, with payloads.
type Rung = Vec<(Header, Box<[u8]>)>;

/// How many windows ahead the ring reaches.
const RING: u64 = 64;

/// The bytes that a block without events takes here.
#[cfg(test)]
pub(super) const BYTES_PER_BLOCK: usize = RING as usize * size_of::<Stream>();

/// Events that have not yet been handed to the blocks they are for.
#[derive(Debug)]
pub(super) struct Stage {
    length: Nanos,
    /// 2^64 over the length, to divide by it with a product.
    inverse: u64,
    block_bits: u32,
    blocks: usize,
    /// The window that is running, when it began, and the first that is still open to all events.
    window: u64,
    start: Nanos,
    open: u64,
    /// Timers of the running block for the running window.
    soon: BinaryHeap<Reverse<Header>>,
    /// The next windows, each by block, so that those that are being filled lie together; and a bit for each window
    /// that has events.
    ring: Vec<Stream>,
    waiting: u64,
    far: BTreeMap<u64, Rung>,
    pool: Pool,
}

impl Stage {
    pub(super) fn new(length: Nanos, block_bits: u32, blocks: usize) -> Self {
        Self {
            length,
            inverse: u64::MAX / length,
            block_bits,
            blocks,
            window: 0,
            start: 0,
            open: 0,
            soon: BinaryHeap::new(),
            ring: (0..RING as usize * blocks).map(|_| Stream::default()).collect(),
            waiting: 0,
            far: BTreeMap::new(),
            pool: Pool::default(),
        }
    }

    pub(super) const fn block_bits(&self) -> u32 {
        self.block_bits
    }

    /// Enters a window, and returns when it begins and how long it is. From now on only timers are added to it, by the
    /// machines that it runs.
    pub(super) fn enter(&mut self, window: u64) -> (Nanos, Nanos) {
        (self.window, self.start, self.open) = (window, window * self.length, window + 1);
        (self.start, self.length)
    }

    /// How many whole windows a time has, and the remainder.
    #[inline]
    fn windows(&self, time: Nanos) -> (u64, u32) {
        let least = ((u128::from(time) * u128::from(self.inverse)) >> 64) as u64;
        let rest = time - least * self.length;
        // The product is too low by less than one.
        let is_low = rest >= self.length;
        (least + u64::from(is_low), (rest - if is_low { self.length } else { 0 }) as u32)
    }

    #[inline(always)]
    pub(super) fn push(&mut self, header: Header, payload: &[u8]) {
        let (windows, after) = self.windows(header.at - self.start);
        let window = self.window + windows;
        if window < self.open {
            return self.push_soon(header);
        }
        if windows < RING {
            self.push_near(window, after, header, payload);
        } else {
            self.push_far(window, header, payload);
        }
    }

    #[inline(always)]
    fn push_near(&mut self, window: u64, after: u32, header: Header, payload: &[u8]) {
        let slot = window % RING;
        self.waiting |= 1 << slot;
        let block = (header.node >> self.block_bits) as usize;
        self.ring[slot as usize * self.blocks + block].push(&mut self.pool, after, header, payload);
    }

    #[inline(never)]
    fn push_far(&mut self, window: u64, header: Header, payload: &[u8]) {
        self.far.entry(window / RING).or_default().push((header, payload.into()));
    }

    #[cold]
    fn push_soon(&mut self, header: Header) {
        assert!(!matches!(header.cause, Cause::Message { .. }), "no message takes less than a window");
        self.soon.push(Reverse(header));
    }

    /// Takes the events of this window, by block.
    pub(super) fn take(&mut self, window: u64) -> Option<Vec<Stream>> {
        // The ring has room for a whole rung when the first of its windows comes.
        for (header, payload) in self.far.remove(&(window / RING)).unwrap_or_default() {
            let (window, after) = self.windows(header.at);
            self.push_near(window, after, header, &payload);
        }
        let slot = window % RING;
        let waits = self.waiting & 1 << slot != 0;
        self.waiting &= !(1 << slot);
        let from = slot as usize * self.blocks;
        waits.then(|| self.ring[from..from + self.blocks].iter_mut().map(std::mem::take).collect())
    }

    /// Takes chunks back whose events have happened.
    pub(super) fn reuse(&mut self, chunks: &mut Vec<Chunk>) {
        chunks.drain(..).for_each(|chunk| self.pool.give(chunk));
    }

    /// The next window after this one in which something may happen.
    pub(super) fn next_window(&self) -> Option<u64> {
        let next = self.waiting.rotate_right((self.open % RING) as u32);
        let near = (next != 0).then(|| self.open + u64::from(next.trailing_zeros()));
        let far = self.far.keys().next().map(|rung| (rung * RING).max(self.open));
        near.into_iter().chain(far).min()
    }

    /// The first of the timers that were set for the window that is running.
    #[inline]
    pub(super) fn soonest(&self) -> Option<Stamp> {
        self.soon.peek().map(|Reverse(timer)| timer.stamp())
    }

    #[inline]
    pub(super) fn pop_soonest(&mut self) -> Option<Header> {
        self.soon.pop().map(|Reverse(timer)| timer)
    }
}
