//! Resources: things of any protocol that signers announce, and the lists in which they are found.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Label, TransactionType, bounded};
use crate::base::Wall;
use crate::crypto::PublicKey;

/// The most bytes of data in a resource.
pub const MAX_RESOURCE: usize = 8_192;

/// Something that the author announces. Of two with one kind and name the newer holds; one without data withdraws it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What kind of thing it is; the protocol it belongs to says what its data mean.
    pub kind: Label,
    /// What the author calls it.
    pub name: Label,
    /// The data.
    pub data: Option<Data>,
    /// When it was signed.
    pub issued_at: Wall,
    /// From when on it is void.
    pub expires_at: Wall,
}

/// A resource's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Data(#[serde(deserialize_with = "data")] Vec<u8>);

fn data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_RESOURCE)
}

impl Data {
    /// The data, or `None` when there are more than [`MAX_RESOURCE`] bytes.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX_RESOURCE).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Names a resource: whose, of which kind, called what. Nobody but the author can sign under it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResourceId {
    /// Who announces it.
    pub author: PublicKey,
    /// Of which kind.
    pub kind: Label,
    /// Called what.
    pub name: Label,
}

/// A list that many authors write to, since a DHT cannot enumerate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum List {
    /// The directory of signers for a transaction type.
    Signers(TransactionType),
    /// The directory of all signers.
    AllSigners,
    /// The resources of a kind.
    Resources(Label),
    /// The signing requests that need this key.
    Requests(PublicKey),
}

/// The author's entry in a list: a pointer to a message of the same author, signed on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Which list.
    pub list: List,
    /// What the message is found under: a resource's name.
    pub name: Option<Label>,
    /// What the message is: its digest, or the id of the session that is asked for.
    pub digest: [u8; 32],
    /// When it was signed.
    pub issued_at: Wall,
    /// From when on it is void.
    pub expires_at: Wall,
}
