//! The commands that tell the node one thing about a session or a peer: `abort`, `retry`, `confirm`, `close`,
//! `disconnect`, `ban` and `unban`.
//!
//! Owns their arguments and how the node is told. Driven by the list of commands, which has what each says of itself.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Done, Ended, Request, Running};
use crate::failure::{Answer, Failure};
use crate::{link, output};

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

    /// The same, for what ends the session.
    pub(super) fn end(self, request: impl FnOnce(SessionId) -> Request) -> Result<Answer, Failure> {
        self.node.ask(&request(self.session), |Ended { may_complete }| match may_complete {
            true => output::line(
                "a signature may still appear: this node had signed before; if one does, session-completed tells it",
            ),
            false => Ok(()),
        })?;
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
