//! `nelumbo key generate`: a new key in a new file.

use std::path::PathBuf;

use clap::Args;
use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{Network, SecretKey};
use serde_json::json;

use crate::failure::{Answer, Failure};
use crate::passphrase::PassphraseSource;
use crate::{key_file, output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo key generate --out alice.key --seal
  nelumbo key generate --out test.key --network regtest --json";

/// Makes a new key and keeps it in a new file
///
/// Prints the public key, which the other signers need. The secret key is in the file and nowhere else: keep a backup.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{}\n\n{EXAMPLES}", key_file::FORMAT))]
pub(crate) struct Generate {
    /// The file to create; it must not exist
    #[arg(long, value_name = "FILE", default_value = "nelumbo.key")]
    out: PathBuf,
    /// The network that the key is for
    #[arg(long, value_parser = values::network(), default_value = "mainnet")]
    network: Network,
    /// Seals the key with a passphrase, without which the file is of no use; --passphrase-file does so too
    #[arg(long)]
    seal: bool,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Prints one JSON object: `public_key`, `network`, `file`
    #[arg(long)]
    json: bool,
}

impl Generate {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let mut entropy = fresh_entropy()?;
        let passphrase = if self.seal || self.passphrase.is_file() { Some(self.passphrase.chosen()?) } else { None };
        let key = SecretKey::generate(&mut entropy);
        let seal = passphrase.as_ref().map(|passphrase| (passphrase, &mut entropy));
        key_file::create(&self.out, self.network, &key, seal)?;
        let (public_key, file) = (key.public_key(), self.out.display().to_string());
        if self.json {
            output::json(&json!({ "public_key": public_key, "network": self.network, "file": file }))?;
        } else {
            output::table(&[("public key", public_key.to_string()), ("key file", file)])?;
        }
        Ok(Answer::Yes)
    }
}

/// Randomness of the operating system.
pub(super) fn fresh_entropy() -> Result<Entropy, Failure> {
    nelumbo_tokio::fresh_entropy().map_err(|error| {
        Failure::input(error, "nothing secret can be made on this machine until its source of randomness works")
    })
}
