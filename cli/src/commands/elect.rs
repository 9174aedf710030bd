//! `nelumbo elect`: who coordinates a session.

use clap::Args;
use nelumbo_core::crypto::{PublicKey, Signature};
use nelumbo_core::election::{Election, Method};
use nelumbo_core::wire::SessionId;
use serde::Serialize;

use crate::contacts::{KeyOrName, key_or_name};
use crate::failure::{Answer, Failure};
use crate::node::DataFolder;
use crate::{output, values};

const EXAMPLES: &str = "\
Methods:
  lexicographic  the smallest key, then upwards
  hash-based     a key that a hash of all keys points at, then upwards and around
  first-signer   the first of the sorted keys, then upwards
  last-signer    the last of the sorted keys, then downwards
  rotating       an order drawn when a session is signed; needs --session and --signature

Examples:
  nelumbo elect KEY KEY KEY
  nelumbo elect --method hash-based --json KEY KEY KEY
  nelumbo elect --method rotating --session ID --signature SIGNATURE KEY KEY KEY";

/// Elects the coordinator among signers: who publishes the result, and who takes over in turn
///
/// Every signer computes the same outcome from the keys, and with the rotating method from the signed session. Signers
/// are numbered by their place among the sorted keys, from 0. The proof is a checksum of the set of keys, by which
/// signers notice that theirs differ.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Elect {
    /// The signers: public keys of 66 hexadecimal digits, or names of contacts
    #[arg(value_name = "KEY", required = true, value_parser = key_or_name)]
    keys: Vec<KeyOrName>,
    /// How to elect
    #[arg(long, value_parser = values::method(), default_value = "lexicographic")]
    method: Method,
    /// The session, for the rotating method
    #[arg(long, value_name = "ID", required_if_eq("method", "rotating"), requires = "signature")]
    session: Option<SessionId>,
    /// The session's final signature, for the rotating method; once for each, in their order
    #[arg(long, value_name = "SIGNATURE", value_parser = values::signature, requires = "session")]
    signature: Vec<Signature>,
    /// Prints one JSON object: `coordinator`, `coordinator_index`, `priority`, `proof`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Serialize)]
struct Outcome<'a> {
    coordinator: PublicKey,
    coordinator_index: usize,
    priority: &'a [usize],
    proof: String,
}

impl Elect {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let keys = values::sorted(KeyOrName::keys(&self.keys, &self.data)?)?;
        let elected = match self.session {
            Some(session) => Election::in_session(self.method, &keys, session.as_bytes(), &self.signature),
            None => Election::new(self.method, &keys),
        };
        let election =
            elected.map_err(|error| Failure::input(error, "give the public key of every signer, each once"))?;
        let coordinator = keys[election.coordinator()];
        let proof = hex::encode(election.proof());
        if self.json {
            output::json(&Outcome {
                coordinator,
                coordinator_index: election.coordinator(),
                priority: election.priority(),
                proof,
            })?;
        } else {
            let mut rows = vec![("coordinator", coordinator.to_string())];
            rows.extend(election.priority().iter().skip(1).map(|index| ("then", keys[*index].to_string())));
            rows.push(("proof", proof));
            output::table(&rows)?;
        }
        Ok(Answer::Yes)
    }
}
