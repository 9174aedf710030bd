//! Transactions of a group or of a single key, from what is to be paid to what nodes take.
//!
//! [`build`] chooses the coins, adds the change and pays for the exact size; the signers sign
//! [`Unsigned::digests`], and [`Unsigned::finalize`] puts their signatures where they belong.
//!
//! Owns sizes, fees, dust, the scripts of a group's outputs and what spends them. Invariants: what is built spends
//! exactly what it creates and its fee; no output is dust; the fee is never below the relay fee; what is left over goes
//! to the change's script and nowhere else. It is a pure function of its input. Wallets drive it.
//!
//! ```
//! use nelumbo_chain::build::{Coin, Payment, Unlock, build};
//! use nelumbo_crypto::lotus::{Address, OutPoint, Payload, TaprootOutput, TxOutput, Txid};
//! use nelumbo_crypto::{KeyAggContext, Network, SecretKey, Signature, Suite, Tweak};
//!
//! let keys = [1, 2].map(|byte| SecretKey::from_bytes(&[byte; 32]).unwrap().public_key());
//! let group = KeyAggContext::new(Suite::Lotus, &keys)?.with_tweak(&Tweak::Taproot { merkle_root: None })?;
//! let own = TaprootOutput { commitment: group.challenge_key(), state: None }.script_pubkey();
//! let outpoint = OutPoint { txid: Txid::from_bytes([7; 32]), index: 1 };
//! let output = TxOutput { value: 50_000_000, script_pubkey: own.clone() };
//! let coin = Coin { outpoint, output, unlock: Unlock::KeyPath };
//!
//! let to = Address { network: Network::Regtest, payload: Payload::PublicKeyHash([3; 20]) };
//! let outputs = vec![TxOutput { value: 20_000_000, script_pubkey: to.script_pubkey() }];
//! let unsigned = build(&[coin], &Payment::new(outputs, own))?;
//! assert_eq!((unsigned.fee, unsigned.change), (196, Some(1)));
//!
//! let digests = unsigned.digests(false); // what the group signs, one for each input
//! # let signature = Signature::from_bytes([0; 64]);
//! let signed = unsigned.finalize(&[signature])?;
//! assert_eq!(signed.to_bytes().len() as u64, unsigned.fee);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod burn;
mod error;
mod select;
mod size;
mod unlock;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use nelumbo_crypto::Signature;
use nelumbo_crypto::lotus::{
    Address, Network, OutPoint, SighashCache, SighashType, TaprootOutput, Transaction, TxInput, TxOutput,
};

pub use burn::{burn_key, burn_payload, burn_script};
pub use error::BuildError;
pub use size::{
    FeeRate, MAX_DATA_BYTES, MAX_DATA_OUTPUTS, MAX_FEE_PER_BYTE, MAX_STANDARD_BYTES, MIN_BYTES, dust, input_bytes,
    output_bytes, transaction_bytes,
};
pub use unlock::{Delay, Recovery, Unlock, hash160, pay_to_key};
#[cfg(feature = "ledger")]
pub(crate) use unlock::{number_bytes, push, push_number};

use select::{Candidate, without_change};
#[cfg(feature = "ledger")]
pub(crate) use size::OP_RETURN;
pub(crate) use size::is_data;

/// No amount, and no sum of amounts, is larger, in satoshi (lotusd, `MAX_MONEY`).
pub const MAX_MONEY: u64 = 2_100_000_000 * 1_000_000;

/// An output that can be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is.
    pub output: TxOutput,
    /// How it is spent.
    pub unlock: Unlock,
}

/// Which of the coins that are given are spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Those that fit best.
    #[default]
    Fitting,
    /// Every one.
    All,
}

/// What is to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Who gets what, burns included. Without any, everything goes to the change.
    pub outputs: Vec<TxOutput>,
    /// The script that gets what is left: the group's own.
    pub change: Vec<u8>,
    /// What is paid for the size.
    pub fee_rate: FeeRate,
    /// The height, or from 500,000,000 on the median time, before which it is not final; 0 for none.
    pub lock_time: u32,
    /// Which coins it spends.
    pub selection: Selection,
}

impl Payment {
    /// A payment at the relay fee, at any time, of the coins that fit best.
    #[must_use]
    pub fn new(outputs: Vec<TxOutput>, change: Vec<u8>) -> Self {
        Self { outputs, change, fee_rate: FeeRate::RELAY, lock_time: 0, selection: Selection::Fitting }
    }
}

/// A transaction whose inputs are to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// The transaction, with empty input scripts. Its id stays the same when they are filled.
    pub transaction: Transaction,
    /// What the inputs spend, in their order.
    pub spent: Vec<TxOutput>,
    /// How, in the same order.
    pub unlocks: Vec<Unlock>,
    /// What is paid beyond the outputs, in satoshi.
    pub fee: u64,
    /// Which output is the change.
    pub change: Option<usize>,
    /// The bytes of the transaction once it is signed.
    pub size: usize,
}

impl Unsigned {
    /// What is signed, one digest for each input, all with the hash type 0x61.
    ///
    /// `replay_protected` is which of the two digests the network's nodes take now
    /// ([`SighashType::with_replay_protection`]).
    ///
    /// # Panics
    ///
    /// When the transaction was changed so that it does not fit to what it spends any more.
    #[must_use]
    pub fn digests(&self, replay_protected: bool) -> Vec<[u8; 32]> {
        let sighash_type = if replay_protected { SighashType::ALL.with_replay_protection() } else { SighashType::ALL };
        let cache = SighashCache::new(&self.transaction, &self.spent).expect("each input has what it spends");
        let digest = |(input, (spent, unlock)): (usize, (&TxOutput, &Unlock))| {
            cache.sighash(input, sighash_type, unlock.spend(&spent.script_pubkey)).expect("the amounts were summed")
        };
        self.spent.iter().zip(&self.unlocks).enumerate().map(digest).collect()
    }

    /// The transaction with the signatures of its inputs, in their order. They are not verified here.
    ///
    /// # Errors
    ///
    /// [`BuildError::Signatures`].
    pub fn finalize(&self, signatures: &[Signature]) -> Result<Transaction, BuildError> {
        if signatures.len() != self.unlocks.len() {
            return Err(BuildError::Signatures { expected: self.unlocks.len(), found: signatures.len() });
        }
        let mut transaction = self.transaction.clone();
        let scripts = self.unlocks.iter().zip(signatures).map(|(unlock, signature)| unlock.script_sig(signature));
        transaction.inputs.iter_mut().zip(scripts).for_each(|(input, script)| input.script_sig = script);
        Ok(transaction)
    }
}

/// Makes the transaction of a payment: recipients in their order, the change last, inputs in the order of outpoints.
///
/// # Errors
///
/// [`BuildError`], which says what to change.
pub fn build(coins: &[Coin], payment: &Payment) -> Result<Unsigned, BuildError> {
    let plan = Plan::new(coins, payment)?;
    let chosen = match payment.selection {
        Selection::All => plan.complete((0..coins.len()).collect()),
        Selection::Fitting => plan.choose(),
    };
    plan.assemble(chosen?)
}

/// A payment that was checked, and the sums that its choice of coins needs.
struct Plan<'a> {
    coins: &'a [Coin],
    payment: &'a Payment,
    /// What the recipients get.
    paid: u64,
    /// Bytes of their outputs.
    output_bytes: usize,
}

/// Coins, and what of them is change.
struct Chosen {
    indices: Vec<usize>,
    change: Option<u64>,
}

impl<'a> Plan<'a> {
    fn new(coins: &'a [Coin], payment: &'a Payment) -> Result<Self, BuildError> {
        let mut outpoints = BTreeSet::new();
        if let Some(coin) = coins.iter().find(|coin| !outpoints.insert(coin.outpoint)) {
            return Err(BuildError::DuplicateCoin(coin.outpoint));
        }
        sum(coins.iter().map(|coin| coin.output.value)).ok_or(BuildError::Amount)?;
        for (index, output) in payment.outputs.iter().enumerate() {
            check_output(index, output)?;
        }
        let data = payment.outputs.iter().filter(|output| is_data(&output.script_pubkey)).count();
        if data > MAX_DATA_OUTPUTS {
            return Err(BuildError::DataOutputs(data));
        }
        if !pays_someone(&payment.change) {
            return Err(BuildError::Script { output: None });
        }
        let paid = sum(payment.outputs.iter().map(|output| output.value)).ok_or(BuildError::Amount)?;
        let output_bytes = payment.outputs.iter().map(|output| output_bytes(output.script_pubkey.len())).sum();
        Ok(Self { coins, payment, paid, output_bytes })
    }

    fn bytes(&self, indices: &[usize], with_change: bool) -> usize {
        let inputs = indices.iter().map(|index| input_bytes(self.coins[*index].unlock.script_bytes())).sum();
        let change = if with_change { output_bytes(self.payment.change.len()) } else { 0 };
        let outputs = (self.payment.outputs.len() + usize::from(with_change), self.output_bytes + change);
        transaction_bytes((indices.len(), inputs), outputs)
    }

    fn fee(&self, indices: &[usize], with_change: bool) -> u64 {
        self.payment.fee_rate.fee(self.bytes(indices, with_change))
    }

    fn value(&self, indices: &[usize]) -> u64 {
        indices.iter().map(|index| self.coins[*index].output.value).sum()
    }

    /// What these coins come to: with change if that is worth an output, without if they suffice for that.
    fn complete(&self, indices: Vec<usize>) -> Result<Chosen, BuildError> {
        let available = self.value(&indices);
        let change = available.checked_sub(self.paid + self.fee(&indices, true));
        let change = change.filter(|change| *change >= dust(&self.payment.change));
        let without = self.paid + self.fee(&indices, false);
        // Without recipients there is nothing but the change.
        if change.is_none() && (available < without || self.payment.outputs.is_empty()) {
            let least = self.paid + self.fee(&indices, true) + dust(&self.payment.change);
            let needed = if self.payment.outputs.is_empty() { least } else { without };
            return Err(BuildError::Insufficient { needed, available });
        }
        Ok(Chosen { indices, change })
    }

    fn choose(&self) -> Result<Chosen, BuildError> {
        let rate = self.payment.fee_rate;
        let effective = |coin: &Coin| coin.output.value.checked_sub(rate.fee(input_bytes(coin.unlock.script_bytes())));
        let mut candidates: Vec<Candidate> = (self.coins.iter().enumerate())
            .filter_map(|(index, coin)| Some(Candidate { index, effective: effective(coin).filter(|own| *own > 0)? }))
            .collect();
        // A coin that costs more than it adds is left where it is.
        candidates.sort_by_key(|candidate| (Reverse(candidate.effective), self.coins[candidate.index].outpoint));
        if !self.payment.outputs.is_empty() {
            let change =
                rate.fee(output_bytes(self.payment.change.len()) + input_bytes(Unlock::KeyPath.script_bytes()));
            let target = self.paid + self.fee(&[], false);
            if let Some(indices) = without_change(&candidates, target, change)
                && let Ok(chosen) = self.complete(indices)
                && chosen.change.is_none()
            {
                return Ok(chosen);
            }
        }
        let mut indices = Vec::new();
        let mut without_change = None;
        for candidate in &candidates {
            indices.push(candidate.index);
            match self.complete(indices.clone()) {
                Ok(chosen) if chosen.change.is_some() => return Ok(chosen),
                // The rest is too little for an output; the next coin may lift it.
                Ok(chosen) => without_change = without_change.or(Some(chosen)),
                Err(_) => {}
            }
            if self.bytes(&indices, true) > MAX_STANDARD_BYTES {
                break;
            }
        }
        without_change.map_or_else(|| self.complete(indices), Ok)
    }

    fn assemble(&self, Chosen { mut indices, change }: Chosen) -> Result<Unsigned, BuildError> {
        let size = self.bytes(&indices, change.is_some());
        if size > MAX_STANDARD_BYTES {
            return Err(BuildError::TooLarge(size));
        }
        indices.sort_by_key(|index| self.coins[*index].outpoint);
        let coins: Vec<&Coin> = indices.iter().map(|index| &self.coins[*index]).collect();
        // A lock time counts while one sequence is not final.
        let sequence = if self.payment.lock_time == 0 { u32::MAX } else { u32::MAX - 1 };
        let input = |coin: &&Coin| TxInput {
            outpoint: coin.outpoint,
            script_sig: Vec::new(),
            sequence: coin.unlock.sequence().unwrap_or(sequence),
        };
        let mut outputs = self.payment.outputs.clone();
        let change = change.map(|value| {
            outputs.push(TxOutput { value, script_pubkey: self.payment.change.clone() });
            outputs.len() - 1
        });
        let created: u64 = outputs.iter().map(|output| output.value).sum();
        let fee = self.value(&indices) - created;
        if fee > MAX_FEE_PER_BYTE * size as u64 {
            return Err(BuildError::FeeTooHigh(fee));
        }
        Ok(Unsigned {
            transaction: Transaction {
                version: 2,
                inputs: coins.iter().map(input).collect(),
                outputs,
                lock_time: self.payment.lock_time,
            },
            spent: coins.iter().map(|coin| coin.output.clone()).collect(),
            unlocks: coins.iter().map(|coin| coin.unlock).collect(),
            fee,
            change,
            size,
        })
    }
}

fn check_output(index: usize, output: &TxOutput) -> Result<(), BuildError> {
    let least = dust(&output.script_pubkey);
    if is_data(&output.script_pubkey) {
        let length = output.script_pubkey.len();
        if length > MAX_DATA_BYTES {
            return Err(BuildError::DataTooLong { output: index, length });
        }
    } else if !pays_someone(&output.script_pubkey) {
        return Err(BuildError::Script { output: Some(index) });
    }
    if output.value < least {
        return Err(BuildError::Dust { output: index, least });
    }
    Ok(())
}

/// Whether an address stands for the script, and somebody can have its key.
fn pays_someone(script: &[u8]) -> bool {
    let on_curve = |output: TaprootOutput| output.commitment.validate().is_ok();
    Address::from_script_pubkey(Network::Regtest, script).is_some()
        && TaprootOutput::from_script_pubkey(script).is_none_or(on_curve)
}

/// The sum, if there may be so much money.
fn sum(mut values: impl Iterator<Item = u64>) -> Option<u64> {
    values.try_fold(0u64, |sum, value| sum.checked_add(value).filter(|sum| *sum <= MAX_MONEY))
}
