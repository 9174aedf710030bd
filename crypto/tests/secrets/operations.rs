//! The operations on secrets, one after the other, in a process that does nothing else.
//!
//! Only the secret differs between two runs. It comes as an argument of bytes, because decoding a text would depend on
//! it, and under a mask, because arguments have no zeros.

use nelumbo_crypto::group::{Combination, PublicScalar};
use nelumbo_crypto::{
    AggregateNonce, KeyAggContext, SecretKey, SigningContext, Suite, generate_nonce, partial_sign, schnorr, sort_keys,
};
use zeroize::Zeroizing;

const MASK: u8 = 0xa5;
const MESSAGE: [u8; 32] = *b"a digest that everyone may know.";

/// Everything that a signer computes with a secret.
pub(super) const SIGNER: [&str; 4] = ["public key", "signature", "nonce", "partial signature"];

/// Something that depends on its input, as what is public may.
pub(super) const CONTROL: &str = "product in variable time";

pub(super) fn masked(secret: &[u8; 32]) -> Vec<u8> {
    secret.iter().map(|byte| byte ^ MASK).collect()
}

/// Does what is asked with the secret.
pub(super) fn perform(operations: &str, masked: &[u8]) {
    let mut secret = Zeroizing::new([0; 32]);
    secret.iter_mut().zip(masked).for_each(|(byte, masked)| *byte = masked ^ MASK);
    for operation in operations.split(',') {
        match operation {
            "public key" => drop(key(&secret)),
            "signature" => {
                for suite in [Suite::Lotus, Suite::Bip340] {
                    schnorr::sign(suite, &key(&secret), &MESSAGE, Some(*secret)).expect("32 bytes");
                }
            }
            // The key is a fixed one: what is computed with public keys may depend on them.
            "nonce" => drop(generate_nonce(*secret, &key(&[3; 32]), &keys(), Some(&MESSAGE), &[])),
            "partial signature" => {
                let (nonce, _) = generate_nonce(*secret, &key(&[3; 32]), &keys(), Some(&MESSAGE), &[]);
                partial_sign(nonce, &key(&[3; 32]), &keys(), &round()).expect("a signer");
            }
            CONTROL => {
                let mut sum = Combination::new();
                sum.generator(PublicScalar::reduce(*secret));
                assert!(!sum.evaluate().is_infinity());
            }
            other => panic!("no such operation: {other}"),
        }
    }
}

fn key(bytes: &[u8; 32]) -> SecretKey {
    SecretKey::from_bytes(bytes).expect("below the order")
}

fn keys() -> KeyAggContext {
    let mut keys = [[3; 32], [4; 32]].map(|bytes| key(&bytes).public_key());
    sort_keys(&mut keys);
    KeyAggContext::new(Suite::Lotus, &keys).expect("two keys")
}

/// A round whose nonces are given, so that it does not depend on the one that signs.
fn round() -> SigningContext {
    let points = [[5; 32], [6; 32]].map(|bytes| key(&bytes).public_key().to_bytes());
    let nonce = AggregateNonce::from_bytes(points.concat().try_into().expect("two points"));
    SigningContext::new(&keys(), &nonce, &MESSAGE).expect("no infinity")
}
