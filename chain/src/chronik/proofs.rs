//! Which transactions were found in which blocks.
//!
//! Owns a bounded memory that all servers share. What a block holds follows from its hash, whoever says it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use nelumbo_crypto::lotus::Txid;

use super::types::BlockId;

const MOST: usize = 1_024;

#[derive(Debug, Default)]
struct Known {
    all: BTreeSet<(Txid, BlockId)>,
    order: VecDeque<(Txid, BlockId)>,
}

/// What was found; the oldest is forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Proofs(Arc<Mutex<Known>>);

impl Proofs {
    pub(super) fn has(&self, txid: Txid, block: BlockId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all.contains(&(txid, block))
    }

    pub(super) fn add(&self, txid: Txid, block: BlockId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.all.insert((txid, block)) {
            known.order.push_back((txid, block));
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.all.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chronik::BlockHash;

    #[test]
    fn the_newest_are_kept_and_the_oldest_forgotten() {
        let (proofs, block) = (Proofs::default(), BlockId { height: 1, hash: BlockHash::from_bytes([1; 32]) });
        let txid = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            Txid::from_bytes(bytes)
        };
        (0..=MOST).for_each(|number| proofs.add(txid(number), block));
        proofs.add(txid(MOST), block);
        assert_eq!([0, 1, MOST].map(|number| proofs.has(txid(number), block)), [false, true, true]);
    }
}
