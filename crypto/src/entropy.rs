//! Randomness, as an input.
//!
//! Owns the expansion of one 32-byte seed into labelled, independent byte streams. Invariant: the same seed and the
//! same calls give the same bytes, and streams with different labels share nothing. The node draws one seed per boot
//! from its host and splits it, so that protocol jitter, the weights of batches, and nonces never read from the same
//! stream.

use alloc::boxed::Box;
use core::convert::Infallible;
use core::fmt;

use rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::hash::tagged_hash;
use super::scrub::scrubbed;

const SEED_TAG: &str = "nelumbo/entropy/seed";
const STREAM_TAG: &str = "nelumbo/entropy/stream";
const BLOCK_TAG: &str = "nelumbo/entropy/block";

const BLOCK: usize = 32;

/// A deterministic generator: SHA-256 in counter mode under a secret key.
///
/// Block *i* is `tagged_hash("nelumbo/entropy/block", key ‖ i)` with *i* as eight big-endian bytes, and bytes are
/// handed out in order without gaps: two calls for four bytes give what one call for eight gives. The key and the
/// unread rest of a block are wiped on drop; they sit behind a pointer so that moving the generator leaves no copy on
/// the stack. There is no `Clone` because two copies would hand out the same bytes, which for nonces means the loss of
/// the key.
pub struct Entropy(Box<State>);

#[derive(Zeroize, ZeroizeOnDrop)]
struct State {
    key: [u8; 32],
    counter: u64,
    block: [u8; BLOCK],
    used: usize,
}

/// Why a seed was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntropyError {
    /// All 32 bytes are zero, which is what a failed entropy source leaves behind.
    AllZero,
    /// The source has none.
    Unavailable,
}

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllZero => f.write_str("the entropy seed is all zero: the source failed"),
            Self::Unavailable => f.write_str("the entropy source has failed"),
        }
    }
}

impl core::error::Error for EntropyError {}

/// What a host gives entropy from, whenever it is asked.
pub trait EntropySource {
    /// 32 bytes that nobody else has or will have.
    ///
    /// # Errors
    ///
    /// [`EntropyError`]; never bytes from a weaker source.
    fn draw(&mut self) -> Result<[u8; 32], EntropyError>;
}

/// For simulations and tests: production draws from the operating system.
impl EntropySource for Entropy {
    fn draw(&mut self) -> Result<[u8; 32], EntropyError> {
        Ok(self.bytes32())
    }
}

impl Entropy {
    /// A generator from 32 bytes of the operating system's randomness, or of a simulation's seed. The caller wipes its
    /// own copy.
    ///
    /// # Errors
    ///
    /// [`EntropyError::AllZero`] for a seed of zeros.
    pub fn new(mut seed: [u8; 32]) -> Result<Self, EntropyError> {
        let generator = scrubbed(|| Self::from_key(tagged_hash(SEED_TAG, &[&seed])));
        let zero = seed == [0; 32];
        seed.zeroize();
        if zero { Err(EntropyError::AllZero) } else { Ok(generator) }
    }

    /// The child stream with this label.
    ///
    /// It depends on the label and on this generator's seed, not on how much was read before: asking twice for one
    /// label gives the same stream twice. Use each label of one parent once.
    #[must_use]
    pub fn stream(&self, label: &str) -> Self {
        scrubbed(|| Self::from_key(tagged_hash(STREAM_TAG, &[&self.0.key, label.as_bytes()])))
    }

    /// Fills `bytes` with the next bytes of this stream.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let state = &mut *self.0;
        for byte in bytes {
            if state.used == BLOCK {
                state.next_block();
            }
            *byte = state.block[state.used];
            // A byte that was handed out belongs to the caller alone.
            state.block[state.used] = 0;
            state.used += 1;
        }
    }

    /// The next 32 bytes of this stream.
    #[must_use]
    pub fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }

    fn from_key(key: [u8; 32]) -> Self {
        Self(Box::new(State { key, counter: 0, block: [0; BLOCK], used: BLOCK }))
    }
}

impl State {
    fn next_block(&mut self) {
        self.block = tagged_hash(BLOCK_TAG, &[&self.key, &self.counter.to_be_bytes()]);
        self.used = 0;
        // 2^64 blocks cannot be drawn in a lifetime; wrapping would repeat bytes, so it must stop instead.
        self.counter = self.counter.checked_add(1).expect("an entropy stream never repeats a block");
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}
