//! `nelumbo retry`: another attempt at a session.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::link;

const EXAMPLES: &str = "\
Examples:
  nelumbo retry ID
  nelumbo sessions --phase failed --json | jq -r '.sessions[].session' | xargs -n1 nelumbo retry";

/// Makes a new attempt at a session whose last one failed
///
/// A node makes three by itself. `nelumbo sessions` shows which sessions failed, and `nelumbo events` why.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retry {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl Retry {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Retry { session: self.session }, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
