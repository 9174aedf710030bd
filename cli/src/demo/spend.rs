//! The demonstration in which the signers pay: a group with coins on a ledger of the demonstration's own spends all of
//! them, its coordinator is killed, and the next one broadcasts.
//!
//! Owns the ledger, which judges as the nodes of Lotus do, and the transaction. Invariant: what is reported of the
//! payment was read back from the ledger by the client that wallets use. `course` drives it.

use std::time::Duration;

use nelumbo_chain::TransactionMonitor;
use nelumbo_chain::build::{self, Coin, Unlock, Unsigned};
use nelumbo_chain::chronik::{ChronikClient, ChronikConfig, Status};
use nelumbo_chain::ledger::{Ledger, Operation, Server, Settings};
use nelumbo_core::crypto::lotus::{Address, Payload, TxOutput};
use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey, Signature, Suite};
use serde::Serialize;

use super::messages::{Order, Payment};
use crate::failure::Failure;
use crate::group::Group;
use crate::spending::SpendingFile;

/// What the group is given, in satoshi.
const COINS: [u64; 3] = [20_000_000, 30_000_000, 40_000_000];
/// What it pays, so that all of them are needed.
const PAID: u64 = 75_500_000;
/// Whom it pays.
const PAYEE: Payload = Payload::PublicKeyHash([0x0b; 20]);

/// See the module's documentation.
pub(super) struct Spend {
    server: Server,
    client: ChronikClient,
    pub(super) group: Group,
    unsigned: Unsigned,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Paid {
    pub(super) txid: String,
    /// In satoshi.
    pub(super) fee: u64,
    /// In bytes.
    pub(super) size: usize,
    pub(super) inputs: usize,
    pub(super) confirmations: u32,
}

fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::unmet(error, "this is a bug: report it")
}

impl Spend {
    /// Starts the ledger, gives the group its coins, and builds what it pays.
    pub(super) async fn prepare(keys: Vec<PublicKey>) -> Result<Self, Failure> {
        let group = Group::new(Network::Regtest, Suite::Lotus, keys, None)?;
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
        let payee = Address { network: Network::Regtest, payload: PAYEE };
        let outputs = vec![TxOutput { value: PAID, script_pubkey: payee.script_pubkey() }];
        let unsigned = build::build(&coins, &build::Payment::new(outputs, group.script())).map_err(unexpected)?;
        Ok(Self { server, client, group, unsigned })
    }

    /// What the first node is told to have signed.
    pub(super) fn order(&self) -> Order {
        Order::Spend { keys: self.group.keys.clone(), spending: Box::new(SpendingFile::new(&self.unsigned, false)) }
    }

    /// Under which key, and what.
    pub(super) fn signed(&self) -> Result<(KeyAggContext, Vec<Vec<u8>>), Failure> {
        let keys = KeyAggContext::new(Suite::Lotus, &self.group.keys).map_err(unexpected)?;
        let keys = keys.with_tweak(&self.group.tweak()).map_err(unexpected)?;
        Ok((keys, self.unsigned.digests(false).into_iter().map(Vec::from).collect()))
    }

    /// How many coins are spent.
    pub(super) fn inputs(&self) -> usize {
        self.unsigned.spent.len()
    }

    /// What a coordinator is to broadcast, and where.
    pub(super) fn payment(&self, signatures: &[Signature]) -> Result<Payment, Failure> {
        let transaction = self.unsigned.finalize(signatures).map_err(unexpected)?;
        Ok(Payment { server: self.server.url(), transaction: hex::encode(transaction.to_bytes()) })
    }

    /// Has a block mined, and looks for the payment in it.
    pub(super) async fn confirm(self, patience: Duration) -> Result<Paid, Failure> {
        let operation = Operation::Mine { time: self.server.time(), count: 1, script: Ledger::faucet_script() };
        self.server.apply(operation).map_err(unexpected)?;
        let txid = self.unsigned.transaction.txid(Suite::Lotus);
        let confirmed = TransactionMonitor::new(self.client.clone()).wait_for_confirmation(txid, 1, patience).await;
        confirmed.map_err(unexpected)?;
        let Ok(Status::Confirmed { confirmations, .. }) = self.client.status(txid).await else {
            return Err(unexpected("the payment is not in the block"));
        };
        let paid = Paid {
            txid: txid.to_string(),
            fee: self.unsigned.fee,
            size: self.unsigned.size,
            inputs: self.inputs(),
            confirmations,
        };
        self.server.stop().await;
        Ok(paid)
    }
}

/// A client of the demonstration's ledger.
pub(super) fn client(server: &str) -> Result<ChronikClient, Failure> {
    let entropy = nelumbo_tokio::fresh_entropy().map_err(unexpected)?;
    ChronikClient::new(ChronikConfig::new(Network::Regtest, [server]), entropy).map_err(unexpected)
}
