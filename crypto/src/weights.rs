//! Weights of the equations in a batch.
//!
//! Owns their derivation. Invariant: nobody knows a weight before everything that the batch verifies is fixed, because
//! each is a hash over all of it; 128 bits are as strong as the curve. The first is 1, which loses nothing: a sum that
//! comes to infinity is still a coincidence in the others, and one alone needs no weight. Batches drive it.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::hash::sha256;

/// Weights in the making.
pub(super) struct Weights(Sha256);

impl Weights {
    /// `purpose` keeps batches of different kinds apart.
    pub(super) fn new(purpose: &str) -> Self {
        let tag = sha256(&[purpose.as_bytes()]);
        Self(Sha256::new().chain_update(tag).chain_update(tag))
    }

    /// Takes in one part, with its length.
    pub(super) fn absorb(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// The weights.
    pub(super) fn finish(self, count: usize) -> Vec<u128> {
        let seed: [u8; 32] = self.0.finalize().into();
        let mut weights = Vec::with_capacity(count + 2);
        weights.push(1);
        for block in 0u64.. {
            if weights.len() >= count {
                break;
            }
            let hash = sha256(&[&seed, &block.to_be_bytes()]);
            let (low, high) = hash.split_at(16);
            let halves = [low, high].map(|half| u128::from_be_bytes(half.try_into().expect("16 bytes")));
            weights.extend(halves);
        }
        weights.truncate(count);
        weights
    }
}
