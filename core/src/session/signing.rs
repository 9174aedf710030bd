//! What a session asks of its node's own signer, and what comes of the answers.
//!
//! Invariants: a session waits for its signer in two places, and nothing else waits with it; a reply that fits neither
//! changes nothing, and nonces that it brings are wiped; what the signer is asked stands behind the session's records,
//! so that the attempt is durable before its nonces are drawn, and that they are spent before they are signed with.

use alloc::vec::Vec;

use super::attempt::Partial;
use super::items::Items;
use super::machine::Session;
use crate::api::{AttemptCause, AttemptFailure, Event, Output, Phase, SignRequest, SignerTask, TimerReason};
use crate::crypto::{NonceSlot, PartialSignature, PublicNonce, SignerError, Verifier};
use crate::effect::Context;
use crate::wire::Content;

impl<V: Verifier> Session<V> {
    /// What the current attempt waits for at this node's own signer.
    pub(crate) fn signer_owes(&self) -> Option<SignerTask> {
        let attempt = &self.live.as_ref()?.attempt;
        match self.phase {
            Phase::NonceExchange if !attempt.has_nonces_of(self.me) => Some(SignerTask::Nonces),
            Phase::PartialSignatureExchange if !attempt.has_partial_of(self.me) => Some(SignerTask::Partials),
            _ => None,
        }
    }

    /// What each item is signed with, until the session ends.
    pub(crate) fn items(&self) -> Option<&Items<V>> {
        self.live.as_ref().map(|live| &live.items)
    }

    /// Keys and round of each item in this attempt, if it is the current one and all nonces are here.
    pub(crate) fn rounds(&self, attempt: u32) -> Option<Vec<(&V::Keys, &V::Round)>> {
        let live = self.live.as_ref().filter(|_| attempt == self.number)?;
        let rounds = live.attempt.rounds()?.iter().enumerate();
        Some(rounds.map(|(item, round)| (live.items.keys(item), round)).collect())
    }

    /// Asks the signer for what it owes.
    pub(super) fn ask_signer(&mut self, context: &mut Context<'_, V>) {
        let (slot, task) = (self.slot(), self.signer_owes());
        let time = (self.definition.created_at, self.definition.expires_at);
        if task.is_some() && !context.author.speaks_for(time) {
            // Nobody would take what is signed then. The signer is asked when it has delegated (K3).
            return context.timer(TimerReason::Stalled(self.id), context.config.stall);
        }
        let request = match task {
            None => return,
            Some(SignerTask::Nonces) => SignRequest::Nonces { slot, definition: self.definition.clone() },
            Some(SignerTask::Partials) => {
                let nonces = |item| self.live_ref().attempt.nonces_of(item);
                SignRequest::Partials { slot, nonces: (0..self.definition.items.len()).map(nonces).collect() }
            }
        };
        context.output(Output::Sign(request));
        self.live_mut().told_awaited = false;
        context.timer(TimerReason::Stalled(self.id), context.config.stall);
    }

    /// R4: the signer has not answered for a while. Nobody else is asked for anything before this node has shown its
    /// own nonce: that may wait for a person, for as long as the session lives.
    pub(super) fn tell_awaited(&mut self, context: &mut Context<'_, V>, task: SignerTask) {
        if !core::mem::replace(&mut self.live_mut().told_awaited, true) {
            context.event(Event::SignerAwaited { session: self.id, attempt: self.number, task });
        }
    }

    /// S13: the signer has drawn the nonces of an attempt, and they go to all.
    pub(crate) fn on_own_nonces(
        &mut self,
        context: &mut Context<'_, V>,
        slot: NonceSlot,
        nonces: Result<Vec<PublicNonce>, SignerError>,
    ) {
        if slot != self.slot() || self.signer_owes() != Some(SignerTask::Nonces) {
            let is_in_use = slot == self.slot() && self.is_exchanging();
            if nonces.is_ok() && !is_in_use {
                context.output(Output::Sign(SignRequest::Forget(slot)));
            }
            return;
        }
        let shown = nonces.and_then(|nonces| {
            let is_whole = nonces.len() == self.definition.items.len();
            if is_whole { self.show_nonces(context, nonces) } else { Err(SignerError::RoundMismatch) }
        });
        self.on_shown(context, shown);
    }

    /// What the signer has given goes on its way; if it has given nothing of use, the attempt has failed.
    fn on_shown(&mut self, context: &mut Context<'_, V>, shown: Result<(), SignerError>) {
        match shown {
            Ok(()) => {
                self.progress(context);
                self.advance(context);
            }
            Err(error) => self.fail(context, AttemptFailure::Signer(error)),
        }
    }

    fn show_nonces(&mut self, context: &mut Context<'_, V>, nonces: Vec<PublicNonce>) -> Result<(), SignerError> {
        let announces_nonces = self.definition.announces_nonces();
        let mut said = Vec::new();
        if self.is_own() {
            let nonces = if announces_nonces { nonces.clone() } else { Vec::new() };
            said.push(self.seal(context, Content::Announce { definition: self.definition.clone(), nonces })?);
            self.live_mut().announcement = said.first().cloned();
        }
        if !self.is_own() || !announces_nonces {
            said.push(self.seal(context, Content::Join { nonces: nonces.clone() })?);
        }
        let me = self.me;
        let bytes = said.last().expect("the nonces are said").clone();
        let stored = self.live_mut().attempt.store_nonces(me, nonces, bytes);
        assert_eq!(stored, Ok(true), "a signer shows its nonces once in an attempt");
        said.iter().for_each(|bytes| self.broadcast(context, bytes));
        Ok(())
    }

    /// S14: the signer has signed, and its partial signatures go to all.
    pub(crate) fn on_partials(
        &mut self,
        context: &mut Context<'_, V>,
        slot: NonceSlot,
        partials: Result<Vec<PartialSignature>, SignerError>,
    ) {
        if slot != self.slot() || self.signer_owes() != Some(SignerTask::Partials) {
            return;
        }
        let shown = partials.and_then(|partials| {
            let is_whole = partials.len() == self.definition.items.len();
            if is_whole { self.show_partials(context, partials) } else { Err(SignerError::RoundMismatch) }
        });
        self.on_shown(context, shown);
    }

    fn show_partials(
        &mut self,
        context: &mut Context<'_, V>,
        signatures: Vec<PartialSignature>,
    ) -> Result<(), SignerError> {
        let nonces = self.live_ref().attempt.nonces_hash().expect("the rounds were opened before they were asked for");
        let bytes = self.seal(context, Content::Partial { nonces, partials: signatures.clone() })?;
        let me = self.me;
        let stored = self.live_mut().attempt.store_partial(me, Partial { nonces, signatures }, bytes.clone());
        assert_eq!(stored, Ok(true), "a signer signs once in an attempt");
        self.broadcast(context, &bytes);
        Ok(())
    }

    /// S15: the signer is back. It is asked again for what it owes; where its absence has ended an attempt, the next
    /// one begins.
    pub(crate) fn on_signer_ready(&mut self, context: &mut Context<'_, V>) {
        self.ask_signer(context);
        if self.phase == Phase::Failed && core::mem::take(&mut self.live_mut().lacked_signer) {
            self.schedule(context, AttemptCause::Retried, core::time::Duration::ZERO);
        }
    }

    /// Has the signer wipe the nonces of the current attempt, if it may hold some that have not signed.
    pub(super) fn forget_nonces(&self, context: &mut Context<'_, V>) {
        let is_open = match self.phase {
            Phase::NonceExchange => true,
            Phase::PartialSignatureExchange => self.signer_owes().is_some(),
            _ => false,
        };
        if is_open {
            context.output(Output::Sign(SignRequest::Forget(self.slot())));
        }
    }

    pub(super) fn slot(&self) -> NonceSlot {
        NonceSlot { session: *self.id.as_bytes(), attempt: self.number }
    }
}
