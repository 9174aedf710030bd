//! The transactions that wait for a block.
//!
//! Owns them in the order in which they came, and who spends what among them. Invariants: no two spend the same output;
//! parents stand before their children; at most [`MAX_MEMPOOL_BYTES`] of them are kept. The ledger drives it with
//! transactions that were judged.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};

use super::rules::{MAX_CHAIN, MAX_CHAIN_BYTES, MAX_MEMPOOL_BYTES};

/// A transaction that waits.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) txid: Txid,
    pub(super) transaction: Transaction,
    /// What its inputs spend, in order.
    pub(super) spent: Vec<TxOutput>,
    pub(super) size: usize,
    pub(super) fee: u64,
    /// When it came, in seconds.
    pub(super) time: i64,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Mempool {
    entries: BTreeMap<u64, Entry>,
    numbers: BTreeMap<Txid, u64>,
    spenders: BTreeMap<OutPoint, (Txid, u32)>,
    bytes: usize,
    next: u64,
}

impl Mempool {
    pub(super) fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(self.numbers.get(txid)?)
    }

    pub(super) fn output(&self, outpoint: &OutPoint) -> Option<&TxOutput> {
        self.get(&outpoint.txid)?.transaction.outputs.get(usize::try_from(outpoint.index).ok()?)
    }

    pub(super) fn spender(&self, outpoint: &OutPoint) -> Option<(Txid, u32)> {
        self.spenders.get(outpoint).copied()
    }

    /// In the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The number that the next one gets.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes <= MAX_MEMPOOL_BYTES
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        for (input, number) in entry.transaction.inputs.iter().zip(0..) {
            let before = self.spenders.insert(input.outpoint, (entry.txid, number));
            assert!(before.is_none(), "two transactions that spend the same output would both be mined");
        }
        self.bytes += entry.size;
        self.numbers.insert(entry.txid, self.next);
        self.entries.insert(self.next, entry);
        self.next += 1;
    }

    pub(super) fn remove(&mut self, txid: &Txid) -> Option<Entry> {
        let entry = self.entries.remove(&self.numbers.remove(txid)?)?;
        for input in &entry.transaction.inputs {
            self.spenders.remove(&input.outpoint);
        }
        self.bytes -= entry.size;
        Some(entry)
    }

    /// Takes all of them out, in the order in which they came.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let next = self.next;
        let taken = std::mem::take(self);
        self.next = next;
        taken.entries.into_values().collect()
    }

    /// A transaction and all that spend from it, the last first.
    pub(super) fn with_descendants(&self, txid: &Txid) -> Vec<Txid> {
        self.reach(BTreeSet::from([*txid]), |entry| self.children(entry)).into_iter().rev().collect()
    }

    /// Whether one more transaction keeps the chain of unconfirmed ones within its limits.
    pub(super) fn check_chain(&self, transaction: &Transaction, size: usize) -> Result<(), String> {
        let parents: BTreeSet<Txid> = self.parents(transaction).collect();
        if parents.len() + 1 > MAX_CHAIN {
            return Err(format!("too many unconfirmed parents [limit: {MAX_CHAIN}]"));
        }
        let ancestors = self.reach(parents, |entry| self.parents(&entry.transaction).collect());
        if ancestors.len() + 1 > MAX_CHAIN {
            return Err(format!("too many unconfirmed ancestors [limit: {MAX_CHAIN}]"));
        }
        if size + self.size_of(&ancestors) > MAX_CHAIN_BYTES {
            return Err(format!("exceeds ancestor size limit [limit: {MAX_CHAIN_BYTES}]"));
        }
        for ancestor in &ancestors {
            let family = self.with_descendants(ancestor);
            if family.len() + 1 > MAX_CHAIN {
                return Err(format!("too many descendants for tx {ancestor} [limit: {MAX_CHAIN}]"));
            }
            if size + self.size_of(&family) > MAX_CHAIN_BYTES {
                return Err(format!("exceeds descendant size limit for tx {ancestor} [limit: {MAX_CHAIN_BYTES}]"));
            }
        }
        Ok(())
    }

    fn size_of(&self, txids: &[Txid]) -> usize {
        txids.iter().filter_map(|txid| self.get(txid)).map(|entry| entry.size).sum()
    }

    fn parents<'a>(&'a self, transaction: &'a Transaction) -> impl Iterator<Item = Txid> + 'a {
        transaction.inputs.iter().map(|input| input.outpoint.txid).filter(|txid| self.numbers.contains_key(txid))
    }

    fn children(&self, entry: &Entry) -> Vec<Txid> {
        let outpoints = (0..).zip(&entry.transaction.outputs).map(|(index, _)| OutPoint { txid: entry.txid, index });
        outpoints.filter_map(|outpoint| Some(self.spender(&outpoint)?.0)).collect()
    }

    /// What can be reached from some transactions, in the order in which they came.
    fn reach(&self, from: BTreeSet<Txid>, next: impl Fn(&Entry) -> Vec<Txid>) -> Vec<Txid> {
        let mut open: Vec<Txid> = from.iter().copied().collect();
        let mut found = from;
        while let Some(txid) = open.pop() {
            for other in self.get(&txid).map(&next).unwrap_or_default() {
                if found.insert(other) {
                    open.push(other);
                }
            }
        }
        let mut found: Vec<Txid> = found.into_iter().filter(|txid| self.numbers.contains_key(txid)).collect();
        found.sort_by_key(|txid| self.numbers[txid]);
        found
    }
}
