//! `nelumbo subscribe`: hearing of signers as they advertise.

use clap::Args;
use nelumbo_core::wire::TransactionType;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::values;

const EXAMPLES: &str = "\
Examples:
  nelumbo subscribe spend && nelumbo events --follow
  nelumbo subscribe spend --off";

/// Lets the node hear of signers for a type as soon as they advertise, until it stops
///
/// They come as events `signer-discovered`, and searches find them at once.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Subscribe {
    /// spend, swap, coinjoin, custody, escrow or channel
    #[arg(value_name = "TYPE", value_parser = values::parsed::<TransactionType>)]
    kind: TransactionType,
    /// Hears of them no more
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    node: Running,
}

impl Subscribe {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Subscribe { kind: self.kind, off: self.off }, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
