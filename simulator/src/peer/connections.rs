//! Who a peer is connected to.
//!
//! A connection is greeted, welcomed and thanked for, so that both ends know of it. Invariant: a connection is up in
//! one life of the peer at its other end, a message reaches a node only over a connection that both ends know, in the
//! life it was sent to, and a connection comes back by itself to those whom this machine wants to be connected to. Does
//! no I/O: it is told which frames arrive. Driven by `Peer`.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::base::Bytes;

use super::frame::{self, Frame};

/// The transport's state.
#[derive(Debug, Default)]
pub struct Connections {
    /// Who this machine wants to be connected to.
    pub contacts: BTreeSet<u32>,
    /// Who it is connected to, in which life of theirs.
    pub(super) up: BTreeMap<u32, u32>,
    /// Who has greeted in which life, and has not thanked for the welcome yet.
    greeted: BTreeMap<u32, u32>,
    /// Whether it is going to greet again those who are lacking.
    pub(super) redials: bool,
}

/// What an arriving frame leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Send this frame to a peer.
    Send(u32, Vec<u8>),
    /// A peer is connected.
    Up(u32),
    /// A peer is connected no more.
    Down(u32),
    /// A message for the node has come from a peer.
    Received(u32, Bytes),
}

/// Frames to send, with whom to.
pub(super) type Frames = Vec<(u32, Vec<u8>)>;

impl Connections {
    /// No connection yet.
    #[must_use]
    pub const fn new(contacts: BTreeSet<u32>) -> Self {
        Self { contacts, up: BTreeMap::new(), greeted: BTreeMap::new(), redials: false }
    }

    /// What the process knew is gone; who to connect to is in a file. Whoever should know gets one of these frames.
    pub fn crash(&mut self) -> Vec<(u32, Vec<u8>)> {
        let byes = self.up.keys().map(|peer| (*peer, Frame::Bye.encode())).collect();
        *self = Self::new(std::mem::take(&mut self.contacts));
        byes
    }

    /// Whether someone is not connected who should be.
    pub(super) fn is_lacking(&self) -> bool {
        self.contacts.iter().any(|contact| !self.up.contains_key(contact))
    }

    /// Greetings to everyone who should be connected and is not.
    #[must_use]
    pub fn greetings(&self, incarnation: u32) -> Vec<(u32, Vec<u8>)> {
        let lacking = self.contacts.iter().filter(|contact| !self.up.contains_key(contact));
        lacking.map(|contact| (*contact, Frame::Hello { incarnation }.encode())).collect()
    }

    /// A message to a connected peer; to others there is no way.
    #[must_use]
    pub fn direct(&self, to: u32, bytes: &Bytes) -> Option<Vec<u8>> {
        self.up.get(&to).map(|incarnation| Frame::Direct { incarnation: *incarnation, bytes }.encode())
    }

    /// A frame has arrived, in this life of the machine.
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

    /// A connection is given up.
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

    /// The greeting has been answered and the answer has arrived: both ends are connected.
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
