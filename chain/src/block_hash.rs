//! The hash of a block.

use std::fmt;
use std::str::FromStr;

use nelumbo_crypto::HexError;
use nelumbo_crypto::lotus::Txid;

/// The hash of a block, in the byte order of serialisations. Shown reversed, as everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash([u8; 32]);

impl BlockHash {
    /// Takes the bytes in the order of serialisations.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes in the order of serialisations.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

// An id of a transaction is shown in the same way.
impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Txid::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

impl FromStr for BlockHash {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        text.parse().map(|txid: Txid| Self(*txid.as_bytes()))
    }
}
