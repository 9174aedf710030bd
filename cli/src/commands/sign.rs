//! `nelumbo sign`: a signature of one signer alone.

use std::path::PathBuf;

use clap::Args;
use nelumbo_core::crypto::{Suite, schnorr};
use serde_json::json;

use super::key_generate::fresh_entropy;
use crate::failure::{Answer, Failure};
use crate::passphrase::PassphraseSource;
use crate::values::HexBytes;
use crate::{key_file, output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo sign --key-file alice.key --message 9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50
  nelumbo sign --key-file alice.key --suite bip340 --message 68656c6c6f --json";

/// Signs a message with one key, alone
///
/// The nonce is hedged with fresh randomness, so two signatures of one message differ; both are valid.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sign {
    /// The key file, as `nelumbo key generate` makes it
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// The message: for lotus a digest of 32 bytes, for bip340 any bytes
    #[arg(long, value_name = "HEX")]
    message: HexBytes,
    /// The signature scheme
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// Prints one JSON object: `suite`, `public_key`, `message`, `signature`
    #[arg(long)]
    json: bool,
}

impl Sign {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let message = self.message.0;
        values::check_message(self.suite, &message)?;
        let key = key_file::read(&self.key_file)?.unlock(&self.passphrase)?;
        let signature = schnorr::sign(self.suite, &key, &message, Some(fresh_entropy()?.bytes32()))
            .map_err(|error| Failure::input(error, "choose another suite"))?;
        let public_key = key.public_key();
        assert!(
            schnorr::verify(self.suite, &public_key, &message, &signature),
            "a signature that a fault has spoiled can reveal the key, so it is not shown"
        );
        if self.json {
            output::json(&json!({
                "suite": self.suite,
                "public_key": public_key,
                "message": hex::encode(message),
                "signature": signature,
            }))?;
        } else {
            output::line(signature)?;
        }
        Ok(Answer::Yes)
    }
}
