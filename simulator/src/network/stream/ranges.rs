//! A set of numbers, most of which lie side by side.

use std::collections::BTreeMap;

/// Ranges, both ends included, each with a gap before the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a number, and says whether it is new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let last = number.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(number);
        let before = self.0.range(..number).next_back().map(|(first, last)| (*first, *last));
        match before {
            Some((first, end)) if end + 1 == number => self.0.insert(first, last),
            _ => self.0.insert(number, last),
        };
        true
    }

    /// Keeps so many ranges, those with the highest numbers, and takes everything below them for seen.
    pub(super) fn prune(&mut self, most: usize) {
        while self.0.len() > most
            && let Some((first, _)) = self.0.pop_first()
            && let Some((_, last)) = self.0.pop_first()
        {
            self.0.insert(first, last);
        }
    }

    /// The ranges, the highest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().rev().map(|(first, last)| (*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_join_into_ranges_and_old_gaps_close() {
        let mut ranges = Ranges::default();
        for number in [5, 3, 9, 4, 0, 10] {
            assert!(ranges.insert(number) && !ranges.insert(number));
        }
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(9, 10), (3, 5), (0, 0)]);
        assert!(!ranges.contains(2) && !ranges.contains(11) && ranges.contains(4));
        ranges.prune(2);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(9, 10), (0, 5)]);
        assert!(ranges.contains(2) && !ranges.contains(6));
        assert!(ranges.insert(u64::MAX) && ranges.contains(u64::MAX));
    }
}
