//! What a watch knows, and what it tells when it knows more.
//!
//! Owns the last blocks of the chain and the transactions that are not yet out of reach of a reorganisation. Events are
//! the difference between what was known and what is seen now, so it does not matter which messages were lost, doubled
//! or out of order, nor which server said what. Invariants: for each transaction events alternate as `Seen`, then
//! `Confirmed` and `Reorganised` in turn, with `Removed` only while it waits; a `Confirmed` comes after the
//! `BlockConnected` of its block, a `Reorganised` after its `BlockDisconnected`. `observe.rs` looks, the watch drives
//! it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nelumbo_crypto::lotus::Txid;

use super::{ChainEvent, Since, Watched};
use crate::chronik::types::{BlockId, ChainTx};

/// How many of the last blocks are remembered: the deepest reorganisation that is followed. It is also how long a
/// coinbase has to wait.
pub(super) const DEPTH: u32 = 100;

/// A transaction that waits is given up when it was missed for so much: twice by all servers, or for longer when some
/// do not answer.
const GIVEN_UP: u32 = 24;

/// What one look at a server has shown.
#[derive(Debug, Default)]
pub(super) struct Observation {
    /// How many of the known blocks are gone.
    pub(super) disconnected: usize,
    /// The blocks that follow on what is left.
    pub(super) connected: Vec<BlockId>,
    /// What is in blocks below and is not known is of no interest.
    pub(super) settled: u32,
    /// The transactions, each with its block.
    pub(super) found: BTreeMap<Txid, ChainTx>,
    /// What waited and is not there any more, with another that spends the same.
    pub(super) missing: BTreeMap<Txid, Option<Txid>>,
    /// Whether other servers that might still have it do not answer.
    pub(super) others_silent: bool,
}

#[derive(Debug)]
struct Tracked {
    transaction: ChainTx,
    missed: u32,
}

#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) watched: Watched,
    pub(super) max_transactions: usize,
    /// Of all of them together.
    pub(super) max_bytes: usize,
    settled: u32,
    chain: VecDeque<BlockId>,
    transactions: BTreeMap<Txid, Tracked>,
    /// What was asked for by its id and is out of reach of a reorganisation.
    done: BTreeSet<Txid>,
}

impl Tracker {
    pub(super) fn new(watched: Watched, max_transactions: usize, max_bytes: usize) -> Self {
        let settled = match watched.since {
            Since::Now => u32::MAX,
            Since::Height(height) => height,
        };
        let (chain, transactions, done) = (VecDeque::new(), BTreeMap::new(), BTreeSet::new());
        Self { watched, max_transactions, max_bytes, settled, chain, transactions, done }
    }

    /// The last known blocks, in order.
    pub(super) fn chain(&self) -> &VecDeque<BlockId> {
        &self.chain
    }

    /// Below which height what is not known is of no interest, given that the common chain ends at height `common`, or
    /// that a chain with this last block is seen for the first time.
    pub(super) fn settled(&self, common: Option<u32>, tip: u32) -> u32 {
        match common {
            // What has taken the place of a block that is gone is news.
            Some(common) => self.settled.min(common.saturating_add(1)),
            None => self.settled.min(tip.saturating_add(1)),
        }
    }

    /// The block in which a transaction is known to be; none outside for one that is not known.
    pub(super) fn known(&self, txid: &Txid) -> Option<Option<BlockId>> {
        self.transactions.get(txid).map(|tracked| tracked.transaction.block)
    }

    pub(super) fn transaction(&self, txid: &Txid) -> Option<&ChainTx> {
        self.transactions.get(txid).map(|tracked| &tracked.transaction)
    }

    /// The transactions to look up by their ids, unless a history has them.
    pub(super) fn wanted(&self) -> BTreeSet<Txid> {
        let asked = self.watched.txids.iter().filter(|txid| !self.done.contains(*txid));
        asked.chain(self.transactions.keys()).copied().collect()
    }

    /// Whether a transaction is news, or known.
    pub(super) fn is_of_interest(&self, transaction: &ChainTx, settled: u32) -> bool {
        transaction.block.is_none_or(|block| block.height >= settled)
            || self.transactions.contains_key(&transaction.txid)
            || (self.watched.txids.contains(&transaction.txid) && !self.done.contains(&transaction.txid))
    }

    pub(super) fn apply(&mut self, observation: Observation) -> Vec<ChainEvent> {
        let Observation { disconnected, connected, settled, found, missing, others_silent } = observation;
        let mut events = Vec::new();
        let is_first = self.chain.is_empty();
        self.disconnect(disconnected, &mut events);
        // At first the chain is only learnt, and its last block told.
        let told = if is_first { connected.len().saturating_sub(1) } else { 0 };
        let mut by_block: BTreeMap<BlockId, Vec<ChainTx>> = BTreeMap::new();
        let mut waiting = Vec::new();
        for transaction in found.into_values() {
            match transaction.block {
                Some(block) => by_block.entry(block).or_default().push(transaction),
                None => waiting.push(transaction),
            }
        }
        let news: BTreeSet<BlockId> = connected[told..].iter().copied().collect();
        let (in_news, before): (BTreeMap<_, _>, BTreeMap<_, _>) =
            by_block.into_iter().partition(|(block, _)| news.contains(block));
        for transaction in before.into_values().flatten() {
            self.saw(transaction, &mut events);
        }
        let mut in_news = in_news;
        for (index, block) in connected.into_iter().enumerate() {
            self.chain.push_back(block);
            if index < told {
                continue;
            }
            events.push(ChainEvent::BlockConnected(block));
            for transaction in in_news.remove(&block).unwrap_or_default() {
                self.saw(transaction, &mut events);
            }
        }
        for transaction in waiting {
            self.saw(transaction, &mut events);
        }
        let misses = if others_silent { 1 } else { GIVEN_UP / 2 };
        for (txid, conflict) in missing {
            let Some(tracked) = self.transactions.get_mut(&txid) else { continue };
            tracked.missed += misses;
            if conflict.is_some() || tracked.missed >= GIVEN_UP {
                self.transactions.remove(&txid);
                events.push(ChainEvent::Removed { txid, conflict });
            }
        }
        self.forget(settled);
        events
    }

    fn disconnect(&mut self, count: usize, events: &mut Vec<ChainEvent>) {
        let kept = self.chain.len().saturating_sub(count);
        let gone: BTreeSet<BlockId> = self.chain.drain(kept..).collect();
        events.extend(gone.iter().rev().map(|block| ChainEvent::BlockDisconnected(*block)));
        for (txid, tracked) in &mut self.transactions {
            if let Some(block) = tracked.transaction.block
                && gone.contains(&block)
            {
                tracked.transaction.block = None;
                tracked.transaction.block_time = None;
                events.push(ChainEvent::Reorganised { txid: *txid, block });
            }
        }
    }

    fn saw(&mut self, transaction: ChainTx, events: &mut Vec<ChainEvent>) {
        let (txid, block) = (transaction.txid, transaction.block);
        let was_confirmed = match self.transactions.get(&txid) {
            Some(tracked) => tracked.transaction.block.is_some(),
            None => {
                events.push(ChainEvent::Seen(Box::new(transaction.clone())));
                false
            }
        };
        if let Some(block) = block
            && !was_confirmed
        {
            events.push(ChainEvent::Confirmed { txid, block });
        }
        self.transactions.insert(txid, Tracked { transaction, missed: 0 });
    }

    /// What no reorganisation reaches that is followed.
    fn forget(&mut self, settled: u32) {
        let Some(tip) = self.chain.back() else { return };
        self.settled = settled.max((tip.height + 1).saturating_sub(DEPTH));
        let excess = self.chain.len().saturating_sub(DEPTH as usize);
        self.chain.drain(..excess);
        // What is forgotten here lies below `settled`, so that it is not told again.
        let first = self.settled.min(self.chain.front().map_or(0, |first| first.height));
        let is_over = |tracked: &Tracked| tracked.transaction.block.is_some_and(|block| block.height < first);
        for (txid, tracked) in &self.transactions {
            if is_over(tracked) && self.watched.txids.contains(txid) {
                self.done.insert(*txid);
            }
        }
        self.transactions.retain(|_, tracked| !is_over(tracked));
    }
}
