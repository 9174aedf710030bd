//! What a session asks of its node's own signer, and what comes of the answers.
//!
//! Invariants: a session waits for its signer in two places, and nothing else waits with it; a reply that fits neither
//! changes nothing, and nonces that it brings are wiped; what the signer is asked stands behind the session's records,
//! so that the attempt is durable before its nonces are drawn, and that they are spent before they are signed with.

use alloc::vec::Vec;

use super::attempt::Partial;
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
            Phase::NonceExchange if !attempt.has_nonce_of(self.me) => Some(SignerTask::Nonces),
            Phase::PartialSignatureExchange if !attempt.has_partial_of(self.me) => Some(SignerTask::Partials),
            _ => None,
        }
    }

    /// The aggregated keys, until the session ends.
    pub(crate) fn keys(&self) -> Option<&V::Keys> {
        self.live.as_ref().map(|live| &live.keys)
    }

    /// Keys and round of this attempt, if it is the current one and all nonces are here.
    pub(crate) fn round(&self, attempt: u32) -> Option<(&V::Keys, &V::Round)> {
        let live = self.live.as_ref().filter(|_| attempt == self.number)?;
        Some((&live.keys, live.attempt.round()?))
    }

    /// Asks the signer for what it owes.
    pub(super) fn ask_signer(&mut self, context: &mut Context<'_, V>) {
        let slot = self.slot();
        let request = match self.signer_owes() {
            None => return,
            Some(SignerTask::Nonces) => SignRequest::Nonces { slot, definition: self.definition.clone() },
            Some(SignerTask::Partials) => {
                let nonces = self.live_ref().attempt.nonces();
                SignRequest::Partials { slot, nonces: Vec::from([nonces]) }
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
    pub(crate) fn on_nonces(
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
        let shown = nonces.and_then(|nonces| match nonces[..] {
            [nonce] => self.show_nonce(context, nonce),
            _ => Err(SignerError::RoundMismatch),
        });
        match shown {
            Ok(()) => {
                self.progress(context);
                self.advance(context);
            }
            Err(error) => self.fail(context, AttemptFailure::Signer(error)),
        }
    }

    fn show_nonce(&mut self, context: &mut Context<'_, V>, nonce: PublicNonce) -> Result<(), SignerError> {
        let is_creator = self.is_own();
        let content = if is_creator {
            Content::Announce { definition: self.definition.clone(), nonce }
        } else {
            Content::Join { nonce }
        };
        let bytes = self.seal(context, content)?;
        let me = self.me;
        let live = self.live_mut();
        if is_creator {
            live.announcement = Some(bytes.clone());
        }
        let stored = live.attempt.store_nonce(me, nonce, bytes.clone());
        assert_eq!(stored, Ok(true), "a signer shows one nonce in an attempt");
        self.broadcast(context, &bytes);
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
        let shown = partials.and_then(|partials| match partials[..] {
            [partial] => self.show_partial(context, partial),
            _ => Err(SignerError::RoundMismatch),
        });
        match shown {
            Ok(()) => {
                self.progress(context);
                self.advance(context);
            }
            Err(error) => self.fail(context, AttemptFailure::Signer(error)),
        }
    }

    fn show_partial(&mut self, context: &mut Context<'_, V>, signature: PartialSignature) -> Result<(), SignerError> {
        let nonces = self.live_ref().attempt.nonces_hash().expect("the round was opened before it was asked for");
        let bytes = self.seal(context, Content::Partial { nonces, partial: signature })?;
        let me = self.me;
        let stored = self.live_mut().attempt.store_partial(me, Partial { nonces, signature }, bytes.clone());
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
