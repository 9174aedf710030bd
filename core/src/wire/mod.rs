//! What nodes say to each other, byte for byte.
//!
//! A message is `postcard(Unsigned) ‖ signature(64)`, or where the author has delegated to a message key
//! `postcard(Unsigned) ‖ postcard(Delegation) ‖ signature(64)`. Decoding is total and canonical: every byte string is
//! either one message or a [`DecodeError`], and no two byte strings are the same message. The signature is Lotus
//! Schnorr over a tagged, length-prefixed hash of all that stands before it, because that scheme binds all 33 bytes of
//! the key.
//!
//! The gate alone decodes; machines alone build contents; [`seal`] and [`seal_delegated`] alone sign.

mod advertisement;
mod definition;
mod delegation;
mod details;
mod harmless;
mod item;
mod notice;
mod peer;
mod presence;
mod protocol;
mod record;
mod resource;
mod session;
mod text;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

pub use advertisement::{Advertisement, Offer, OfferError, TransactionType, UnknownTransactionType};
pub use definition::{
    Definition, DefinitionError, MAX_DEFINITION, MAX_ITEMS, MAX_MESSAGE, MAX_SIGNERS, MAX_SLOTS, SessionId,
};
pub use delegation::{DELEGATION, Delegation, MAX_DELEGATION, Mandate};
pub(crate) use details::ParsedSpending;
pub use details::{Details, SpendPath, Spending, SpendingError, Spent};
pub use harmless::Harmless;
pub use item::{Item, SignedInput, Subject};
pub use notice::RequestNotice;
pub use peer::{Address, MAX_ADDRESS, MAX_PEER_ID, PeerId};
pub use presence::{MAX_ADDRESSES, Presence};
pub(crate) use presence::{PRESENCE_TOPIC, REQUEST_TOPIC};
pub use protocol::{MAX_PAYLOAD, MAX_PUBLISHED, ProtocolMessage, Receiver};
pub(crate) use record::{Entry, Listed, MergeSet, rank};
pub use record::{RecordKey, SHARDS, merge_own};
pub use resource::{Data, List, Listing, MAX_RESOURCE, Resource, ResourceId};
pub use session::{AbortReason, Bits, Content, SessionMessage};
pub use text::{Label, Text, TextError};

use crate::base::{Bytes, Wall};
use crate::crypto::{MessageSigner, Network, PublicKey, Signature, SignerError, sha256};

/// The protocol version that this crate speaks.
pub const VERSION: u8 = 2;
/// The most bytes that a message has when it travels directly from peer to peer.
pub const MAX_DIRECT: usize = 100_000;
/// The most bytes that a message has in gossip or in a DHT record.
pub const MAX_GOSSIP: usize = 10_000;

const SIGNATURE_LENGTH: usize = 64;
/// More bytes than most messages have.
const USUAL_LENGTH: usize = 256;
/// SHA-256 of the tag `nelumbo/message/1`, which would cost as much again for each message.
const MESSAGE_TAG: [u8; 32] = [
    0xdb, 0x9a, 0x20, 0xde, 0xc2, 0xb1, 0xcb, 0xea, 0x7f, 0x0f, 0xf3, 0x57, 0x8c, 0x67, 0x60, 0x90, 0x3b, 0xd4, 0x90,
    0x93, 0xaa, 0x86, 0xda, 0xa4, 0xaa, 0x62, 0x8a, 0x05, 0x2f, 0x89, 0xcb, 0xfc,
];

/// A message before its author signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsigned {
    /// [`VERSION`].
    pub version: u8,
    /// The network that the keys belong to: a message for one is refused on another.
    pub network: Network,
    /// Who speaks: the signing key of a signer.
    pub author: PublicKey,
    /// What is said.
    pub body: Body,
}

/// The message families.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Where a signer is to be found.
    Presence(Presence),
    /// A step of a signing session.
    Session(SessionMessage),
    /// What a signer offers.
    Advertisement(Box<Advertisement>),
    /// A signing request, for signers who are out of reach: the session that its creator asks for.
    Request(Arc<Definition>),
    /// A thing of any protocol.
    Resource(Resource),
    /// An entry in a list. It comes in a record together with others, and in no other way.
    Listing(Listing),
    /// A message of another protocol.
    Protocol(ProtocolMessage),
    /// A signing request that is too large to be told whole where [`Request`](Self::Request)s are.
    RequestNotice(RequestNotice),
}

impl Body {
    /// From when to when an announcement is valid. The rest has no dates of its own.
    pub(crate) fn dates(&self) -> Option<(Wall, Wall)> {
        match self {
            Self::Presence(presence) => Some((presence.issued_at, presence.expires_at)),
            Self::Advertisement(advertisement) => Some((advertisement.issued_at, advertisement.expires_at)),
            Self::Request(definition) => Some((definition.created_at, definition.expires_at)),
            Self::RequestNotice(notice) => Some((notice.created_at, notice.expires_at)),
            Self::Resource(resource) => Some((resource.issued_at, resource.expires_at)),
            Self::Listing(listing) => Some((listing.issued_at, listing.expires_at)),
            Self::Session(_) | Self::Protocol(_) => None,
        }
    }

    /// From when to when there must be a delegation for it. For a step of a session its definition says so.
    pub(crate) fn span(&self) -> Option<(Wall, Wall)> {
        match self {
            Self::Protocol(message) => Some((message.issued_at, message.issued_at)),
            body => body.dates(),
        }
    }
}

/// A message that has been decoded, with the bytes it came in. Its signature has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says what.
    pub unsigned: Unsigned,
    /// By which another key signs than the author's, if one does.
    pub delegation: Option<Box<Delegation>>,
    /// The signature over [`Message::digest`].
    pub signature: Signature,
    /// The whole message, for passing on as it came.
    pub bytes: Bytes,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DecodeError {
    /// Cut short, or no message at all.
    Malformed,
    /// A message in another encoding than its only valid one.
    NotCanonical,
    /// A version that this crate does not speak.
    Version(u8),
}

impl Message {
    /// Decodes one message. All of `bytes` must belong to it.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let split = bytes.len().checked_sub(SIGNATURE_LENGTH).ok_or(DecodeError::Malformed)?;
        let (head, tail) = bytes.split_at(split);
        match head.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(DecodeError::Version(other)),
            None => return Err(DecodeError::Malformed),
        }
        let (unsigned, rest): (Unsigned, _) = postcard::take_from_bytes(head).map_err(|_| DecodeError::Malformed)?;
        let (own, delegation) = (&head[..head.len() - rest.len()], delegation(rest)?);
        // Integers have overlong forms: only what encodes back to itself is taken.
        if !encodes_to(&unsigned, own) {
            return Err(DecodeError::NotCanonical);
        }
        let signature = <[u8; SIGNATURE_LENGTH]>::try_from(tail).map_err(|_| DecodeError::Malformed)?;
        Ok(Self { unsigned, delegation, signature: Signature::from_bytes(signature), bytes })
    }

    /// The key that has signed it: the author's own, or the one that the author has delegated to.
    pub fn message_key(&self) -> &PublicKey {
        self.delegation.as_ref().map_or(&self.unsigned.author, |delegation| &delegation.mandate.message_key)
    }

    /// Key, digest and signature: what there is to verify, beside the delegation.
    pub(crate) fn claim(&self) -> (PublicKey, [u8; 32], Signature) {
        (*self.message_key(), self.digest(), self.signature)
    }

    /// What is signed.
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.bytes[..self.bytes.len() - SIGNATURE_LENGTH])
    }
}

/// What stands between what is said and the signature: nothing, or one delegation.
fn delegation(bytes: &[u8]) -> Result<Option<Box<Delegation>>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let delegation = postcard::from_bytes(bytes).map_err(|_| DecodeError::NotCanonical)?;
    if encodes_to(&delegation, bytes) { Ok(Some(Box::new(delegation))) } else { Err(DecodeError::NotCanonical) }
}

/// Signs a message with its author's key and encodes it.
///
/// # Errors
/// What the signer says when it cannot sign.
pub fn seal(signer: &mut dyn MessageSigner, network: Network, body: Body) -> Result<Bytes, SignerError> {
    let author = signer.public_key();
    sign(signer, &Unsigned { version: VERSION, network, author, body }, None)
}

/// The same with the message key that the author has delegated to. Nothing is checked: the gate of whoever gets it
/// does.
///
/// # Errors
/// As [`seal`].
pub fn seal_delegated(
    signer: &mut dyn MessageSigner,
    author: PublicKey,
    delegation: &Delegation,
    network: Network,
    body: Body,
) -> Result<Bytes, SignerError> {
    sign(signer, &Unsigned { version: VERSION, network, author, body }, Some(delegation))
}

fn sign(
    signer: &mut dyn MessageSigner,
    unsigned: &Unsigned,
    delegation: Option<&Delegation>,
) -> Result<Bytes, SignerError> {
    let mut bytes = encode(unsigned);
    delegation.iter().for_each(|delegation| bytes.extend_from_slice(&encode(delegation)));
    let signature = signer.sign(&digest(&bytes))?;
    bytes.extend_from_slice(signature.as_bytes());
    Ok(bytes.into())
}

/// The canonical encoding of a value of ours.
///
/// # Panics
/// Never for types of this crate: encoding into a growing buffer has no failure of its own.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let buffer = Buffer(Vec::with_capacity(USUAL_LENGTH));
    postcard::serialize_with_flavor(value, buffer).expect("encoding into memory cannot fail")
}

/// Whether these bytes are the canonical encoding of a value.
pub(crate) fn encodes_to<T: Serialize>(value: &T, bytes: &[u8]) -> bool {
    postcard::serialize_with_flavor(value, Expected(bytes)).is_ok()
}

/// How many bytes the canonical encoding of a value has.
pub(crate) fn encoded_length<T: Serialize>(value: &T) -> usize {
    postcard::serialize_with_flavor(value, Length(0)).expect("counting cannot fail")
}

/// Counts the bytes of an encoding.
struct Length(usize);

impl Flavor for Length {
    type Output = usize;

    #[inline]
    fn try_push(&mut self, _: u8) -> postcard::Result<()> {
        self.0 += 1;
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0 += bytes.len();
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.0)
    }
}

/// A growing buffer that has room for most messages from the start.
struct Buffer(Vec<u8>);

impl Flavor for Buffer {
    type Output = Vec<u8>;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// What is still expected of an encoding. It fails at the first byte that differs.
struct Expected<'a>(&'a [u8]);

impl Flavor for Expected<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        let (first, rest) = self.0.split_first().ok_or(postcard::Error::SerializeBufferFull)?;
        self.0 = rest;
        if *first == byte { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0 = self.0.strip_prefix(bytes).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }
}

/// A tagged hash as of BIP340.
fn digest(head: &[u8]) -> [u8; 32] {
    sha256(&[&MESSAGE_TAG, &MESSAGE_TAG, &(head.len() as u64).to_be_bytes(), head])
}

/// Decodes a sequence of at most `max` items, so that no input makes a decoder reserve more.
pub(crate) fn bounded<'de, D, T>(deserializer: D, max: usize) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T>(usize, core::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "at most {} items", self.0)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut taken = Vec::new();
            while let Some(item) = items.next_element()? {
                if taken.len() == self.0 {
                    return Err(serde::de::Error::invalid_length(taken.len() + 1, &self));
                }
                taken.push(item);
            }
            Ok(taken)
        }
    }

    deserializer.deserialize_seq(Bounded(max, core::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tagged_hash;

    #[test]
    fn nothing_but_its_encoding_is_what_a_value_encodes_to() {
        let value = (300_u32, "text", Some(Vec::from([1_u16, 2, 30_000])), PublicKey::from_bytes([2; 33]).ok());
        let bytes = encode(&value);
        assert!(encodes_to(&value, &bytes) && encoded_length(&value) == bytes.len());
        for at in 0..bytes.len() {
            assert!(!encodes_to(&value, &bytes[..at]), "cut at {at}");
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!encodes_to(&value, &other), "another byte at {at}");
        }
        assert!(!encodes_to(&value, &[&bytes[..], &[0]].concat()), "a byte more");
    }

    #[test]
    fn a_digest_is_the_tagged_hash_of_what_is_signed() {
        for head in [&[][..], &[7; 200]] {
            let length = (head.len() as u64).to_be_bytes();
            assert_eq!(digest(head), tagged_hash("nelumbo/message/1", &[&length, head]));
        }
    }
}
