//! The embedder's own rules, asked by the gate after its own.

use alloc::collections::BTreeSet;

use super::Gate;
use crate::api::NewSession;
use crate::approval::{Summary, Unusual};
use crate::crypto::{PublicKey, Verifier};
use crate::single::Single;
use crate::wire::{Body, Definition, Label, PeerId, SessionMessage};

/// What an embedder lets in, beyond what the protocol does. Each question is asked at the place where its answer is
/// cheapest; a no is [`Refusal::Policy`](crate::api::Refusal::Policy) and blames nobody.
///
/// A policy of a node whose runs must be reproducible answers from its arguments and its own state alone.
pub trait Policy: Send {
    /// May this peer talk to the node? Asked before anything of a message is looked at.
    fn permits(&mut self, peer: &PeerId) -> bool {
        let _ = peer;
        true
    }

    /// How many keys may this peer hold, where `most` is what [`Limits`](crate::api::Limits) say, and the
    /// [`Tier`](crate::api::Tier) of a key that it holds? A peer that has shown to be worth it may hold more. While it
    /// is connected there is room for all of them.
    fn keys_per_peer(&mut self, peer: &PeerId, most: usize) -> usize {
        let _ = peer;
        most
    }

    /// May this step of a session reach its machine? Asked after its author's signature has been verified.
    fn accepts_message(&mut self, author: &PublicKey, message: &SessionMessage) -> bool {
        let _ = (author, message);
        true
    }

    /// May this announcement, of whatever family, be believed and passed on? Asked after its author's signature has
    /// been verified.
    fn accepts_resource(&mut self, author: &PublicKey, announcement: &Body) -> bool {
        let _ = (author, announcement);
        true
    }

    /// May a protocol of this node's create this session, and so approve it?
    fn lets_create(&mut self, protocol: &Label, session: &NewSession) -> bool {
        let _ = (protocol, session);
        true
    }

    /// May a protocol of this node's approve this session of another signer's, which the protocol says belongs to it?
    /// `summary` says what signing does.
    fn lets_approve(&mut self, protocol: &Label, definition: &Definition, summary: &Summary) -> bool {
        let _ = (protocol, definition, summary);
        true
    }

    /// May a protocol of this node's have this signed with the node's key alone? `summary` says what signing does.
    fn lets_sign(&mut self, protocol: &Label, single: &Single, summary: &Summary) -> bool {
        let _ = (protocol, single, summary);
        true
    }

    /// What is to be done about a session that another signer asks for? Asked once, when it becomes known; its details
    /// have been checked against what is signed, and `summary` says what signing does.
    fn review(&mut self, definition: &Definition, summary: &Summary) -> Review {
        let _ = (definition, summary);
        Review::Ask
    }
}

/// An answer to a signing request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Review {
    /// Ask the protocol that it belongs to, if it belongs to one, and the embedder: who joins or aborts.
    #[default]
    Ask,
    /// Join.
    Approve {
        /// What of the session may be unusual. One that is unusual otherwise is not joined: the embedder is asked.
        allow: BTreeSet<Unusual>,
    },
    /// Abort.
    Decline,
}

/// Lets everything in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoPolicy;

impl Policy for NoPolicy {}

impl<V: Verifier> Gate<V> {
    /// The embedder's rules on a session that is asked for.
    pub(crate) fn review(&mut self, definition: &Definition, summary: &Summary) -> Review {
        self.policy.review(definition, summary)
    }

    /// The embedder's rules on a session that a protocol wants to create.
    pub(crate) fn lets_create(&mut self, protocol: &Label, session: &NewSession) -> bool {
        self.policy.lets_create(protocol, session)
    }

    /// The embedder's rules on a session that a protocol wants to approve.
    pub(crate) fn lets_approve(&mut self, protocol: &Label, definition: &Definition, summary: &Summary) -> bool {
        self.policy.lets_approve(protocol, definition, summary)
    }

    /// The embedder's rules on what a protocol wants to have signed with this node's key alone.
    pub(crate) fn lets_sign(&mut self, protocol: &Label, single: &Single, summary: &Summary) -> bool {
        self.policy.lets_sign(protocol, single, summary)
    }
}
