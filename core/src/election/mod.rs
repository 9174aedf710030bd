//! Who publishes the result: the coordinator and, should it fail, everyone else in turn.
//!
//! Owns the election methods; `failover` owns whose turn it is. Invariant: the outcome is a function of the method, the
//! sorted keys and, for one method, the session and its final signatures; nothing that a single message says moves it;
//! and the priority list names each signer exactly once. Sessions drive it; the result gives no power but to be late.

mod failover;

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::crypto::{PublicKey, Signature, sha256, tagged_hash};

pub(crate) use failover::{Failover, Turn};

const ROTATION_TAG: &str = "nelumbo/rotation/2";

/// How a coordinator is chosen among the signers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The signer with the smallest key, then upwards.
    #[default]
    Lexicographic,
    /// A signer that a hash of all keys points at, then upwards and around.
    HashBased,
    /// The first signer. With sorted keys this is [`Lexicographic`](Self::Lexicographic) under the name peers send.
    FirstSigner,
    /// The last signer, then downwards.
    LastSigner,
    /// An order drawn from the session and its final signatures. A leader who is always away delays one session in n,
    /// and whoever grinds keys gains nothing, because the session's id and the signatures come after the keys.
    Rotating,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lexicographic => "lexicographic",
            Self::HashBased => "hash-based",
            Self::FirstSigner => "first-signer",
            Self::LastSigner => "last-signer",
            Self::Rotating => "rotating",
        })
    }
}

/// The text names no election method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMethod;

impl fmt::Display for UnknownMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "unknown election method; expected lexicographic, hash-based, first-signer, last-signer or rotating",
        )
    }
}

impl core::error::Error for UnknownMethod {}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        match text {
            "lexicographic" => Ok(Self::Lexicographic),
            "hash-based" => Ok(Self::HashBased),
            "first-signer" => Ok(Self::FirstSigner),
            "last-signer" => Ok(Self::LastSigner),
            "rotating" => Ok(Self::Rotating),
            _ => Err(UnknownMethod),
        }
    }
}

/// Why there is no election over these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionError {
    /// There are no keys.
    Empty,
    /// The key at this position is not greater than the one before it: the keys are unsorted, or one occurs twice.
    NotAscending(usize),
    /// [`Method::Rotating`] has an order only for a session that is signed.
    NoSession,
}

impl fmt::Display for ElectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nobody to elect"),
            Self::NotAscending(position) => write!(f, "key {position} is not greater than the one before it"),
            Self::NoSession => f.write_str("the rotating method elects in a signed session; name it and its signature"),
        }
    }
}

impl core::error::Error for ElectionError {}

/// The outcome of an election. Signers are named by their index in the sorted list of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    method: Method,
    priority: Vec<usize>,
    proof: [u8; 32],
}

impl Election {
    /// Elects among sorted and distinct keys.
    ///
    /// # Errors
    ///
    /// [`ElectionError`] for no keys, for keys that do not ascend, and for [`Method::Rotating`].
    pub fn new(method: Method, keys: &[PublicKey]) -> Result<Self, ElectionError> {
        let count = check(keys)?;
        let proof = proof(keys);
        let priority = match method {
            Method::Lexicographic | Method::FirstSigner => (0..count).collect(),
            Method::LastSigner => (0..count).rev().collect(),
            Method::HashBased => {
                let first = drawn(&proof, count);
                (first..count).chain(0..first).collect()
            }
            Method::Rotating => return Err(ElectionError::NoSession),
        };
        Ok(Self { method, priority, proof })
    }

    /// Elects for a session that is signed. Only [`Method::Rotating`] looks at the session and its final signatures: it
    /// orders the signers by a tagged hash of the session's id, the signatures in their order, and the signer's key.
    ///
    /// # Errors
    ///
    /// [`ElectionError`] for no keys, for keys that do not ascend, and for [`Method::Rotating`] without a signature.
    pub fn in_session(
        method: Method,
        keys: &[PublicKey],
        session: &[u8; 32],
        signatures: &[Signature],
    ) -> Result<Self, ElectionError> {
        if method != Method::Rotating {
            return Self::new(method, keys);
        }
        let mut priority: Vec<usize> = (0..check(keys)?).collect();
        if signatures.is_empty() {
            return Err(ElectionError::NoSession);
        }
        let signatures: Vec<u8> = signatures.iter().flat_map(|signature| *signature.as_bytes()).collect();
        priority.sort_by_key(|index| tagged_hash(ROTATION_TAG, &[session, &signatures, &keys[*index].to_bytes()]));
        Ok(Self { method, priority, proof: proof(keys) })
    }

    /// The method that was used.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The signer that publishes the result.
    #[must_use]
    pub fn coordinator(&self) -> usize {
        self.priority[0]
    }

    /// All signers, the coordinator first, each following one the backup of the one before it.
    #[must_use]
    pub fn priority(&self) -> &[usize] {
        &self.priority
    }

    /// Who takes over when the signer at `index` fails. None at the end of the list, and for an index beyond the
    /// signers.
    #[must_use]
    pub fn backup_of(&self, index: usize) -> Option<usize> {
        let position = self.priority.iter().position(|signer| *signer == index)?;
        self.priority.get(position + 1).copied()
    }

    /// A checksum of the signer set, the same for every method, by which peers notice that theirs differs.
    #[must_use]
    pub const fn proof(&self) -> [u8; 32] {
        self.proof
    }
}

fn check(keys: &[PublicKey]) -> Result<usize, ElectionError> {
    if keys.is_empty() {
        return Err(ElectionError::Empty);
    }
    match keys.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(before) => Err(ElectionError::NotAscending(before + 1)),
        None => Ok(keys.len()),
    }
}

/// SHA-256 over the keys as one lower-case hexadecimal text.
fn proof(keys: &[PublicKey]) -> [u8; 32] {
    let digits = |byte: u8| [b"0123456789abcdef"[usize::from(byte >> 4)], b"0123456789abcdef"[usize::from(byte & 15)]];
    let text: Vec<u8> = keys.iter().flat_map(|key| key.to_bytes()).flat_map(digits).collect();
    sha256(&[&text])
}

/// The hash-based choice: the first four bytes of the proof, big endian, modulo the number of signers.
fn drawn(proof: &[u8; 32], count: usize) -> usize {
    let [a, b, c, d, ..] = *proof;
    // In 64 bits, so that a 32-bit machine elects the same signer.
    let drawn = u64::from(u32::from_be_bytes([a, b, c, d])) % count as u64;
    usize::try_from(drawn).expect("smaller than the number of signers")
}
