//! `nelumbo create`: a session among signers whose keys are known.

use std::path::PathBuf;

use clap::Args;
use nelumbo_core::crypto::{PublicKey, Suite, sha256};
use nelumbo_core::election::Method;

use crate::control::{Created, NewSession, Request, Running};
use crate::failure::{Answer, Failure};
use crate::output;
use crate::values::{self, HexBytes};

const EXAMPLES: &str = "\
Examples:
  nelumbo create KEY KEY --message 9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50
  nelumbo create KEY --suite bip340 --file contract.pdf --election rotating
  nelumbo create KEY KEY --message HEX --taproot --json | jq -r .session";

/// Creates a session among signers with these keys, and announces it to them
///
/// The node's own key is one of the signers and need not be given. The node takes part at once; the others are asked, and
/// there is a signature when all of them have joined.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Create {
    /// The public keys of the other signers: 33 bytes, 66 hexadecimal digits
    #[arg(value_name = "KEY", required = true, value_parser = values::public_key)]
    keys: Vec<PublicKey>,
    /// What is signed: for lotus a digest of 32 bytes, for bip340 up to 4096 bytes
    #[arg(long, value_name = "HEX", group = "what", required_unless_present_any = ["text", "file"])]
    message: Option<HexBytes>,
    /// Signs the SHA-256 of this text
    #[arg(long, value_name = "STR", group = "what")]
    text: Option<String>,
    /// Signs the SHA-256 of this file
    #[arg(long, value_name = "PATH", group = "what")]
    file: Option<PathBuf>,
    /// The signature scheme
    #[arg(long, value_parser = values::suite(), default_value = "lotus")]
    suite: Suite,
    /// Signs under the aggregate key tweaked as the key of a Taproot output without scripts
    #[arg(long)]
    taproot: bool,
    /// How the signer who broadcasts is chosen
    #[arg(long, value_parser = values::method(), default_value = "lexicographic")]
    election: Method,
    #[command(flatten)]
    node: Running,
}

impl Create {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let message = match (self.message, self.text, self.file) {
            (Some(HexBytes(message)), ..) => message,
            (_, Some(text), _) => sha256(&[text.as_bytes()]).to_vec(),
            (_, _, Some(file)) => values::digest_of(&file)?,
            _ => Vec::new(),
        };
        values::check_message(self.suite, &message)?;
        let session = NewSession {
            suite: self.suite,
            keys: values::sorted(self.keys)?,
            taproot: self.taproot,
            message: hex::encode(message),
            election: self.election,
        };
        self.node.ask(&Request::Create(session), |Created { session, link }| {
            output::table(&[("session", session.to_string()), ("link", link.to_string())])
        })?;
        Ok(Answer::Yes)
    }
}
