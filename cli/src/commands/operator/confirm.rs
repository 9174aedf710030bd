//! `nelumbo confirm`: the broadcast of a signature is done.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::link;

const EXAMPLES: &str = "\
Examples:
  nelumbo confirm ID";

/// Says that the signature of a session has been broadcast
///
/// The other signers are told, so that nobody else takes a turn.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Confirm {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl Confirm {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Confirm { session: self.session }, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
