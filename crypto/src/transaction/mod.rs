//! Transactions, which Bitcoin and Lotus serialise alike, and what a signature can cover of them.
//!
//! The ledgers' modules [`bitcoin`](crate::bitcoin) and [`lotus`] show the same types beside the digest that each of
//! them signs.
//!
//! Owns the serialisation and the ids. Invariants: parsing is total, takes memory in proportion to its input and
//! accepts one encoding per transaction, so what was parsed is written back byte for byte. Embedders that check what
//! they are asked to sign drive it.

mod sighash;

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::hash::sha256d;
use crate::text::{self, HexError};
use crate::{Suite, lotus};

pub(crate) use sighash::{ANYONE_CAN_PAY, Spending};
pub use sighash::{Outputs, SighashError, Spend};

/// The id of a transaction, in the byte order of serialisations. Shown reversed, as everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txid([u8; 32]);

impl Txid {
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

impl fmt::Display for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reversed = self.0;
        reversed.reverse();
        text::write_hex(f, &reversed)
    }
}

impl fmt::Debug for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Txid({self})")
    }
}

impl FromStr for Txid {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let mut bytes: [u8; 32] = text::parse_hex(text)?;
        bytes.reverse();
        Ok(Self(bytes))
    }
}

/// An output of an earlier transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// The position of the output in it.
    pub index: u32,
}

impl OutPoint {
    /// The serialisation: the id and the index, little endian.
    pub(crate) fn to_bytes(self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(&self.txid.0);
        bytes[32..].copy_from_slice(&self.index.to_le_bytes());
        bytes
    }
}

/// An input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxInput {
    /// What it spends.
    pub outpoint: OutPoint,
    /// The script that proves the right to; empty until it is signed.
    pub script_sig: Vec<u8>,
    /// The relative lock.
    pub sequence: u32,
}

/// An output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxOutput {
    /// How much, in satoshi: 100 million are one bitcoin, a million one XPI.
    pub value: u64,
    /// Who may spend it.
    pub script_pubkey: Vec<u8>,
}

impl TxOutput {
    const MIN_BYTES: usize = 8 + 1;

    /// Appends the serialisation: the value, then the script behind its length.
    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.value.to_le_bytes());
        write_script(bytes, &self.script_pubkey);
    }
}

/// Appends a script behind its length.
pub(crate) fn write_script(bytes: &mut Vec<u8>, script: &[u8]) {
    bytes.extend_from_slice(compact_size(&mut [0; 9], script.len() as u64));
    bytes.extend_from_slice(script);
}

/// A transaction without witnesses: the part that signatures and ids cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The version.
    pub version: i32,
    /// What it spends.
    pub inputs: Vec<TxInput>,
    /// What it creates.
    pub outputs: Vec<TxOutput>,
    /// The height or time before which it is not final.
    pub lock_time: u32,
}

/// Why bytes are not a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionError {
    /// More bytes than the consensus of either ledger allows for a transaction without witnesses.
    TooLarge(usize),
    /// The bytes end inside the transaction, or a count or length says more than there is.
    Truncated,
    /// A count or length is not written in its shortest form.
    NonCanonical,
    /// It is serialised with witnesses (BIP144), of which nothing is signed.
    Witness,
    /// It has no inputs, so there is nothing to sign.
    NoInputs,
    /// There are bytes after the transaction.
    Trailing(usize),
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(found) => {
                write!(f, "a transaction has at most {} bytes, not {found}", Transaction::MAX_BYTES)
            }
            Self::Truncated => f.write_str("the transaction is cut short"),
            Self::NonCanonical => f.write_str("a length in the transaction is not in its shortest form"),
            Self::Witness => f.write_str("the transaction is serialised with witnesses; what is signed has none"),
            Self::NoInputs => f.write_str("the transaction has no inputs"),
            Self::Trailing(found) => write!(f, "{found} bytes follow the transaction"),
        }
    }
}

impl core::error::Error for TransactionError {}

impl Transaction {
    /// The largest serialisation without witnesses that consensus accepts: lotusd's `MAX_TX_SIZE`, and a quarter of
    /// Bitcoin's 4,000,000 units of weight (BIP141).
    pub const MAX_BYTES: usize = 1_000_000;

    /// Reads a transaction as it is serialised without witnesses, signed or not.
    ///
    /// One with witnesses (BIP144) is refused rather than stripped of them, so that what several signers agree on has
    /// one encoding. A PSBT holds its unsigned transaction in the form that is read here.
    ///
    /// # Errors
    ///
    /// [`TransactionError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TransactionError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(TransactionError::TooLarge(bytes.len()));
        }
        let mut rest = Rest(bytes);
        let version = i32::from_le_bytes(rest.take()?);
        // Where the number of inputs is, BIP144 has the marker 00 and the flag 01.
        match rest.0 {
            [0, 1, ..] => return Err(TransactionError::Witness),
            [0, ..] => return Err(TransactionError::NoInputs),
            _ => {}
        }
        let inputs = rest.list(TxInput::MIN_BYTES, |rest| {
            let outpoint = OutPoint { txid: Txid(rest.take()?), index: u32::from_le_bytes(rest.take()?) };
            Ok(TxInput { outpoint, script_sig: rest.script()?, sequence: u32::from_le_bytes(rest.take()?) })
        })?;
        let outputs = rest.list(TxOutput::MIN_BYTES, |rest| {
            Ok(TxOutput { value: u64::from_le_bytes(rest.take()?), script_pubkey: rest.script()? })
        })?;
        let lock_time = u32::from_le_bytes(rest.take()?);
        if !rest.0.is_empty() {
            return Err(TransactionError::Trailing(rest.0.len()));
        }
        Ok(Self { version, inputs, outputs, lock_time })
    }

    /// The serialisation without witnesses. [`Self::parse`] reads it if there is an input.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(compact_size(&mut [0; 9], self.inputs.len() as u64));
        for input in &self.inputs {
            bytes.extend_from_slice(&input.outpoint.to_bytes());
            write_script(&mut bytes, &input.script_sig);
            bytes.extend_from_slice(&input.sequence.to_le_bytes());
        }
        bytes.extend_from_slice(compact_size(&mut [0; 9], self.outputs.len() as u64));
        self.outputs.iter().for_each(|output| output.write_to(&mut bytes));
        bytes.extend_from_slice(&self.lock_time.to_le_bytes());
        bytes
    }

    /// The id.
    ///
    /// On Lotus it leaves the input scripts out (Lotus scheme, section 7), on Bitcoin it covers them. So it is known
    /// before the transaction is signed on Lotus, and on Bitcoin where only witnesses are still to come (BIP141), as
    /// they are for every Taproot input.
    #[must_use]
    pub fn txid(&self, suite: Suite) -> Txid {
        match suite {
            Suite::Lotus => lotus::txid(self),
            Suite::Bip340 => self.txhash(),
        }
    }

    /// The hash of the whole serialisation, input scripts included.
    #[must_use]
    pub fn txhash(&self) -> Txid {
        Txid(sha256d(&[&self.to_bytes()]))
    }
}

/// Writes the variable-length integer of serialisations and returns the bytes that are used.
pub(crate) fn compact_size(buffer: &mut [u8; 9], value: u64) -> &[u8] {
    let bytes = value.to_le_bytes();
    let (prefix, size) = match value {
        0..=0xfc => {
            buffer[0] = bytes[0];
            return &buffer[..1];
        }
        0xfd..=0xffff => (0xfd, 2),
        0x1_0000..=0xffff_ffff => (0xfe, 4),
        _ => (0xff, 8),
    };
    buffer[0] = prefix;
    buffer[1..=size].copy_from_slice(&bytes[..size]);
    &buffer[..=size]
}

impl TxInput {
    const MIN_BYTES: usize = 36 + 1 + 4;
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], TransactionError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(TransactionError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    fn compact_size(&mut self) -> Result<usize, TransactionError> {
        let [first] = self.take()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.take()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.take()?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.take()?), 0x1_0000_0000),
            first => (u64::from(first), 0),
        };
        if value < least {
            return Err(TransactionError::NonCanonical);
        }
        usize::try_from(value).map_err(|_| TransactionError::Truncated)
    }

    fn script(&mut self) -> Result<Vec<u8>, TransactionError> {
        let length = self.compact_size()?;
        let (script, rest) = self.0.split_at_checked(length).ok_or(TransactionError::Truncated)?;
        self.0 = rest;
        Ok(script.to_vec())
    }

    /// A list whose elements take at least `min_bytes` each, so that a count cannot ask for more memory than the input
    /// is long.
    fn list<T>(
        &mut self,
        min_bytes: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, TransactionError>,
    ) -> Result<Vec<T>, TransactionError> {
        let count = self.compact_size()?;
        if count > self.0.len() / min_bytes {
            return Err(TransactionError::Truncated);
        }
        (0..count).map(|_| element(self)).collect()
    }
}
