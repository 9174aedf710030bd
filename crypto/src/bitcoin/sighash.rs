//! The digest that a signature for a Taproot output signs (BIP341, common signature message; BIP342 for scripts).
//!
//! Owns hash types and the digest. Invariant: a request that consensus would not accept is an error and never a digest.
//! Inputs with an annex, which BIP341 reserves for later, are not signed for. A signer that knows the transaction
//! drives it, to compare the result with what it is asked to sign.

use alloc::vec::Vec;
use core::fmt;

use super::output::is_taproot_script;
use crate::hash::{sha256, tagged_hash};
use crate::transaction::{ANYONE_CAN_PAY, Outputs, SighashError, Spend, Spending, Transaction, TxOutput, write_script};

/// A hash type of BIP341.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SighashType {
    outputs: Outputs,
    anyone_can_pay: bool,
    is_default: bool,
}

/// The byte is not a hash type of BIP341.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSighashType(
    /// The byte.
    pub u8,
);

impl fmt::Display for InvalidSighashType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x} is not a Taproot hash type", self.0)
    }
}

impl core::error::Error for InvalidSighashType {}

impl SighashType {
    /// All inputs and outputs, 0x00, and no byte behind the signature: what a session signs unless there is a reason.
    pub const DEFAULT: Self = Self { is_default: true, ..Self::ALL };
    /// All inputs and outputs, 0x01. It covers what [`Self::DEFAULT`] does, and is another digest.
    pub const ALL: Self = Self::new(Outputs::All, false);

    /// A hash type; with `anyone_can_pay` the signature covers its own input only.
    #[must_use]
    pub const fn new(outputs: Outputs, anyone_can_pay: bool) -> Self {
        Self { outputs, anyone_can_pay, is_default: false }
    }

    /// Reads the byte behind a signature; 0 stands for a signature without one.
    ///
    /// # Errors
    ///
    /// [`InvalidSighashType`] for every byte but 0x00, 0x01, 0x02, 0x03, 0x81, 0x82 and 0x83.
    pub const fn from_byte(byte: u8) -> Result<Self, InvalidSighashType> {
        match Outputs::from_bits(byte & !ANYONE_CAN_PAY) {
            Some(outputs) => Ok(Self::new(outputs, byte & ANYONE_CAN_PAY != 0)),
            None if byte == 0 => Ok(Self::DEFAULT),
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

    /// The byte of the type, as it is hashed.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        if self.is_default {
            return 0;
        }
        self.outputs.to_bits() | if self.anyone_can_pay { ANYONE_CAN_PAY } else { 0 }
    }
}

/// The digests of a transaction's inputs. What they share is hashed once, whatever the number of inputs.
///
/// An example is on the [module's page](crate::bitcoin).
#[derive(Clone, Debug)]
pub struct SighashCache<'a> {
    spending: Spending<'a>,
    prevouts: [u8; 32],
    amounts: [u8; 32],
    script_pubkeys: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
}

impl<'a> SighashCache<'a> {
    /// Hashes what all inputs share. `spent_outputs` are the outputs that the inputs spend, in order; inputs that are
    /// not signed for here may spend any kind of output.
    ///
    /// # Errors
    ///
    /// [`SighashError::SpentOutputs`].
    pub fn new(transaction: &'a Transaction, spent_outputs: &'a [TxOutput]) -> Result<Self, SighashError> {
        let spending = Spending::new(transaction, spent_outputs)?;
        let inputs = &transaction.inputs;
        Ok(Self {
            spending,
            prevouts: hash_all(inputs, |input, bytes| bytes.extend_from_slice(&input.outpoint.to_bytes())),
            amounts: hash_all(spent_outputs, |spent, bytes| bytes.extend_from_slice(&spent.value.to_le_bytes())),
            script_pubkeys: hash_all(spent_outputs, |spent, bytes| write_script(bytes, &spent.script_pubkey)),
            sequences: hash_all(inputs, |input, bytes| bytes.extend_from_slice(&input.sequence.to_le_bytes())),
            outputs: hash_all(&transaction.outputs, TxOutput::write_to),
        })
    }

    /// The digest of one input: what a signature for a Taproot output of Bitcoin signs.
    ///
    /// # Errors
    ///
    /// [`SighashError::NoSuchInput`], [`SighashError::NotTaproot`] and [`SighashError::NoMatchingOutput`].
    pub fn sighash(&self, input: usize, sighash_type: SighashType, spend: Spend) -> Result<[u8; 32], SighashError> {
        self.preimage(input, sighash_type, spend).map(|preimage| tagged_hash("TapSighash", &[&preimage]))
    }

    /// What [`Self::sighash`] hashes under the tag `TapSighash`, for devices that want to see it: the epoch 0, `SigMsg`
    /// and, where a script runs, the extension of BIP342.
    ///
    /// # Errors
    ///
    /// As for [`Self::sighash`].
    pub fn preimage(&self, input: usize, sighash_type: SighashType, spend: Spend) -> Result<Vec<u8>, SighashError> {
        let Transaction { version, lock_time, .. } = self.spending.transaction;
        let (own, index, spent) = self.spending.input(input)?;
        if !is_taproot_script(&spent.script_pubkey) {
            return Err(SighashError::NotTaproot(input));
        }
        // The longest: 206 bytes of BIP341 less the annex, the epoch and the extension.
        let mut preimage = Vec::with_capacity(1 + 174 + 37);
        preimage.extend_from_slice(&[0, sighash_type.to_byte()]);
        preimage.extend_from_slice(&version.to_le_bytes());
        preimage.extend_from_slice(&lock_time.to_le_bytes());
        if !sighash_type.anyone_can_pay {
            let shared = [self.prevouts, self.amounts, self.script_pubkeys, self.sequences];
            preimage.extend_from_slice(shared.as_flattened());
        }
        if sighash_type.outputs == Outputs::All {
            preimage.extend_from_slice(&self.outputs);
        }
        // The type of the spend is ext_flag · 2, and 1 more where there is an annex.
        preimage.push(if spend == Spend::KeyPath { 0 } else { 2 });
        if sighash_type.anyone_can_pay {
            preimage.extend_from_slice(&own.outpoint.to_bytes());
            spent.write_to(&mut preimage);
            preimage.extend_from_slice(&own.sequence.to_le_bytes());
        } else {
            preimage.extend_from_slice(&index);
        }
        if sighash_type.outputs == Outputs::Single {
            let output = self.spending.matching_output(input)?;
            preimage.extend_from_slice(&hash_all(core::slice::from_ref(output), TxOutput::write_to));
        }
        if let Spend::Script { executed_script_hash, code_separator } = spend {
            preimage.extend_from_slice(&executed_script_hash);
            preimage.push(0); // The version of keys (BIP342).
            preimage.extend_from_slice(&code_separator.to_le_bytes());
        }
        Ok(preimage)
    }
}

/// SHA-256 of what each element writes.
fn hash_all<T>(elements: &[T], write: impl Fn(&T, &mut Vec<u8>)) -> [u8; 32] {
    let mut bytes = Vec::new();
    elements.iter().for_each(|element| write(element, &mut bytes));
    sha256(&[&bytes])
}
