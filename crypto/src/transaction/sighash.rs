//! What a signature covers, in the words that the ledgers share.
//!
//! Owns the choices that a digest depends on, why there may be none, and the pairing of inputs with what they spend.
//! Invariant: a [`Spending`] has one spent output for each input. The digests of Bitcoin and of Lotus drive it.

use core::fmt;

use super::{Transaction, TxInput, TxOutput};

/// Which outputs a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// All of them.
    All,
    /// None: anyone may send the money anywhere.
    None,
    /// The one at the input's position.
    Single,
}

impl Outputs {
    /// The lowest bits of a hash type, the same on both ledgers.
    pub(crate) const fn to_bits(self) -> u8 {
        match self {
            Self::All => 1,
            Self::None => 2,
            Self::Single => 3,
        }
    }

    /// What a hash type with these lowest bits covers.
    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::All),
            2 => Some(Self::None),
            3 => Some(Self::Single),
            _ => None,
        }
    }
}

/// The bit of a hash type that covers its own input only, on both ledgers.
pub(crate) const ANYONE_CAN_PAY: u8 = 0x80;

/// How an input is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// A Taproot output by its key.
    KeyPath,
    /// By running a script.
    Script {
        /// For a Taproot leaf [its hash](crate::taproot::leaf_hash). On Lotus `HH(script)` of the output's or of the
        /// redeem script otherwise; on Bitcoin there is nothing else.
        executed_script_hash: [u8; 32],
        /// The position of the last code separator, [`Self::NO_CODE_SEPARATOR`] if there is none.
        code_separator: u32,
    },
}

impl Spend {
    /// No code separator was executed.
    pub const NO_CODE_SEPARATOR: u32 = u32::MAX;
}

/// Why there is nothing to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SighashError {
    /// The transaction has no such input.
    NoSuchInput(usize),
    /// The number of spent outputs is not the number of inputs.
    SpentOutputs {
        /// The number of inputs.
        expected: usize,
        /// The number of spent outputs.
        found: usize,
    },
    /// The type covers the output at the input's position, and there is none.
    NoMatchingOutput,
    /// The amounts do not fit into 64 bits. Lotus alone signs sums.
    AmountOverflow,
    /// What the input spends is not a Taproot output. Other outputs of Bitcoin are signed for in other ways.
    NotTaproot(usize),
}

impl fmt::Display for SighashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchInput(index) => write!(f, "the transaction has no input {index}"),
            Self::SpentOutputs { expected, found } => write!(f, "{found} spent outputs for {expected} inputs"),
            Self::NoMatchingOutput => f.write_str("there is no output at the position of the input"),
            Self::AmountOverflow => f.write_str("the amounts are too large"),
            Self::NotTaproot(index) => write!(f, "input {index} does not spend a Taproot output"),
        }
    }
}

impl core::error::Error for SighashError {}

/// A transaction, and the outputs that its inputs spend, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spending<'a> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) spent_outputs: &'a [TxOutput],
}

impl<'a> Spending<'a> {
    pub(crate) fn new(transaction: &'a Transaction, spent_outputs: &'a [TxOutput]) -> Result<Self, SighashError> {
        let (expected, found) = (transaction.inputs.len(), spent_outputs.len());
        if expected != found {
            return Err(SighashError::SpentOutputs { expected, found });
        }
        Ok(Self { transaction, spent_outputs })
    }

    /// An input, its index as digests have it, and what it spends.
    pub(crate) fn input(&self, index: usize) -> Result<(&'a TxInput, [u8; 4], &'a TxOutput), SighashError> {
        let no_such_input = SighashError::NoSuchInput(index);
        let input = self.transaction.inputs.get(index).ok_or(no_such_input)?;
        let number = u32::try_from(index).map_err(|_| no_such_input)?;
        Ok((input, number.to_le_bytes(), &self.spent_outputs[index]))
    }

    /// The output at the position of an input.
    pub(crate) fn matching_output(&self, index: usize) -> Result<&'a TxOutput, SighashError> {
        self.transaction.outputs.get(index).ok_or(SighashError::NoMatchingOutput)
    }
}
