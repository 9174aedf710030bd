//! Signers whose key is in memory.
//!
//! Owns the life of nonces in such a signer. Invariants: a slot yields one public nonce and at most one partial
//! signature for each item, for as long as it is remembered; each nonce is drawn from what the host gives for it alone,
//! mixed with what the signer has, so that neither a copy of the signer nor a source that repeats itself draws a nonce
//! twice; what is open is bounded. Hosts drive it.

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
const ROUNDS_TAG: &str = "nelumbo/signer/rounds";

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
    open: BTreeMap<NonceSlot, Vec<OpenNonce>>,
    open_nonces: usize,
    closed: BTreeMap<NonceSlot, Closed>,
    /// The closed slots, oldest first.
    order: VecDeque<NonceSlot>,
    /// Those of them that are answered again, oldest first, and how many partial signatures that takes.
    answered: VecDeque<NonceSlot>,
    answers: usize,
}

/// How a slot ended.
enum Closed {
    /// Its nonces have signed in the rounds with these nonce coefficients.
    Signed {
        coefficients: [u8; 32],
        partials: Vec<PartialSignature>,
    },
    /// They have signed too long ago to be answered again, or an attempt to sign with them has failed.
    Spent,
    Forgotten,
}

/// A nonce that waits for its round, with what it was drawn for.
struct OpenNonce {
    nonce: SecretNonce,
    public_nonce: PublicNonce,
    challenge_key: PublicKey,
    message: Vec<u8>,
}

impl OpenNonce {
    fn is_for(&self, keys: &KeyAggContext, message: &[u8]) -> bool {
        self.challenge_key == keys.challenge_key() && self.message == message
    }
}

impl SoftwareSigner {
    /// How many nonces may be open at once.
    pub const MAX_OPEN_NONCES: usize = 32_768;

    /// How many closed slots are remembered. Beyond it the oldest is forgotten, and would be served again with a new
    /// nonce that shares nothing with the old one: memory bounds the promise, entropy keeps the key.
    pub const MAX_CLOSED_SLOTS: usize = 1024;

    /// How many partial signatures are remembered, to answer the same question in the same way.
    pub const MAX_ANSWERS: usize = 65_536;

    /// A signer for this key. `source` is asked for every nonce, and must feed nothing else: the operating system's
    /// randomness, or in a simulation a stream of [`Entropy`].
    #[must_use]
    pub fn new(key: impl Into<Arc<SecretKey>>, source: impl EntropySource + Send + 'static) -> Self {
        Self {
            key: key.into(),
            source: Box::new(source),
            pool: None,
            open: BTreeMap::new(),
            open_nonces: 0,
            closed: BTreeMap::new(),
            order: VecDeque::new(),
            answered: VecDeque::new(),
            answers: 0,
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
        self.open_nonces
    }

    /// Takes the open nonces of a slot out.
    fn take(&mut self, slot: &NonceSlot) -> Option<Vec<OpenNonce>> {
        let open = self.open.remove(slot)?;
        self.open_nonces -= open.len();
        Some(open)
    }

    fn close(&mut self, slot: NonceSlot, how: Closed) {
        if self.order.len() == Self::MAX_CLOSED_SLOTS
            && let Some(oldest) = self.order.pop_front()
        {
            if self.answered.front() == Some(&oldest) {
                self.answer_no_more();
            }
            self.closed.remove(&oldest);
        }
        self.order.push_back(slot);
        if let Closed::Signed { partials, .. } = &how {
            self.answered.push_back(slot);
            self.answers += partials.len();
        }
        self.closed.insert(slot, how);
        while self.answers > Self::MAX_ANSWERS {
            self.answer_no_more();
        }
    }

    /// Forgets the oldest answer.
    fn answer_no_more(&mut self) {
        let Some(closed) = self.answered.pop_front().and_then(|slot| self.closed.get_mut(&slot)) else { return };
        if let Closed::Signed { partials, .. } = core::mem::replace(closed, Closed::Spent) {
            self.answers -= partials.len();
        }
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

    fn nonces(&mut self, slot: NonceSlot, items: &[(&KeyAggContext, &[u8])]) -> Result<Vec<PublicNonce>, SignerError> {
        if let Some(open) = self.open.get(&slot) {
            let is_same = open.len() == items.len()
                && open.iter().zip(items).all(|(open, (keys, message))| open.is_for(keys, message));
            let public_nonces = open.iter().map(|open| open.public_nonce).collect();
            return if is_same { Ok(public_nonces) } else { Err(SignerError::SlotServed) };
        }
        if self.closed.contains_key(&slot) {
            return Err(SignerError::SlotServed);
        }
        let own = self.key.public_key();
        if items.iter().any(|(keys, _)| keys.index_of(&own).is_none()) {
            return Err(SignerError::NotASigner);
        }
        if items.len() > Self::MAX_OPEN_NONCES - self.open_nonces {
            return Err(SignerError::TooManyNonces);
        }
        let mut extra = [0; 40];
        extra[..32].copy_from_slice(&slot.session);
        extra[32..36].copy_from_slice(&slot.attempt.to_be_bytes());
        let mut open = Vec::with_capacity(items.len());
        scrubbed(|| {
            for (item, (keys, message)) in (0_u32..).zip(items) {
                extra[36..].copy_from_slice(&item.to_be_bytes());
                let (nonce, public_nonce) = generate_nonce(self.draw()?, &self.key, keys, Some(message), &extra);
                let (challenge_key, message) = (keys.challenge_key(), message.to_vec());
                open.push(OpenNonce { nonce, public_nonce, challenge_key, message });
            }
            Ok(())
        })?;
        let public_nonces = open.iter().map(|open| open.public_nonce).collect();
        self.open_nonces += open.len();
        self.open.insert(slot, open);
        Ok(public_nonces)
    }

    fn sign(
        &mut self,
        slot: NonceSlot,
        items: &[(&KeyAggContext, &SigningContext)],
    ) -> Result<Vec<PartialSignature>, SignerError> {
        // A nonce coefficient is a hash of the key, the message and the sum of all nonces.
        let in_rounds: Vec<_> = items.iter().map(|(_, round)| round.nonce_coefficient()).collect();
        let in_rounds = tagged_hash(ROUNDS_TAG, &in_rounds.iter().map(|round| &round[..]).collect::<Vec<_>>());
        match self.closed.get(&slot) {
            Some(Closed::Signed { coefficients, partials }) if *coefficients == in_rounds => {
                return Ok(partials.clone());
            }
            Some(Closed::Signed { .. } | Closed::Spent) => return Err(SignerError::NonceSpent),
            Some(Closed::Forgotten) | None => {}
        }
        // Taken out before any other check, so that no way out of this function leaves them usable.
        let open = self.take(&slot).ok_or(SignerError::NoNonce)?;
        let are_their_rounds = open.len() == items.len()
            && open.iter().zip(items).all(|(open, (keys, round))| open.is_for(keys, round.message()));
        let sign = |(OpenNonce { nonce, .. }, (keys, round)): (OpenNonce, &(&KeyAggContext, &SigningContext))| {
            partial_sign(nonce, &self.key, keys, round).map_err(|error| match error {
                SignError::NotASigner => SignerError::NotASigner,
                SignError::NonceOfAnotherKey | SignError::RoundOfOtherKeys => SignerError::RoundMismatch,
            })
        };
        let signed: Result<Vec<_>, _> = if are_their_rounds {
            scrubbed(|| open.into_iter().zip(items).map(sign).collect())
        } else {
            Err(SignerError::RoundMismatch)
        };
        let answer = |partials: &Vec<_>| Closed::Signed { coefficients: in_rounds, partials: partials.clone() };
        self.close(slot, signed.as_ref().map_or(Closed::Spent, answer));
        signed
    }

    fn forget(&mut self, slot: NonceSlot) {
        if self.take(&slot).is_some() {
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
            .field("open_nonces", &self.open_nonces)
            .finish_non_exhaustive()
    }
}
