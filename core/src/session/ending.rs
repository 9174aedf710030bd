//! How a session ends: with a signature and somebody to broadcast it, with a refusal, or by running out of time.
//!
//! Invariants: the record of an end precedes every word about it, the embedder's event included. A signature is final. A
//! refusal and the end of the time are not, once a nonce of this node has signed: others may have made a signature of
//! it, which is asked for, taken and told.

use core::fmt;

use super::fingerprint::origin;
use super::machine::Session;
use crate::api::{CommandError, Event, Phase, Refusal, TimerReason};
use crate::base::{Bytes, Mono, Wall};
use crate::crypto::{PublicKey, Signature, Verifier};
use crate::effect::{Context, Effect};
use crate::election::{Election, Failover, Turn};
use crate::journal::{End, Outcome};
use crate::wire::{AbortReason, Bits, Content, Definition};

/// How long after its expiry a signature of a session is taken and given.
const REMEMBERED: core::time::Duration = core::time::Duration::from_secs(24 * 60 * 60);

/// What remains of a session that has ended, and what arrived about its end before.
#[derive(Debug, Default)]
pub(super) struct Ending {
    end: Option<End>,
    failover: Option<Failover>,
    /// The moment of completion on this node's clock; before the clock's origin after a restart, so counted from it.
    completed_at: Mono,
    /// Signers that said they had broadcast before this node had the signature.
    early_claims: alloc::vec::Vec<usize>,
    /// The first word that the signature has been broadcast, for those who have missed it.
    confirmation: Option<Bytes>,
    /// How often the others were asked for a signature after the end.
    asked: u32,
}

impl Ending {
    /// See `fingerprint`.
    pub(super) fn fingerprint(&self, text: &mut impl fmt::Write, now: Mono) -> fmt::Result {
        if let Some(End { outcome, final_message }) = &self.end {
            match outcome {
                Outcome::Complete { signature, attempt, claimed, .. } => {
                    write!(text, " complete {signature} {attempt} {claimed:?}")?;
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
    pub(super) fn complete(&mut self, context: &mut Context<'_, V>, signature: Signature) {
        let attempt = self.number;
        // Without a last word the others find the signature by themselves or from someone else.
        let bytes = self.seal(context, Content::Finalized { signature }).ok();
        let own_key = self.definition.keys[self.me];
        let was_refused = self.ending.end().is_some_and(|end| end.is_refusal_of(&own_key));
        let outcome = Outcome::Complete { signature, attempt, at: context.now.wall, claimed: None, was_refused };
        self.is_closed = false;
        self.end_with(context, outcome, bytes.as_ref(), Phase::Complete);
        context.event(Event::SessionCompleted { session: self.id, attempt, signature });
        self.start_failover(context, signature, core::time::Duration::ZERO, None);
    }

    /// Whether a signature may still appear although this node does nothing more for it.
    pub(crate) fn may_complete(&self) -> bool {
        self.spent && matches!(self.phase, Phase::Aborted | Phase::Expired)
    }

    /// Whether its owner has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// E1: the embedder refuses, and everyone is told.
    pub(crate) fn abort(&mut self, context: &mut Context<'_, V>, reason: AbortReason) -> Result<(), CommandError> {
        if self.phase.has_ended() {
            return Err(CommandError::Ended(self.id));
        }
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

    /// E3: its time is over.
    pub(crate) fn expire(&mut self, context: &mut Context<'_, V>) {
        if self.phase.has_ended() {
            return;
        }
        if self.spent {
            self.end_with(context, Outcome::Expired, None, Phase::Expired);
        } else {
            self.forget_nonce(context);
            self.live = None;
            self.enter(context, Phase::Expired);
        }
        context.event(Event::SessionExpired { session: self.id, may_complete: self.spent });
        self.ask_later(context);
    }

    /// E6: its owner closes it, and is to hear of it only if there is a signature all the same.
    pub(crate) fn close(&mut self, context: &mut Context<'_, V>) {
        self.is_closed = true;
        self.record(context);
        context.event(Event::SessionClosed { session: self.id });
    }

    /// What comes after the end.
    pub(super) fn on_late_message(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        content: &Content,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        match content {
            // E4, E5: a signature has come of what this node has signed before it gave up.
            Content::Finalized { signature } if self.may_complete() => {
                return self.on_finalized(context, from, *signature, bytes);
            }
            Content::Finalized { .. } | Content::Abort { .. } => {}
            // Whoever still works on the session has missed how it ended.
            _ => self.send_final_message(context, from),
        }
        Err(Refusal::Ended)
    }

    /// Whether this is a final signature of the session, whatever its phase.
    pub(super) fn is_final(&self, verifier: &V, signature: &Signature) -> bool {
        let Definition { suite, keys, tweak, message, .. } = &*self.definition;
        match &self.live {
            Some(live) => verifier.verify_final(&live.keys, message, signature),
            None => {
                let keys = verifier.aggregate_keys(*suite, keys, tweak);
                keys.is_ok_and(|keys| verifier.verify_final(&keys, message, signature))
            }
        }
    }

    /// Until when it is remembered that the session has ended: beyond its expiry if others may need the signature, or
    /// this node may.
    pub(crate) fn remembered_until(&self) -> Option<Wall> {
        self.definition.expires_at.checked_add(REMEMBERED).filter(|_| self.spent)
    }

    /// Whoever has signed and has ended without a signature asks the others for it, after pauses that double as long as
    /// an attempt may stand still; later whenever one of them comes within reach.
    fn ask_later(&self, context: &mut Context<'_, V>) {
        let pause = context.config.stall.saturating_mul(1 << self.ending.asked.min(16));
        if self.may_complete() && pause <= context.config.stuck_timeout {
            context.timer(TimerReason::Stalled(self.id), pause);
        }
    }

    /// R4: it asks now.
    pub(super) fn ask_for_signature(&mut self, context: &mut Context<'_, V>, of: Option<usize>) {
        if !self.may_complete() {
            return;
        }
        let nothing = || Bits::collect([false; 0].into_iter());
        let content = Content::Status { nonces: nothing(), partials: nothing() };
        let Ok(bytes) = self.seal(context, content) else { return };
        for index in (0..self.definition.keys.len()).filter(|index| *index != self.me) {
            if of.is_none_or(|of| of == index) {
                // Nobody is sought for it.
                context.push(Effect::ToConnected(self.definition.keys[index], bytes.clone()));
            }
        }
        if of.is_none() {
            self.ending.asked += 1;
            self.ask_later(context);
        }
    }

    fn end_with(
        &mut self,
        context: &mut Context<'_, V>,
        outcome: Outcome,
        final_message: Option<&Bytes>,
        phase: Phase,
    ) {
        self.forget_nonce(context);
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
        if let Outcome::Complete { signature, attempt, at, claimed, .. } = outcome {
            if claimed.is_none() {
                // The crash may have come between the record and the word about it.
                context.event(Event::SessionCompleted { session: self.id, attempt, signature });
            }
            let claimed = claimed.and_then(|by| self.definition.index_of(&by));
            self.start_failover(context, signature, context.now.wall.since(at), claimed);
        }
    }

    fn start_failover(
        &mut self,
        context: &mut Context<'_, V>,
        signature: Signature,
        elapsed: core::time::Duration,
        claimed: Option<usize>,
    ) {
        let Self { definition, id, me, ending, .. } = self;
        let election = Election::in_session(definition.election, &definition.keys, id.as_bytes(), &[signature])
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
        if let Some(End { outcome: Outcome::Complete { signature, .. }, final_message: None }) = self.ending.end {
            let bytes = self.seal(context, Content::Finalized { signature }).ok();
            self.ending.end.as_mut().expect("it has ended").final_message = bytes.map(|bytes| bytes.to_vec());
        }
        if let Some(End { final_message: Some(bytes), .. }) = &self.ending.end {
            self.send(context, to, bytes.as_slice().into());
        }
        if let Some(bytes) = &self.ending.confirmation {
            self.send(context, to, bytes.clone());
        }
    }

    /// The final signature, once it is known.
    pub(crate) fn signature(&self) -> Option<&Signature> {
        match &self.ending.end {
            Some(End { outcome: Outcome::Complete { signature, .. }, .. }) => Some(signature),
            _ => None,
        }
    }

    /// Whose turn it is to broadcast, while that is open.
    pub(crate) fn coordinator(&self) -> Option<PublicKey> {
        let index = self.ending.failover.as_ref()?.coordinator()?;
        Some(self.definition.keys[index])
    }
}
