//! `nelumbo ban`: a peer that is not wanted.

use clap::Args;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  nelumbo ban 12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

/// Closes every connection to a peer and allows none, until it is pardoned
///
/// The node remembers it until it is started again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ban {
    /// The peer id, as `nelumbo peers` shows it
    #[arg(value_name = "PEER")]
    peer: String,
    #[command(flatten)]
    node: Running,
}

impl Ban {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Ban { peer: self.peer }, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
