//! The demonstration in which the signers pay: a group with coins spends all of them, its coordinator is killed, and
//! the next one broadcasts. On Lotus there is a ledger of the demonstration's own, on Bitcoin a PSBT and a judge.
//!
//! Owns the transaction and who judges it: the ledger, as the nodes of Lotus do, or the library of Bitcoin Core.
//! Invariant: what is reported of the payment was read back from the ledger by the client that wallets use, or has
//! passed that library. `course` drives it.

use std::time::Duration;

use nelumbo_chain::TransactionMonitor;
use nelumbo_chain::build::{self, Coin, Unlock, Unsigned};
use nelumbo_chain::chronik::{ChronikClient, ChronikConfig, Status};
use nelumbo_chain::ledger::{Ledger, Operation, Server, Settings};
use nelumbo_chain::psbt::Psbt;
use nelumbo_core::approval::Signs;
use nelumbo_core::crypto::lotus::{Address, OutPoint, Payload, Transaction, TxInput, TxOutput, Txid};
use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey, Signature, Suite, sha256};
use serde::Serialize;

use super::messages::{Order, Payment};
use crate::failure::Failure;
use crate::group::Group;
use crate::psbt;
use crate::spending::SpendingFile;

/// What the group is given, in satoshi.
const COINS: [u64; 3] = [20_000_000, 30_000_000, 40_000_000];
/// What it pays, so that all of them are needed.
const PAID: u64 = 75_500_000;
/// Whom it pays.
const PAYEE: [u8; 20] = [0x0b; 20];
/// What is paid on Bitcoin for each virtual byte.
const FEE_RATE: u64 = 2;
/// An input that lets the fee be raised (BIP125).
const REPLACEABLE: u32 = 0xffff_fffd;

/// See the module's documentation.
pub(super) struct Spend {
    pub(super) group: Group,
    ledger: OnLedger,
}

enum OnLedger {
    Lotus { server: Server, client: ChronikClient, unsigned: Unsigned },
    Bitcoin(Psbt),
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Paid {
    pub(super) txid: String,
    /// In satoshi.
    pub(super) fee: u64,
    /// In bytes, on Bitcoin in virtual bytes.
    pub(super) size: usize,
    pub(super) inputs: usize,
    /// On Lotus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirmations: Option<u32>,
    /// On Bitcoin, signed, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) psbt: Option<String>,
    /// On Bitcoin, what library has judged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) judged_by: Option<&'static str>,
}

fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::unmet(error, "this is a bug: report it")
}

impl Spend {
    /// Gives the group its coins, and builds what it pays.
    pub(super) async fn prepare(suite: Suite, keys: Vec<PublicKey>) -> Result<Self, Failure> {
        let group = Group::new(Network::Regtest, suite, keys, None)?;
        let ledger = match suite {
            Suite::Lotus => on_lotus(&group).await?,
            Suite::Bip340 => OnLedger::Bitcoin(on_bitcoin(&group)?),
        };
        Ok(Self { group, ledger })
    }

    /// What the first node is told to have signed.
    pub(super) fn order(&self) -> Result<Order, Failure> {
        let spending = match &self.ledger {
            OnLedger::Lotus { unsigned, .. } => SpendingFile::new(unsigned, false),
            OnLedger::Bitcoin(psbt) => psbt::session(psbt, &psbt.tasks().map_err(unexpected)?)?.2,
        };
        Ok(Order::Spend { suite: self.group.suite, keys: self.group.keys.clone(), spending: Box::new(spending) })
    }

    /// Under which key, and what.
    pub(super) fn signed(&self) -> Result<(KeyAggContext, Vec<Vec<u8>>), Failure> {
        let keys = KeyAggContext::new(self.group.suite, &self.group.keys).map_err(unexpected)?;
        let keys = keys.with_tweak(&self.group.tweak()).map_err(unexpected)?;
        let digests: Vec<[u8; 32]> = match &self.ledger {
            OnLedger::Lotus { unsigned, .. } => unsigned.digests(false),
            OnLedger::Bitcoin(psbt) => psbt.tasks().map_err(unexpected)?.iter().map(|task| task.digest).collect(),
        };
        Ok((keys, digests.into_iter().map(Vec::from).collect()))
    }

    /// What a coordinator is to broadcast, and where; on Bitcoin there is nowhere.
    pub(super) fn payment(&self, signatures: &[Signature]) -> Result<Option<Payment>, Failure> {
        let OnLedger::Lotus { server, unsigned, .. } = &self.ledger else { return Ok(None) };
        let transaction = unsigned.finalize(signatures).map_err(unexpected)?;
        Ok(Some(Payment { server: server.url(), transaction: hex::encode(transaction.to_bytes()) }))
    }

    /// Has a block mined, and looks for the payment in it; or has the payment judged.
    pub(super) async fn confirm(self, signatures: &[Signature], patience: Duration) -> Result<Paid, Failure> {
        let (server, client, unsigned) = match self.ledger {
            OnLedger::Lotus { server, client, unsigned } => (server, client, unsigned),
            OnLedger::Bitcoin(psbt) => return judge(psbt, signatures),
        };
        let operation = Operation::Mine { time: server.time(), count: 1, script: Ledger::faucet_script() };
        server.apply(operation).map_err(unexpected)?;
        let txid = unsigned.transaction.txid(Suite::Lotus);
        let confirmed = TransactionMonitor::new(client.clone()).wait_for_confirmation(txid, 1, patience).await;
        confirmed.map_err(unexpected)?;
        let Ok(Status::Confirmed { confirmations, .. }) = client.status(txid).await else {
            return Err(unexpected("the payment is not in the block"));
        };
        server.stop().await;
        Ok(Paid {
            txid: txid.to_string(),
            fee: unsigned.fee,
            size: unsigned.size,
            inputs: unsigned.spent.len(),
            confirmations: Some(confirmations),
            psbt: None,
            judged_by: None,
        })
    }
}

/// Starts the ledger.
async fn on_lotus(group: &Group) -> Result<OnLedger, Failure> {
    let mut settings = Settings::default();
    // Whatever the date is: the ledger follows the network's upgrades.
    settings.rules.replay_protection = None;
    let server = Server::start(settings).await;
    let server = server.map_err(|error| Failure::input(error, "free a port of this machine"))?;
    for value in COINS {
        let operation = Operation::Fund { time: server.time(), script: group.script(), value };
        server.apply(operation).map_err(unexpected)?;
    }
    let client = client(&server.url())?;
    let unspent = client.utxos(&group.payload()).await.map_err(unexpected)?;
    let coin = |coin: nelumbo_chain::chronik::Unspent| Coin {
        outpoint: coin.outpoint,
        output: coin.output,
        unlock: Unlock::KeyPath,
    };
    let coins: Vec<Coin> = unspent.into_iter().map(coin).collect();
    let payee = Address { network: Network::Regtest, payload: Payload::PublicKeyHash(PAYEE) };
    let outputs = vec![TxOutput { value: PAID, script_pubkey: payee.script_pubkey() }];
    let unsigned = build::build(&coins, &build::Payment::new(outputs, group.script())).map_err(unexpected)?;
    Ok(OnLedger::Lotus { server, client, unsigned })
}

/// What a wallet would hand over.
fn on_bitcoin(group: &Group) -> Result<Psbt, Failure> {
    let input = |index| {
        let outpoint = OutPoint { txid: Txid::from_bytes(sha256(&[b"a coin of the demonstration"])), index };
        TxInput { outpoint, script_sig: Vec::new(), sequence: REPLACEABLE }
    };
    let inputs = (0..).zip(COINS).map(|(index, _)| input(index)).collect();
    let coin = |value: &u64| TxOutput { value: *value, script_pubkey: group.script() };
    let spent: Vec<TxOutput> = COINS.iter().map(coin).collect();
    let back = COINS.iter().sum::<u64>() - PAID;
    let payee = TxOutput { value: PAID, script_pubkey: [&[0, 20][..], &PAYEE].concat() };
    let outputs = vec![payee, TxOutput { value: back, script_pubkey: group.script() }];
    let mut transaction = Transaction { version: 2, inputs, outputs, lock_time: 0 };
    let psbt = |transaction: &Transaction| {
        let mut psbt = Psbt::new(transaction, &spent).map_err(unexpected)?;
        psbt.add_group(&group.keys, None).map_err(unexpected)?;
        Ok(psbt)
    };
    let without_fee = psbt(&transaction)?;
    transaction.outputs[1].value = back - FEE_RATE * size(&without_fee)? as u64;
    psbt(&transaction)
}

/// The virtual bytes of the transaction once it is signed.
fn size(psbt: &Psbt) -> Result<usize, Failure> {
    let tasks = psbt.tasks().map_err(unexpected)?;
    match psbt::summary(psbt, &tasks, Network::Regtest).map_err(unexpected)?.signs {
        Signs::Transaction(summary) => usize::try_from(summary.size).map_err(unexpected),
        _ => Err(unexpected("a PSBT is no transaction")),
    }
}

fn judge(mut psbt: Psbt, signatures: &[Signature]) -> Result<Paid, Failure> {
    for (task, signature) in psbt.tasks().map_err(unexpected)?.iter().zip(signatures) {
        psbt.add_signature(task, signature).map_err(unexpected)?;
    }
    let (signed, spent) = (psbt.finalize().map_err(unexpected)?, psbt.spent().map_err(unexpected)?);
    let sum = |outputs: &[TxOutput]| outputs.iter().map(|output| output.value).sum::<u64>();
    Ok(Paid {
        judged_by: consensus(&signed.bytes, &spent)?,
        txid: signed.txid.to_string(),
        fee: sum(&spent) - sum(&psbt.transaction().outputs),
        size: size(&psbt)?,
        inputs: spent.len(),
        confirmations: None,
        psbt: Some(psbt.to_base64()),
    })
}

/// The judgement of Bitcoin Core's library, with all that is spent: without it the library does not look at Taproot.
#[cfg(feature = "consensus")]
fn consensus(transaction: &[u8], spent: &[TxOutput]) -> Result<Option<&'static str>, Failure> {
    // They point into `spent`, which outlives them.
    let utxo = |output: &TxOutput| {
        Ok(bitcoinconsensus::Utxo {
            script_pubkey: output.script_pubkey.as_ptr(),
            script_pubkey_len: u32::try_from(output.script_pubkey.len())?,
            value: i64::try_from(output.value)?,
        })
    };
    let utxos = spent.iter().map(utxo).collect::<Result<Vec<_>, std::num::TryFromIntError>>().map_err(unexpected)?;
    for (index, TxOutput { value, script_pubkey }) in spent.iter().enumerate() {
        bitcoinconsensus::verify(script_pubkey, *value, transaction, Some(&utxos), index).map_err(unexpected)?;
    }
    Ok(Some("libbitcoinconsensus"))
}

#[cfg(not(feature = "consensus"))]
fn consensus(_: &[u8], _: &[TxOutput]) -> Result<Option<&'static str>, Failure> {
    Ok(None)
}

/// A client of the demonstration's ledger.
pub(super) fn client(server: &str) -> Result<ChronikClient, Failure> {
    let entropy = nelumbo_tokio::fresh_entropy().map_err(unexpected)?;
    ChronikClient::new(ChronikConfig::new(Network::Regtest, [server]), entropy).map_err(unexpected)
}
