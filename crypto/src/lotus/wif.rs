//! Secret keys as text ("wallet import format").
//!
//! Owns both directions. Invariant: every buffer that held the secret is wiped, the text included. Key files and the
//! command line drive it.

use alloc::string::String;
use core::fmt;

use zeroize::Zeroizing;

use super::network::Network;
use crate::base58;
use crate::hash::sha256d;
use crate::keys::{SecretKey, SecretKeyError};

const MAINNET: u8 = 0x80;
const TEST_NETWORKS: u8 = 0xef;
const COMPRESSED: u8 = 1;
const CHECKSUM: usize = 4;

/// A key as it was in the text.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImportedKey {
    /// The key.
    pub key: SecretKey,
    /// Whether it is for the mainnet; the other networks share one form.
    pub mainnet: bool,
    /// Whether the key's owner hashes the compressed public key into addresses. Everything in this crate does.
    pub compressed: bool,
}

impl ImportedKey {
    /// Whether the key was written for this network.
    #[must_use]
    pub fn is_for(&self, network: Network) -> bool {
        self.mainnet == (network == Network::Mainnet)
    }
}

/// Why a text is not a key. None of these says anything about the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WifError {
    /// Not base58 of a plausible length.
    Base58,
    /// The checksum is wrong.
    Checksum,
    /// The content is not one of a key: its length, or the mark of a compressed key.
    Content,
    /// The first byte is of no network.
    Version(u8),
    /// The integer is not a secret key.
    Key(SecretKeyError),
}

impl fmt::Display for WifError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base58 => f.write_str("the key is not base58"),
            Self::Checksum => f.write_str("the checksum of the key is wrong"),
            Self::Content => f.write_str("the text does not hold a key"),
            Self::Version(found) => write!(f, "the key is of an unknown network (version {found:02x})"),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for WifError {}

/// Writes a key: base58 of version, secret, the mark of a compressed key, and checksum (Lotus scheme, section 9).
#[must_use]
pub fn encode(key: &SecretKey, network: Network, compressed: bool) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 1 + 32 + 1 + CHECKSUM]);
    bytes[0] = if network == Network::Mainnet { MAINNET } else { TEST_NETWORKS };
    bytes[1..33].copy_from_slice(&key.expose_secret_bytes_for_storage()[..]);
    let mut end = 33;
    if compressed {
        bytes[end] = COMPRESSED;
        end += 1;
    }
    let checksum = sha256d(&[&bytes[..end]]);
    bytes[end..end + CHECKSUM].copy_from_slice(&checksum[..CHECKSUM]);
    Zeroizing::new(bs58::encode(&bytes[..end + CHECKSUM]).into_string())
}

/// Reads a key. The caller wipes its text.
///
/// # Errors
///
/// [`WifError`].
pub fn decode(text: &str) -> Result<ImportedKey, WifError> {
    let bytes = base58::decode(text).ok_or(WifError::Base58)?;
    let (content, found) = bytes.split_last_chunk::<CHECKSUM>().ok_or(WifError::Base58)?;
    if *found != sha256d(&[content])[..CHECKSUM] {
        return Err(WifError::Checksum);
    }
    let (version, secret, compressed) = match content {
        [version, secret @ .., COMPRESSED] if secret.len() == 32 => (version, secret, true),
        [version, secret @ ..] if secret.len() == 32 => (version, secret, false),
        _ => return Err(WifError::Content),
    };
    let mainnet = match *version {
        MAINNET => true,
        TEST_NETWORKS => false,
        version => return Err(WifError::Version(version)),
    };
    let secret: &[u8; 32] = secret.try_into().map_err(|_| WifError::Content)?;
    let key = SecretKey::from_bytes(secret).map_err(WifError::Key)?;
    Ok(ImportedKey { key, mainnet, compressed })
}
