//! `nelumbo close`: a session is forgotten.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::link;

const EXAMPLES: &str = "\
Examples:
  nelumbo close ID
  nelumbo sessions --phase complete --json | jq -r '.sessions[].session' | xargs -n1 nelumbo close";

/// Forgets a session
///
/// One that has no signature yet is aborted first.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Close {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl Close {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Close { session: self.session }, |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
