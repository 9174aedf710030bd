//! How signers who missed something catch up, whatever was lost, reordered or restarted.
//!
//! A signer that stands still says what it has; whoever hears it sends what it lacks, their own messages and other
//! signers' alike, since each carries its author's signature. There are no acknowledgements: having something is shown
//! by using it. Everything is sent in its first, signed form, so that a duplicate costs the receiver next to nothing.

use alloc::vec::Vec;

use super::machine::Session;
use crate::api::{AttemptFailure, Phase, SignerTask, TimerReason};
use crate::base::Bytes;
use crate::crypto::{PublicKey, SignerError, Verifier};
use crate::effect::Context;
use crate::wire::{Bits, Content, SessionMessage};

impl<V: Verifier> Session<V> {
    /// R1: nothing has happened for a while. Those who owe something are asked first; from the second time on
    /// everyone is, because somebody else may have what the one who owes it cannot send any more. After a long time
    /// the attempt lapses, or fails if this node has signed; whoever waits says so again.
    pub(crate) fn on_stalled(&mut self, context: &mut Context<'_, V>) {
        let signers = 0..self.definition.keys.len();
        match self.phase {
            Phase::NonceExchange | Phase::PartialSignatureExchange => {}
            Phase::Waiting => return self.tell_of_waiting(context, signers),
            _ => return self.ask_for_signature(context, None),
        }
        let owed = self.signer_owes();
        if let Some(task) = owed {
            self.tell_awaited(context, task);
            if task == SignerTask::Nonces {
                return;
            }
        }
        let live = self.live_mut();
        if context.now.mono.since(live.progress_at) >= context.config.stuck_timeout {
            if self.phase == Phase::NonceExchange {
                return self.lapse(context);
            }
            let attempt = &self.live_ref().attempt;
            let missing = signers.filter(|index| *index != self.me && attempt.waits_for(*index));
            let missing: Vec<_> = missing.map(|index| self.definition.keys[index]).collect();
            let is_ours = owed.is_some() && missing.is_empty();
            let failure =
                if is_ours { AttemptFailure::Signer(SignerError::Unavailable) } else { AttemptFailure::Stuck(missing) };
            return self.fail(context, failure);
        }
        live.stalls += 1;
        let stalls = live.stalls;
        let me = self.me;
        let status = self.status(context);
        for index in signers {
            if index != me && (stalls > 1 || self.live_ref().attempt.waits_for(index)) {
                self.ask(context, index, status.as_ref());
            }
        }
        let pause = context.config.stall.saturating_mul(1 << stalls.min(16)).min(context.config.stall_max);
        context.timer(TimerReason::Stalled(self.id), pause);
    }

    /// R2: a signer has come within reach, for the first time or again.
    pub(crate) fn on_reachable(&mut self, context: &mut Context<'_, V>, index: usize) {
        if index == self.me {
            return;
        }
        if self.phase == Phase::Waiting {
            self.tell_of_waiting(context, index..index + 1);
            self.on_gathered(context);
        }
        if self.is_exchanging() && self.signer_owes() != Some(SignerTask::Nonces) {
            let status = self.status(context);
            self.ask(context, index, status.as_ref());
        }
        self.ask_for_signature(context, Some(index));
        if let Some(bytes) = self.confirmation(context.now.mono, context.config.broadcast_timeout) {
            self.send(context, index, bytes.clone());
        }
    }

    /// What this node has. A signer that cannot sign it now can sign the next one.
    fn status(&mut self, context: &mut Context<'_, V>) -> Option<Bytes> {
        let content = self.live_ref().attempt.status();
        self.seal(context, content).ok()
    }

    /// Sends a signer this node's own messages, and what this node has, so that the signer sends the rest.
    fn ask(&self, context: &mut Context<'_, V>, to: usize, status: Option<&Bytes>) {
        let live = self.live_ref();
        // Who has not joined may never have heard of the session. The creator's own message often says it all.
        let is_said = self.is_own() && self.definition.announces_nonces();
        let announcement = live.announcement.clone().filter(|_| !is_said && !live.attempt.has_nonces_of(to));
        let messages = announcement.into_iter().chain(live.attempt.messages_of(self.me)).chain(status.cloned());
        messages.for_each(|bytes| self.send(context, to, bytes));
    }

    /// R3: a signer says what it has.
    pub(super) fn on_status(
        &mut self,
        context: &mut Context<'_, V>,
        from: usize,
        attempt: u32,
        nonces: &Bits,
        partials: &Bits,
    ) {
        if self.awaits_journal(context) {
            // It asks again; answers would pile up behind the disk.
            return;
        }
        let live = self.live_ref();
        if attempt < self.number {
            // It works on a dead attempt, so it has nothing of this one.
            let all = live.attempt.lacking(&Bits::none(), &Bits::none());
            all.into_iter().for_each(|bytes| self.send(context, from, bytes));
        } else if attempt == self.number {
            let lacking = live.attempt.lacking(nonces, partials);
            lacking.into_iter().for_each(|bytes| self.send(context, from, bytes));
        }
    }

    /// Whether a signer's step says something that is not held here and can still count, however old the step is.
    pub(crate) fn lacks(&self, author: &PublicKey, step: &SessionMessage) -> bool {
        let Some(from) = self.definition.index_of(author) else { return false };
        let is_open = !self.phase.has_ended();
        let attempt = self.live.as_ref().map(|live| &live.attempt).filter(|_| step.attempt >= self.number);
        let is_later = step.attempt > self.number;
        match &step.content {
            Content::Announce { .. } | Content::Join { .. } => {
                attempt.is_some_and(|attempt| is_later || !attempt.has_nonces_of(from))
            }
            Content::Partial { .. } => attempt.is_some_and(|attempt| !is_later && !attempt.has_partial_of(from)),
            Content::Finalized { .. } => is_open || self.may_complete(),
            Content::Abort { .. } => is_open,
            Content::Confirmed => self.lacks_claim_of(from),
            Content::Status { .. } | Content::Waiting => false,
            Content::Busy => {
                let live = self.live.as_ref().filter(|_| self.is_own());
                live.is_some_and(|live| !live.approved[from] && !live.busy.contains(&from))
            }
        }
    }

    /// Whether everything that is said of the session waits for its records: more of it would only pile up.
    pub(crate) fn awaits_journal(&self, context: &Context<'_, V>) -> bool {
        self.barrier > context.durable
    }

    pub(super) fn is_exchanging(&self) -> bool {
        matches!(self.phase, Phase::NonceExchange | Phase::PartialSignatureExchange)
    }
}
