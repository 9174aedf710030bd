//! The network stack of one machine: its connections.
//!
//! Invariant: there is at most one connection to a peer, the last one that either end has dialled. A stack that is down
//! says nothing and has no connection. Driven by the engine.

use std::collections::BTreeMap;

use super::Parameters;
use super::connection::Connection;
use super::packet::Packet;
use crate::engine::Nanos;

/// A packet that leaves.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) to: u32,
    pub(crate) bytes: Vec<u8>,
    /// What it takes of the link.
    pub(crate) length: usize,
}

/// What a machine hears of its connections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message from a peer.
    Message(u32, Vec<u8>),
    /// The connection to a peer has closed: what was not acknowledged may be lost.
    Closed(u32),
}

/// What connections want done.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    departures: Vec<Departure>,
    wakes: Vec<(u32, Nanos)>,
    heard: Vec<Heard>,
    /// How many packets have been sent again.
    pub(super) retransmitted: u64,
}

impl Outbox {
    pub(super) fn packet(&mut self, to: u32, length: usize, packet: &Packet<'_>) {
        self.departures.push(Departure { to, bytes: packet.encode(), length });
    }

    pub(super) fn message(&mut self, from: u32, message: Vec<u8>) {
        self.heard.push(Heard::Message(from, message));
    }

    pub(super) fn wake(&mut self, peer: u32, at: Nanos) {
        self.wakes.push((peer, at));
    }
}

/// The network stack of one machine.
#[derive(Debug)]
pub(crate) struct Stack {
    parameters: &'static Parameters,
    node: u32,
    is_up: bool,
    connections: BTreeMap<u32, Box<Connection>>,
    out: Outbox,
}

impl Stack {
    pub(crate) fn new(parameters: &'static Parameters, node: u32) -> Self {
        Self { parameters, node, is_up: true, connections: BTreeMap::new(), out: Outbox::default() }
    }

    /// Comes up, or goes down and forgets everything.
    pub(crate) fn set_up(&mut self, is_up: bool) {
        self.is_up = is_up;
        self.connections.clear();
    }

    /// Sends a message that is ready then.
    pub(crate) fn send(&mut self, now: Nanos, ready: Nanos, to: u32, channel: Option<u8>, message: &[u8]) {
        let Self { parameters, node, is_up, connections, out } = self;
        if *is_up {
            let connection =
                connections.entry(to).or_insert_with(|| Box::new(Connection::dial(parameters, now, (*node, to), out)));
            connection.send(now, ready, channel, message, out);
        }
    }

    /// The bytes of a message that goes past all streams.
    pub(crate) fn aside(message: &[u8]) -> Vec<u8> {
        Packet::Aside(message).encode()
    }

    /// A packet has arrived. What it leads to is in [`take_heard`](Self::take_heard).
    pub(crate) fn on_packet(&mut self, now: Nanos, from: u32, bytes: &[u8]) {
        let packet = Packet::decode(bytes).expect("stacks send packets alone");
        if let Packet::Aside(message) = packet {
            return self.out.message(from, message.to_vec());
        }
        if !self.is_up {
            return;
        }
        let (id, is_first) = match &packet {
            Packet::Dial { id, step } => (*id, *step == 0),
            Packet::Accept { id, .. } | Packet::Reset { id } | Packet::Data { id, .. } => (*id, false),
            Packet::Aside(_) => return,
        };
        let Self { parameters, connections, out, .. } = self;
        let newer = connections.get(&from).is_some_and(|connection| connection.id > id);
        match connections.get_mut(&from).filter(|connection| connection.id == id) {
            Some(connection) => match packet {
                Packet::Dial { step, .. } => connection.on_dial(now, step, out),
                Packet::Accept { step, .. } => connection.on_accept(now, step, out),
                Packet::Data { number, arrived, chunks, .. } => {
                    connection.on_data(now, (number, &arrived, chunks), out);
                }
                Packet::Reset { .. } => self.close(from),
                Packet::Aside(_) => {}
            },
            // What is late by a whole connection says nothing any more.
            None if newer => {}
            None if is_first => {
                let mut accepted = Box::new(Connection::accept(parameters, now, from, id));
                match connections.remove(&from) {
                    Some(ours) if ours.is_dialling() => accepted.inherit(*ours),
                    Some(_) => out.heard.push(Heard::Closed(from)),
                    None => {}
                }
                accepted.on_dial(now, 0, out);
                connections.insert(from, accepted);
            }
            None if matches!(packet, Packet::Reset { .. }) => {}
            None => out.packet(from, parameters.headers, &Packet::Reset { id }),
        }
    }

    /// A timer for the connection to this peer is due.
    pub(crate) fn on_timer(&mut self, now: Nanos, peer: u32) {
        let Self { connections, out, .. } = self;
        if connections.get_mut(&peer).is_some_and(|connection| !connection.on_time(now, out)) {
            self.close(peer);
        }
    }

    fn close(&mut self, peer: u32) {
        self.connections.remove(&peer);
        self.out.heard.push(Heard::Closed(peer));
    }

    /// The machine has done what a packet of this peer led to: what has not been acknowledged on the way is now.
    pub(crate) fn settle(&mut self, now: Nanos, peer: u32) {
        if let Some(connection) = self.connections.get_mut(&peer) {
            connection.settle(now, &mut self.out);
        }
    }

    /// When the last packet to this peer arrives, for the network to keep their order.
    pub(crate) fn path(&mut self, peer: u32) -> Option<&mut Nanos> {
        self.connections.get_mut(&peer).map(|connection| &mut connection.path)
    }

    /// What the machine hears.
    pub(crate) fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.out.heard)
    }

    /// The packets that leave, the timers to set, and how many packets have been sent again.
    pub(crate) fn take_departures(&mut self) -> (Vec<Departure>, Vec<(u32, Nanos)>, u64) {
        let Outbox { departures, wakes, retransmitted, .. } = &mut self.out;
        (std::mem::take(departures), std::mem::take(wakes), std::mem::take(retransmitted))
    }
}
