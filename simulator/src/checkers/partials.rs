//! Checks that a signer makes at most one partial signature for each item in an attempt, over one list of nonces.

use std::collections::BTreeMap;

use nelumbo_core::crypto::{PartialSignature, PublicKey};
use nelumbo_core::wire::{Content, SessionId};

use super::{Checker, GroundTruth, NodeObservation};

type Slot = (PublicKey, SessionId, u32);

#[derive(Debug, Default)]
pub(super) struct Partials(BTreeMap<Slot, ([u8; 32], Vec<PartialSignature>)>);

impl Checker for Partials {
    fn name(&self) -> &'static str {
        "partials"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Some(step) = seen.step else { return Ok(()) };
        let Content::Partial { nonces, partials } = &step.content else { return Ok(()) };
        let signed = (*nonces, partials.clone());
        if *self.0.entry((seen.key, step.session, step.attempt)).or_insert_with(|| signed.clone()) != signed {
            return Err(format!("two partial signatures in attempt {} of {}", step.attempt, step.session));
        }
        Ok(())
    }
}
