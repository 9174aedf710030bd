//! The transaction of a round, which everybody who is in it computes by itself.
//!
//! Owns amounts, and what somebody may sign. Invariant: whoever signs is paid the denomination once and its change, and
//! pays the round's fee and nothing else, or nothing happens at all. It is pure; the protocol drives it.

use std::collections::BTreeSet;

use nelumbo_chain::build::{Unlock, dust, hash160};
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::lotus::{
    OutPoint, SighashCache, SighashType, Spend, Transaction, TxInput, TxOutput, Txid, p2pkh_script,
};
use nelumbo_core::crypto::{Network, PublicKey, Signature, Suite, schnorr, tagged_hash};
use nelumbo_core::single::{Single, SingleInput};
use nelumbo_core::wire::{SignedInput, SpendPath, Spending, Spent};
use serde::{Deserialize, Serialize};

/// The most people in a round.
pub const MAX_PARTICIPANTS: u8 = 20;
/// The fewest: with two, each knows whose the other output is.
pub const MIN_PARTICIPANTS: u8 = 3;
/// The most bytes of an output's script.
const MAX_SCRIPT: usize = 36;
/// No amount is larger.
const MAX_MONEY: u64 = 2_100_000_000_000_000;

/// What the creator announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Who has created it, collects the signatures, and leaves out who does not sign.
    pub creator: PublicKey,
    /// What each is paid, in satoshi.
    pub denomination: u64,
    /// How many it takes.
    pub participants: u8,
    /// What each pays, in satoshi. 220 are enough for an input and two outputs at one satoshi a byte.
    pub fee: u64,
    /// Whether it is signed for nodes that have not been updated at the network's next upgrade.
    pub replay_protection: bool,
    /// When it is over.
    pub until: Wall,
}

impl Terms {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        tagged_hash("coinjoin/round", &[&crate::encode(self)])
    }

    /// Whether such a round can be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        (MIN_PARTICIPANTS..=MAX_PARTICIPANTS).contains(&self.participants)
            && (1_000..MAX_MONEY).contains(&self.denomination)
            && (220..=100_000).contains(&self.fee)
    }
}

/// Somebody's part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Whose: the key of its node, to whose hash the coin is paid.
    pub key: PublicKey,
    /// The id of the coin's transaction.
    pub txid: [u8; 32],
    /// Which of its outputs.
    pub index: u32,
    /// What it is worth, in satoshi.
    pub value: u64,
    /// Where the denomination goes.
    pub output: Vec<u8>,
    /// Where the rest goes.
    pub change: Vec<u8>,
}

impl Entry {
    /// Where the coin is.
    #[must_use]
    pub const fn outpoint(&self) -> OutPoint {
        OutPoint { txid: Txid::from_bytes(self.txid), index: self.index }
    }

    fn coin(&self) -> TxOutput {
        TxOutput { value: self.value, script_pubkey: p2pkh_script(&hash160(self.key.as_bytes())).to_vec() }
    }

    /// Whether it can be part of a round.
    #[must_use]
    pub fn is_sound(&self, terms: &Terms) -> bool {
        let fits = |script: &[u8]| !script.is_empty() && script.len() <= MAX_SCRIPT && script[0] != 0x6a;
        self.value <= MAX_MONEY
            && self.value >= terms.denomination + terms.fee
            && fits(&self.output)
            && fits(&self.change)
            && self.output != self.change
    }
}

/// An attempt: who takes part in it, and the transaction that this makes.
#[derive(Clone, Debug)]
pub struct Attempt {
    terms: Terms,
    /// In the order of the inputs.
    entries: Vec<Entry>,
    transaction: Transaction,
    spent: Vec<TxOutput>,
}

impl Attempt {
    /// The transaction of these people; nothing if they make none.
    #[must_use]
    pub fn new(terms: &Terms, mut entries: Vec<Entry>) -> Option<Self> {
        entries.sort_by_key(Entry::outpoint);
        let keys: BTreeSet<PublicKey> = entries.iter().map(|entry| entry.key).collect();
        let coins: BTreeSet<OutPoint> = entries.iter().map(Entry::outpoint).collect();
        let outputs: BTreeSet<&[u8]> = entries.iter().map(|entry| entry.output.as_slice()).collect();
        let count = entries.len();
        let is_sound = usize::from(MIN_PARTICIPANTS) <= count
            && count <= usize::from(terms.participants)
            && [keys.len(), coins.len(), outputs.len()] == [count; 3]
            && entries.iter().all(|entry| entry.is_sound(terms));
        if !is_sound {
            return None;
        }
        let input = |entry: &Entry| TxInput { outpoint: entry.outpoint(), script_sig: Vec::new(), sequence: u32::MAX };
        let mut outputs: Vec<TxOutput> = entries.iter().flat_map(|entry| entry.outputs(terms)).collect();
        // In an order that says nothing (BIP69).
        outputs.sort_by(|one, other| (one.value, &one.script_pubkey).cmp(&(other.value, &other.script_pubkey)));
        let transaction =
            Transaction { version: 2, inputs: entries.iter().map(input).collect(), outputs, lock_time: 0 };
        let spent = entries.iter().map(Entry::coin).collect();
        Some(Self { terms: terms.clone(), entries, transaction, spent })
    }

    /// Who takes part, in the order of the inputs.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the owner of an input signs.
    #[must_use]
    pub fn single(&self, network: Network, input: usize) -> Single {
        let spent = |output: &TxOutput| Spent { value: output.value, script: output.script_pubkey.clone() };
        let path = match self.spend(input) {
            Spend::KeyPath => SpendPath::Key,
            Spend::Script { executed_script_hash, code_separator } => {
                SpendPath::Script { executed_script_hash, code_separator }
            }
        };
        let number = u32::try_from(input).expect("a few inputs");
        Single::Input(Box::new(SingleInput {
            network,
            suite: Suite::Lotus,
            spending: Spending {
                transaction: self.transaction.to_bytes(),
                spent: self.spent.iter().map(spent).collect(),
                replay_protection: self.terms.replay_protection,
            },
            input: SignedInput { input: number, sighash_type: SighashType::ALL.to_byte(), path },
            tweak: nelumbo_core::crypto::Tweak::None,
        }))
    }

    fn spend(&self, input: usize) -> Spend {
        Unlock::PublicKeyHash(self.entries[input].key).spend(&self.spent[input].script_pubkey)
    }

    /// Whether the owner of an input has signed it.
    #[must_use]
    pub fn is_signed(&self, input: usize, signature: &Signature) -> bool {
        let Some(entry) = self.entries.get(input) else { return false };
        let kind = SighashType::ALL;
        let kind = if self.terms.replay_protection { kind.with_replay_protection() } else { kind };
        let cache = SighashCache::new(&self.transaction, &self.spent).expect("each input has what it spends");
        let digest = cache.sighash(input, kind, self.spend(input));
        digest.is_ok_and(|digest| schnorr::verify(Suite::Lotus, &entry.key, &digest, signature))
    }

    /// The transaction with the signatures of all inputs, in their order.
    #[must_use]
    pub fn signed(&self, signatures: &[Signature]) -> Vec<u8> {
        let mut transaction = self.transaction.clone();
        for ((input, entry), signature) in transaction.inputs.iter_mut().zip(&self.entries).zip(signatures) {
            input.script_sig = Unlock::PublicKeyHash(entry.key).script_sig(signature);
        }
        transaction.to_bytes()
    }
}

impl Entry {
    /// What it is paid. A rest that is too little for an output goes to the fee.
    fn outputs(&self, terms: &Terms) -> Vec<TxOutput> {
        let rest = self.value - terms.denomination - terms.fee;
        let paid = TxOutput { value: terms.denomination, script_pubkey: self.output.clone() };
        let change = TxOutput { value: rest, script_pubkey: self.change.clone() };
        let is_worth_it = rest >= dust(&self.change);
        std::iter::once(paid).chain(is_worth_it.then_some(change)).collect()
    }
}
