//! A signing session, from announcement to signature.
//!
//! Reading order: `attempt` holds what one attempt collects, `machine` begins and fails attempts, `rounds` takes nonces
//! and partial signatures to a signature, `ending` knows how a session ends and whose turn it is to broadcast, `resync`
//! lets signers who missed something catch up, `sessions` is the table of all of them, `closed` what is left of them.
//!
//! A machine never touches the network, the journal or the embedder: it returns [`Effect`], and `Node` routes them.

mod attempt;
mod closed;
mod ending;
mod fingerprint;
mod machine;
mod resync;
mod rounds;
mod sessions;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::api::{Config, Event};
use crate::base::{Bytes, Entropy, Now};
use crate::crypto::{Signer, Verifier};
use crate::journal::SessionRecord;

pub(crate) use attempt::nonces_hash;
pub(crate) use machine::Session;
pub(crate) use sessions::{Acquaintance, Sessions};

/// What a session wants to happen, in order. Sends and events after a record wait until it is durable.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Remember this.
    Record(Box<SessionRecord>),
    /// Send a message to the signer with this index.
    Send(usize, Bytes),
    /// Tell the embedder.
    Event(Event),
    /// Call back after this time; `None` takes an earlier wish back.
    Timer(SessionTimer, Option<Duration>),
}

/// What a session wants to be called back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionTimer {
    /// Nothing has happened for a while: [`Session::on_stalled`].
    Stalled,
    /// A new attempt may begin: [`Session::on_retry`].
    Retry,
    /// A coordinator's turn is over: [`Session::on_turn`].
    Turn,
}

/// How many of a session's other signers are connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) connected: usize,
    pub(crate) others: usize,
}

/// What a session needs of its node to take a step.
pub(crate) struct Context<'a, V: Verifier> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) signer: &'a mut (dyn Signer<V> + Send),
    pub(crate) verifier: &'a V,
    /// For the batch_entropy of batches, which nobody else may foresee.
    pub(crate) batch_entropy: &'a mut Entropy,
    pub(crate) effects: Vec<Effect>,
}

impl<V: Verifier> Context<'_, V> {
    fn event(&mut self, event: Event) {
        self.effects.push(Effect::Event(event));
    }

    fn timer(&mut self, timer: SessionTimer, after: impl Into<Option<Duration>>) {
        self.effects.push(Effect::Timer(timer, after.into()));
    }
}
