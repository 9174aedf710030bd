//! A stand-in for the curve, for simulations in which cryptography would be all the cost.
//!
//! It has the interface and the failures of the real thing and none of its strength: a signature is a hash that anyone
//! can compute. It exists in this crate only, and everything that was made with it says so.

use std::collections::BTreeMap;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    CombineError, EntropyError, EntropySource, KeyAggError, MessageSigner, NonceError, NonceSlot, PartialSignature,
    PublicKey, PublicNonce, Signature, Signer, SignerError, Suite, Tweak, Verifier,
};

use super::{Crypto, Meter, Operation};
use crate::random::{Random, fold};

/// The stand-in.
#[derive(Clone, Copy, Debug)]
pub struct Toy;

impl Crypto for Toy {
    type V = ToyVerifier;

    const NAME: &'static str = "toy";

    fn public_key(secret: &[u8; 32]) -> Option<PublicKey> {
        let mut bytes = [2; 33];
        bytes[1..].copy_from_slice(&scramble("key", &[secret]));
        PublicKey::from_bytes(bytes).ok()
    }

    fn message_signer(secret: &[u8; 32], _: Entropy, meter: &Meter) -> Box<dyn MessageSigner + Send> {
        let key = Self::public_key(secret).expect("every 32 bytes are a key");
        Box::new(ToyMessageKey { key, meter: meter.clone() })
    }

    fn signer(
        secret: &[u8; 32],
        entropy: impl EntropySource + Send + 'static,
        meter: &Meter,
    ) -> Box<dyn Signer<ToyVerifier> + Send> {
        let key = Self::public_key(secret).expect("every 32 bytes are a key");
        let slots = BTreeMap::new();
        Box::new(ToySigner { key, entropy, slots, meter: meter.clone() })
    }

    fn verifier(meter: &Meter) -> ToyVerifier {
        ToyVerifier { meter: meter.clone() }
    }
}

/// 32 bytes that depend on all parts.
fn scramble(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let seed = parts.iter().fold(fold(0, label.as_bytes()), |hash, part| fold(hash, part));
    Random::stream(seed, label, 0).bytes32()
}

/// Checks what [`ToySigner`]s make.
#[derive(Clone, Debug, Default)]
pub struct ToyVerifier {
    meter: Meter,
}

/// The keys of a session.
#[derive(Clone, Debug)]
pub struct ToyKeys {
    keys: Vec<PublicKey>,
    aggregate: PublicKey,
}

/// One round of a session.
#[derive(Clone, Debug)]
pub struct ToyRound {
    nonces: [u8; 32],
    message: Vec<u8>,
    aggregate: PublicKey,
}

impl ToyRound {
    fn partial(&self, key: &PublicKey) -> PartialSignature {
        let parts = [key.as_bytes().as_slice(), self.aggregate.as_bytes(), &self.nonces, &self.message];
        PartialSignature::from_bytes(scramble("partial", &parts))
    }
}

fn authorship(author: &PublicKey, digest: &[u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&scramble("author", &[author.as_bytes(), digest]));
    Signature::from_bytes(bytes)
}

fn final_signature(aggregate: &PublicKey, message: &[u8], nonces: &[u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(nonces);
    bytes[32..].copy_from_slice(&scramble("final", &[aggregate.as_bytes(), message, nonces]));
    Signature::from_bytes(bytes)
}

impl Verifier for ToyVerifier {
    type Keys = ToyKeys;
    type Round = ToyRound;
    type Prepared = PublicKey;

    fn verify(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool {
        self.meter.charge(Operation::Verify);
        authorship(author, digest) == *signature
    }

    fn prepare(&self, author: &PublicKey) -> Option<PublicKey> {
        self.meter.charge(Operation::Prepare);
        Some(*author)
    }

    fn verify_prepared(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool {
        self.meter.charge(Operation::VerifyPrepared);
        authorship(author, digest) == *signature
    }

    fn verify_many(&self, claims: &[(PublicKey, [u8; 32], Signature)], _: &[u8; 32]) -> Vec<bool> {
        self.meter.charge(Operation::VerifyMany(claims.len()));
        let verdicts: Vec<_> =
            claims.iter().map(|(author, digest, signature)| authorship(author, digest) == *signature).collect();
        if verdicts.contains(&false) {
            // The real one halves a batch that fails until it knows who is wrong, which costs as much again.
            claims.iter().for_each(|_| self.meter.charge(Operation::Verify));
        }
        verdicts
    }

    fn aggregate_keys(&self, suite: Suite, keys: &[PublicKey], tweak: &Tweak) -> Result<ToyKeys, KeyAggError> {
        for (before, pair) in keys.windows(2).enumerate() {
            if pair[0] == pair[1] {
                return Err(KeyAggError::DuplicateKey(pair[0]));
            }
            if pair[0] > pair[1] {
                return Err(KeyAggError::Unsorted(before + 1));
            }
        }
        self.meter.charge(Operation::AggregateKeys(keys.len()));
        let mut hash = fold(0, format!("{suite:?}").as_bytes());
        keys.iter().for_each(|key| hash = fold(hash, key.as_bytes()));
        let mut aggregate = [2; 33];
        aggregate[1..].copy_from_slice(&Random::stream(hash, "aggregate", 0).bytes32());
        let aggregate = PublicKey::from_bytes(aggregate).expect("02 is a prefix");
        self.tweak_keys(&ToyKeys { keys: keys.to_vec(), aggregate }, tweak)
    }

    fn tweak_keys(&self, keys: &ToyKeys, tweak: &Tweak) -> Result<ToyKeys, KeyAggError> {
        if *tweak == Tweak::None {
            return Ok(keys.clone());
        }
        self.meter.charge(Operation::Tweak);
        let hash = fold(fold(0, format!("{tweak:?}").as_bytes()), keys.aggregate.as_bytes());
        let mut aggregate = [2; 33];
        aggregate[1..].copy_from_slice(&Random::stream(hash, "tweak", 0).bytes32());
        Ok(ToyKeys { aggregate: PublicKey::from_bytes(aggregate).expect("02 is a prefix"), ..keys.clone() })
    }

    fn aggregate_key(&self, keys: &ToyKeys) -> PublicKey {
        keys.aggregate
    }

    fn challenge_key(&self, keys: &ToyKeys) -> PublicKey {
        keys.aggregate
    }

    fn open_round(&self, keys: &ToyKeys, nonces: &[PublicNonce], message: &[u8]) -> Result<ToyRound, NonceError> {
        if nonces.len() != keys.keys.len() {
            return Err(NonceError::Count { expected: keys.keys.len(), found: nonces.len() });
        }
        self.meter.charge(Operation::OpenRound(nonces.len()));
        let is_valid = |nonce: &PublicNonce| [0, 33].iter().all(|at| matches!(nonce.as_bytes()[*at], 2 | 3));
        if let Some(signer) = nonces.iter().position(|nonce| !is_valid(nonce)) {
            return Err(NonceError::Invalid { signer });
        }
        let list: Vec<&[u8]> = nonces.iter().map(|nonce| nonce.as_bytes().as_slice()).collect();
        Ok(ToyRound { nonces: scramble("nonces", &list), message: message.to_vec(), aggregate: keys.aggregate })
    }

    fn verify_partial(
        &self,
        keys: &ToyKeys,
        round: &ToyRound,
        index: usize,
        _: &PublicNonce,
        partial: &PartialSignature,
    ) -> bool {
        self.meter.charge(Operation::VerifyPartial);
        round.partial(&keys.keys[index]) == *partial
    }

    fn combine(
        &self,
        keys: &ToyKeys,
        round: &ToyRound,
        partials: &[PartialSignature],
    ) -> Result<Signature, CombineError> {
        if partials.len() != keys.keys.len() {
            return Err(CombineError::Count { expected: keys.keys.len(), found: partials.len() });
        }
        self.meter.charge(Operation::Combine(partials.len()));
        if keys.keys.iter().zip(partials).any(|(key, partial)| round.partial(key) != *partial) {
            return Err(CombineError::Invalid);
        }
        Ok(final_signature(&keys.aggregate, &round.message, &round.nonces))
    }

    fn verify_final(&self, keys: &ToyKeys, message: &[u8], signature: &Signature) -> bool {
        self.meter.charge(Operation::VerifyFinal);
        let nonces = signature.as_bytes().first_chunk().expect("a signature has 64 bytes");
        final_signature(&keys.aggregate, message, nonces) == *signature
    }
}

/// Signs messages.
struct ToyMessageKey {
    key: PublicKey,
    meter: Meter,
}

impl MessageSigner for ToyMessageKey {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        self.meter.charge(Operation::Authenticate);
        Ok(authorship(&self.key, digest))
    }
}

/// A signer with the rules of the real one: a slot yields one nonce and at most one partial signature for each item.
pub struct ToySigner<E = Entropy> {
    key: PublicKey,
    entropy: E,
    slots: BTreeMap<NonceSlot, Slot>,
    meter: Meter,
}

enum Slot {
    Open { nonces: Vec<PublicNonce>, items: Vec<(PublicKey, Vec<u8>)> },
    Signed { partials: Vec<PartialSignature> },
    Forgotten,
}

impl<E: EntropySource> Signer<ToyVerifier> for ToySigner<E> {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn nonces(&mut self, slot: NonceSlot, items: &[(&ToyKeys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        let of: Vec<_> = items.iter().map(|(keys, message)| (keys.aggregate, message.to_vec())).collect();
        match self.slots.get(&slot) {
            Some(Slot::Open { nonces, items }) if *items == of => return Ok(nonces.clone()),
            Some(_) => return Err(SignerError::SlotServed),
            None if items.iter().any(|(keys, _)| keys.keys.binary_search(&self.key).is_err()) => {
                return Err(SignerError::NotASigner);
            }
            None => {}
        }
        let draw = |_| {
            self.meter.charge(Operation::Nonce);
            let mut bytes = [2; 66];
            bytes[1..33].copy_from_slice(&self.entropy.draw()?);
            bytes[34..].copy_from_slice(&self.entropy.draw()?);
            Ok(PublicNonce::from_bytes(bytes))
        };
        let nonces: Result<Vec<_>, EntropyError> = items.iter().map(draw).collect();
        let nonces = nonces.map_err(|_| SignerError::Unavailable)?;
        self.slots.insert(slot, Slot::Open { nonces: nonces.clone(), items: of });
        Ok(nonces)
    }

    fn sign(&mut self, slot: NonceSlot, items: &[(&ToyKeys, &ToyRound)]) -> Result<Vec<PartialSignature>, SignerError> {
        let made = || -> Vec<_> { items.iter().map(|(_, round)| round.partial(&self.key)).collect() };
        match self.slots.get(&slot) {
            Some(Slot::Open { .. }) => {}
            // They are hashes of all that defines the rounds.
            Some(Slot::Signed { partials }) if *partials == made() => return Ok(partials.clone()),
            Some(Slot::Signed { .. }) => return Err(SignerError::NonceSpent),
            Some(Slot::Forgotten) | None => return Err(SignerError::NoNonce),
        }
        items.iter().for_each(|_| self.meter.charge(Operation::Sign));
        let partials = made();
        self.slots.insert(slot, Slot::Signed { partials: partials.clone() });
        Ok(partials)
    }

    fn forget(&mut self, slot: NonceSlot) {
        if let Some(slot @ Slot::Open { .. }) = self.slots.get_mut(&slot) {
            *slot = Slot::Forgotten;
        }
    }

    fn forget_all(&mut self) {
        self.slots
            .values_mut()
            .filter(|slot| matches!(slot, Slot::Open { .. }))
            .for_each(|slot| *slot = Slot::Forgotten);
    }
}

impl<E> std::fmt::Debug for ToySigner<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToySigner").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_charged_what_the_table_says() {
        let meter = Meter::counting();
        let entropy = Entropy::new([3; 32]).expect("not all zero");
        let mut author = Toy::message_signer(&[1; 32], entropy.stream("messages"), &meter);
        let (mut signer, verifier) = (Toy::signer(&[1; 32], entropy, &meter), Toy::verifier(&meter));
        let charged = |operations: &[Operation]| {
            assert_eq!(
                meter.take(),
                operations.iter().map(|operation| operation.cost()).sum::<u64>(),
                "{operations:?}"
            );
        };
        let (key, message) = (signer.public_key(), [7; 32]);
        charged(&[]);
        let signature = author.sign(&message).expect("the stand-in signs");
        charged(&[Operation::Authenticate]);
        assert!(verifier.verify(&key, &message, &signature) && !verifier.verify(&key, &[8; 32], &signature));
        charged(&[Operation::Verify, Operation::Verify]);
        let prepared = verifier.prepare(&key).expect("every key");
        charged(&[Operation::Prepare]);
        assert!(verifier.verify_prepared(&prepared, &message, &signature));
        charged(&[Operation::VerifyPrepared]);
        let claims = [(key, message, signature), (key, [8; 32], signature)];
        assert_eq!(verifier.verify_many(&claims[..1], &message), [true]);
        charged(&[Operation::VerifyMany(1)]);
        assert_eq!(verifier.verify_many(&claims, &message), [true, false]);
        charged(&[Operation::VerifyMany(2), Operation::Verify, Operation::Verify]);
        let tweaked = verifier.aggregate_keys(Suite::Lotus, &[key], &Tweak::Taproot { merkle_root: None });
        charged(&[Operation::AggregateKeys(1), Operation::Tweak]);
        assert!(verifier.aggregate_keys(Suite::Lotus, &[key, key], &Tweak::None).is_err());
        charged(&[]);
        let (keys, slot) = (tweaked.expect("one key"), NonceSlot { session: [1; 32], attempt: 1 });
        let nonces = signer.nonces(slot, &[(&keys, &message)]).expect("a fresh slot");
        charged(&[Operation::Nonce]);
        let round = verifier.open_round(&keys, &nonces, &message).expect("an honest nonce");
        charged(&[Operation::OpenRound(1)]);
        let partials = signer.sign(slot, &[(&keys, &round)]).expect("its nonce");
        charged(&[Operation::Sign]);
        assert_eq!(signer.sign(slot, &[(&keys, &round)]), Ok(partials.clone()), "the same again");
        let other = verifier.open_round(&keys, &nonces, &[8; 32]).expect("an honest nonce");
        charged(&[Operation::OpenRound(1)]);
        assert_eq!(signer.sign(slot, &[(&keys, &other)]), Err(SignerError::NonceSpent));
        charged(&[]);
        assert!(verifier.culprits(&keys, &round, &nonces, &partials, &message).is_empty());
        charged(&[Operation::VerifyPartial]);
        let signature = verifier.combine(&keys, &round, &partials).expect("honest signers");
        charged(&[Operation::Combine(1)]);
        assert!(verifier.verify_final(&keys, &message, &signature));
        charged(&[Operation::VerifyFinal]);
    }
}
