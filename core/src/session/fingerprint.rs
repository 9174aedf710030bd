//! All that decides what a session does next, as a text: for model checkers, which must see when different orders of
//! events have led to the same state.
//!
//! Times count from now. Left out is what only tells messages apart: sequence numbers, incarnation, encodings.

use core::fmt::{self, Write};

use super::machine::{Live, Session};
use crate::api::Config;
use crate::base::{Bytes, Mono};
use crate::crypto::Verifier;
use crate::wire::{Body, Message};

impl<V: Verifier> Session<V> {
    pub(crate) fn fingerprint(&self, text: &mut impl Write, config: &Config, now: Mono) -> fmt::Result {
        write!(text, "{} {} {:?} {} {} {}", self.id, self.me, self.phase, self.number, self.spent, self.is_alive)?;
        if let Some(live) = &self.live {
            live.fingerprint(text, config, now)?;
            if self.is_exchanging() {
                write!(text, " still {:?} {}", now.since(live.progress_at), live.stalls)?;
            }
        }
        self.ending.fingerprint(text, now)
    }
}

impl<V: Verifier> Live<V> {
    fn fingerprint(&self, text: &mut impl Write, config: &Config, now: Mono) -> fmt::Result {
        write!(text, " live {:?}", self.attempt.contributions().collect::<alloc::vec::Vec<_>>())?;
        let announced = self.announcement.as_ref().and_then(origin);
        // How long it has waited means nothing beyond the longest pause.
        let waited = |since: Mono| now.since(since).min(config.stall_max);
        let retry = self
            .retry
            .map(|retry| (retry.cause, retry.not_before.since(now), waited(retry.not_before), retry.needs_all));
        // How many attempts have lapsed matters at the limit alone.
        write!(text, " {announced:?} {retry:?} {} {} {}", self.retries, self.lacked_signer, self.told_awaited)?;
        write!(text, " {:?} {} {:?}", self.approved, self.has_lapsed, self.busy)
    }
}

/// Whose message this is, and of which attempt.
pub(super) fn origin(bytes: &Bytes) -> Option<(crate::crypto::PublicKey, u32)> {
    let message = Message::decode(bytes.clone()).ok()?.unsigned;
    match message.body {
        Body::Session(step) => Some((message.author, step.attempt)),
        _ => None,
    }
}
