//! One honest session, in our types and in libsecp256k1's.
//!
//! Owns the inputs of all rows. Everything is BIP340, which libsecp256k1 knows; Lotus differs in hashing only.

use nelumbo_bench_raw as raw;
use nelumbo_crypto::Entropy;
use nelumbo_crypto::{
    KeyAggContext, PartialSignature, PublicKey, PublicNonce, SecretKey, Signature, SigningContext, Suite, combine,
    generate_nonce, partial_sign, schnorr,
};

/// Fixed inputs: what a benchmark measures must not change from run to run.
pub(crate) fn entropy(label: &str) -> Entropy {
    Entropy::new([42; 32]).expect("not all zero").stream(label)
}

pub(crate) struct Session {
    pub(crate) secrets: Vec<SecretKey>,
    pub(crate) public: Vec<PublicKey>,
    pub(crate) keys: KeyAggContext,
    pub(crate) message: [u8; 32],
    pub(crate) nonces: Vec<PublicNonce>,
    pub(crate) round: SigningContext,
    pub(crate) partials: Vec<PartialSignature>,
    pub(crate) signature: Signature,
}

impl Session {
    pub(crate) fn new(count: usize) -> Self {
        let mut entropy = entropy("session");
        let secrets: Vec<_> = (0..count).map(|_| SecretKey::generate(&mut entropy)).collect();
        let public: Vec<_> = secrets.iter().map(SecretKey::public_key).collect();
        let keys = KeyAggContext::new(Suite::Bip340, &public).expect("points");
        let message = entropy.bytes32();
        let draw = |secret| generate_nonce(entropy.bytes32(), secret, &keys, Some(&message), &[]);
        let (secret_nonces, nonces): (Vec<_>, Vec<_>) = secrets.iter().map(draw).unzip();
        let round = SigningContext::from_nonces(&keys, &nonces, &message).expect("honest nonces");
        let signing = secret_nonces.into_iter().zip(&secrets);
        let partials: Vec<_> =
            signing.map(|(nonce, secret)| partial_sign(nonce, secret, &keys, &round).expect("its own")).collect();
        let signature = combine(&keys, &round, &partials).expect("honest signers");
        Self { secrets, public, keys, message, nonces, round, partials, signature }
    }
}

/// The same session, decoded by libsecp256k1.
pub(crate) struct Raw {
    pub(crate) context: raw::Context,
    pub(crate) public: Vec<raw::PublicKey>,
    pub(crate) key: raw::XOnlyPublicKey,
    pub(crate) cache: raw::MusigKeyAggCache,
    pub(crate) nonces: Vec<raw::MusigPubNonce>,
    pub(crate) session: raw::MusigSession,
    pub(crate) partials: Vec<raw::MusigPartialSignature>,
}

impl Raw {
    pub(crate) fn new(ours: &Session) -> Self {
        let context = raw::Context::new();
        let public: Vec<_> = ours.public.iter().map(|key| context.public_key(key.as_bytes())).collect();
        let (key, cache) = context.aggregate(&public.iter().collect::<Vec<_>>());
        let nonces = ours.nonces.iter().map(|nonce| context.public_nonce(nonce.as_bytes())).collect();
        let sum = context.aggregate_nonce(ours.round.aggregate_nonce().as_bytes());
        let session = context.session(&sum, &ours.message, &cache);
        let partials = ours.partials.iter().map(|partial| context.partial(partial.as_bytes())).collect();
        Self { context, public, key, cache, nonces, session, partials }
    }

    pub(crate) fn verify_partial(&self, index: usize) -> bool {
        let (partial, nonce) = (&self.partials[index], &self.nonces[index]);
        self.context.verify_partial(partial, nonce, &self.public[index], &self.cache, &self.session)
    }
}

/// Signatures of different keys and messages.
pub(crate) fn signatures(count: usize) -> Vec<(PublicKey, [u8; 32], Signature)> {
    let mut entropy = entropy("signatures");
    let one = |_| {
        let (key, message) = (SecretKey::generate(&mut entropy), entropy.bytes32());
        let signature = schnorr::sign(Suite::Bip340, &key, &message, None).expect("any length");
        (key.public_key(), message, signature)
    };
    (0..count).map(one).collect()
}
