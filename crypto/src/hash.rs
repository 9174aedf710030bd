//! SHA-256 in the three forms the protocols use.
//!
//! Owns nothing. Invariant: the parts of an input are hashed one after the other, without lengths or separators between
//! them, so a caller with parts of variable length must frame them itself. Everything in `crypto` drives it.

use sha2::{Digest, Sha256};

/// `SHA-256(part ‖ part ‖ …)`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// `SHA-256(SHA-256(part ‖ part ‖ …))`, the hash of Bitcoin-like ledgers.
#[must_use]
pub fn sha256d(parts: &[&[u8]]) -> [u8; 32] {
    sha256(&[&sha256(parts)])
}

/// The tagged hash of BIP340: `SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ part ‖ part ‖ …)`.
#[must_use]
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    TaggedHash::new(tag).of(parts)
}

/// A tag that many inputs are hashed under; what it costs is paid once.
#[derive(Clone)]
pub(super) struct TaggedHash(Sha256);

impl TaggedHash {
    pub(super) fn new(tag: &str) -> Self {
        let prefix = sha256(&[tag.as_bytes()]);
        Self(Sha256::new().chain_update(prefix).chain_update(prefix))
    }

    /// The tagged hash of the parts.
    pub(super) fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = self.0.clone();
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }
}
