//! Any cryptography, with each operation counted, apart from any meter.
//!
//! Owns the counts, one for each thread. Invariant: everything is passed on as it came; what checkers verify is no
//! node's work and is not counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    CombineError, EntropySource, KeyAggError, MessageSigner, NonceError, NonceSlot, PartialSignature, PublicKey,
    PublicNonce, Signature, Signer, SignerError, Suite, Tweak, Verifier,
};
use nelumbo_core::wire::Definition;
use nelumbo_simulator::crypto::{Crypto, Meter, Operation};

/// How often each operation was done.
pub(crate) type Counts = BTreeMap<Operation, u64>;

thread_local! {
    static COUNTS: RefCell<Counts> = const { RefCell::new(Counts::new()) };
}

/// What nodes on this thread have done since this was last asked.
pub(crate) fn take_counts() -> Counts {
    COUNTS.take()
}

fn count(operation: Operation) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(operation).or_default() += 1);
}

pub(crate) struct Counted<C>(PhantomData<C>);

impl<C: Crypto> Crypto for Counted<C> {
    type V = CountedVerifier<C::V>;

    const NAME: &'static str = "counted";

    fn public_key(secret: &[u8; 32]) -> Option<PublicKey> {
        C::public_key(secret)
    }

    fn message_signer(secret: &[u8; 32], entropy: Entropy, meter: &Meter) -> Box<dyn MessageSigner + Send> {
        Box::new(CountedMessageSigner(C::message_signer(secret, entropy, meter)))
    }

    fn signer(
        secret: &[u8; 32],
        entropy: impl EntropySource + Send + 'static,
        meter: &Meter,
    ) -> Box<dyn Signer<Self::V> + Send> {
        Box::new(CountedSigner(C::signer(secret, entropy, meter)))
    }

    fn verifier(meter: &Meter) -> Self::V {
        CountedVerifier(C::verifier(meter))
    }

    fn is_final(definition: &Definition, signatures: &[Signature]) -> bool {
        C::is_final(definition, signatures)
    }
}

struct CountedMessageSigner(Box<dyn MessageSigner + Send>);

impl MessageSigner for CountedMessageSigner {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        count(Operation::Authenticate);
        self.0.sign(digest)
    }
}

struct CountedSigner<V: Verifier>(Box<dyn Signer<V> + Send>);

impl<V: Verifier> Signer<CountedVerifier<V>> for CountedSigner<V> {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn nonces(&mut self, slot: NonceSlot, items: &[(&V::Keys, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        items.iter().for_each(|_| count(Operation::Nonce));
        self.0.nonces(slot, items)
    }

    fn sign(&mut self, slot: NonceSlot, items: &[(&V::Keys, &V::Round)]) -> Result<Vec<PartialSignature>, SignerError> {
        items.iter().for_each(|_| count(Operation::Sign));
        self.0.sign(slot, items)
    }

    fn forget(&mut self, slot: NonceSlot) {
        self.0.forget(slot);
    }

    fn forget_all(&mut self) {
        self.0.forget_all();
    }
}

pub(crate) struct CountedVerifier<V>(V);

impl<V: Verifier> Verifier for CountedVerifier<V> {
    type Keys = V::Keys;
    type Round = V::Round;
    type Prepared = V::Prepared;

    fn verify(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool {
        count(Operation::Verify);
        self.0.verify(author, digest, signature)
    }

    fn prepare(&self, author: &PublicKey) -> Option<V::Prepared> {
        count(Operation::Prepare);
        self.0.prepare(author)
    }

    fn verify_prepared(&self, author: &V::Prepared, digest: &[u8; 32], signature: &Signature) -> bool {
        count(Operation::VerifyPrepared);
        self.0.verify_prepared(author, digest, signature)
    }

    fn verify_many(&self, claims: &[(PublicKey, [u8; 32], Signature)], entropy: &[u8; 32]) -> Vec<bool> {
        count(Operation::VerifyMany(claims.len()));
        self.0.verify_many(claims, entropy)
    }

    fn aggregate_keys(&self, suite: Suite, keys: &[PublicKey], tweak: &Tweak) -> Result<V::Keys, KeyAggError> {
        count(Operation::AggregateKeys(keys.len()));
        self.0.aggregate_keys(suite, keys, tweak)
    }

    fn tweak_keys(&self, keys: &V::Keys, tweak: &Tweak) -> Result<V::Keys, KeyAggError> {
        self.0.tweak_keys(keys, tweak)
    }

    fn aggregate_key(&self, keys: &V::Keys) -> PublicKey {
        self.0.aggregate_key(keys)
    }

    fn challenge_key(&self, keys: &V::Keys) -> PublicKey {
        self.0.challenge_key(keys)
    }

    fn open_round(&self, keys: &V::Keys, nonces: &[PublicNonce], message: &[u8]) -> Result<V::Round, NonceError> {
        count(Operation::OpenRound(nonces.len()));
        self.0.open_round(keys, nonces, message)
    }

    fn verify_partial(
        &self,
        keys: &V::Keys,
        round: &V::Round,
        index: usize,
        nonce: &PublicNonce,
        partial: &PartialSignature,
    ) -> bool {
        count(Operation::VerifyPartial);
        self.0.verify_partial(keys, round, index, nonce, partial)
    }

    fn combine(
        &self,
        keys: &V::Keys,
        round: &V::Round,
        partials: &[PartialSignature],
    ) -> Result<Signature, CombineError> {
        count(Operation::Combine(partials.len()));
        self.0.combine(keys, round, partials)
    }

    fn verify_final(&self, keys: &V::Keys, message: &[u8], signature: &Signature) -> bool {
        count(Operation::VerifyFinal);
        self.0.verify_final(keys, message, signature)
    }
}
