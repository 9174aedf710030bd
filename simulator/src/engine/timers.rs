//! The timers of one block of machines: a heap for those inside the current window, a ring for the next windows, a rung
//! for far ones.
//!
//! Invariant: a timer is in exactly one of the three, and is handed out in the window in which it is due. Driven by the
//! windowed engine.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Nanos, Stamp};

/// How many windows ahead the ring reaches.
pub(super) const RING: u64 = 64;

/// A timer of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) at: Nanos,
    pub(super) sequence: u64,
    pub(super) tag: u64,
    pub(super) node: u32,
}

impl Timer {
    #[inline]
    pub(super) const fn stamp(&self) -> Stamp {
        Stamp { at: self.at, source: self.node, sequence: self.sequence }
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.stamp().cmp(&other.stamp())
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// How many whole windows fit into a time. Most fit into 32 bits, which divide faster.
#[inline]
pub(super) fn windows(time: Nanos, length: Nanos) -> u64 {
    match (u32::try_from(time), u32::try_from(length)) {
        (Ok(time), Ok(length)) => u64::from(time / length),
        _ => time / length,
    }
}

/// All timers of a block.
#[derive(Debug)]
pub(super) struct Timers {
    length: Nanos,
    window: u64,
    soon: BinaryHeap<Reverse<Timer>>,
    ring: Vec<Vec<Timer>>,
    far: BTreeMap<u64, Vec<Timer>>,
}

impl Timers {
    pub(super) fn new(length: Nanos) -> Self {
        Self {
            length,
            window: 0,
            soon: BinaryHeap::new(),
            ring: (0..RING).map(|_| Vec::new()).collect(),
            far: BTreeMap::new(),
        }
    }

    #[inline]
    pub(super) fn set(&mut self, timer: Timer) {
        let window = self.window + windows(timer.at.saturating_sub(self.window * self.length), self.length);
        if window <= self.window {
            self.soon.push(Reverse(timer));
        } else if window - self.window < RING {
            self.ring[(window % RING) as usize].push(timer);
        } else {
            self.far.entry(window).or_default().push(timer);
        }
    }

    /// Enters a window: what is due in it, in any order, replaces what `due` holds.
    pub(super) fn enter(&mut self, window: u64, due: &mut Vec<Timer>) {
        due.clear();
        self.window = window;
        std::mem::swap(due, &mut self.ring[(window % RING) as usize]);
        // Far ones are taken from the rung only now, never moved to the ring: one look per window.
        while let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() <= window) {
            due.extend(entry.remove());
        }
    }

    /// The first of the timers that were set for the window that is running.
    #[inline]
    pub(super) fn soonest(&self) -> Option<Stamp> {
        self.soon.peek().map(|Reverse(timer)| timer.stamp())
    }

    #[inline]
    pub(super) fn pop_soonest(&mut self) -> Option<Timer> {
        self.soon.pop().map(|Reverse(timer)| timer)
    }

    /// The next window after this one in which a timer is due.
    pub(super) fn next_window(&self) -> Option<u64> {
        let near = (self.window + 1..self.window + RING).find(|window| !self.ring[(window % RING) as usize].is_empty());
        let far = self.far.keys().next().copied();
        near.into_iter().chain(far).min()
    }
}
