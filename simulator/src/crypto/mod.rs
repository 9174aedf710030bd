//! The cryptography that simulated nodes use: the real one, or a stand-in for scale.

mod cost;
mod real;
mod toy;

pub use cost::{Meter, Operation};
pub use real::Real;
pub use toy::{Toy, ToySigner, ToyVerifier};

use std::borrow::Cow;

use nelumbo_core::base::Entropy;
use nelumbo_core::crypto::{EntropySource, MessageSigner, PublicKey, Signature, Signer, Verifier};
use nelumbo_core::wire::{Definition, Item};

/// A kind of cryptography.
pub trait Crypto: 'static {
    /// The part that verifies and needs no secrets.
    type V: Verifier<Keys: Send, Round: Send, Prepared: Send> + Send;

    /// Its name in summaries and traces.
    const NAME: &'static str;

    /// The public key of a secret one; nothing for bytes that are no key.
    fn public_key(secret: &[u8; 32]) -> Option<PublicKey>;

    /// The signer of a node's messages.
    fn message_signer(secret: &[u8; 32], entropy: Entropy, meter: &Meter) -> Box<dyn MessageSigner + Send>;

    /// The signer of a node's partial signatures.
    fn signer(
        secret: &[u8; 32],
        entropy: impl EntropySource + Send + 'static,
        meter: &Meter,
    ) -> Box<dyn Signer<Self::V> + Send>;

    /// The verifier of what others send.
    fn verifier(meter: &Meter) -> Self::V;

    /// Whether these are the final signatures of this session, judged apart from any node.
    fn is_final(definition: &Definition, signatures: &[Signature]) -> bool {
        are_final(&Self::verifier(&Meter::default()), definition, signatures)
    }
}

/// Whether there is a valid signature for each item.
fn are_final<V: Verifier>(verifier: &V, definition: &Definition, signatures: &[Signature]) -> bool {
    let Ok(messages) = definition.messages() else { return false };
    let is_valid = |((item, message), signature): ((&Item, &Cow<'_, [u8]>), &Signature)| {
        let keys = verifier.aggregate_keys(definition.suite, &definition.keys, &item.tweak);
        keys.is_ok_and(|keys| verifier.verify_final(&keys, message, signature))
    };
    signatures.len() == messages.len() && definition.items.iter().zip(&messages).zip(signatures).all(is_valid)
}
