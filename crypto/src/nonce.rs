//! Nonces of a MuSig2 round.
//!
//! Owns the life of a secret nonce up to its use, and the sum of the public ones. Invariant: a [`SecretNonce`] is drawn
//! from entropy that was used for nothing else, exists once, cannot be copied, stored or printed, and ends by being
//! consumed or wiped. Signers drive generation; the signing round drives aggregation.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use k256::Scalar;
use zeroize::{Zeroize, Zeroizing};

use super::comb;
use super::curve;
use super::group::{self, AffinePoint, Point};
use super::hash::tagged_hash;
use super::key_aggregation::KeyAggContext;
use super::keys::{PublicKey, SecretKey};
use super::text::plain_bytes;

plain_bytes! {
    /// A signer's public nonce: two compressed points.
    PublicNonce, 66
}

plain_bytes! {
    /// The sum of the public nonces: two compressed points, each of which may be infinity, written as 33 zero bytes
    /// (BIP327, `cbytes_ext`).
    AggregateNonce, 66
}

/// Why nonces cannot open a signing round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonceError {
    /// The nonce of the signer at this index is not two points of the curve. That signer is at fault.
    Invalid {
        /// The signer's index.
        signer: usize,
    },
    /// The number of nonces is not the number of keys.
    Count {
        /// How many keys there are.
        expected: usize,
        /// How many nonces were given.
        found: usize,
    },
    /// An aggregate nonce that somebody else computed is not two points or infinities.
    InvalidAggregate,
    /// A sum of nonces is infinity, which Lotus cannot sign with. One of the signers chose its nonce so, and which one
    /// cannot be known (Lotus scheme, section 5, step 2).
    Infinity,
    /// Lotus signs messages of 32 bytes; this one has another length.
    MessageLength(usize),
}

impl NonceError {
    /// The index of the signer that is at fault, where that is known.
    #[must_use]
    pub const fn culprit(&self) -> Option<usize> {
        match self {
            Self::Invalid { signer } => Some(*signer),
            Self::Count { .. } | Self::InvalidAggregate | Self::Infinity | Self::MessageLength(_) => None,
        }
    }
}

impl fmt::Display for NonceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { signer } => write!(f, "the public nonce of signer {signer} is invalid"),
            Self::Count { expected, found } => write!(f, "{found} public nonces for {expected} signers"),
            Self::InvalidAggregate => f.write_str("the aggregate nonce is invalid"),
            Self::Infinity => f.write_str("the public nonces cancel out"),
            Self::MessageLength(found) => write!(f, "Lotus signs messages of 32 bytes, not {found}"),
        }
    }
}

impl core::error::Error for NonceError {}

/// The two secret scalars of one signer for one signature.
///
/// Signing takes it by value, and consumes it also when signing fails: two partial signatures with one nonce reveal the
/// secret key. It remembers the key it was drawn for (BIP327, NonceGen) and is wiped on drop; the scalars sit behind a
/// pointer so that moving the nonce leaves no copy on the stack.
pub struct SecretNonce {
    scalars: Box<[Scalar; 2]>,
    public_key: PublicKey,
}

impl SecretNonce {
    /// The key this nonce was drawn for.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }

    pub(super) fn scalars(&self) -> &[Scalar; 2] {
        &self.scalars
    }

    /// None if a scalar is zero, which is how BIP327's reference marks a used nonce.
    pub(super) fn from_scalars(scalars: &[Scalar; 2], public_key: PublicKey) -> Option<Self> {
        if scalars.iter().any(|scalar| scalar.is_zero().into()) {
            return None;
        }
        Some(Self { scalars: Box::new(*scalars), public_key })
    }

    pub(super) fn public_nonce(&self) -> PublicNonce {
        let mut bytes = [0; 66];
        for (half, multiple) in bytes.chunks_exact_mut(33).zip(comb::multiples(self.scalars.each_ref())) {
            half.copy_from_slice(&multiple.encode());
        }
        PublicNonce::from_bytes(bytes)
    }
}

impl Drop for SecretNonce {
    fn drop(&mut self) {
        self.scalars.zeroize();
    }
}

impl fmt::Debug for SecretNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretNonce(of {:?})", self.public_key)
    }
}

/// Draws a nonce (BIP327, NonceGen).
///
/// `entropy` is 32 bytes from a generator, never used before or again; it is taken by value to say so. The secret key,
/// the challenge key, the message and `extra` are hashed with it, so that a weak generator alone does not lose the key.
/// For Lotus the challenge key enters with 33 bytes instead of 32, which its length prefix keeps apart.
#[must_use]
pub fn generate_nonce(
    entropy: [u8; 32],
    secret_key: &SecretKey,
    keys: &KeyAggContext,
    message: Option<&[u8]>,
    extra: &[u8],
) -> (SecretNonce, PublicNonce) {
    let entropy = Zeroizing::new(entropy);
    let challenge_key = keys.challenge_key();
    derive_nonce(&NonceInput {
        randomness: &entropy,
        secret_key: Some(&secret_key.expose_secret_bytes_for_storage()),
        public_key: secret_key.public_key(),
        aggregate_key: keys.suite().hashed_key(challenge_key.as_bytes()),
        message,
        extra,
    })
}

/// Everything a nonce is derived from: the inputs of BIP327's NonceGen, randomness included.
#[derive(Clone, Copy)]
pub struct NonceInput<'a> {
    /// `rand'`. The same value twice, with anything else, reveals the secret key.
    pub randomness: &'a [u8; 32],
    /// `sk`, if it is to protect the nonce where the randomness does not.
    pub secret_key: Option<&'a [u8; 32]>,
    /// `pk`.
    pub public_key: PublicKey,
    /// `aggpk`: 32 bytes, 33 for Lotus, or none if it is not known.
    pub aggregate_key: &'a [u8],
    /// `m`, if it is known.
    pub message: Option<&'a [u8]>,
    /// `extra_in`.
    pub extra: &'a [u8],
}

/// BIP327, NonceGen, after its first step.
pub(super) fn derive_nonce(input: &NonceInput<'_>) -> (SecretNonce, PublicNonce) {
    let mut seed = Zeroizing::new(*input.randomness);
    if let Some(secret_key) = input.secret_key {
        *seed = mask_secret(secret_key, input.randomness);
    }
    let key_length = u8::try_from(input.aggregate_key.len()).expect("an aggregate key has 0, 32 or 33 bytes");
    let extra_length = u32::try_from(input.extra.len()).expect("the extra input of a nonce is below 4 GiB (BIP327)");
    let message_length;
    let message: [&[u8]; 3] = match input.message {
        None => [&[0], &[], &[]],
        Some(message) => {
            message_length = (message.len() as u64).to_be_bytes();
            [&[1], &message_length, message]
        }
    };
    let mut scalars = Zeroizing::new([Scalar::ZERO; 2]);
    for (index, scalar) in (0..).zip(scalars.iter_mut()) {
        let mut hash = tagged_hash(
            "MuSig/nonce",
            &[
                &seed[..],
                &[33],
                input.public_key.as_bytes(),
                &[key_length],
                input.aggregate_key,
                message[0],
                message[1],
                message[2],
                &extra_length.to_be_bytes(),
                input.extra,
                &[index],
            ],
        );
        *scalar = curve::reduce_scalar(&hash);
        hash.zeroize();
    }
    let nonce = SecretNonce::from_scalars(&scalars, input.public_key)
        .expect("a nonce of zero would reveal the key; SHA-256 gives one with probability 2⁻²⁵⁶");
    let public_nonce = nonce.public_nonce();
    (nonce, public_nonce)
}

/// The secret key under a mask of the randomness (BIP327, `MuSig/aux`).
pub(super) fn mask_secret(secret_key: &[u8; 32], randomness: &[u8; 32]) -> [u8; 32] {
    let mut masked = tagged_hash("MuSig/aux", &[randomness]);
    masked.iter_mut().zip(secret_key).for_each(|(byte, secret)| *byte ^= secret);
    masked
}

/// Sums public nonces in any order (BIP327, NonceAgg).
///
/// # Errors
///
/// [`NonceError::Invalid`] with the position of the first nonce that is not two points of the curve.
pub fn aggregate_nonces(nonces: &[PublicNonce]) -> Result<AggregateNonce, NonceError> {
    decode_nonces(nonces).map(|points| encode_aggregate(&sum_nonces(&points)))
}

/// The two sums of nonces, none for infinity.
pub(super) type Sums = [Option<AffinePoint>; 2];

pub(super) fn decode_nonces(nonces: &[PublicNonce]) -> Result<Vec<[AffinePoint; 2]>, NonceError> {
    let points = nonces.iter().enumerate();
    points.map(|(signer, nonce)| nonce_points(nonce).ok_or(NonceError::Invalid { signer })).collect()
}

pub(super) fn sum_nonces(points: &[[AffinePoint; 2]]) -> Sums {
    let half = |index: usize| points.iter().map(|pair| pair[index]).collect::<Vec<_>>();
    let affine = Point::batch_to_affine(&group::sums([&half(0), &half(1)]));
    [affine[0], affine[1]]
}

pub(super) fn nonce_points(nonce: &PublicNonce) -> Option<[AffinePoint; 2]> {
    let [first, second] = halves(nonce.as_bytes());
    let [first, second] = AffinePoint::decode_several([&first, &second]);
    Some([first?, second?])
}

/// The halves of an aggregate nonce, infinity where all 33 bytes are zero (BIP327, `cpoint_ext`).
pub(super) fn aggregate_points(nonce: &AggregateNonce) -> Option<Sums> {
    let decode = |half: &[u8; 33]| {
        if *half == [0; 33] { Some(None) } else { AffinePoint::decode(half).map(Some) }
    };
    let [first, second] = halves(nonce.as_bytes());
    Some([decode(&first)?, decode(&second)?])
}

pub(super) fn encode_aggregate(sums: &Sums) -> AggregateNonce {
    let mut bytes = [0; 66];
    for (half, sum) in bytes.chunks_exact_mut(33).zip(sums) {
        if let Some(sum) = sum {
            half.copy_from_slice(&sum.encode());
        }
    }
    AggregateNonce::from_bytes(bytes)
}

fn halves(bytes: &[u8; 66]) -> [[u8; 33]; 2] {
    let mut halves = [[0; 33]; 2];
    halves.iter_mut().zip(bytes.chunks_exact(33)).for_each(|(half, chunk)| half.copy_from_slice(chunk));
    halves
}
