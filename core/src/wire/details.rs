//! What a session is for, in a form that signers can check: a transaction whose digest each of them computes itself,
//! and words for people.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Text, TransactionType, bounded, encode};
use crate::crypto::lotus::{self, SighashError, SighashType, TaprootOutput, Transaction, TransactionError, TxOutput};
use crate::crypto::{PublicKey, Tweak};

/// The most bytes that a session's details have, encoded.
pub const MAX_DETAILS: usize = 8_192;

/// What a session is for. It is part of the session's definition: its id commits to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// What kind of transaction.
    pub kind: Option<TransactionType>,
    /// What the creator has to say about it.
    pub description: Text<512>,
    /// The transaction. With it the message is its digest, and every signer sees for itself that it is.
    pub spending: Option<Box<Spending>>,
}

/// An input of a Lotus transaction, and everything that its digest covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The transaction as it is serialised; scripts of inputs do not matter.
    #[serde(deserialize_with = "bytes")]
    pub transaction: Vec<u8>,
    /// The outputs that its inputs spend, in order: value in satoshi and script.
    #[serde(deserialize_with = "spent")]
    pub spent: Vec<Spent>,
    /// Which input is signed.
    pub input: u32,
    /// What the signature covers, as the byte that is appended to it.
    pub sighash_type: u8,
    /// How the output is spent.
    pub path: SpendPath,
}

/// An output that a transaction spends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// How much, in satoshi.
    pub value: u64,
    /// Who may spend it.
    #[serde(deserialize_with = "bytes")]
    pub script: Vec<u8>,
}

/// How an output is spent; see [`lotus::Spend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpendPath {
    /// A Taproot output by its key.
    Key,
    /// By running a script.
    Script {
        /// The script's hash, as the digest has it.
        executed_script_hash: [u8; 32],
        /// The position of the last code separator.
        code_separator: u32,
    },
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_DETAILS)
}

fn spent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Spent>, D::Error> {
    // An input has at least 41 bytes, so that no transaction that fits has more.
    bounded(deserializer, MAX_DETAILS / 41)
}

/// Why details do not say what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendingError {
    /// The bytes are not a transaction.
    Transaction(TransactionError),
    /// There is no such type of digest.
    SighashType(u8),
    /// There is nothing to sign.
    Sighash(SighashError),
    /// More is paid than spent, in satoshi.
    Overspent {
        /// The sum of the inputs.
        inputs: u64,
        /// The sum of the outputs.
        outputs: u64,
    },
    /// A key path spends an output that the session's signature cannot spend.
    ForeignOutput {
        /// The key that the session signs under: its own output carries it.
        own: PublicKey,
        /// The tweak with which the keys of the session would own what is spent, if there is one.
        fits: Option<Tweak>,
    },
}

impl fmt::Display for SpendingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transaction(error) => error.fmt(f),
            Self::SighashType(byte) => write!(f, "{byte:#04x} is no signature hash type"),
            Self::Sighash(error) => error.fmt(f),
            Self::Overspent { inputs, outputs } => {
                write!(f, "the outputs are {outputs} satoshi, more than the inputs, which are {inputs}")
            }
            Self::ForeignOutput { own, fits } => {
                f.write_str("the output that is spent by key is not the session's own, whose script is ")?;
                let script = TaprootOutput { commitment: *own, state: None }.script_pubkey();
                script.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(match fits {
                    Some(Tweak::Taproot { .. }) => {
                        ", but it is that of the same keys with the Taproot tweak: create the session with `--taproot`"
                    }
                    Some(Tweak::None) => {
                        ", but it is that of the same keys without a tweak: create the session without `--taproot`"
                    }
                    _ => ": the signature could not spend it, so check keys, tweak and input",
                })
            }
        }
    }
}

impl core::error::Error for SpendingError {}

impl Details {
    /// How many bytes they have.
    pub(super) fn size(&self) -> usize {
        encode(self).len()
    }

    /// The value of the output that is spent, in satoshi.
    pub fn amount(&self) -> Option<u64> {
        let spending = self.spending.as_ref()?;
        spending.spent.get(usize::try_from(spending.input).ok()?).map(|spent| spent.value)
    }
}

/// A [`Spending`] taken apart.
pub(crate) struct ParsedSpending {
    pub(crate) transaction: Transaction,
    pub(crate) spent: Vec<TxOutput>,
    pub(crate) input: usize,
    pub(crate) sighash_type: SighashType,
    path: lotus::Spend,
}

impl ParsedSpending {
    pub(crate) fn digest(&self) -> Result<[u8; 32], SpendingError> {
        let Self { transaction, spent, input, sighash_type, path } = self;
        lotus::sighash(transaction, spent, *input, *sighash_type, *path).map_err(SpendingError::Sighash)
    }
}

impl Spending {
    /// The digest that is signed.
    ///
    /// # Errors
    /// Why there is none.
    pub fn digest(&self) -> Result<[u8; 32], SpendingError> {
        self.parse()?.digest()
    }

    pub(crate) fn parse(&self) -> Result<ParsedSpending, SpendingError> {
        let spent = |spent: &Spent| TxOutput { value: spent.value, script_pubkey: spent.script.clone() };
        Ok(ParsedSpending {
            transaction: Transaction::parse(&self.transaction).map_err(SpendingError::Transaction)?,
            spent: self.spent.iter().map(spent).collect(),
            input: usize::try_from(self.input).unwrap_or(usize::MAX),
            sighash_type: SighashType::from_byte(self.sighash_type)
                .map_err(|_| SpendingError::SighashType(self.sighash_type))?,
            path: match self.path {
                SpendPath::Key => lotus::Spend::KeyPath,
                SpendPath::Script { executed_script_hash, code_separator } => {
                    lotus::Spend::Script { executed_script_hash, code_separator }
                }
            },
        })
    }
}
