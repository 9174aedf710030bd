//! What this node itself has seen of other signers. Nothing that anybody says enters.
//!
//! Everyone begins in the middle; sessions that complete raise a signer, proven faults lower it, and leaving others
//! waiting does a little (`docs/src/discovery.md`). Driven by `Node`.

use alloc::collections::BTreeMap;

use crate::api::{AttemptFailure, Event};
use crate::crypto::PublicKey;

const NEUTRAL: u8 = 50;
const BEST: u8 = 100;
const SUCCESS: u8 = 2;
const FAULT: u8 = 5;
const ABSENCE: u8 = 1;

/// Reputations from 0 to 100, of a bounded number of signers.
#[derive(Debug)]
pub(crate) struct Reputations {
    by_key: BTreeMap<PublicKey, u8>,
    capacity: usize,
}

impl Reputations {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { by_key: BTreeMap::new(), capacity }
    }

    pub(crate) fn get(&self, key: &PublicKey) -> u8 {
        self.by_key.get(key).copied().unwrap_or(NEUTRAL)
    }

    /// Whether a signer has earned more than it has lost.
    pub(crate) fn has_earned(&self, key: &PublicKey) -> bool {
        self.get(key) > NEUTRAL
    }

    /// What an event of a session says about its signers.
    pub(crate) fn learn(&mut self, event: &Event, others: impl Iterator<Item = PublicKey>) {
        match event {
            Event::SessionCompleted { .. } => others.for_each(|key| self.change(key, |was| was + SUCCESS)),
            Event::AttemptFailed { failure, .. } => match failure {
                AttemptFailure::InvalidPartial(faults) => {
                    faults.iter().for_each(|fault| self.lower(fault.signer, FAULT))
                }
                AttemptFailure::InvalidNonce(fault) => self.lower(fault.signer, FAULT),
                AttemptFailure::Stuck(keys) => keys.iter().for_each(|key| self.lower(*key, ABSENCE)),
                AttemptFailure::SplitView(_) | AttemptFailure::NoncesCancel | AttemptFailure::Signer(_) => {}
            },
            Event::SignerMisbehaved { signer, .. } => self.lower(*signer, FAULT),
            _ => {}
        }
    }

    fn lower(&mut self, key: PublicKey, by: u8) {
        self.change(key, |was| was.saturating_sub(by));
    }

    fn change(&mut self, key: PublicKey, change: impl Fn(u8) -> u8) {
        if self.by_key.len() >= self.capacity && !self.by_key.contains_key(&key) {
            // Whoever is nearest to the middle is missed least.
            let least = self.by_key.iter().min_by_key(|(_, value)| value.abs_diff(NEUTRAL)).map(|(key, _)| *key);
            least.map(|key| self.by_key.remove(&key));
        }
        let value = self.by_key.entry(key).or_insert(NEUTRAL);
        *value = change(*value).min(BEST);
    }
}
