//! This repository's cryptography.
//!
//! Invariant asserted here: the methods for many partial signatures at once say what those for one say. Driven by the
//! target.

use nelumbo_core::crypto::hazmat::{NonceInput, nonce_from_given_randomness};
use nelumbo_core::crypto::{
    AggregateNonce, KeyAggContext, PartialSignature, PublicKey, PublicNonce, SecretKey, SecretNonce, Signature,
    SigningContext, Suite, Tweak, aggregate_nonces, combine, combine_many, culprits, partial_sign, verify_partial,
    verify_partials,
};

use super::library::{Key, Library, Nonce};

pub(crate) struct Ours;

/// What blinds sums of many: any bytes will do.
const ENTROPY: [u8; 32] = [5; 32];

fn secret(bytes: &[u8; 32]) -> Option<SecretKey> {
    SecretKey::from_bytes(bytes).ok()
}

impl Library for Ours {
    type Keys = KeyAggContext;
    type SecretNonce = SecretNonce;
    type Round = SigningContext;

    fn public_key(bytes: &[u8; 32]) -> Option<Key> {
        secret(bytes).map(|key| key.public_key().to_bytes())
    }

    fn aggregate(keys: &[Key]) -> Option<KeyAggContext> {
        let keys: Vec<PublicKey> = keys.iter().map(|key| PublicKey::from_bytes(*key).ok()).collect::<Option<_>>()?;
        KeyAggContext::new(Suite::Bip340, &keys).ok()
    }

    fn key(keys: &KeyAggContext) -> Key {
        keys.challenge_key().to_bytes()
    }

    fn tweak(keys: &KeyAggContext, tweak: &[u8; 32], is_xonly: bool) -> Option<KeyAggContext> {
        keys.clone().apply_tweak(tweak, is_xonly).ok()
    }

    fn taproot(keys: &KeyAggContext, merkle_root: Option<&[u8; 32]>) -> Option<KeyAggContext> {
        keys.clone().with_tweak(&Tweak::Taproot { merkle_root: merkle_root.copied() }).ok()
    }

    fn nonce(
        bytes: &[u8; 32],
        randomness: &[u8; 32],
        keys: &KeyAggContext,
        message: &[u8],
        extra: Option<&[u8; 32]>,
    ) -> (SecretNonce, Nonce) {
        let (nonce, public) = nonce_from_given_randomness(&NonceInput {
            randomness,
            secret_key: Some(bytes),
            public_key: secret(bytes).expect("a key").public_key(),
            aggregate_key: &keys.challenge_key().x_only(),
            message: Some(message),
            extra: extra.map_or(&[], |extra| extra.as_slice()),
        });
        (nonce, public.to_bytes())
    }

    fn sum(nonces: &[Nonce]) -> Option<Nonce> {
        let nonces: Vec<_> = nonces.iter().copied().map(PublicNonce::from_bytes).collect();
        aggregate_nonces(&nonces).ok().map(|sum| sum.to_bytes())
    }

    fn open(keys: &KeyAggContext, sum: &Nonce, message: &[u8]) -> Option<SigningContext> {
        SigningContext::new(keys, &AggregateNonce::from_bytes(*sum), message).ok()
    }

    fn sign(round: &SigningContext, keys: &KeyAggContext, nonce: SecretNonce, bytes: &[u8; 32]) -> Option<[u8; 32]> {
        let partial = partial_sign(nonce, &secret(bytes).expect("a key"), keys, round).ok()?;
        Some(partial.to_bytes())
    }

    fn verify_partial(
        round: &SigningContext,
        keys: &KeyAggContext,
        index: usize,
        nonce: &Nonce,
        partial: &[u8; 32],
    ) -> bool {
        let (nonce, partial) = (PublicNonce::from_bytes(*nonce), PartialSignature::from_bytes(*partial));
        verify_partial(keys, round, index, &nonce, &partial)
    }

    fn combine(round: &SigningContext, keys: &KeyAggContext, partials: &[[u8; 32]]) -> Option<[u8; 64]> {
        let partials: Vec<_> = partials.iter().copied().map(PartialSignature::from_bytes).collect();
        let combined = combine(keys, round, &partials).ok();
        let many = combine_many(&[(keys, round, &partials)], &ENTROPY).ok();
        assert_eq!(many, combined.map(|signature| vec![signature]), "many at once, and one by one");
        combined.map(|signature| signature.to_bytes())
    }

    fn verify(keys: &KeyAggContext, message: &[u8], signature: &[u8; 64]) -> bool {
        keys.verify(message, &Signature::from_bytes(*signature))
    }

    /// Asserts that the batches name the signers that are named one by one, and that a round opened with all nonces is
    /// the one that is opened with their sum.
    fn check_batches(keys: &KeyAggContext, message: &[u8], nonces: &[Nonce], partials: &[[u8; 32]]) {
        let nonces: Vec<_> = nonces.iter().copied().map(PublicNonce::from_bytes).collect();
        let partials: Vec<_> = partials.iter().copied().map(PartialSignature::from_bytes).collect();
        let Ok(round) = SigningContext::from_nonces(keys, &nonces, message) else { return };
        let sum = aggregate_nonces(&nonces).expect("the round was opened with them");
        let of_sum = SigningContext::new(keys, &sum, message).expect("a sum of nonces");
        assert_eq!((round.aggregate_nonce(), round.challenge()), (sum, of_sum.challenge()));
        let is_wrong = |index: &usize| !verify_partial(keys, &of_sum, *index, &nonces[*index], &partials[*index]);
        let wrong: Vec<usize> = (0..partials.len()).filter(is_wrong).collect();
        assert_eq!(culprits(keys, &round, &nonces, &partials, &ENTROPY), wrong, "all at once, and one by one");
        assert_eq!(verify_partials(keys, &round, &nonces, &partials, &ENTROPY), wrong.is_empty());
    }
}
