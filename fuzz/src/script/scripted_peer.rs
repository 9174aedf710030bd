//! A signer with a valid key that sends whatever the fuzzer decides.
//!
//! It can also send what an honest signer would, so that sessions get far before it misbehaves. Driven by the script's
//! harness.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nelumbo_core::base::{Bytes, Entropy};
use nelumbo_core::crypto::{
    MessageSigner, Network, NonceSlot, PartialSignature, PublicKey, PublicNonce, Signature, Signer, Verifier,
    tagged_hash,
};
use nelumbo_core::wire::{Body, Content, Definition, Item, Message, SessionId, SessionMessage, seal};

use super::super::scheme::Scheme;

/// All nonces and partial signatures that were ever sent, which scripted peers know.
#[derive(Default)]
pub(super) struct Transcript {
    nonces: BTreeMap<(SessionId, u32), BTreeMap<PublicKey, Vec<PublicNonce>>>,
    partials: BTreeMap<(SessionId, u32), BTreeMap<PublicKey, Vec<PartialSignature>>>,
    attempts: BTreeMap<SessionId, u32>,
}

impl Transcript {
    pub(super) fn hear(&mut self, message: &Message) {
        let Body::Session(step) = &message.unsigned.body else { return };
        let (slot, author) = ((step.session, step.attempt), message.unsigned.author);
        match &step.content {
            Content::Announce { nonces, .. } | Content::Join { nonces } => {
                self.nonces.entry(slot).or_default().insert(author, nonces.clone());
                let attempt = self.attempts.entry(step.session).or_default();
                *attempt = step.attempt.max(*attempt);
            }
            Content::Partial { partials, .. } => {
                self.partials.entry(slot).or_default().insert(author, partials.clone());
            }
            _ => {}
        }
    }

    /// The newest attempt at a session.
    pub(super) fn attempt(&self, session: &SessionId) -> u32 {
        self.attempts.get(session).copied().unwrap_or(1)
    }

    /// The nonces of an attempt in key order, once all are known.
    pub(super) fn nonces(&self, definition: &Definition, attempt: u32) -> Option<Vec<Vec<PublicNonce>>> {
        let known = self.nonces.get(&(definition.id(), attempt))?;
        definition.keys.iter().map(|key| known.get(key).cloned()).collect()
    }

    pub(super) fn nonces_of(&self, session: &SessionId, attempt: u32, key: &PublicKey) -> Option<Vec<PublicNonce>> {
        self.nonces.get(&(*session, attempt))?.get(key).cloned()
    }

    pub(super) fn partials_of(
        &self,
        session: &SessionId,
        attempt: u32,
        key: &PublicKey,
    ) -> Option<Vec<PartialSignature>> {
        self.partials.get(&(*session, attempt))?.get(key).cloned()
    }

    /// The final signatures, if all partial signatures have been sent.
    pub(super) fn combine<V: Verifier + Default>(
        &self,
        definition: &Definition,
        attempt: u32,
    ) -> Option<Vec<Signature>> {
        let verifier = V::default();
        let known = self.partials.get(&(definition.id(), attempt))?;
        let nonces = self.nonces(definition, attempt)?;
        let combine = |(item, (keys, round)): (usize, (V::Keys, V::Round))| {
            let of_item = |key| known.get(key)?.get(item).copied();
            let partials: Vec<_> = definition.keys.iter().map(of_item).collect::<Option<_>>()?;
            verifier.combine(&keys, &round, &partials).ok()
        };
        rounds(&verifier, definition, &nonces)?.into_iter().enumerate().map(combine).collect()
    }
}

/// The keys and the round of each item, opened with these nonces of each signer.
fn rounds<V: Verifier>(
    verifier: &V,
    definition: &Definition,
    nonces: &[Vec<PublicNonce>],
) -> Option<Vec<(V::Keys, V::Round)>> {
    let messages = definition.messages().ok()?;
    let open = |(index, message): (usize, &Cow<'_, [u8]>)| {
        let tweak = definition.items[index].tweak;
        let keys = verifier.aggregate_keys(definition.suite, &definition.keys, &tweak).ok()?;
        let nonces: Vec<_> = nonces.iter().map(|list| list.get(index).copied()).collect::<Option<_>>()?;
        let round = verifier.open_round(&keys, &nonces, message).ok()?;
        Some((keys, round))
    };
    messages.iter().enumerate().map(open).collect()
}

/// The hash of the signers' nonces, as partial signatures carry it.
pub(super) fn hash_of(nonces: &[Vec<PublicNonce>]) -> [u8; 32] {
    let list: Vec<u8> = nonces.iter().flatten().flat_map(|nonce| nonce.to_bytes()).collect();
    tagged_hash("nelumbo/nonces/1", &[&list])
}

pub(super) struct ScriptedPeer<S: Scheme> {
    pub(super) key: PublicKey,
    author: Box<dyn MessageSigner + Send>,
    /// Two signers with one key and different entropy, for a second nonce in one attempt.
    signers: [Box<dyn Signer<S::Verifier> + Send>; 2],
    drawn: BTreeMap<(usize, NonceSlot), Option<Vec<PublicNonce>>>,
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

    pub(super) fn nonces(&mut self, which: usize, definition: &Definition, attempt: u32) -> Option<Vec<PublicNonce>> {
        let slot = NonceSlot { session: *definition.id().as_bytes(), attempt };
        let signer = &mut self.signers[which];
        let draw = || {
            let verifier = S::Verifier::default();
            let messages = definition.messages().ok()?;
            let aggregate = |item: &Item| verifier.aggregate_keys(definition.suite, &definition.keys, &item.tweak).ok();
            let keys: Vec<_> = definition.items.iter().map(aggregate).collect::<Option<_>>()?;
            let items: Vec<_> = keys.iter().zip(messages.iter().map(|message| &message[..])).collect();
            signer.nonces(slot, &items).ok()
        };
        self.drawn.entry((which, slot)).or_insert_with(draw).clone()
    }

    pub(super) fn sign(
        &mut self,
        which: usize,
        definition: &Definition,
        attempt: u32,
        nonces: &[Vec<PublicNonce>],
    ) -> Option<Vec<PartialSignature>> {
        let slot = NonceSlot { session: *definition.id().as_bytes(), attempt };
        let rounds = rounds(&S::Verifier::default(), definition, nonces)?;
        let rounds: Vec<_> = rounds.iter().map(|(keys, round)| (keys, round)).collect();
        self.signers[which].sign(slot, &rounds).ok()
    }
}
