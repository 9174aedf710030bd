//! The three Lotus networks.
//!
//! Owns their names and the letters and bytes by which addresses and key files tell them apart. Addresses, key files
//! and configuration drive it.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Lotus network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The chain with value.
    #[default]
    Mainnet,
    /// The public test chain.
    Testnet,
    /// A chain of one's own.
    Regtest,
}

impl Network {
    /// The letter after the token in an address (Lotus scheme, section 8).
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Mainnet => '_',
            Self::Testnet => 'T',
            Self::Regtest => 'R',
        }
    }

    /// The network whose addresses have this letter.
    #[must_use]
    pub const fn from_letter(letter: char) -> Option<Self> {
        match letter {
            '_' => Some(Self::Mainnet),
            'T' => Some(Self::Testnet),
            'R' => Some(Self::Regtest),
            _ => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Regtest => "regtest",
        })
    }
}

/// The text names no network; the networks are `mainnet`, `testnet` and `regtest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownNetwork;

impl fmt::Display for UnknownNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown network; expected mainnet, testnet or regtest")
    }
}

impl core::error::Error for UnknownNetwork {}

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        match text {
            "mainnet" => Ok(Self::Mainnet),
            "testnet" => Ok(Self::Testnet),
            "regtest" => Ok(Self::Regtest),
            _ => Err(UnknownNetwork),
        }
    }
}
