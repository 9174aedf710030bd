//! What a machine can do while it handles an event: send, set timers, emit observations.
//!
//! Owns the state of a machine's connection to the network. Invariant: everything caused by a machine is numbered in
//! the order in which the machine caused it, and happens later than now. Both engines drive it.

use super::record::{Cause, Header};
use super::sequential::Queue;
use super::stage::Stage;
use super::{Kind, Nanos, Observed, Stamp, Stats};
use crate::network::{Departure, Heard, Link, NetworkModel, Reliability, Stack};
use crate::random::Random;

/// A machine's connection to the network: its randomness and its counts.
#[derive(Debug)]
pub(super) struct Sender {
    random: Random,
    pub(super) sequence: u64,
}

impl Sender {
    pub(super) fn new(seed: u64, node: u32) -> Self {
        Self { random: Random::stream(seed, "network", u64::from(node)), sequence: 0 }
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// Where an engine keeps events that are still to happen.
pub(super) enum EventSink<'a> {
    Windowed(&'a mut Stage),
    Sequential(&'a mut Queue),
}

impl EventSink<'_> {
    #[inline(always)]
    fn push(&mut self, header: Header, payload: &[u8]) {
        match self {
            Self::Windowed(stage) => stage.push(header, payload),
            Self::Sequential(queue) => queue.push(header, payload),
        }
    }
}

/// What a machine can do while it handles an event.
pub struct Context<'a, N> {
    pub(super) stamp: Stamp,
    pub(super) node: u32,
    pub(super) sender: &'a mut Sender,
    /// Until when the machine's uplink is busy with what it has sent already; none where bandwidth is unlimited.
    pub(super) uplink: Option<&'a mut Nanos>,
    /// The machine's network stack, where the network has streams.
    pub(super) stack: Option<&'a mut Stack>,
    pub(super) network: &'a NetworkModel,
    pub(super) sink: EventSink<'a>,
    pub(super) observations: &'a mut Vec<Observed<N>>,
    pub(super) stats: &'a mut Stats,
}

impl<N> Context<'_, N> {
    /// The virtual time.
    #[inline]
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.stamp.at
    }

    /// The machine's own number.
    #[inline]
    #[must_use]
    pub const fn node(&self) -> u32 {
        self.node
    }

    /// The network that the machine is on.
    #[must_use]
    pub const fn network(&self) -> &NetworkModel {
        self.network
    }

    /// Sends a message, which the network may delay, lose or duplicate. Where it has streams, a message arrives once
    /// and whole, however often its packets are lost, unless [its connection closes](super::Machine::on_disconnected).
    #[inline]
    pub fn send(&mut self, to: u32, payload: &[u8]) {
        self.send_after(0, to, payload, Reliability::BestEffort);
    }

    /// Sends a message after a delay of the machine's own, such as the time that it computes, with this reliability,
    /// which streams have anyhow. Over QUIC it has a stream of its own.
    #[inline]
    pub fn send_after(&mut self, delay: Nanos, to: u32, payload: &[u8], reliability: Reliability) {
        self.send_on(None, delay, to, payload, reliability);
    }

    /// Sends a message as [`send_after`](Self::send_after) does; over QUIC it arrives after all others of its channel.
    #[inline]
    pub fn send_on(&mut self, channel: Option<u8>, delay: Nanos, to: u32, payload: &[u8], reliability: Reliability) {
        assert!(to < self.network.nodes(), "there is no machine {to}");
        self.stats.messages += 1;
        self.stats.bytes += payload.len() as u64;
        let leaves = self.stamp.at.saturating_add(delay);
        if let Some(stack) = &mut self.stack {
            stack.send(self.stamp.at, leaves, to, channel, payload);
            return self.depart();
        }
        self.transmit(leaves, to, payload, payload.len(), reliability);
    }

    /// Sends a message past all streams, sent again until it arrives: something that the other end notices by itself.
    pub fn send_aside(&mut self, delay: Nanos, to: u32, payload: &[u8]) {
        if self.stack.is_none() {
            return self.send_after(delay, to, payload, Reliability::Retransmit);
        }
        let leaves = self.stamp.at.saturating_add(delay);
        self.transmit(leaves, to, &Stack::aside(payload), payload.len(), Reliability::Retransmit);
    }

    /// The machine's network stack comes up, or goes down with all connections, without a word to anybody. It is up at
    /// first. Datagrams know no stack.
    pub fn set_network(&mut self, is_up: bool) {
        if let Some(stack) = &mut self.stack {
            stack.set_up(is_up);
        }
    }

    #[inline]
    pub(super) const fn has_streams(&self) -> bool {
        self.stack.is_some()
    }

    /// Lets the machine's network stack handle an event, and returns what the machine hears.
    pub(super) fn in_stack(&mut self, source: u32, kind: Kind<'_>) -> Vec<Heard> {
        let Some(stack) = &mut self.stack else { return Vec::new() };
        match kind {
            Kind::Message(packet) => stack.on_packet(self.stamp.at, source, packet),
            Kind::Stack(peer) => stack.on_timer(self.stamp.at, peer),
            Kind::Timer(_) => {}
        }
        let heard = stack.take_heard();
        self.depart();
        heard
    }

    /// Acknowledges what has arrived from a peer.
    pub(super) fn settle_stack(&mut self, peer: u32) {
        if let Some(stack) = &mut self.stack {
            stack.settle(self.stamp.at, peer);
            self.depart();
        }
    }

    /// Sends the packets that the stack has made, and sets its timers.
    fn depart(&mut self) {
        let Some(stack) = &mut self.stack else { return };
        let (departures, wakes, retransmitted) = stack.take_departures();
        self.stats.packets += departures.len() as u64;
        self.stats.retransmitted += retransmitted;
        for Departure { to, bytes, length } in departures {
            self.transmit(self.stamp.at, to, &bytes, length, Reliability::BestEffort);
        }
        for (peer, at) in wakes {
            let cause = Cause::Stack { peer };
            self.sink.push(Header { at, sequence: self.sender.next(), node: self.node, cause }, &[]);
        }
    }

    #[inline]
    fn transmit(&mut self, leaves: Nanos, to: u32, payload: &[u8], length: usize, reliability: Reliability) {
        let path = self.stack.as_mut().filter(|_| reliability == Reliability::BestEffort);
        let link = Link { uplink: self.uplink.as_deref_mut(), path: path.and_then(|stack| stack.path(to)) };
        let (random, key) = (&mut self.sender.random, self.network.key_at(self.stamp.at));
        random.switch(key);
        let arrivals = self.network.transmit(random, link, leaves, (self.node, to), length, reliability);
        random.switch(key);
        match arrivals {
            [Some(at), None] => self.post(at, to, payload),
            arrivals => self.post_otherwise(arrivals, to, payload),
        }
    }

    #[inline(always)]
    fn post(&mut self, at: Nanos, to: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a message is below 4 GiB");
        let cause = Cause::Message { source: self.node, length };
        self.sink.push(Header { at, sequence: self.sender.next(), node: to, cause }, payload);
    }

    /// Counts and sends a message that is lost or arrives twice.
    #[cold]
    fn post_otherwise(&mut self, arrivals: [Option<Nanos>; 2], to: u32, payload: &[u8]) {
        match arrivals {
            [None, None] => self.stats.lost += 1,
            [Some(_), Some(_)] => self.stats.duplicated += 1,
            _ => {}
        }
        arrivals.into_iter().flatten().for_each(|at| self.post(at, to, payload));
    }

    /// Sets a timer, at least a nanosecond ahead. It cannot be cancelled: a machine that does not want it any more
    /// ignores the tag.
    #[inline]
    pub fn set_timer(&mut self, delay: Nanos, tag: u64) {
        let at = self.stamp.at.saturating_add(delay.max(1));
        let timer = Header { at, sequence: self.sender.next(), node: self.node, cause: Cause::Timer { tag } };
        self.sink.push(timer, &[]);
    }

    /// Emits an observation to whoever observes the simulation.
    #[inline]
    pub fn emit(&mut self, observation: N) {
        self.observations.push(Observed { stamp: self.stamp, node: self.node, observation });
    }
}

impl<N> std::fmt::Debug for Context<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("stamp", &self.stamp).field("node", &self.node).finish_non_exhaustive()
    }
}
