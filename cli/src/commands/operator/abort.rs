//! `nelumbo abort`: the end of a session without a signature.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::link;

const EXAMPLES: &str = "\
Examples:
  nelumbo abort ID";

/// Refuses a session, or leaves one that has no signature yet
///
/// Nothing follows: all signers are needed, and all of them are told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Abort {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl Abort {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Abort { session: self.session }, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
