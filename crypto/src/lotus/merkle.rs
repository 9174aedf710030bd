//! The Merkle trees in Lotus transaction ids and digests.
//!
//! Owns the tree rule. Invariant: an odd level is completed with 32 zero bytes, never with a copy of its last node, so
//! no two lists have one root. Transactions and digests drive it.

use alloc::vec::Vec;

use crate::hash::sha256d;

/// The root and the number of levels: 1 for one leaf, 0 and a root of zeros for none (Lotus scheme, section 7).
pub(super) fn merkle_root(leaves: impl Iterator<Item = [u8; 32]>) -> ([u8; 32], u8) {
    let mut level: Vec<[u8; 32]> = leaves.collect();
    let Some(first) = level.first() else {
        return ([0; 32], 0);
    };
    let mut root = *first;
    let mut height = 1;
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| sha256d(&[&pair[0], pair.get(1).unwrap_or(&[0; 32])])).collect();
        root = level[0];
        height += 1;
    }
    (root, height)
}
