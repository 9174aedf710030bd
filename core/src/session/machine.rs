//! What happens in a session, and when.
//!
//! Invariants: only this file changes a session's phase; a phase is left in the same step in which its condition
//! holds; the record that an attempt has been opened precedes its nonce, and the record that the nonce is spent
//! precedes the partial signature; an ended session never signs.
//!
//! Driven by `Node`: commands, admitted messages, timers. The numbers S1… name the transitions.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::attempt::{Attempt, Culprits, Partial};
use super::{Context, News};
use crate::api::{AttemptCause, AttemptFailure, CommandError, Event, Phase, Refusal};
use crate::base::Bytes;
use crate::crypto::{NonceSlot, PublicNonce, Signature, SignerError, Verifier};
use crate::gate::Admitted;
use crate::journal::{End, Outcome, SessionRecord};
use crate::wire::{AbortReason, Body, Content, Definition, SessionId, SessionMessage, seal};

/// One session, as this signer sees it.
pub(crate) struct Session<V: Verifier> {
    pub(super) id: SessionId,
    pub(super) definition: Arc<Definition>,
    pub(super) me: usize,
    pub(super) number: u32,
    pub(super) phase: Phase,
    sequence: u64,
    spent: bool,
    /// What a session needs that has not ended.
    pub(super) live: Option<Live<V>>,
    end: Option<End>,
}

pub(super) struct Live<V: Verifier> {
    keys: V::Keys,
    pub(super) attempt: Attempt<V>,
    /// Partial signatures of a later attempt whose nonces are still on their way, one per signer.
    ahead: Vec<Option<(u32, Partial, Bytes)>>,
    /// The creator's newest announcement, for signers who do not know the session.
    pub(super) announcement: Option<Bytes>,
    pub(super) stalls: u32,
}

impl<V: Verifier> Session<V> {
    fn new(definition: Definition, keys: V::Keys, me: usize, number: u32) -> Self {
        let signers = definition.keys.len();
        let ahead = (0..signers).map(|_| None).collect();
        let live = Live { keys, attempt: Attempt::new(signers), ahead, announcement: None, stalls: 0 };
        Self {
            id: definition.id(),
            definition: Arc::new(definition),
            me,
            number,
            phase: Phase::Announced,
            sequence: 0,
            spent: false,
            live: Some(live),
            end: None,
        }
    }

    /// S1: this node creates a session and announces it with its nonce.
    pub(crate) fn create(
        context: &mut Context<'_, V>,
        definition: Definition,
        keys: V::Keys,
    ) -> Result<Self, SignerError> {
        let me = usize::from(definition.creator);
        let mut session = Self::new(definition, keys, me, 1);
        session.begin(context)?;
        Ok(session)
    }

    /// S2: another signer has announced a session; this node waits for approval.
    pub(crate) fn announced(definition: Definition, keys: V::Keys, me: usize) -> Self {
        Self::new(definition, keys, me, 1)
    }

    /// S3: after a restart, a session that had not ended goes on with a new attempt, and one that had ended is
    /// remembered. The nonces of the attempt before died with the process.
    pub(crate) fn resume(context: &mut Context<'_, V>, record: SessionRecord, keys: V::Keys, me: usize) -> Self {
        let mut session = Self::new(record.definition, keys, me, record.attempt);
        session.spent = record.spent;
        match record.end {
            Some(end) => {
                session.phase = match end.outcome {
                    Outcome::Complete(_) => Phase::Complete,
                    Outcome::Aborted { .. } => Phase::Aborted,
                };
                session.end = Some(end);
                session.live = None;
            }
            None if session.number < context.config.limits.attempts => {
                session.next_attempt(context, record.attempt + 1, AttemptCause::Restarted);
            }
            None => session.phase = Phase::Failed,
        }
        session
    }

    /// S4: the embedder approves.
    pub(crate) fn join(&mut self, context: &mut Context<'_, V>) -> Result<(), CommandError> {
        if self.phase.has_ended() {
            return Err(CommandError::Ended(self.id));
        }
        if self.phase == Phase::Announced {
            self.begin(context).map_err(CommandError::Signer)?;
            self.advance(context);
        }
        Ok(())
    }

    /// S5: the embedder wants another attempt.
    pub(crate) fn retry(&mut self, context: &mut Context<'_, V>) -> Result<(), CommandError> {
        match self.phase {
            phase if phase.has_ended() => Err(CommandError::Ended(self.id)),
            Phase::Failed if self.number < context.config.limits.attempts => {
                self.next_attempt(context, self.number + 1, AttemptCause::Retried);
                Ok(())
            }
            Phase::Failed => Err(CommandError::NoAttemptsLeft(self.id)),
            _ => Err(CommandError::NothingToRetry(self.id)),
        }
    }

    /// S6: the embedder refuses, and everyone is told.
    pub(crate) fn abort(&mut self, context: &mut Context<'_, V>, reason: AbortReason) -> Result<(), CommandError> {
        if self.phase.has_ended() {
            return Err(CommandError::Ended(self.id));
        }
        let bytes = self.seal(context, Content::Abort { reason }).map_err(CommandError::Signer)?;
        let by = self.definition.keys[self.me];
        self.end_with(context, Outcome::Aborted { by, reason }, Some(&bytes));
        self.broadcast(context, &bytes);
        Ok(())
    }

    /// S7: its time is over.
    pub(crate) fn expire(&mut self, context: &mut Context<'_, V>) {
        if !self.phase.has_ended() {
            self.forget_nonce(context);
            self.live = None;
            self.enter(context, Phase::Expired);
            context.event(Event::SessionExpired { session: self.id });
        }
    }

    /// A signer's step.
    pub(crate) fn on_message(
        &mut self,
        context: &mut Context<'_, V>,
        message: Admitted<SessionMessage>,
    ) -> Result<(), Refusal> {
        let (author, SessionMessage { attempt, content, .. }, bytes) = message.into_all();
        let from = self.definition.index_of(&author).expect("the gate admits signers only");
        if self.phase.has_ended() {
            // Whoever still works on the session has missed how it ended.
            if !matches!(content, Content::Finalized { .. } | Content::Abort { .. }) {
                self.send_last_word(context, from);
            }
            return Err(Refusal::Ended);
        }
        match content {
            Content::Announce { nonce, .. } => {
                self.live_mut().announcement = Some(bytes.clone());
                self.on_nonce(context, from, attempt, nonce, bytes)
            }
            Content::Join { nonce } => self.on_nonce(context, from, attempt, nonce, bytes),
            Content::Partial { nonces, partial } => {
                self.on_partial(context, from, attempt, Partial { nonces, signature: partial }, bytes)
            }
            Content::Finalized { signature } => self.on_finalized(context, attempt, signature),
            Content::Abort { reason } => {
                // S8: another signer refuses. Without it there is no signature.
                self.end_with(context, Outcome::Aborted { by: author, reason }, Some(&bytes));
                Ok(())
            }
            Content::Status { nonces, partials } => {
                self.on_status(context, from, attempt, &nonces, &partials);
                Ok(())
            }
        }
    }

    fn on_nonce(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        attempt: u32,
        nonce: PublicNonce,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        if attempt < self.number {
            return Err(Refusal::StaleAttempt);
        }
        if attempt > self.number {
            // S9: another signer has begun a new attempt; the old one is dead, and so is this node's nonce in it.
            if self.phase == Phase::Announced {
                self.reset_attempt(context, attempt);
            } else {
                let cause = AttemptCause::Followed(self.definition.keys[from]);
                self.next_attempt(context, attempt, cause);
            }
        } else if self.phase == Phase::Failed {
            return Err(Refusal::StaleAttempt);
        }
        let is_new = self.live_mut().attempt.store_nonce(from, nonce, bytes)?;
        if is_new {
            let signer = self.definition.keys[from];
            context.event(Event::SignerJoined { session: self.id, attempt, signer });
            self.advance(context);
        }
        Ok(())
    }

    fn on_partial(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        attempt: u32,
        partial: Partial,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        if attempt < self.number || (attempt == self.number && self.phase == Phase::Failed) {
            return Err(Refusal::StaleAttempt);
        }
        if attempt > self.number {
            // Only a nonce begins an attempt, because this node cannot sign without it anyway.
            self.live_mut().ahead[from] = Some((attempt, partial, bytes));
            return Ok(());
        }
        if self.live_mut().attempt.store_partial(from, partial, bytes)? {
            self.advance(context);
        }
        Ok(())
    }

    /// S10: another signer has the signature. It is believed because it verifies, not because of who says so.
    fn on_finalized(
        &mut self,
        context: &mut Context<'_, V>,
        attempt: u32,
        signature: Signature,
    ) -> Result<(), Refusal> {
        let live = self.live_ref();
        if !context.verifier.verify_final(&live.keys, &self.definition.message, &signature) {
            return Err(Refusal::FinalSignature);
        }
        self.complete(context, attempt, signature);
        Ok(())
    }

    /// Leaves every phase whose condition holds.
    fn advance(&mut self, context: &mut Context<'_, V>) {
        if self.phase == Phase::NonceExchange && self.live_ref().attempt.has_all_nonces() {
            self.sign(context);
        }
        if self.phase == Phase::PartialSignatureExchange && self.live_ref().attempt.has_all_partials() {
            self.combine(context);
        }
    }

    /// S11: all nonces are here: sign. The nonce is spent from here on, whatever happens.
    fn sign(&mut self, context: &mut Context<'_, V>) {
        let slot = self.slot();
        let live = self.live.as_mut().expect("a session that exchanges nonces is live");
        let (round, nonces) = match live.attempt.open_round(context.verifier, &live.keys, &self.definition.message) {
            Ok(opened) => opened,
            Err(error) => {
                let failure = match error.culprit() {
                    Some(index) => AttemptFailure::InvalidNonce(self.definition.keys[index]),
                    None => AttemptFailure::NoncesCancel,
                };
                return self.fail(context, failure);
            }
        };
        let signed = context.signer.sign(slot, &live.keys, round);
        self.spent = true;
        self.record(context);
        let sealed = signed.and_then(|partial| {
            let bytes = self.seal(context, Content::Partial { nonces, partial })?;
            Ok((Partial { nonces, signature: partial }, bytes))
        });
        let Ok((partial, bytes)) = sealed else {
            return self.fail(context, AttemptFailure::Signer);
        };
        let me = self.me;
        let stored = self.live_mut().attempt.store_partial(me, partial, bytes.clone());
        assert_eq!(stored, Ok(true), "a signer signs once in an attempt");
        self.enter(context, Phase::PartialSignatureExchange);
        self.broadcast(context, &bytes);
        self.watch(context);
    }

    /// S12: all partial signatures are here: add them up, and look for a culprit only when that fails.
    fn combine(&mut self, context: &mut Context<'_, V>) {
        let live = self.live_ref();
        match live.attempt.combine(context.verifier, &live.keys) {
            Ok(signature) => self.complete(context, self.number, signature),
            Err(_) => {
                let Culprits { invalid, other_nonces } = live.attempt.culprits(context.verifier, &live.keys);
                let keys = |indices: Vec<usize>| indices.into_iter().map(|index| self.definition.keys[index]).collect();
                let failure = if invalid.is_empty() {
                    AttemptFailure::SplitView(keys(other_nonces))
                } else {
                    AttemptFailure::InvalidPartial(keys(invalid))
                };
                self.fail(context, failure);
            }
        }
    }

    fn complete(&mut self, context: &mut Context<'_, V>, attempt: u32, signature: Signature) {
        // Without a last word the others find the signature by themselves or from someone else.
        let bytes = self.seal(context, Content::Finalized { signature }).ok();
        self.end_with(context, Outcome::Complete(signature), bytes.as_ref());
        context.event(Event::SessionCompleted { session: self.id, attempt, signature });
    }

    fn end_with(&mut self, context: &mut Context<'_, V>, outcome: Outcome, last_word: Option<&Bytes>) {
        self.forget_nonce(context);
        let was_approved = self.phase != Phase::Announced;
        self.live = None;
        self.end = Some(End { outcome: outcome.clone(), last_word: last_word.map(|bytes| bytes.to_vec()) });
        if was_approved {
            self.record(context);
        }
        context.news.push(News::Rest);
        match outcome {
            Outcome::Complete(_) => self.enter(context, Phase::Complete),
            Outcome::Aborted { by, reason } => {
                self.enter(context, Phase::Aborted);
                context.event(Event::SessionAborted { session: self.id, by, reason });
            }
        }
    }

    /// S13: the attempt has failed; another may follow.
    fn fail(&mut self, context: &mut Context<'_, V>, failure: AttemptFailure) {
        self.forget_nonce(context);
        self.enter(context, Phase::Failed);
        context.event(Event::AttemptFailed { session: self.id, attempt: self.number, failure });
        context.news.push(News::Rest);
    }

    /// Abandons the current attempt for attempt `number`, and takes part in it.
    fn next_attempt(&mut self, context: &mut Context<'_, V>, number: u32, cause: AttemptCause) {
        self.reset_attempt(context, number);
        context.event(Event::AttemptStarted { session: self.id, attempt: number, cause });
        if self.begin(context).is_err() {
            return self.fail(context, AttemptFailure::Signer);
        }
        self.advance(context);
    }

    fn reset_attempt(&mut self, context: &mut Context<'_, V>, number: u32) {
        assert!(number > self.number, "an attempt is never opened twice: it would show two nonces");
        self.forget_nonce(context);
        self.number = number;
        self.sequence = 0;
        self.spent = false;
        let signers = self.definition.keys.len();
        let live = self.live_mut();
        live.attempt = Attempt::new(signers);
        live.stalls = 0;
        for (index, ahead) in live.ahead.iter_mut().enumerate() {
            let of_this_attempt = ahead.take_if(|(attempt, ..)| *attempt <= number);
            if let Some((_, partial, bytes)) = of_this_attempt.filter(|(attempt, ..)| *attempt == number) {
                let stored = live.attempt.store_partial(index, partial, bytes);
                assert_eq!(stored, Ok(true), "a new attempt is empty");
            }
        }
    }

    /// Draws this node's nonce for the current attempt and sends it to all, once the record of the attempt is durable.
    fn begin(&mut self, context: &mut Context<'_, V>) -> Result<(), SignerError> {
        let slot = self.slot();
        let live = self.live.as_ref().expect("an attempt begins in a live session");
        let nonce = context.signer.nonce(slot, &live.keys, &self.definition.message)?;
        let is_creator = self.me == usize::from(self.definition.creator);
        let content = if is_creator {
            Content::Announce { definition: (*self.definition).clone(), nonce }
        } else {
            Content::Join { nonce }
        };
        let bytes = self.seal(context, content).inspect_err(|_| context.signer.forget(slot))?;
        let me = self.me;
        let live = self.live_mut();
        if is_creator {
            live.announcement = Some(bytes.clone());
        }
        let stored = live.attempt.store_nonce(me, nonce, bytes.clone());
        assert_eq!(stored, Ok(true), "a signer shows one nonce in an attempt");
        self.record(context);
        self.enter(context, Phase::NonceExchange);
        self.broadcast(context, &bytes);
        self.watch(context);
        Ok(())
    }

    pub(super) fn seal(&mut self, context: &mut Context<'_, V>, content: Content) -> Result<Bytes, SignerError> {
        self.sequence += 1;
        let step = SessionMessage { session: self.id, attempt: self.number, sequence: self.sequence, content };
        seal(context.signer, context.config.network, Body::Session(step))
    }

    fn record(&self, context: &mut Context<'_, V>) {
        context.news.push(News::Record(SessionRecord {
            definition: (*self.definition).clone(),
            attempt: self.number,
            spent: self.spent,
            end: self.end.clone(),
        }));
    }

    fn enter(&mut self, context: &mut Context<'_, V>, phase: Phase) {
        self.phase = phase;
        context.event(Event::PhaseChanged { session: self.id, attempt: self.number, phase });
    }

    fn broadcast(&self, context: &mut Context<'_, V>, bytes: &Bytes) {
        let others = (0..self.definition.keys.len()).filter(|index| *index != self.me);
        context.news.extend(others.map(|index| News::Send(index, bytes.clone())));
    }

    fn send_last_word(&self, context: &mut Context<'_, V>, to: usize) {
        if let Some(End { last_word: Some(bytes), .. }) = &self.end {
            context.news.push(News::Send(to, bytes.as_slice().into()));
        }
    }

    fn watch(&mut self, context: &mut Context<'_, V>) {
        self.live_mut().stalls = 0;
        context.news.push(News::Watch { stalls: 0 });
    }

    fn forget_nonce(&mut self, context: &mut Context<'_, V>) {
        context.signer.forget(self.slot());
    }

    fn slot(&self) -> NonceSlot {
        NonceSlot { session: *self.id.as_bytes(), attempt: self.number }
    }

    pub(super) fn live_ref(&self) -> &Live<V> {
        self.live.as_ref().expect("a session that has not ended is live")
    }

    pub(super) fn live_mut(&mut self) -> &mut Live<V> {
        self.live.as_mut().expect("a session that has not ended is live")
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.number
    }

    pub(crate) fn signature(&self) -> Option<&Signature> {
        match &self.end {
            Some(End { outcome: Outcome::Complete(signature), .. }) => Some(signature),
            _ => None,
        }
    }

    pub(crate) fn challenge_key(&self, verifier: &V) -> Option<crate::crypto::PublicKey> {
        self.live.as_ref().map(|live| verifier.challenge_key(&live.keys))
    }

    /// Which signers' nonces of the current attempt are here, in key order; empty once it has ended.
    pub(crate) fn joined(&self) -> Vec<bool> {
        self.live.as_ref().map(|live| live.attempt.joined().collect()).unwrap_or_default()
    }
}
