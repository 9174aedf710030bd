//! `nelumbo stop`: the running node is stopped.

use clap::Args;

use crate::control::{Request, Running};
use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo stop
  nelumbo stop --data ~/alice && nelumbo node --data ~/alice";

/// Stops the node, and returns when it has stopped
///
/// Sessions that have not ended go on when it is started again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Stop {
    #[command(flatten)]
    node: Running,
}

impl Stop {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let mut client = self.node.connect()?;
        let answer = client.ask(&Request::Stop {})?;
        client.wait_for_end()?;
        if self.node.json {
            output::json(&answer)?;
        }
        Ok(Answer::Yes)
    }
}
