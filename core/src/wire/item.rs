//! What a session signs: a list of items, each of which yields one signature.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use super::{MAX_MESSAGE, SpendPath, bounded};
use crate::crypto::Tweak;

/// One thing that is signed, under the session's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub subject: Subject,
    /// What is added to the aggregate key for it.
    pub tweak: Tweak,
}

/// What an item signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A bare message: 32 bytes for Lotus, up to [`MAX_MESSAGE`] for BIP340.
    Message(#[serde(deserialize_with = "message")] Vec<u8>),
    /// An input of the transaction in the session's details. What is signed is its digest, which nobody says: every
    /// signer computes it.
    Input(SignedInput),
}

/// Which input of a transaction is signed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedInput {
    /// Its place in the transaction, from 0.
    pub input: u32,
    /// What the signature covers, as the byte that is appended to it.
    pub sighash_type: u8,
    /// How the output is spent.
    pub path: SpendPath,
}

fn message<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_MESSAGE)
}

impl Item {
    /// A bare message.
    pub const fn message(message: Vec<u8>, tweak: Tweak) -> Self {
        Self { subject: Subject::Message(message), tweak }
    }

    /// An input of the transaction in the session's details.
    pub const fn input(input: SignedInput, tweak: Tweak) -> Self {
        Self { subject: Subject::Input(input), tweak }
    }
}
