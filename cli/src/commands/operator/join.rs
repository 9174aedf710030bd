//! `nelumbo join`: the approval of a session.

use std::io::{self, IsTerminal};

use clap::Args;
use nelumbo_core::api::Phase;
use nelumbo_core::wire::SessionId;

use crate::control::{Approved, Request, Running, Session};
use crate::failure::{Answer, Failure};
use crate::summary::{self, Allowed};
use crate::{link, output};

const EXAMPLES: &str = "\
Examples:
  nelumbo sessions show ID && nelumbo approve ID
  nelumbo join lotus://musig2/join/ID
  nelumbo approve ID --allow opaque";

/// Takes part in a session that another signer has announced, and prints what is signed
///
/// This approves what is signed: look at it first, with `nelumbo sessions show`. A transaction that covers all its
/// inputs and outputs, by key path, and pays none of the signers alone is approved at once. Anything else is unusual:
/// on a terminal it is shown and asked about; elsewhere, and with --json, each kind has to be allowed by name. Exit
/// status 5 when it was not, and then nothing is approved.
#[derive(Args, Debug)]
#[command(visible_alias = "approve", after_help = EXAMPLES)]
pub(crate) struct Join {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    allowed: Allowed,
    #[command(flatten)]
    node: Running,
}

impl Join {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let session = self.session;
        let mut allow = self.allowed.names.into_iter().collect();
        let mut is_shown = false;
        let is_asked = io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
        if is_asked && !self.node.json {
            let seen: Session = self.node.connect()?.get(&Request::Session { session })?;
            let unusual = seen
                .head
                .summary
                .filter(|summary| seen.head.phase == Phase::Announced && !summary.missing(&allow).is_empty());
            if let Some(summary) = unusual {
                output::table(&summary::rows(&summary))?;
                is_shown = true;
                if !summary::confirm("Sign this all the same?", io::stdin().lock(), io::stderr())? {
                    return Err(Failure::unallowed("nothing is approved", "`nelumbo abort` tells the others so"));
                }
                // What was shown, and nothing else.
                allow.extend(summary.unusual);
            }
        }
        self.node.ask(&Request::Join { session, allow }, |Approved { summary, .. }| match summary {
            Some(summary) if !is_shown => output::table(&summary::rows(&summary)),
            _ => Ok(()),
        })?;
        Ok(Answer::Yes)
    }
}
