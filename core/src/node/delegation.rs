//! How a node that has a message key gets its signing key's delegation, and a new one before that ends.
//!
//! Invariants: one delegation is awaited at most; what was asked and not answered is asked again in the same words, so
//! that a device shows it once; a signer that says no is left alone for an hour. Driven by `Node`: at boot, by its
//! timer, and by the signer's answers.

use core::time::Duration;

use super::Node;
use crate::api::{Event, Output, TimerReason};
use crate::author::Delegating;
use crate::crypto::{Signature, SignerError, Verifier};
use crate::journal::{self, Record};
use crate::session::Session;
use crate::single::SingleId;
use crate::wire::{Delegation, RecordKey};

/// The longest pause before the signer is asked again.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl<V: Verifier> Node<V> {
    /// K1: at boot the delegation in the journal holds on, if it is one to this node's message key.
    pub(super) fn resume_delegation(&mut self, remembered: Option<Delegation>) {
        let environment = &mut self.environment;
        let (verifier, network) = (&environment.verifier, environment.config.network);
        match (environment.author.delegating_mut(), remembered) {
            (Some(own), Some(delegation)) => drop(own.take(verifier, network, delegation)),
            (Some(_), None) => {}
            (None, Some(_)) => drop(self.outbox.persist(journal::DELEGATION_KEY.to_vec(), None)),
            (None, None) => {}
        }
        self.renew_delegation();
    }

    /// K2: there is none, it is half over, or the clock has gone back behind it: the signer is asked for one. As long
    /// as there is none, nothing is said, and no session asks the signer for anything.
    pub(super) fn renew_delegation(&mut self) {
        let Self { environment, entropy, .. } = self;
        let (now, config) = (environment.now, &environment.config);
        let Some(own) = environment.author.delegating_mut() else { return };
        let is_due = |held: &Delegation| Delegating::is_due(&held.mandate, now.wall, config);
        if own.held().is_some_and(|held| !is_due(held)) {
            // A timer does not reach that far where time has run backwards.
            let lasts = own.lasts(now.wall, config).max(config.stall);
            return self.timers.set(TimerReason::Delegation, now.mono.after(lasts));
        }
        let request = own.ask(now, config, || SingleId(entropy.bytes32()));
        let pause = config.stall.saturating_mul(1 << own.asks.min(16)).min(LONGEST);
        own.asks += 1;
        self.timers.set(TimerReason::Delegation, now.mono.after(pause));
        self.outbox.push(Output::Sign(request));
    }

    /// K4: the signer has not answered for a while. The embedder is told once, and the signer asked again, after pauses
    /// that double up to an hour.
    pub(super) fn on_delegation_awaited(&mut self) {
        if self.environment.author.delegating().is_some_and(Delegating::awaits) {
            self.tell_delegation_awaited(None);
        }
        self.renew_delegation();
    }

    /// The signer is back: it is asked again at once.
    pub(super) fn on_delegator_ready(&mut self) {
        if let Some(own) = self.environment.author.delegating_mut() {
            own.asks = 0;
            self.renew_delegation();
        }
    }

    /// False when this answer is to something else.
    pub(super) fn on_delegation(&mut self, id: &SingleId, signature: Result<Signature, SignerError>) -> bool {
        let environment = &mut self.environment;
        let Some(own) = environment.author.delegating_mut() else { return false };
        let Some(answer) = own.answered(id, signature) else { return false };
        let mut is_taken = |delegation| own.take(&environment.verifier, environment.config.network, delegation);
        match answer.and_then(|one| if is_taken(one) { Ok(one) } else { Err(SignerError::RoundMismatch) }) {
            Ok(delegation) => self.on_delegated(delegation),
            // K5: the signer has failed or says no. A person who has said no is asked again after an hour.
            Err(error) => {
                self.tell_delegation_awaited(Some(error));
                if !error.may_pass() {
                    self.timers.set(TimerReason::Delegation, self.environment.now.mono.after(LONGEST));
                }
            }
        }
        true
    }

    /// K3: the signer has delegated. What has waited for it goes on, and what this node announces is signed anew.
    fn on_delegated(&mut self, delegation: Delegation) {
        if let Some(own) = self.environment.author.delegating_mut() {
            (own.asks, own.told_awaited) = (0, false);
        }
        self.outbox.persist(journal::DELEGATION_KEY.to_vec(), Some(Record::Delegation(delegation).encode()));
        let (message_key, expires_at) = (delegation.mandate.message_key, delegation.mandate.expires_at);
        self.outbox.push(Output::Event(Event::Delegated { message_key, expires_at }));
        self.renew_delegation();
        self.discover(|discovery, context| discovery.on_delegated(context));
        let own = self.sessions.iter().filter(|session| session.is_own() && !session.phase().has_ended());
        let unlisted = own.filter(|session| !self.discovery.announces(&RecordKey::Request(session.id())));
        for definition in unlisted.map(Session::definition).cloned().collect::<alloc::vec::Vec<_>>() {
            self.list_request(&definition);
        }
        self.sign(|sessions, context| sessions.on_signer_ready(context));
    }

    fn tell_delegation_awaited(&mut self, error: Option<SignerError>) {
        let message_key = self.environment.author.message_key();
        let Some(own) = self.environment.author.delegating_mut() else { return };
        let is_news = !core::mem::replace(&mut own.told_awaited, true) || error.is_some();
        if is_news {
            self.outbox.push(Output::Event(Event::DelegationAwaited { message_key, error }));
        }
    }
}
