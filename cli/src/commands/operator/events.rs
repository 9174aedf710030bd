//! `nelumbo events`: what happens to the running node.

use clap::Args;

use crate::control::{Heard, Request, Running};
use crate::failure::{Answer, Failure};
use crate::node::missed_line;
use crate::output;

const EXAMPLES: &str = "\
Events are numbered from 1 at each start of the node, which keeps the last 1024 of them. With --json each line is an
object with `number`, `time` in milliseconds since 1970, and `event`; a line {\"missed\":N} says that N events are no
longer there, because they are too old or were not read in time.

Examples:
  nelumbo events
  nelumbo events --follow --json | jq -r 'select(.event.event == \"session-announced\") | .event.session'
  nelumbo events --follow --after 0";

/// Prints what has happened to the node, or what happens from now on
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Events {
    /// Prints what happens from now on, until the node stops
    #[arg(short, long)]
    follow: bool,
    /// Begins after the event with this number, as far as it is kept
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    #[command(flatten)]
    node: Running,
}

impl Events {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let json = self.node.json;
        let mut client = self.node.connect()?;
        client.send(&Request::Events { follow: self.follow, after: self.after })?;
        loop {
            let line = match client.hear(None)? {
                Heard::Event(entry) => entry.line(json),
                Heard::Missed(missed) => missed_line(missed, json),
                Heard::End => return Ok(Answer::Yes),
            };
            if !output::next_line(line)? {
                return Ok(Answer::Yes);
            }
        }
    }
}
