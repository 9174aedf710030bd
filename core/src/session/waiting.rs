//! While not all signers take part: people approve when they come to it, minutes or hours apart.
//!
//! An attempt that lacks nonces for too long lapses. Nothing has failed then, and nothing is counted; its signers wait.
//! Whoever approves later begins the next attempt, and those who wait follow. Its number is one above the highest that
//! anyone is known to have reached, so that all who begin it at once begin the same one; whoever is asked to take part
//! in one that has lapsed answers with a higher one. An approval is told to whoever comes within reach, until all have
//! all: then whoever notices first begins, as soon as the signers are there.

use core::ops::Range;
use core::time::Duration;

use super::attempt::Attempt;
use super::machine::{Retry, Session};
use crate::api::{AttemptCause, Event, Phase, TimerReason};
use crate::crypto::Verifier;
use crate::effect::Context;
use crate::wire::{Bits, Content};

impl<V: Verifier> Session<V> {
    /// S16: not all signers have taken part in time, or another signer has said so. Nothing has failed: the nonce is
    /// wiped, and the next attempt is begun by whoever approves, or when all who have can be reached.
    pub(super) fn lapse(&mut self, context: &mut Context<'_, V>) {
        let signers = self.definition.keys.len();
        let joined = self.live_ref().attempt.joined();
        let missing = joined.zip(&self.definition.keys).filter(|(is_here, _)| !is_here).map(|(_, key)| *key).collect();
        self.forget_nonces(context);
        self.lapsed += 1;
        self.live_mut().attempt = Attempt::new(signers);
        self.enter(context, Phase::Waiting);
        context.event(Event::AttemptLapsed { session: self.id, attempt: self.number, missing });
        let is_worth_it = self.has_all_approvals() && self.has_attempts_left(context);
        if is_worth_it && self.live_ref().retries < context.config.retries {
            // Somebody has approved and does not answer: that is tried as often as what has failed.
            let not_before = context.now.mono;
            self.live_mut().retries += 1;
            self.live_mut().retry = Some(Retry { cause: AttemptCause::Gathered, not_before, needs_all: true });
            context.timer(TimerReason::Retry(self.id), Duration::ZERO);
        }
        self.tell_of_waiting(context, 0..signers);
    }

    /// While it waits: all have approved now, or one of them is back.
    pub(super) fn on_gathered(&mut self, context: &mut Context<'_, V>) {
        if self.phase == Phase::Waiting && self.has_all_approvals() {
            self.schedule(context, AttemptCause::Gathered, Duration::ZERO);
        }
    }

    fn has_all_approvals(&self) -> bool {
        self.live_ref().approved.iter().all(|has_approved| *has_approved)
    }

    /// Tells these signers that this node has approved and waits, and of the session, if they may not know of it.
    pub(super) fn tell_of_waiting(&mut self, context: &mut Context<'_, V>, signers: Range<usize>) {
        context.timer(TimerReason::Stalled(self.id), context.config.stuck_timeout);
        let Ok(waiting) = self.seal(context, Content::Waiting) else { return };
        for index in signers.filter(|index| *index != self.me) {
            let live = self.live_ref();
            let announcement = live.announcement.clone().filter(|_| !live.approved[index]);
            announcement.into_iter().chain([waiting.clone()]).for_each(|bytes| self.send(context, index, bytes));
        }
    }

    /// R7: a signer cannot take this node's request now. It is told once, and offered the request again like anyone who
    /// has not approved (R1), until it takes it.
    pub(super) fn on_busy(&mut self, context: &mut Context<'_, V>, from: usize) {
        let (session, signer) = (self.id, self.definition.keys[from]);
        if self.live_mut().busy.insert(from) {
            context.event(Event::SignerBusy { session, signer });
        }
    }

    /// R5: a signer has approved and waits; in this attempt it signs nothing any more. Nobody signs in an attempt that
    /// has lapsed anywhere, and the next one has a number that nobody has seen.
    pub(super) fn on_waiting(&mut self, context: &mut Context<'_, V>, from: usize, attempt: u32) {
        if attempt < self.number {
            return self.on_status(context, from, attempt, &Bits::none(), &Bits::none());
        }
        match self.phase {
            Phase::NonceExchange if self.signer_owes().is_some() && attempt < self.last_attempt(context) => {
                // S17: its signer's person has taken longer than others wait: the next attempt has that nonce.
                return self.next_attempt(context, attempt + 1, AttemptCause::Approved);
            }
            Phase::NonceExchange => self.lapse(context),
            Phase::Announced | Phase::Waiting => {}
            _ => return,
        }
        if attempt > self.number {
            let retry = self.live_ref().retry;
            self.reset_attempt(context, attempt);
            self.live_mut().retry = retry;
            retry.iter().for_each(|_| context.timer(TimerReason::Retry(self.id), Duration::ZERO));
        }
        self.live_mut().has_lapsed = self.phase == Phase::Announced;
    }
}
