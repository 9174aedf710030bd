//! Which DHT records are stored for others.
//!
//! Owns the decision. Invariant: a record is stored only if it is a presence under its author's own key, signed by that
//! key, valid now, and not older than the one already here; so that nobody fills the store with what is not signed, or
//! rolls it back. From cheap to dear, the signature last. Pure. Driven by the runtime.

use std::time::Duration;

use nelumbo_core::{
    base::Wall,
    crypto::{Network, Secp256k1, Verifier},
    wire::{Body, MAX_GOSSIP, Message, Presence, presence_key},
};

/// What the decision depends on beside the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRules {
    pub(crate) network: Network,
    pub(crate) clock_skew: Duration,
    pub(crate) longest_life: Duration,
}

impl RecordRules {
    /// For how long the record may be stored; `None` to refuse it.
    pub(crate) fn judge(&self, key: &[u8], value: &[u8], stored: Option<&[u8]>, now: Wall) -> Option<Duration> {
        let (message, presence) = read(value)?;
        let fresh = presence.expires_at > now
            && presence.expires_at > presence.issued_at
            && presence.expires_at.since(presence.issued_at) <= self.longest_life
            && presence.issued_at <= now.checked_add(self.clock_skew)?;
        let own_key = presence_key(&message.unsigned.author).as_bytes() == key;
        let newer = stored.and_then(read).is_none_or(|(_, stored)| stored.issued_at <= presence.issued_at);
        if !fresh || !own_key || !newer || message.unsigned.network != self.network {
            return None;
        }
        Secp256k1
            .verify(&message.unsigned.author, &message.digest(), &message.signature)
            .then(|| presence.expires_at.since(now))
    }
}

fn read(value: &[u8]) -> Option<(Message, Presence)> {
    if value.len() > MAX_GOSSIP {
        return None;
    }
    let message = Message::decode(value.into()).ok()?;
    match &message.unsigned.body {
        Body::Presence(presence) => {
            let presence = presence.clone();
            Some((message, presence))
        }
        Body::Session(_) => None,
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
