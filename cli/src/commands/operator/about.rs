//! The commands that tell the node one thing about a session or a peer: `abort`, `retry`, `confirm`, `close`, `ban` and
//! `unban`.
//!
//! Owns their arguments and how the node is told. Driven by the list of commands, which has what each says of itself.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Done, Request, Running};
use crate::failure::{Answer, Failure};
use crate::link;

// Without documentation, which clap would take for that of each command.
#[derive(Args, Debug)]
pub(crate) struct AboutSession {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl AboutSession {
    pub(super) fn tell(self, request: impl FnOnce(SessionId) -> Request) -> Result<Answer, Failure> {
        self.node.ask(&request(self.session), |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}

#[derive(Args, Debug)]
pub(crate) struct AboutPeer {
    /// The peer id, as `nelumbo peers` shows it
    #[arg(value_name = "PEER")]
    peer: String,
    #[command(flatten)]
    node: Running,
}

impl AboutPeer {
    pub(super) fn tell(self, request: impl FnOnce(String) -> Request) -> Result<Answer, Failure> {
        self.node.ask(&request(self.peer), |Done {}| Ok(()))?;
        Ok(Answer::Yes)
    }
}
