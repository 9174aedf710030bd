//! `nelumbo verify-blame`: who is guilty of what, by evidence alone.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use nelumbo_core::crypto::Secp256k1;
use nelumbo_core::evidence::{self, Evidence};
use serde_json::json;

use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
The file holds one JSON object, the `evidence` of a `signer-misbehaved` event. It consists of messages as their authors
signed them; nothing else is believed, and no network is asked. A signer is convicted by what it has signed itself
alone: one that follows the protocol and keeps its journal cannot be. One that lost its journal and signed on can.

Examples:
  nelumbo verify-blame evidence.json
  nelumbo verify-blame --json evidence.json && echo proven

Exit status: 0 when the evidence convicts a signer, 1 when it convicts nobody, 2 when it is no evidence.";

/// Says who is guilty of what, or why nobody is, from the evidence in a file
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyBlame {
    /// The evidence
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Prints one JSON object: `guilty`, and `signer`, `offence`, `session` and `attempt`, or `reason`
    #[arg(long)]
    json: bool,
}

impl VerifyBlame {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let name = self.file.display();
        let mut text = String::new();
        fs::File::open(&self.file)
            .and_then(|file| file.take(evidence::MAX_EVIDENCE as u64).read_to_string(&mut text))
            .map_err(|error| Failure::input(format_args!("{name}: {error}"), "give a file that can be read"))?;
        let evidence: Evidence = serde_json::from_str(&text).map_err(|error| {
            Failure::input(format_args!("{name} is no evidence: {error}"), "give the `evidence` of an event, unchanged")
        })?;
        match evidence::verify(&Secp256k1, &evidence) {
            Ok(conviction) if self.json => {
                let mut object = json!(conviction);
                object["guilty"] = json!(true);
                output::json(&object)?;
                Ok(Answer::Yes)
            }
            Ok(conviction) => {
                let mut rows = vec![
                    ("guilty", conviction.signer.to_string()),
                    ("of", conviction.offence.to_string()),
                    ("session", conviction.session.to_string()),
                    ("attempt", conviction.attempt.to_string()),
                ];
                rows.extend(conviction.message_keys.iter().map(|key| ("message key", key.to_string())));
                output::table(&rows)?;
                Ok(Answer::Yes)
            }
            Err(reason) if self.json => {
                output::json(&json!({ "guilty": false, "reason": reason }))?;
                Ok(Answer::No)
            }
            Err(reason) => {
                output::line(format_args!("nobody is guilty: {reason}"))?;
                Ok(Answer::No)
            }
        }
    }
}
