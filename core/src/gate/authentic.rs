//! Whether a message is its author's: the one place that looks at signatures of messages.
//!
//! Owns the rule of delegation. Invariants: what is authentic was signed by its author's key, or by one to which that
//! key has delegated for all of the time that the message is about; a step of a session is about the time of its
//! session, from creation to expiry, which its definition says. Driven by the gate, and by whoever judges evidence.

use alloc::vec::Vec;

use super::authors::Claim;
use super::{Admitted, Channel, Gate, Known};
use crate::api::Refusal;
use crate::base::{Bytes, Now};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::{Body, Definition, Mandate, Message};

/// A message whose signature is its author's, or that of a key that the author has delegated to; nothing else of it has
/// been looked at.
#[derive(Clone, Debug)]
pub(super) struct Authentic<T> {
    pub(super) author: PublicKey,
    pub(super) bytes: Bytes,
    pub(super) value: T,
    /// By which another key has signed.
    mandate: Option<Mandate>,
}

impl<T> Authentic<T> {
    pub(super) fn with<U>(self, value: U) -> Authentic<U> {
        Authentic { author: self.author, bytes: self.bytes, value, mandate: self.mandate }
    }

    pub(super) fn admitted(self) -> Admitted<T> {
        Admitted { author: self.author, bytes: self.bytes, value: self.value }
    }

    /// Whether the author, or its delegation, speaks for all of the time of this session.
    pub(super) fn speaks_for(&self, definition: &Definition) -> Result<(), Refusal> {
        let time = (definition.created_at, definition.expires_at);
        if self.mandate.is_none_or(|mandate| mandate.covers(time)) { Ok(()) } else { Err(Refusal::DelegationTime) }
    }
}

/// Why a message is not its author's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inauthentic {
    /// The signature.
    Signature,
    /// The delegation.
    Delegation,
}

/// Whether a message is its author's, whatever has been verified before, for evidence. Whether a delegation is for the
/// time of a session, [`Mandate::covers`] says.
pub(crate) fn authenticity<V: Verifier>(verifier: &V, message: &Message) -> Result<Option<Mandate>, Inauthentic> {
    let verify = |(key, digest, signature): Claim| verifier.verify(&key, &digest, &signature);
    let mandate = message.delegation.as_ref().map(|delegation| delegation.mandate);
    if mandate.is_some_and(|mandate| !mandate.is_sound(&message.unsigned.author))
        || delegation_claim(message).is_some_and(|claim| !verify(claim))
    {
        return Err(Inauthentic::Delegation);
    }
    if verify(message.claim()) { Ok(mandate) } else { Err(Inauthentic::Signature) }
}

/// What there is to verify of a delegation.
fn delegation_claim(message: &Message) -> Option<Claim> {
    let unsigned = &message.unsigned;
    message.delegation.as_ref().map(|delegation| delegation.claim(unsigned.network, &unsigned.author))
}

impl<V: Verifier> Gate<V> {
    /// The delegation, where there is one, and the signature.
    pub(super) fn authenticate(&mut self, verifier: &V, message: Message) -> Result<(Authentic<()>, Body), Refusal> {
        let (author, claim) = (message.unsigned.author, message.claim());
        let is_signer = matches!(&message.unsigned.body, Body::Session(step) if self.watched.knows(&step.session));
        let mandate = message.delegation.as_ref().map(|delegation| delegation.mandate);
        if let Some(delegation) = &message.delegation {
            let claim = || delegation.claim(message.unsigned.network, &author);
            let is_given = mandate.is_some_and(|mandate| mandate.is_sound(&author))
                && self.authors.verify_delegation(verifier, &author, delegation, claim);
            if !is_given {
                return Err(Refusal::Delegation);
            }
        }
        if !self.authors.verify(verifier, claim, is_signer) {
            return Err(Refusal::Signature);
        }
        if let Some(delegation) = message.delegation.filter(|_| is_signer) {
            self.authors.remember_delegation(author, *delegation);
        }
        // A step of a session waits for its definition.
        let span = message.unsigned.body.span();
        if mandate.zip(span).is_some_and(|(mandate, span)| !mandate.covers(span)) {
            return Err(Refusal::DelegationTime);
        }
        Ok((Authentic { author, bytes: message.bytes, value: (), mandate }, message.unsigned.body))
    }

    /// Verifies together what will be asked for one by one, so that it costs less. Whoever could not send all of this
    /// within its quota is left out, so that a flood costs no more here than it does one by one.
    pub(crate) fn verify_ahead(
        &mut self,
        verifier: &V,
        messages: &[(Channel<'_>, &Bytes)],
        known: &impl Known,
        entropy: impl FnOnce() -> [u8; 32],
        now: Now,
    ) {
        let claims = self.find_claims(messages, known, now);
        if claims.len() > 1 {
            self.authors.verify_ahead(verifier, claims, &entropy());
        }
    }

    /// How many signatures [`verify_ahead`](Self::verify_ahead) would verify together.
    #[cfg(test)]
    pub(crate) fn claims(&self, messages: &[(Channel<'_>, &Bytes)], known: &impl Known, now: Now) -> usize {
        self.find_claims(messages, known, now).len()
    }

    /// How many signatures have been verified ahead.
    #[cfg(test)]
    pub(crate) fn verdicts(&self) -> usize {
        self.authors.verdicts.len()
    }

    /// Forgets what was verified ahead.
    pub(crate) fn forget_verdicts(&mut self) {
        self.authors.forget_verdicts();
    }

    /// The signatures that will be looked at, as far as that can be said before.
    fn find_claims(&self, messages: &[(Channel<'_>, &Bytes)], known: &impl Known, now: Now) -> Vec<Claim> {
        if messages.len() < 2 {
            return Vec::new();
        }
        let size = messages.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut claims = Vec::new();
        for (channel, bytes) in messages {
            if channel.neighbour().is_some_and(|peer| self.neighbours.affords(peer, messages.len(), size, now.mono))
                && let Ok(message) = self.decode(*channel, (*bytes).clone())
                && self.is_news(*channel, &message, known, now.wall).is_ok()
            {
                claims.push(message.claim());
                let is_known = |delegation| self.authors.knows_delegation(&message.unsigned.author, delegation);
                if !message.delegation.as_deref().is_some_and(is_known) {
                    claims.extend(delegation_claim(&message));
                }
            }
        }
        claims
    }
}
