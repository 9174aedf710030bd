//! `nelumbo join`: the approval of a session.

use std::io::{self, IsTerminal};

use clap::Args;
use nelumbo_core::api::Phase;
use nelumbo_core::wire::SessionId;

use crate::contacts::Contacts;
use crate::control::{Approved, Request, Running, Session, SessionSummary, Sessions};
use crate::failure::{Answer, Failure};
use crate::group::Name;
use crate::summary::{self, Allowed};
use crate::{link, output};

const EXAMPLES: &str = "\
Examples:
  nelumbo sessions show ID && nelumbo approve ID
  nelumbo approve family
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
    /// The session's id, or a link to it; or the name of a group, for its only request that waits
    #[arg(value_name = "ID", value_parser = which)]
    which: Which,
    #[command(flatten)]
    allowed: Allowed,
    #[command(flatten)]
    node: Running,
}

/// Which session.
#[derive(Clone, Debug)]
enum Which {
    Session(SessionId),
    OfGroup(Name),
}

/// For clap: whatever is no name is read as a session, whose errors say more.
fn which(text: &str) -> Result<Which, String> {
    let session = link::session(text).map(Which::Session);
    session.or_else(|error| text.parse().map(Which::OfGroup).map_err(|_| error))
}

impl Join {
    /// The session that is meant, which is the only one that a group waits for.
    fn session(&self) -> Result<SessionId, Failure> {
        let name = match &self.which {
            Which::Session(session) => return Ok(*session),
            Which::OfGroup(name) => name,
        };
        let group = Contacts::read(self.node.folder()?.path())?.group(name)?.clone();
        let mut node = self.node.connect()?;
        let waiting: Sessions = node.get(&Request::Sessions { phases: vec![Phase::Announced] })?;
        let mut of_group = Vec::new();
        for SessionSummary { session, suite, .. } in waiting.sessions {
            let Session { signers, .. } = node.get(&Request::Session { session })?;
            if suite == group.suite && signers.iter().map(|signer| &signer.key).eq(&group.keys) {
                of_group.push(session);
            }
        }
        match of_group[..] {
            [session] => Ok(session),
            [] => Err(Failure::unmet(
                format_args!("no request of the group {name} waits for approval"),
                "`nelumbo requests` looks for others in the network",
            )),
            _ => {
                let ids: Vec<String> = of_group.iter().map(ToString::to_string).collect();
                Err(Failure::unmet(
                    format_args!("{} requests of the group {name} wait: {}", ids.len(), ids.join(", ")),
                    "look at each with `nelumbo sessions show`, and approve it by its id",
                ))
            }
        }
    }

    pub(super) fn run(self) -> Result<Answer, Failure> {
        let session = self.session()?;
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
