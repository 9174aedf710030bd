//! What must hold for every input: properties of the cryptography, and agreement with libsecp256k1.
//!
//! Owns the random inputs and one whole signing round that the properties share. Random cases come from quickcheck;
//! each property runs a fixed number of them and discards none.

mod digests;
mod encodings;
mod sessions;
mod signatures;
mod signers;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    KeyAggContext, PartialSignature, PublicNonce, Secp256k1, SecretKey, SigningContext, Suite, Tweak, Verifier,
    generate_nonce, partial_sign,
};
use quickcheck::{Arbitrary, Gen};

const SUITES: [Suite; 2] = [Suite::Lotus, Suite::Bip340];

/// A seed that is never all zero.
#[derive(Clone, Copy, Debug)]
struct Seed([u8; 32]);

impl Arbitrary for Seed {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut seed = [0; 32];
        seed.fill_with(|| u8::arbitrary(g));
        seed[0] |= 1;
        Self(seed)
    }
}

impl Seed {
    fn entropy(self) -> Entropy {
        Entropy::new(self.0).expect("not all zero")
    }
}

fn message_of(length: usize, entropy: &mut Entropy) -> Vec<u8> {
    let mut message = vec![0; length];
    entropy.fill(&mut message);
    message
}

fn tweaks(entropy: &mut Entropy) -> [Tweak; 3] {
    [Tweak::None, Tweak::Taproot { merkle_root: None }, Tweak::Taproot { merkle_root: Some(entropy.bytes32()) }]
}

/// A whole round of `count` signers, up to the partial signatures.
struct Round {
    keys: KeyAggContext,
    nonces: Vec<PublicNonce>,
    context: SigningContext,
    partials: Vec<PartialSignature>,
}

impl Round {
    fn new(suite: Suite, tweak: &Tweak, count: usize, message: &[u8], entropy: &mut Entropy) -> Self {
        let mut secrets: Vec<_> = (0..count).map(|_| SecretKey::generate(entropy)).collect();
        secrets.sort_by_key(SecretKey::public_key);
        let public: Vec<_> = secrets.iter().map(SecretKey::public_key).collect();
        let keys = Secp256k1.aggregate_keys(suite, &public, tweak).expect("sorted and distinct");
        let mut secret_nonces = Vec::new();
        let mut nonces = Vec::new();
        for secret in &secrets {
            let (secret_nonce, nonce) = generate_nonce(entropy.bytes32(), secret, &keys, Some(message), b"test");
            secret_nonces.push(secret_nonce);
            nonces.push(nonce);
        }
        let context = SigningContext::from_nonces(&keys, &nonces, message).expect("honest nonces");
        let partials = secret_nonces
            .into_iter()
            .zip(&secrets)
            .map(|(nonce, secret)| partial_sign(nonce, secret, &keys, &context).expect("a signer's own nonce"))
            .collect();
        Self { keys, nonces, context, partials }
    }
}
