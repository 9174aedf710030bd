//! Which transactions and outputs belong to a script, as Chronik groups them.
//!
//! Owns the groups and their history. Invariant: the unspent outputs are those of the chain and of what waits, less
//! what either spends. The ledger drives it, and the server reads it.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_crypto::lotus::{OutPoint, Transaction, TxOutput, Txid};

use crate::ScriptPayload;

/// All groups that a transaction touches, by what it creates and what it spends.
pub(super) fn touched<'a>(
    transaction: &'a Transaction,
    spent: impl IntoIterator<Item = &'a TxOutput>,
) -> BTreeSet<ScriptPayload> {
    let outputs = transaction.outputs.iter().chain(spent);
    outputs.flat_map(|output| ScriptPayload::of(&output.script_pubkey)).collect()
}

/// Where a transaction stands in histories, the oldest first: its height, the largest for none; when it was first seen;
/// its place among those of the same height and time.
pub(super) type Rank = (u32, i64, u64);

/// The height of what waits.
pub(super) const UNCONFIRMED: u32 = u32::MAX;

/// The groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    history: BTreeMap<ScriptPayload, BTreeSet<(Rank, Txid)>>,
    unspent: BTreeMap<ScriptPayload, BTreeSet<OutPoint>>,
    ranks: BTreeMap<Txid, Rank>,
}

impl Index {
    /// Adds a transaction, or moves it where it is now.
    pub(super) fn place<'a>(
        &mut self,
        txid: Txid,
        rank: Rank,
        transaction: &'a Transaction,
        spent: impl IntoIterator<Item = &'a TxOutput> + Clone,
    ) {
        let before = self.ranks.insert(txid, rank);
        for member in touched(transaction, spent.clone()) {
            let history = self.history.entry(member).or_default();
            if let Some(before) = before {
                history.remove(&(before, txid));
            }
            history.insert((rank, txid));
        }
        if before.is_none() {
            self.create(txid, transaction);
            for (input, output) in transaction.inputs.iter().zip(spent) {
                ScriptPayload::of(&output.script_pubkey).iter().for_each(|member| self.unmark(member, input.outpoint));
            }
        }
    }

    /// Takes a transaction out, as if it had never been.
    pub(super) fn remove<'a>(
        &mut self,
        txid: Txid,
        transaction: &'a Transaction,
        spent: impl IntoIterator<Item = &'a TxOutput> + Clone,
    ) {
        let Some(rank) = self.ranks.remove(&txid) else { return };
        for member in touched(transaction, spent.clone()) {
            if let Some(history) = self.history.get_mut(&member) {
                history.remove(&(rank, txid));
                if history.is_empty() {
                    self.history.remove(&member);
                }
            }
        }
        for (index, output) in (0..).zip(&transaction.outputs) {
            let outpoint = OutPoint { txid, index };
            ScriptPayload::of(&output.script_pubkey).iter().for_each(|member| self.unmark(member, outpoint));
        }
        // What it spent is there again, unless that was taken out before.
        let inputs = transaction.inputs.iter().zip(spent);
        for (input, output) in
            inputs.filter(|(input, _)| self.ranks.contains_key(&input.outpoint.txid)).collect::<Vec<_>>()
        {
            ScriptPayload::of(&output.script_pubkey).into_iter().for_each(|member| self.mark(member, input.outpoint));
        }
    }

    /// The newest first.
    pub(super) fn history(&self, member: &ScriptPayload) -> impl ExactSizeIterator<Item = Txid> {
        const NONE: &BTreeSet<(Rank, Txid)> = &BTreeSet::new();
        self.history.get(member).unwrap_or(NONE).iter().rev().map(|(_, txid)| *txid)
    }

    pub(super) fn unspent(&self, member: &ScriptPayload) -> impl Iterator<Item = OutPoint> {
        self.unspent.get(member).into_iter().flatten().copied()
    }

    fn create(&mut self, txid: Txid, transaction: &Transaction) {
        for (index, output) in (0..).zip(&transaction.outputs) {
            let outpoint = OutPoint { txid, index };
            ScriptPayload::of(&output.script_pubkey).into_iter().for_each(|member| self.mark(member, outpoint));
        }
    }

    fn mark(&mut self, member: ScriptPayload, outpoint: OutPoint) {
        self.unspent.entry(member).or_default().insert(outpoint);
    }

    fn unmark(&mut self, member: &ScriptPayload, outpoint: OutPoint) {
        if let Some(unspent) = self.unspent.get_mut(member) {
            unspent.remove(&outpoint);
            if unspent.is_empty() {
                self.unspent.remove(member);
            }
        }
    }
}
