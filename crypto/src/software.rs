//! Signers whose key is in memory.
//!
//! Owns the life of nonces in such a signer. Invariants: a slot yields one public nonce and at most one partial
//! signature for as long as it is remembered; each nonce is drawn from what the host gives for it alone, mixed with
//! what the signer has, so that neither a copy of the signer nor a source that repeats itself draws a nonce twice; what
//! is open is bounded. Hosts drive it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::Suite;
use super::entropy::{Entropy, EntropyError, EntropySource};
use super::hash::tagged_hash;
use super::key_aggregation::KeyAggContext;
use super::keys::{PublicKey, SecretKey};
use super::nonce::{PublicNonce, SecretNonce, generate_nonce};
use super::schnorr::{self, Signature};
use super::scrub::scrubbed;
use super::signer::{MessageSigner, NonceSlot, Signer, SignerError};
use super::signing::{PartialSignature, SignError, SigningContext, partial_sign};
use super::verifier::Secp256k1;

const DRAW_TAG: &str = "nelumbo/entropy/draw";

/// A key in memory that signs messages.
pub struct MessageKey {
    key: Arc<SecretKey>,
    hedges: Entropy,
}

impl MessageKey {
    /// For this key, which may be that of a [`SoftwareSigner`] too. `entropy` must feed nothing else.
    #[must_use]
    pub fn new(key: impl Into<Arc<SecretKey>>, entropy: Entropy) -> Self {
        Self { key: key.into(), hedges: entropy }
    }

    /// The key that the signatures verify under.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }
}

impl MessageSigner for MessageKey {
    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Signature, SignerError> {
        // Hedged, so that a fault in one of two signatures of the same digest does not reveal the key.
        let signature = scrubbed(|| schnorr::sign(Suite::Lotus, &self.key, digest, Some(self.hedges.bytes32())));
        Ok(signature.expect("a digest has the 32 bytes that Lotus signs"))
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageKey").field("public_key", &self.key.public_key()).finish_non_exhaustive()
    }
}

/// A signer that keeps its key in memory.
pub struct SoftwareSigner {
    key: Arc<SecretKey>,
    source: Box<dyn EntropySource + Send>,
    /// What is mixed into what the source gives, begun by its first draw.
    pool: Option<Entropy>,
    open: BTreeMap<NonceSlot, OpenNonce>,
    closed: BTreeMap<NonceSlot, Closed>,
    /// The closed slots, oldest first.
    order: VecDeque<NonceSlot>,
}

/// How a slot ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// Its nonce has signed in the round with this nonce coefficient.
    Signed([u8; 32], PartialSignature),
    /// An attempt to sign with it has failed.
    Failed,
    Forgotten,
}

/// A nonce that waits for its round, with what it was drawn for.
struct OpenNonce {
    nonce: SecretNonce,
    public_nonce: PublicNonce,
    challenge_key: PublicKey,
    message: Vec<u8>,
}

impl SoftwareSigner {
    /// How many nonces may be open at once.
    pub const MAX_OPEN_NONCES: usize = 4096;

    /// How many closed slots are remembered. Beyond it the oldest is forgotten, and would be served again with a new
    /// nonce that shares nothing with the old one: memory bounds the promise, entropy keeps the key.
    pub const MAX_CLOSED_SLOTS: usize = 8192;

    /// A signer for this key. `source` is asked for every nonce, and must feed nothing else: the operating system's
    /// randomness, or in a simulation a stream of [`Entropy`].
    #[must_use]
    pub fn new(key: impl Into<Arc<SecretKey>>, source: impl EntropySource + Send + 'static) -> Self {
        Self {
            key: key.into(),
            source: Box::new(source),
            pool: None,
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The key of this signer.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// How many nonces are open.
    #[must_use]
    pub fn open_nonces(&self) -> usize {
        self.open.len()
    }

    fn close(&mut self, slot: NonceSlot, how: Closed) {
        if self.order.len() == Self::MAX_CLOSED_SLOTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        self.order.push_back(slot);
        self.closed.insert(slot, how);
    }

    /// 32 bytes for one nonce.
    fn draw(&mut self) -> Result<[u8; 32], SignerError> {
        let unavailable = |_: EntropyError| SignerError::Unavailable;
        if self.pool.is_none() {
            self.pool = Some(scrubbed(|| Entropy::new(self.source.draw()?)).map_err(unavailable)?);
        }
        let pool = self.pool.as_mut().expect("it was begun just now");
        let fresh = self.source.draw().and_then(not_zero).map_err(unavailable)?;
        Ok(tagged_hash(DRAW_TAG, &[&pool.bytes32(), &fresh]))
    }
}

/// Zeros are what a source that has failed without saying so leaves behind.
fn not_zero(bytes: [u8; 32]) -> Result<[u8; 32], EntropyError> {
    if bytes == [0; 32] { Err(EntropyError::AllZero) } else { Ok(bytes) }
}

impl Signer<Secp256k1> for SoftwareSigner {
    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    fn nonce(&mut self, slot: NonceSlot, keys: &KeyAggContext, message: &[u8]) -> Result<PublicNonce, SignerError> {
        if let Some(open) = self.open.get(&slot) {
            let is_same = open.challenge_key == keys.challenge_key() && open.message == message;
            return if is_same { Ok(open.public_nonce) } else { Err(SignerError::SlotServed) };
        }
        if self.closed.contains_key(&slot) {
            return Err(SignerError::SlotServed);
        }
        if keys.index_of(&self.key.public_key()).is_none() {
            return Err(SignerError::NotASigner);
        }
        if self.open.len() >= Self::MAX_OPEN_NONCES {
            return Err(SignerError::TooManyNonces);
        }
        let mut extra = [0; 36];
        extra[..32].copy_from_slice(&slot.session);
        extra[32..].copy_from_slice(&slot.attempt.to_be_bytes());
        let (nonce, public_nonce) =
            scrubbed(|| Ok(generate_nonce(self.draw()?, &self.key, keys, Some(message), &extra)))?;
        let open = OpenNonce { nonce, public_nonce, challenge_key: keys.challenge_key(), message: message.to_vec() };
        self.open.insert(slot, open);
        Ok(public_nonce)
    }

    fn sign(
        &mut self,
        slot: NonceSlot,
        keys: &KeyAggContext,
        round: &SigningContext,
    ) -> Result<PartialSignature, SignerError> {
        // The nonce coefficient is a hash of the key, the message and the sum of all nonces.
        let in_round = round.nonce_coefficient();
        match self.closed.get(&slot) {
            Some(Closed::Signed(coefficient, partial)) if *coefficient == in_round => return Ok(*partial),
            Some(Closed::Signed(..) | Closed::Failed) => return Err(SignerError::NonceSpent),
            Some(Closed::Forgotten) | None => {}
        }
        // Taken out before any other check, so that no way out of this function leaves it usable.
        let OpenNonce { nonce, challenge_key, message, .. } = self.open.remove(&slot).ok_or(SignerError::NoNonce)?;
        let is_its_round = challenge_key == keys.challenge_key() && message == round.message();
        let signed = if is_its_round {
            scrubbed(|| partial_sign(nonce, &self.key, keys, round)).map_err(|error| match error {
                SignError::NotASigner => SignerError::NotASigner,
                SignError::NonceOfAnotherKey | SignError::RoundOfOtherKeys => SignerError::RoundMismatch,
            })
        } else {
            Err(SignerError::RoundMismatch)
        };
        self.close(slot, signed.map_or(Closed::Failed, |partial| Closed::Signed(in_round, partial)));
        signed
    }

    fn forget(&mut self, slot: NonceSlot) {
        if self.open.remove(&slot).is_some() {
            self.close(slot, Closed::Forgotten);
        }
    }

    fn forget_all(&mut self) {
        let slots: Vec<_> = self.open.keys().copied().collect();
        slots.into_iter().for_each(|slot| Signer::<Secp256k1>::forget(self, slot));
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner")
            .field("public_key", &self.key.public_key())
            .field("open_nonces", &self.open.len())
            .finish_non_exhaustive()
    }
}
