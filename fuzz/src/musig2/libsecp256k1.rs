//! libsecp256k1's musig module, by its safe crate.
//!
//! What it leaves to its caller, and is done here: it signs with a key that is not among the session's, it sums partial
//! signatures without verifying the result, and it signs messages of 32 bytes only, so it is asked about no others.
//! Driven by the target.

use nelumbo_core::crypto::tagged_hash;
use secp256k1::musig::{
    AggregatedNonce, KeyAggCache, PartialSignature, PublicNonce, SecretNonce, Session, SessionSecretRand,
    new_nonce_pair,
};
use secp256k1::{Keypair, PublicKey, Scalar, SecretKey, schnorr};

use super::library::{Key, Library, Nonce};

pub(crate) struct Libsecp256k1;

#[derive(Clone)]
pub(crate) struct Keys {
    list: Vec<PublicKey>,
    cache: KeyAggCache,
}

pub(crate) struct Round {
    session: Session,
    message: [u8; 32],
}

fn secret(bytes: &[u8; 32]) -> Option<SecretKey> {
    SecretKey::from_secret_bytes(*bytes).ok()
}

fn digest(message: &[u8]) -> &[u8; 32] {
    message.try_into().expect("its messages have 32 bytes")
}

impl Library for Libsecp256k1 {
    type Keys = Keys;
    type SecretNonce = SecretNonce;
    type Round = Round;

    fn public_key(bytes: &[u8; 32]) -> Option<Key> {
        secret(bytes).map(|key| PublicKey::from_secret_key(&key).serialize())
    }

    fn aggregate(keys: &[Key]) -> Option<Keys> {
        let list: Vec<_> = keys.iter().map(|key| PublicKey::from_slice(key).ok()).collect::<Option<_>>()?;
        let cache = KeyAggCache::new(&list.iter().collect::<Vec<_>>());
        Some(Keys { list, cache })
    }

    fn key(keys: &Keys) -> Key {
        keys.cache.agg_pk_full().serialize()
    }

    fn tweak(keys: &Keys, tweak: &[u8; 32], is_xonly: bool) -> Option<Keys> {
        let tweak = Scalar::from_be_bytes(*tweak).ok()?;
        let Keys { list, mut cache } = keys.clone();
        let tweaked = if is_xonly { cache.pubkey_xonly_tweak_add(&tweak) } else { cache.pubkey_ec_tweak_add(&tweak) };
        tweaked.ok().map(|_| Keys { list, cache })
    }

    fn taproot(keys: &Keys, merkle_root: Option<&[u8; 32]>) -> Option<Keys> {
        let (internal, _) = keys.cache.agg_pk_full().x_only_public_key();
        let root = merkle_root.map_or(&[][..], |root| root.as_slice());
        Self::tweak(keys, &tagged_hash("TapTweak", &[&internal.to_byte_array(), root]), true)
    }

    fn nonce(
        bytes: &[u8; 32],
        randomness: &[u8; 32],
        keys: &Keys,
        message: &[u8],
        extra: Option<&[u8; 32]>,
    ) -> (SecretNonce, Nonce) {
        let key = secret(bytes).expect("a key");
        let (nonce, public) = new_nonce_pair(
            SessionSecretRand::assume_uniformly_random(*randomness),
            Some(&keys.cache),
            Some(key),
            PublicKey::from_secret_key(&key),
            Some(digest(message)),
            extra.copied(),
        );
        (nonce, public.serialize())
    }

    fn sum(nonces: &[Nonce]) -> Option<Nonce> {
        let nonces: Vec<_> =
            nonces.iter().map(|nonce| PublicNonce::from_byte_array(nonce).ok()).collect::<Option<_>>()?;
        Some(AggregatedNonce::new(&nonces.iter().collect::<Vec<_>>()).serialize())
    }

    fn open(keys: &Keys, sum: &Nonce, message: &[u8]) -> Option<Round> {
        let sum = AggregatedNonce::from_byte_array(sum).ok()?;
        Some(Round { session: Session::new(&keys.cache, sum, digest(message)), message: *digest(message) })
    }

    fn sign(round: &Round, keys: &Keys, nonce: SecretNonce, bytes: &[u8; 32]) -> Option<[u8; 32]> {
        let key = secret(bytes).expect("a key");
        keys.list
            .contains(&PublicKey::from_secret_key(&key))
            .then(|| round.session.partial_sign(nonce, &Keypair::from_secret_key(&key), &keys.cache).serialize())
    }

    fn verify_partial(round: &Round, keys: &Keys, index: usize, nonce: &Nonce, partial: &[u8; 32]) -> bool {
        let (Ok(nonce), Ok(partial)) =
            (PublicNonce::from_byte_array(nonce), PartialSignature::from_byte_array(partial))
        else {
            return false;
        };
        round.session.partial_verify(&keys.cache, &partial, &nonce, keys.list[index])
    }

    fn combine(round: &Round, keys: &Keys, partials: &[[u8; 32]]) -> Option<[u8; 64]> {
        let partials: Vec<_> =
            partials.iter().map(|partial| PartialSignature::from_byte_array(partial).ok()).collect::<Option<_>>()?;
        let signature = round.session.partial_sig_agg(&partials.iter().collect::<Vec<_>>());
        let signature = signature.assume_valid().to_byte_array();
        Self::verify(keys, &round.message, &signature).then_some(signature)
    }

    fn verify(keys: &Keys, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = schnorr::Signature::from_byte_array(*signature);
        schnorr::verify(&signature, message, &keys.cache.agg_pk()).is_ok()
    }
}
