//! Checks that a nonce signs at most once: a signer sends one public nonce for each item in an attempt, and no public
//! nonce in two places, whatever crashes happened in between. Two partial signatures with one nonce over different
//! challenges reveal the key.

use std::collections::BTreeMap;

use nelumbo_core::crypto::{PublicKey, PublicNonce};
use nelumbo_core::wire::SessionId;

use super::{Checker, GroundTruth, NodeObservation};

type Slot = (PublicKey, SessionId, u32);

#[derive(Debug, Default)]
pub(super) struct Nonces {
    nonces: BTreeMap<Slot, Vec<PublicNonce>>,
    places: BTreeMap<[u8; 66], (Slot, usize)>,
}

impl Checker for Nonces {
    fn name(&self) -> &'static str {
        "nonces"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Some(step) = seen.step else { return Ok(()) };
        let Some(nonces) = step.content.nonces() else { return Ok(()) };
        let slot = (seen.key, step.session, step.attempt);
        if *self.nonces.entry(slot).or_insert_with(|| nonces.to_vec()) != nonces {
            return Err(format!("two nonces for one item in attempt {} of {}", step.attempt, step.session));
        }
        for (item, nonce) in nonces.iter().enumerate() {
            if *self.places.entry(*nonce.as_bytes()).or_insert((slot, item)) != (slot, item) {
                return Err(format!(
                    "one nonce in two places, one of them attempt {} of {}",
                    step.attempt, step.session
                ));
            }
        }
        Ok(())
    }
}
