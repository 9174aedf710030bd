//! Checks that nobody signs a session when its time is over by its own machine's clock: no signer is asked for nonces
//! or partial signatures then, and none that were not sent before are sent.

use std::collections::BTreeSet;

use nelumbo_core::base::Wall;
use nelumbo_core::wire::{Content, SessionId};

use super::{Checker, GroundTruth, NodeObservation};
use crate::peer::Observation;

#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// The attempts in which a node has sent nonces, and those in which it has signed.
    sent: BTreeSet<(u32, SessionId, u32, bool)>,
}

impl Checker for Expiry {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let node = seen.observed.node;
        let (session, decided, what) = match (&seen.observed.observation, seen.step) {
            (Observation::SignerAsked { slot, decided }, _) => {
                (SessionId::from_bytes(slot.session), *decided, "asks its signer")
            }
            (Observation::Sent { decided, .. }, Some(step)) => {
                let is_partial = matches!(step.content, Content::Partial { .. });
                let is_share = is_partial || step.content.nonces().is_some();
                if !is_share || !self.sent.insert((node, step.session, step.attempt, is_partial)) {
                    return Ok(());
                }
                (step.session, *decided, if is_partial { "signs" } else { "takes part" })
            }
            _ => return Ok(()),
        };
        let expires_at = truth.sessions.get(&session).map_or(Wall::from_millis(u64::MAX), |known| known.expires_at);
        if decided > expires_at {
            let late = decided.since(expires_at).as_millis();
            return Err(format!("node {node} {what} {late} ms after the end of {session}"));
        }
        Ok(())
    }
}
