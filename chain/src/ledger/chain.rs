//! The blocks that are connected, and the coins that they leave.
//!
//! Owns the chain's state and its history, so that the last block can be taken off again. Invariant: `coins` is what
//! the blocks create less what they spend. The ledger drives it with blocks whose transactions were judged.

use std::collections::BTreeMap;

use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};

use super::block::{self, Block, Header};
use crate::BlockHash;
use crate::build::is_data;

/// An output that no block spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coin {
    pub(super) output: TxOutput,
    pub(super) height: u32,
    pub(super) is_coinbase: bool,
}

/// A block, and what its transactions spend.
#[derive(Clone, Debug)]
pub(super) struct Connected {
    pub(super) block: Block,
    /// For each transaction, in the order of its inputs; nothing for the coinbase.
    pub(super) spent: Vec<Vec<Coin>>,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) height: u32,
    pub(super) position: usize,
}

/// The chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    blocks: Vec<Connected>,
    heights: BTreeMap<BlockHash, u32>,
    places: BTreeMap<Txid, Place>,
    coins: BTreeMap<OutPoint, Coin>,
    spenders: BTreeMap<OutPoint, (Txid, u32)>,
}

impl Chain {
    /// The chain of the first block alone. Its coin cannot be spent.
    pub(super) fn new() -> Self {
        let block = block::genesis();
        Self {
            heights: BTreeMap::from([(block.hash, 0)]),
            places: BTreeMap::from([(block.txids[0], Place { height: 0, position: 0 })]),
            blocks: vec![Connected { block, spent: vec![Vec::new()] }],
            coins: BTreeMap::new(),
            spenders: BTreeMap::new(),
        }
    }

    pub(super) fn tip(&self) -> &Block {
        &self.blocks.last().expect("the first block stays").block
    }

    pub(super) fn height(&self) -> u32 {
        self.tip().header.height
    }

    pub(super) fn connected(&self, height: u32) -> Option<&Connected> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    pub(super) fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.heights.get(hash).copied()
    }

    pub(super) fn place(&self, txid: &Txid) -> Option<Place> {
        self.places.get(txid).copied()
    }

    pub(super) fn transaction(&self, Place { height, position }: Place) -> (&Transaction, &[Coin]) {
        let Connected { block, spent } = self.connected(height).expect("places are in the chain");
        (&block.transactions[position], &spent[position])
    }

    pub(super) fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    /// Which transaction of a block spends an output, and with which input.
    pub(super) fn spender(&self, outpoint: &OutPoint) -> Option<(Txid, u32)> {
        self.spenders.get(outpoint).copied()
    }

    /// The median of the last eleven timestamps up to a block (BIP113).
    pub(super) fn median_time(&self, height: u32) -> i64 {
        let last = usize::try_from(height).map_or(self.blocks.len(), |height| self.blocks.len().min(height + 1));
        let mut times: Vec<i64> =
            self.blocks[last.saturating_sub(11)..last].iter().map(|each| each.block.header.timestamp).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// Adds a block whose parent is the tip, and whose transactions spend coins or each other's outputs.
    pub(super) fn connect(&mut self, block: Block) -> &Connected {
        let Header { height, .. } = block.header;
        assert_eq!(block.header.previous, self.tip().hash, "a block belongs on the tip; otherwise coins appear");
        for (position, (transaction, txid)) in block.transactions.iter().zip(&block.txids).enumerate() {
            self.places.insert(*txid, Place { height, position });
            for (index, output) in (0..).zip(&transaction.outputs) {
                if !is_data(&output.script_pubkey) {
                    let coin = Coin { output: output.clone(), height, is_coinbase: position == 0 };
                    self.coins.insert(OutPoint { txid: *txid, index }, coin);
                }
            }
        }
        let mut spent = vec![Vec::new()];
        for (transaction, txid) in block.transactions.iter().zip(&block.txids).skip(1) {
            spent.push(
                transaction
                    .inputs
                    .iter()
                    .zip(0..)
                    .map(|(input, number)| {
                        self.spenders.insert(input.outpoint, (*txid, number));
                        self.coins.remove(&input.outpoint).expect("a transaction was judged before it is in a block")
                    })
                    .collect(),
            );
        }
        self.heights.insert(block.hash, height);
        self.blocks.push(Connected { block, spent });
        self.blocks.last().expect("it was just added")
    }

    /// Takes the last block off. None for the first block.
    pub(super) fn disconnect(&mut self) -> Option<Connected> {
        if self.blocks.len() == 1 {
            return None;
        }
        let connected = self.blocks.pop()?;
        let Connected { block, spent } = &connected;
        self.heights.remove(&block.hash);
        for (transaction, spent) in block.transactions.iter().zip(spent).skip(1) {
            for (input, coin) in transaction.inputs.iter().zip(spent) {
                self.spenders.remove(&input.outpoint);
                self.coins.insert(input.outpoint, coin.clone());
            }
        }
        // Last, because the block may have spent some of its own.
        for (transaction, txid) in block.transactions.iter().zip(&block.txids) {
            self.places.remove(txid);
            for (index, _) in (0..).zip(&transaction.outputs) {
                self.coins.remove(&OutPoint { txid: *txid, index });
            }
        }
        Some(connected)
    }

    /// What all coins come to, in satoshi.
    pub(super) fn money(&self) -> u64 {
        self.coins.values().map(|coin| coin.output.value).sum()
    }
}
