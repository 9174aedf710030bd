//! Public and secret keys.
//!
//! Owns the two key types and their encodings. Invariants: a [`PublicKey`] begins with 02 or 03 but may lie off the
//! curve until [`PublicKey::validate`] or a use of it says otherwise; a [`SecretKey`] is in 1..n, exists once, and is
//! wiped.

use alloc::boxed::Box;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use k256::Scalar;
use rand_core::CryptoRng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use super::comb;
use super::curve;
use super::group::AffinePoint;
use super::order::compare_public;
use super::scrub::scrubbed;
use super::text::{self, HexError};

/// A public key in its compressed encoding of 33 bytes, ordered bytewise.
///
/// Decoding checks the prefix only, because the wire must stay cheap: a point off the curve is found by
/// [`validate`](Self::validate), by key aggregation, and by every verification, which then fails.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 33]);

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_public(&self.0, &other.0)
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Why something is not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The text is not 66 lower-case hexadecimal characters.
    Text(HexError),
    /// The encoding does not have 33 bytes.
    Length(usize),
    /// The first byte is neither 02 nor 03.
    Prefix(u8),
    /// No point of the curve has this x.
    NotOnCurve,
}

impl fmt::Display for PublicKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => write!(f, "not a public key: {error}"),
            Self::Length(found) => write!(f, "a public key has 33 bytes, not {found}"),
            Self::Prefix(found) => write!(f, "a compressed public key begins with 02 or 03, not {found:02x}"),
            Self::NotOnCurve => f.write_str("no point of secp256k1 has this x coordinate"),
        }
    }
}

impl core::error::Error for PublicKeyError {}

impl PublicKey {
    /// The size of the encoding in bytes.
    pub const SIZE: usize = 33;

    /// Takes the encoding after a look at its prefix.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError::Prefix`].
    pub const fn from_bytes(bytes: [u8; 33]) -> Result<Self, PublicKeyError> {
        match bytes[0] {
            2 | 3 => Ok(Self(bytes)),
            prefix => Err(PublicKeyError::Prefix(prefix)),
        }
    }

    /// Like [`from_bytes`](Self::from_bytes), from a slice.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError::Length`] and [`PublicKeyError::Prefix`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        bytes.try_into().map_err(|_| PublicKeyError::Length(bytes.len())).and_then(Self::from_bytes)
    }

    /// Checks that the encoding is a point of the curve.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError::NotOnCurve`].
    pub fn validate(&self) -> Result<(), PublicKeyError> {
        self.point().map(drop).ok_or(PublicKeyError::NotOnCurve)
    }

    /// The encoding.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// The encoding, by value.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 33] {
        self.0
    }

    /// The x coordinate: the public key of BIP340.
    #[must_use]
    pub fn x_only(&self) -> [u8; 32] {
        let [_, x @ ..] = self.0;
        x
    }

    pub(super) fn point(&self) -> Option<AffinePoint> {
        AffinePoint::decode(&self.0)
    }

    pub(super) fn from_point(point: &AffinePoint) -> Self {
        Self(point.encode())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_hex(f, &self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_short(f, "PublicKey", &self.0)
    }
}

/// From 66 lower-case hexadecimal characters; the point is checked.
impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let key = text::parse_hex(text).map_err(PublicKeyError::Text).and_then(Self::from_bytes)?;
        key.validate()?;
        Ok(key)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_bytes(text::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Puts keys in the one order that sessions and Lotus key aggregation know: bytewise ascending over 33 bytes
/// (BIP327 KeySort; Lotus scheme, section 4).
pub fn sort_keys(keys: &mut [PublicKey]) {
    keys.sort_unstable();
}

/// A secret key, wiped on drop, neither copied nor printed nor serialised.
///
/// The scalar sits behind a pointer so that moving the key leaves no second copy on the stack.
pub struct SecretKey {
    scalar: Box<Scalar>,
    public_key: PublicKey,
}

/// Why bytes are not a secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKeyError {
    /// Zero has no public key.
    Zero,
    /// The integer is not below the group order.
    TooLarge,
}

impl fmt::Display for SecretKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "a secret key is not zero",
            Self::TooLarge => "a secret key is below the group order",
        })
    }
}

impl core::error::Error for SecretKeyError {}

impl SecretKey {
    /// A key from its 32 big-endian bytes. The caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`SecretKeyError`] if the integer is not in 1..n.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SecretKeyError> {
        scrubbed(|| {
            let scalar = Zeroizing::new(curve::decode_scalar(bytes).ok_or(SecretKeyError::TooLarge)?);
            Self::from_scalar(&scalar)
        })
    }

    /// A new key from a cryptographic generator.
    pub fn generate(generator: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            generator.fill_bytes(&mut *bytes);
            // Refused with probability 2⁻¹²⁸; what is refused says nothing about what follows.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// The public key that belongs to this key.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The secret itself, for key files and for nothing else. The copy wipes itself on drop.
    #[must_use]
    pub fn expose_secret_bytes_for_storage(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(curve::encode_scalar(&self.scalar))
    }

    pub(super) fn scalar(&self) -> &Scalar {
        &self.scalar
    }

    pub(super) fn from_scalar(scalar: &Scalar) -> Result<Self, SecretKeyError> {
        if scalar.is_zero().into() {
            return Err(SecretKeyError::Zero);
        }
        let [multiple] = comb::multiples([scalar]);
        let public_key = PublicKey(multiple.encode());
        Ok(Self { scalar: Box::new(*scalar), public_key })
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public_key)
    }
}
