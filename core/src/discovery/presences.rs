//! The presences that this node believes: for each key the newest signed one, bounded in number.
//!
//! Invariant: an older presence never replaces a newer one, whatever channel it came by. Driven by `Node::route`.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::base::Wall;
use crate::crypto::{PublicKey, sha256};
use crate::gate::Admitted;
use crate::wire::{PeerId, Presence};

/// What became of an admitted presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertOutcome {
    /// The key is new or has moved to another peer or address.
    New,
    /// Newer, but says the same.
    Renewed,
    /// Not newer than the one already known.
    Old,
    /// There is no room for another key.
    Full,
}

#[derive(Debug)]
struct Known {
    presence: Presence,
    /// Whether the peer itself has handed it over. Anyone may claim that somebody else's peer holds a key; such claims
    /// make room for the peer's own.
    is_first_hand: bool,
    /// The hash of the message that says so.
    digest: [u8; 32],
    /// Whether gossip has brought that message, so that it was passed on.
    is_gossip: bool,
}

/// Keys and the peers that hold them.
#[derive(Debug)]
pub(crate) struct Presences {
    by_key: BTreeMap<PublicKey, Known>,
    by_peer: BTreeMap<PeerId, BTreeSet<PublicKey>>,
    capacity: usize,
}

impl Presences {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { by_key: BTreeMap::new(), by_peer: BTreeMap::new(), capacity }
    }

    /// Whether a presence of this key and time would change anything.
    pub(crate) fn is_newer(&self, key: &PublicKey, issued_at: Wall) -> bool {
        self.by_key.get(key).is_none_or(|known| known.presence.issued_at < issued_at)
    }

    /// Takes a presence whose peer may hold as many keys.
    pub(crate) fn insert(
        &mut self,
        presence: Admitted<Presence>,
        is_first_hand: bool,
        keys: usize,
        now: Wall,
    ) -> InsertOutcome {
        let (key, presence, bytes) = presence.into_all();
        if !self.is_newer(&key, presence.issued_at) {
            return InsertOutcome::Old;
        }
        let known = self.by_key.get(&key).map(|known| &known.presence);
        let replaced = known.map(|known| known.peer);
        let is_renewal =
            known.is_some_and(|known| (known.peer, &known.addresses) == (presence.peer, &presence.addresses));
        if replaced.is_none() && self.by_key.len() >= self.capacity {
            self.drop_expired(now);
        }
        if replaced.is_none() && self.by_key.len() >= self.capacity {
            return InsertOutcome::Full;
        }
        if replaced != Some(presence.peer) && self.keys_of(&presence.peer).count() >= keys {
            let hearsay = self.keys_of(&presence.peer).find(|key| !self.by_key[key].is_first_hand).copied();
            let Some(hearsay) = hearsay.filter(|_| is_first_hand) else { return InsertOutcome::Full };
            self.by_key.remove(&hearsay);
            unlink(&mut self.by_peer, presence.peer, &hearsay);
        }
        if let Some(peer) = replaced {
            unlink(&mut self.by_peer, peer, &key);
        }
        self.by_peer.entry(presence.peer).or_default().insert(key);
        let known = Known { presence, is_first_hand, digest: sha256(&[&bytes]), is_gossip: false };
        self.by_key.insert(key, known);
        if is_renewal { InsertOutcome::Renewed } else { InsertOutcome::New }
    }

    /// Whether gossip has brought this message, the newest presence of its author, for the first time. Those who are
    /// connected to a signer know it before; if they did not pass it on, nobody else would hear of it.
    pub(crate) fn is_first_gossip(&mut self, author: &PublicKey, bytes: &[u8], now: Wall) -> bool {
        self.by_key.get_mut(author).is_some_and(|known| {
            known.presence.expires_at > now
                && known.digest == sha256(&[bytes])
                && !core::mem::replace(&mut known.is_gossip, true)
        })
    }

    fn drop_expired(&mut self, now: Wall) {
        let by_peer = &mut self.by_peer;
        self.by_key.retain(|key, known| {
            let keep = known.presence.expires_at > now;
            if !keep {
                unlink(by_peer, known.presence.peer, key);
            }
            keep
        });
    }

    pub(crate) fn get(&self, key: &PublicKey) -> Option<&Presence> {
        self.by_key.get(key).map(|known| &known.presence)
    }

    /// Whether the peer that holds this key has said so itself.
    pub(crate) fn is_first_hand(&self, key: &PublicKey) -> bool {
        self.by_key.get(key).is_some_and(|known| known.is_first_hand)
    }

    pub(crate) fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = &PublicKey> {
        self.by_peer.get(peer).into_iter().flatten()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&PublicKey, &Presence)> {
        self.by_key.iter().map(|(key, known)| (key, &known.presence))
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
