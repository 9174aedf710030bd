//! What the node has to say to its host, in order, with everything held back that depends on a record which is not
//! durable yet.
//!
//! Invariant: an output pushed behind a record never leaves before the host has said that the record is on the disk.
//! Driven by `Node`, which alone pushes, and by the host's `Persisted`.

use alloc::collections::VecDeque;

use crate::api::{Output, RecordSequence};

/// A queue of outputs with a gate for what must wait for the disk.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    ready: VecDeque<Output>,
    /// By the record that each waits for, then in the order in which they came.
    held: VecDeque<(RecordSequence, Output)>,
    last_record: RecordSequence,
    durable: RecordSequence,
}

impl Outbox {
    pub(crate) fn push(&mut self, output: Output) {
        self.ready.push_back(output);
    }

    /// Queues a record and returns its sequence number, which grows by one from 1.
    pub(crate) fn persist(&mut self, key: alloc::vec::Vec<u8>, value: Option<alloc::vec::Vec<u8>>) -> RecordSequence {
        self.last_record = self.last_record.next();
        self.ready.push_back(Output::Persist { sequence: self.last_record, key, value });
        self.last_record
    }

    /// Queues an output that leaves once record `after` is durable.
    pub(crate) fn push_after(&mut self, after: RecordSequence, output: Output) {
        if after <= self.durable {
            self.ready.push_back(output);
        } else {
            let at = self.held.partition_point(|(record, _)| *record <= after);
            self.held.insert(at, (after, output));
        }
    }

    /// All records up to `sequence` are durable: releases what waited for them. A number that was never given out is
    /// the host's mistake and releases nothing beyond what exists.
    pub(crate) fn persisted(&mut self, sequence: RecordSequence) {
        self.durable = self.durable.max(sequence.min(self.last_record));
        let released = self.held.partition_point(|(record, _)| *record <= self.durable);
        self.ready.extend(self.held.drain(..released).map(|(_, output)| output));
    }

    /// The newest record that is known to be on the disk.
    pub(crate) const fn durable(&self) -> RecordSequence {
        self.durable
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// How many outputs wait for the disk.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::api::Topic;

    fn publish(name: &'static str) -> Output {
        Output::Publish { topic: Topic::from_static(name), bytes: Vec::new().into() }
    }

    #[test]
    fn nothing_behind_a_record_leaves_before_it_is_durable() {
        let mut outbox = Outbox::default();
        let first = outbox.persist(Vec::new(), None);
        outbox.push_after(first, publish("one"));
        let second = outbox.persist(Vec::new(), None);
        outbox.push_after(second, publish("two"));
        outbox.push(publish("free"));
        assert!(matches!(outbox.pop(), Some(Output::Persist { .. })));
        assert!(matches!(outbox.pop(), Some(Output::Persist { .. })));
        assert_eq!(outbox.pop(), Some(publish("free")));
        assert_eq!(outbox.pop(), None, "both sends wait");
        outbox.persisted(first);
        assert_eq!(outbox.pop(), Some(publish("one")));
        assert_eq!(outbox.pop(), None, "the second record is not durable");
        outbox.persisted(RecordSequence::from_u64(99));
        assert_eq!(outbox.pop(), Some(publish("two")));
        outbox.push_after(second, publish("late"));
        assert_eq!(outbox.pop(), Some(publish("late")), "an old record holds nothing back");
        let third = outbox.persist(Vec::new(), None);
        outbox.push_after(third, publish("three"));
        outbox.pop();
        assert_eq!(outbox.pop(), None, "a number out of thin air released nothing in advance");
    }
}
