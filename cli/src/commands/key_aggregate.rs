//! `nelumbo key aggregate`: the one key of several signers.

use clap::Args;
use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey, Suite, Tweak};
use serde::Serialize;

use crate::contacts::{KeyOrName, key_or_name};
use crate::failure::{Answer, Failure};
use crate::node::DataFolder;
use crate::{address, output, values};

const EXAMPLES: &str = "\
Which address: without --taproot, that of the Taproot output whose key is the aggregate key itself, so a signature under
`aggregate_key` spends it. With --taproot, that of the aggregate key tweaked without a script tree, as wallets should
use it; a signature under `output_key` spends it.

Examples:
  nelumbo key aggregate 02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5 \\
                        02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9
  nelumbo key aggregate --suite bip340 --taproot --json KEY KEY KEY";

/// Aggregates the public keys of all signers into the one key they sign under
///
/// The keys may be given in any order: they are sorted first, as every session does.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Aggregate {
    /// The signers: public keys of 66 hexadecimal digits, or names of contacts
    #[arg(value_name = "KEY", required = true, value_parser = key_or_name)]
    keys: Vec<KeyOrName>,
    /// The signature scheme
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// Tweaks the aggregate key as the key of a Taproot output without scripts
    #[arg(long)]
    taproot: bool,
    /// The network that the address is for
    #[arg(long, value_parser = values::network(), default_value = "mainnet")]
    network: Network,
    /// Prints one JSON object: `aggregate_key`, `coefficients` in the order of the sorted keys, `address`, and with
    /// --taproot `output_key`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Serialize)]
struct Aggregated {
    aggregate_key: PublicKey,
    coefficients: Vec<String>,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_key: Option<PublicKey>,
}

impl Aggregate {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let keys = values::sorted(KeyOrName::keys(&self.keys, &self.data)?)?;
        let tweak = if self.taproot { Tweak::Taproot { merkle_root: None } } else { Tweak::None };
        let context = KeyAggContext::new(self.suite, &keys)
            .and_then(|context| context.with_tweak(&tweak))
            .map_err(|error| Failure::input(error, "use other keys"))?;
        let output_key = context.challenge_key();
        let aggregated = Aggregated {
            aggregate_key: context.aggregate_key(),
            coefficients: context.coefficients().iter().map(hex::encode).collect(),
            address: address::of_output_key(self.suite, self.network, &output_key),
            output_key: self.taproot.then_some(output_key),
        };
        if self.json {
            output::json(&aggregated)?
        } else {
            aggregated.print(&keys)?
        }
        Ok(Answer::Yes)
    }
}

impl Aggregated {
    fn print(self, keys: &[PublicKey]) -> Result<(), Failure> {
        let mut rows = vec![("aggregate key", self.aggregate_key.to_string())];
        rows.extend(self.output_key.map(|key| ("output key", key.to_string())));
        rows.push(("address", self.address));
        for (key, coefficient) in keys.iter().zip(self.coefficients) {
            rows.extend([("signer", key.to_string()), ("  coefficient", coefficient)]);
        }
        output::table(&rows)
    }
}
