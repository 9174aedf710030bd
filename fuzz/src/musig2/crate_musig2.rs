//! The crate `musig2`, with its own protocol code over an older libsecp256k1's points and scalars.
//!
//! Driven by the target.

use musig2::secp::{MaybeScalar, Point, Scalar};
use musig2::{
    AggNonce, CompactSignature, KeyAggContext, PubNonce, SecNonce, aggregate_partial_signatures, sign_partial,
    verify_partial, verify_single,
};

use super::library::{Key, Library, Nonce};

pub(crate) struct CrateMusig2;

pub(crate) struct Round {
    sum: AggNonce,
    message: Vec<u8>,
}

fn secret(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_slice(bytes).ok()
}

impl Library for CrateMusig2 {
    type Keys = KeyAggContext;
    type SecretNonce = SecNonce;
    type Round = Round;

    fn public_key(bytes: &[u8; 32]) -> Option<Key> {
        secret(bytes).map(|key| key.base_point_mul().serialize())
    }

    fn aggregate(keys: &[Key]) -> Option<KeyAggContext> {
        let keys: Vec<Point> = keys.iter().map(|key| Point::from_slice(key).ok()).collect::<Option<_>>()?;
        KeyAggContext::new(keys).ok()
    }

    fn key(keys: &KeyAggContext) -> Key {
        keys.aggregated_pubkey::<Point>().serialize()
    }

    fn tweak(keys: &KeyAggContext, tweak: &[u8; 32], is_xonly: bool) -> Option<KeyAggContext> {
        let tweak = MaybeScalar::from_slice(tweak).ok()?;
        keys.clone().with_tweak(tweak, is_xonly).ok()
    }

    fn taproot(keys: &KeyAggContext, merkle_root: Option<&[u8; 32]>) -> Option<KeyAggContext> {
        let keys = keys.clone();
        match merkle_root {
            Some(root) => keys.with_taproot_tweak(root).ok(),
            None => keys.with_unspendable_taproot_tweak().ok(),
        }
    }

    fn nonce(
        bytes: &[u8; 32],
        randomness: &[u8; 32],
        keys: &KeyAggContext,
        message: &[u8],
        extra: Option<&[u8; 32]>,
    ) -> (SecNonce, Nonce) {
        let builder = SecNonce::build_with_seckey(*randomness, secret(bytes).expect("a key"))
            .with_aggregated_pubkey(keys.aggregated_pubkey::<Point>())
            .with_message(&message);
        let nonce = match &extra {
            Some(extra) => builder.with_extra_input(extra).build(),
            None => builder.build(),
        };
        let public = nonce.public_nonce().serialize();
        (nonce, public)
    }

    fn sum(nonces: &[Nonce]) -> Option<Nonce> {
        let nonces: Vec<PubNonce> =
            nonces.iter().map(|nonce| PubNonce::from_bytes(nonce).ok()).collect::<Option<_>>()?;
        Some(AggNonce::sum(nonces).serialize())
    }

    fn open(_: &KeyAggContext, sum: &Nonce, message: &[u8]) -> Option<Round> {
        Some(Round { sum: AggNonce::from_bytes(sum).ok()?, message: message.to_vec() })
    }

    fn sign(round: &Round, keys: &KeyAggContext, nonce: SecNonce, bytes: &[u8; 32]) -> Option<[u8; 32]> {
        let key = secret(bytes).expect("a key");
        let partial: MaybeScalar = sign_partial(keys, key, nonce, &round.sum, &round.message).ok()?;
        Some(partial.serialize())
    }

    fn verify_partial(round: &Round, keys: &KeyAggContext, index: usize, nonce: &Nonce, partial: &[u8; 32]) -> bool {
        let (Ok(nonce), Ok(partial)) = (PubNonce::from_bytes(nonce), MaybeScalar::from_slice(partial)) else {
            return false;
        };
        verify_partial(keys, partial, &round.sum, keys.pubkeys()[index], &nonce, &round.message).is_ok()
    }

    fn combine(round: &Round, keys: &KeyAggContext, partials: &[[u8; 32]]) -> Option<[u8; 64]> {
        let partials: Vec<MaybeScalar> =
            partials.iter().map(|partial| MaybeScalar::from_slice(partial).ok()).collect::<Option<_>>()?;
        let signature: CompactSignature =
            aggregate_partial_signatures(keys, &round.sum, partials, &round.message).ok()?;
        Some(signature.serialize())
    }

    fn verify(keys: &KeyAggContext, message: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(signature) = CompactSignature::from_bytes(signature) else { return false };
        verify_single(keys.aggregated_pubkey::<Point>(), signature, message).is_ok()
    }
}

/// The tweak that takes the aggregate key to infinity; none unless all keys are those of these secrets.
pub(crate) fn cancelling(keys: &KeyAggContext, secrets: &[[u8; 32]], is_xonly: bool) -> Option<[u8; 32]> {
    let secrets: Vec<Scalar> = secrets.iter().map(secret).collect::<Option<_>>()?;
    let key: Scalar = keys.aggregated_seckey(secrets).ok()?;
    // An odd key is negated before an x-only tweak is added.
    let is_negated = is_xonly && keys.aggregated_pubkey::<Point>().has_odd_y();
    Some(if is_negated { key.serialize() } else { (-key).serialize() })
}
