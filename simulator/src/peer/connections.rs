//! Who a peer is connected to.
//!
//! Invariant: a connection is up in one life of the peer at its other end, and it comes back by itself to those whom
//! this machine wants to be connected to. Driven by `Peer`.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::base::Bytes;

use super::frame::Frame;

/// The transport's state.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// Who this machine wants to be connected to.
    pub(super) contacts: BTreeSet<u32>,
    /// Who it is connected to, in which life of theirs.
    pub(super) up: BTreeMap<u32, u32>,
    /// Who has greeted in which life, and has not thanked for the welcome yet.
    pub(super) greeted: BTreeMap<u32, u32>,
    /// Whether it is going to greet again those who are lacking.
    pub(super) redials: bool,
}

/// Frames to send, with whom to.
pub(super) type Frames = Vec<(u32, Vec<u8>)>;

impl Connections {
    pub(super) const fn new(contacts: BTreeSet<u32>) -> Self {
        Self { contacts, up: BTreeMap::new(), greeted: BTreeMap::new(), redials: false }
    }

    /// What the process knew is gone; who to connect to is in a file.
    pub(super) fn crash(&mut self) {
        *self = Self::new(std::mem::take(&mut self.contacts));
    }

    /// Whether someone is not connected who should be.
    pub(super) fn is_lacking(&self) -> bool {
        self.contacts.iter().any(|contact| !self.up.contains_key(contact))
    }

    /// Greetings to everyone who should be connected and is not.
    pub(super) fn greetings(&self, life: u32) -> Frames {
        let lacking = self.contacts.iter().filter(|contact| !self.up.contains_key(contact));
        lacking.map(|contact| (*contact, Frame::Hello { life }.encode())).collect()
    }

    /// A message to a connected peer.
    pub(super) fn direct(&self, to: u32, bytes: &Bytes) -> Option<Vec<u8>> {
        self.up.get(&to).map(|life| Frame::Direct { life: *life, bytes }.encode())
    }
}
