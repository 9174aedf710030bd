//! Checks what an honest node must never do, whatever is done to it.
//!
//! One monitor follows one key over all restarts, because what holds must hold across them. Invariants: see the
//! assertions. Driven by the targets `node_bytes` and `script` with all outputs of a node.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::crypto::{PartialSignature, PublicKey, PublicNonce};
use nelumbo_core::wire::{Body, Content, Message, PeerId, SessionId};

use super::disk::Disk;

/// How far below an author's newest number a node still takes another, by default.
const REPLAY_WINDOW: u64 = 100;
/// How often one input may make a node ask one signer about one session: after a restart, and when a connection is up
/// again.
const MAX_STATUS_REQUESTS: usize = 4;

#[derive(Default)]
pub(crate) struct SafetyMonitor {
    nonces: BTreeMap<(SessionId, u32), Vec<PublicNonce>>,
    distinct: BTreeSet<[u8; 66]>,
    partials: BTreeMap<(SessionId, u32), (Vec<PartialSignature>, [u8; 32])>,
    said: BTreeMap<(SessionId, u32, u64), Message>,
    /// How often each peer was asked about a session since the last input.
    asked: BTreeMap<(PeerId, SessionId), usize>,
}

impl SafetyMonitor {
    /// The node gets an input.
    pub(crate) fn on_input(&mut self) {
        self.asked.clear();
    }

    /// Another honest node has refused this message of the watched one for its number.
    pub(crate) fn on_refused(&self, message: &Message) {
        let Body::Session(step) = &message.unsigned.body else { return };
        if let Content::Announce { .. } = step.content {
            // It may have brought up what others had said too early, and what was refused is one of those.
            return;
        }
        let of_attempt = (step.session, step.attempt, 0)..=(step.session, step.attempt, u64::MAX);
        let newest = self.said.range(of_attempt).next_back().map_or(0, |((.., newest), _)| *newest);
        let is_old = step.sequence < newest.saturating_sub(REPLAY_WINDOW);
        assert!(is_old, "number {} of {newest} is refused: its author is not heard any more", step.sequence);
    }

    /// A message that leaves the node with key `own`, to one peer or by gossip.
    pub(crate) fn on_sent(&mut self, own: &PublicKey, to: Option<PeerId>, message: &Message, disk: &Disk) {
        let Body::Session(step) = &message.unsigned.body else { return };
        if message.unsigned.author != *own {
            return;
        }
        let (session, attempt) = (step.session, step.attempt);
        let (durable, spent) = disk.furthest(&session);
        match &step.content {
            Content::Announce { nonces, .. } | Content::Join { nonces } => {
                assert!(durable >= attempt, "a nonce left before the record of its attempt was durable");
                let first = self.nonces.entry((session, attempt)).or_insert_with(|| {
                    for nonce in nonces {
                        assert!(self.distinct.insert(*nonce.as_bytes()), "one nonce was shown in two places");
                    }
                    nonces.clone()
                });
                assert_eq!(first, nonces, "two lists of nonces left for attempt {attempt} at {session}");
            }
            Content::Partial { nonces, partials } => {
                let is_spent = (durable, spent) >= (attempt, true);
                assert!(is_spent, "a partial signature left before the record that its nonce is spent was durable");
                let said = (partials.clone(), *nonces);
                let first = self.partials.entry((session, attempt)).or_insert_with(|| said.clone());
                assert_eq!(*first, said, "two lists of partial signatures left for attempt {attempt}");
            }
            Content::Status { .. } => {
                let asked = self.asked.entry((to.expect("steps go to peers"), session)).or_default();
                *asked += 1;
                let is_few = *asked <= MAX_STATUS_REQUESTS;
                assert!(is_few, "one input brings about {asked} questions to one signer");
            }
            _ => {}
        }
        let first = self.said.entry((session, attempt, step.sequence)).or_insert_with(|| message.clone());
        assert_eq!(
            first.unsigned, message.unsigned,
            "one sequence number was given to two messages, so that every other node refuses the second"
        );
    }
}
