//! One machine's disk.
//!
//! Invariant: what was reported as durable is there after a crash. What was not may be there too, up to any point of
//! its order, because a write can reach the disk and the report can fail to reach the node. A torn record is one that
//! its checksum gives away, so it counts as not written.

use std::collections::{BTreeMap, VecDeque};

use nelumbo_core::api::RecordSequence;

use crate::engine::Nanos;
use crate::random::Random;

/// How many records a disk loses that is broken on purpose.
const UNDONE: usize = 8;

/// A key, and its value if it has one.
type Record = (Vec<u8>, Option<Vec<u8>>);
type Write = (RecordSequence, Vec<u8>, Option<Vec<u8>>);

/// The records that are durable, and the writes that are not yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    durable: BTreeMap<Vec<u8>, Vec<u8>>,
    writing: VecDeque<Write>,
    /// What the newest records were before, where a crash undoes them.
    #[expect(clippy::box_collection, reason = "hardly any of a million disks has it")]
    undo: Option<Box<VecDeque<Record>>>,
    /// How long a record takes to become durable.
    pub(super) delay: Nanos,
    /// Until when it is full and takes no record.
    pub(super) full_until: Nanos,
}

impl Disk {
    pub(super) fn new(delay: Nanos) -> Self {
        Self { delay, ..Self::default() }
    }

    pub(super) fn write(&mut self, write: Write) {
        self.writing.push_back(write);
    }

    /// How long from now a record takes to become durable.
    pub(super) fn takes(&self, now: Nanos) -> Nanos {
        self.full_until.saturating_sub(now) + self.delay
    }

    /// Makes every write up to this one durable.
    pub(super) fn sync(&mut self, up_to: RecordSequence) {
        while let Some((sequence, ..)) = self.writing.front()
            && *sequence <= up_to
        {
            self.apply_first();
        }
    }

    /// The machine crashes: some of the writes that were not durable become so all the same, unless the disk is full.
    pub(super) fn crash(&mut self, now: Nanos, random: &mut Random) {
        if now >= self.full_until {
            for _ in 0..random.below(self.writing.len() as u64 + 1) {
                self.apply_first();
            }
        }
        self.writing.clear();
        while let Some((key, before)) = self.undo.as_mut().and_then(|undo| undo.pop_back()) {
            self.put(key, before);
        }
    }

    /// From now on a crash loses the newest records too: a disk that is broken on purpose.
    pub(super) fn keep_undo(&mut self) {
        self.undo = Some(Box::default());
    }

    pub(super) fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.durable.clone().into_iter().collect()
    }

    /// Replaces the contents by those of a snapshot of another machine.
    pub(super) fn adopt(&mut self, records: Vec<(Vec<u8>, Vec<u8>)>) {
        self.durable = records.into_iter().collect();
        self.writing.clear();
    }

    /// The machine goes back to when this was its disk, and so does the disk unless it is elsewhere; what was being
    /// written then is being written again.
    pub(super) fn resume(&mut self, then: Self, stays: bool) {
        if !stays {
            self.durable = then.durable;
        }
        self.writing = then.writing;
    }

    /// The last write that is not durable yet.
    pub(super) fn last_writing(&self) -> Option<RecordSequence> {
        self.writing.back().map(|(sequence, ..)| *sequence)
    }

    fn apply_first(&mut self) {
        let Some((_, key, value)) = self.writing.pop_front() else { return };
        if let Some(undo) = &mut self.undo {
            undo.push_back((key.clone(), self.durable.get(&key).cloned()));
            if undo.len() > UNDONE {
                undo.pop_front();
            }
        }
        self.put(key, value);
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.durable.insert(key, value)),
            None => drop(self.durable.remove(&key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(number: u64) -> Write {
        (RecordSequence::from_u64(number), vec![number as u8], Some(vec![1]))
    }

    #[test]
    fn a_crash_keeps_what_was_reported_and_perhaps_a_beginning_of_the_rest() {
        let mut kept = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut disk = Disk::default();
            (1..=5).for_each(|number| disk.write(write(number)));
            disk.sync(RecordSequence::from_u64(2));
            disk.crash(0, &mut Random::stream(seed, "crash", 0));
            let keys: Vec<u8> = disk.records().into_iter().map(|(key, _)| key[0]).collect();
            assert!(keys.starts_with(&[1, 2]) && keys.iter().eq([1, 2, 3, 4, 5].iter().take(keys.len())), "{keys:?}");
            kept.insert(keys.len());
        }
        assert_eq!(kept.len(), 4, "every beginning happens");
    }
}
