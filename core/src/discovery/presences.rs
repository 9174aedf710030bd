//! The presences that this node believes: for each key the newest signed one, bounded in number.
//!
//! Invariant: an older presence never replaces a newer one, whatever channel it came by. Driven by `peers`.

use alloc::collections::{BTreeMap, BTreeSet};

use super::InsertOutcome;
use crate::base::Wall;
use crate::crypto::PublicKey;
use crate::gate::Admitted;
use crate::wire::{PeerId, Presence};

#[derive(Debug)]
pub(super) struct Known {
    pub(super) presence: Admitted<Presence>,
    /// Whether the peer itself has handed it over. Anyone may claim that somebody else's peer holds a key; such claims
    /// make room for the peer's own.
    pub(super) is_first_hand: bool,
    /// Whether gossip has brought that message, so that it was passed on.
    pub(super) is_gossip: bool,
}

/// Keys and the peers that hold them.
#[derive(Debug)]
pub(crate) struct Presences {
    pub(super) by_key: BTreeMap<PublicKey, Known>,
    by_peer: BTreeMap<PeerId, BTreeSet<PublicKey>>,
    capacity: usize,
}

impl Presences {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { by_key: BTreeMap::new(), by_peer: BTreeMap::new(), capacity }
    }

    /// Whether a presence of this key and time would change anything.
    fn is_newer(&self, key: &PublicKey, issued_at: Wall) -> bool {
        self.by_key.get(key).is_none_or(|known| known.presence.value().issued_at < issued_at)
    }

    /// Takes a presence whose peer may hold as many keys.
    pub(crate) fn insert(
        &mut self,
        presence: Admitted<Presence>,
        is_first_hand: bool,
        keys: usize,
        now: Wall,
    ) -> InsertOutcome {
        let (key, said) = (*presence.author(), presence.value());
        if !self.is_newer(&key, said.issued_at) {
            return InsertOutcome::Old;
        }
        let known = self.get(&key);
        let peer = said.peer;
        let replaced = known.map(|known| known.peer);
        let is_renewal = known.is_some_and(|known| (known.peer, &known.addresses) == (peer, &said.addresses));
        if replaced.is_none() && self.by_key.len() >= self.capacity {
            self.drop_expired(now);
        }
        if replaced.is_none() && self.by_key.len() >= self.capacity {
            return InsertOutcome::Full;
        }
        if replaced != Some(peer) && self.keys_of(&peer).count() >= keys {
            let hearsay = self.keys_of(&peer).find(|key| !self.by_key[key].is_first_hand).copied();
            let Some(hearsay) = hearsay.filter(|_| is_first_hand) else { return InsertOutcome::Full };
            self.by_key.remove(&hearsay);
            unlink(&mut self.by_peer, peer, &hearsay);
        }
        if let Some(before) = replaced {
            unlink(&mut self.by_peer, before, &key);
        }
        self.by_peer.entry(peer).or_default().insert(key);
        let known = Known { presence, is_first_hand, is_gossip: false };
        self.by_key.insert(key, known);
        if is_renewal { InsertOutcome::Renewed } else { InsertOutcome::New }
    }

    /// Whether gossip has brought this message, the newest presence of its author, for the first time. Those who are
    /// connected to a signer know it before; if they did not pass it on, nobody else would hear of it.
    pub(crate) fn is_first_gossip(&mut self, author: &PublicKey, bytes: &[u8], now: Wall) -> bool {
        self.by_key.get_mut(author).is_some_and(|known| {
            known.presence.value().expires_at > now
                && **known.presence.bytes() == *bytes
                && !core::mem::replace(&mut known.is_gossip, true)
        })
    }

    fn drop_expired(&mut self, now: Wall) {
        let by_peer = &mut self.by_peer;
        self.by_key.retain(|key, known| {
            let keep = known.presence.value().expires_at > now;
            if !keep {
                unlink(by_peer, known.presence.value().peer, key);
            }
            keep
        });
    }

    pub(crate) fn get(&self, key: &PublicKey) -> Option<&Presence> {
        self.by_key.get(key).map(|known| known.presence.value())
    }

    pub(crate) fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = &PublicKey> {
        self.by_peer.get(peer).into_iter().flatten()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&PublicKey, &Presence)> {
        self.by_key.iter().map(|(key, known)| (key, known.presence.value()))
    }
}

fn unlink(by_peer: &mut BTreeMap<PeerId, BTreeSet<PublicKey>>, peer: PeerId, key: &PublicKey) {
    if let Some(keys) = by_peer.get_mut(&peer) {
        keys.remove(key);
        if keys.is_empty() {
            by_peer.remove(&peer);
        }
    }
}
