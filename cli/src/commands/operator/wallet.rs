//! `nelumbo wallet`: the money of the node's own key, on Lotus.

use clap::{Args, Subcommand};
use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::{Unlock, burn_script, hash160, pay_to_key};
use nelumbo_chain::crypto::lotus::OutPoint;
use nelumbo_core::crypto::lotus::{Address, Payload, TxOutput};
use serde_json::json;

use super::money::{Payee, Wallet, WithOwnKey, payee};
use super::spend::outpoint;
use crate::control::Running;
use crate::failure::{Answer, Failure};
use crate::holdings::Shown;
use crate::key_file::{self, KeyFile};
use crate::output;
use crate::values::amount;

const EXAMPLES: &str = "\
Examples:
  nelumbo wallet address
  nelumbo wallet balance
  nelumbo wallet send --to ADDRESS=2.5
  nelumbo wallet send --burn 50 --fee-rate 2";

/// The money of the node's own key, for fees and burns: no other signer is needed
///
/// It is on Lotus, at the address of the key's hash. Whoever has the key has it: keep the money of several in a group.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WalletCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Prints the address of the node's own key
    #[command(after_help = "Examples:\n  nelumbo wallet address")]
    Address {
        #[command(flatten)]
        node: Running,
    },
    /// Shows what the node's own key can spend, and what it waits for
    #[command(after_help = "Examples:\n  nelumbo wallet balance\n  nelumbo wallet balance --json | jq .spendable")]
    Balance {
        #[command(flatten)]
        node: Running,
    },
    Send(Send),
}

/// Pays with the node's own key, at once
///
/// What is left comes back to the key. A burn is money that is gone: it is in the name of the key, for ever, and others
/// can check it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo wallet send --to ADDRESS=2.5\n  nelumbo wallet send --burn 50")]
struct Send {
    /// Who is paid how much: an address, and XPI with up to six decimals, or satoshi with sat behind; may be given
    /// several times
    #[arg(long = "to", value_name = "ADDRESS=AMOUNT", required_unless_present = "burn", value_parser = payee)]
    to: Vec<Payee>,
    /// Burns this amount in the name of the node's key
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    burn: Option<u64>,
    /// Spends these outputs, all of them, instead of those that fit: transaction and index
    #[arg(long = "from", value_name = "TXID:INDEX", value_parser = outpoint)]
    from: Vec<OutPoint>,
    #[command(flatten)]
    own: WithOwnKey,
}

impl WalletCommand {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Address { node } => {
                let address = address(&key(&node)?).to_string();
                if node.json { output::json(&json!({ "address": address })) } else { output::line(address) }?;
            }
            Action::Balance { node } => {
                let key = key(&node)?;
                let holdings = open(&node, &key)?.holdings()?;
                if node.json {
                    let (address, sums) = (address(&key).to_string(), holdings.sums());
                    output::json(&Shown { group: None, address, sums })?;
                } else {
                    output::table(&holdings.rows())?;
                }
            }
            Action::Send(send) => send.run()?,
        }
        Ok(Answer::Yes)
    }
}

pub(super) fn key(node: &Running) -> Result<KeyFile, Failure> {
    key_file::read(&node.folder()?.key())
}

fn address(key: &KeyFile) -> Address {
    let payload = Payload::PublicKeyHash(hash160(key.public_key.as_bytes()));
    Address { network: key.network, payload }
}

pub(super) fn open(node: &Running, key: &KeyFile) -> Result<Wallet, Failure> {
    let script = ScriptPayload::PublicKeyHash(hash160(key.public_key.as_bytes()));
    Wallet::open(node, key.network, pay_to_key(&key.public_key).to_vec(), script)
}

impl Send {
    fn run(self) -> Result<(), Failure> {
        let key = key(&self.own.node)?;
        let wallet = open(&self.own.node, &key)?;
        let paid = self.to.iter().map(|payee| payee.output(wallet.network));
        let mut outputs = paid.collect::<Result<Vec<_>, _>>()?;
        let burn = |value| TxOutput { value, script_pubkey: burn_script(key.public_key.as_bytes()) };
        outputs.extend(self.burn.map(burn));
        let unlock = Unlock::PublicKeyHash(key.public_key);
        let unsigned = wallet.build(outputs, self.own.fee.rate, &self.from, unlock)?;
        wallet.send(&unsigned, &key.unlock(&self.own.passphrase)?, self.own.node.json)
    }
}
