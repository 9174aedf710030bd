//! A signer with a valid key that sends whatever the fuzzer decides.
//!
//! It can also send what an honest signer would, so that sessions get far before it misbehaves. Driven by the script's
//! harness.

use std::collections::BTreeMap;

use nelumbo_core::base::{Bytes, Entropy};
use nelumbo_core::crypto::{
    MessageSigner, Network, NonceSlot, PartialSignature, PublicKey, PublicNonce, Signature, Signer, Verifier,
    tagged_hash,
};
use nelumbo_core::wire::{Body, Content, Definition, Message, SessionId, SessionMessage, seal};

use super::super::scheme::Scheme;

/// All nonces and partial signatures that were ever sent, which scripted peers know.
#[derive(Default)]
pub(super) struct Transcript {
    nonces: BTreeMap<(SessionId, u32), BTreeMap<PublicKey, PublicNonce>>,
    partials: BTreeMap<(SessionId, u32), BTreeMap<PublicKey, PartialSignature>>,
    attempts: BTreeMap<SessionId, u32>,
}

impl Transcript {
    pub(super) fn hear(&mut self, message: &Message) {
        let Body::Session(step) = &message.unsigned.body else { return };
        let (slot, author) = ((step.session, step.attempt), message.unsigned.author);
        match &step.content {
            Content::Announce { nonce, .. } | Content::Join { nonce } => {
                self.nonces.entry(slot).or_default().insert(author, *nonce);
                let attempt = self.attempts.entry(step.session).or_default();
                *attempt = step.attempt.max(*attempt);
            }
            Content::Partial { partial, .. } => {
                self.partials.entry(slot).or_default().insert(author, *partial);
            }
            _ => {}
        }
    }

    /// The newest attempt at a session.
    pub(super) fn attempt(&self, session: &SessionId) -> u32 {
        self.attempts.get(session).copied().unwrap_or(1)
    }

    /// The nonces of an attempt in key order, once all are known.
    pub(super) fn nonces(&self, definition: &Definition, attempt: u32) -> Option<Vec<PublicNonce>> {
        let known = self.nonces.get(&(definition.id(), attempt))?;
        definition.keys.iter().map(|key| known.get(key).copied()).collect()
    }

    pub(super) fn nonce_of(&self, session: &SessionId, attempt: u32, key: &PublicKey) -> Option<PublicNonce> {
        self.nonces.get(&(*session, attempt))?.get(key).copied()
    }

    pub(super) fn partial_of(&self, session: &SessionId, attempt: u32, key: &PublicKey) -> Option<PartialSignature> {
        self.partials.get(&(*session, attempt))?.get(key).copied()
    }

    /// The final signature, if all partial signatures have been sent.
    pub(super) fn combine<V: Verifier + Default>(&self, definition: &Definition, attempt: u32) -> Option<Signature> {
        let verifier = V::default();
        let known = self.partials.get(&(definition.id(), attempt))?;
        let partials: Vec<_> = definition.keys.iter().map(|key| known.get(key).copied()).collect::<Option<_>>()?;
        let keys = verifier.aggregate_keys(definition.suite, &definition.keys, &definition.tweak).ok()?;
        let nonces = self.nonces(definition, attempt)?;
        let round = verifier.open_round(&keys, &nonces, &definition.message).ok()?;
        verifier.combine(&keys, &round, &partials).ok()
    }
}

/// The hash of a list of nonces, as partial signatures carry it.
pub(super) fn hash_of(nonces: &[PublicNonce]) -> [u8; 32] {
    let list: Vec<u8> = nonces.iter().flat_map(|nonce| nonce.to_bytes()).collect();
    tagged_hash("nelumbo/nonces/1", &[&list])
}

pub(super) struct ScriptedPeer<S: Scheme> {
    pub(super) key: PublicKey,
    author: Box<dyn MessageSigner + Send>,
    /// Two signers with one key and different entropy, for a second nonce in one attempt.
    signers: [Box<dyn Signer<S::Verifier> + Send>; 2],
    drawn: BTreeMap<(usize, NonceSlot), Option<PublicNonce>>,
    sequences: BTreeMap<(SessionId, u32), u64>,
}

impl<S: Scheme> ScriptedPeer<S> {
    pub(super) fn new(number: u8) -> Self {
        let signer = |life: u8| S::signer(number, Entropy::new([life; 32]).expect("not all zero"));
        let signers = [signer(number), signer(number + 100)];
        let author = S::author(number, Entropy::new([number; 32]).expect("not all zero").stream("messages"));
        Self { key: author.public_key(), author, signers, drawn: BTreeMap::new(), sequences: BTreeMap::new() }
    }

    pub(super) fn seal(&mut self, body: Body) -> Bytes {
        seal(self.author.as_mut(), Network::Regtest, body).expect("a scripted peer's signer signs")
    }

    /// A message of the session with the next sequence number plus `skip`.
    pub(super) fn say(&mut self, session: SessionId, attempt: u32, skip: u64, content: Content) -> Bytes {
        let sequence = self.sequences.entry((session, attempt)).or_default();
        *sequence = sequence.wrapping_add(1).wrapping_add(skip);
        let sequence = *sequence;
        self.seal(Body::Session(SessionMessage { session, attempt, sequence, content }))
    }

    pub(super) fn nonce(&mut self, which: usize, definition: &Definition, attempt: u32) -> Option<PublicNonce> {
        let slot = NonceSlot { session: *definition.id().as_bytes(), attempt };
        let signer = &mut self.signers[which];
        *self.drawn.entry((which, slot)).or_insert_with(|| {
            let keys = S::Verifier::default().aggregate_keys(definition.suite, &definition.keys, &definition.tweak);
            keys.ok().and_then(|keys| signer.nonce(slot, &keys, &definition.message).ok())
        })
    }

    pub(super) fn sign(
        &mut self,
        which: usize,
        definition: &Definition,
        attempt: u32,
        nonces: &[PublicNonce],
    ) -> Option<PartialSignature> {
        let slot = NonceSlot { session: *definition.id().as_bytes(), attempt };
        let verifier = S::Verifier::default();
        let keys = verifier.aggregate_keys(definition.suite, &definition.keys, &definition.tweak).ok()?;
        let round = verifier.open_round(&keys, nonces, &definition.message).ok()?;
        self.signers[which].sign(slot, &keys, &round).ok()
    }
}
