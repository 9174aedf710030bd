//! What `balance`, `history`, `receive`, `spend` and `recover` share: a group of the data folder, and the chain.

use clap::Args;
use nelumbo_chain::ScriptPayload;
use nelumbo_chain::build::{Coin, FeeRate, Unlock};
use nelumbo_chain::chronik::{ChronikClient, ChronikError};
use nelumbo_core::crypto::lotus::{Address, TxOutput};
use nelumbo_core::crypto::{Network, Suite};

use crate::contacts::Contacts;
use crate::control::Running;
use crate::failure::Failure;
use crate::group::{Group, Name};
use crate::node::Config;
use crate::values::amount;

/// How young a coinbase output may not be spent.
const MATURITY: u32 = 100;

/// A group, and where its folder is.
#[derive(Args, Debug)]
pub(super) struct OfGroup {
    /// The group's name
    #[arg(value_name = "GROUP")]
    pub(super) name: Name,
    #[command(flatten)]
    pub(super) node: Running,
}

/// A group and the chain that it is on.
pub(super) struct Wallet {
    pub(super) group: Group,
    pub(super) client: ChronikClient,
    pub(super) script: ScriptPayload,
    pub(super) replay_protection: bool,
}

impl OfGroup {
    pub(super) fn group(&self) -> Result<Group, Failure> {
        Ok(Contacts::read(self.node.folder()?.path())?.group(&self.name)?.clone())
    }

    pub(super) fn wallet(&self) -> Result<Wallet, Failure> {
        let group = self.group()?;
        if group.suite != Suite::Lotus {
            return Err(Failure::input(
                format_args!("the group {} is on Bitcoin, and Chronik servers know Lotus", self.name),
                "build the transaction with a wallet, and sign it with `nelumbo request --transaction`",
            ));
        }
        let folder = self.node.folder()?;
        let chain = Config::read(&folder.config())?.chain.ok_or_else(|| {
            Failure::input(
                "no server is set that knows the chain",
                format_args!("uncomment `chain` in {}, start the node again, and repeat", folder.config().display()),
            )
        })?;
        let client = chain.client(group.network)?;
        let script = ScriptPayload::of(&group.script());
        let script = script.into_iter().next().expect("a group's output has a commitment");
        Ok(Wallet { group, client, script, replay_protection: chain.replay_protection })
    }
}

impl Wallet {
    /// Does something with the chain, and waits for it.
    pub(super) fn ask<T>(&self, question: impl Future<Output = Result<T, ChronikError>>) -> Result<T, Failure> {
        run(question)?.map_err(|error| Failure::unmet(&error, error.remedy()))
    }

    /// What the group can spend now.
    pub(super) fn coins(&self, unlock: Unlock) -> Result<Vec<Coin>, Failure> {
        let (unspent, tip) = self.ask(async {
            let unspent = self.client.utxos(&self.script).await?;
            Ok((unspent, self.client.tip().await?))
        })?;
        let tip = tip.map_or(0, |tip| tip.height);
        let is_mature = |height: Option<u32>| height.is_some_and(|height| tip + 1 >= height + MATURITY);
        let own = self.group.script();
        Ok(unspent
            .into_iter()
            .filter(|coin| coin.output.script_pubkey == own)
            .filter(|coin| !coin.is_coinbase || is_mature(coin.block.map(|block| block.height)))
            .map(|coin| Coin { outpoint: coin.outpoint, output: coin.output, unlock })
            .collect())
    }
}

/// Runs something that talks to servers.
pub(super) fn run<T>(task: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::input(error, "free some memory or file handles"))?;
    Ok(runtime.block_on(task))
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

/// An amount as people write it.
pub(super) fn xpi(satoshi: u64) -> String {
    let (whole, part) = (satoshi / 1_000_000, satoshi % 1_000_000);
    let part = format!("{part:06}");
    match part.trim_end_matches('0') {
        "" => format!("{whole} XPI"),
        part => format!("{whole}.{part} XPI"),
    }
}

/// A fee rate, in satoshi for each byte. Nodes pass on nothing below 1, and Chronik nothing above 10.
pub(super) fn fee_rate(text: &str) -> Result<FeeRate, String> {
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
                    "{} is an address of {}, and the group is on {network}",
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
            // A point without decimals is a whole number all the same.
            assert!(amount(text).is_err() || text == "1.", "{text}");
        }
        assert_eq!([0, 1, 25_500_000, 3_000_000].map(xpi), ["0 XPI", "0.000001 XPI", "25.5 XPI", "3 XPI"]);
    }
}
