//! Messages of protocols beyond signing that run on the same node.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Label, PeerId, bounded};
use crate::base::Wall;
use crate::crypto::PublicKey;

/// The most bytes of payload in a protocol's message to a signer or a peer.
pub const MAX_PAYLOAD: usize = 65_536;
/// The most bytes of payload in a protocol's message to a gossip topic: what [`MAX_GOSSIP`](super::MAX_GOSSIP) leaves.
pub const MAX_PUBLISHED: usize = 9_600;

/// What one key's holder says to others, in a protocol of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolMessage {
    /// The protocol's name.
    pub protocol: Label,
    /// Whom it is for.
    pub to: Receiver,
    /// Tells two messages with the same payload apart.
    pub number: u64,
    /// When it was signed. It is taken for as long as clocks may differ, and once.
    pub issued_at: Wall,
    /// What is said; only the protocol knows what it means.
    #[serde(deserialize_with = "payload")]
    pub payload: Vec<u8>,
}

/// Whom a protocol's message is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Receiver {
    /// The holder of this key. The message travels directly.
    Signer(PublicKey),
    /// This peer, whatever key it holds. The message travels directly.
    Peer(PeerId),
    /// Whoever subscribes to this topic of the protocol. The message travels by gossip.
    Topic(Label),
}

fn payload<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_PAYLOAD)
}
