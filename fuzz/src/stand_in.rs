//! Cryptography that costs next to nothing and keeps the rules that the machines rely on.
//!
//! In place of a signature is a hash over key and content: no participant of a script computes one for a key that is
//! not its own, and the fuzzer does not guess one. A nonce or key whose second byte is 255 is off the curve. Invariant
//! asserted here: a nonce signs at most once. Driven by `script`.

use std::collections::BTreeMap;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    CombineError, KeyAggError, MessageSigner, NonceError, NonceSlot, PartialSignature, PublicKey, PublicNonce,
    Signature, Signer, SignerError, Suite, Tweak, Verifier, sha256,
};

use super::scheme::Scheme;

#[derive(Clone, Copy, Default)]
pub(crate) struct StandIn;

impl Scheme for StandIn {
    type Verifier = Self;

    fn signer(number: u8, entropy: Entropy) -> Box<dyn Signer<Self> + Send> {
        Box::new(StandInSigner { key: key_of(number), entropy, slots: BTreeMap::new() })
    }

    fn author(number: u8, _: Entropy) -> Box<dyn MessageSigner + Send> {
        Box::new(StandInAuthor(key_of(number)))
    }
}

fn key_of(number: u8) -> PublicKey {
    let mut key = [number; 33];
    key[0] = 2 | number & 1;
    PublicKey::from_bytes(key).expect("the prefix is 2 or 3")
}

/// Aggregated keys: the keys, and a hash of the keys and everything else that they depend on.
#[derive(Clone)]
pub(crate) struct Keys {
    keys: Vec<PublicKey>,
    suite: Suite,
    challenge: PublicKey,
}

/// A round: the hash that all partial signatures in it are over.
pub(crate) struct Round {
    transcript: [u8; 32],
    challenge: PublicKey,
    message: Vec<u8>,
}

const OFF_THE_CURVE: u8 = 255;

fn partial_of(key: &PublicKey, round: &Round) -> PartialSignature {
    PartialSignature::from_bytes(sha256(&[b"partial", key.as_bytes(), &round.transcript]))
}

fn signed(label: &[u8], key: &PublicKey, content: &[u8], random: [u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&random);
    bytes[32..].copy_from_slice(&sha256(&[label, key.as_bytes(), &random, content]));
    Signature::from_bytes(bytes)
}

fn is_signed(label: &[u8], key: &PublicKey, content: &[u8], signature: &Signature) -> bool {
    let (random, _) = signature.as_bytes().split_first_chunk().expect("64 bytes");
    signed(label, key, content, *random) == *signature
}

impl Verifier for StandIn {
    type Keys = Keys;
    type Round = Round;
    type Prepared = PublicKey;

    fn verify(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool {
        is_signed(b"author", author, digest, signature)
    }

    fn prepare(&self, author: &PublicKey) -> Option<PublicKey> {
        Some(*author)
    }

    fn verify_prepared(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool {
        self.verify(author, digest, signature)
    }

    fn aggregate_keys(&self, suite: Suite, keys: &[PublicKey], tweak: &Tweak) -> Result<Keys, KeyAggError> {
        if keys.is_empty() {
            return Err(KeyAggError::Empty);
        }
        if let Some(position) = keys.iter().position(|key| key.as_bytes()[1] == OFF_THE_CURVE) {
            return Err(KeyAggError::InvalidKey(position));
        }
        for (before, pair) in keys.windows(2).enumerate() {
            if pair[0] == pair[1] {
                return Err(KeyAggError::DuplicateKey(pair[0]));
            }
            if pair[0] > pair[1] {
                return Err(KeyAggError::Unsorted(before + 1));
            }
        }
        let all: Vec<u8> = keys.iter().flat_map(|key| key.to_bytes()).collect();
        let hash = sha256(&[b"keys", &[suite as u8], &postcard::to_allocvec(tweak).expect("memory"), &all]);
        let mut challenge = [2; 33];
        challenge[1..].copy_from_slice(&hash);
        let challenge = PublicKey::from_bytes(challenge).expect("the prefix is 2");
        Ok(Keys { keys: keys.to_vec(), suite, challenge })
    }

    fn tweak_keys(&self, keys: &Keys, tweak: &Tweak) -> Result<Keys, KeyAggError> {
        self.aggregate_keys(keys.suite, &keys.keys, tweak)
    }

    fn aggregate_key(&self, keys: &Keys) -> PublicKey {
        keys.challenge
    }

    fn challenge_key(&self, keys: &Keys) -> PublicKey {
        keys.challenge
    }

    fn open_round(&self, keys: &Keys, nonces: &[PublicNonce], message: &[u8]) -> Result<Round, NonceError> {
        if nonces.len() != keys.keys.len() {
            return Err(NonceError::Count { expected: keys.keys.len(), found: nonces.len() });
        }
        if keys.suite == Suite::Lotus && message.len() != 32 {
            return Err(NonceError::MessageLength(message.len()));
        }
        if let Some(signer) = nonces.iter().position(|nonce| nonce.as_bytes()[1] == OFF_THE_CURVE) {
            return Err(NonceError::Invalid { signer });
        }
        // Equal nonces stand for nonces that cancel out: nobody can be named for them.
        if nonces.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(NonceError::Infinity);
        }
        let all: Vec<u8> = nonces.iter().flat_map(|nonce| nonce.to_bytes()).collect();
        let transcript = sha256(&[b"round", keys.challenge.as_bytes(), &all, message]);
        Ok(Round { transcript, challenge: keys.challenge, message: message.to_vec() })
    }

    fn verify_partial(
        &self,
        keys: &Keys,
        round: &Round,
        index: usize,
        _: &PublicNonce,
        partial: &PartialSignature,
    ) -> bool {
        keys.keys.get(index).is_some_and(|key| partial_of(key, round) == *partial)
    }

    fn combine(&self, keys: &Keys, round: &Round, partials: &[PartialSignature]) -> Result<Signature, CombineError> {
        if partials.len() != keys.keys.len() {
            return Err(CombineError::Count { expected: keys.keys.len(), found: partials.len() });
        }
        if let Some(signer) =
            keys.keys.iter().zip(partials).position(|(key, partial)| partial_of(key, round) != *partial)
        {
            return Err(CombineError::OutOfRange { signer });
        }
        Ok(signed(b"final", &keys.challenge, &round.message, round.transcript))
    }

    fn verify_final(&self, keys: &Keys, message: &[u8], signature: &Signature) -> bool {
        is_signed(b"final", &keys.challenge, message, signature)
    }
}

/// The state of a nonce's slot.
enum Slot {
    /// The challenge key and the message of each item.
    Open(Vec<(PublicKey, Vec<u8>)>),
    Closed {
        is_signed: bool,
    },
}

struct StandInAuthor(PublicKey);

impl MessageSigner for StandInAuthor {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        // Without randomness, so that one message has one signature and duplicates are recognised as such.
        Ok(signed(b"author", &self.0, digest, *digest))
    }
}

struct StandInSigner {
    key: PublicKey,
    entropy: Entropy,
    slots: BTreeMap<NonceSlot, Slot>,
}

impl Signer<StandIn> for StandInSigner {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn nonces(&mut self, slot: NonceSlot, items: &[(&Keys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        if self.slots.contains_key(&slot) {
            return Err(SignerError::SlotServed);
        }
        if items.iter().any(|(keys, _)| !keys.keys.contains(&self.key)) {
            return Err(SignerError::NotASigner);
        }
        let open = items.iter().map(|(keys, message)| (keys.challenge, message.to_vec())).collect();
        self.slots.insert(slot, Slot::Open(open));
        let draw = |_| {
            let mut nonce = [0; 66];
            self.entropy.fill(&mut nonce);
            nonce[1] &= 0x7f;
            PublicNonce::from_bytes(nonce)
        };
        Ok(items.iter().map(draw).collect())
    }

    fn sign(&mut self, slot: NonceSlot, items: &[(&Keys, &Round)]) -> Result<Vec<PartialSignature>, SignerError> {
        match self.slots.get(&slot) {
            None => return Err(SignerError::NoNonce),
            Some(Slot::Closed { is_signed: true }) => return Err(SignerError::NonceSpent),
            Some(Slot::Closed { is_signed: false }) => return Err(SignerError::NoNonce),
            Some(Slot::Open(open)) => {
                let fits = |((challenge, message), (keys, round)): (&(PublicKey, Vec<u8>), &(&Keys, &Round))| {
                    *challenge == keys.challenge && *message == round.message && *challenge == round.challenge
                };
                if open.len() != items.len() || !open.iter().zip(items).all(fits) {
                    return Err(SignerError::RoundMismatch);
                }
            }
        }
        self.slots.insert(slot, Slot::Closed { is_signed: true });
        Ok(items.iter().map(|(_, round)| partial_of(&self.key, round)).collect())
    }

    fn forget(&mut self, slot: NonceSlot) {
        if let Some(Slot::Open(_)) = self.slots.get(&slot) {
            self.slots.insert(slot, Slot::Closed { is_signed: false });
        }
    }

    fn forget_all(&mut self) {
        let slots: Vec<_> = self.slots.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.forget(slot));
    }
}
