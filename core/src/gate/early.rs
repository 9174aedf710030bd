//! Messages of sessions that this node has not heard of yet: another signer's answer can overtake the announcement.
//!
//! They are authentic, kept for a short while, and go through replay protection once the session is known. Driven by
//! the gate.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::Authentic;
use crate::api::{Limits, Refusal};
use crate::base::Mono;
use crate::crypto::PublicKey;
use crate::wire::{MAX_GOSSIP, SessionId, SessionMessage};

/// Messages that wait, in order of arrival, bounded in all and per author. What a signer says of many items is large,
/// and counts as several: one for each [`MAX_GOSSIP`] bytes.
#[derive(Debug)]
pub(super) struct PendingMessages {
    waiting: VecDeque<(Mono, Authentic<SessionMessage>)>,
    by_author: BTreeMap<PublicKey, usize>,
    /// As how many messages they count.
    weight: usize,
    capacity: usize,
    per_author: usize,
    lifetime: Duration,
}

impl PendingMessages {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            waiting: VecDeque::new(),
            by_author: BTreeMap::new(),
            weight: 0,
            capacity: limits.early,
            per_author: limits.early_per_author,
            lifetime: limits.early_lifetime,
        }
    }

    /// Keeps a message until its session is known.
    pub(super) fn keep(&mut self, step: Authentic<SessionMessage>, now: Mono) -> Result<(), Refusal> {
        if self.waiting.iter().any(|(_, kept)| kept.bytes == step.bytes) {
            return Err(Refusal::Duplicate);
        }
        let (weight, author) = (weight(&step), step.author);
        let count = self.by_author.get(&author).copied().unwrap_or(0) + weight;
        if count > self.per_author {
            return Err(Refusal::Full);
        }
        while self.weight + weight > self.capacity {
            if !self.make_room(count) {
                return Err(Refusal::Full);
            }
        }
        self.by_author.insert(author, count);
        self.weight += weight;
        self.waiting.push_back((now.after(self.lifetime), step));
        Ok(())
    }

    /// Forgets the oldest message of the author who has the most, unless that is not even more than `count`: many who
    /// fill this up do not keep out those who send little.
    fn make_room(&mut self, count: usize) -> bool {
        let most = self.by_author.iter().max_by_key(|(_, kept)| **kept).filter(|(_, kept)| **kept > count);
        let Some(author) = most.map(|(author, _)| *author) else { return false };
        let oldest = self.waiting.iter().position(|(_, step)| step.author == author);
        let removed = oldest.and_then(|at| self.waiting.remove(at));
        removed.iter().for_each(|(_, step)| self.uncount(step));
        removed.is_some()
    }

    /// Takes all messages of a session that is known now.
    pub(super) fn take(&mut self, session: &SessionId) -> Vec<Authentic<SessionMessage>> {
        let mut taken = Vec::new();
        for (until, step) in core::mem::take(&mut self.waiting) {
            if step.value.session == *session {
                self.uncount(&step);
                taken.push(step);
            } else {
                self.waiting.push_back((until, step));
            }
        }
        taken
    }

    /// Forgets what has waited too long.
    pub(super) fn expire(&mut self, now: Mono) {
        while self.waiting.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, step)) = self.waiting.pop_front() {
                self.uncount(&step);
            }
        }
    }

    fn uncount(&mut self, step: &Authentic<SessionMessage>) {
        self.weight -= weight(step);
        if let Some(count) = self.by_author.get_mut(&step.author) {
            *count -= weight(step);
            if *count == 0 {
                self.by_author.remove(&step.author);
            }
        }
    }

    /// When the oldest message has waited too long.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.waiting.front().map(|(until, _)| *until)
    }
}

/// As how many messages one counts.
fn weight(step: &Authentic<SessionMessage>) -> usize {
    step.bytes.len().div_ceil(MAX_GOSSIP)
}
