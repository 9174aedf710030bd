//! A node's disk: the records that were written, those that are durable, and those that a crash loses.
//!
//! Invariant: records become durable in order. Driven by the targets `node_bytes` and `script`.

use std::collections::{BTreeMap, VecDeque};

use nelumbo_core::api::RecordSequence;
use nelumbo_core::wire::SessionId;

/// The tag of a session's record.
pub(crate) const SESSION: u8 = 0;
/// The tag of the record that says what a session is.
pub(crate) const DEFINITION: u8 = 6;

type Pending = (RecordSequence, Vec<u8>, Option<Vec<u8>>);

#[derive(Default)]
pub(crate) struct Disk {
    durable: BTreeMap<Vec<u8>, Vec<u8>>,
    pending: VecDeque<Pending>,
    newest: u64,
    /// For each session the furthest that was ever durable: the attempt, and whether its nonce is spent.
    furthest: BTreeMap<SessionId, (u32, bool)>,
    /// For each session the last record that was ever durable, whether or not it was removed since.
    last: BTreeMap<SessionId, Vec<u8>>,
}

impl Disk {
    /// Takes a record.
    pub(crate) fn push(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.newest += 1;
        assert_eq!(sequence.as_u64(), self.newest, "records are numbered from 1 without gaps");
        self.pending.push_back((sequence, key, value));
    }

    /// Makes the oldest `count` records durable and returns the number of the last one.
    pub(crate) fn sync(&mut self, count: usize) -> Option<RecordSequence> {
        let mut last = None;
        for (sequence, key, value) in self.pending.drain(..count.min(self.pending.len())) {
            last = Some(sequence);
            match value {
                None => drop(self.durable.remove(&key)),
                Some(value) => {
                    if let Some((session, attempt, spent)) = session_in(&key, &value) {
                        let furthest = self.furthest.entry(session).or_default();
                        *furthest = (*furthest).max((attempt, spent));
                        self.last.insert(session, value.clone());
                    }
                    self.durable.insert(key, value);
                }
            }
        }
        last
    }

    /// Forgets what is not durable, and numbers from 1 again.
    pub(crate) fn crash(&mut self) {
        self.pending.clear();
        self.newest = 0;
    }

    pub(crate) fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.durable.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// How far this session has ever been on the disk.
    pub(crate) fn furthest(&self, session: &SessionId) -> (u32, bool) {
        self.furthest.get(session).copied().unwrap_or_default()
    }

    /// Whether the last durable record of a session holds these bytes.
    pub(crate) fn holds(&self, session: &SessionId, bytes: &[u8]) -> bool {
        let record = self.last.get(session);
        record.is_some_and(|record| record.windows(bytes.len()).any(|window| window == bytes))
    }
}

/// The journal's key of a session.
pub(crate) fn session_key(session: &SessionId) -> Vec<u8> {
    [b"s".as_slice(), session.as_bytes()].concat()
}

/// The journal's key of what a session is.
pub(crate) fn definition_key(session: &SessionId) -> Vec<u8> {
    [b"d".as_slice(), session.as_bytes()].concat()
}

/// The beginning of an open session's record, after a tag: the attempt, and whether its nonce is spent.
/// What follows may change without being of interest here.
fn session_in(key: &[u8], value: &[u8]) -> Option<(SessionId, u32, bool)> {
    let session: [u8; 32] = key.strip_prefix(b"s")?.try_into().ok()?;
    let ((attempt, spent), _) = postcard::take_from_bytes::<(u32, bool)>(value.strip_prefix(&[SESSION])?).ok()?;
    Some((SessionId::from_bytes(session), attempt, spent))
}
