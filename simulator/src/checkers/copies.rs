//! Checks that two lives of one key use no nonce twice: those of a machine that is copied with its disk while it runs,
//! or resumed from a snapshot of its memory. No public nonce is shown in two places or by two machines, and none signs
//! over two lists of nonces, which would give the key away.

use std::collections::BTreeMap;

use nelumbo_core::crypto::{PublicKey, PublicNonce};
use nelumbo_core::wire::{Content, SessionId};

use super::{Checker, GroundTruth, NodeObservation};

type Slot = (PublicKey, SessionId, u32);

#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Where each nonce was shown, and by which machine.
    places: BTreeMap<[u8; 66], (Slot, usize, u32)>,
    /// The nonces that a machine has shown last in an attempt.
    shown: BTreeMap<(u32, Slot), Vec<PublicNonce>>,
    /// The list of nonces over which each has signed.
    signed: BTreeMap<[u8; 66], [u8; 32]>,
}

impl Checker for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn is_for_copies(&self) -> bool {
        true
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let Some(step) = seen.step else { return Ok(()) };
        let (machine, slot) = (seen.observed.node, (seen.key, step.session, step.attempt));
        let of = format!("attempt {} of {}", step.attempt, step.session);
        if let Some(nonces) = step.content.nonces() {
            for (item, nonce) in nonces.iter().enumerate() {
                let place = (slot, item, machine);
                if *self.places.entry(*nonce.as_bytes()).or_insert(place) != place {
                    return Err(format!("a nonce of another life, or of another place, in {of}"));
                }
            }
            self.shown.insert((machine, slot), nonces.to_vec());
        }
        if let Content::Partial { nonces: list, .. } = &step.content {
            for nonce in self.shown.get(&(machine, slot)).into_iter().flatten() {
                if *self.signed.entry(*nonce.as_bytes()).or_insert(*list) != *list {
                    return Err(format!("one nonce has signed over two lists of nonces in {of}"));
                }
            }
        }
        Ok(())
    }
}
