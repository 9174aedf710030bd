//! How a session begins, how attempts at it begin and fail, and where each message goes.
//!
//! Invariants: only this folder changes a session's phase; the record that an attempt has been opened precedes its
//! nonce; an attempt is never opened twice; an ended session never signs.
//!
//! Driven by `Node`: commands, admitted messages, timers. The numbers S1… name the transitions of
//! `docs/src/machines.md`.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::Reach;
use super::attempt::{Attempt, Partial};
use super::ending::Ending;
use super::items::Items;
use super::rounds::Misdeed;
use crate::api::{AttemptCause, AttemptFailure, CommandError, Event, Phase, RecordSequence, Refusal, TimerReason};
use crate::approval::{Summary, Unusual};
use crate::base::{Bytes, Mono};
use crate::crypto::{PublicKey, SignerError, Verifier};
use crate::effect::{Context, Effect};
use crate::gate::Admitted;
use crate::journal::{Record, SessionRecord};
use crate::wire::{Content, Definition, DefinitionError, SessionId, SessionMessage};

/// One session, as this signer sees it.
pub(crate) struct Session<V: Verifier> {
    pub(super) id: SessionId,
    pub(super) definition: Arc<Definition>,
    /// Of each item.
    challenge_keys: Vec<PublicKey>,
    pub(super) me: usize,
    pub(super) number: u32,
    pub(super) phase: Phase,
    /// How many of the attempts have lapsed here.
    pub(super) lapsed: u32,
    /// Whether one of its nonces has signed, in any attempt.
    pub(super) spent: bool,
    /// Whether its owner has closed it, and it is kept only for a signature that may still appear.
    pub(super) is_closed: bool,
    sequence: u64,
    incarnation: u32,
    /// Whether the journal has its definition.
    is_journalled: bool,
    /// Whether the journal knows of this life.
    pub(super) is_alive: bool,
    /// Since when this process has known of it.
    since: Mono,
    /// What a session needs that has not ended.
    pub(super) live: Option<Live<V>>,
    pub(super) ending: Ending,
    /// Who was accused in which attempt of what.
    pub(super) accused: BTreeSet<(usize, u32, Misdeed)>,
    /// The session's newest record: nothing said about the session leaves before it is durable.
    pub(crate) barrier: RecordSequence,
}

/// What a session needs that has not ended.
pub(super) struct Live<V: Verifier> {
    pub(super) items: Items<V>,
    pub(super) attempt: Attempt<V>,
    /// Who is known to have approved.
    pub(super) approved: Vec<bool>,
    /// Whether the attempt has lapsed at another signer, while this node has not approved.
    pub(super) has_lapsed: bool,
    /// Who has said that it cannot take this node's request.
    pub(super) busy: BTreeSet<usize>,
    /// The creator's newest announcement, for signers who do not know the session.
    pub(super) announcement: Option<Bytes>,
    /// When something last arrived or was sent for the first time.
    pub(super) progress_at: Mono,
    pub(super) stalls: u32,
    /// The next attempt, when this node is to begin it.
    pub(super) retry: Option<Retry>,
    /// How often this node has retried by itself.
    pub(super) retries: u32,
    /// Whether the last attempt failed because the signer could not be reached or had forgotten it.
    pub(super) lacked_signer: bool,
    /// Whether the embedder has been told that the signer is awaited.
    pub(super) told_awaited: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pub(super) cause: AttemptCause,
    pub(super) not_before: Mono,
    /// Whether it is in vain before all signers can be reached: those who can were there before.
    pub(super) needs_all: bool,
}

impl<V: Verifier> Session<V> {
    fn new(verifier: &V, definition: Arc<Definition>, items: Items<V>, me: usize, number: u32, now: Mono) -> Self {
        let signers = definition.keys.len();
        let challenge_keys = items.challenge_keys(verifier);
        let live = Live {
            items,
            attempt: Attempt::new(signers),
            approved: vec![false; signers],
            has_lapsed: false,
            busy: BTreeSet::new(),
            announcement: None,
            progress_at: now,
            stalls: 0,
            retry: None,
            retries: 0,
            lacked_signer: false,
            told_awaited: false,
        };
        Self {
            id: definition.id(),
            definition,
            challenge_keys,
            me,
            number,
            phase: Phase::Announced,
            lapsed: 0,
            spent: false,
            is_closed: false,
            sequence: 0,
            incarnation: 0,
            is_journalled: false,
            is_alive: true,
            since: now,
            live: Some(live),
            ending: Ending::default(),
            accused: BTreeSet::new(),
            barrier: RecordSequence::default(),
        }
    }

    /// S1: this node creates a session and announces it with its nonce.
    pub(crate) fn create(
        context: &mut Context<'_, V>,
        definition: Arc<Definition>,
        items: Items<V>,
        allow: &BTreeSet<Unusual>,
    ) -> Result<Self, CommandError> {
        let me = usize::from(definition.creator);
        let mut session = Self::new(context.verifier, definition, items, me, 1, context.now.mono);
        session.approve(context, allow)?;
        Ok(session)
    }

    /// S2: another signer has announced a session; this node waits for approval.
    pub(crate) fn announced(verifier: &V, definition: Arc<Definition>, items: Items<V>, me: usize, now: Mono) -> Self {
        Self::new(verifier, definition, items, me, 1, now)
    }

    /// S3: after a restart, an ended session is remembered, and one that had not ended goes on with a new attempt as
    /// soon as there is somebody to sign with. The nonces of the attempt before died with the process.
    pub(crate) fn resume(
        context: &mut Context<'_, V>,
        definition: Arc<Definition>,
        record: SessionRecord,
        (items, me): (Items<V>, usize),
    ) -> Self {
        let now = context.now.mono;
        let mut session = Self::new(context.verifier, definition, items, me, record.attempt, now);
        session.is_journalled = true;
        session.spent = record.spent;
        session.is_closed = record.is_closed;
        session.lapsed = record.lapsed;
        session.live_mut().approved[me] = true;
        session.incarnation = record.incarnation.saturating_add(1);
        session.is_alive = false;
        session.sequence = u64::from(session.incarnation) << 32;
        session.phase = Phase::Failed;
        match record.end {
            Some(end) => session.resume_end(context, end),
            None if session.is_overdue(context.now.wall) => session.expire(context),
            None => session.schedule(context, AttemptCause::Restarted, Duration::ZERO),
        }
        session
    }

    /// S4: the embedder approves.
    pub(crate) fn join(&mut self, context: &mut Context<'_, V>, allow: &BTreeSet<Unusual>) -> Result<(), CommandError> {
        self.check_open()?;
        if self.phase == Phase::Announced {
            self.approve(context, allow)?;
        }
        Ok(())
    }

    /// Begins what this node's owner has approved, unless it is something else than the owner has allowed.
    fn approve(&mut self, context: &mut Context<'_, V>, allow: &BTreeSet<Unusual>) -> Result<(), CommandError> {
        let summary = Box::new(self.summary().map_err(CommandError::Definition)?);
        let missing = summary.missing(allow);
        if !missing.is_empty() {
            return Err(CommandError::Unusual(missing));
        }
        if self.live_ref().has_lapsed {
            // S17: whoever has approved before waits for this, and follows.
            if self.number >= self.last_attempt(context) {
                return Err(CommandError::NoAttemptsLeft(self.id));
            }
            self.reset_attempt(context, self.number + 1);
            let (session, attempt, cause) = (self.id, self.number, AttemptCause::Approved);
            context.event(Event::AttemptStarted { session, attempt, cause });
        }
        self.begin(context);
        context.event(Event::SessionApproved { session: self.id, summary });
        Ok(())
    }

    /// S5: the embedder wants another attempt, now. While the signer has not answered, it is asked again instead.
    pub(crate) fn retry(&mut self, context: &mut Context<'_, V>) -> Result<(), CommandError> {
        self.check_open()?;
        match self.phase {
            Phase::Failed | Phase::Waiting if self.has_attempts_left(context) => {
                self.next_attempt(context, self.number + 1, AttemptCause::Commanded);
                Ok(())
            }
            Phase::Failed | Phase::Waiting => Err(CommandError::NoAttemptsLeft(self.id)),
            _ if self.signer_owes().is_some() => {
                self.ask_signer(context);
                Ok(())
            }
            _ => Err(CommandError::NothingToRetry(self.id)),
        }
    }

    /// S6: the next attempt that this node is to begin may be due. It waits for the other signers, so that no nonce is
    /// drawn for nobody; after the longest pause one of them is enough, because messages travel through others too.
    pub(crate) fn on_retry(&mut self, context: &mut Context<'_, V>, reach: Reach) {
        let now = context.now.mono;
        let Some(Retry { cause, not_before, needs_all }) = self.live.as_ref().and_then(|live| live.retry) else {
            return;
        };
        if now < not_before {
            return;
        }
        let has_waited = !needs_all && now.since(not_before) >= context.config.stall_max;
        if reach.connected == reach.others || (has_waited && reach.connected > 0) {
            self.next_attempt(context, self.number + 1, cause);
        } else if !needs_all {
            context.timer(TimerReason::Retry(self.id), context.config.stall);
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
        if let Content::Confirmed = content {
            return self.on_confirmed(context, from, bytes);
        }
        if self.phase.has_ended() {
            return self.on_late_message(context, from, &content, bytes);
        }
        let has_approved = !matches!(content, Content::Finalized { .. } | Content::Abort { .. } | Content::Busy);
        let is_approval = has_approved && !core::mem::replace(&mut self.live_mut().approved[from], true);
        let result = match content {
            Content::Announce { nonces, .. } => {
                self.live_mut().announcement = Some(bytes.clone());
                // Where they do not come along, they follow.
                if nonces.is_empty() { Ok(()) } else { self.on_nonces(context, from, attempt, nonces, bytes) }
            }
            Content::Join { nonces } => self.on_nonces(context, from, attempt, nonces, bytes),
            Content::Partial { nonces, partials } => {
                self.on_partial(context, from, attempt, Partial { nonces, signatures: partials }, bytes)
            }
            Content::Finalized { signatures } => self.on_finalized(context, from, signatures, bytes),
            Content::Abort { reason } => {
                self.on_abort(context, author, reason, &bytes);
                Ok(())
            }
            Content::Status { nonces, partials } => {
                self.on_status(context, from, attempt, &nonces, &partials);
                Ok(())
            }
            Content::Waiting => {
                self.on_waiting(context, from, attempt);
                Ok(())
            }
            Content::Busy => {
                self.on_busy(context, from);
                Ok(())
            }
            Content::Confirmed => unreachable!("handled above, in every phase"),
        };
        if is_approval {
            self.on_gathered(context);
        }
        result
    }

    /// S7: the attempt has failed. Most failures are worth another attempt, after a pause that doubles.
    pub(super) fn fail(&mut self, context: &mut Context<'_, V>, failure: AttemptFailure) {
        self.forget_nonces(context);
        self.enter(context, Phase::Failed);
        let is_worth_it = !matches!(failure, AttemptFailure::Signer(error) if !error.may_pass());
        let lacked_signer = is_worth_it && matches!(failure, AttemptFailure::Signer(_));
        context.event(Event::AttemptFailed { session: self.id, attempt: self.number, failure });
        context.timer(TimerReason::Stalled(self.id), None);
        let live = self.live_mut();
        live.lacked_signer = lacked_signer;
        if is_worth_it && live.retries < context.config.retries {
            live.retries += 1;
            let pause = context.config.stall.saturating_mul(1 << live.retries.min(16));
            self.schedule(context, AttemptCause::Retried, pause);
        }
    }

    pub(super) fn schedule(&mut self, context: &mut Context<'_, V>, cause: AttemptCause, pause: Duration) {
        if self.has_attempts_left(context) {
            let not_before = context.now.mono.after(pause);
            self.live_mut().retry = Some(Retry { cause, not_before, needs_all: false });
            context.timer(TimerReason::Retry(self.id), pause);
        }
    }

    /// Whether this node may begin another attempt.
    pub(super) fn has_attempts_left(&self, context: &Context<'_, V>) -> bool {
        self.number.saturating_sub(self.lapsed) < context.config.limits.attempts
            && self.number < self.last_attempt(context)
    }

    pub(super) fn last_attempt(&self, context: &Context<'_, V>) -> u32 {
        context.config.last_attempt(context.now.wall.since(self.definition.created_at))
    }

    /// Abandons the current attempt for attempt `number`, and takes part in it.
    pub(super) fn next_attempt(&mut self, context: &mut Context<'_, V>, number: u32, cause: AttemptCause) {
        self.reset_attempt(context, number);
        context.event(Event::AttemptStarted { session: self.id, attempt: number, cause });
        self.begin(context);
    }

    pub(super) fn reset_attempt(&mut self, context: &mut Context<'_, V>, number: u32) {
        assert!(number > self.number, "an attempt is never opened twice: it would show two nonces");
        self.forget_nonces(context);
        self.number = number;
        // What was said of it before a restart, without taking part, is not said again with the same number.
        self.sequence = u64::from(self.incarnation) << 32;
        let signers = self.definition.keys.len();
        let live = self.live_mut();
        live.attempt = Attempt::new(signers);
        live.has_lapsed = false;
        live.retry = None;
        context.timer(TimerReason::Retry(self.id), None);
    }

    /// S8: this node takes part in the current attempt. Its signer is asked for the nonces, once the record of the
    /// attempt is durable.
    fn begin(&mut self, context: &mut Context<'_, V>) {
        self.is_alive = true;
        let me = self.me;
        self.live_mut().approved[me] = true;
        self.record(context);
        self.enter(context, Phase::NonceExchange);
        self.ask_signer(context);
    }

    pub(super) fn seal(&mut self, context: &mut Context<'_, V>, content: Content) -> Result<Bytes, SignerError> {
        if !core::mem::replace(&mut self.is_alive, true) {
            // Before a word of this life leaves: the next one must not use its numbers again.
            self.record(context);
        }
        self.sequence += 1;
        let step = SessionMessage { session: self.id, attempt: self.number, sequence: self.sequence, content };
        context.seal_step(&self.definition, step)
    }

    /// What is remembered of the session; the first time also what it is.
    pub(super) fn record(&mut self, context: &mut Context<'_, V>) {
        if !core::mem::replace(&mut self.is_journalled, true) {
            context.push(Effect::PersistDefinition(Some(self.definition.clone())));
        }
        context.push(Effect::Persist(Some(Record::Session(Box::new(SessionRecord {
            attempt: self.number,
            lapsed: self.lapsed,
            spent: self.spent,
            incarnation: self.incarnation,
            end: self.ending.end().cloned(),
            is_closed: self.is_closed,
        })))));
    }

    pub(super) fn enter(&mut self, context: &mut Context<'_, V>, phase: Phase) {
        self.phase = phase;
        context.event(Event::PhaseChanged { session: self.id, attempt: self.number, phase });
    }

    pub(super) fn broadcast(&self, context: &mut Context<'_, V>, bytes: &Bytes) {
        let others = (0..self.definition.keys.len()).filter(|index| *index != self.me);
        others.for_each(|index| self.send(context, index, bytes.clone()));
    }

    /// Sends a message to the signer with this index.
    pub(super) fn send(&self, context: &mut Context<'_, V>, to: usize, bytes: Bytes) {
        context.push(Effect::ToSigner(self.definition.keys[to], bytes));
    }

    /// Something has happened, so that there is no need to ask for a while.
    pub(super) fn progress(&mut self, context: &mut Context<'_, V>) {
        let live = self.live_mut();
        live.progress_at = context.now.mono;
        live.stalls = 0;
        context.timer(TimerReason::Stalled(self.id), context.config.stall);
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

    /// Whether the journal has its definition.
    pub(crate) const fn is_journalled(&self) -> bool {
        self.is_journalled
    }

    /// Whether this node has created it.
    pub(crate) fn is_own(&self) -> bool {
        self.me == usize::from(self.definition.creator)
    }

    /// Since when this process has known of it.
    pub(crate) fn since(&self) -> Mono {
        self.since
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.number
    }

    /// The key that the signature of each item verifies under.
    pub(crate) fn challenge_keys(&self) -> &[PublicKey] {
        &self.challenge_keys
    }

    /// What signing it does.
    pub(crate) fn summary(&self) -> Result<Summary, DefinitionError> {
        Summary::of(&self.definition, &self.challenge_keys)
    }

    /// Which signers' nonces of the current attempt are here, in key order, or while it waits, who is known to have
    /// approved; empty once the session has ended.
    pub(crate) fn joined(&self) -> Vec<bool> {
        match &self.live {
            Some(live) if self.phase == Phase::Waiting => live.approved.clone(),
            Some(live) => live.attempt.joined().collect(),
            None => Vec::new(),
        }
    }
}
