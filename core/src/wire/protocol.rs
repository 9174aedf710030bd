//! Messages of protocols beyond signing that run on the same node.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Label, bounded};
use crate::base::Wall;
use crate::crypto::PublicKey;

/// The most bytes of payload in a protocol's message.
pub const MAX_PAYLOAD: usize = 65_536;

/// What one key's holder says to another's, in a protocol of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolMessage {
    /// The protocol's name.
    pub protocol: Label,
    /// Whom it is for.
    pub to: PublicKey,
    /// Tells two messages with the same payload apart.
    pub number: u64,
    /// When it was signed. It is taken for as long as clocks may differ, and once.
    pub issued_at: Wall,
    /// What is said; only the protocol knows what it means.
    #[serde(deserialize_with = "payload")]
    pub payload: Vec<u8>,
}

fn payload<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_PAYLOAD)
}
