//! What the machines ask of cryptography, without secrets.
//!
//! Owns the trait, so that a simulator can stand in for the curve, and its real implementation. Invariant: every method
//! is a pure function of its arguments. The gate and the session machine drive it.

use alloc::vec::Vec;

use super::Suite;
use super::key_aggregation::{KeyAggContext, KeyAggError, Tweak};
use super::keys::PublicKey;
use super::many::{self, Signed};
use super::nonce::{NonceError, PublicNonce};
use super::partials;
use super::schnorr::{self, PreparedKey, Signature};
use super::signing::{self, CombineError, PartialSignature, SigningContext};

/// The public half of the cryptography: authorship of messages and everything a session checks.
///
/// Signers are named by their index in the sorted list of keys given to [`aggregate_keys`](Self::aggregate_keys), and
/// lists of nonces and partial signatures are in that order.
pub trait Verifier {
    /// The aggregated keys of a session.
    type Keys;
    /// One signing round of a session: keys, nonces and message are fixed.
    type Round;
    /// A key with what makes verifying under it faster.
    type Prepared;

    /// Whether `author` signed the message with this digest.
    fn verify(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool;

    /// Prepares the key of an author of many messages. None for a key under which nothing verifies.
    fn prepare(&self, author: &PublicKey) -> Option<Self::Prepared>;

    /// What [`verify`](Self::verify) says, for a key that is prepared.
    fn verify_prepared(&self, author: &Self::Prepared, digest: &[u8; 32], signature: &Signature) -> bool;

    /// Whether each author signed the message with the digest beside it.
    ///
    /// The answers are those of [`verify`](Self::verify); an implementation may give them at a lower price for many at
    /// once. `entropy` may be anything, and is best what nobody else knows.
    fn verify_many(&self, claims: &[(PublicKey, [u8; 32], Signature)], _entropy: &[u8; 32]) -> Vec<bool> {
        claims.iter().map(|(author, digest, signature)| self.verify(author, digest, signature)).collect()
    }

    /// Aggregates the sorted and distinct keys of a session, and applies its tweak.
    ///
    /// # Errors
    ///
    /// [`KeyAggError`]; [`KeyAggError::Unsorted`] and [`KeyAggError::DuplicateKey`] for every suite.
    fn aggregate_keys(&self, suite: Suite, keys: &[PublicKey], tweak: &Tweak) -> Result<Self::Keys, KeyAggError>;

    /// The same keys with a tweak. `keys` were aggregated with [`Tweak::None`].
    ///
    /// # Errors
    ///
    /// [`KeyAggError`], as [`aggregate_keys`](Self::aggregate_keys) gives it for the tweak.
    fn tweak_keys(&self, keys: &Self::Keys, tweak: &Tweak) -> Result<Self::Keys, KeyAggError>;

    /// The aggregate key before the tweak.
    fn aggregate_key(&self, keys: &Self::Keys) -> PublicKey;

    /// The key the signature verifies under.
    fn challenge_key(&self, keys: &Self::Keys) -> PublicKey;

    /// Opens a round with the public nonces of all signers.
    ///
    /// # Errors
    ///
    /// [`NonceError`], which names the signer at fault where it is known.
    fn open_round(&self, keys: &Self::Keys, nonces: &[PublicNonce], message: &[u8]) -> Result<Self::Round, NonceError>;

    /// Whether the signer at `index`, who sent `nonce`, made this partial signature in this round.
    fn verify_partial(
        &self,
        keys: &Self::Keys,
        round: &Self::Round,
        index: usize,
        nonce: &PublicNonce,
        partial: &PartialSignature,
    ) -> bool;

    /// The indices of the signers whose partial signatures are wrong, in order. There are as many nonces and partial
    /// signatures as keys.
    ///
    /// The answer is that of [`verify_partial`](Self::verify_partial) for each; `entropy` is as in
    /// [`verify_many`](Self::verify_many).
    fn culprits(
        &self,
        keys: &Self::Keys,
        round: &Self::Round,
        nonces: &[PublicNonce],
        partials: &[PartialSignature],
        _entropy: &[u8; 32],
    ) -> Vec<usize> {
        let claims = nonces.iter().zip(partials).enumerate();
        claims
            .filter(|(index, (nonce, partial))| !self.verify_partial(keys, round, *index, nonce, partial))
            .map(|(index, _)| index)
            .collect()
    }

    /// Makes the final signature of the partial signatures of all signers, and verifies it.
    ///
    /// # Errors
    ///
    /// [`CombineError`]; a signature that does not verify is never returned.
    fn combine(
        &self,
        keys: &Self::Keys,
        round: &Self::Round,
        partials: &[PartialSignature],
    ) -> Result<Signature, CombineError>;

    /// Makes the final signatures of several rounds, each of the partial signatures of all its signers, and verifies
    /// them.
    ///
    /// The answers are those of [`combine`](Self::combine); an implementation may give them at a lower price for many
    /// at once. `entropy` is as in [`verify_many`](Self::verify_many).
    ///
    /// # Errors
    ///
    /// Which rounds have no valid signature, in order; none is returned then.
    fn combine_many(
        &self,
        rounds: &[(&Self::Keys, &Self::Round, &[PartialSignature])],
        _entropy: &[u8; 32],
    ) -> Result<Vec<Signature>, Vec<usize>> {
        let combined = rounds.iter().map(|(keys, round, partials)| self.combine(keys, round, partials));
        let combined: Vec<_> = combined.collect();
        let wrong = combined.iter().enumerate().filter(|(_, combined)| combined.is_err()).map(|(place, _)| place);
        let wrong: Vec<usize> = wrong.collect();
        if wrong.is_empty() { Ok(combined.into_iter().flatten().collect()) } else { Err(wrong) }
    }

    /// Whether a final signature, from wherever it came, is valid for the message.
    fn verify_final(&self, keys: &Self::Keys, message: &[u8], signature: &Signature) -> bool;

    /// The first of these final signatures that is not valid for its message, if there is one.
    ///
    /// The answer is that of [`verify_final`](Self::verify_final) for each; `entropy` is as in
    /// [`verify_many`](Self::verify_many).
    fn verify_finals(&self, claims: &[(&Self::Keys, &[u8], Signature)], _entropy: &[u8; 32]) -> Option<usize> {
        claims.iter().position(|(keys, message, signature)| !self.verify_final(keys, message, signature))
    }
}

/// The real thing, on the curve secp256k1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Secp256k1;

impl Verifier for Secp256k1 {
    type Keys = KeyAggContext;
    type Round = SigningContext;
    type Prepared = PreparedKey;

    /// A Lotus signature whatever the session's suite is: it binds all 33 bytes of the author's key.
    fn verify(&self, author: &PublicKey, digest: &[u8; 32], signature: &Signature) -> bool {
        schnorr::verify(Suite::Lotus, author, digest, signature)
    }

    fn prepare(&self, author: &PublicKey) -> Option<PreparedKey> {
        PreparedKey::new(Suite::Lotus, author)
    }

    fn verify_prepared(&self, author: &PreparedKey, digest: &[u8; 32], signature: &Signature) -> bool {
        author.verify(digest, signature)
    }

    fn verify_many(&self, claims: &[(PublicKey, [u8; 32], Signature)], entropy: &[u8; 32]) -> Vec<bool> {
        let items: Vec<_> = claims
            .iter()
            .map(|(key, digest, signature)| Signed { key: *key, message: digest, signature: *signature })
            .collect();
        many::verify_many(Suite::Lotus, &items, entropy)
    }

    fn aggregate_keys(&self, suite: Suite, keys: &[PublicKey], tweak: &Tweak) -> Result<KeyAggContext, KeyAggError> {
        for (before, pair) in keys.windows(2).enumerate() {
            if pair[0] == pair[1] {
                return Err(KeyAggError::DuplicateKey(pair[0]));
            }
            if pair[0] > pair[1] {
                return Err(KeyAggError::Unsorted(before + 1));
            }
        }
        KeyAggContext::new(suite, keys)?.with_tweak(tweak)
    }

    fn tweak_keys(&self, keys: &KeyAggContext, tweak: &Tweak) -> Result<KeyAggContext, KeyAggError> {
        keys.clone().with_tweak(tweak)
    }

    fn aggregate_key(&self, keys: &KeyAggContext) -> PublicKey {
        keys.aggregate_key()
    }

    fn challenge_key(&self, keys: &KeyAggContext) -> PublicKey {
        keys.challenge_key()
    }

    fn open_round(
        &self,
        keys: &KeyAggContext,
        nonces: &[PublicNonce],
        message: &[u8],
    ) -> Result<SigningContext, NonceError> {
        SigningContext::from_nonces(keys, nonces, message)
    }

    fn verify_partial(
        &self,
        keys: &KeyAggContext,
        round: &SigningContext,
        index: usize,
        nonce: &PublicNonce,
        partial: &PartialSignature,
    ) -> bool {
        partials::verify_partial(keys, round, index, nonce, partial)
    }

    fn culprits(
        &self,
        keys: &KeyAggContext,
        round: &SigningContext,
        nonces: &[PublicNonce],
        partials: &[PartialSignature],
        entropy: &[u8; 32],
    ) -> Vec<usize> {
        partials::culprits(keys, round, nonces, partials, entropy)
    }

    fn combine(
        &self,
        keys: &KeyAggContext,
        round: &SigningContext,
        partials: &[PartialSignature],
    ) -> Result<Signature, CombineError> {
        signing::combine(keys, round, partials)
    }

    fn combine_many(
        &self,
        rounds: &[(&KeyAggContext, &SigningContext, &[PartialSignature])],
        entropy: &[u8; 32],
    ) -> Result<Vec<Signature>, Vec<usize>> {
        signing::combine_many(rounds, entropy)
    }

    fn verify_final(&self, keys: &KeyAggContext, message: &[u8], signature: &Signature) -> bool {
        keys.verify(message, signature)
    }

    fn verify_finals(&self, claims: &[(&KeyAggContext, &[u8], Signature)], entropy: &[u8; 32]) -> Option<usize> {
        if let [(keys, message, signature)] = claims {
            return (!self.verify_final(keys, message, signature)).then_some(0);
        }
        // The keys of a session are of one suite.
        let suite = claims.first()?.0.suite();
        let claims = claims.iter().map(|(keys, message, signature)| (keys.challenge_key(), *message, *signature));
        let items: Vec<_> = claims.map(|(key, message, signature)| Signed { key, message, signature }).collect();
        many::verify_many(suite, &items, entropy).iter().position(|valid| !valid)
    }
}
