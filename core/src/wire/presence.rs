//! A signer's presence: which peer holds a key, and where that peer is to be found.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Address, PeerId, bounded};
use crate::base::Wall;

/// The most addresses that a presence lists.
pub const MAX_ADDRESSES: usize = 16;
/// The gossip topic that presences are published on.
pub(crate) const PRESENCE_TOPIC: &str = "musig2:presence";
/// The gossip topic that signing requests are published on.
pub(crate) const REQUEST_TOPIC: &str = "musig2:signing-request";

/// Says that the author's key is held by `peer`. Signed by that key: whoever relays it can change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The peer that holds the key.
    pub peer: PeerId,
    /// Where the peer listens.
    #[serde(deserialize_with = "addresses")]
    pub addresses: Vec<Address>,
    /// When it was signed. Of two presences of one key the newer holds.
    pub issued_at: Wall,
    /// From when on it is void.
    pub expires_at: Wall,
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    bounded(deserializer, MAX_ADDRESSES)
}
