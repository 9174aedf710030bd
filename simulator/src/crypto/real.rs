//! The cryptography of production.

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{PublicKey, Secp256k1, SecretKey, Signature, Signer, SoftwareSigner};
use nelumbo_core::wire::Definition;

use super::{Crypto, Meter, are_final};

/// The curve.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Crypto for Real {
    type V = Secp256k1;

    const NAME: &'static str = "real";

    fn public_key(secret: &[u8; 32]) -> Option<PublicKey> {
        SecretKey::from_bytes(secret).ok().map(|key| key.public_key())
    }

    fn boot(secret: &[u8; 32], entropy: Entropy, _: &Meter) -> (Box<dyn Signer<Secp256k1> + Send>, Secp256k1) {
        let key = SecretKey::from_bytes(secret).expect("only valid keys are given out");
        (Box::new(SoftwareSigner::new(key, entropy)), Secp256k1)
    }

    fn is_final(definition: &Definition, signatures: &[Signature]) -> bool {
        are_final(&Secp256k1, definition, signatures)
    }
}
