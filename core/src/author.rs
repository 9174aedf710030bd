//! In whose name this node speaks, and with which key.
//!
//! Owns what signs messages, and of a node whose messages have a key of their own the delegation to it. Invariant:
//! nothing is signed that others would refuse for want of a delegation: until there is one, and for a time that it is
//! not for, there is no signature. Machines drive it through their context, `node/delegation.rs` renews.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use crate::api::{Config, SignRequest};
use crate::base::{Bytes, Now, Wall};
use crate::crypto::{MessageSigner, Network, PublicKey, Signature, SignerError, Verifier};
use crate::single::{Single, SingleId};
use crate::wire::{Body, Delegation, Mandate, seal, seal_delegated};

/// What signs messages.
pub(crate) struct Author {
    signer: Box<dyn MessageSigner + Send>,
    /// Of a node that has a message key.
    delegating: Option<Box<Delegating>>,
}

/// Where the delegation to a message key stands.
#[derive(Debug)]
pub(crate) struct Delegating {
    signing_key: PublicKey,
    message_key: PublicKey,
    held: Option<Delegation>,
    asked: Option<(SingleId, Mandate)>,
    /// How often the signer was asked since it last answered with one.
    pub(crate) asks: u32,
    /// Whether the embedder has been told that it is awaited.
    pub(crate) told_awaited: bool,
}

impl Author {
    /// What signs messages of the holder of this key, which may be that of the message signer.
    pub(crate) fn new(signer: Box<dyn MessageSigner + Send>, signing_key: PublicKey) -> Self {
        let message_key = signer.public_key();
        let delegating = (message_key != signing_key).then(|| {
            Box::new(Delegating { signing_key, message_key, held: None, asked: None, asks: 0, told_awaited: false })
        });
        Self { signer, delegating }
    }

    /// The key that signs messages.
    pub(crate) fn message_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    pub(crate) fn delegating(&self) -> Option<&Delegating> {
        self.delegating.as_deref()
    }

    pub(crate) fn delegating_mut(&mut self) -> Option<&mut Delegating> {
        self.delegating.as_deref_mut()
    }

    /// Whether it can speak about this time.
    pub(crate) fn speaks_for(&self, time: (Wall, Wall)) -> bool {
        self.delegating().is_none_or(|own| own.held().is_some_and(|held| held.mandate.covers(time)))
    }

    /// Until when what it announces may be valid.
    pub(crate) fn speaks_until(&self) -> Wall {
        match self.delegating() {
            None => Wall::from_millis(u64::MAX),
            Some(own) => own.held().map(|held| held.mandate.expires_at).unwrap_or_default(),
        }
    }

    /// Signs a message that is about this time.
    ///
    /// # Errors
    /// What the signer says, or [`SignerError::Unavailable`] when it cannot speak about this time.
    pub(crate) fn seal(&mut self, network: Network, body: Body, time: (Wall, Wall)) -> Result<Bytes, SignerError> {
        let Self { signer, delegating } = self;
        match delegating {
            None => seal(signer.as_mut(), network, body),
            Some(own) => match own.held.as_ref().filter(|held| held.mandate.covers(time)) {
                Some(held) => seal_delegated(signer.as_mut(), own.signing_key, held, network, body),
                None => Err(SignerError::Unavailable),
            },
        }
    }
}

impl Delegating {
    pub(crate) const fn held(&self) -> Option<&Delegation> {
        self.held.as_ref()
    }

    pub(crate) const fn awaits(&self) -> bool {
        self.asked.is_some()
    }

    /// Takes a delegation, unless it is none to this node's message key.
    pub(crate) fn take<V: Verifier>(&mut self, verifier: &V, network: Network, delegation: Delegation) -> bool {
        let (key, digest, signature) = delegation.claim(network, &self.signing_key);
        let is_one = delegation.mandate.message_key == self.message_key
            && delegation.mandate.is_sound(&self.signing_key)
            && verifier.verify(&key, &digest, &signature);
        if is_one {
            self.held = Some(delegation);
        }
        is_one
    }

    /// When the signer is to be asked for another one, if it is not already: after half of its time, and once the clock
    /// has gone back so far that it does not reach back to what is still spoken of.
    pub(crate) fn is_due(mandate: &Mandate, now: Wall, config: &Config) -> bool {
        let is_old = mandate.expires_at.since(now) <= config.delegation_lifetime / 2;
        let is_ahead = mandate.valid_from > earliest(now.checked_add(config.reach_back() / 2).unwrap_or(now), config);
        is_old || is_ahead
    }

    /// How long the held one lasts until it is to be renewed.
    pub(crate) fn lasts(&self, now: Wall, config: &Config) -> Duration {
        let left = self.held.map(|held| held.mandate.expires_at.since(now)).unwrap_or_default();
        left.saturating_sub(config.delegation_lifetime / 2)
    }

    /// What is asked of the signer: the same as before, as long as that would be of use.
    pub(crate) fn ask(&mut self, now: Now, config: &Config, id: impl FnOnce() -> SingleId) -> SignRequest {
        let message_key = self.message_key;
        self.asked = self.asked.filter(|(_, mandate)| !Self::is_due(mandate, now.wall, config));
        let (id, mandate) = *self.asked.get_or_insert_with(|| {
            let expires_at = now.wall.checked_add(config.delegation_lifetime).unwrap_or(Wall::from_millis(u64::MAX));
            (id(), Mandate { message_key, valid_from: earliest(now.wall, config), expires_at })
        });
        SignRequest::Single { id, single: Arc::new(Single::Statement(mandate.statement(config.network))) }
    }

    /// The signer has answered, if it is this that it was asked.
    pub(crate) fn answered(
        &mut self,
        id: &SingleId,
        signature: Result<Signature, SignerError>,
    ) -> Option<Result<Delegation, SignerError>> {
        let (_, mandate) = self.asked.take_if(|(asked, _)| asked == id)?;
        Some(signature.map(|signature| Delegation { mandate, signature }))
    }
}

/// The earliest time that is still spoken of.
fn earliest(now: Wall, config: &Config) -> Wall {
    let back = u64::try_from(config.reach_back().as_millis()).unwrap_or(u64::MAX);
    Wall::from_millis(now.as_millis().saturating_sub(back))
}
