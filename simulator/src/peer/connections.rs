//! The connections of a peer.
//!
//! A connection is set up with three frames, hello, welcome and thanks, so that both ends know of it. A peer's
//! incarnation is the number of times that it has started. Invariant: a connection is to one incarnation of the peer at
//! its other end, a message reaches a node only over a connection that both ends know, in the incarnation it was sent
//! to, and connections to those whom this machine wants to be connected to are set up again by themselves. Does no I/O:
//! it is given the frames that arrive. Driven by `Peer`.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::base::Bytes;

use super::frame::{self, Frame};

/// The connections of one peer.
#[derive(Debug, Default)]
pub struct Connections {
    /// The machines that this one wants to be connected to.
    pub contacts: BTreeSet<u32>,
    /// The machines that it is connected to, with their incarnation.
    pub(super) up: BTreeMap<u32, u32>,
    /// The machines that have sent a hello, with their incarnation, and no thanks yet.
    greeted: BTreeMap<u32, u32>,
    /// Whether a timer is set that sends a hello again to those it is not connected to.
    pub(super) redials: bool,
}

/// What follows from a frame that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Send this frame to a peer.
    Send(u32, Vec<u8>),
    /// A peer is connected.
    Up(u32),
    /// A peer is not connected any more.
    Down(u32),
    /// A message for the node has arrived from a peer.
    Received(u32, Bytes),
}

/// Frames to send, each with its receiver.
pub(super) type Frames = Vec<(u32, Vec<u8>)>;

impl Connections {
    /// No connection yet.
    #[must_use]
    pub const fn new(contacts: BTreeSet<u32>) -> Self {
        Self { contacts, up: BTreeMap::new(), greeted: BTreeMap::new(), redials: false }
    }

    /// Forgets all connections, as a crash does; the contacts stay, as if they were in a file. Returns the frames that
    /// tell the other ends of it, unless the crash is silent.
    pub fn crash(&mut self) -> Vec<(u32, Vec<u8>)> {
        let byes = self.up.keys().map(|peer| (*peer, Frame::Bye.encode())).collect();
        *self = Self::new(std::mem::take(&mut self.contacts));
        byes
    }

    /// Whether a contact is not connected.
    pub(super) fn is_lacking(&self) -> bool {
        self.contacts.iter().any(|contact| !self.up.contains_key(contact))
    }

    /// A hello to every contact that is not connected.
    #[must_use]
    pub fn greetings(&self, incarnation: u32) -> Vec<(u32, Vec<u8>)> {
        let lacking = self.contacts.iter().filter(|contact| !self.up.contains_key(contact));
        lacking.map(|contact| (*contact, Frame::Hello { incarnation }.encode())).collect()
    }

    /// The frame of a message to a connected peer; `None` for others.
    #[must_use]
    pub fn direct(&self, to: u32, bytes: &Bytes) -> Option<Vec<u8>> {
        self.up.get(&to).map(|incarnation| Frame::Direct { incarnation: *incarnation, bytes }.encode())
    }

    /// Handles a frame that has arrived in this incarnation of the machine.
    pub fn on_frame(&mut self, own: u32, from: u32, frame: &Frame<'_>) -> Vec<Change> {
        match *frame {
            Frame::Hello { incarnation } => {
                self.greeted.insert(from, incarnation);
                vec![Change::Send(from, Frame::Welcome { incarnation: own }.encode())]
            }
            Frame::Welcome { incarnation } => {
                let mut changes = vec![Change::Send(from, Frame::Thanks { incarnation: own }.encode())];
                changes.extend(self.connect(from, incarnation));
                changes
            }
            Frame::Thanks { incarnation } => self.on_thanks(from, incarnation),
            Frame::Bye => self.disconnect(from).into_iter().collect(),
            Frame::Direct { incarnation, bytes } => self.on_direct(own, from, incarnation, bytes),
            Frame::Gossip { .. } | Frame::Dht { .. } | Frame::Snapshot { .. } | Frame::Circuit { .. } => Vec::new(),
        }
    }

    /// Gives a connection up.
    pub(super) fn disconnect(&mut self, from: u32) -> Option<Change> {
        self.up.remove(&from).map(|_| Change::Down(from))
    }

    fn connect(&mut self, from: u32, incarnation: u32) -> Vec<Change> {
        match self.up.insert(from, incarnation) {
            Some(before) if before == incarnation => Vec::new(),
            Some(_) => vec![Change::Down(from), Change::Up(from)],
            None => vec![Change::Up(from)],
        }
    }

    /// Handles a thanks: both ends are connected.
    fn on_thanks(&mut self, from: u32, incarnation: u32) -> Vec<Change> {
        if self.greeted.get(&from) != Some(&incarnation) {
            return Vec::new();
        }
        self.greeted.remove(&from);
        self.connect(from, incarnation)
    }

    fn on_direct(&mut self, own: u32, from: u32, incarnation: u32, bytes: &[u8]) -> Vec<Change> {
        if incarnation != own {
            return vec![Change::Send(from, Frame::Bye.encode())];
        }
        // It can overtake the thanks: who knows this life has been welcomed.
        let mut changes =
            self.greeted.get(&from).copied().map_or_else(Vec::new, |greeted| self.on_thanks(from, greeted));
        changes.push(if self.up.contains_key(&from) {
            Change::Received(from, frame::shared(bytes))
        } else {
            Change::Send(from, Frame::Bye.encode())
        });
        changes
    }
}
