//! What an honest node must never do, whatever is done to it.
//!
//! One watch follows one key over all its lives, because a promise that a restart breaks is none. Invariants: see the
//! assertions. Driven by the worlds of `node_bytes` and `script` with everything that a node puts out.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::crypto::{PartialSignature, PublicKey, PublicNonce};
use nelumbo_core::wire::{Body, Content, Message, PeerId, SessionId};

use super::disk::Disk;
use super::open::Open;

/// How far ahead of an author's newest number a node takes another, by default.
const REACH: u64 = 100;
/// How often one input may make a node ask one signer about one session: what a restart and a reunion have in common.
const MOST_QUESTIONS: usize = 4;

#[derive(Default)]
pub(crate) struct Watch {
    nonces: BTreeMap<(SessionId, u32), PublicNonce>,
    distinct: BTreeSet<[u8; 66]>,
    partials: BTreeMap<(SessionId, u32), (PartialSignature, [u8; 32])>,
    said: BTreeMap<(SessionId, u32, u64), (u32, Message)>,
    /// The highest number that each peer was sent.
    sent: BTreeMap<(PeerId, SessionId, u32), u64>,
    /// How often each peer was asked about a session since the last input.
    asked: BTreeMap<(PeerId, SessionId), usize>,
    lives: u32,
    /// Sessions that its owner has closed, and in which life.
    closed: BTreeMap<SessionId, u32>,
}

impl Watch {
    /// The node is started again.
    pub(crate) fn reboots(&mut self) {
        self.lives += 1;
    }

    /// It is told something.
    pub(crate) fn hears(&mut self) {
        self.asked.clear();
    }

    /// Its owner closes a session.
    pub(crate) fn closes(&mut self, session: SessionId) {
        self.closed.insert(session, self.lives);
    }

    /// Whether its owner has closed the session in an earlier life.
    pub(crate) fn has_closed_before(&self, session: &SessionId) -> bool {
        self.closed.get(session).is_some_and(|life| *life < self.lives)
    }

    /// A message that leaves the node with key `own`, to one peer or by gossip.
    pub(crate) fn sends(&mut self, own: &PublicKey, to: Option<PeerId>, message: &Message, disk: &Disk) {
        let Body::Session(step) = &message.unsigned.body else { return };
        if message.unsigned.author != *own {
            return;
        }
        let (session, attempt) = (step.session, step.attempt);
        let (durable, spent) = disk.furthest(&session);
        match &step.content {
            Content::Announce { nonce, .. } | Content::Join { nonce } => {
                assert!(durable >= attempt, "a nonce left before the record of its attempt was durable");
                let first = *self.nonces.entry((session, attempt)).or_insert_with(|| {
                    assert!(self.distinct.insert(*nonce.as_bytes()), "one nonce was shown in two attempts");
                    *nonce
                });
                assert_eq!(first, *nonce, "two nonces left for attempt {attempt} at {session}");
            }
            Content::Partial { nonces, partial } => {
                let is_spent = (durable, spent) >= (attempt, true);
                assert!(is_spent, "a partial signature left before the record that its nonce is spent was durable");
                let first = *self.partials.entry((session, attempt)).or_insert((*partial, *nonces));
                assert_eq!(first, (*partial, *nonces), "two partial signatures left for attempt {attempt}");
            }
            Content::Status { .. } => {
                let asked = self.asked.entry((to.expect("steps go to peers"), session)).or_default();
                *asked += 1;
                let is_few = *asked <= MOST_QUESTIONS || Open::QuestionsPileUp.is_forgiven();
                assert!(is_few, "one input brings about {asked} questions to one signer");
            }
            _ => {}
        }
        if let Some(to) = to {
            let highest = self.sent.entry((to, session, attempt)).or_default();
            let is_within = step.sequence <= *highest + REACH || Open::NumbersForNobody.is_forgiven();
            assert!(is_within, "number {} after {highest}: the receiver can take none so far ahead", step.sequence);
            *highest = step.sequence.max(*highest);
        }
        let life = self.lives;
        let said = self.said.entry((session, attempt, step.sequence)).or_insert_with(|| (life, message.clone()));
        if said.0 != life && Open::SequenceAfterRestart.is_forgiven() {
            *said = (life, message.clone());
        }
        assert_eq!(
            said.1.unsigned, message.unsigned,
            "one sequence number was given to two messages, so that every other node refuses the second"
        );
    }
}
