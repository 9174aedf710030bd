//! Why a payment cannot be made, and what would help.

use std::fmt;

use nelumbo_crypto::lotus::OutPoint;

use super::size::{MAX_DATA_BYTES, MAX_DATA_OUTPUTS, MAX_STANDARD_BYTES};

/// Why there is no transaction. Amounts are in satoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The coins do not pay for the outputs and the fee.
    Insufficient {
        /// What would have sufficed, as far as the last coins tried tell.
        needed: u64,
        /// What the coins come to that are worth their own fee.
        available: u64,
    },
    /// An output is worth less than nodes relay.
    Dust {
        /// Which.
        output: usize,
        /// The least.
        least: u64,
    },
    /// A script that no address stands for, or whose key is no point of the curve; nobody could spend the output.
    Script {
        /// Which output; none for the change.
        output: Option<usize>,
    },
    /// A script that begins with `OP_RETURN` is too long.
    DataTooLong {
        /// Which output.
        output: usize,
        /// The bytes of its script.
        length: usize,
    },
    /// Too many outputs begin with `OP_RETURN`.
    DataOutputs(usize),
    /// The amounts come to more than there can be.
    Amount,
    /// A coin is given twice.
    DuplicateCoin(OutPoint),
    /// The transaction would have so many bytes.
    TooLarge(usize),
    /// The fee would be higher than Chronik passes on.
    FeeTooHigh(u64),
    /// There is not one signature for each input.
    Signatures {
        /// The number of inputs.
        expected: usize,
        /// The number of signatures.
        found: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insufficient { needed, available } => {
                write!(f, "{needed} satoshi are needed and {available} can be spent; pay less, or receive more first")
            }
            Self::Dust { output, least } => {
                write!(f, "output {output} is too small for nodes to relay; send at least {least} satoshi")
            }
            Self::Script { output: Some(output) } => {
                write!(f, "nobody could spend output {output}; give a valid address")
            }
            Self::Script { output: None } => f.write_str("nobody could spend the change; give the group's own address"),
            Self::DataTooLong { output, length } => {
                write!(f, "the data of output {output} has {length} bytes; nodes relay up to {MAX_DATA_BYTES}")
            }
            Self::DataOutputs(found) => {
                write!(f, "{found} outputs hold data or burn; nodes relay up to {MAX_DATA_OUTPUTS} in a transaction")
            }
            Self::Amount => f.write_str("the amounts come to more than all the money there is; check them"),
            Self::DuplicateCoin(OutPoint { txid, index }) => {
                write!(f, "the coin {txid}:{index} is given twice; give it once")
            }
            Self::TooLarge(bytes) => write!(
                f,
                "the transaction would have {bytes} bytes, and nodes relay up to {MAX_STANDARD_BYTES}; pay in several \
                 parts"
            ),
            Self::FeeTooHigh(fee) => {
                write!(f, "the fee would be {fee} satoshi, more than servers pass on; lower the fee rate")
            }
            Self::Signatures { expected, found } => {
                write!(f, "{found} signatures for {expected} inputs; each input needs one")
            }
        }
    }
}

impl std::error::Error for BuildError {}
