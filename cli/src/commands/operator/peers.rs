//! `nelumbo peers`: who is connected to the running node.

use clap::Args;

use crate::control::{Peers as Connected, Request, Running};
use crate::failure::{Answer, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  nelumbo peers
  nelumbo peers --data ~/alice --json | jq -r '.peers[].keys[]'";

/// Lists the peers that the node is connected to, their keys and their standing
///
/// A peer's keys are those of signers, shown to be its own. Its penalty grows when it breaks the protocol, and fades;
/// at 50 it is not listened to for an hour (graylisted), at 100 it is banned for a day (blacklisted). What has come
/// from it is counted in messages, of which some may have been refused.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Peers {
    #[command(flatten)]
    node: Running,
}

impl Peers {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        self.node.ask(&Request::Peers {}, |Connected { peers }| {
            let mut rows = Vec::new();
            for peer in peers {
                let standing = format!("{} ({})", output::name(&peer.standing), peer.penalty);
                let mut keys = peer.keys.iter().map(ToString::to_string);
                let path = if peer.relayed { "circuit" } else { "direct" };
                let path = format!("{path} {}", if peer.outbound { "out" } else { "in" });
                let round_trip = peer.round_trip_ms.map(|time| format!("{time:.1} ms")).unwrap_or_default();
                let received = match peer.refused {
                    0 => peer.messages.to_string(),
                    refused => format!("{} ({refused} refused)", peer.messages),
                };
                let key = keys.next().unwrap_or_default();
                rows.push([peer.peer, standing, path, round_trip, received, peer.address, key]);
                let none = String::new;
                rows.extend(keys.map(|key| [none(), none(), none(), none(), none(), none(), key]));
            }
            output::columns(["PEER", "STANDING", "PATH", "ROUND TRIP", "RECEIVED", "ADDRESS", "KEYS"], &rows)
        })?;
        Ok(Answer::Yes)
    }
}
