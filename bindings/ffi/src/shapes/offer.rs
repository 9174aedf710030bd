//! What signers announce of themselves: offers to sign, and resources.

use nelumbo_core::wire::{self, TransactionType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{AddressHex, Hex, Key, Name, Peer, To};
use super::words::Word;
use crate::Error;

/// What a signer offers. All of it is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// What it signs for; ascending and distinct.
    pub types: Vec<Word<TransactionType>>,
    /// The smallest amount, in satoshi.
    #[serde(default)]
    pub min_amount: Option<u64>,
    /// The largest amount, in satoshi.
    #[serde(default)]
    pub max_amount: Option<u64>,
    /// The reputation with this signer, 0 to 100, that it wants of whom it signs with.
    #[serde(default)]
    pub min_reputation: Option<u8>,
    /// Whether it wants of whom it signs with that money was burned for an identity.
    #[serde(default)]
    pub requires_verification: bool,
    /// What it wants to be called, harmless to show; at most 64 bytes.
    #[serde(default)]
    pub nickname: String,
    /// What it says about itself, harmless to show; at most 512 bytes.
    #[serde(default)]
    pub description: String,
    /// What it charges, in satoshi.
    #[serde(default)]
    pub fee: Option<u64>,
    /// How soon it usually answers, in milliseconds; counted in whole seconds.
    #[serde(default)]
    pub response_ms: Option<u64>,
}

/// What another signer offers, and which peer holds its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Advertisement {
    /// The peer that holds the key.
    pub peer: Peer,
    /// Where the peer listens.
    pub addresses: Vec<AddressHex>,
    /// What is offered; nothing any more when there is none.
    pub offer: Option<Offer>,
    /// When it was signed.
    pub issued_at_ms: u64,
    /// From when on it is void.
    pub expires_at_ms: u64,
}

/// Names a resource: whose, of which kind, called what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceId {
    /// Who announces it.
    pub author: Key,
    /// Of which kind.
    pub kind: Name,
    /// Called what.
    pub name: Name,
}

/// Something that a signer announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Which one.
    pub id: ResourceId,
    /// The data; none when it was withdrawn.
    pub data: Option<Hex>,
    /// When it was signed.
    pub issued_at_ms: u64,
    /// From when on it is void.
    pub expires_at_ms: u64,
}

impl TryFrom<Offer> for wire::Offer {
    type Error = Error;

    fn try_from(from: Offer) -> Result<Self, Error> {
        let bad = |field: &str, error: wire::TextError| Error::shape(format!("{field}: {error}"));
        let seconds = |ms: u64| u32::try_from(ms.div_ceil(1_000)).map_err(|_| Error::shape("response_ms is too long"));
        Ok(Self {
            types: from.types.to(),
            min_amount: from.min_amount,
            max_amount: from.max_amount,
            min_reputation: from.min_reputation,
            requires_verification: from.requires_verification,
            nickname: from.nickname.parse().map_err(|error| bad("nickname", error))?,
            description: from.description.parse().map_err(|error| bad("description", error))?,
            fee: from.fee,
            response_seconds: from.response_ms.map(seconds).transpose()?,
        })
    }
}

impl From<&wire::Offer> for Offer {
    fn from(from: &wire::Offer) -> Self {
        Self {
            types: from.types.clone().to(),
            min_amount: from.min_amount,
            max_amount: from.max_amount,
            min_reputation: from.min_reputation,
            requires_verification: from.requires_verification,
            nickname: from.nickname.to_string(),
            description: from.description.to_string(),
            fee: from.fee,
            response_ms: from.response_seconds.map(|seconds| u64::from(seconds) * 1_000),
        }
    }
}

impl From<&wire::Advertisement> for Advertisement {
    fn from(from: &wire::Advertisement) -> Self {
        Self {
            peer: Peer(from.peer),
            addresses: from.addresses.clone().to(),
            offer: from.offer.as_ref().map(Offer::from),
            issued_at_ms: from.issued_at.as_millis(),
            expires_at_ms: from.expires_at.as_millis(),
        }
    }
}

impl To<Advertisement> for Box<wire::Advertisement> {
    fn to(self) -> Advertisement {
        (&*self).into()
    }
}

impl From<&wire::ResourceId> for ResourceId {
    fn from(from: &wire::ResourceId) -> Self {
        Self { author: Key(from.author), kind: Name(from.kind.clone()), name: Name(from.name.clone()) }
    }
}

impl To<ResourceId> for wire::ResourceId {
    fn to(self) -> ResourceId {
        (&self).into()
    }
}

impl From<(&wire::ResourceId, &wire::Resource)> for Resource {
    fn from((id, from): (&wire::ResourceId, &wire::Resource)) -> Self {
        Self {
            id: id.into(),
            data: from.data.as_ref().map(|data| Hex(data.as_bytes().to_vec())),
            issued_at_ms: from.issued_at.as_millis(),
            expires_at_ms: from.expires_at.as_millis(),
        }
    }
}
