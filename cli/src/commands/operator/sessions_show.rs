//! `nelumbo sessions show`: everything about one session.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Request, Running, Session};
use crate::failure::{Answer, Failure};
use crate::{link, output};

/// Shows one session: what is signed, by whom, and where it stands
///
/// One that the node does not know, because only a link to it is at hand, is looked for in the network first.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The session's id, or a link to it
    #[arg(value_name = "ID", value_parser = link::session)]
    session: SessionId,
    #[command(flatten)]
    node: Running,
}

impl Show {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Session { session: self.session }, |session: Session| {
            let summary = session.summary;
            let mut rows = vec![
                ("session", summary.session.to_string()),
                ("link", summary.link.to_string()),
                ("phase", output::name(&summary.phase)),
                ("attempt", summary.attempt.to_string()),
                ("suite", summary.suite.to_string()),
                ("network", session.network.to_string()),
                ("message", session.message),
                ("type", session.kind.map_or_else(|| "not said".to_owned(), |kind| kind.as_str().to_owned())),
                // The creator chose this text: what could command the terminal is escaped.
                ("description", summary.description.escape_debug().to_string()),
                ("amount", session.amount.map_or_else(|| "not known".to_owned(), |amount| format!("{amount} satoshi"))),
                ("listed", if session.listed { "yes" } else { "no" }.to_owned()),
                ("tweak", format!("{:?}", session.tweak).to_lowercase()),
                ("election", session.election.to_string()),
                ("creator", summary.creator.to_string()),
            ];
            for signer in session.signers {
                let own = if signer.own { " (this node)" } else { "" };
                let joined = match signer.joined {
                    Some(true) => ", joined",
                    Some(false) => ", not joined",
                    None => "",
                };
                rows.push(("signer", format!("{}{own}{joined}", signer.key)));
            }
            rows.extend(session.challenge_key.map(|key| ("signs under", key.to_string())));
            rows.extend(session.signature.map(|signature| ("signature", signature.to_string())));
            rows.extend(session.coordinator.map(|key| ("to broadcast", key.to_string())));
            output::table(&rows)
        })?;
        Ok(Answer::Yes)
    }
}
