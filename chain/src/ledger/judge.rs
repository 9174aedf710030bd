//! Whether a transaction may wait for a block.
//!
//! Owns the order of lotusd's checks (`MemPoolAccept::PreChecks`), so that a transaction that breaks several rules is
//! refused for the same one. Invariants: it is a pure function of the ledger and the transaction; what it takes is
//! valid in the next block. The ledger drives it.

use std::collections::BTreeSet;

use nelumbo_crypto::lotus::{OutPoint, Transaction, TransactionError, TxInput, TxOutput, Txid};

use super::block::NULL;
use super::chain::{Chain, Coin};
use super::mempool::{Entry, Mempool};
use super::reject::{Reject, max_fee};
use super::rules::{COINBASE_MATURITY, LOCK_TIME_THRESHOLD, Rules};
use super::script::{Flags, Verifier};
use super::standard;
use crate::build::{FeeRate, MAX_MONEY, MIN_BYTES};

/// What a transaction is judged by.
pub(super) struct Judge<'a> {
    pub(super) rules: &'a Rules,
    pub(super) chain: &'a Chain,
    pub(super) mempool: &'a Mempool,
}

/// Whether the relay fee and the room are looked at. They are not where a transaction comes back from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limits {
    Enforced,
    Bypassed,
}

/// Reads a transaction.
pub(super) fn decode(raw: &[u8]) -> Result<Transaction, Reject> {
    Transaction::parse(raw).map_err(|error| match error {
        TransactionError::TooLarge(_) => Reject::Oversize,
        _ => Reject::DecodeFailed,
    })
}

impl Judge<'_> {
    /// The rules of the next block.
    pub(super) fn flags(&self) -> Flags {
        let median_time = self.chain.median_time(self.chain.height());
        Flags {
            second_samuel: median_time >= self.rules.second_samuel,
            replay_protection: self.rules.replay_protection.is_some_and(|from| median_time >= from),
            standard: true,
        }
    }

    /// Judges a transaction that neither waits nor is in a block.
    pub(super) fn judge(
        &self,
        txid: Txid,
        transaction: Transaction,
        time: i64,
        limits: Limits,
    ) -> Result<Entry, Reject> {
        let size = transaction.to_bytes().len();
        check_alone(&transaction)?;
        standard::check(&transaction, size)?;
        let flags = self.flags();
        if !flags.second_samuel && transaction.outputs.iter().any(is_taproot) {
            return Err(Reject::TaprootNotActive);
        }
        self.check_lock_time(&transaction)?;
        if size < MIN_BYTES {
            return Err(Reject::Undersize);
        }
        if transaction.inputs.iter().any(|input| self.mempool.spender(&input.outpoint).is_some()) {
            return Err(Reject::MempoolConflict);
        }
        let coins = self.coins(&transaction)?;
        self.check_sequences(&transaction, &coins)?;
        let fee = self.check_amounts(&transaction, &coins)?;
        if coins.iter().any(|coin| standard::kind(&coin.output.script_pubkey).is_none()) {
            return Err(Reject::NonstandardInputs);
        }
        let required = FeeRate::RELAY.fee(size);
        if limits == Limits::Enforced && fee < required {
            return Err(Reject::MinRelayFee { fee, required });
        }
        let spent: Vec<TxOutput> = coins.into_iter().map(|coin| coin.output).collect();
        verify_scripts(&transaction, &spent, flags)?;
        if limits == Limits::Enforced && !self.mempool.has_room(size) {
            return Err(Reject::MempoolFull);
        }
        self.mempool.check_chain(&transaction, size).map_err(Reject::TooLongChain)?;
        if limits == Limits::Enforced && fee > max_fee(size) {
            return Err(Reject::MaxFeeExceeded);
        }
        Ok(Entry { txid, transaction, spent, size, fee, time })
    }

    fn next_height(&self) -> u32 {
        self.chain.height() + 1
    }

    /// `IsFinalTx`, against the median time past (BIP113).
    fn check_lock_time(&self, transaction: &Transaction) -> Result<(), Reject> {
        let lock_time = i64::from(transaction.lock_time);
        let limit = if transaction.lock_time < LOCK_TIME_THRESHOLD {
            i64::from(self.next_height())
        } else {
            self.chain.median_time(self.chain.height())
        };
        let is_final = |input: &TxInput| input.sequence == u32::MAX;
        if lock_time == 0 || lock_time < limit || transaction.inputs.iter().all(is_final) {
            Ok(())
        } else {
            Err(Reject::NonFinal)
        }
    }

    /// What the inputs spend. What waits counts as if it were in the next block.
    fn coins(&self, transaction: &Transaction) -> Result<Vec<Coin>, Reject> {
        let waiting = |outpoint: &OutPoint| {
            let output = self.mempool.output(outpoint)?;
            // Data cannot be spent, and a block would not have it.
            let is_data = matches!(standard::kind(&output.script_pubkey), Some(standard::Kind::Data));
            (!is_data).then(|| Coin { output: output.clone(), height: self.next_height(), is_coinbase: false })
        };
        let coin = |input: &TxInput| self.chain.coin(&input.outpoint).cloned().or_else(|| waiting(&input.outpoint));
        transaction.inputs.iter().map(|input| coin(input).ok_or(Reject::InputsMissingOrSpent)).collect()
    }

    /// BIP68, for the next block.
    fn check_sequences(&self, transaction: &Transaction, coins: &[Coin]) -> Result<(), Reject> {
        const DISABLED: u32 = 1 << 31;
        const TIME: u32 = 1 << 22;
        // Negative versions count as large ones.
        if (transaction.version as u32) < 2 {
            return Ok(());
        }
        let median_time = self.chain.median_time(self.chain.height());
        for (input, coin) in transaction.inputs.iter().zip(coins) {
            let count = input.sequence & 0xffff;
            let is_met = if input.sequence & DISABLED != 0 {
                true
            } else if input.sequence & TIME != 0 {
                let since = self.chain.median_time(coin.height.saturating_sub(1));
                since + (i64::from(count) << 9) <= median_time
            } else {
                coin.height + count <= self.next_height()
            };
            if !is_met {
                return Err(Reject::NonBip68Final);
            }
        }
        Ok(())
    }

    /// `CheckTxInputs`; returns the fee.
    fn check_amounts(&self, transaction: &Transaction, coins: &[Coin]) -> Result<u64, Reject> {
        let mut value_in = 0;
        for coin in coins {
            let depth = self.next_height() - coin.height;
            if coin.is_coinbase && depth < COINBASE_MATURITY {
                return Err(Reject::PrematureCoinbaseSpend { depth });
            }
            value_in += coin.output.value;
            if value_in > MAX_MONEY {
                return Err(Reject::InputValuesOutOfRange);
            }
        }
        let value_out = transaction.outputs.iter().map(|output| output.value).sum();
        value_in.checked_sub(value_out).ok_or(Reject::InBelowOut { value_in, value_out })
    }
}

/// `CheckRegularTransaction`: what can be said of a transaction without the chain.
fn check_alone(transaction: &Transaction) -> Result<(), Reject> {
    if matches!(transaction.inputs.as_slice(), [input] if input.outpoint == NULL) {
        return Err(Reject::Coinbase);
    }
    if transaction.outputs.is_empty() {
        return Err(Reject::NoOutputs);
    }
    let mut total = 0;
    for output in &transaction.outputs {
        if i64::try_from(output.value).is_err() {
            return Err(Reject::OutputNegative);
        }
        if output.value > MAX_MONEY {
            return Err(Reject::OutputTooLarge);
        }
        total += output.value;
        if total > MAX_MONEY {
            return Err(Reject::OutputTotalTooLarge);
        }
    }
    let mut outpoints = BTreeSet::new();
    for input in &transaction.inputs {
        if input.outpoint == NULL {
            return Err(Reject::PrevoutNull);
        }
        if !outpoints.insert(input.outpoint) {
            return Err(Reject::InputsDuplicate);
        }
    }
    Ok(())
}

fn is_taproot(output: &TxOutput) -> bool {
    matches!(standard::kind(&output.script_pubkey), Some(standard::Kind::Taproot(..)))
}

/// `CheckInputScripts`: a failure that rules of relay alone cause is told apart.
fn verify_scripts(transaction: &Transaction, spent: &[TxOutput], flags: Flags) -> Result<(), Reject> {
    let verifier = Verifier::new(transaction, spent).expect("each input has its coin");
    for input in 0..transaction.inputs.len() {
        if let Err(error) = verifier.verify(input, flags) {
            // lotusd counts what the upgrade brings among the rules of relay until it is active.
            let mandatory = Flags { standard: false, second_samuel: true, ..flags };
            return Err(match verifier.verify(input, mandatory) {
                Ok(()) => Reject::NonMandatoryScript(error),
                Err(error) => Reject::Script(error),
            });
        }
    }
    Ok(())
}
