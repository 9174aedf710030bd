//! Checks that a signer makes at most one partial signature in an attempt, over one list of nonces.

use std::collections::BTreeMap;

use nelumbo_core::crypto::{PartialSignature, PublicKey};
use nelumbo_core::wire::{Content, SessionId};

use super::{Checker, GroundTruth, NodeObservation};

type Slot = (PublicKey, SessionId, u32);

#[derive(Debug, Default)]
pub(super) struct Partials(BTreeMap<Slot, ([u8; 32], PartialSignature)>);

impl Checker for Partials {
    fn name(&self) -> &'static str {
        "partials"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Some(step) = seen.step else { return Ok(()) };
        let Content::Partial { nonces, partial } = &step.content else { return Ok(()) };
        let signed = (*nonces, *partial);
        if *self.0.entry((seen.key, step.session, step.attempt)).or_insert(signed) != signed {
            return Err(format!("two partial signatures in attempt {} of {}", step.attempt, step.session));
        }
        Ok(())
    }
}
