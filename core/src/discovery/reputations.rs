//! What this node itself has seen of other signers. Nothing that anybody says enters.
//!
//! Everyone begins in the middle; sessions that complete raise a signer, proven faults lower it, and leaving others
//! waiting does a little (`docs/src/discovery.md`). Invariant: every change is handed out, to be remembered over a
//! restart. Driven by `Node`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

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

/// The new reputation of a signer, or that it is not remembered any more.
pub(crate) type ReputationChange = (PublicKey, Option<u8>);

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

    /// One that an earlier run remembered; returns whom there is no room for any more.
    pub(crate) fn resume(&mut self, key: PublicKey, value: u8) -> Vec<ReputationChange> {
        let mut changes = Vec::new();
        self.change(key, |_| value, &mut changes);
        changes.retain(|(_, value)| value.is_none());
        changes
    }

    /// What an event of a session says about its signers; returns what is to be remembered.
    pub(crate) fn learn(&mut self, event: &Event, others: impl Iterator<Item = PublicKey>) -> Vec<ReputationChange> {
        let mut changes = Vec::new();
        let mut lower = |key, by| self.change(key, |was| was.saturating_sub(by), &mut changes);
        match event {
            Event::SessionCompleted { .. } => {
                others.for_each(|key| self.change(key, |was| was + SUCCESS, &mut changes));
            }
            Event::AttemptFailed { failure, .. } => match failure {
                AttemptFailure::InvalidPartial(faults) => {
                    faults.iter().for_each(|fault| lower(fault.signer, FAULT));
                }
                AttemptFailure::InvalidNonce(fault) => lower(fault.signer, FAULT),
                AttemptFailure::Stuck(keys) => keys.iter().for_each(|key| lower(*key, ABSENCE)),
                AttemptFailure::SplitView(_) | AttemptFailure::NoncesCancel | AttemptFailure::Signer(_) => {}
            },
            Event::SignerMisbehaved { signer, .. } => lower(*signer, FAULT),
            _ => {}
        }
        changes
    }

    /// A key has what these had before it: the reputation of the last that has one, unless its own is worse. They begin
    /// anew, so that whoever has stolen one has nothing of it; returns what is to be remembered.
    pub(crate) fn inherit(&mut self, former: &[PublicKey], key: PublicKey) -> Vec<ReputationChange> {
        let mut changes = Vec::new();
        let known = former.iter().rev().find_map(|former| self.by_key.get(former).copied());
        let Some(inherited) = known else { return changes };
        let own = self.by_key.get(&key).copied().unwrap_or(BEST);
        self.change(key, |_| own.min(inherited), &mut changes);
        for former in former.iter().filter(|former| **former != key) {
            if self.by_key.contains_key(former) {
                self.change(*former, |was| was.min(NEUTRAL), &mut changes);
            }
        }
        changes
    }

    fn change(&mut self, key: PublicKey, change: impl Fn(u8) -> u8, changes: &mut Vec<ReputationChange>) {
        if self.by_key.len() >= self.capacity && !self.by_key.contains_key(&key) {
            // Whoever is nearest to the middle is missed least.
            let least = self.by_key.iter().min_by_key(|(_, value)| value.abs_diff(NEUTRAL)).map(|(key, _)| *key);
            if let Some(least) = least {
                self.by_key.remove(&least);
                changes.push((least, None));
            }
        }
        let value = self.by_key.entry(key).or_insert(NEUTRAL);
        let now = change(*value).min(BEST);
        if core::mem::replace(value, now) != now {
            changes.push((key, Some(now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    #[test]
    fn whoever_has_completed_more_than_it_has_spoilt_has_earned() {
        let key = SecretKey::from_bytes(&[1; 32]).expect("a key").public_key();
        let mut reputations = Reputations::new(1);
        let earned = [NEUTRAL - 1, NEUTRAL, NEUTRAL + 1].map(|value| {
            reputations.resume(key, value);
            reputations.has_earned(&key)
        });
        assert_eq!(earned, [false, false, true]);
        assert!(!Reputations::new(1).has_earned(&key), "nor has a stranger");
    }
}
