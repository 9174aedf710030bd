//! `nelumbo key show`: the public side of a key file.

use std::path::PathBuf;

use clap::Args;
use nelumbo_core::crypto::{Suite, taproot};
use serde_json::json;

use crate::failure::{Answer, Failure};
use crate::{address, key_file, output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo key show --key-file alice.key
  nelumbo key show --key-file alice.key --suite bip340 --taproot --json";

/// Shows the public key and the address of a key file, never the secret
///
/// Needs no passphrase.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{}\n\n{EXAMPLES}", key_file::FORMAT))]
pub(crate) struct Show {
    /// The key file
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The signature scheme, which decides the form of the address
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// The address of the key tweaked as Taproot demands of wallets, instead of the key as it is
    #[arg(long)]
    taproot: bool,
    /// Prints one JSON object: `public_key`, `network`, `address`
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let key_file::KeyFile { network, public_key, .. } = key_file::read(&self.key_file)?;
        let output_key = if self.taproot {
            taproot::output_key(self.suite, &public_key, None)
                .map_err(|error| Failure::input(error, "use another key"))?
        } else {
            public_key
        };
        let address = address::of_output_key(self.suite, network, &output_key);
        if self.json {
            output::json(&json!({ "public_key": public_key, "network": network, "address": address }))?;
        } else {
            let rows = [("public key", public_key.to_string()), ("network", network.to_string()), ("address", address)];
            output::table(&rows)?;
        }
        Ok(Answer::Yes)
    }
}
