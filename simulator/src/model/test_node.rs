//! A node with a host that makes its records durable at once and approves what it is asked to sign.

use std::collections::BTreeMap;
use std::time::Duration;

use nelumbo_core::api::{Command, Event, GossipId, Input, OperationId, RecordSequence, SignRequest, Topic, Verdict};
use nelumbo_core::approval::Unusual;
use nelumbo_core::base::{Bytes, Mono, Now, Wall};
use nelumbo_core::crypto::Signer;
use nelumbo_core::host::{Host, drain};
use nelumbo_core::node::Node;
use nelumbo_core::wire::{Address, PeerId, SessionId};

use crate::crypto::ToyVerifier;

/// The wall clock when the monotonic clock of the model is at zero, in milliseconds.
pub(super) const WALL: u64 = 1_767_225_600_000;

/// A node's journal.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A node and its host.
pub(super) struct TestNode {
    pub(super) node: Node<ToyVerifier>,
    pub(super) signer: Box<dyn Signer<ToyVerifier> + Send>,
    pub(super) host: RecordingHost,
    pub(super) clock: u64,
    /// By how many milliseconds the wall clock is ahead, and whether the node is not shown that.
    pub(super) ahead: u64,
    pub(super) is_stopped: bool,
    /// How many messages have arrived since the node started.
    pub(super) position: u64,
}

impl TestNode {
    /// Forgets the outputs so far, so that only those of the next step are seen.
    pub(super) fn begin(&mut self) {
        self.host.sent.clear();
        self.host.events.clear();
        self.host.wrote = false;
    }

    pub(super) fn now(&self) -> Now {
        now_ahead(self.clock, if self.is_stopped { 0 } else { self.ahead })
    }

    pub(super) fn input(&mut self, input: Input) {
        self.node.handle(self.now(), input);
        self.settle();
    }

    pub(super) fn command(&mut self, command: Command) {
        // One that is refused changes nothing, and leads back to the same state.
        let _ = self.node.command(self.now(), command);
        self.settle();
    }

    /// Takes all outputs: records become durable at once, and announced sessions are approved at once.
    pub(super) fn settle(&mut self) {
        let now = self.now();
        loop {
            drain(&mut self.node, &mut self.host);
            if let Some(sequence) = self.host.written.take() {
                self.node.handle(now, Input::Persisted(sequence));
            } else if !self.host.requests.is_empty() {
                for request in std::mem::take(&mut self.host.requests) {
                    self.node.answer(now, self.signer.as_mut(), &request);
                }
            } else if let Some(operation) = self.host.lookups.pop() {
                self.node.handle(now, Input::LookupFinished(operation));
            } else if let Some(session) = self.host.announced.take() {
                // A refusal that came before the announcement has ended it already.
                let _ = self.node.command(now, Command::Join { session, allow: [Unusual::Opaque].into() });
            } else {
                break;
            }
        }
    }
}

#[derive(Default)]
pub(super) struct RecordingHost {
    pub(super) records: Records,
    pub(super) wrote: bool,
    pub(super) written: Option<RecordSequence>,
    pub(super) sent: Vec<(u8, Bytes)>,
    pub(super) events: Vec<Event>,
    pub(super) requests: Vec<SignRequest>,
    /// For how many attempts nonces were asked for since the node started.
    pub(super) drawn: u32,
    pub(super) lookups: Vec<OperationId>,
    pub(super) announced: Option<SessionId>,
}

impl Host for RecordingHost {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.records.insert(key, value)),
            None => drop(self.records.remove(&key)),
        }
        self.wrote = true;
        self.written = Some(sequence);
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.sent.push((to.as_bytes()[0] - 1, bytes));
    }

    fn sign(&mut self, request: SignRequest) {
        self.drawn += u32::from(matches!(request, SignRequest::Nonces { .. }));
        self.requests.push(request);
    }

    fn event(&mut self, event: Event) {
        if let Event::SessionAnnounced { session, .. } = &event {
            self.announced = Some(*session);
        }
        self.events.push(event);
    }

    fn lookup(&mut self, operation: OperationId, _: String) {
        self.lookups.push(operation);
    }

    fn subscribe(&mut self, _: Topic) {}
    fn publish(&mut self, _: Topic, _: Bytes) {}
    fn verdict(&mut self, _: GossipId, _: Verdict) {}
    fn dial(&mut self, _: PeerId, _: Vec<Address>) {}
    fn release(&mut self, _: PeerId) {}
    fn store(&mut self, _: String, _: Bytes, _: Duration) {}
    fn unsubscribe(&mut self, _: Topic) {}
}

pub(super) fn secret(node: u8) -> [u8; 32] {
    [node + 1; 32]
}

pub(super) fn peer(node: u8) -> PeerId {
    PeerId::from_bytes(&[node + 1]).expect("one byte names a peer")
}

pub(super) fn now(clock: u64) -> Now {
    now_ahead(clock, 0)
}

/// The time by a wall clock that is ahead by so many milliseconds.
pub(super) fn now_ahead(clock: u64, ahead: u64) -> Now {
    Now { mono: Mono::from_nanos(clock), wall: Wall::from_millis(WALL + ahead + clock / 1_000_000) }
}
