//! The engine: machines in virtual time, and the two ways to run them.
//!
//! An event is a message or a timer. Events happen in the order (time, source, the source's own count), which depends
//! on nothing but what the machines do: not on queues, blocks or threads. [`Windowed`] is the fast way: it runs windows
//! of one minimum latency, in which no node can reach another, block by block and on several threads. [`Sequential`]
//! takes one event after the other, so that it also serves latencies near zero and callers who interfere between two
//! events. Both give every machine the same events in the same order, and with them the same [trace
//! hash](Stats::trace).
//!
//! This module knows nothing of nelumbo: what runs on it is anything that is a [`Machine`].

mod barrier;
mod context;
mod record;
mod sequential;
mod sort;
mod stage;
mod windowed;
mod worker;

pub use context::Context;
use context::Sender;
pub use sequential::Sequential;
pub use windowed::Windowed;

use crate::network::Heard;
use crate::random::{fold_all, fold_pair};

/// Nanoseconds since the start of a simulation.
pub type Nanos = u64;

/// Something that runs in a simulation: it handles messages and timers, and sends messages and sets timers in turn.
pub trait Machine {
    /// What it emits to whoever observes the simulation.
    type Observation: Send;

    /// The simulation begins.
    fn on_start(&mut self, context: &mut Context<'_, Self::Observation>);

    /// A message arrives. Its sender `from` is authentic; messages may be lost or arrive twice.
    fn on_message(&mut self, context: &mut Context<'_, Self::Observation>, from: u32, payload: &[u8]);

    /// A timer that this machine set with this tag is due.
    fn on_timer(&mut self, context: &mut Context<'_, Self::Observation>, tag: u64);

    /// A connection has closed, where the network has streams: the peer has reset it, or has not answered for
    /// [`GIVE_UP`](crate::network::GIVE_UP). What was sent and not acknowledged may be lost; what is sent from now on
    /// goes over a new connection.
    fn on_disconnected(&mut self, _context: &mut Context<'_, Self::Observation>, _peer: u32) {}
}

/// A machine that does nothing.
impl Machine for () {
    type Observation = ();

    fn on_start(&mut self, _: &mut Context<'_, ()>) {}
    fn on_message(&mut self, _: &mut Context<'_, ()>, _: u32, _: &[u8]) {}
    fn on_timer(&mut self, _: &mut Context<'_, ()>, _: u64) {}
}

/// When an event happens and who caused it: the order of events, and a name for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The virtual time at which the event happens.
    pub at: Nanos,
    /// The machine that caused it.
    pub source: u32,
    /// Which of that machine's messages and timers it is.
    pub sequence: u64,
}

/// An observation that a machine emitted, with the event that it handled then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed<N> {
    /// The event.
    pub stamp: Stamp,
    /// The machine that emitted it.
    pub node: u32,
    /// The observation.
    pub observation: N,
}

/// How far a simulation has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The virtual time.
    pub at: Nanos,
    /// How many events have happened.
    pub events: u64,
}

/// Counts of what has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that reached a machine.
    pub events: u64,
    /// Messages that machines have sent.
    pub messages: u64,
    /// The bytes in them.
    pub bytes: u64,
    /// Messages that were lost on the way; packets, where the network has streams.
    pub lost: u64,
    /// Messages or packets that arrived twice.
    pub duplicated: u64,
    /// Messages or packets that a partition stopped.
    pub cut: u64,
    /// Packets that streams have sent, acknowledgements and handshakes among them.
    pub packets: u64,
    /// Packets that streams have sent again.
    pub retransmitted: u64,
    /// A hash over every event of every machine, in each machine's order.
    pub trace: u64,
}

/// Where the hash of an event begins. A product with 0, or with all ones, would not depend on what is folded in.
const START: u64 = 0x5851_f42d_4c95_7f2d;

impl Stats {
    /// Counts an event that reaches a machine, and adds it to the trace. The sum does not depend on the order in which
    /// events are added, so that blocks and threads need not agree on one; what the machine had `sent` before, messages
    /// and timers, shows that in which it ran them.
    #[inline]
    fn add_event(&mut self, node: u32, sent: u64, stamp: Stamp, kind: Kind<'_>) {
        let Stamp { at, source, sequence } = stamp;
        let ends = u64::from(source) << 32 | u64::from(node);
        let (detail, is_timer) = match kind {
            Kind::Message(payload) => (fold_all(START, payload), 0),
            Kind::Timer(tag) => (tag, 1),
            Kind::Stack(peer) => (u64::from(peer), 2),
        };
        // Three that do not wait for each other, and one over them.
        let event = fold_pair(START, at, sequence) ^ fold_pair(!START, ends, sent);
        self.events += 1;
        self.trace = self.trace.wrapping_add(fold_pair(event, detail, is_timer));
    }

    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.cut += other.cut;
        self.packets += other.packets;
        self.retransmitted += other.retransmitted;
        self.trace = self.trace.wrapping_add(other.trace);
    }
}

/// What an event is, for the machine it happens to.
#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Message(&'a [u8]),
    Timer(u64),
    /// A timer of the machine's network stack, for the connection to this peer.
    Stack(u32),
}

/// Lets a machine handle an event.
#[inline(always)]
fn handle<M: Machine>(machine: &mut M, context: &mut Context<'_, M::Observation>, source: u32, kind: Kind<'_>) {
    match kind {
        Kind::Message(payload) if !context.has_streams() => machine.on_message(context, source, payload),
        Kind::Timer(tag) => machine.on_timer(context, tag),
        Kind::Message(_) | Kind::Stack(_) => handle_streams(machine, context, source, kind),
    }
}

/// Lets a machine's network stack handle an event, and the machine what comes of it.
#[cold]
fn handle_streams<M: Machine>(machine: &mut M, context: &mut Context<'_, M::Observation>, source: u32, kind: Kind<'_>) {
    for heard in context.in_stack(source, kind) {
        match heard {
            Heard::Message(from, message) => machine.on_message(context, from, &message),
            Heard::Closed(peer) => machine.on_disconnected(context, peer),
        }
    }
    context.settle_stack(source);
}

/// A machine with what the engine keeps for it, which is needed for each event: two small ones lie in a cache line.
#[derive(Debug)]
#[repr(align(32))]
struct Slot<M> {
    sender: Sender,
    machine: M,
}

impl<M> Slot<M> {
    fn new(seed: u64, node: u32, machine: M) -> Self {
        Self { sender: Sender::new(seed, node), machine }
    }

    /// Reads some of it, so that the processor fetches it into its cache.
    #[inline]
    const fn prefetch(&self) -> u64 {
        self.sender.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(events: [(u64, Stamp, Kind<'_>); 2]) -> u64 {
        let mut stats = Stats::default();
        events.into_iter().for_each(|(sent, stamp, kind)| stats.add_event(7, sent, stamp, kind));
        stats.trace
    }

    #[test]
    fn a_trace_sees_all_of_an_event_and_in_which_order_a_machine_ran_them() {
        let stamp = |at, source, sequence| Stamp { at, source, sequence };
        // Two at the same time; whichever comes first makes the machine send something.
        let (one, other) = (stamp(9, 1, 4), stamp(9, 2, 4));
        let (message, timer) = (Kind::Message(&[1, 2]), Kind::Timer(0));
        let in_order = trace([(0, one, message), (1, other, message)]);
        assert_ne!(in_order, trace([(0, other, message), (1, one, message)]));
        assert_eq!(in_order, trace([(1, other, message), (0, one, message)]), "blocks may add them in any order");
        for at in [0, 9] {
            let events = [
                (stamp(at, 1, 4), message),
                (stamp(at, 1, 5), message),
                (stamp(at, 2, 4), message),
                (stamp(at + 1, 1, 4), message),
                (stamp(at, 1, 4), Kind::Message(&[1, 3])),
                (stamp(at, 1, 4), Kind::Message(&[1, 2, 0])),
                (stamp(at, 1, 4), timer),
                (stamp(at, 1, 4), Kind::Timer(1)),
            ];
            let traces = events.map(|(stamp, kind)| trace([(0, stamp, kind), (0, other, timer)]));
            assert_eq!(std::collections::BTreeSet::from(traces).len(), events.len(), "at {at}");
        }
    }

    #[test]
    fn an_idle_machine_takes_half_a_cache_line_and_its_share_of_the_ring() {
        assert_eq!(size_of::<Slot<[u64; 2]>>(), 32, "what is needed for each event");
        // As many as the least block has share what waits for it in each window.
        assert_eq!((32 + stage::BYTES_PER_BLOCK / 1024, stage::BYTES_PER_BLOCK), (35, 3072));
    }
}
