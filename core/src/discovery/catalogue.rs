//! What authors announce: for each name the newest, bounded in number.
//!
//! Invariants: an older announcement never replaces a newer one, whatever channel it came by; at its cap the catalogue
//! is a fair sample of all authors it ever heard of, so that nobody crowds others out by shouting more often or first.
//! Driven by `Node`.

use alloc::collections::{BTreeMap, BTreeSet};

use super::InsertOutcome;
use crate::base::Wall;
use crate::gate::Admitted;
use crate::wire::{Advertisement, Resource, rank};

/// What has a time from which it counts and one from which it is void.
pub(crate) trait Dated {
    fn issued_at(&self) -> Wall;
    fn expires_at(&self) -> Wall;
    /// Whether it says the same, only later.
    fn renews(&self, older: &Self) -> bool;
}

impl Dated for Advertisement {
    fn issued_at(&self) -> Wall {
        self.issued_at
    }

    fn expires_at(&self) -> Wall {
        self.expires_at
    }

    fn renews(&self, older: &Self) -> bool {
        (self.peer, &self.addresses, &self.offer) == (older.peer, &older.addresses, &older.offer)
    }
}

impl Dated for Resource {
    fn issued_at(&self) -> Wall {
        self.issued_at
    }

    fn expires_at(&self) -> Wall {
        self.expires_at
    }

    fn renews(&self, older: &Self) -> bool {
        self.data == older.data
    }
}

/// The newest announcement of each name, with names `K` that begin with the author.
#[derive(Debug)]
pub(crate) struct Catalogue<K, T> {
    by_name: BTreeMap<K, Admitted<T>>,
    ranked: BTreeSet<(u64, K)>,
    capacity: usize,
}

impl<K: Ord + Clone, T: Dated> Catalogue<K, T> {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { by_name: BTreeMap::new(), ranked: BTreeSet::new(), capacity }
    }

    /// When the newest announcement of this name was signed.
    pub(crate) fn issued_at(&self, name: &K) -> Option<Wall> {
        self.by_name.get(name).map(|known| known.value().issued_at())
    }

    /// Takes an announcement, if it is newer than what is here and there is room for it. What is dated later than
    /// `latest` is nobody's newest. Authors are ranked with this secret, always the same.
    pub(crate) fn insert(
        &mut self,
        name: K,
        item: Admitted<T>,
        salt: &[u8; 32],
        (now, latest): (Wall, Wall),
    ) -> InsertOutcome {
        match self.by_name.get_mut(&name) {
            Some(known) if (item.value().issued_at()..=latest).contains(&known.value().issued_at()) => {
                InsertOutcome::Old
            }
            Some(known) => {
                let seen = if item.value().renews(known.value()) { InsertOutcome::Renewed } else { InsertOutcome::New };
                *known = item;
                seen
            }
            None => {
                let place = (rank(salt, item.author()), name.clone());
                if self.by_name.len() >= self.capacity {
                    self.drop_expired(now);
                }
                if self.by_name.len() >= self.capacity {
                    let Some(last) = self.ranked.last().filter(|last| **last > place).cloned() else {
                        return InsertOutcome::Full;
                    };
                    self.by_name.remove(&last.1);
                    self.ranked.remove(&last);
                }
                self.ranked.insert(place);
                self.by_name.insert(name, item);
                InsertOutcome::New
            }
        }
    }

    /// Forgets what is void.
    pub(crate) fn drop_expired(&mut self, now: Wall) {
        self.by_name.retain(|_, item| item.value().expires_at() > now);
        let by_name = &self.by_name;
        self.ranked.retain(|(_, name)| by_name.contains_key(name));
    }

    /// What is announced under this name, and not void.
    pub(crate) fn get(&self, name: &K, now: Wall) -> Option<&T> {
        self.by_name.get(name).map(Admitted::value).filter(|item| item.expires_at() > now)
    }

    /// Everything that is not void, by name.
    pub(crate) fn iter(&self, now: Wall) -> impl Iterator<Item = (&K, &T)> {
        self.by_name.iter().map(|(name, item)| (name, item.value())).filter(move |(_, item)| item.expires_at() > now)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::crypto::{PublicKey, SecretKey};
    use crate::wire::{Address, Offer, PeerId};

    fn key(number: u32) -> PublicKey {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&bytes).expect("a key").public_key()
    }

    fn resource(author: PublicKey, issued_at: u64, data: &[u8]) -> Admitted<Resource> {
        Admitted::for_tests(
            author,
            Resource {
                kind: "thing".parse().expect("a label"),
                name: "one".parse().expect("a label"),
                data: crate::wire::Data::new(data.to_vec()),
                issued_at: Wall::from_millis(issued_at),
                expires_at: Wall::from_millis(issued_at + 100),
            },
        )
    }

    #[test]
    fn the_newest_holds_whatever_the_order() {
        let mut catalogue = Catalogue::new(4);
        let (key, now, latest) = (key(1), Wall::from_millis(0), Wall::from_millis(9));
        assert_eq!(catalogue.insert(key, resource(key, 5, b"a"), &[1; 32], (now, latest)), InsertOutcome::New);
        assert_eq!(catalogue.insert(key, resource(key, 5, b"b"), &[1; 32], (now, latest)), InsertOutcome::Old);
        assert_eq!(catalogue.insert(key, resource(key, 4, b"b"), &[1; 32], (now, latest)), InsertOutcome::Old);
        assert_eq!(catalogue.insert(key, resource(key, 6, b"a"), &[1; 32], (now, latest)), InsertOutcome::Renewed);
        assert_eq!(catalogue.insert(key, resource(key, 7, b"b"), &[1; 32], (now, latest)), InsertOutcome::New);
        let before = (now, Wall::from_millis(6));
        assert_eq!(
            catalogue.insert(key, resource(key, 5, b"a"), &[1; 32], before),
            InsertOutcome::New,
            "7 was no date"
        );
        assert_eq!(catalogue.insert(key, resource(key, 7, b"b"), &[1; 32], (now, latest)), InsertOutcome::New);
        assert!(catalogue.get(&key, Wall::from_millis(106)).is_some());
        assert!(catalogue.get(&key, Wall::from_millis(107)).is_none(), "it is void");
    }

    #[test]
    fn what_is_void_makes_room_and_counts_no_more() {
        let ([now, end], latest) = ([0, 101].map(Wall::from_millis), Wall::from_millis(200));
        let mut catalogue = Catalogue::new(2);
        let mut take = |key: PublicKey, issued_at, now| {
            catalogue.insert(key, resource(key, issued_at, b"x"), &[1; 32], (now, latest))
        };
        (0..2).for_each(|number| assert_eq!(take(key(number), 1, now), InsertOutcome::New));
        let late = (2..).map(key).find(|key| take(*key, 1, now) == InsertOutcome::Full).expect("there is one in three");
        assert_eq!(take(late, 50, end), InsertOutcome::New, "both others are void, to the millisecond");
        assert_eq!(catalogue.iter(end).map(|(key, _)| *key).collect::<Vec<_>>(), [late]);
        assert_eq!(
            (catalogue.iter(Wall::from_millis(149)).count(), catalogue.iter(Wall::from_millis(150)).count()),
            (1, 0)
        );
        assert_eq!(catalogue.ranked.len(), 1);
    }

    #[test]
    fn an_offer_is_renewed_only_by_the_same_offer_of_the_same_peer_at_the_same_addresses() {
        let advertisement = |issued_at, peer: &[u8], address: u8, offer| Advertisement {
            peer: PeerId::from_bytes(peer).expect("short"),
            addresses: Address::from_bytes(vec![address]).into_iter().collect(),
            offer,
            issued_at: Wall::from_millis(issued_at),
            expires_at: Wall::from_millis(1_000),
        };
        let before = advertisement(1, b"a", 1, None);
        assert!(advertisement(2, b"a", 1, None).renews(&before));
        for other in [
            advertisement(2, b"b", 1, None),
            advertisement(2, b"a", 2, None),
            advertisement(2, b"a", 1, Some(Offer::default())),
        ] {
            assert!(!other.renews(&before), "{other:?}");
        }
    }

    /// Whoever comes first, the sample is the same; and a crowd gets the share of its number, not of its noise.
    #[test]
    fn a_full_catalogue_is_a_fair_sample() {
        let (now, latest) = (Wall::from_millis(0), Wall::from_millis(9));
        let (honest, crowd): (Vec<_>, Vec<_>) = ((0..100).map(key).collect(), (100..1_000).map(key).collect());
        let fill = |order: &mut dyn Iterator<Item = &PublicKey>| {
            let mut catalogue = Catalogue::new(50);
            for key in order {
                catalogue.insert(*key, resource(*key, 1, b"x"), &[1; 32], (now, latest));
            }
            catalogue.iter(now).map(|(key, _)| *key).collect::<BTreeSet<_>>()
        };
        let first = fill(&mut honest.iter().chain(&crowd));
        let last = fill(&mut crowd.iter().chain(&honest).chain(&crowd));
        assert_eq!(first, last);
        let share = first.iter().filter(|key| honest.contains(key)).count();
        assert!((1..=12).contains(&share), "{share} of 50, where 5 are fair");
    }
}
