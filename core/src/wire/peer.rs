//! How the network names its ends: peer ids and addresses, opaque to the core.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::compare;

/// The most bytes that a peer id has: a multihash of an inlined key (libp2p's specification of peer ids).
pub const MAX_PEER_ID: usize = 42;
/// The most bytes that an address has.
pub const MAX_ADDRESS: usize = 255;

/// A peer's name on the network, in binary. For libp2p it is the multihash of the peer's public key; the core only
/// compares it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId {
    // Unused bytes are zero, so that derived comparisons see the name alone.
    bytes: [u8; MAX_PEER_ID],
    len: u8,
}

impl Ord for PeerId {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.bytes, &other.bytes).then_with(|| self.len.cmp(&other.len))
    }
}

impl PartialOrd for PeerId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PeerId {
    /// The peer with this name, or `None` when it is empty or longer than [`MAX_PEER_ID`].
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > MAX_PEER_ID {
            return None;
        }
        let mut bytes = [0; MAX_PEER_ID];
        bytes[..name.len()].copy_from_slice(name);
        Some(Self { bytes, len: name.len() as u8 })
    }

    /// The name in binary.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for PeerId {
    /// Base58, as libp2p prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.as_bytes()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.as_bytes().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Vec::<u8>::deserialize(deserializer)?;
        Self::from_bytes(&name).ok_or_else(|| D::Error::custom("a peer id has 1 to 42 bytes"))
    }
}

/// An address where a peer may be reached, in binary: for libp2p a multiaddr without the peer id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Vec<u8>);

impl Address {
    /// The address with these bytes, or `None` when it is empty or longer than [`MAX_ADDRESS`].
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty() && bytes.len() <= MAX_ADDRESS).then_some(Self(bytes))
    }

    /// The address in binary.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} bytes)", self.0.len())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_bytes(Vec::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("an address has 1 to 255 bytes"))
    }
}
