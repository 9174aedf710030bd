//! What every machine is given for a step, and what it may want done: one form for all of them.
//!
//! A machine is told what has happened with a [`Context`], and returns what follows as [`Effect`]s, in order. It never
//! touches the network, the journal, the embedder or another machine: `Node::settle` alone does what effects say.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::api::{Config, Event, Output, RecordSequence, TimerReason};
use crate::author::Author;
use crate::base::{Bytes, Now, Wall};
use crate::crypto::{Entropy, PublicKey, SignerError, Verifier};
use crate::journal::Record;
use crate::protocol::{Notice, ProtocolRequest};
use crate::wire::{Body, Definition, Label, PeerId, ResourceId, SessionId, SessionMessage};

/// Something that a machine wants to happen.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Ask the host for something.
    Output(Output),
    /// Tell the embedder.
    Event(Event),
    /// Tell the embedder what an earlier run may have told already: nothing is learnt from it again.
    Repeat(Event),
    /// Remember this of the effect's session, or forget what is remembered. What is said of the session afterwards
    /// waits until it is durable.
    Persist(Option<Record>),
    /// Remember what the effect's session is, or forget it. It is written once, ahead of the session's first record.
    PersistDefinition(Option<Arc<Definition>>),
    /// Remember what this node offers to sign.
    PersistOffer(Option<Record>),
    /// Send a message to a signer, if it is connected; otherwise set out to find it.
    ToSigner(PublicKey, Bytes),
    /// Send a message to a signer, if it is connected.
    ToConnected(PublicKey, Bytes),
    /// Call back after this time; `None` takes an earlier request back.
    Timer(TimerReason, Option<Duration>),
    /// Call back after this time, unless it is to be sooner already.
    TimerWithin(TimerReason, Duration),
    /// The effect's session needs its signers from now on.
    Wanted(Arc<Definition>),
    /// The effect's session has ended and needs its signers no more.
    Released(Arc<Definition>),
    /// The effect's session is forgotten: nothing is awaited for it.
    Forgotten,
    /// A signer can be reached through this peer.
    SignerConnected(PublicKey, PeerId),
    /// It cannot be reached any more.
    SignerDisconnected(PublicKey, PeerId),
    /// A resource is new, or another than before.
    ResourceChanged(ResourceId),
    /// A session belongs to a protocol, which has created it under this name or has approved it. Remember that.
    PersistOwner { session: SessionId, owner: Label, created: Option<Label> },
    /// A protocol's search has found a resource.
    Found(Label, ResourceId),
    /// A protocol, or all of them, want to know this.
    Tell(Option<Label>, Notice),
    /// A protocol asks for something.
    Protocol(Label, ProtocolRequest),
}

/// What a machine is given for a step.
pub(crate) struct Context<'a, V: Verifier> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) own_key: PublicKey,
    pub(crate) own_peer: PeerId,
    pub(crate) author: &'a mut Author,
    pub(crate) verifier: &'a V,
    /// For the weights of batches, which nobody else may foresee.
    pub(crate) batch_entropy: &'a mut Entropy,
    /// The newest record that is known to be on the disk.
    pub(crate) durable: RecordSequence,
    /// Which session the effects belong to, while a session takes a step.
    pub(crate) session: Option<SessionId>,
    pub(crate) effects: Vec<(Option<SessionId>, Effect)>,
}

impl<V: Verifier> Context<'_, V> {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push((self.session, effect));
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.push(Effect::Output(output));
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.push(Effect::Event(event));
    }

    pub(crate) fn timer(&mut self, reason: TimerReason, after: impl Into<Option<Duration>>) {
        self.push(Effect::Timer(reason, after.into()));
    }

    /// Signs an announcement, or a protocol's message, in this node's name and encodes it.
    pub(crate) fn seal(&mut self, body: Body) -> Result<Bytes, SignerError> {
        let time = body.span().expect("what has no time of its own is a step of a session");
        self.author.seal(self.config.network, body, time)
    }

    /// Signs a step of this session.
    pub(crate) fn seal_step(&mut self, of: &Definition, step: SessionMessage) -> Result<Bytes, SignerError> {
        self.author.seal(self.config.network, Body::Session(step), (of.created_at, of.expires_at))
    }

    /// Until when something that is announced is valid: no longer than this node speaks.
    pub(crate) fn valid_until(&self, wanted: Wall) -> Wall {
        wanted.min(self.author.speaks_until())
    }
}

/// What machines share: who this node is, in whose name it speaks, what time it is, and what verifies.
pub(crate) struct Environment<V: Verifier> {
    pub(crate) config: Arc<Config>,
    pub(crate) own_key: PublicKey,
    pub(crate) own_peer: PeerId,
    pub(crate) author: Author,
    pub(crate) verifier: V,
    pub(crate) batch_entropy: Entropy,
    pub(crate) now: Now,
    /// When the clocks were last seen to run together.
    pub(crate) in_step: Now,
}

impl<V: Verifier> Environment<V> {
    /// It is this time now. Clocks that go back stand still instead. True when they have parted by more than the skew:
    /// what was counted by one of them before is to be counted anew.
    pub(crate) fn advance_to(&mut self, now: Now) -> bool {
        self.now = Now { mono: self.now.mono.max(now.mono), wall: now.wall };
        let have_parted = self.now.parted_since(&self.in_step) > self.config.clock_skew;
        if have_parted {
            self.in_step = self.now;
        }
        have_parted
    }

    /// For one step of one machine.
    pub(crate) fn context(&mut self, durable: RecordSequence) -> Context<'_, V> {
        Context {
            now: self.now,
            config: &self.config,
            own_key: self.own_key,
            own_peer: self.own_peer,
            author: &mut self.author,
            verifier: &self.verifier,
            batch_entropy: &mut self.batch_entropy,
            durable,
            session: None,
            effects: Vec::new(),
        }
    }
}
