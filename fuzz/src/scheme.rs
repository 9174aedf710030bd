//! The cryptography that the nodes of a script use.
//!
//! The real curve takes a hundred times as long as the state machines around it; most scripts are run with a stand-in
//! that keeps its rules, and the same scripts can be run on the curve. Driven by `script`.

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{
    MessageKey, MessageSigner, PublicKey, Secp256k1, SecretKey, Signer, SoftwareSigner, Verifier,
};

pub(crate) trait Scheme {
    type Verifier: Verifier + Copy + Default;

    /// The signer with this number, from 1.
    fn signer(number: u8, entropy: Entropy) -> Box<dyn Signer<Self::Verifier> + Send>;

    /// The signer of its messages.
    fn author(number: u8, entropy: Entropy) -> Box<dyn MessageSigner + Send>;

    /// Its public key.
    fn key(number: u8) -> PublicKey {
        Self::signer(number, Entropy::new([1; 32]).expect("not all zero")).public_key()
    }
}

/// Real signatures on secp256k1.
pub(crate) struct Curve;

impl Scheme for Curve {
    type Verifier = Secp256k1;

    fn signer(number: u8, entropy: Entropy) -> Box<dyn Signer<Secp256k1> + Send> {
        Box::new(SoftwareSigner::new(secret(number), entropy))
    }

    fn author(number: u8, entropy: Entropy) -> Box<dyn MessageSigner + Send> {
        Box::new(MessageKey::new(secret(number), entropy))
    }
}

pub(crate) fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).expect("a small number is a key")
}
