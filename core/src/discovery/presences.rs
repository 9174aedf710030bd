//! The presences that this node believes: for each key the newest signed one, bounded in number.
//!
//! Invariants: an older presence never replaces a newer one, whatever channel it came by. What connected peers say of
//! themselves and what sessions want has room of its own, which nobody else can take. What others tell shares the rest:
//! whoever has brought the most gives way first, and of what one neighbour has brought a fair sample stays, so that
//! nobody crowds others out by shouting more often or first. Driven by `peers`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::InsertOutcome;
use crate::base::Wall;
use crate::crypto::PublicKey;
use crate::gate::Admitted;
use crate::wire::{PeerId, Presence, rank};

/// How a presence has come, and who waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The neighbour that brought it; none when it was found in the DHT.
    pub(crate) carrier: Option<PeerId>,
    /// Whether the peer itself has handed it over, and is connected. Anyone may claim that somebody else's peer holds a
    /// key; such claims make room for the peer's own.
    pub(crate) is_first_hand: bool,
    /// Whether a session waits for the key.
    pub(crate) is_wanted: bool,
    /// How many keys its peer may hold.
    pub(crate) keys: usize,
}

/// Whose room a presence takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// That of its own peer, which is connected: as many as the peer may hold.
    Connected,
    /// That of the keys that sessions want.
    Wanted,
    /// That of what this neighbour has brought; none for the DHT and for neighbours that are gone.
    Shared(Option<PeerId>),
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) presence: Admitted<Presence>,
    pub(super) is_first_hand: bool,
    /// Whether gossip has brought the message, so that it was passed on.
    pub(super) is_gossip: bool,
    pub(super) room: Room,
}

/// Keys and the peers that hold them.
#[derive(Debug)]
pub(crate) struct Presences {
    pub(super) by_key: BTreeMap<PublicKey, Known>,
    by_peer: BTreeMap<PeerId, BTreeSet<PublicKey>>,
    by_expiry: BTreeSet<(Wall, PublicKey)>,
    /// What each neighbour has brought, by rank.
    shared: BTreeMap<Option<PeerId>, BTreeSet<(u64, PublicKey)>>,
    in_shared: usize,
    in_wanted: usize,
    capacity: usize,
    salt: [u8; 32],
}

impl Presences {
    /// Room for this many keys that sessions want and for as many that are only told of, beside those of connected
    /// peers.
    pub(crate) const fn new(capacity: usize, salt: [u8; 32]) -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            shared: BTreeMap::new(),
            in_shared: 0,
            in_wanted: 0,
            capacity,
            salt,
        }
    }

    /// Takes a presence, if it is newer than what is here and there is room for it. What is dated later than `latest`
    /// is nobody's newest.
    pub(crate) fn insert(
        &mut self,
        presence: Admitted<Presence>,
        arrival: Arrival,
        (now, latest): (Wall, Wall),
    ) -> InsertOutcome {
        let (key, peer) = (*presence.author(), presence.value().peer);
        let is_old = |known: &Presence| (presence.value().issued_at..=latest).contains(&known.issued_at);
        if self.get(&key).is_some_and(is_old) {
            return InsertOutcome::Old;
        }
        let is_there = self.get(&key).is_some_and(|known| known.peer == peer);
        if !is_there && !arrival.is_wanted && self.keys_of(&peer).len() >= arrival.keys {
            let is_claim = |key: &&PublicKey| {
                self.by_key.get(key).is_some_and(|known| !known.is_first_hand && known.room != Room::Wanted)
            };
            let claim = self.keys_of(&peer).find(is_claim).filter(|_| arrival.is_first_hand);
            let Some(claim) = claim.copied() else { return InsertOutcome::Full };
            self.remove(&claim);
        }
        let before = self.remove(&key);
        let there = before.as_ref().filter(|_| is_there);
        let is_renewal = there.is_some_and(|known| known.presence.value().addresses == presence.value().addresses);
        let room = match (there.map(|known| known.room), before.as_ref().map(|known| known.room)) {
            (Some(Room::Connected), _) => Room::Connected,
            _ if arrival.is_first_hand && self.connected_keys(&peer) < arrival.keys => Room::Connected,
            _ if arrival.is_wanted && self.in_wanted < self.capacity => Room::Wanted,
            // Bringing what is known already takes nobody's room.
            (_, Some(shared @ Room::Shared(_))) => shared,
            _ => Room::Shared(arrival.carrier),
        };
        let is_first_hand = arrival.is_first_hand || there.is_some_and(|known| known.is_first_hand);
        self.put(key, Known { presence, is_first_hand, is_gossip: false, room });
        self.trim(now);
        match self.by_key.contains_key(&key) {
            false => InsertOutcome::Full,
            true if is_renewal => InsertOutcome::Renewed,
            true => InsertOutcome::New,
        }
    }

    /// A connected peer itself shows a presence that may be known from others already. It may hold as many keys.
    pub(crate) fn confirm(&mut self, key: &PublicKey, bytes: &[u8], keys: usize) {
        let Some(known) = self.by_key.get_mut(key).filter(|known| **known.presence.bytes() == *bytes) else { return };
        known.is_first_hand = true;
        let peer = known.presence.value().peer;
        if known.room != Room::Connected && self.connected_keys(&peer) < keys {
            self.transfer(key, Room::Connected);
        }
    }

    /// A peer that may hold as many keys is connected: what it has said of itself cannot be crowded out.
    pub(crate) fn on_connected(&mut self, peer: &PeerId, keys: usize) {
        let is_own = |key: &&PublicKey| self.by_key.get(key).is_some_and(|known| known.is_first_hand);
        let own: Vec<PublicKey> = self.keys_of(peer).filter(is_own).take(keys).copied().collect();
        own.iter().for_each(|key| self.transfer(key, Room::Connected));
    }

    /// A peer is gone: its keys are kept as those of others are, and so is what it has brought.
    pub(crate) fn on_disconnected(&mut self, peer: &PeerId, is_wanted: impl Fn(&PublicKey) -> bool, now: Wall) {
        let is_own = |key: &&PublicKey| self.by_key.get(key).is_some_and(|known| known.room == Room::Connected);
        let own: Vec<PublicKey> = self.keys_of(peer).filter(is_own).copied().collect();
        for key in own {
            let room = if is_wanted(&key) { self.wanted() } else { Room::Shared(None) };
            self.transfer(&key, room);
        }
        let brought = self.shared.get(&Some(*peer)).cloned().unwrap_or_default();
        brought.iter().for_each(|(_, key)| self.transfer(key, Room::Shared(None)));
        self.trim(now);
    }

    /// Whether a connected peer has shown this key itself.
    pub(crate) fn is_connected(&self, key: &PublicKey) -> bool {
        self.by_key.get(key).is_some_and(|known| known.room == Room::Connected)
    }

    /// A session waits for this key now.
    pub(crate) fn want(&mut self, key: &PublicKey) {
        if self.by_key.get(key).is_some_and(|known| matches!(known.room, Room::Shared(_))) {
            let room = self.wanted();
            self.transfer(key, room);
        }
    }

    /// No session waits for this key any more.
    pub(crate) fn release(&mut self, key: &PublicKey, now: Wall) {
        if self.by_key.get(key).is_some_and(|known| known.room == Room::Wanted) {
            self.transfer(key, Room::Shared(None));
            self.trim(now);
        }
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

    pub(crate) fn get(&self, key: &PublicKey) -> Option<&Presence> {
        self.by_key.get(key).map(|known| known.presence.value())
    }

    pub(crate) fn keys_of(&self, peer: &PeerId) -> impl ExactSizeIterator<Item = &PublicKey> {
        self.by_peer.get(peer).map(BTreeSet::iter).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&PublicKey, &Presence)> {
        self.by_key.iter().map(|(key, known)| (key, known.presence.value()))
    }

    /// Where a wanted key goes.
    fn wanted(&self) -> Room {
        if self.in_wanted < self.capacity { Room::Wanted } else { Room::Shared(None) }
    }

    fn connected_keys(&self, peer: &PeerId) -> usize {
        let is_own = |key: &&PublicKey| self.by_key.get(key).is_some_and(|known| known.room == Room::Connected);
        self.keys_of(peer).filter(is_own).count()
    }

    /// As long as the shared room is too full: what has expired goes first, then of whoever has brought the most what
    /// ranks last.
    fn trim(&mut self, now: Wall) {
        while self.in_shared > self.capacity {
            let expired = self.by_expiry.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key);
            let most = self.shared.values().max_by_key(|brought| brought.len());
            let Some(key) = expired.or_else(|| Some(most?.last()?.1)) else { return };
            self.remove(&key);
        }
    }

    fn put(&mut self, key: PublicKey, known: Known) {
        let presence = known.presence.value();
        self.by_peer.entry(presence.peer).or_default().insert(key);
        self.by_expiry.insert((presence.expires_at, key));
        self.enter(&key, known.room);
        self.by_key.insert(key, known);
    }

    fn remove(&mut self, key: &PublicKey) -> Option<Known> {
        let known = self.by_key.remove(key)?;
        let presence = known.presence.value();
        self.by_expiry.remove(&(presence.expires_at, *key));
        if let Some(keys) = self.by_peer.get_mut(&presence.peer) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_peer.remove(&presence.peer);
            }
        }
        self.leave(key, known.room);
        Some(known)
    }

    fn transfer(&mut self, key: &PublicKey, room: Room) {
        let Some(known) = self.by_key.get_mut(key) else { return };
        let before = core::mem::replace(&mut known.room, room);
        self.leave(key, before);
        self.enter(key, room);
    }

    fn enter(&mut self, key: &PublicKey, room: Room) {
        match room {
            Room::Connected => {}
            Room::Wanted => self.in_wanted += 1,
            Room::Shared(carrier) => {
                self.in_shared += 1;
                self.shared.entry(carrier).or_default().insert((rank(&self.salt, key), *key));
            }
        }
    }

    fn leave(&mut self, key: &PublicKey, room: Room) {
        match room {
            Room::Connected => {}
            Room::Wanted => self.in_wanted -= 1,
            Room::Shared(carrier) => {
                self.in_shared -= 1;
                if let Some(brought) = self.shared.get_mut(&carrier) {
                    brought.remove(&(rank(&self.salt, key), *key));
                    if brought.is_empty() {
                        self.shared.remove(&carrier);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    fn key(number: u8) -> PublicKey {
        SecretKey::from_bytes(&[number; 32]).expect("a key").public_key()
    }

    /// Takes a presence of a key, dated so, that its peer, of the same number modulo ten, or somebody else brings.
    fn take(presences: &mut Presences, number: u8, issued_at: u64, (is_first_hand, is_wanted): (bool, bool)) {
        let peer = PeerId::from_bytes(&[number % 10]).expect("short");
        let [issued_at, expires_at] = [issued_at, 1_000].map(Wall::from_millis);
        let presence =
            Admitted::for_tests(key(number), Presence { peer, addresses: Vec::new(), issued_at, expires_at });
        let arrival = Arrival { carrier: None, is_first_hand, is_wanted, keys: 1 };
        presences.insert(presence, arrival, (Wall::from_millis(0), Wall::from_millis(100)));
    }

    fn room(presences: &Presences, number: u8) -> Option<Room> {
        presences.by_key.get(&key(number)).map(|known| known.room)
    }

    #[test]
    fn what_a_connected_peer_has_shown_stays_when_others_bring_it_again() {
        let mut presences = Presences::new(1, [1; 32]);
        take(&mut presences, 1, 1, (true, false));
        take(&mut presences, 1, 2, (false, false));
        assert_eq!(room(&presences, 1), Some(Room::Connected));
        take(&mut presences, 11, 1, (true, true));
        assert_eq!(room(&presences, 11), Some(Room::Wanted), "its peer holds one key already");
    }

    #[test]
    fn so_many_wanted_keys_have_a_room_of_their_own() {
        let mut presences = Presences::new(2, [1; 32]);
        (1..=3).for_each(|number| take(&mut presences, number, 1, (false, true)));
        let shared = Some(Room::Shared(None));
        assert_eq!([1, 2, 3].map(|number| room(&presences, number)), [Some(Room::Wanted), Some(Room::Wanted), shared]);
        let mut presences = Presences::new(2, [1; 32]);
        for number in 1..=3 {
            take(&mut presences, number, 1, (false, false));
            presences.want(&key(number));
        }
        assert_eq!([1, 2, 3].map(|number| room(&presences, number)), [Some(Room::Wanted), Some(Room::Wanted), shared]);
    }

    #[test]
    fn what_is_wanted_no_more_makes_room() {
        let mut presences = Presences::new(2, [1; 32]);
        (1..=2).for_each(|number| take(&mut presences, number, 1, (false, true)));
        presences.release(&key(1), Wall::from_millis(0));
        take(&mut presences, 3, 1, (false, true));
        let wanted = Some(Room::Wanted);
        assert_eq!([1, 2, 3].map(|number| room(&presences, number)), [Some(Room::Shared(None)), wanted, wanted]);
    }

    #[test]
    fn a_connected_peer_confirms_as_many_keys_as_it_may_hold() {
        let mut presences = Presences::new(2, [1; 32]);
        take(&mut presences, 1, 1, (false, false));
        let bytes = presences.by_key.get(&key(1)).map(|known| known.presence.bytes().to_vec()).expect("it is known");
        let rooms = [0, 1].map(|keys| {
            presences.confirm(&key(1), &bytes, keys);
            room(&presences, 1)
        });
        assert_eq!(rooms, [Some(Room::Shared(None)), Some(Room::Connected)]);
    }
}
