//! What a pool wants to know of the chain, and what it is told.
//!
//! Owns the question and the answer. Invariant: an answer holds what was found and nothing that was concluded from it:
//! transactions come whole, and are believed by their ids alone. Whoever runs a node with pools asks a server, or a
//! ledger of its own, and answers.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::crypto::Suite;
use nelumbo_core::crypto::lotus::{OutPoint, Transaction, Txid};
use serde::{Deserialize, Serialize};

use crate::content::{Place, Registration, burn_script, coin_script};
use crate::terms::Terms;

/// What a pool asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Which of these transactions are there, in a block or waiting.
    pub transactions: BTreeSet<[u8; 32]>,
    /// What spends these outputs, in a block or waiting.
    pub outputs: BTreeSet<Place>,
}

/// What there is, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Whether nodes take replay-protected signatures only.
    pub replay_protection: bool,
    /// The transactions that are there. One that was asked for and is missing is not.
    pub transactions: BTreeMap<[u8; 32], Found>,
    /// What spends the outputs that are spent.
    pub spenders: BTreeMap<Place, [u8; 32]>,
}

/// A transaction that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// As it is serialised.
    pub bytes: Vec<u8>,
    /// In how many blocks from its own to the last; 0 while it waits.
    pub confirmations: u32,
}

/// What is known of a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CoinState {
    /// As it has to be.
    Sound,
    /// Not there, or not confirmed often enough, yet.
    Unknown,
    /// Spent, of another amount, somebody else's, or without its burn.
    Bad,
}

impl View {
    /// How often a transaction is confirmed, if it is there.
    pub(crate) fn confirmations(&self, txid: &Txid) -> Option<u32> {
        self.transactions.get(txid.as_bytes()).map(|found| found.confirmations)
    }

    pub(crate) fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(&Place::from(*outpoint)).copied().map(Txid::from_bytes)
    }

    /// Whether a coin is what its registration says.
    pub(crate) fn coin(&self, terms: &Terms, registration: &Registration) -> CoinState {
        let Registration { key, coin, .. } = registration;
        if self.spenders.contains_key(coin) {
            return CoinState::Bad;
        }
        let Some(found) = self.transactions.get(&coin.txid) else { return CoinState::Unknown };
        let transaction = Transaction::parse(&found.bytes).ok();
        let Some(transaction) = transaction.filter(|each| each.txid(Suite::Lotus).as_bytes() == &coin.txid) else {
            return CoinState::Unknown;
        };
        let output = usize::try_from(coin.index).ok().and_then(|index| transaction.outputs.get(index));
        let is_coin =
            output.is_some_and(|output| output.value == terms.coin() && output.script_pubkey == coin_script(key));
        // One burn is for one coin.
        let is_alone =
            transaction.outputs.iter().filter(|output| output.script_pubkey == coin_script(key)).count() == 1;
        let burn = burn_script(key);
        let is_burned =
            transaction.outputs.iter().any(|output| output.script_pubkey == burn && output.value >= terms.burn());
        if !(is_coin && is_alone && is_burned) {
            return CoinState::Bad;
        }
        if found.confirmations >= terms.confirmations.into() { CoinState::Sound } else { CoinState::Unknown }
    }
}

/// The answer of a ledger of one's own.
#[cfg(feature = "ledger")]
#[must_use]
pub fn look(ledger: &nelumbo_chain::ledger::Ledger, query: &Query) -> View {
    let found = |txid: &[u8; 32]| {
        let located = ledger.transaction(&Txid::from_bytes(*txid))?;
        let confirmations = located.height.map_or(0, |height| ledger.height() - height + 1);
        Some((*txid, Found { bytes: located.transaction.to_bytes(), confirmations }))
    };
    let spender = |place: &Place| Some((*place, *ledger.spender(&OutPoint::from(*place))?.0.as_bytes()));
    View {
        replay_protection: ledger.replay_protected(),
        transactions: query.transactions.iter().filter_map(found).collect(),
        spenders: query.outputs.iter().filter_map(spender).collect(),
    }
}
