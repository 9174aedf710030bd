//! The digest a Lotus signature signs ("SIGHASH_LOTUS").
//!
//! Owns hash types and the digest of the Lotus scheme, section 7. Invariant: a request that consensus would not accept
//! is an error and never a digest. A signer that knows the transaction drives it, to compare the result with what it is
//! asked to sign.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use super::compact_size;
use super::merkle::merkle_root;
use super::transaction::{Transaction, TxOutput};
use crate::hash::sha256d;

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

/// A hash type with the Lotus bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SighashType {
    outputs: Outputs,
    anyone_can_pay: bool,
    replay_protected: bool,
}

/// The byte is not a hash type with the Lotus bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSighashType(
    /// The byte.
    pub u8,
);

impl fmt::Display for InvalidSighashType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x} is not a Lotus hash type", self.0)
    }
}

impl core::error::Error for InvalidSighashType {}

impl SighashType {
    /// All inputs and outputs, 0x61: what a session signs unless there is a reason.
    pub const ALL: Self = Self::new(Outputs::All, false);

    const LOTUS: u8 = 0x60;
    const ANYONE_CAN_PAY: u8 = 0x80;

    /// A hash type; with `anyone_can_pay` the signature covers its own input only.
    #[must_use]
    pub const fn new(outputs: Outputs, anyone_can_pay: bool) -> Self {
        Self { outputs, anyone_can_pay, replay_protected: false }
    }

    /// Reads the byte behind a signature.
    ///
    /// # Errors
    ///
    /// [`InvalidSighashType`] for every byte but 0x61, 0x62, 0x63, 0xe1, 0xe2 and 0xe3.
    pub const fn from_byte(byte: u8) -> Result<Self, InvalidSighashType> {
        let outputs = match byte & !Self::ANYONE_CAN_PAY {
            0x61 => Outputs::All,
            0x62 => Outputs::None,
            0x63 => Outputs::Single,
            _ => return Err(InvalidSighashType(byte)),
        };
        Ok(Self::new(outputs, byte & Self::ANYONE_CAN_PAY != 0))
    }

    /// Which outputs it covers.
    #[must_use]
    pub const fn outputs(self) -> Outputs {
        self.outputs
    }

    /// Whether it covers its own input only.
    #[must_use]
    pub const fn anyone_can_pay(self) -> bool {
        self.anyone_can_pay
    }

    /// The byte behind a signature.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        let base = match self.outputs {
            Outputs::All => 1,
            Outputs::None => 2,
            Outputs::Single => 3,
        };
        let own_input = if self.anyone_can_pay { Self::ANYONE_CAN_PAY } else { 0 };
        base | Self::LOTUS | own_input
    }

    /// The type as nodes without the next upgrade hash it once that is active, so that signatures for one side are void
    /// on the other (Lotus scheme, section 7).
    #[must_use]
    pub const fn with_replay_protection(self) -> Self {
        Self { replay_protected: true, ..self }
    }

    /// The four bytes in the digest. The upper three are the fork value, 0, or its replay-protected form.
    const fn preimage(self) -> [u8; 4] {
        let fork: u32 = if self.replay_protected { 0xff_0000 | 0xdead } else { 0 };
        (fork << 8 | self.to_byte() as u32).to_le_bytes()
    }
}

/// How an input is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// A Taproot output by its key.
    KeyPath,
    /// By running a script.
    Script {
        /// For a Taproot leaf its leaf hash; `HH(script)` of the output's or the redeem script otherwise.
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
    /// The amounts do not fit into 64 bits.
    AmountOverflow,
}

impl fmt::Display for SighashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchInput(index) => write!(f, "the transaction has no input {index}"),
            Self::SpentOutputs { expected, found } => write!(f, "{found} spent outputs for {expected} inputs"),
            Self::NoMatchingOutput => f.write_str("there is no output at the position of the input"),
            Self::AmountOverflow => f.write_str("the amounts are too large"),
        }
    }
}

impl core::error::Error for SighashError {}

/// The digest of one input: what a Lotus session signs. `spent_outputs` are the outputs that the inputs spend, in
/// order. For several inputs of one transaction a [`Sighasher`] costs less.
///
/// # Errors
///
/// [`SighashError`].
pub fn sighash(
    transaction: &Transaction,
    spent_outputs: &[TxOutput],
    input: usize,
    sighash_type: SighashType,
    spend: Spend,
) -> Result<[u8; 32], SighashError> {
    sighash_preimage(transaction, spent_outputs, input, sighash_type, spend).map(|preimage| sha256d(&[&preimage]))
}

/// What [`sighash`] hashes, for devices that want to see it.
///
/// # Errors
///
/// [`SighashError`].
pub fn sighash_preimage(
    transaction: &Transaction,
    spent_outputs: &[TxOutput],
    input: usize,
    sighash_type: SighashType,
    spend: Spend,
) -> Result<Vec<u8>, SighashError> {
    if input >= transaction.inputs.len() {
        return Err(SighashError::NoSuchInput(input));
    }
    Sighasher::new(Cow::Borrowed(transaction), Cow::Borrowed(spent_outputs))?.preimage(input, sighash_type, spend)
}

/// A transaction with the outputs that it spends, and everything that the digests of its inputs share, hashed once.
#[derive(Clone, Debug)]
pub struct Sighasher<'a> {
    transaction: Cow<'a, Transaction>,
    spent_outputs: Cow<'a, [TxOutput]>,
    spent_root: [u8; 32],
    inputs_root: ([u8; 32], u8),
    outputs_root: ([u8; 32], u8),
}

impl<'a> Sighasher<'a> {
    /// Hashes what all inputs share. `spent_outputs` are the outputs that the inputs spend, in order.
    ///
    /// # Errors
    ///
    /// [`SighashError::SpentOutputs`].
    pub fn new(transaction: Cow<'a, Transaction>, spent_outputs: Cow<'a, [TxOutput]>) -> Result<Self, SighashError> {
        if spent_outputs.len() != transaction.inputs.len() {
            return Err(SighashError::SpentOutputs { expected: transaction.inputs.len(), found: spent_outputs.len() });
        }
        Ok(Self {
            spent_root: merkle_root(spent_outputs.iter().map(TxOutput::leaf)).0,
            inputs_root: transaction.inputs_root(),
            outputs_root: transaction.outputs_root(),
            transaction,
            spent_outputs,
        })
    }

    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The outputs that it spends, in the order of its inputs.
    #[must_use]
    pub fn spent_outputs(&self) -> &[TxOutput] {
        &self.spent_outputs
    }

    /// The digest of one input.
    ///
    /// # Errors
    ///
    /// [`SighashError`].
    pub fn sighash(&self, input: usize, sighash_type: SighashType, spend: Spend) -> Result<[u8; 32], SighashError> {
        self.preimage(input, sighash_type, spend).map(|preimage| sha256d(&[&preimage]))
    }

    /// What [`sighash`](Self::sighash) hashes. The numbers are those of the Lotus scheme, section 7.
    ///
    /// # Errors
    ///
    /// [`SighashError`].
    pub fn preimage(&self, input: usize, sighash_type: SighashType, spend: Spend) -> Result<Vec<u8>, SighashError> {
        let Self { transaction, spent_outputs, .. } = self;
        let own = transaction.inputs.get(input).ok_or(SighashError::NoSuchInput(input))?;
        let spent = &spent_outputs[input];
        let mut preimage = Vec::with_capacity(256);
        preimage.extend_from_slice(&sighash_type.preimage()); // 1
        let mut length = [0; 9];
        preimage.extend_from_slice(&sha256d(&[
            &[if spend == Spend::KeyPath { 0 } else { 2 }],
            &own.outpoint.to_bytes(),
            &own.sequence.to_le_bytes(),
            &spent.value.to_le_bytes(),
            compact_size(&mut length, spent.script_pubkey.len() as u64),
            &spent.script_pubkey,
        ])); // 2
        if let Spend::Script { executed_script_hash, code_separator } = spend {
            preimage.extend_from_slice(&code_separator.to_le_bytes());
            preimage.extend_from_slice(&executed_script_hash); // 3
        }
        if !sighash_type.anyone_can_pay {
            // The index fits: a transaction has fewer inputs than bytes.
            let index = u32::try_from(input).map_err(|_| SighashError::NoSuchInput(input))?;
            preimage.extend_from_slice(&index.to_le_bytes());
            preimage.extend_from_slice(&self.spent_root);
            preimage.extend_from_slice(&total(spent_outputs)?.to_le_bytes()); // 4
        }
        if sighash_type.outputs == Outputs::All {
            preimage.extend_from_slice(&total(&transaction.outputs)?.to_le_bytes()); // 5
        }
        preimage.extend_from_slice(&transaction.version.to_le_bytes()); // 6
        if !sighash_type.anyone_can_pay {
            let (root, height) = self.inputs_root;
            preimage.extend_from_slice(&root);
            preimage.push(height); // 7
        }
        match sighash_type.outputs {
            Outputs::None => {}
            Outputs::Single => {
                let output = transaction.outputs.get(input).ok_or(SighashError::NoMatchingOutput)?;
                preimage.extend_from_slice(&output.leaf()); // 8
            }
            Outputs::All => {
                let (root, height) = self.outputs_root;
                preimage.extend_from_slice(&root);
                preimage.push(height); // 9
            }
        }
        preimage.extend_from_slice(&transaction.lock_time.to_le_bytes()); // 10
        Ok(preimage)
    }
}

fn total(outputs: &[TxOutput]) -> Result<u64, SighashError> {
    outputs.iter().try_fold(0u64, |total, output| total.checked_add(output.value)).ok_or(SighashError::AmountOverflow)
}
