//! What a signing session is: who signs what, under which rules. The session's id is a hash of all of it, so that two
//! signers who name the same session mean the same thing.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::details::{Digests, ParsedSpending};
use super::{
    Details, Item, MAX_DIRECT, MAX_GOSSIP, SignedInput, SpendingError, Subject, VERSION, bounded, encode,
    encoded_length,
};
use crate::base::{Wall, compare};
use crate::crypto::{Network, PublicKey, Suite, tagged_hash};
use crate::election::Method;

/// The most signers that a session has.
pub const MAX_SIGNERS: usize = 128;
/// The most items that a session signs.
pub const MAX_ITEMS: usize = 1_024;
/// The most nonces that an attempt has, and the most partial signatures: items times signers.
pub const MAX_SLOTS: usize = 4_096;
/// The most bytes that a message to be signed has.
pub const MAX_MESSAGE: usize = 4_096;
/// The most bytes that a definition has, encoded.
pub const MAX_DEFINITION: usize = 65_536;

/// The bytes of a public nonce.
const NONCE: usize = 66;
/// More bytes than what stands around a definition and nonces in a message: version, network, author, session, attempt,
/// number, lengths, delegation, signature.
const OVERHEAD: usize = 320;
const SESSION_TAG: &str = "nelumbo/session/2";

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
    /// What is signed, all of it or nothing. An item's index is its place here. With a transaction in the details the
    /// items are inputs of it, in ascending order; without, they are bare messages.
    #[serde(deserialize_with = "items")]
    pub items: Vec<Item>,
    /// What it is for, with the transaction that is signed, if there is one.
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

fn items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Item>, D::Error> {
    bounded(deserializer, MAX_ITEMS)
}

/// Why a definition is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefinitionError {
    /// Fewer than two signers, or more than [`MAX_SIGNERS`].
    SignerCount(usize),
    /// The same key twice.
    DuplicateKey(PublicKey),
    /// The keys are not in ascending order.
    Unsorted,
    /// The creator is none of the signers.
    Creator,
    /// No items, or more than [`MAX_ITEMS`].
    ItemCount(usize),
    /// More than [`MAX_SLOTS`] partial signatures: so many items and signers.
    SlotCount {
        /// How many items.
        items: usize,
        /// How many signers.
        signers: usize,
    },
    /// A message of this many bytes, which the suite does not sign.
    MessageLength(usize),
    /// So many bytes, more than [`MAX_DEFINITION`].
    Length(usize),
    /// A bare message is signed beside a transaction, or an input without one.
    MixedItems,
    /// The inputs that are signed are not in ascending order, or one of them is signed twice.
    InputOrder(u32),
    /// The details have no transaction that could be signed.
    Spending(SpendingError),
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
            Self::ItemCount(count) => write!(f, "a session signs 1 to {MAX_ITEMS} items, not {count}"),
            Self::SlotCount { items, signers } => write!(
                f,
                "{items} items of {signers} signers are more than {MAX_SLOTS} partial signatures; sign them in several \
                 sessions"
            ),
            Self::MessageLength(length) => write!(
                f,
                "a message of {length} bytes cannot be signed: lotus takes 32 bytes, bip340 up to {MAX_MESSAGE}"
            ),
            Self::Length(length) => write!(
                f,
                "a request of {length} bytes; at most {MAX_DEFINITION} fit, so sign less at once or in several sessions"
            ),
            Self::MixedItems => f.write_str("with a transaction its inputs are signed, and without one bare messages"),
            Self::InputOrder(input) => write!(
                f,
                "input {input} comes after itself or a later one; the inputs that are signed are named once, in order"
            ),
            Self::Spending(error) => error.fmt(f),
            Self::Lifetime => f.write_str("the session ends before it begins or lives too long"),
        }
    }
}

impl core::error::Error for DefinitionError {}

impl Definition {
    /// How many bytes it has, encoded.
    pub(crate) fn length(&self) -> usize {
        encoded_length(self)
    }

    /// How many nonces an attempt at it has, and how many partial signatures.
    pub fn slots(&self) -> usize {
        self.items.len() * self.keys.len()
    }

    /// Whether it fits into a message of gossip and the DHT; if it does not, a [`RequestNotice`](super::RequestNotice)
    /// stands for it there.
    pub fn fits_gossip(&self) -> bool {
        self.length() + OVERHEAD <= MAX_GOSSIP
    }

    /// Whether the creator's nonces come in its announcement. They follow in a message of their own when both together
    /// would be too large.
    pub fn announces_nonces(&self) -> bool {
        self.length() + NONCE * self.items.len() + OVERHEAD <= MAX_DIRECT
    }

    /// The message of each item. What the inputs of a transaction share is hashed once.
    ///
    /// # Errors
    /// Why one of them has none: [`SpendingError`], or that an item and the details do not fit.
    pub fn messages(&self) -> Result<Vec<Cow<'_, [u8]>>, DefinitionError> {
        let parsed = self.parse()?;
        let digests = digests(parsed.as_ref())?;
        self.items.iter().map(|item| message(item, digests.as_ref())).collect()
    }

    /// The message of one item.
    ///
    /// # Errors
    /// As [`messages`](Self::messages).
    ///
    /// # Panics
    /// When there is no such item.
    pub fn message(&self, item: usize) -> Result<Cow<'_, [u8]>, DefinitionError> {
        let parsed = self.parse()?;
        message(&self.items[item], digests(parsed.as_ref())?.as_ref())
    }

    fn parse(&self) -> Result<Option<ParsedSpending>, DefinitionError> {
        let spending = self.details.spending.as_ref();
        spending.map(|spending| spending.parse(self.suite)).transpose().map_err(DefinitionError::Spending)
    }

    /// The value of the outputs that are spent, in satoshi, if a transaction is signed.
    pub fn amount(&self) -> Option<u64> {
        let spending = self.details.spending.as_ref()?;
        let spent = |item: &Item| match item.subject {
            Subject::Input(SignedInput { input, .. }) => spending.spent.get(usize::try_from(input).ok()?),
            Subject::Message(_) => None,
        };
        Some(self.items.iter().filter_map(spent).fold(0, |sum: u64, spent| sum.saturating_add(spent.value)))
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
        check_signers(&self.keys, self.creator)?;
        if !(1..=MAX_ITEMS).contains(&self.items.len()) {
            return Err(DefinitionError::ItemCount(self.items.len()));
        }
        if self.slots() > MAX_SLOTS {
            return Err(DefinitionError::SlotCount { items: self.items.len(), signers: self.keys.len() });
        }
        let length = self.length();
        if length > MAX_DEFINITION {
            return Err(DefinitionError::Length(length));
        }
        let mut next_input = 0;
        for item in &self.items {
            if let Subject::Input(SignedInput { input, .. }) = item.subject {
                if u64::from(input) < next_input {
                    return Err(DefinitionError::InputOrder(input));
                }
                next_input = u64::from(input) + 1;
            }
        }
        for message in self.messages()? {
            if message.len() > MAX_MESSAGE || (self.suite == Suite::Lotus && message.len() != 32) {
                return Err(DefinitionError::MessageLength(message.len()));
            }
        }
        if self.expires_at <= self.created_at || self.expires_at.since(self.created_at) > max_lifetime {
            return Err(DefinitionError::Lifetime);
        }
        Ok(())
    }
}

/// Whether these can be a session's signers, and this one its creator.
pub(super) fn check_signers(keys: &[PublicKey], creator: u16) -> Result<(), DefinitionError> {
    if !(2..=MAX_SIGNERS).contains(&keys.len()) {
        return Err(DefinitionError::SignerCount(keys.len()));
    }
    for pair in keys.windows(2) {
        match pair[0].cmp(&pair[1]) {
            Ordering::Less => {}
            Ordering::Equal => return Err(DefinitionError::DuplicateKey(pair[0])),
            Ordering::Greater => return Err(DefinitionError::Unsorted),
        }
    }
    if usize::from(creator) < keys.len() { Ok(()) } else { Err(DefinitionError::Creator) }
}

fn digests(parsed: Option<&ParsedSpending>) -> Result<Option<Digests<'_>>, DefinitionError> {
    parsed.map(ParsedSpending::digests).transpose().map_err(DefinitionError::Spending)
}

fn message<'a>(item: &'a Item, digests: Option<&Digests<'_>>) -> Result<Cow<'a, [u8]>, DefinitionError> {
    match (&item.subject, digests) {
        (Subject::Message(message), None) => Ok(Cow::Borrowed(message)),
        (Subject::Input(input), Some(digests)) => {
            digests.of(*input).map(|digest| Cow::Owned(digest.to_vec())).map_err(DefinitionError::Spending)
        }
        (Subject::Message(_), Some(_)) | (Subject::Input(_), None) => Err(DefinitionError::MixedItems),
    }
}
