//! What is signed: a session's definition and its parts.
//!
//! Invariant: a definition is read back as the same one, so that its id stays.

use std::sync::Arc;

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::{self, Network, Suite};
use nelumbo_core::election::Method;
use nelumbo_core::wire::{self, SpendPath, TransactionType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Bytes32, Hex, Key, To};
use super::words::Word;
use crate::Error;

/// Everything that defines a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The network that the keys belong to.
    pub network: Word<Network>,
    /// The rules of aggregation and signing.
    pub suite: Word<Suite>,
    /// The signers' keys, ascending and distinct.
    pub keys: Vec<Key>,
    /// What is signed, all of it or nothing.
    pub items: Vec<Item>,
    /// What it is for, with the transaction that is signed, if there is one.
    pub details: Details,
    /// Whether the creator asks in public too.
    pub is_listed: bool,
    /// How the coordinator is chosen.
    pub election: Word<Method>,
    /// The index of the signer who asked for the session.
    pub creator: u16,
    /// When it was asked for, by the creator's clock.
    pub created_at_ms: u64,
    /// When nobody may join it any more.
    pub expires_at_ms: u64,
    /// Drawn at random by the creator.
    pub nonce: Bytes32,
}

/// One thing that is signed, under the session's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Item {
    /// A bare message.
    Message {
        /// 32 bytes for Lotus, up to 4,096 for BIP340.
        message: Hex,
        /// What is added to the aggregate key for it; nothing unless it is said.
        #[serde(default)]
        tweak: Tweak,
    },
    /// An input of the transaction in the session's details. Every signer computes what is signed.
    Input {
        /// Which, and how.
        signed: SignedInput,
        /// What is added to the aggregate key for it; nothing unless it is said.
        #[serde(default)]
        tweak: Tweak,
    },
}

/// Which input of a transaction is signed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedInput {
    /// Its place in the transaction, from 0.
    pub input: u32,
    /// What the signature covers, as the byte that is appended to it.
    pub sighash_type: u8,
    /// The hash of the script that is run, as the digest has it; without, the output is spent by its key.
    #[serde(default)]
    pub script_hash: Option<Bytes32>,
    /// The position of the last code separator in the script; only with `script_hash`, and none unless it is said.
    #[serde(default)]
    pub code_separator: Option<u32>,
}

/// What the aggregate key is changed by before it signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Tweak {
    /// Nothing.
    None {},
    /// The commitment of a Taproot output whose internal key is the aggregate key.
    Taproot {
        /// The root of the script tree; none for an output that can be spent by its key only.
        #[serde(default)]
        merkle_root: Option<Bytes32>,
    },
}

/// What a session is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// What kind of transaction.
    #[serde(default)]
    pub kind: Option<Word<TransactionType>>,
    /// What the creator has to say about it, as it was sent: at most 512 bytes. To show it, take the approval's
    /// `description`, which is harmless.
    #[serde(default)]
    pub description: String,
    /// The transaction. With it the session's items are inputs of it.
    #[serde(default)]
    pub spending: Option<Spending>,
}

/// A transaction, and everything that the digests of its inputs cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    /// The transaction as it is serialised, without witnesses.
    pub transaction: Hex,
    /// The outputs that its inputs spend, in order.
    pub spent: Vec<Spent>,
    /// Whether the digests are those of Lotus nodes that have not been updated after the network's next upgrade.
    #[serde(default)]
    pub replay_protection: bool,
}

/// An output that a transaction spends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// How much, in satoshi.
    pub value: u64,
    /// Who may spend it.
    pub script: Hex,
}

impl From<&wire::Definition> for Definition {
    fn from(from: &wire::Definition) -> Self {
        Self {
            network: Word(from.network),
            suite: Word(from.suite),
            keys: from.keys.clone().to(),
            items: from.items.iter().map(Item::from).collect(),
            details: Details::from(&from.details),
            is_listed: from.is_listed,
            election: Word(from.election),
            creator: from.creator,
            created_at_ms: from.created_at.as_millis(),
            expires_at_ms: from.expires_at.as_millis(),
            nonce: Bytes32(from.nonce),
        }
    }
}

impl TryFrom<Definition> for Arc<wire::Definition> {
    type Error = Error;

    fn try_from(from: Definition) -> Result<Self, Error> {
        Ok(Self::new(wire::Definition {
            network: from.network.0,
            suite: from.suite.0,
            keys: from.keys.to(),
            items: from.items.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            details: from.details.try_into()?,
            is_listed: from.is_listed,
            election: from.election.0,
            creator: from.creator,
            created_at: Wall::from_millis(from.created_at_ms),
            expires_at: Wall::from_millis(from.expires_at_ms),
            nonce: from.nonce.0,
        }))
    }
}

impl From<&wire::Item> for Item {
    fn from(from: &wire::Item) -> Self {
        let tweak = from.tweak.into();
        match &from.subject {
            wire::Subject::Message(message) => Self::Message { message: Hex(message.clone()), tweak },
            wire::Subject::Input(signed) => Self::Input { signed: signed.into(), tweak },
        }
    }
}

impl TryFrom<Item> for wire::Item {
    type Error = Error;

    fn try_from(from: Item) -> Result<Self, Error> {
        Ok(match from {
            Item::Message { message, tweak } => Self::message(message.0, tweak.into()),
            Item::Input { signed, tweak } => Self::input(signed.try_into()?, tweak.into()),
        })
    }
}

impl From<&wire::SignedInput> for SignedInput {
    fn from(from: &wire::SignedInput) -> Self {
        let (script_hash, code_separator) = match from.path {
            SpendPath::Key => (None, None),
            SpendPath::Script { executed_script_hash, code_separator } => {
                (Some(Bytes32(executed_script_hash)), Some(code_separator))
            }
        };
        Self { input: from.input, sighash_type: from.sighash_type, script_hash, code_separator }
    }
}

impl TryFrom<SignedInput> for wire::SignedInput {
    type Error = Error;

    fn try_from(SignedInput { input, sighash_type, script_hash, code_separator }: SignedInput) -> Result<Self, Error> {
        let path = match (script_hash, code_separator) {
            (None, None) => SpendPath::Key,
            (Some(Bytes32(executed_script_hash)), separator) => {
                // No separator is this position (BIP342, "Common signature message extension").
                SpendPath::Script { executed_script_hash, code_separator: separator.unwrap_or(u32::MAX) }
            }
            (None, Some(_)) => return Err(Error::shape("code_separator is for script_hash, which is missing")),
        };
        Ok(Self { input, sighash_type, path })
    }
}

impl Default for Tweak {
    fn default() -> Self {
        Self::None {}
    }
}

impl From<crypto::Tweak> for Tweak {
    fn from(from: crypto::Tweak) -> Self {
        match from {
            crypto::Tweak::None => Self::None {},
            crypto::Tweak::Taproot { merkle_root } => Self::Taproot { merkle_root: merkle_root.to() },
            _ => unreachable!("the core has these two tweaks"),
        }
    }
}

impl From<Tweak> for crypto::Tweak {
    fn from(from: Tweak) -> Self {
        match from {
            Tweak::None {} => Self::None,
            Tweak::Taproot { merkle_root } => Self::Taproot { merkle_root: merkle_root.to() },
        }
    }
}

impl From<&wire::Details> for Details {
    fn from(from: &wire::Details) -> Self {
        Self {
            kind: from.kind.to(),
            description: from.description.as_str().to_owned(),
            spending: from.spending.as_deref().map(Spending::from),
        }
    }
}

impl TryFrom<Details> for wire::Details {
    type Error = Error;

    fn try_from(from: Details) -> Result<Self, Error> {
        let description = from.description.parse().map_err(|error| Error::shape(format!("description: {error}")))?;
        Ok(Self {
            kind: from.kind.to(),
            description,
            spending: from.spending.map(|spending| Box::new(spending.into())),
        })
    }
}

impl From<&wire::Spending> for Spending {
    fn from(from: &wire::Spending) -> Self {
        let spent = |spent: &wire::Spent| Spent { value: spent.value, script: Hex(spent.script.clone()) };
        Self {
            transaction: Hex(from.transaction.clone()),
            spent: from.spent.iter().map(spent).collect(),
            replay_protection: from.replay_protection,
        }
    }
}

impl From<Spending> for wire::Spending {
    fn from(from: Spending) -> Self {
        let spent = |spent: Spent| wire::Spent { value: spent.value, script: spent.script.0 };
        Self {
            transaction: from.transaction.0,
            spent: from.spent.into_iter().map(spent).collect(),
            replay_protection: from.replay_protection,
        }
    }
}
