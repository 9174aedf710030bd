//! `nelumbo key passphrase`: another passphrase for a key file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::key_generate::fresh_entropy;
use crate::failure::{Answer, Failure};
use crate::passphrase::PassphraseSource;
use crate::{key_file, output};

const EXAMPLES: &str = "\
Examples:
  nelumbo key passphrase --key-file ~/.local/share/nelumbo/signer.key
  nelumbo key passphrase --key-file alice.key --passphrase-file old.txt --new-passphrase-file new.txt";

/// Seals a key file with another passphrase, or with one at all
///
/// The file is replaced as a whole, so that there is always one that opens. The key stays the same: whoever has the old
/// file and the old passphrase still has it. A message.key beside it is sealed with the old passphrase still: remove
/// it, and the node draws another one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ChangePassphrase {
    /// The key file
    #[arg(long, value_name = "FILE", default_value = "nelumbo.key")]
    key_file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Takes the new passphrase from the first line of this file, which nobody else may read; without it, it is asked
    /// for twice
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Prints one JSON object: `public_key`, `file`
    #[arg(long)]
    json: bool,
}

impl ChangePassphrase {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let file = key_file::read(&self.key_file)?;
        let network = file.network;
        let key = file.unlock(&self.passphrase)?;
        let chosen = PassphraseSource::of_file_or_asked(self.new_passphrase_file).chosen()?;
        let mut entropy = fresh_entropy()?;
        key_file::replace(&self.key_file, network, &key, &chosen, &mut entropy)?;
        let (key, file) = (key.public_key(), self.key_file.display().to_string());
        if self.json {
            output::json(&json!({ "public_key": key, "file": file }))?;
        } else {
            output::table(&[("public key", key.to_string()), ("file", file)])?;
        }
        Ok(Answer::Yes)
    }
}
