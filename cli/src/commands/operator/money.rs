//! What `balance`, `history`, `receive`, `spend`, `recover` and `wallet` share: an owner of money, a group of the data
//! folder or the node's own key, and the chain.

use clap::Args;
use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::{Coin, FeeRate, Unlock};
use nelumbo_chain::chronik::{ChronikClient, ChronikError, Unspent};
use nelumbo_core::crypto::lotus::{Address, TxOutput};
use nelumbo_core::crypto::{Network, Suite};
use tokio::runtime::Runtime;

use crate::commands::one_thread;
use crate::contacts::Contacts;
use crate::control::Running;
use crate::failure::Failure;
use crate::group::{Group, Name};
use crate::holdings::Holdings;
use crate::node::{Config, ReplayProtection};
use crate::passphrase::PassphraseSource;
use crate::values::amount;

/// A group, and where its folder is.
#[derive(Args, Debug)]
pub(super) struct OfGroup {
    /// The group's name
    #[arg(value_name = "GROUP")]
    pub(super) name: Name,
    #[command(flatten)]
    pub(super) node: Running,
}

/// What a transaction pays to be mined.
#[derive(Args, Debug)]
pub(super) struct Fee {
    /// The fee in satoshi a byte, 1 or more
    #[arg(long = "fee-rate", value_name = "RATE", default_value = "1", value_parser = fee_rate)]
    pub(super) rate: FeeRate,
}

/// What it takes to pay with a node's own key.
#[derive(Args, Debug)]
pub(super) struct WithOwnKey {
    #[command(flatten)]
    pub(super) fee: Fee,
    #[command(flatten)]
    pub(super) passphrase: PassphraseSource,
    #[command(flatten)]
    pub(super) node: Running,
}

/// The script of an owner, and the chain that it is on.
pub(super) struct Wallet {
    pub(super) client: ChronikClient,
    pub(super) network: Network,
    /// The owner's script.
    pub(super) own: Vec<u8>,
    /// What servers find it by.
    pub(super) script: ScriptPayload,
    replay_protection: ReplayProtection,
    /// One for all questions: the client keeps its connections in it.
    runtime: Runtime,
}

impl OfGroup {
    pub(super) fn group(&self) -> Result<Group, Failure> {
        Ok(Contacts::read(self.node.folder()?.path())?.group(&self.name)?.clone())
    }

    pub(super) fn wallet(&self) -> Result<(Group, Wallet), Failure> {
        let group = self.group()?;
        if group.suite != Suite::Lotus {
            return Err(Failure::input(
                format_args!("the group {} is on Bitcoin, and Chronik servers know Lotus", self.name),
                "build the transaction with a wallet, and sign it with `nelumbo request --psbt` or `nelumbo psbt`",
            ));
        }
        let wallet = Wallet::open(&self.node, group.network, group.script(), group.payload())?;
        Ok((group, wallet))
    }
}

impl Wallet {
    /// Of the owner of this script, on the chain that the node's folder names.
    pub(super) fn open(node: &Running, network: Network, own: Vec<u8>, script: ScriptPayload) -> Result<Self, Failure> {
        let folder = node.folder()?;
        let chain = Config::read(&folder.config())?.chain.ok_or_else(|| {
            Failure::input(
                "no server is set that knows the chain",
                format_args!("uncomment `chain` in {}, start the node again, and repeat", folder.config().display()),
            )
        })?;
        let client = chain.client(network)?;
        let runtime = one_thread()?;
        Ok(Self { client, network, own, script, replay_protection: chain.replay_protection, runtime })
    }

    /// Does something that talks to servers, and waits for it.
    pub(super) fn run<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.block_on(task)
    }

    /// The same with a question about the chain.
    pub(super) fn ask<T>(&self, question: impl Future<Output = Result<T, ChronikError>>) -> Result<T, Failure> {
        self.run(question).map_err(|error| Failure::unmet(&error, error.remedy()))
    }

    /// Whether what is signed now has to be signed over the digest with replay protection.
    pub(super) fn replay_protection(&self) -> Result<bool, Failure> {
        self.ask(self.replay_protection.holds(&self.client))
    }

    /// What the owner has now.
    pub(super) fn holdings(&self) -> Result<Holdings, Failure> {
        self.ask(Holdings::of(&self.client, &self.own, &self.script))
    }

    /// What the owner can spend now, and how.
    pub(super) fn coins(&self, unlock: Unlock) -> Result<Vec<Coin>, Failure> {
        let coin = |coin: Unspent| Coin { outpoint: coin.outpoint, output: coin.output, unlock };
        Ok(self.holdings()?.spendable.into_iter().map(coin).collect())
    }
}

/// An address and what it is paid, as `ADDRESS=AMOUNT`.
#[derive(Clone, Debug)]
pub(super) struct Payee {
    address: Address,
    value: u64,
}

/// For clap.
pub(super) fn payee(text: &str) -> Result<Payee, String> {
    let (address, value) = text.split_once('=').ok_or("write ADDRESS=AMOUNT, such as lotus_16PS…=25.5")?;
    let address = address.parse::<Address>().map_err(|error| error.to_string())?;
    Ok(Payee { address, value: amount(value)? })
}

/// A fee rate, in satoshi for each byte. Nodes pass on nothing below 1, and Chronik nothing above 10,000.
fn fee_rate(text: &str) -> Result<FeeRate, String> {
    let (least, most) = (FeeRate::RELAY.to_satoshi_per_kilobyte(), FeeRate::MAX.to_satoshi_per_kilobyte());
    let rate = text.parse::<f64>().ok().map(|rate| (rate * 1_000.0).round() as u64);
    let rate = rate.filter(|rate| (least..=most).contains(rate));
    rate.map(FeeRate::per_kilobyte).ok_or_else(|| format!("a fee rate is 1 to {} satoshi a byte", most / 1_000))
}

impl Payee {
    pub(super) fn output(&self, network: Network) -> Result<TxOutput, Failure> {
        if self.address.network != network {
            return Err(Failure::input(
                format_args!(
                    "{} is an address of {}, and the money is on {network}",
                    self.address, self.address.network
                ),
                "ask for an address of the right network",
            ));
        }
        Ok(TxOutput { value: self.value, script_pubkey: self.address.script_pubkey() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_last_satoshi() {
        for (text, expected) in [("1", 1_000_000), ("25.5", 25_500_000), ("0.000001", 1), ("7sat", 7), ("0", 0)] {
            assert_eq!(amount(text), Ok(expected), "{text}");
        }
        for text in ["", ".5", "1.", "1.0000001", "-1", "1e3", "1,5", "sat", "+7", "1.5sat", "99999999999999999999"] {
            assert!(amount(text).is_err(), "{text}");
        }
        assert_eq!(
            [0, 1, 25_500_000, 3_000_000].map(crate::holdings::xpi),
            ["0 XPI", "0.000001 XPI", "25.5 XPI", "3 XPI"]
        );
    }
}
