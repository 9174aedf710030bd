#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! In the order in which a signature is made:
//!
//! 1. [`KeyAggContext`] aggregates the signers' keys and applies a [`Tweak`].
//! 2. [`generate_nonce`] draws a [`SecretNonce`] and its [`PublicNonce`].
//! 3. [`SigningContext`] fixes the round once all public nonces are known.
//! 4. [`partial_sign`] spends the secret nonce on a [`PartialSignature`].
//! 5. [`combine`] makes the [`Signature`], and where that fails [`culprits`] says who is wrong.
//!
//! Above them two traits split all of that along the secret. A [`Verifier`] checks what others send and is pure; a
//! [`Signer`] owns one secret key and its secret nonces, and can be a device. [`Secp256k1`] and [`SoftwareSigner`] are
//! the real ones; a [`MessageSigner`] such as [`MessageKey`] signs what is said around a session. The signer keeps the
//! stack clean as well; whoever calls `generate_nonce` or `partial_sign` directly wraps them in [`scrubbed`].
//!
//! [`schnorr`] and [`taproot`] are for one signer alone, [`bitcoin`] and [`lotus`] are what those ledgers have around
//! their signatures, and [`group`] is the arithmetic below, for public data.
//!
//! The specifications are BIP327, BIP340, BIP341, BIP342, and the Lotus scheme that [`lotus`] writes down. Every
//! formula cites its section.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod base58;
#[cfg(test)]
mod batch_tests;
pub mod bitcoin;
mod comb;
mod curve;
mod entropy;
pub mod group;
mod hash;
pub mod hazmat;
mod key_aggregation;
mod keys;
pub mod lotus;
mod many;
mod nonce;
mod order;
mod partials;
pub mod schnorr;
mod scrub;
mod signer;
mod signing;
mod software;
mod suite;
pub mod taproot;
mod text;
pub mod transaction;
mod verifier;
mod weights;

pub use entropy::{Entropy, EntropyError, EntropySource};
pub use hash::{sha256, sha256d, tagged_hash};
pub use key_aggregation::{KeyAggContext, KeyAggError, Tweak};
pub use keys::{PublicKey, PublicKeyError, SecretKey, SecretKeyError, sort_keys};
pub use lotus::Network;
pub use many::{Signed, verify_many};
pub use nonce::{AggregateNonce, NonceError, PublicNonce, SecretNonce, aggregate_nonces, generate_nonce};
pub use order::compare_public;
pub use partials::{culprits, verify_partial, verify_partials};
pub use schnorr::Signature;
pub use scrub::scrubbed;
pub use signer::{MessageSigner, NonceSlot, Signer, SignerError};
pub use signing::{CombineError, PartialSignature, SignError, SigningContext, combine, combine_many, partial_sign};
pub use software::{MessageKey, SoftwareSigner};
pub use suite::{Suite, UnknownSuite};
pub use text::{HexError, parse_hex};
pub use verifier::{Secp256k1, Verifier};
