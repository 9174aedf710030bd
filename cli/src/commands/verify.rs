//! `nelumbo verify`: whether a signature is valid.

use clap::Args;
use nelumbo_core::crypto::{PublicKey, Signature, Suite, schnorr};
use serde_json::json;

use crate::contacts::{KeyOrName, key_or_name};
use crate::failure::{Answer, Failure};
use crate::node::DataFolder;
use crate::values::HexBytes;
use crate::{output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo verify --suite bip340 --message HEX --signature HEX \\
                 --key 02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9
  nelumbo verify --key bob --message HEX --signature HEX && echo it is valid

Exit status: 0 when the signature is valid, 1 when it is not, 2 when the question makes no sense.";

/// Says whether a signature is valid: of one signer, or of many under their aggregate key
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The signature scheme
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// The public key: 33 bytes, or for bip340 also the 32 bytes of an x-only key; or the name of a contact
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The message: for lotus 32 bytes, for bip340 any bytes
    #[arg(long, value_name = "HEX")]
    message: HexBytes,
    /// The signature: 64 bytes
    #[arg(long, value_name = "HEX", value_parser = values::signature)]
    signature: Signature,
    /// Prints one JSON object: `valid`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataFolder,
}

impl Verify {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        values::check_message(self.suite, &self.message.0)?;
        let key = self.key()?;
        let valid = schnorr::verify(self.suite, &key, &self.message.0, &self.signature);
        if self.json {
            output::json(&json!({ "valid": valid }))?;
        } else {
            output::line(if valid { "valid" } else { "invalid" })?;
        }
        Ok(if valid { Answer::Yes } else { Answer::No })
    }

    /// Read here because only the suite says whether x alone is a key.
    fn key(&self) -> Result<PublicKey, Failure> {
        let is_x_only = self.suite == Suite::Bip340 && self.key.len() == 64;
        let key = if is_x_only { key_or_name(&format!("02{}", self.key)) } else { key_or_name(&self.key) };
        let key = key.map_err(|problem| {
            Failure::input(format_args!("invalid value '{}' for '--key <KEY>': {problem}", self.key), "see --help")
        })?;
        Ok(KeyOrName::keys(&[key], &self.data)?[0])
    }
}
