//! The circuits of a relay, over which two machines are connected that cannot reach each other.
//!
//! Invariant: a circuit carries no more bytes, and stays no longer, than relays of libp2p allow by default; then it is
//! cut, both ends are told, and what is under way on it is lost. Driven by the frames that arrive at a relay, and by
//! its timer.

use std::collections::BTreeMap;

use super::frame::{self, Frame};
use super::lifecycle::TimerKind;
use super::observation::{NatEvent, Observation};
use super::{Peer, PeerContext};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::network::{Path, Reliability};
use crate::schedule::MILLISECOND;

/// How many bytes a circuit carries, both ways together.
const MOST_BYTES: usize = 128 * 1024;
/// How long a circuit stays.
const LONGEST: Nanos = 120_000 * MILLISECOND;

/// The circuits of one relay.
#[derive(Debug, Default)]
pub(super) struct Circuits(BTreeMap<(u32, u32), Circuit>);

#[derive(Debug)]
struct Circuit {
    since: Nanos,
    bytes: usize,
}

/// What a relay does with a frame on a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It opens a circuit and passes the frame on.
    Opens,
    /// It passes the frame on.
    Passes,
    /// It drops the frame and cuts the circuit.
    Cut,
    /// It drops the frame: there is no circuit.
    Unknown,
}

fn ends(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}

impl Circuits {
    fn take(&mut self, now: Nanos, ends: (u32, u32), frame: &Frame<'_>, length: usize) -> Fate {
        let Some(circuit) = self.0.get_mut(&ends) else {
            if !matches!(frame, Frame::Hello { .. }) {
                return Fate::Unknown;
            }
            self.0.insert(ends, Circuit { since: now, bytes: length });
            return Fate::Opens;
        };
        circuit.bytes += length;
        let is_over = circuit.bytes > MOST_BYTES || now - circuit.since >= LONGEST;
        if is_over || *frame == Frame::Bye {
            self.0.remove(&ends);
        }
        if is_over { Fate::Cut } else { Fate::Passes }
    }

    /// Removes the circuits whose time is over, and returns them.
    fn expire(&mut self, now: Nanos) -> Vec<(u32, u32)> {
        self.0.extract_if(.., |_, circuit| now - circuit.since >= LONGEST).map(|(ends, _)| ends).collect()
    }
}

impl<C: Crypto> Peer<C> {
    /// Sends a frame of a connection on the path that NATs leave open: directly, on a circuit, or not at all.
    pub(super) fn carry(
        &self,
        context: PeerContext<'_, '_>,
        delay: Nanos,
        to: u32,
        frame: &[u8],
        reliability: Reliability,
    ) {
        let send = |context: PeerContext<'_, '_>, to, bytes: &[u8]| match is_bye(frame) {
            true => context.send_aside(delay, to, bytes),
            false => context.send_on(frame::DIRECT, delay, to, bytes, reliability),
        };
        match context.network().path(self.index, to, || is_hello(frame)) {
            Path::Direct => send(context, to, frame),
            Path::Relayed(relay) => send(context, relay, &Frame::Circuit { peer: to, bytes: frame }.encode()),
            Path::Unreachable => context.emit(Observation::Nat(NatEvent::DialRefused)),
        }
    }

    /// A frame on a circuit has arrived: at the relay, which passes it on, or from it.
    pub(super) fn on_circuit(&mut self, context: PeerContext<'_, '_>, from: u32, peer: u32, bytes: &[u8]) {
        let frame = Frame::decode(bytes).expect("peers send frames alone");
        if !context.network().is_relay(self.index) {
            return self.on_frame(context, peer, &frame);
        }
        if context.network().path(from, peer, || false) == Path::Direct {
            // All that it takes a relay for is to let both ends begin at the same moment.
            context.emit(Observation::Nat(NatEvent::DialUpgraded));
            return self.pass(context, from, peer, bytes);
        }
        // A relay sees that something is said, and not what: connections on circuits are encrypted.
        if matches!(frame, Frame::Direct { .. }) && self.censors(context) {
            return;
        }
        let circuits = self.circuits.get_or_insert_default();
        match circuits.take(context.now(), ends(from, peer), &frame, bytes.len()) {
            Fate::Opens => {
                context.emit(Observation::Nat(NatEvent::CircuitOpened));
                self.timer(context, LONGEST, TimerKind::Circuit, 0);
                self.pass(context, from, peer, bytes);
            }
            Fate::Passes => self.pass(context, from, peer, bytes),
            Fate::Cut => self.cut(context, ends(from, peer)),
            Fate::Unknown if frame == Frame::Bye => {}
            Fate::Unknown => self.pass(context, peer, from, &Frame::Bye.encode()),
        }
    }

    /// Cuts the circuits whose time is over.
    pub(super) fn expire_circuits(&mut self, context: PeerContext<'_, '_>) {
        let expired = self.circuits.as_mut().map(|circuits| circuits.expire(context.now())).unwrap_or_default();
        expired.into_iter().for_each(|ends| self.cut(context, ends));
    }

    /// The relay stops: all circuits end, and both ends of each are told, unless it crashes silently.
    pub(super) fn drop_circuits(&mut self, context: PeerContext<'_, '_>, silent: bool) {
        let circuits = self.circuits.take().unwrap_or_default();
        circuits.0.into_keys().filter(|_| !silent).for_each(|ends| self.tell_ends(context, ends));
    }

    fn cut(&self, context: PeerContext<'_, '_>, ends: (u32, u32)) {
        context.emit(Observation::Nat(NatEvent::CircuitCut));
        self.tell_ends(context, ends);
    }

    fn tell_ends(&self, context: PeerContext<'_, '_>, (one, other): (u32, u32)) {
        self.pass(context, one, other, &Frame::Bye.encode());
        self.pass(context, other, one, &Frame::Bye.encode());
    }

    fn pass(&self, context: PeerContext<'_, '_>, from: u32, to: u32, bytes: &[u8]) {
        let circuit = Frame::Circuit { peer: from, bytes }.encode();
        match Frame::decode(bytes) {
            Some(Frame::Bye) => context.send_aside(0, to, &circuit),
            Some(Frame::Direct { bytes, .. }) => {
                context.send_on(frame::DIRECT, 0, to, &circuit, self.reliability_of(&frame::shared(bytes)));
            }
            _ => context.send_on(frame::DIRECT, 0, to, &circuit, Reliability::Retransmit),
        }
    }
}

/// Whether a frame says that a connection is down, which the other end notices whatever else is under way.
fn is_bye(frame: &[u8]) -> bool {
    matches!(Frame::decode(frame), Some(Frame::Bye))
}

fn is_hello(frame: &[u8]) -> bool {
    matches!(Frame::decode(frame), Some(Frame::Hello { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Frame<'_> = Frame::Hello { incarnation: 1 };
    const DIRECT: Frame<'_> = Frame::Direct { incarnation: 1, bytes: &[] };

    #[test]
    fn a_circuit_begins_with_a_greeting_and_ends_with_its_bytes_its_time_or_a_word() {
        let mut circuits = Circuits::default();
        let pair = ends(7, 3);
        assert_eq!(circuits.take(0, pair, &DIRECT, 100), Fate::Unknown);
        assert_eq!(circuits.take(0, pair, &HELLO, 5), Fate::Opens);
        assert_eq!(circuits.take(0, ends(3, 7), &HELLO, 5), Fate::Passes, "one circuit, whoever greets");
        assert_eq!(circuits.take(1, pair, &DIRECT, MOST_BYTES - 10), Fate::Passes, "to the last byte");
        assert_eq!(circuits.take(1, pair, &DIRECT, 1), Fate::Cut);
        assert_eq!(circuits.take(1, pair, &DIRECT, 1), Fate::Unknown);
        assert_eq!(circuits.take(2, pair, &HELLO, 5), Fate::Opens);
        assert_eq!(circuits.take(1 + LONGEST, pair, &DIRECT, 5), Fate::Passes);
        assert_eq!(circuits.take(2 + LONGEST, pair, &DIRECT, 5), Fate::Cut);
        assert_eq!(circuits.take(3, pair, &HELLO, 5), Fate::Opens);
        assert_eq!(circuits.take(4, pair, &Frame::Bye, 1), Fate::Passes);
        assert_eq!(circuits.take(5, pair, &DIRECT, 5), Fate::Unknown);
    }

    #[test]
    fn circuits_expire_when_their_time_is_over() {
        let mut circuits = Circuits::default();
        circuits.take(0, ends(1, 2), &HELLO, 5);
        circuits.take(1, ends(1, 3), &HELLO, 5);
        assert_eq!(circuits.expire(LONGEST - 1), []);
        assert_eq!(circuits.expire(LONGEST), [(1, 2)]);
        assert_eq!(circuits.expire(LONGEST + 1), [(1, 3)]);
    }
}
