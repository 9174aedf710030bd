//! `nelumbo sessions wait`: until a session has its signature.

use std::time::{Duration, Instant};

use clap::Args;
use nelumbo_core::api::Phase;
use nelumbo_core::wire::SessionId;
use serde_json::json;

use crate::control::{Client, Heard, Request, Running, Session};
use crate::failure::{Answer, Failure};
use crate::{link, output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo sessions wait ID
  nelumbo sessions wait ID --timeout 600 && echo signed";

/// Waits until a session has its signature, and prints it
///
/// A failed attempt is not the end: another may follow. Exit status: 0 with the signature, 1 when it has ended without
/// one, or none came in time.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Wait {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    /// How many seconds to wait; by default until the session ends
    #[arg(long, value_name = "S", value_parser = values::seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    node: Running,
}

impl Wait {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let until = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut client = self.node.connect()?;
        // Before the first look, so that nothing happens unseen between the two.
        client.send(&Request::Events { follow: true, after: None })?;
        loop {
            let session: Session = client.get(&Request::Session { session: self.session })?;
            match session.head.phase {
                Phase::Complete if self.node.json => {
                    let mut answer = json!({ "session": self.session, "signatures": session.signatures });
                    if let Some(signature) = session.signature {
                        answer["signature"] = json!(signature);
                    }
                    output::json(&answer)?;
                    return Ok(Answer::Yes);
                }
                Phase::Complete => {
                    session.signatures.iter().try_for_each(output::line)?;
                    return Ok(Answer::Yes);
                }
                phase @ (Phase::Aborted | Phase::Expired) => {
                    let remedy = if session.may_complete {
                        "a signature may still appear, because this node had signed before: follow events"
                    } else {
                        "create a new one"
                    };
                    let ended = format_args!("session {} is {}", self.session, output::name(&phase)).to_string();
                    return Err(Failure::unmet(ended, remedy));
                }
                _ => self.wait_for_news(&mut client, until)?,
            }
        }
    }

    /// Waits until something has happened to the session.
    fn wait_for_news(&self, client: &mut Client, until: Option<Instant>) -> Result<(), Failure> {
        let id = self.session.to_string();
        loop {
            match client.hear(until)? {
                Heard::Event(entry) if !entry.event.get().contains(&id) => {}
                Heard::Event(_) | Heard::Missed(_) => return Ok(()),
                Heard::End => {
                    return Err(Failure::no_node("the node has stopped", "start it again, and the session goes on"));
                }
            }
        }
    }
}
