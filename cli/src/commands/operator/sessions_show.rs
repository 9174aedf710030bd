//! `nelumbo sessions show`: everything about one session.

use clap::Args;
use nelumbo_core::wire::SessionId;

use crate::control::{Request, Running, Session};
use crate::failure::{Answer, Failure};
use crate::{link, output, summary};

const EXAMPLES: &str = "\
Examples:
  nelumbo sessions show ID
  nelumbo sessions show lotus://musig2/join/ID
  nelumbo sessions show ID --json | jq .summary";

/// Shows one session: what is signed, by whom, and where it stands
///
/// First comes what signing it does: warnings, who is paid what, what returns to the group, and what the signature
/// leaves open. One that the node does not know, because only a link to it is at hand, is looked for in the network
/// first.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
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
            let head = session.head;
            let mut rows = head.summary.as_ref().map(summary::rows).unwrap_or_default();
            rows.extend([
                ("session", head.session.to_string()),
                ("link", head.link.to_string()),
                ("phase", output::name(&head.phase)),
                ("attempt", head.attempt.to_string()),
                ("suite", head.suite.to_string()),
                ("network", session.network.to_string()),
                ("type", session.kind.map_or_else(|| "not said".to_owned(), |kind| kind.as_str().to_owned())),
                ("listed", if session.listed { "yes" } else { "no" }.to_owned()),
                ("election", session.election.to_string()),
                ("creator", head.creator.to_string()),
            ]);
            for signer in session.signers {
                let own = if signer.own { " (this node)" } else { "" };
                let joined = match signer.joined {
                    Some(true) => ", joined",
                    Some(false) => ", not joined",
                    None => "",
                };
                rows.push(("signer", format!("{}{own}{joined}", signer.key)));
            }
            for (place, item) in session.items.iter().enumerate() {
                let input = item.input.map(|input| format!("input {input}, ")).unwrap_or_default();
                rows.push(("item", format!("{place}: {input}message {}", item.message)));
                rows.push(("  tweak", format!("{:?}", item.tweak).to_lowercase()));
                rows.push(("  signs under", item.challenge_key.to_string()));
                rows.extend(session.signatures.get(place).map(|signature| ("  signature", signature.to_string())));
            }
            if session.may_complete {
                rows.push(("signature", "none, but one may still appear: this node had signed before".to_owned()));
            }
            rows.extend(session.final_transaction.map(|signed| ("final transaction", signed.transaction)));
            rows.extend(session.coordinator.map(|key| ("to broadcast", key.to_string())));
            output::table(&rows)
        })?;
        Ok(Answer::Yes)
    }
}
