//! A signer's advertisement: what a key offers to sign, under which conditions, and where it is to be found.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::presence::{Presence, addresses};
use super::{Address, PeerId, Text, bounded};
use crate::base::Wall;

/// What a signer signs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionType {
    /// Paying out of a shared output.
    Spend,
    /// Exchanging coins between owners.
    Swap,
    /// Mixing coins of several owners.
    Coinjoin,
    /// Keeping coins together.
    Custody,
    /// Deciding between two parties.
    Escrow,
    /// Updating a payment channel.
    Channel,
}

impl TransactionType {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [Self::Spend, Self::Swap, Self::Coinjoin, Self::Custody, Self::Escrow, Self::Channel];

    /// Its name in topics, DHT keys and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spend => "spend",
            Self::Swap => "swap",
            Self::Coinjoin => "coinjoin",
            Self::Custody => "custody",
            Self::Escrow => "escrow",
            Self::Channel => "channel",
        }
    }

    /// The gossip topic on which signers for it advertise.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Spend => "musig2:signers:spend",
            Self::Swap => "musig2:signers:swap",
            Self::Coinjoin => "musig2:signers:coinjoin",
            Self::Custody => "musig2:signers:custody",
            Self::Escrow => "musig2:signers:escrow",
            Self::Channel => "musig2:signers:channel",
        }
    }
}

impl fmt::Display for TransactionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text names no transaction type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTransactionType;

impl fmt::Display for UnknownTransactionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transaction type is one of spend, swap, coinjoin, custody, escrow, channel")
    }
}

impl core::error::Error for UnknownTransactionType {}

impl FromStr for TransactionType {
    type Err = UnknownTransactionType;

    fn from_str(text: &str) -> Result<Self, UnknownTransactionType> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownTransactionType)
    }
}

/// What a signer offers. All of it is signed. There is no reputation in it: what somebody says of himself is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What it signs for; ascending and distinct.
    #[serde(deserialize_with = "types")]
    pub types: Vec<TransactionType>,
    /// The smallest amount, in satoshi.
    pub min_amount: Option<u64>,
    /// The largest amount, in satoshi.
    pub max_amount: Option<u64>,
    /// The reputation with this signer, 0 to 100, that it wants of whom it signs with: while the offer stands it
    /// declines the requests of everyone below.
    pub min_reputation: Option<u8>,
    /// Whether it wants of whom it signs with that money was burned for an identity: while the offer stands it declines
    /// the requests of everyone of whom it knows none.
    #[serde(default)]
    pub requires_verification: bool,
    /// What it wants to be called.
    pub nickname: Text<64>,
    /// What it says about itself.
    pub description: Text<512>,
    /// What it charges, in satoshi.
    pub fee: Option<u64>,
    /// How soon it usually answers, in seconds.
    pub response_seconds: Option<u32>,
}

fn types<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TransactionType>, D::Error> {
    bounded(deserializer, TransactionType::ALL.len())
}

/// Why an offer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferError {
    /// No type at all, one twice, or not in order.
    Types,
    /// The smallest amount is above the largest.
    Amounts,
    /// A reputation above 100.
    Reputation,
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Types => "an offer names at least one transaction type, each once",
            Self::Amounts => "the smallest amount of an offer is above its largest",
            Self::Reputation => "a reputation is at most 100",
        })
    }
}

impl core::error::Error for OfferError {}

impl Offer {
    /// Whether the offer can be meant.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), OfferError> {
        if self.types.is_empty() || !self.types.is_sorted_by(|a, b| a < b) {
            return Err(OfferError::Types);
        }
        if self.min_amount.zip(self.max_amount).is_some_and(|(min, max)| min > max) {
            return Err(OfferError::Amounts);
        }
        if self.min_reputation.is_some_and(|reputation| reputation > 100) {
            return Err(OfferError::Reputation);
        }
        Ok(())
    }

    /// Whether the offer covers an amount.
    pub fn covers(&self, amount: u64) -> bool {
        self.min_amount.is_none_or(|min| min <= amount) && self.max_amount.is_none_or(|max| amount <= max)
    }
}

/// Says what the author's key offers and which peer holds it. Signed by that key. Of two of one key the newer holds;
/// one without an offer withdraws all that were before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertisement {
    /// The peer that holds the key.
    pub peer: PeerId,
    /// Where the peer listens.
    #[serde(deserialize_with = "addresses")]
    pub addresses: Vec<Address>,
    /// What is offered; nothing any more when there is none.
    pub offer: Option<Offer>,
    /// When it was signed.
    pub issued_at: Wall,
    /// From when on it is void.
    pub expires_at: Wall,
}

impl Advertisement {
    /// What it says about where the signer is.
    pub fn presence(&self) -> Presence {
        Presence {
            peer: self.peer,
            addresses: self.addresses.clone(),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_topics_agree() {
        for kind in TransactionType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(kind.topic(), alloc::format!("musig2:signers:{kind}"));
        }
        assert_eq!("Spend".parse::<TransactionType>(), Err(UnknownTransactionType));
    }

    #[test]
    fn an_offer_that_cannot_be_meant_is_none() {
        let offer = |types: &[TransactionType]| Offer { types: types.to_vec(), ..Offer::default() };
        let spend = offer(&[TransactionType::Spend]);
        assert_eq!(spend.check(), Ok(()));
        assert_eq!(offer(&[]).check(), Err(OfferError::Types));
        assert_eq!(offer(&[TransactionType::Spend; 2]).check(), Err(OfferError::Types));
        assert_eq!(offer(&[TransactionType::Swap, TransactionType::Spend]).check(), Err(OfferError::Types));
        let range = |min, max| Offer { min_amount: min, max_amount: max, ..spend.clone() };
        assert_eq!(range(Some(2), Some(1)).check(), Err(OfferError::Amounts));
        assert_eq!(Offer { min_reputation: Some(101), ..spend.clone() }.check(), Err(OfferError::Reputation));
        let both = range(Some(2), Some(4));
        assert!([2, 3, 4].iter().all(|amount| both.covers(*amount)) && !both.covers(1) && !both.covers(5));
        assert!(range(None, None).covers(u64::MAX));
    }
}
