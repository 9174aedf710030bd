//! The seam: what a node asks of its host, noted down in order.

use std::time::Duration;

use nelumbo_core::api::{Event, GossipId, OperationId, PutId, RecordSequence, Refusal, Topic, Verdict};
use nelumbo_core::base::Bytes;
use nelumbo_core::host::Host;
use nelumbo_core::wire::{Address, PeerId};

/// Something that a node wants.
#[derive(Debug)]
pub(super) enum Wish {
    Persist(RecordSequence, Vec<u8>, Option<Vec<u8>>),
    Send(u32, Bytes),
    Dial(u32),
    Subscribe(Topic),
    Publish(Topic, Bytes),
    Verdict(GossipId, Verdict),
    Lookup(OperationId, String),
    Store(String, Bytes, Duration),
    Judged(PutId, Option<(Bytes, Duration)>),
    Event(Event),
}

/// What a node wants, in order.
#[derive(Debug, Default)]
pub(super) struct Wishes(pub(super) Vec<Wish>);

/// A machine's name on the network: its number.
#[must_use]
pub fn peer_id(node: u32) -> PeerId {
    PeerId::from_bytes(&u64::from(node).to_be_bytes()).expect("eight bytes name a peer")
}

/// The machine with this name, if it is one of ours.
#[must_use]
pub fn node_of(peer: &PeerId) -> Option<u32> {
    let number = u64::from_be_bytes(peer.as_bytes().try_into().ok()?);
    u32::try_from(number).ok()
}

impl Host for Wishes {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.0.push(Wish::Persist(sequence, key, value));
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.0.extend(node_of(&to).map(|to| Wish::Send(to, bytes)));
    }

    fn subscribe(&mut self, topic: Topic) {
        self.0.push(Wish::Subscribe(topic));
    }

    fn publish(&mut self, topic: Topic, bytes: Bytes) {
        self.0.push(Wish::Publish(topic, bytes));
    }

    fn verdict(&mut self, id: GossipId, verdict: Verdict) {
        self.0.push(Wish::Verdict(id, verdict));
    }

    fn dial(&mut self, peer: PeerId, _: Vec<Address>) {
        self.0.extend(node_of(&peer).map(Wish::Dial));
    }

    fn lookup(&mut self, operation: OperationId, key: String) {
        self.0.push(Wish::Lookup(operation, key));
    }

    fn store(&mut self, key: String, value: Bytes, lifetime: Duration) {
        self.0.push(Wish::Store(key, value, lifetime));
    }

    fn accept_record(&mut self, id: PutId, value: Bytes, lifetime: Duration) {
        self.0.push(Wish::Judged(id, Some((value, lifetime))));
    }

    fn reject_record(&mut self, id: PutId, _: Refusal) {
        self.0.push(Wish::Judged(id, None));
    }

    fn event(&mut self, event: Event) {
        self.0.push(Wish::Event(event));
    }

    // Nobody prunes connections or leaves a topic.
    fn release(&mut self, _: PeerId) {}
    fn unsubscribe(&mut self, _: Topic) {}
}
