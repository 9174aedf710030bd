//! What a participant knows of a pool, over restarts.
//!
//! Owns the record. Invariants: one roster for ever; a signature in it has been verified; whoever has signed its setup
//! has all signatures of the settlement in it. [`Pool`](crate::Pool) drives it, and writes it before it says anything.

use std::collections::BTreeSet;

use nelumbo_core::crypto::lotus::OutPoint;
use nelumbo_core::crypto::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use crate::content::{Destination, Have, Place, Reason, Registration, Roster};
use crate::terms::{Terms, groups};
use crate::{decode, encode};

/// What this node puts in and where it wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// The key of this node.
    pub key: PublicKey,
    /// The coin, paid to the key's hash.
    pub coin: Place,
    /// Where the pool pays.
    pub destination: Destination,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) terms: Terms,
    pub(crate) own: Own,
    /// The own registration, once it is signed.
    pub(crate) registration: Option<Registration>,
    /// The creator's: who wants to take part, in the order in which they came.
    pub(crate) registered: Vec<Registration>,
    /// From here on the lists have a place for each participant, or each group.
    pub(crate) roster: Option<Roster>,
    pub(crate) destinations: Vec<Option<Destination>>,
    pub(crate) groups: Vec<Option<Vec<Signature>>>,
    pub(crate) setups: Vec<Option<Signature>>,
    /// Setups are broadcast.
    pub(crate) is_started: bool,
    /// The coin is taken back, and no setup is broadcast any more.
    pub(crate) is_cancelling: bool,
    pub(crate) aborted: Option<Reason>,
    /// Who has kept the pool from its end, as far as this node saw.
    pub(crate) blamed: BTreeSet<PublicKey>,
}

impl Book {
    pub(crate) const fn new(terms: Terms, own: Own) -> Self {
        Self {
            terms,
            own,
            registration: None,
            registered: Vec::new(),
            roster: None,
            destinations: Vec::new(),
            groups: Vec::new(),
            setups: Vec::new(),
            is_started: false,
            is_cancelling: false,
            aborted: None,
            blamed: BTreeSet::new(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// What was written, if it holds together.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let book: Self = decode(bytes)?;
        let participants = book.roster.as_ref().map_or(0, |roster| roster.registrations.len());
        let groups = if participants == 0 { 0 } else { groups(participants).len() };
        let lengths = [book.destinations.len(), book.groups.len(), book.setups.len()];
        (lengths == [participants, groups, participants]).then_some(book)
    }

    pub(crate) fn fix(&mut self, roster: Roster) {
        let participants = roster.registrations.len();
        self.destinations = vec![None; participants];
        self.groups = vec![None; groups(participants).len()];
        self.setups = vec![None; participants];
        self.roster = Some(roster);
    }

    pub(crate) fn is_creator(&self) -> bool {
        self.terms.creator == self.own.key
    }

    /// The own place in the roster.
    pub(crate) fn place(&self) -> Option<usize> {
        self.roster.as_ref()?.place_of(&self.own.key)
    }

    /// The key at a place of the roster.
    pub(crate) fn key(&self, place: usize) -> PublicKey {
        self.roster.as_ref().expect("there are places once there is a roster").registrations[place].key
    }

    /// The coins of all participants.
    pub(crate) fn coins(&self) -> Vec<OutPoint> {
        let roster = self.roster.iter().flat_map(|roster| &roster.registrations);
        roster.map(|registration| registration.coin.into()).collect()
    }

    /// Whether somebody else may have this node's signature over its setup.
    pub(crate) fn is_committed(&self) -> bool {
        self.place().is_some_and(|place| self.setups[place].is_some())
    }

    /// Whether the settlement is signed.
    pub(crate) fn has_settlement(&self) -> bool {
        self.roster.is_some() && self.groups.iter().all(Option::is_some)
    }

    pub(crate) fn have(&self) -> Have {
        fn bits<T>(list: &[Option<T>]) -> u16 {
            (0u32..).zip(list).filter(|(_, item)| item.is_some()).fold(0, |bits, (place, _)| bits | 1 << place)
        }
        Have {
            roster: self.roster.as_ref().map(Roster::hash),
            destinations: bits(&self.destinations),
            groups: bits(&self.groups),
            setups: bits(&self.setups),
        }
    }

    /// Whether nothing is lacking that others could give.
    pub(crate) fn is_complete(&self) -> bool {
        self.has_settlement() && self.setups.iter().all(Option::is_some)
    }
}
