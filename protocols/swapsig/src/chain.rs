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

#[cfg(test)]
mod tests {
    use nelumbo_core::crypto::lotus::{TxInput, TxOutput};
    use nelumbo_core::crypto::{Network, PublicKey, SecretKey, Signature};

    use super::*;

    fn key(number: u8) -> PublicKey {
        SecretKey::from_bytes(&[number; 32]).expect("a key").public_key()
    }

    /// What is thought of the first output of a transaction with these, that is so often confirmed.
    fn state(outputs: Vec<TxOutput>, confirmations: u32, change: impl FnOnce(&mut View, Place)) -> CoinState {
        let outpoint = Place { txid: [7; 32], index: 0 }.into();
        let inputs = vec![TxInput { outpoint, script_sig: Vec::new(), sequence: 0 }];
        let transaction = Transaction { version: 2, inputs, outputs, lock_time: 0 };
        let coin = Place { txid: *transaction.txid(Suite::Lotus).as_bytes(), index: 0 };
        let mut view = View::default();
        view.transactions.insert(coin.txid, Found { bytes: transaction.to_bytes(), confirmations });
        change(&mut view, coin);
        let proof = Signature::from_bytes([1; 64]);
        view.coin(&terms(), &Registration { key: key(1), coin, commitment: [0; 32], proof })
    }

    fn terms() -> Terms {
        let mut terms = Terms::new(Network::Regtest, key(1), 100_000, 3, [0; 32]);
        (terms.confirmations, terms.delay) = (2, 720);
        terms
    }

    fn output(value: u64, script_pubkey: Vec<u8>) -> TxOutput {
        TxOutput { value, script_pubkey }
    }

    #[test]
    fn a_coin_has_its_amount_its_key_its_burn_and_its_confirmations() {
        let terms = terms();
        let coin = output(terms.coin(), coin_script(&key(1)));
        let burn = output(terms.burn(), burn_script(&key(1)));
        let sound = || vec![coin.clone(), burn.clone()];
        let as_it_is = |_: &mut View, _| {};
        assert_eq!(state(sound(), 2, as_it_is), CoinState::Sound);
        assert_eq!(state(sound(), 1, as_it_is), CoinState::Unknown, "not yet");
        assert_eq!(state(sound(), 2, |view, _| view.transactions.clear()), CoinState::Unknown, "not there");
        let other = |view: &mut View, coin: Place| {
            view.transactions.get_mut(&coin.txid).expect("it is there").bytes[0] ^= 1;
        };
        assert_eq!(state(sound(), 2, other), CoinState::Unknown, "a server that shows something else");
        let spent = |view: &mut View, coin| view.spenders = [(coin, [1; 32])].into();
        assert_eq!(state(sound(), 2, spent), CoinState::Bad);
        for outputs in [
            vec![coin.clone()],
            vec![output(terms.coin() - 1, coin_script(&key(1))), burn.clone()],
            vec![output(terms.coin() + 1, coin_script(&key(1))), burn.clone()],
            vec![output(terms.coin(), coin_script(&key(2))), burn.clone()],
            vec![coin.clone(), output(terms.burn() - 1, burn_script(&key(1)))],
            vec![coin.clone(), output(terms.burn(), burn_script(&key(2)))],
            vec![coin.clone(), coin.clone(), burn.clone()],
            vec![burn.clone(), coin.clone()],
        ] {
            assert_eq!(state(outputs.clone(), 2, as_it_is), CoinState::Bad, "{outputs:?}");
        }
    }
}
