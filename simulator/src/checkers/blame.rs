//! No honest signer is blamed for what only its key can have done, and no honest peer is shut out.

use nelumbo_core::api::{AttemptFailure, Event};

use super::{Checker, Facts, Sight};
use crate::peer::{Note, node_of};

#[derive(Debug)]
pub(super) struct Blame;

impl Checker for Blame {
    fn name(&self) -> &'static str {
        "blame"
    }

    fn see(&mut self, facts: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        let Note::Event(event) = &sight.noted.note else { return Ok(()) };
        let blamed = match event {
            Event::AttemptFailed { failure: AttemptFailure::InvalidPartial(keys), .. } => {
                keys.iter().find(|key| facts.is_honest(key)).map(ToString::to_string)
            }
            Event::AttemptFailed { failure: AttemptFailure::InvalidNonce(key), .. } => {
                facts.is_honest(key).then(|| key.to_string())
            }
            Event::PeerGraylisted { peer, .. }
            | Event::ShouldBan { peer, .. }
            | Event::PeerBlacklisted { peer, .. } => {
                let node = node_of(peer).filter(|node| facts.honest.get(*node as usize) == Some(&true));
                node.map(|node| format!("node {node}"))
            }
            _ => None,
        };
        match blamed {
            Some(who) => Err(format!("{who} is blamed and did nothing wrong: {event:?}")),
            None => Ok(()),
        }
    }
}
