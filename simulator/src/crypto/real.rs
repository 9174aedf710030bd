//! The cryptography of production.

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    EntropySource, MessageKey, MessageSigner, PublicKey, Secp256k1, SecretKey, Signature, Signer, SoftwareSigner,
};
use nelumbo_core::wire::Definition;

use super::{Crypto, Meter, are_final};

/// Signatures and MuSig2 on secp256k1.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Crypto for Real {
    type V = Secp256k1;

    const NAME: &'static str = "real";

    fn public_key(secret: &[u8; 32]) -> Option<PublicKey> {
        SecretKey::from_bytes(secret).ok().map(|key| key.public_key())
    }

    fn message_signer(secret: &[u8; 32], entropy: Entropy, _: &Meter) -> Box<dyn MessageSigner + Send> {
        Box::new(MessageKey::new(key(secret), entropy))
    }

    fn signer(
        secret: &[u8; 32],
        entropy: impl EntropySource + Send + 'static,
        _: &Meter,
    ) -> Box<dyn Signer<Secp256k1> + Send> {
        Box::new(SoftwareSigner::new(key(secret), entropy))
    }

    fn verifier(_: &Meter) -> Secp256k1 {
        Secp256k1
    }

    fn is_final(definition: &Definition, signatures: &[Signature]) -> bool {
        are_final(&Secp256k1, definition, signatures)
    }
}

fn key(secret: &[u8; 32]) -> SecretKey {
    SecretKey::from_bytes(secret).expect("only valid keys are given out")
}
