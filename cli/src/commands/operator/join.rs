//! `nelumbo join`: the approval of a session.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::link;

const EXAMPLES: &str = "\
Examples:
  nelumbo sessions show ID && nelumbo approve ID
  nelumbo join lotus://musig2/join/ID";

/// Takes part in a session that another signer has announced
///
/// This approves what is signed: look at it first, with `nelumbo sessions show`.
#[derive(Args, Debug)]
#[command(visible_alias = "approve", after_help = EXAMPLES)]
pub(crate) struct Join {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl Join {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Join { session: self.session }, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
