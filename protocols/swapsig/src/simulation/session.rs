//! A session as the core promises it: all of its signers approve, or nothing is signed.
//!
//! Owns who has approved, and signs with MuSig2 once all have.

use std::collections::BTreeSet;

use nelumbo_core::api::NewSession;
use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{
    KeyAggContext, PublicKey, SecretKey, Signature, SigningContext, Suite, Tweak, combine, generate_nonce,
    partial_sign, sha256,
};
use nelumbo_core::wire::{Definition, SessionId};

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) definition: Definition,
    pub(super) approved: BTreeSet<PublicKey>,
    pub(super) is_refused: bool,
    pub(super) signatures: Option<Vec<Signature>>,
}

impl Session {
    pub(super) fn new(new: NewSession, creator: &PublicKey, now: Wall, nonce: [u8; 32]) -> Self {
        let mut keys = new.keys;
        keys.sort_unstable();
        let place = keys.iter().position(|key| key == creator).expect("the creator is one of the signers");
        let definition = Definition {
            network: nelumbo_core::crypto::Network::Regtest,
            suite: new.suite,
            keys,
            items: new.items,
            details: new.details,
            is_listed: false,
            election: new.election,
            creator: u8::try_from(place).expect("a few signers").into(),
            created_at: now,
            expires_at: Wall::from_millis(now.as_millis() + 7_200_000),
            nonce,
        };
        let id = definition.id();
        Self { id, definition, approved: [*creator].into(), is_refused: false, signatures: None }
    }

    pub(super) fn keys(&self) -> &[PublicKey] {
        &self.definition.keys
    }

    /// Whether it needs this signer, who has not said anything.
    pub(super) fn waits_for(&self, key: &PublicKey) -> bool {
        self.keys().contains(key) && !self.approved.contains(key) && !self.is_refused && self.signatures.is_none()
    }

    /// The signatures of all items, by these secrets, which are those of all signers.
    pub(super) fn sign(&mut self, secrets: &[&SecretKey]) {
        let messages = self.definition.messages().expect("it was checked");
        let items = self.definition.items.iter().zip(&messages);
        self.signatures = Some(items.map(|(item, message)| sign(secrets, &item.tweak, message)).collect());
    }
}

/// MuSig2 by people who trust each other.
pub(super) fn sign(secrets: &[&SecretKey], tweak: &Tweak, message: &[u8]) -> Signature {
    let mut secrets = secrets.to_vec();
    secrets.sort_unstable_by_key(|secret| secret.public_key());
    let keys: Vec<PublicKey> = secrets.iter().map(|secret| secret.public_key()).collect();
    let keys = KeyAggContext::new(Suite::Lotus, &keys).and_then(|keys| keys.with_tweak(tweak)).expect("sound keys");
    let draw = |secret: &&SecretKey| {
        let fresh = sha256(&[message, secret.public_key().as_bytes()]);
        generate_nonce(fresh, secret, &keys, Some(message), &[])
    };
    let (nonces, public): (Vec<_>, Vec<_>) = secrets.iter().map(draw).unzip();
    let round = SigningContext::from_nonces(&keys, &public, message).expect("sound nonces");
    let partials = secrets.iter().zip(nonces).map(|(secret, nonce)| partial_sign(nonce, secret, &keys, &round));
    let partials: Vec<_> = partials.collect::<Result<_, _>>().expect("each signs");
    combine(&keys, &round, &partials).expect("they add up")
}
