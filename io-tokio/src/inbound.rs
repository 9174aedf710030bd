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

use crate::network::RecordRefusal;

/// What the decision depends on beside the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRules {
    pub(crate) network: Network,
    pub(crate) clock_skew: Duration,
    pub(crate) longest_life: Duration,
}

impl RecordRules {
    /// For how long the record may be stored, or why it may not.
    pub(crate) fn judge(
        &self,
        key: &[u8],
        value: &[u8],
        stored: Option<&[u8]>,
        now: Wall,
    ) -> Result<Duration, RecordRefusal> {
        let (message, presence) = read(value)?;
        if message.unsigned.network != self.network {
            return Err(RecordRefusal::Network);
        }
        if presence_key(&message.unsigned.author).as_bytes() != key {
            return Err(RecordRefusal::Key);
        }
        let is_fresh = presence.expires_at > now
            && presence.expires_at > presence.issued_at
            && presence.expires_at.since(presence.issued_at) <= self.longest_life
            && now.checked_add(self.clock_skew).is_some_and(|latest| presence.issued_at <= latest);
        if !is_fresh {
            return Err(RecordRefusal::NotFresh);
        }
        if stored.and_then(|stored| read(stored).ok()).is_some_and(|(_, stored)| stored.issued_at > presence.issued_at)
        {
            return Err(RecordRefusal::Older);
        }
        if !Secp256k1.verify(&message.unsigned.author, &message.digest(), &message.signature) {
            return Err(RecordRefusal::Signature);
        }
        Ok(presence.expires_at.since(now))
    }
}

fn read(value: &[u8]) -> Result<(Message, Presence), RecordRefusal> {
    if value.len() > MAX_GOSSIP {
        return Err(RecordRefusal::Oversized);
    }
    let message = Message::decode(value.into()).map_err(|_| RecordRefusal::Malformed)?;
    match &message.unsigned.body {
        Body::Presence(presence) => {
            let presence = presence.clone();
            Ok((message, presence))
        }
        Body::Session(_) => Err(RecordRefusal::Kind),
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
