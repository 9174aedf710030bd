//! Which keys have an identity that money was burned for.
//!
//! Owns what the host has said of keys, which has looked at a chain: here nothing is verified. Invariants: an identity
//! is one key's; every change is handed out, to be remembered over a restart. Driven by `Node`.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::Discovery;
use super::reputations::ReputationChange;
use crate::api::{Identity, IdentityId, Tier};
use crate::crypto::PublicKey;
use crate::wire::{AbortReason, PeerId};

/// What a key has.
pub(crate) type Known = (IdentityId, Tier);

/// A key's identity now, or none any more, and which it had before.
#[derive(Debug)]
pub(crate) struct IdentityChange {
    pub(crate) key: PublicKey,
    pub(crate) before: Option<Known>,
    pub(crate) now: Option<Known>,
}

/// Identities of a bounded number of keys. A node that knows of none has no table.
#[derive(Debug, Default)]
pub(super) struct Identities(Option<Box<Table>>);

#[derive(Debug, Default)]
struct Table {
    by_key: BTreeMap<PublicKey, Known>,
}

impl Identities {
    fn get(&self, key: &PublicKey) -> Option<&Known> {
        self.0.as_ref()?.by_key.get(key)
    }

    fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Known)> {
        self.0.iter().flat_map(|table| table.by_key.iter())
    }

    /// Says what a key has from now on. What there is no room for is not taken.
    fn set(&mut self, key: PublicKey, now: Option<Known>, capacity: usize) -> Option<IdentityChange> {
        let before = self.get(&key).copied();
        let is_full = before.is_none() && self.0.as_ref().map_or(0, |table| table.by_key.len()) >= capacity;
        if before == now || is_full {
            return None;
        }
        let table = self.0.get_or_insert_default();
        match now {
            Some(known) => table.by_key.insert(key, known),
            None => table.by_key.remove(&key),
        };
        if table.by_key.is_empty() {
            self.0 = None;
        }
        Some(IdentityChange { key, before, now })
    }

    pub(super) fn fingerprint(&self, text: &mut impl Write) -> fmt::Result {
        self.iter().try_for_each(|(key, (id, tier))| write!(text, " identity {key} {id} {tier:?}"))
    }
}

impl Discovery {
    /// D27: the host has verified which identity a key has, or that it has none any more. Returns what is to be
    /// remembered.
    pub(crate) fn on_identity(
        &mut self,
        key: PublicKey,
        identity: Option<Identity>,
        capacity: usize,
    ) -> (Vec<IdentityChange>, Vec<ReputationChange>) {
        let now = identity.as_ref().map(|identity| (identity.id, identity.tier));
        let Some(change) = self.identities.set(key, now, capacity) else { return Default::default() };
        let mut changes = Vec::from([change]);
        let Some(Identity { id, former, .. }) = identity else { return (changes, Vec::new()) };
        let others = self.identities.iter().filter(|(other, (known, _))| *known == id && **other != key);
        let others: Vec<PublicKey> = others.map(|(other, _)| *other).collect();
        changes.splice(0..0, others.into_iter().filter_map(|other| self.identities.set(other, None, capacity)));
        (changes, self.reputations.inherit(&former, key))
    }

    /// What an earlier run has left.
    pub(crate) fn resume_identity(&mut self, key: PublicKey, known: Known, capacity: usize) {
        self.identities.set(key, Some(known), capacity);
    }

    /// The identity that a key has.
    pub(crate) fn identity(&self, key: &PublicKey) -> Option<Known> {
        self.identities.get(key).copied()
    }

    /// All that are known, by key.
    pub(crate) fn identities(&self) -> impl Iterator<Item = (&PublicKey, &Known)> {
        self.identities.iter()
    }

    pub(crate) fn tier(&self, key: &PublicKey) -> Option<Tier> {
        self.identities.get(key).map(|(_, tier)| *tier)
    }

    /// The best tier of the keys that say of themselves that this peer holds them.
    pub(crate) fn peer_tier(&self, peer: &PeerId) -> Option<Tier> {
        self.identities.0.as_ref()?;
        self.peers.presences.keys_of(peer).filter_map(|key| self.tier(key)).max()
    }

    /// Why this node's offer does not hold for a creator.
    pub(crate) fn declines(&self, creator: &PublicKey) -> Option<AbortReason> {
        let offer = self.offer()?;
        if offer.requires_verification && self.tier(creator).is_none() {
            return Some(AbortReason::Unverified);
        }
        let is_below = offer.min_reputation.is_some_and(|wanted| self.reputation(creator) < wanted);
        is_below.then_some(AbortReason::Reputation)
    }
}
