//! Transactions of Lotus.
//!
//! Owns their serialisation and their ids. Invariants: parsing is total, takes memory in proportion to its input and
//! accepts one encoding per transaction, so what was parsed is written back byte for byte. Embedders that check what
//! they are asked to sign drive it.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::compact_size;
use super::merkle::merkle_root;
use crate::hash::sha256d;
use crate::text::{self, HexError};

/// The id of a transaction, in the byte order of serialisations. Shown reversed, as everywhere.
///
/// It covers everything but the input scripts, so it is known before the transaction is signed.
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
    pub(super) fn to_bytes(self) -> [u8; 36] {
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
    /// How much, in satoshi; a million are one XPI.
    pub value: u64,
    /// Who may spend it.
    pub script_pubkey: Vec<u8>,
}

impl TxOutput {
    /// `HH(value ‖ compactsize ‖ script)`, the leaf of every tree of outputs.
    pub(super) fn leaf(&self) -> [u8; 32] {
        let mut length = [0; 9];
        let length = compact_size(&mut length, self.script_pubkey.len() as u64);
        sha256d(&[&self.value.to_le_bytes(), length, &self.script_pubkey])
    }
}

/// A transaction.
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
    /// More bytes than consensus allows for a transaction.
    TooLarge(usize),
    /// The bytes end inside the transaction, or a count or length says more than there is.
    Truncated,
    /// A count or length is not written in its shortest form.
    NonCanonical,
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
            Self::Trailing(found) => write!(f, "{found} bytes follow the transaction"),
        }
    }
}

impl core::error::Error for TransactionError {}

impl Transaction {
    /// The largest serialisation that consensus accepts (lotusd, `MAX_TX_SIZE`).
    pub const MAX_BYTES: usize = 1_000_000;

    /// Reads a serialised transaction.
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

    /// The serialisation: Bitcoin's, without witnesses.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut size = [0; 9];
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(compact_size(&mut size, self.inputs.len() as u64));
        for input in &self.inputs {
            bytes.extend_from_slice(&input.outpoint.to_bytes());
            bytes.extend_from_slice(compact_size(&mut size, input.script_sig.len() as u64));
            bytes.extend_from_slice(&input.script_sig);
            bytes.extend_from_slice(&input.sequence.to_le_bytes());
        }
        bytes.extend_from_slice(compact_size(&mut size, self.outputs.len() as u64));
        for output in &self.outputs {
            bytes.extend_from_slice(&output.value.to_le_bytes());
            bytes.extend_from_slice(compact_size(&mut size, output.script_pubkey.len() as u64));
            bytes.extend_from_slice(&output.script_pubkey);
        }
        bytes.extend_from_slice(&self.lock_time.to_le_bytes());
        bytes
    }

    /// The id, which does not depend on the input scripts (Lotus scheme, section 7).
    #[must_use]
    pub fn txid(&self) -> Txid {
        let (inputs, inputs_height) = self.inputs_root();
        let (outputs, outputs_height) = self.outputs_root();
        Txid(sha256d(&[
            &self.version.to_le_bytes(),
            &inputs,
            &[inputs_height],
            &outputs,
            &[outputs_height],
            &self.lock_time.to_le_bytes(),
        ]))
    }

    /// The hash of the whole serialisation, scripts included.
    #[must_use]
    pub fn txhash(&self) -> Txid {
        Txid(sha256d(&[&self.to_bytes()]))
    }

    /// The tree of the inputs without their scripts.
    pub(super) fn inputs_root(&self) -> ([u8; 32], u8) {
        merkle_root(
            self.inputs.iter().map(|input| sha256d(&[&input.outpoint.to_bytes(), &input.sequence.to_le_bytes()])),
        )
    }

    pub(super) fn outputs_root(&self) -> ([u8; 32], u8) {
        merkle_root(self.outputs.iter().map(TxOutput::leaf))
    }
}

impl TxInput {
    const MIN_BYTES: usize = 36 + 1 + 4;
}

impl TxOutput {
    const MIN_BYTES: usize = 8 + 1;
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
