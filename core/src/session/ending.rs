//! How a session ends: with a signature and somebody to broadcast it, with a refusal, or by running out of time.
//!
//! Invariants: the record of an end precedes every word about it, the embedder's event included. A signature is final.
//! A refusal and the end of the time are not, once a nonce of this node has signed: others may have made a signature of
//! it, which is asked for, taken and told.

use alloc::vec::Vec;
use core::fmt;

use super::fingerprint::origin;
use super::machine::Session;
use crate::api::{CommandError, Event, Phase, Refusal, TimerReason};
use crate::base::{Bytes, Mono, Wall};
use crate::crypto::{PublicKey, Signature, Verifier};
use crate::effect::{Context, Effect};
use crate::election::{Election, Failover, Turn};
use crate::journal::{End, Outcome};
use crate::wire::{AbortReason, Content};

/// What remains of a session that has ended, and what arrived about its end before.
#[derive(Debug, Default)]
pub(super) struct Ending {
    end: Option<End>,
    failover: Option<Failover>,
    /// The moment of completion on this node's clock; before the clock's origin after a restart, so counted from it.
    completed_at: Mono,
    /// Signers that said they had broadcast before this node had the signatures.
    early_claims: Vec<usize>,
    /// The first word that the signatures have been broadcast, for those who have missed it.
    confirmation: Option<Bytes>,
    /// How often the others were asked for a signature after the end.
    pub(super) asked: u32,
}

impl Ending {
    /// See `fingerprint`.
    pub(super) fn fingerprint(&self, text: &mut impl fmt::Write, now: Mono) -> fmt::Result {
        if let Some(End { outcome, final_message }) = &self.end {
            match outcome {
                Outcome::Complete { signatures, attempt, claimed, .. } => {
                    write!(text, " complete {signatures:?} {attempt} {claimed:?}")?;
                }
                Outcome::Aborted { by, reason } => write!(text, " aborted {by} {reason:?}")?,
                Outcome::Expired => text.write_str(" expired")?,
            }
            write!(text, " {:?}", final_message.as_ref().map(|bytes| origin(&bytes.as_slice().into())))?;
        }
        if let Some(failover) = &self.failover {
            write!(text, " {failover:?} {:?}", now.since(self.completed_at))?;
        }
        write!(text, " {:?} {:?} {}", self.early_claims, self.confirmation.as_ref().map(origin), self.asked)
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
}

impl<V: Verifier> Session<V> {
    pub(super) fn complete(&mut self, context: &mut Context<'_, V>, signatures: Vec<Signature>) {
        let attempt = self.number;
        // Without a last word the others find the signatures by themselves or from someone else.
        let bytes = self.seal(context, Content::Finalized { signatures: signatures.clone() }).ok();
        let own_key = self.definition.keys[self.me];
        let was_refused = self.ending.end().is_some_and(|end| end.is_refusal_of(&own_key));
        let (at, claimed) = (context.now.wall, None);
        let outcome = Outcome::Complete { signatures: signatures.clone(), attempt, at, claimed, was_refused };
        self.is_closed = false;
        self.end_with(context, outcome, bytes.as_ref(), Phase::Complete);
        context.event(Event::SessionCompleted { session: self.id, attempt, signatures: signatures.clone() });
        self.start_failover(context, &signatures, core::time::Duration::ZERO, None);
    }

    /// E1: the embedder refuses, and everyone is told.
    pub(crate) fn abort(&mut self, context: &mut Context<'_, V>, reason: AbortReason) -> Result<(), CommandError> {
        self.check_open()?;
        let bytes = self.seal(context, Content::Abort { reason }).map_err(CommandError::Signer)?;
        let by = self.definition.keys[self.me];
        self.on_abort(context, by, reason, &bytes);
        self.broadcast(context, &bytes);
        Ok(())
    }

    /// E2: a signer refuses. Without it there is no signature.
    pub(super) fn on_abort(&mut self, context: &mut Context<'_, V>, by: PublicKey, reason: AbortReason, bytes: &Bytes) {
        self.end_with(context, Outcome::Aborted { by, reason }, Some(bytes), Phase::Aborted);
        context.event(Event::SessionAborted { session: self.id, by, reason, may_complete: self.spent });
        self.ask_later(context);
    }

    /// E3: its time is over, by this node's clock. Work on it ends; that it was there is not forgotten, because the
    /// clock may be wrong.
    pub(super) fn expire(&mut self, context: &mut Context<'_, V>) {
        if self.spent {
            // A signature may still appear, over a restart too.
            self.end_with(context, Outcome::Expired, None, Phase::Expired);
        } else {
            self.forget_nonces(context);
            self.live = None;
            context.timer(TimerReason::Stalled(self.id), None);
            context.timer(TimerReason::Retry(self.id), None);
            self.enter(context, Phase::Expired);
        }
        context.event(Event::SessionExpired { session: self.id, may_complete: self.spent });
        self.ask_later(context);
    }

    /// Whether its time is over before it has ended.
    pub(super) fn is_overdue(&self, now: Wall) -> bool {
        !self.phase.has_ended() && self.definition.expires_at <= now
    }

    /// That something can still be done.
    pub(super) fn check_open(&self) -> Result<(), CommandError> {
        match self.phase {
            Phase::Expired => Err(CommandError::Expired(self.id)),
            phase if phase.has_ended() => Err(CommandError::Ended(self.id)),
            _ => Ok(()),
        }
    }

    /// How it ended, or where it stands, for whoever has missed the word about it.
    pub(crate) fn standing(&self) -> Event {
        let session = self.id;
        match self.ending.end().map(|end| &end.outcome) {
            Some(Outcome::Complete { signatures, attempt, .. }) => {
                Event::SessionCompleted { session, attempt: *attempt, signatures: signatures.clone() }
            }
            Some(Outcome::Aborted { by, reason }) => {
                let may_complete = self.may_complete();
                Event::SessionAborted { session, by: *by, reason: *reason, may_complete }
            }
            Some(Outcome::Expired) => Event::SessionExpired { session, may_complete: self.may_complete() },
            None => Event::PhaseChanged { session, attempt: self.attempt(), phase: self.phase },
        }
    }

    fn end_with(
        &mut self,
        context: &mut Context<'_, V>,
        outcome: Outcome,
        final_message: Option<&Bytes>,
        phase: Phase,
    ) {
        self.forget_nonces(context);
        // A session that was never approved leaves nothing behind, unless this node has refused it: then it has said
        // something, which a restart must not forget.
        let is_ours = matches!(&outcome, Outcome::Aborted { by, .. } if *by == self.definition.keys[self.me]);
        let was_approved = self.phase != Phase::Announced;
        self.live = None;
        self.ending.end = Some(End { outcome, final_message: final_message.map(|bytes| bytes.to_vec()) });
        if was_approved || is_ours {
            self.record(context);
        }
        context.timer(TimerReason::Stalled(self.id), None);
        context.timer(TimerReason::Retry(self.id), None);
        self.enter(context, phase);
    }

    /// After a restart: an end is remembered, and the turns go on where they are by now.
    pub(super) fn resume_end(&mut self, context: &mut Context<'_, V>, mut end: End) {
        self.live = None;
        if let Outcome::Complete { .. } = end.outcome {
            // It has a number of a life before, which is too old for whoever hears anything of this one first.
            end.final_message = None;
        }
        self.phase = match end.outcome {
            Outcome::Complete { .. } => Phase::Complete,
            Outcome::Aborted { .. } => Phase::Aborted,
            Outcome::Expired => Phase::Expired,
        };
        let outcome = end.outcome.clone();
        self.ending.end = Some(end);
        self.ask_later(context);
        if let Outcome::Complete { signatures, attempt, at, claimed, .. } = outcome {
            if claimed.is_none() {
                // The crash may have come between the record and the word about it.
                let signatures = signatures.clone();
                context.push(Effect::Repeat(Event::SessionCompleted { session: self.id, attempt, signatures }));
            }
            let claimed = claimed.and_then(|by| self.definition.index_of(&by));
            self.start_failover(context, &signatures, context.now.wall.since(at), claimed);
        }
    }

    fn start_failover(
        &mut self,
        context: &mut Context<'_, V>,
        signatures: &[Signature],
        elapsed: core::time::Duration,
        claimed: Option<usize>,
    ) {
        let Self { definition, id, me, ending, .. } = self;
        let election = Election::in_session(definition.election, &definition.keys, id.as_bytes(), signatures)
            .expect("a session's keys are sorted and distinct");
        let timeout = context.config.broadcast_timeout;
        let (mut failover, turn) = Failover::new(election.priority().to_vec(), *me, timeout, elapsed, claimed);
        for signer in core::mem::take(&mut ending.early_claims) {
            failover.claim(signer);
        }
        ending.completed_at = Mono::from_nanos(
            context.now.mono.as_nanos().saturating_sub(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)),
        );
        ending.failover = Some(failover);
        self.tell(context, turn);
        self.on_turn(context);
    }

    /// T1: the embedder says that the signature has been broadcast.
    pub(crate) fn confirm(&mut self, context: &mut Context<'_, V>) -> Result<(), CommandError> {
        let Some(failover) = self.ending.failover.as_mut() else { return Err(CommandError::NotComplete(self.id)) };
        if let Some(turn) = failover.confirm() {
            if let Ok(bytes) = self.seal(context, Content::Confirmed) {
                self.broadcast(context, &bytes);
                self.ending.confirmation = Some(bytes);
            }
            self.tell(context, Some(turn));
            context.timer(TimerReason::Turn(self.id), None);
        }
        Ok(())
    }

    /// T2: a signer says that it has broadcast the signature. It counts from that signer's turn on.
    pub(super) fn on_confirmed(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        self.ending.confirmation.get_or_insert(bytes);
        match (&mut self.ending.failover, self.phase) {
            (Some(failover), _) => {
                failover.claim(from);
                self.on_turn(context);
                Ok(())
            }
            (None, phase) if phase.has_ended() => Err(Refusal::Ended),
            (None, _) => {
                if !self.ending.early_claims.contains(&from) {
                    self.ending.early_claims.push(from);
                }
                Ok(())
            }
        }
    }

    /// Whether it would be news that this signer says it has broadcast.
    pub(super) fn lacks_claim_of(&self, from: usize) -> bool {
        match &self.ending.failover {
            Some(failover) => !failover.has_claim_of(from),
            None => !self.phase.has_ended() && !self.ending.early_claims.contains(&from),
        }
    }

    /// T3: a coordinator's turn may be over.
    pub(crate) fn on_turn(&mut self, context: &mut Context<'_, V>) {
        let elapsed = context.now.mono.since(self.ending.completed_at);
        let Some(failover) = self.ending.failover.as_mut() else { return };
        let turns = failover.advance(elapsed);
        let wait = failover.deadline().map(|deadline| deadline.saturating_sub(elapsed));
        turns.into_iter().for_each(|turn| self.tell(context, Some(turn)));
        context.timer(TimerReason::Turn(self.id), wait);
    }

    fn tell(&mut self, context: &mut Context<'_, V>, turn: Option<Turn>) {
        let (session, keys) = (self.id, self.definition.clone());
        let key = |index: usize| keys.keys[index];
        match turn {
            None => {}
            // Whoever has refused the session lets its turn pass.
            Some(Turn::ShouldBroadcast) if self.was_refused() => {}
            Some(Turn::ShouldBroadcast) => context.event(Event::ShouldBroadcast { session }),
            Some(Turn::CoordinatorFailed { coordinator, failures }) => {
                context.event(Event::CoordinatorFailed { session, coordinator: key(coordinator), failures });
            }
            Some(Turn::Exhausted { failures }) => context.event(Event::FailoverExhausted { session, failures }),
            Some(Turn::Claimed { by }) => {
                if let Some(End { outcome: Outcome::Complete { claimed, .. }, .. }) = &mut self.ending.end {
                    *claimed = Some(key(by));
                }
                self.record(context);
                context.event(Event::BroadcastClaimed { session, by: key(by) });
            }
            Some(Turn::Unconfirmed { by }) => context.event(Event::BroadcastUnconfirmed { session, by: key(by) }),
        }
    }

    fn was_refused(&self) -> bool {
        matches!(self.ending.end, Some(End { outcome: Outcome::Complete { was_refused: true, .. }, .. }))
    }

    /// For how long the session must be remembered because somebody may still have to broadcast.
    pub(crate) fn broadcasting_for(&self, now: Mono) -> Option<core::time::Duration> {
        let deadline = self.ending.failover.as_ref()?.deadline()?;
        Some(deadline.saturating_sub(now.since(self.ending.completed_at)))
    }

    /// The word that the signature has been broadcast, for as long as a signer that has not heard it may think that it
    /// is its turn.
    pub(crate) fn confirmation(&self, now: Mono, timeout: core::time::Duration) -> Option<&Bytes> {
        let signers = u32::try_from(self.definition.keys.len()).expect("the wire bounds the signers");
        let turns = timeout.saturating_mul(signers);
        let is_newer = self.phase == Phase::Complete && now.since(self.ending.completed_at) < turns;
        self.ending.confirmation.as_ref().filter(|_| is_newer)
    }

    pub(super) fn send_final_message(&mut self, context: &mut Context<'_, V>, to: usize) {
        if self.awaits_journal(context) {
            return;
        }
        if let Some(End { outcome: Outcome::Complete { signatures, .. }, final_message: None }) = &self.ending.end {
            let signatures = signatures.clone();
            let bytes = self.seal(context, Content::Finalized { signatures }).ok();
            self.ending.end.as_mut().expect("it has ended").final_message = bytes.map(|bytes| bytes.to_vec());
        }
        if let Some(End { final_message: Some(bytes), .. }) = &self.ending.end {
            self.send(context, to, bytes.as_slice().into());
        }
        if let Some(bytes) = &self.ending.confirmation {
            self.send(context, to, bytes.clone());
        }
    }

    /// The final signatures, once they are known.
    pub(crate) fn signatures(&self) -> Option<&[Signature]> {
        match &self.ending.end {
            Some(End { outcome: Outcome::Complete { signatures, .. }, .. }) => Some(signatures),
            _ => None,
        }
    }

    /// Whose turn it is to broadcast, while that is open.
    pub(crate) fn coordinator(&self) -> Option<PublicKey> {
        let index = self.ending.failover.as_ref()?.coordinator()?;
        Some(self.definition.keys[index])
    }
}
