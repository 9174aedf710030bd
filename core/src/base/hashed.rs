//! Tables whose order nobody sees.
//!
//! What strangers name, such as a peer or the digest of a message, is found here by a hash under a secret key from the
//! boot's entropy, so that nobody outside can choose names that collide. Invariant: nothing that a table does shows the
//! order of its entries, which the key decides. It cannot be iterated over, closures see one entry at a time and keep
//! nothing, and what has to go is chosen by a total order. Without entries it takes no memory.
#![expect(clippy::disallowed_types, reason = "seeded, and behind a type that never shows its order")]

use alloc::boxed::Box;
use core::fmt;
use core::hash::{BuildHasher, Hash};

use hashbrown::{HashMap as Table, hash_map::Entry};
use siphasher::sip::SipHasher13;

/// The secret under which keys are hashed: SipHash-1-3, as in the standard library.
#[derive(Clone, Copy)]
pub(crate) struct HashKey(u64, u64);

impl HashKey {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        let ([one, other, ..], _) = bytes.as_chunks() else { unreachable!() };
        Self(u64::from_le_bytes(*one), u64::from_le_bytes(*other))
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// A map of which nobody sees the order.
pub(crate) struct HashedMap<K, V> {
    /// Apart, because most maps of most nodes are empty.
    table: Option<Box<Table<K, V, HashKey>>>,
    key: HashKey,
}

impl<K, V> HashedMap<K, V> {
    pub(crate) const fn new(key: HashKey) -> Self {
        Self { table: None, key }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.len())
    }

    /// Of how many entries this is true.
    pub(crate) fn count(&self, is_one: impl Fn(&K, &V) -> bool) -> usize {
        self.iter().filter(|(key, value)| is_one(key, value)).count()
    }

    // In no order.
    fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.table.iter().flat_map(|table| table.iter())
    }
}

impl<K: Hash + Eq, V> HashedMap<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.table.as_ref()?.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.table.as_mut()?.get_mut(key)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Sets the key's value, and returns the one before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.table().insert(key, value)
    }

    /// The key's value, which is this one if it had none.
    pub(crate) fn or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        match self.table().entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(value()),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.table.as_mut()?.remove(key);
        self.tidy();
        value
    }

    /// Keeps those entries for which this is true. Each is looked at alone.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K, &mut V) -> bool) {
        if let Some(table) = &mut self.table {
            table.retain(keep);
        }
        self.tidy();
    }

    /// The entry with the lowest rank, and of several that with the lowest key. What has no rank is left out.
    pub(crate) fn lowest<R: Ord>(&self, rank: impl Fn(&K, &V) -> Option<R>) -> Option<&K>
    where
        K: Ord,
    {
        self.iter().filter_map(|(key, value)| Some((rank(key, value)?, key))).min().map(|(_, key)| key)
    }

    fn table(&mut self) -> &mut Table<K, V, HashKey> {
        let key = self.key;
        self.table.get_or_insert_with(|| Box::new(Table::with_hasher(key)))
    }

    fn tidy(&mut self) {
        if self.len() == 0 {
            self.table = None;
        }
    }
}

impl<K, V> fmt::Debug for HashedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashedMap({} entries)", self.len())
    }
}

/// A set of which nobody sees the order.
pub(crate) struct HashedSet<K>(HashedMap<K, ()>);

impl<K> HashedSet<K> {
    pub(crate) const fn new(key: HashKey) -> Self {
        Self(HashedMap::new(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: Hash + Eq> HashedSet<K> {
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.contains(key)
    }

    /// True when it was not there.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// True when it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }
}

impl<K> fmt::Debug for HashedSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashedSet({} entries)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use quickcheck::quickcheck;

    use super::*;

    fn key(secret: u8) -> HashKey {
        HashKey::from_bytes([secret; 32])
    }

    quickcheck! {
        /// Whatever the secret, so that no order can have been seen.
        fn a_hashed_map_is_a_map_without_order(secret: u8, steps: Vec<(u8, u8)>) -> bool {
            let (mut map, mut tree) = (HashedMap::new(key(secret)), BTreeMap::new());
            (0..50).map(|key| (0, key)).chain(steps).chain((0..50).map(|key| (1, key))).all(|(step, key)| {
                let key = key % 50;
                let is_same = match step % 8 {
                    0 => map.insert(key, step) == tree.insert(key, step),
                    1 => map.remove(&key) == tree.remove(&key),
                    2 => *map.or_insert_with(key, || step) == *tree.entry(key).or_insert(step),
                    3 => {
                        map.retain(|other, _| other % 7 != key % 7);
                        tree.retain(|other, _| other % 7 != key % 7);
                        true
                    }
                    4 => map.count(|_, value| *value > step) == tree.values().filter(|value| **value > step).count(),
                    5 => {
                        // Many have the same rank, and some have none.
                        let lowest = map.lowest(|other, value| (other % 3 > 0).then_some(*value % 2)).copied();
                        let ranked = tree.iter().filter(|(other, _)| *other % 3 > 0);
                        lowest == ranked.map(|(other, value)| (value % 2, *other)).min().map(|(_, other)| other)
                    }
                    _ => map.get_mut(&key).map(|value| *value ^= 1) == tree.get_mut(&key).map(|value| *value ^= 1),
                };
                is_same
                    && map.len() == tree.len()
                    && map.get(&key) == tree.get(&key)
                    && map.contains(&key) == tree.contains_key(&key)
                    && map.table.is_some() == (map.len() > 0)
            }) && map.len() == 0
        }
    }

    #[test]
    fn a_set_says_what_is_new_and_every_secret_hashes_otherwise() {
        let mut set = HashedSet::new(key(1));
        assert!(set.insert(7) && !set.insert(7) && set.contains(&7) && set.len() == 1);
        assert!(set.remove(&7) && !set.remove(&7) && !set.contains(&7));
        let mut bytes = [0; 32];
        let hashes = [0, 8].map(|place| {
            bytes[place] = 1;
            HashKey::from_bytes(bytes).hash_one(7)
        });
        assert!(hashes[0] != hashes[1] && hashes.iter().all(|hash| *hash != key(0).hash_one(7)));
    }
}
