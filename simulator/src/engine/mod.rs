//! The engine: machines in virtual time, and the two ways to run them.
//!
//! An event is a message or a timer. Events happen in the order (time, source, the source's own count), which depends
//! on nothing but what the machines do: not on queues, blocks or threads. [`Windowed`] is the fast way: it runs windows
//! of one minimum latency, in which no node can reach another, block by block and on several threads. [`Global`] takes
//! one event after the other, so that it also serves latencies near zero and callers who interfere between two events.
//! Both give every machine the same events in the same order, and with them the same [trace hash](Tally::trace).
//!
//! This module knows nothing of nelumbo: what runs on it is anything that is a [`Machine`].

mod context;
mod global;
mod record;
mod sort;
mod stage;
mod windowed;
mod worker;

pub use context::Context;
use context::Wire;
pub use global::Global;
pub use windowed::Windowed;

use crate::random::{fold_all, fold_pair, mix};

/// Nanoseconds since the start of a simulation.
pub type Nanos = u64;

/// Something that runs in a simulation: told what happens, it changes, sends, and sets timers.
pub trait Machine {
    /// What it tells whoever observes the simulation.
    type Note: Send;

    /// The simulation begins.
    fn on_start(&mut self, context: &mut Context<'_, Self::Note>);

    /// A message arrives. That it comes from `from` is certain; that it comes at all, or once, is not.
    fn on_message(&mut self, context: &mut Context<'_, Self::Note>, from: u32, payload: &[u8]);

    /// A timer that this machine set with this tag is due.
    fn on_timer(&mut self, context: &mut Context<'_, Self::Note>, tag: u64);
}

/// A machine that does nothing.
impl Machine for () {
    type Note = ();

    fn on_start(&mut self, _: &mut Context<'_, ()>) {}
    fn on_message(&mut self, _: &mut Context<'_, ()>, _: u32, _: &[u8]) {}
    fn on_timer(&mut self, _: &mut Context<'_, ()>, _: u64) {}
}

/// When an event happens and who caused it: the order of events, and a name for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// When.
    pub at: Nanos,
    /// The machine that caused it.
    pub source: u32,
    /// Which of that machine's messages and timers it is.
    pub sequence: u64,
}

/// Something that a machine told, with the event it told it at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted<N> {
    /// The event.
    pub stamp: Stamp,
    /// The machine that told it.
    pub node: u32,
    /// What it told.
    pub note: N,
}

/// How far a simulation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// The time.
    pub at: Nanos,
    /// How many events have happened.
    pub events: u64,
}

/// What has happened so far, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that reached a machine.
    pub events: u64,
    /// Messages that machines have sent.
    pub messages: u64,
    /// The bytes in them.
    pub bytes: u64,
    /// Messages that were lost on the way.
    pub lost: u64,
    /// Messages that arrived twice.
    pub duplicated: u64,
    /// Messages that a partition kept from arriving.
    pub cut: u64,
    /// A hash over every event of every machine.
    pub trace: u64,
}

impl Tally {
    /// Counts an event that reaches a machine, and adds it to the trace. The sum does not depend on the order in which events
    /// are added; that in which they happened is in their stamps.
    #[inline]
    fn add_event(&mut self, node: u32, stamp: Stamp, kind: Kind<'_>) {
        let Stamp { at, source, sequence } = stamp;
        let hash = fold_pair(fold_pair(0, at, sequence), u64::from(source) << 32 | u64::from(node), 0);
        let hash = match kind {
            Kind::Message(payload) => fold_all(hash, payload),
            Kind::Timer(tag) => fold_pair(!hash, tag, 0),
        };
        self.events += 1;
        self.trace = self.trace.wrapping_add(mix(hash));
    }

    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.cut += other.cut;
        self.trace = self.trace.wrapping_add(other.trace);
    }
}

/// What an event is, for the machine it happens to.
#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Message(&'a [u8]),
    Timer(u64),
}

/// A machine with what the engine keeps for it, which is needed for each event: two small ones lie in a cache line.
#[derive(Debug)]
#[repr(align(32))]
struct Slot<M> {
    wire: Wire,
    machine: M,
}

impl<M> Slot<M> {
    fn new(seed: u64, node: u32, machine: M) -> Self {
        Self { wire: Wire::new(seed, node), machine }
    }

    /// Some of it, to have memory bring it.
    #[inline]
    const fn glance(&self) -> u64 {
        self.wire.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_machine_takes_half_a_cache_line_and_its_share_of_the_ring() {
        assert_eq!(size_of::<Slot<[u64; 2]>>(), 32, "what is needed for each event");
        // As many as the least block has share what waits for it in each window.
        assert_eq!((32 + stage::BYTES_PER_BLOCK / 1024, stage::BYTES_PER_BLOCK), (35, 3072));
    }
}
