//! What a pool is told, and what it wants done.

use nelumbo_core::api::NewSession;
use nelumbo_core::crypto::{PublicKey, Signature};
use nelumbo_core::single::Single;
use nelumbo_core::wire::{Definition, SessionId};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::chain::{Query, View};
use crate::content::Content;

/// What this node's key signs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Signing {
    /// Its registration.
    Registration,
    /// The roster, as creator.
    Roster,
    /// Its setup.
    Setup,
    /// What takes its coin back.
    Cancel,
    /// What takes its deposit back.
    Reclaim,
}

impl Signing {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Registration, Self::Roster, Self::Setup, Self::Cancel, Self::Reclaim];

    /// What tells it from the others.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Registration => 'r',
            Self::Roster => 'l',
            Self::Setup => 's',
            Self::Cancel => 'c',
            Self::Reclaim => 'd',
        }
    }
}

/// Something has happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed. It comes again and again.
    Tick,
    /// A signer has said something about this pool.
    Message(PublicKey, Content),
    /// What there is on the chain, of what was asked.
    View(View),
    /// What was to be signed is signed, or is not.
    Signed(Signing, Option<Signature>),
    /// The session that it wanted exists, or does not.
    Created(Option<SessionId>),
    /// A signer asks for a session of this pool.
    Announced(SessionId, Box<Definition>),
    /// A session of this pool has its signatures, which were verified.
    Completed(SessionId, Vec<Signature>),
    /// A session of this pool has ended without.
    Ended(SessionId),
    /// This node's person wants to leave.
    Leave,
    /// This node's person wants the deposit back, now that the delay is over.
    Reclaim,
}

/// What is to be done, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The record is this, before anything that follows can be seen by anybody.
    Persist(Vec<u8>),
    /// This is said to a signer. It may be lost.
    Send(PublicKey, Content),
    /// This is signed by this node's key alone.
    Sign(Signing, Box<Single>),
    /// A session is created.
    Create(Box<NewSession>),
    /// A session is approved: it signs what it has to.
    Join(SessionId),
    /// A session is refused: it does not.
    Refuse(SessionId),
    /// The chain is looked at.
    Look(Query),
    /// A transaction is broadcast.
    Broadcast(Vec<u8>),
    /// The phase, or what there is in it, has changed.
    Told(Box<Status>),
    /// Nothing is left to do: the record can go.
    Over(Box<Status>),
}
