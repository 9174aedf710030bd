//! What a signing session is: who signs what, under which rules. The session's id is a hash of all of it, so that two
//! signers who name the same session mean the same thing.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Details, MAX_DETAILS, SpendingError, VERSION, bounded, encode};
use crate::base::{Wall, compare};
use crate::crypto::{Network, PublicKey, Suite, Tweak, tagged_hash};
use crate::election::Method;

/// The most signers that a session has.
pub const MAX_SIGNERS: usize = 128;
/// The most bytes that a message to be signed has.
pub const MAX_MESSAGE: usize = 4096;

const SESSION_TAG: &str = "nelumbo/session/1";

/// A session's name: a tagged hash over everything that defines it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl Ord for SessionId {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for SessionId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl SessionId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}{:02x}…", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

impl core::str::FromStr for SessionId {
    type Err = ParseSessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        crate::crypto::parse_hex(text).map(Self).map_err(|_| ParseSessionIdError)
    }
}

/// A text is not a session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSessionIdError;

impl fmt::Display for ParseSessionIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session id is 64 lower-case hexadecimal digits")
    }
}

impl core::error::Error for ParseSessionIdError {}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = alloc::string::String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// Everything that defines a session. Immutable: a change of any field is another session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The network that the keys belong to.
    pub network: Network,
    /// The rules of aggregation and signing.
    pub suite: Suite,
    /// The signers' keys, ascending and distinct. A signer's index is its place here.
    #[serde(deserialize_with = "keys")]
    pub keys: Vec<PublicKey>,
    /// What is added to the aggregate key.
    pub tweak: Tweak,
    /// What is signed: 32 bytes for Lotus, up to [`MAX_MESSAGE`] for BIP340.
    #[serde(deserialize_with = "message")]
    pub message: Vec<u8>,
    /// What it is for. A transaction in it says what the message is.
    pub details: Details,
    /// Whether the creator asks in public too, by gossip and in the DHT, so that signers who are away find the request.
    pub is_listed: bool,
    /// How the coordinator is chosen.
    pub election: Method,
    /// The index of the signer who asked for the session.
    pub creator: u16,
    /// When it was asked for, by the creator's clock.
    pub created_at: Wall,
    /// When nobody may join it any more, by everyone's own clock.
    pub expires_at: Wall,
    /// Drawn at random by the creator, so that the same keys may sign the same message again in another session.
    pub nonce: [u8; 32],
}

fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PublicKey>, D::Error> {
    bounded(deserializer, MAX_SIGNERS)
}

fn message<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_MESSAGE)
}

/// Why a definition is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionError {
    /// Fewer than two signers, or more than [`MAX_SIGNERS`].
    SignerCount(usize),
    /// The same key twice.
    DuplicateKey(PublicKey),
    /// The keys are not in ascending order.
    Unsorted,
    /// The creator is none of the signers.
    Creator,
    /// A message of this many bytes, which the suite does not sign.
    MessageLength(usize),
    /// Details of this many bytes, more than [`MAX_DETAILS`].
    DetailsLength(usize),
    /// The details have a transaction, and the suite is not that of its chain.
    ForeignTransaction,
    /// The details have no transaction that could be signed.
    Spending(SpendingError),
    /// The message is not the digest of the transaction in the details.
    Digest,
    /// It ends before it begins, or lives longer than allowed.
    Lifetime,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignerCount(count) => write!(f, "a session has 2 to {MAX_SIGNERS} signers, not {count}"),
            Self::DuplicateKey(key) => write!(f, "the key {key} is listed twice; every signer needs a key of its own"),
            Self::Unsorted => f.write_str("the keys are not in ascending order"),
            Self::Creator => f.write_str("the creator is none of the signers"),
            Self::MessageLength(length) => {
                write!(
                    f,
                    "a message of {length} bytes cannot be signed: lotus takes 32 bytes, bip340 up to {MAX_MESSAGE}"
                )
            }
            Self::DetailsLength(length) => {
                write!(
                    f,
                    "details of {length} bytes; at most {MAX_DETAILS} fit, so shorten the transaction or leave it out"
                )
            }
            Self::ForeignTransaction => f.write_str("the transaction is one of lotus and the suite is not"),
            Self::Spending(error) => error.fmt(f),
            Self::Digest => f.write_str("the message is not the digest of the transaction that comes with it"),
            Self::Lifetime => f.write_str("the session ends before it begins or lives too long"),
        }
    }
}

impl core::error::Error for DefinitionError {}

impl Definition {
    /// At most how many bytes a message has that asks for the session.
    pub(crate) fn message_length(&self) -> usize {
        // The rest of it: version, network, author, family, signature.
        encode(self).len() + 128
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        let bytes = encode(self);
        SessionId(tagged_hash(SESSION_TAG, &[&[VERSION], &(bytes.len() as u64).to_be_bytes(), &bytes]))
    }

    /// The place of `key` among the signers.
    pub fn index_of(&self, key: &PublicKey) -> Option<usize> {
        self.keys.binary_search(key).ok()
    }

    /// The key of the signer who asked for the session.
    ///
    /// # Panics
    /// When the definition has not passed [`Definition::check`].
    pub fn creator_key(&self) -> &PublicKey {
        &self.keys[usize::from(self.creator)]
    }

    /// Whether the definition can be a session at all, whoever sent it.
    ///
    /// # Errors
    /// The first rule that it breaks. Whether the keys are points on the curve shows only in their aggregation.
    pub fn check(&self, max_lifetime: Duration) -> Result<(), DefinitionError> {
        if !(2..=MAX_SIGNERS).contains(&self.keys.len()) {
            return Err(DefinitionError::SignerCount(self.keys.len()));
        }
        for pair in self.keys.windows(2) {
            match pair[0].cmp(&pair[1]) {
                core::cmp::Ordering::Less => {}
                core::cmp::Ordering::Equal => return Err(DefinitionError::DuplicateKey(pair[0])),
                core::cmp::Ordering::Greater => return Err(DefinitionError::Unsorted),
            }
        }
        if usize::from(self.creator) >= self.keys.len() {
            return Err(DefinitionError::Creator);
        }
        let length = self.message.len();
        if length > MAX_MESSAGE || (self.suite == Suite::Lotus && length != 32) {
            return Err(DefinitionError::MessageLength(length));
        }
        let length = self.details.size();
        if length > MAX_DETAILS {
            return Err(DefinitionError::DetailsLength(length));
        }
        if let Some(spending) = &self.details.spending {
            if self.suite != Suite::Lotus {
                return Err(DefinitionError::ForeignTransaction);
            }
            if spending.digest().map_err(DefinitionError::Spending)?[..] != self.message[..] {
                return Err(DefinitionError::Digest);
            }
        }
        if self.expires_at <= self.created_at || self.expires_at.since(self.created_at) > max_lifetime {
            return Err(DefinitionError::Lifetime);
        }
        Ok(())
    }
}
