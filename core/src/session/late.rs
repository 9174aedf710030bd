//! What is still taken after the end: a final signature that has come of what this node had signed before.
//!
//! Invariant: whoever has signed and has ended without a signature asks for it, and takes and tells it when it comes,
//! for as long as others remember it. Driven by the session's machine, and by its timer.

use core::time::Duration;

use super::items::Items;
use super::machine::Session;
use crate::api::{Event, Phase, Refusal, TimerReason};
use crate::base::{Bytes, Wall};
use crate::crypto::{Signature, Verifier};
use crate::effect::{Context, Effect};
use crate::wire::{Bits, Content};

/// How long after its expiry a signature of a session is taken and given.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

impl<V: Verifier> Session<V> {
    /// Whether a signature may still appear although this node does nothing more for it.
    pub(crate) fn may_complete(&self) -> bool {
        self.spent && matches!(self.phase, Phase::Aborted | Phase::Expired)
    }

    /// Whether its owner has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Until when its end is remembered: beyond its expiry if others may need the signature, or this node may.
    pub(crate) fn remembered_until(&self) -> Wall {
        let expiry = self.definition.expires_at;
        if self.spent { expiry.checked_add(REMEMBERED).unwrap_or(expiry) } else { expiry }
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
            // E4: a signature has come of what this node had signed before somebody refused.
            // E5: the same, before its time was over.
            Content::Finalized { signatures } if self.may_complete() => {
                return self.on_finalized(context, from, signatures.clone(), bytes);
            }
            Content::Finalized { .. } | Content::Abort { .. } => {}
            // Whoever still works on the session has missed how it ended.
            _ => self.send_final_message(context, from),
        }
        Err(Refusal::Ended)
    }

    /// The first item whose final signature is none, whatever the session's phase. `entropy` is as in
    /// [`Verifier::verify_finals`].
    pub(super) fn invalid_item(&self, verifier: &V, signatures: &[Signature], entropy: &[u8; 32]) -> Option<usize> {
        let computed;
        let items = match &self.live {
            Some(live) => &live.items,
            None => {
                computed = Items::new(verifier, &self.definition).ok();
                let Some(items) = &computed else { return Some(0) };
                items
            }
        };
        items.invalid(verifier, &self.definition, signatures, entropy)
    }

    /// Whoever has signed and has ended without a signature asks the others for it, after pauses that double as long as
    /// an attempt may stand still; later whenever one of them comes within reach.
    pub(super) fn ask_later(&self, context: &mut Context<'_, V>) {
        let pause = context.config.stall.saturating_mul(1 << self.ending.asked.min(16));
        if self.may_complete() && pause <= context.config.stuck_timeout {
            context.timer(TimerReason::Stalled(self.id), pause);
        }
    }

    /// R6: it asks now.
    pub(super) fn ask_for_signature(&mut self, context: &mut Context<'_, V>, of: Option<usize>) {
        if !self.may_complete() {
            return;
        }
        let content = Content::Status { nonces: Bits::none(), partials: Bits::none() };
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
}
