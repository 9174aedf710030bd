//! `nelumbo finalize`: the transaction that a session has signed.

use clap::Args;
use nelumbo_core::wire::SessionId;
use serde_json::json;

use crate::control::{Request, Running, Session};
use crate::failure::{Answer, Failure};
use crate::{link, output};

const EXAMPLES: &str = "\
Examples:
  nelumbo finalize ID
  nelumbo finalize ID --json | jq -r .txid
  bitcoin-cli sendrawtransaction $(nelumbo finalize ID)";

/// Prints the final transaction of a session, as nodes of the chain take it
///
/// Asks no server. A node that knows servers broadcasts it by itself when it is its turn; sending it once more does no
/// harm.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Finalize {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl Finalize {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let session: Session = self.node.connect()?.get(&Request::Session { session: self.session })?;
        let Some(transaction) = session.final_transaction else {
            return Err(Failure::unmet(
                "the session has no final transaction",
                "it has to be complete, sign a transaction, and sign every input of it by its key",
            ));
        };
        if self.node.json {
            output::json(&json!({ "txid": transaction.txid, "transaction": transaction.transaction }))?;
        } else {
            output::line(transaction.transaction)?;
        }
        Ok(Answer::Yes)
    }
}
