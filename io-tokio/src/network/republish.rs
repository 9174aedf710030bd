//! Records that no other node has acknowledged.
//!
//! Owns when each of them is offered again. Invariant: only keys of records that are in this node's own store, whose
//! room bounds their number; the pauses between two tries grow. Pure: it is told the time and what happened. Driven by
//! [`super::Network`].

use std::collections::HashMap;

use libp2p::kad::RecordKey;
use tokio::time::Instant;

use super::backoff::Backoff;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct RepublishQueue {
    failed: HashMap<RecordKey, Failed>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Failed {
    failures: u32,
    /// `None` while it is being offered.
    again_at: Option<Instant>,
}

impl RepublishQueue {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { failed: HashMap::new(), backoff }
    }

    pub(crate) fn on_failed(&mut self, key: RecordKey, now: Instant) {
        let failed = self.failed.entry(key).or_insert(Failed { failures: 0, again_at: None });
        failed.failures = failed.failures.saturating_add(1);
        failed.again_at = Some(now + self.backoff.delay(failed.failures));
    }

    /// It is elsewhere, or not to be offered any more.
    pub(crate) fn forget(&mut self, key: &RecordKey) {
        self.failed.remove(key);
    }

    /// When [`due`](Self::due) has something to say next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.failed.values().filter_map(|failed| failed.again_at).min()
    }

    /// A record to offer again now. It counts as being offered from here on.
    pub(crate) fn due(&mut self, now: Instant) -> Option<RecordKey> {
        let is_due = |failed: &Failed| failed.again_at.is_some_and(|at| at <= now);
        let (key, failed) = self.failed.iter_mut().find(|(_, failed)| is_due(failed))?;
        failed.again_at = None;
        Some(key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_offered_again_after_pauses_that_grow() {
        let (mut republish, mut now) = (RepublishQueue::new(Backoff::new(1)), Instant::now());
        let key = RecordKey::new(b"key");
        let mut pauses = Vec::new();
        for _ in 0..4 {
            republish.on_failed(key.clone(), now);
            let at = republish.deadline().expect("it is to be offered again");
            assert_eq!(republish.due(at - std::time::Duration::from_millis(1)), None);
            assert_eq!((republish.due(at), republish.due(at)), (Some(key.clone()), None));
            assert_eq!(republish.deadline(), None, "while it is being offered");
            pauses.push(at - now);
            now = at;
        }
        assert!(pauses.is_sorted() && pauses[3] > 4 * pauses[0], "{pauses:?}");
        republish.on_failed(key.clone(), now);
        republish.forget(&key);
        assert_eq!(republish.deadline(), None);
    }
}
