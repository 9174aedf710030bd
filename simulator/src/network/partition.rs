//! Partitions: sets of machines that cannot reach the others, with a time, a direction, and a period if they come and
//! go.

use serde::{Deserialize, Serialize};

use crate::engine::Nanos;

/// A set of machines, one bit each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeSet(Vec<u64>);

impl NodeSet {
    /// The set of these machines.
    #[must_use]
    pub fn collect(nodes: impl IntoIterator<Item = u32>) -> Self {
        let mut words = Vec::new();
        for node in nodes {
            let word = (node / 64) as usize;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (node % 64);
        }
        Self(words)
    }

    /// Whether a machine is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, node: u32) -> bool {
        self.0.get((node / 64) as usize).is_some_and(|word| word & (1 << (node % 64)) != 0)
    }
}

/// In which direction a partition cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Both directions.
    #[default]
    Both,
    /// Messages of members to others do not arrive.
    Outward,
    /// Messages of others to members do not arrive.
    Inward,
    /// Both directions, and messages between members too: no member has a network.
    Everywhere,
}

/// Members cannot reach the others, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// When it begins.
    pub from: Nanos,
    /// When it ends.
    pub until: Nanos,
    /// The machines that are cut off.
    pub members: NodeSet,
    /// In which direction it cuts.
    pub direction: Direction,
    /// Half of the period with which it comes and goes; 0 for one that stays.
    pub flapping: Nanos,
}

impl Partition {
    /// Since when it has been cutting without a pause, if it is now.
    #[must_use]
    pub fn since(&self, now: Nanos) -> Option<Nanos> {
        if now < self.from || now >= self.until {
            return None;
        }
        let phase = (now - self.from).checked_div(self.flapping).unwrap_or(0);
        phase.is_multiple_of(2).then(|| self.from + phase * self.flapping)
    }

    /// Whether it stops a message that would arrive now.
    #[inline]
    #[must_use]
    pub fn cuts(&self, now: Nanos, from: u32, to: u32) -> bool {
        if self.since(now).is_none() {
            return false;
        }
        match (self.members.contains(from), self.members.contains(to)) {
            (true, false) => self.direction != Direction::Inward,
            (false, true) => self.direction != Direction::Outward,
            (true, true) => self.direction == Direction::Everywhere,
            (false, false) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_cuts_its_way_in_its_time_and_rhythm() {
        let members = NodeSet::collect([1, 70]);
        let both = Partition { from: 10, until: 20, members, direction: Direction::Both, flapping: 0 };
        assert!(both.cuts(10, 1, 0) && both.cuts(19, 0, 70));
        assert!(!both.cuts(9, 1, 0) && !both.cuts(20, 1, 0), "outside its time");
        assert!(!both.cuts(15, 1, 70) && !both.cuts(15, 0, 2), "on one side");
        let outward = Partition { direction: Direction::Outward, ..both.clone() };
        assert!(outward.cuts(15, 1, 0) && !outward.cuts(15, 0, 1));
        let inward = Partition { direction: Direction::Inward, ..both.clone() };
        assert!(!inward.cuts(15, 1, 0) && inward.cuts(15, 0, 1));
        let everywhere = Partition { direction: Direction::Everywhere, ..both.clone() };
        assert!(everywhere.cuts(15, 1, 0) && everywhere.cuts(15, 0, 1) && everywhere.cuts(15, 1, 70));
        assert!(!everywhere.cuts(15, 0, 2), "on the other side");
        let flapping = Partition { flapping: 2, ..both };
        let cut: Vec<bool> = (10..16).map(|now| flapping.cuts(now, 1, 0)).collect();
        assert_eq!(cut, [true, true, false, false, true, true]);
    }
}
