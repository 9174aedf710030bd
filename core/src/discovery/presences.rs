//! The presences that this node believes: for each key the newest signed one, bounded in number.
//!
//! Invariant: an older presence never replaces a newer one, whatever channel it came by. Driven by `Node::route`.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::base::Wall;
use crate::crypto::PublicKey;
use crate::gate::Admitted;
use crate::wire::{PeerId, Presence};

/// What became of an admitted presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The key is new or has moved to another peer or address.
    New,
    /// Newer, but says the same.
    Renewed,
    /// Not newer than the one already known.
    Old,
    /// There is no room for another key.
    Full,
}

/// Keys and the peers that hold them.
#[derive(Debug)]
pub(crate) struct Presences {
    by_key: BTreeMap<PublicKey, Presence>,
    by_peer: BTreeMap<PeerId, BTreeSet<PublicKey>>,
    capacity: usize,
    keys_per_peer: usize,
}

impl Presences {
    pub(crate) const fn new(capacity: usize, keys_per_peer: usize) -> Self {
        Self { by_key: BTreeMap::new(), by_peer: BTreeMap::new(), capacity, keys_per_peer }
    }

    pub(crate) fn insert(&mut self, presence: Admitted<Presence>, now: Wall) -> Seen {
        let (key, presence) = presence.into_parts();
        let (seen, replaced) = match self.by_key.get(&key) {
            Some(known) if known.issued_at >= presence.issued_at => return Seen::Old,
            Some(known) if known.peer == presence.peer && known.addresses == presence.addresses => {
                (Seen::Renewed, Some(known.peer))
            }
            Some(known) => (Seen::New, Some(known.peer)),
            None => (Seen::New, None),
        };
        if replaced.is_none() && self.by_key.len() == self.capacity {
            self.drop_expired(now);
        }
        let is_full = replaced.is_none() && self.by_key.len() == self.capacity;
        if is_full || (replaced != Some(presence.peer) && self.keys_of(&presence.peer).count() >= self.keys_per_peer) {
            return Seen::Full;
        }
        if let Some(peer) = replaced {
            unlink(&mut self.by_peer, peer, &key);
        }
        self.by_peer.entry(presence.peer).or_default().insert(key);
        self.by_key.insert(key, presence);
        seen
    }

    fn drop_expired(&mut self, now: Wall) {
        let by_peer = &mut self.by_peer;
        self.by_key.retain(|key, presence| {
            let keep = presence.expires_at > now;
            if !keep {
                unlink(by_peer, presence.peer, key);
            }
            keep
        });
    }

    pub(crate) fn get(&self, key: &PublicKey) -> Option<&Presence> {
        self.by_key.get(key)
    }

    pub(crate) fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = &PublicKey> {
        self.by_peer.get(peer).into_iter().flatten()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&PublicKey, &Presence)> {
        self.by_key.iter()
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
