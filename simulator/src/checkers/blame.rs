//! Checks that no honest signer is blamed for something that only its key can have done, and no honest peer is banned.

use nelumbo_core::api::{AttemptFailure, Event};

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::{Observation, node_of};

#[derive(Debug)]
pub(super) struct Blame;

impl Checker for Blame {
    fn name(&self) -> &'static str {
        "blame"
    }

    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Observation::Event(event) = &seen.observed.observation else { return Ok(()) };
        let blamed = match event {
            Event::AttemptFailed { failure: AttemptFailure::InvalidPartial(faults), .. } => {
                faults.iter().find(|fault| truth.is_honest(&fault.signer)).map(ToString::to_string)
            }
            Event::AttemptFailed { failure: AttemptFailure::InvalidNonce(fault), .. } => {
                truth.is_honest(&fault.signer).then(|| fault.to_string())
            }
            Event::PeerGraylisted { peer, .. }
            | Event::ShouldBan { peer, .. }
            | Event::PeerBlacklisted { peer, .. } => {
                let node = node_of(peer).filter(|node| truth.honest.get(*node as usize) == Some(&true));
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
