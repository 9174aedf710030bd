//! What a node must remember over a restart, and nothing that must not survive one: no secret nonce, ever.
//!
//! The journal is a map from key to newest value. A session's record says which attempt this node has opened, so that
//! it never shows a second nonce for one attempt, and how the session ended. What the session is stands in a record of
//! its own, which is written once: before the session's first record, and removed after its last one.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::{IdentityId, Tier};
use crate::base::Wall;
use crate::crypto::{PublicKey, Signature};
use crate::wire::{AbortReason, Definition, Delegation, Label, Offer, SessionId, encode, encodes_to};

const SESSION: u8 = b's';
const DEFINITION: u8 = b'd';
const PROTOCOL: u8 = b'p';
const OWNER: u8 = b'q';
const REPUTATION: u8 = b'r';
const IDENTITY: u8 = b'i';
/// The key of what this node offers to sign.
pub(crate) const OFFER_KEY: &[u8] = b"o";
/// The key of the delegation to this node's message key.
pub(crate) const DELEGATION_KEY: &[u8] = b"k";

/// What is remembered of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    /// The highest attempt that this node has opened.
    pub(crate) attempt: u32,
    /// Whether a nonce of this session has signed, in any attempt: then there may be a final signature, whatever this
    /// node does.
    pub(crate) spent: bool,
    /// How many of the attempts have lapsed here, so that nothing had failed.
    pub(crate) lapsed: u32,
    /// In how many incarnation this node has said something in the session. Sequence numbers of each begin above all
    /// others.
    pub(crate) incarnation: u32,
    pub(crate) end: Option<End>,
    /// Whether its owner has closed it, and it is kept only because a signature may still appear.
    pub(crate) is_closed: bool,
}

/// What this node offers to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offered {
    pub(crate) offer: Offer,
    /// For how long each advertisement is valid, if its owner has said.
    pub(crate) lifetime: Option<Duration>,
}

/// What a key of the journal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    Session(Box<SessionRecord>),
    /// The session was closed. Until then its announcement could be shown again, and must mean nothing.
    Closed {
        until: Wall,
    },
    /// What this node offers to sign, until it is withdrawn.
    Offer(Box<Offered>),
    /// A record of another protocol.
    Protocol(Vec<u8>),
    /// Which protocol a session belongs to.
    Owner(Label),
    /// What this node has seen of a signer, 0 to 100.
    Reputation(u8),
    /// What a session is.
    Definition(Arc<Definition>),
    /// By what this node's message key speaks.
    Delegation(Delegation),
    /// The identity of a key, as the host has verified it last.
    Identity(IdentityId, Tier),
}

/// A record that has been read back.
#[derive(Debug)]
pub(crate) enum Remembered {
    Session(SessionId, Box<SessionRecord>),
    Closed(SessionId, Wall),
    Offer(Box<Offered>),
    Protocol { protocol: Label, name: Label, value: Vec<u8> },
    Owner(SessionId, Label),
    Reputation(PublicKey, u8),
    Definition(SessionId, Arc<Definition>),
    Delegation(Delegation),
    Identity(PublicKey, IdentityId, Tier),
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    /// The signed message that tells a signer who has missed it.
    pub(crate) final_message: Option<Vec<u8>>,
}

impl End {
    /// Whether the session ended because the holder of this key refused it.
    pub(crate) fn is_refusal_of(&self, key: &PublicKey) -> bool {
        matches!(&self.outcome, Outcome::Aborted { by, .. } if by == key)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Complete {
        /// One for each item.
        signatures: Vec<Signature>,
        /// The attempt that this node was at.
        attempt: u32,
        /// When, by this node's calendar.
        at: Wall,
        /// Who says that they have been broadcast; this node's own key, when its owner does.
        claimed: Option<PublicKey>,
        /// Whether this node had aborted the session: whoever refused it does not broadcast it.
        was_refused: bool,
    },
    Aborted {
        by: PublicKey,
        reason: AbortReason,
    },
    /// Its time was over. Remembered only when a signature may still appear.
    Expired,
}

/// A record that cannot be read. The journal has been damaged or belongs to another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorruptRecord {
    /// The record's key.
    pub key: Vec<u8>,
}

impl fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the journal has a record that cannot be read (key ")?;
        self.key.iter().take(33).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("); start with an empty journal, and do not approve its open sessions again")
    }
}

impl core::error::Error for CorruptRecord {}

impl Record {
    pub(crate) fn key(session: &SessionId) -> Vec<u8> {
        [&[SESSION], &session.as_bytes()[..]].concat()
    }

    /// The key of a session's definition.
    pub(crate) fn definition_key(session: &SessionId) -> Vec<u8> {
        [&[DEFINITION], &session.as_bytes()[..]].concat()
    }

    /// The key of a protocol's record. Labels have no slash.
    pub(crate) fn protocol_key(protocol: &Label, name: &Label) -> Vec<u8> {
        [&[PROTOCOL], protocol.as_str().as_bytes(), b"/", name.as_str().as_bytes()].concat()
    }

    /// The key of the record that says which protocol a session belongs to.
    pub(crate) fn owner_key(session: &SessionId) -> Vec<u8> {
        [&[OWNER], &session.as_bytes()[..]].concat()
    }

    /// The key of what this node has seen of a signer.
    pub(crate) fn reputation_key(signer: &PublicKey) -> Vec<u8> {
        [&[REPUTATION], &signer.to_bytes()[..]].concat()
    }

    /// The key of what this node knows of a key's identity.
    pub(crate) fn identity_key(key: &PublicKey) -> Vec<u8> {
        [&[IDENTITY], &key.to_bytes()[..]].concat()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a record back. Its key must fit: a session's is its id.
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Remembered, CorruptRecord> {
        let corrupt = || CorruptRecord { key: key.to_vec() };
        let record: Self = postcard::from_bytes(value).map_err(|_| corrupt())?;
        if !encodes_to(&record, value) {
            return Err(corrupt());
        }
        match (&record, key) {
            (Self::Protocol(value), [PROTOCOL, names @ ..]) => {
                let (protocol, name) = protocol_record(names).ok_or_else(corrupt)?;
                return Ok(Remembered::Protocol { protocol, name, value: value.clone() });
            }
            (Self::Owner(protocol), [OWNER, id @ ..]) => {
                let id = id.try_into().map_err(|_| corrupt())?;
                return Ok(Remembered::Owner(SessionId::from_bytes(id), protocol.clone()));
            }
            (Self::Definition(definition), [DEFINITION, id @ ..]) => {
                let id = SessionId::from_bytes(id.try_into().map_err(|_| corrupt())?);
                let is_sound = definition.id() == id && definition.check(Duration::MAX).is_ok();
                return if is_sound { Ok(Remembered::Definition(id, definition.clone())) } else { Err(corrupt()) };
            }
            (Self::Reputation(value @ 0..=100), [REPUTATION, signer @ ..]) => {
                return Ok(Remembered::Reputation(signer_of(signer).ok_or_else(corrupt)?, *value));
            }
            (Self::Identity(id, tier), [IDENTITY, key @ ..]) => {
                return Ok(Remembered::Identity(signer_of(key).ok_or_else(corrupt)?, *id, *tier));
            }
            _ => {}
        }
        let id = match key {
            [SESSION, id @ ..] => Some(SessionId::from_bytes(id.try_into().map_err(|_| corrupt())?)),
            _ => None,
        };
        match (record, id) {
            (Self::Session(session), Some(id)) if session.attempt > 0 => Ok(Remembered::Session(id, session)),
            (Self::Closed { until }, Some(id)) => Ok(Remembered::Closed(id, until)),
            (Self::Delegation(delegation), None) if key == DELEGATION_KEY => Ok(Remembered::Delegation(delegation)),
            (Self::Offer(offered), None) if key == OFFER_KEY && offered.offer.check().is_ok() => {
                Ok(Remembered::Offer(offered))
            }
            _ => Err(corrupt()),
        }
    }
}

/// The signer that the key of a record names.
fn signer_of(bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::from_bytes(bytes.try_into().ok()?).ok()
}

/// The names in the key of a protocol's record.
fn protocol_record(names: &[u8]) -> Option<(Label, Label)> {
    let (protocol, name) = core::str::from_utf8(names).ok()?.split_once('/')?;
    Some((protocol.parse().ok()?, name.parse().ok()?))
}
