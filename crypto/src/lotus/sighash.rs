//! The digest a Lotus signature signs ("SIGHASH_LOTUS").
//!
//! Owns hash types and the digest of the Lotus scheme, section 7. Invariant: a request that consensus would not accept
//! is an error and never a digest. A signer that knows the transaction drives it, to compare the result with what it is
//! asked to sign.

use alloc::vec::Vec;
use core::fmt;

use super::merkle::{Root, output_leaf};
use crate::hash::sha256d;
use crate::transaction::{ANYONE_CAN_PAY, Outputs, SighashError, Spend, Spending, Transaction, TxOutput};

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
        match Outputs::from_bits(byte & !ANYONE_CAN_PAY ^ Self::LOTUS) {
            Some(outputs) => Ok(Self::new(outputs, byte & ANYONE_CAN_PAY != 0)),
            None => Err(InvalidSighashType(byte)),
        }
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
        let own_input = if self.anyone_can_pay { ANYONE_CAN_PAY } else { 0 };
        self.outputs.to_bits() | Self::LOTUS | own_input
    }

    /// The type as nodes without the next upgrade hash it once that is active, so that signatures for one side are void
    /// on the other: 0xffdead in the upper three bytes (Lotus scheme, section 7). [`Self::to_byte`] stays the same.
    ///
    /// lotusd 11.4.14 takes this form alone from a median time past of 1798074180 on, 24 December 2026 01:03 UTC, and
    /// never before. Which form is right is therefore a matter of the nodes' version and the time.
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

/// The digests of a transaction's inputs. What they share is hashed once, whatever the number of inputs.
///
/// ```
/// use nelumbo_crypto::lotus::{OutPoint, SighashCache, SighashType, Spend, Transaction, TxInput, TxOutput, Txid};
///
/// let input = |index| TxInput {
///     outpoint: OutPoint { txid: Txid::from_bytes([7; 32]), index },
///     script_sig: Vec::new(),
///     sequence: u32::MAX,
/// };
/// let output = TxOutput { value: 1_000, script_pubkey: vec![0x51] };
/// let spent_outputs = [output.clone(), output.clone()];
/// let inputs = vec![input(0), input(1)];
/// let transaction = Transaction { version: 2, inputs, outputs: vec![output], lock_time: 0 };
/// let cache = SighashCache::new(&transaction, &spent_outputs)?;
/// let digests = [0, 1].map(|input| cache.sighash(input, SighashType::ALL, Spend::KeyPath));
/// assert_ne!(digests[0]?, digests[1]?);
/// # Ok::<(), nelumbo_crypto::lotus::SighashError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SighashCache<'a> {
    spending: Spending<'a>,
    inputs: Root,
    spent_outputs: Root,
    outputs: Root,
    /// The sums, if they fit. Not every type signs them.
    spent_total: Option<u64>,
    output_total: Option<u64>,
}

impl<'a> SighashCache<'a> {
    /// Hashes what all inputs share. `spent_outputs` are the outputs that the inputs spend, in order.
    ///
    /// # Errors
    ///
    /// [`SighashError::SpentOutputs`].
    pub fn new(transaction: &'a Transaction, spent_outputs: &'a [TxOutput]) -> Result<Self, SighashError> {
        Ok(Self {
            spending: Spending::new(transaction, spent_outputs)?,
            inputs: Root::of_inputs(&transaction.inputs),
            spent_outputs: Root::of_outputs(spent_outputs),
            outputs: Root::of_outputs(&transaction.outputs),
            spent_total: total(spent_outputs),
            output_total: total(&transaction.outputs),
        })
    }

    /// The digest of one input: what a Lotus signature signs.
    ///
    /// # Errors
    ///
    /// [`SighashError::NoSuchInput`], [`SighashError::NoMatchingOutput`] and [`SighashError::AmountOverflow`].
    pub fn sighash(&self, input: usize, sighash_type: SighashType, spend: Spend) -> Result<[u8; 32], SighashError> {
        self.preimage(input, sighash_type, spend).map(|preimage| sha256d(&[&preimage]))
    }

    /// What [`Self::sighash`] hashes, for devices that want to see it.
    ///
    /// # Errors
    ///
    /// As for [`Self::sighash`].
    pub fn preimage(&self, input: usize, sighash_type: SighashType, spend: Spend) -> Result<Vec<u8>, SighashError> {
        let Transaction { version, lock_time, .. } = self.spending.transaction;
        let (own, index, spent) = self.spending.input(input)?;
        let mut own_bytes = Vec::with_capacity(96);
        own_bytes.push(if spend == Spend::KeyPath { 0 } else { 2 });
        own_bytes.extend_from_slice(&own.outpoint.to_bytes());
        own_bytes.extend_from_slice(&own.sequence.to_le_bytes());
        spent.write_to(&mut own_bytes);

        // The numbers are those of the Lotus scheme, section 7.
        let mut preimage = Vec::with_capacity(256);
        preimage.extend_from_slice(&sighash_type.preimage()); // 1
        preimage.extend_from_slice(&sha256d(&[&own_bytes])); // 2
        if let Spend::Script { executed_script_hash, code_separator } = spend {
            preimage.extend_from_slice(&code_separator.to_le_bytes());
            preimage.extend_from_slice(&executed_script_hash); // 3
        }
        if !sighash_type.anyone_can_pay {
            let total = self.spent_total.ok_or(SighashError::AmountOverflow)?;
            preimage.extend_from_slice(&index);
            preimage.extend_from_slice(&self.spent_outputs.hash);
            preimage.extend_from_slice(&total.to_le_bytes()); // 4
        }
        if sighash_type.outputs == Outputs::All {
            let total = self.output_total.ok_or(SighashError::AmountOverflow)?;
            preimage.extend_from_slice(&total.to_le_bytes()); // 5
        }
        preimage.extend_from_slice(&version.to_le_bytes()); // 6
        if !sighash_type.anyone_can_pay {
            preimage.extend_from_slice(&self.inputs.hash);
            preimage.push(self.inputs.height); // 7
        }
        match sighash_type.outputs {
            Outputs::None => {}
            Outputs::Single => preimage.extend_from_slice(&output_leaf(self.spending.matching_output(input)?)), // 8
            Outputs::All => {
                preimage.extend_from_slice(&self.outputs.hash);
                preimage.push(self.outputs.height); // 9
            }
        }
        preimage.extend_from_slice(&lock_time.to_le_bytes()); // 10
        Ok(preimage)
    }
}

/// The digest of one input alone; for several there is [`SighashCache`]. `spent_outputs` are the outputs that the
/// inputs spend, in order.
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
    SighashCache::new(transaction, spent_outputs)?.sighash(input, sighash_type, spend)
}

fn total(outputs: &[TxOutput]) -> Option<u64> {
    outputs.iter().try_fold(0u64, |total, output| total.checked_add(output.value))
}
