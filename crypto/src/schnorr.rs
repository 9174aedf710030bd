//! Signatures of one signer, and the verification of every final signature.
//!
//! Owns the two sign-and-verify pairs. Invariant: `verify` is total over byte strings, and the secret key and nonce are
//! touched by constant-time code only. Signers drive `sign` to author messages; `combine` drives `verify`.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use k256::Scalar;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::group::{AffinePoint, Combination, Point, PreparedPoint, PublicScalar};
use super::hash::tagged_hash;
use super::keys::{PublicKey, SecretKey};
use super::text::plain_bytes;
use super::{Suite, comb, curve};

plain_bytes! {
    /// A signature, `r ‖ s`, both 32 bytes big endian.
    Signature, 64
}

/// Lotus signs messages of 32 bytes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLengthError(
    /// The length that was given.
    pub usize,
);

impl fmt::Display for MessageLengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lotus signs messages of 32 bytes, not {}", self.0)
    }
}

impl core::error::Error for MessageLengthError {}

/// Signs `message`.
///
/// `hedge` is 32 bytes of fresh entropy. With none, Lotus derives its nonce as section 2 of its scheme says and as the
/// chain's own wallets do, and BIP340 uses 32 zero bytes as its auxiliary randomness. With some, both keep the nonce
/// secret even where a fault in the computation would reveal a derived one; verifiers cannot tell.
///
/// # Errors
///
/// [`MessageLengthError`] for Lotus and a message that does not have 32 bytes.
pub fn sign(
    suite: Suite,
    key: &SecretKey,
    message: &[u8],
    hedge: Option<[u8; 32]>,
) -> Result<Signature, MessageLengthError> {
    if !suite.accepts_message(message) {
        return Err(MessageLengthError(message.len()));
    }
    let hedge = hedge.map(Zeroizing::new);
    let public_key = key.public_key();
    let d = match suite {
        Suite::Lotus => Zeroizing::new(*key.scalar()),
        // BIP340: the key that signs is the one whose point has an even y.
        Suite::Bip340 => curve::negate_if((public_key.as_bytes()[0] & 1).into(), key.scalar()),
    };
    let k = match suite {
        Suite::Lotus => lotus_nonce(&d, message, hedge.as_deref()),
        Suite::Bip340 => bip340_nonce(&d, &public_key, message, hedge.as_deref()),
    };
    let [nonce] = comb::multiples([&*k]);
    let k = curve::negate_if(!suite.accepts_nonce(&nonce), &k);
    let r = nonce.x;
    let e = suite.challenge(&r, public_key.as_bytes(), message);
    let ed = Zeroizing::new(e.for_secret_arithmetic() * &*d);
    let s = *k + *ed;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(&curve::encode_scalar(&s));
    Ok(Signature::from_bytes(signature))
}

/// Whether `signature` is valid (Lotus scheme, section 1; BIP340, Verify).
///
/// False for a key off the curve, `r ≥ p`, `s ≥ n`, and for Lotus also for a message that does not have 32 bytes. For
/// BIP340 the prefix of the key is ignored.
#[must_use]
pub fn verify(suite: Suite, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let Some(point) = key.point() else { return false };
    verify_with(suite, key, point, message, signature)
}

/// [`verify`] for a key whose point is known already.
pub(super) fn verify_with(
    suite: Suite,
    key: &PublicKey,
    point: AffinePoint,
    message: &[u8],
    signature: &Signature,
) -> bool {
    let multiply = |s, e: PublicScalar| {
        let mut sum = Combination::new();
        sum.generator(s);
        sum.term(suite.verification_point(point), -e);
        sum.evaluate()
    };
    verify_by(suite, key, message, signature, multiply)
}

/// Verification, given the way to `s·G − e·P`.
fn verify_by(
    suite: Suite,
    key: &PublicKey,
    message: &[u8],
    signature: &Signature,
    multiply: impl FnOnce(PublicScalar, PublicScalar) -> Point,
) -> bool {
    let (r, s) = split(signature);
    let (Some(s), true) = (PublicScalar::from_bytes(s), suite.accepts_message(message)) else {
        return false;
    };
    let e = suite.challenge(&r, key.as_bytes(), message);
    suite.accepts_verified_nonce(&multiply(s, e), &r)
}

/// A key that verifies often, with a table of 16 KiB that halves the cost.
#[derive(Clone, Debug)]
pub struct PreparedKey {
    suite: Suite,
    key: PublicKey,
    table: PreparedPoint,
}

impl PreparedKey {
    /// Makes the table, at about the cost of three verifications. None for a key off the curve.
    #[must_use]
    pub fn new(suite: Suite, key: &PublicKey) -> Option<Self> {
        let point = suite.verification_point(key.point()?);
        Some(Self { suite, key: *key, table: PreparedPoint::new(&point) })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// What [`verify`] says.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let multiply = |s, e: PublicScalar| {
            let mut sum = Combination::new();
            sum.generator(s);
            sum.prepared(&self.table, -e);
            sum.evaluate()
        };
        verify_by(self.suite, &self.key, message, signature, multiply)
    }
}

pub(super) fn split(signature: &Signature) -> ([u8; 32], [u8; 32]) {
    let (mut r, mut s) = ([0; 32], [0; 32]);
    r.copy_from_slice(&signature.as_bytes()[..32]);
    s.copy_from_slice(&signature.as_bytes()[32..]);
    (r, s)
}

/// The generator of RFC 6979, section 3.2, over `d ‖ m ‖ [hedge] ‖ marker` (Lotus scheme, section 2). The place of the
/// extra entropy is that of libsecp256k1's nonce function.
fn lotus_nonce(d: &Scalar, message: &[u8], hedge: Option<&[u8; 32]>) -> Zeroizing<Scalar> {
    const MARKER: &[u8; 16] = b"Schnorr+SHA256  ";
    let secret = Zeroizing::new(curve::encode_scalar(d));
    let hedge: &[u8] = hedge.map_or(&[], |hedge| hedge);
    let mut v = Zeroizing::new([1; 32]);
    let mut k = Zeroizing::new([0; 32]);
    for round in [0, 1] {
        hmac(&mut k, &[&v[..], &[round], &secret[..], message, hedge, MARKER]);
        advance(&k, &mut v);
    }
    loop {
        advance(&k, &mut v);
        if let Some(candidate) = curve::decode_scalar(&v)
            && !bool::from(candidate.is_zero())
        {
            return Zeroizing::new(candidate);
        }
        // Reached with probability 2⁻¹²⁸.
        hmac(&mut k, &[&v[..], &[0]]);
        advance(&k, &mut v);
    }
}

/// `V ← HMAC(K, V)`.
fn advance(k: &[u8; 32], v: &mut [u8; 32]) {
    let mut mac = Hmac::<Sha256>::new_from_slice(k).expect("HMAC takes keys of any length");
    mac.update(v);
    v.copy_from_slice(&mac.finalize().into_bytes());
}

/// `K ← HMAC(K, parts)`.
fn hmac(k: &mut [u8; 32], parts: &[&[u8]]) {
    let mut mac = Hmac::<Sha256>::new_from_slice(k).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    k.copy_from_slice(&mac.finalize().into_bytes());
}

/// BIP340, Default Signing: the hash of the masked key, the public key and the message.
fn bip340_nonce(d: &Scalar, key: &PublicKey, message: &[u8], aux: Option<&[u8; 32]>) -> Zeroizing<Scalar> {
    let mut masked = Zeroizing::new(curve::encode_scalar(d));
    let mut mask = tagged_hash("BIP0340/aux", &[aux.unwrap_or(&[0; 32])]);
    masked.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    mask.zeroize();
    let mut hash = tagged_hash("BIP0340/nonce", &[&masked[..], &key.x_only(), message]);
    let k = Zeroizing::new(curve::reduce_scalar(&hash));
    hash.zeroize();
    assert!(!bool::from(k.is_zero()), "a nonce of zero would reveal the key; SHA-256 gives one with probability 2⁻²⁵⁶");
    k
}
