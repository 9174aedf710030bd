//! Checks that a nonce signs at most once: a signer sends one public nonce in an attempt, and no public nonce in two
//! attempts, whatever crashes happened in between. Two partial signatures with one nonce over different challenges
//! reveal the key.

use std::collections::BTreeMap;

use nelumbo_core::crypto::{PublicKey, PublicNonce};
use nelumbo_core::wire::{Content, SessionId};

use super::{Checker, GroundTruth, NodeObservation};

type Slot = (PublicKey, SessionId, u32);

#[derive(Debug, Default)]
pub(super) struct Nonces {
    nonces: BTreeMap<Slot, PublicNonce>,
    slots: BTreeMap<[u8; 66], Slot>,
}

impl Checker for Nonces {
    fn name(&self) -> &'static str {
        "nonces"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Some(step) = seen.step else { return Ok(()) };
        let (Content::Announce { nonce, .. } | Content::Join { nonce }) = &step.content else { return Ok(()) };
        let slot = (seen.key, step.session, step.attempt);
        if *self.nonces.entry(slot).or_insert(*nonce) != *nonce {
            return Err(format!("two nonces in attempt {} of {}", step.attempt, step.session));
        }
        if *self.slots.entry(*nonce.as_bytes()).or_insert(slot) != slot {
            return Err(format!("one nonce in two attempts, one of them {} of {}", step.attempt, step.session));
        }
        Ok(())
    }
}
