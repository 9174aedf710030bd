//! Ordered maps that most of the time have few entries, if any.
//!
//! A node has dozens of maps, and an idle one has an entry or two in some of them; a B-tree sets aside room for eleven,
//! and keeps it when the last one is gone. Invariant: a [`Map`] holds and shows the same, in the same order, as a
//! B-tree would, however many entries it has; without any it takes no memory.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::mem::{replace, take};

/// Up to how many entries are looked for in a sorted vector.
const FEW: usize = 16;

/// An ordered map.
pub(crate) enum Map<K, V> {
    /// Sorted by key.
    Few(Vec<(K, V)>),
    /// There have been more than `FEW`, and there still are some.
    Many(BTreeMap<K, V>),
}

impl<K, V> Map<K, V> {
    pub(crate) const fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(entries) => entries.len(),
            Self::Many(entries) => entries.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(entries) => (entries.as_slice(), None),
            Self::Many(entries) => (&[][..], Some(entries)),
        };
        few.iter().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Map<K, V> {
    /// The first entry.
    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        match self {
            Self::Few(entries) => entries.first().map(|(key, value)| (key, value)),
            Self::Many(entries) => entries.first_key_value(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Few(entries) => find(entries, key).ok().map(|at| &entries[at].1),
            Self::Many(entries) => entries.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Few(entries) => find(entries, key).ok().map(|at| &mut entries[at].1),
            Self::Many(entries) => entries.get_mut(key),
        }
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Sets the key's value, and returns the one before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Self::Many(entries) = self {
            return entries.insert(key, value);
        }
        match self.get_mut(&key) {
            Some(before) => Some(replace(before, value)),
            None => {
                self.or_insert_with(key, || value);
                None
            }
        }
    }

    /// The key's value, which is this one if it had none.
    pub(crate) fn or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if let Self::Few(entries) = self
            && entries.len() == FEW
            && find(entries, &key).is_err()
        {
            *self = Self::Many(take(entries).into_iter().collect());
        }
        match self {
            Self::Few(entries) => {
                let at = find(entries, &key).unwrap_or_else(|at| {
                    if entries.len() == entries.capacity() {
                        // One entry takes room for one.
                        entries.reserve_exact(entries.len().max(1));
                    }
                    entries.insert(at, (key, value()));
                    at
                });
                &mut entries[at].1
            }
            Self::Many(entries) => entries.entry(key).or_insert_with(value),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let value = match self {
            Self::Few(entries) => find(entries, key).ok().map(|at| entries.remove(at).1),
            Self::Many(entries) => entries.remove(key),
        };
        self.tidy();
        value
    }

    /// Takes the first entry out.
    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        let first = match self {
            Self::Few(entries) => (!entries.is_empty()).then(|| entries.remove(0)),
            Self::Many(entries) => entries.pop_first(),
        };
        self.tidy();
        first
    }

    /// Keeps those entries for which this is true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        match self {
            Self::Few(entries) => entries.retain_mut(|(key, value)| keep(key, value)),
            Self::Many(entries) => entries.retain(keep),
        }
        self.tidy();
    }

    fn tidy(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

fn find<K: Ord, V>(entries: &[(K, V)], key: &K) -> Result<usize, usize> {
    entries.binary_search_by(|(other, _)| other.cmp(key))
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        /// Over and back over the number at which it becomes a B-tree, and empty in between.
        fn a_map_is_a_b_tree(steps: Vec<(u8, u8)>) -> bool {
            let (mut map, mut tree) = (Map::new(), BTreeMap::new());
            (0..40).map(|key| (0, key)).chain(steps).chain((0..60).map(|key| (1, key))).all(|(step, key)| {
                let key = key % 50;
                let is_same = match step % 8 {
                    0 | 4 => map.insert(key, step) == tree.insert(key, step),
                    1 | 5 => map.remove(&key) == tree.remove(&key),
                    2 => map.pop_first() == tree.pop_first(),
                    3 => *map.or_insert_with(key, || step) == *tree.entry(key).or_insert(step),
                    6 => {
                        map.retain(|other, _| other % 7 != key % 7);
                        tree.retain(|other, _| other % 7 != key % 7);
                        true
                    }
                    _ => map.get_mut(&key).map(|value| *value ^= 1) == tree.get_mut(&key).map(|value| *value ^= 1),
                };
                is_same
                    && map.iter().eq(&tree)
                    && map.len() == tree.len()
                    && map.first() == tree.first_key_value()
                    && map.get(&key) == tree.get(&key)
                    && (!map.is_empty() || matches!(&map, Map::Few(entries) if entries.capacity() == 0))
            }) && map.is_empty()
        }
    }
}
