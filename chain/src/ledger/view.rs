//! What can be seen of a ledger.
//!
//! Owns the ways to look things up. Invariant: nothing here changes anything. Tests and the server drive it.

use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};

use super::Ledger;
use super::block::Block;
use super::rules::Rules;
use crate::BlockHash;
use crate::ScriptPayload;

/// A transaction that waits or is in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<'a> {
    /// The transaction.
    pub transaction: &'a Transaction,
    /// What its inputs spend, in order; nothing for a coinbase.
    pub spent: Vec<&'a TxOutput>,
    /// The height of its block; none while it waits.
    pub height: Option<u32>,
    /// When it was first seen, in seconds; 0 if it came in a block.
    pub first_seen: i64,
    /// Whether it is the first of its block.
    pub is_coinbase: bool,
}

/// An output that nothing spends, in the chain or waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unspent<'a> {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is.
    pub output: &'a TxOutput,
    /// The height of its block; none while it waits.
    pub height: Option<u32>,
    /// Whether a coinbase made it.
    pub is_coinbase: bool,
}

impl Ledger {
    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The height of the last block.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.chain.height()
    }

    /// The last block.
    #[must_use]
    pub fn tip(&self) -> &Block {
        self.chain.tip()
    }

    /// The block at a height.
    #[must_use]
    pub fn block(&self, height: u32) -> Option<&Block> {
        Some(&self.chain.connected(height)?.block)
    }

    /// The height of a block of the chain.
    #[must_use]
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.chain.height_of(hash)
    }

    /// The median of the last eleven timestamps up to a block, in seconds: the time that lock times are compared with.
    #[must_use]
    pub fn median_time(&self, height: u32) -> i64 {
        self.chain.median_time(height)
    }

    /// Whether the next block takes replay-protected digests only.
    #[must_use]
    pub fn replay_protected(&self) -> bool {
        self.bench().flags().replay_protection
    }

    /// Whether the next block may have Taproot outputs.
    #[must_use]
    pub fn taproot_active(&self) -> bool {
        self.bench().flags().second_samuel
    }

    /// A transaction.
    #[must_use]
    pub fn transaction(&self, txid: &Txid) -> Option<Located<'_>> {
        let first_seen = self.first_seen.get(txid).copied().unwrap_or(0);
        if let Some(entry) = self.mempool.get(txid) {
            let spent = entry.spent.iter().collect();
            let transaction = &entry.transaction;
            return Some(Located { transaction, spent, height: None, first_seen, is_coinbase: false });
        }
        let place = self.chain.place(txid)?;
        let (transaction, coins) = self.chain.transaction(place);
        let spent = coins.iter().map(|coin| &coin.output).collect();
        let is_coinbase = place.position == 0;
        Some(Located { transaction, spent, height: Some(place.height), first_seen, is_coinbase })
    }

    /// The transaction that spends an output, in the chain or waiting, and with which input.
    #[must_use]
    pub fn spender(&self, outpoint: &OutPoint) -> Option<(Txid, u32)> {
        self.mempool.spender(outpoint).or_else(|| self.chain.spender(outpoint))
    }

    /// The transactions that pay to a script or spend from it, the newest first.
    pub fn history(&self, script: &ScriptPayload) -> impl ExactSizeIterator<Item = Txid> {
        self.index.history(script)
    }

    /// The outputs of a script that nothing spends.
    pub fn unspent(&self, script: &ScriptPayload) -> impl Iterator<Item = Unspent<'_>> {
        self.index.unspent(script).filter_map(|outpoint| {
            let Located { transaction, height, is_coinbase, .. } = self.transaction(&outpoint.txid)?;
            let output = transaction.outputs.get(usize::try_from(outpoint.index).ok()?)?;
            Some(Unspent { outpoint, output, height, is_coinbase })
        })
    }

    /// The transactions that wait, in the order in which they came.
    pub fn waiting(&self) -> impl Iterator<Item = Txid> {
        self.mempool.iter().map(|entry| entry.txid)
    }

    /// What all unspent outputs of the chain come to, in satoshi.
    #[must_use]
    pub fn money(&self) -> u64 {
        self.chain.money()
    }
}
