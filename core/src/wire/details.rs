//! What a session is for, in a form that signers can check: a transaction whose digests each of them computes itself,
//! and words for people.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::{MAX_DEFINITION, SignedInput, Text, TransactionType, bounded};
use crate::crypto::transaction::{SighashError, Spend, Transaction, TransactionError, TxOutput};
use crate::crypto::{PublicKey, Suite, Tweak, bitcoin, lotus};

/// What a session is for. It is part of the session's definition: its id commits to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// What kind of transaction.
    pub kind: Option<TransactionType>,
    /// What the creator has to say about it.
    pub description: Text<512>,
    /// The transaction. With it the session's items are inputs of it, and every signer computes what is signed.
    pub spending: Option<Box<Spending>>,
}

/// A transaction of the ledger that the session's suite signs for, and everything that the digests of its inputs cover:
/// Lotus (section 7 of its scheme), or Bitcoin with BIP340 (BIP341, and BIP342 where a script is run).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The transaction as it is serialised, without witnesses. On Lotus scripts of inputs do not matter, on Bitcoin the
    /// id covers them.
    #[serde(deserialize_with = "bytes")]
    pub transaction: Vec<u8>,
    /// The outputs that its inputs spend, in order: value in satoshi and script.
    #[serde(deserialize_with = "spent")]
    pub spent: Vec<Spent>,
    /// Whether the digests are those of Lotus nodes that have not been updated after the network's next upgrade: what
    /// is signed for one side is void on the other. Bitcoin has no such thing.
    pub replay_protection: bool,
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

/// How an output is spent; see [`Spend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpendPath {
    /// A Taproot output by its key.
    Key,
    /// By running a script.
    Script {
        /// The script's hash, as the digest has it: of a Taproot leaf the leaf hash.
        executed_script_hash: [u8; 32],
        /// The position of the last code separator.
        code_separator: u32,
    },
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bounded(deserializer, MAX_DEFINITION)
}

fn spent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Spent>, D::Error> {
    // An input has at least 41 bytes, so that no transaction that fits has more.
    bounded(deserializer, MAX_DEFINITION / 41)
}

/// Why details do not say what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpendingError {
    /// The bytes are not a transaction.
    Transaction(TransactionError),
    /// The ledger has no such type of digest.
    SighashType(u8),
    /// Replay protection is wanted, which only Lotus has.
    ReplayProtection,
    /// There is nothing to sign.
    Sighash(SighashError),
    /// More is paid than spent, in satoshi.
    Overspent {
        /// The sum of the inputs.
        inputs: u64,
        /// The sum of the outputs.
        outputs: u64,
    },
    /// A key path spends an output that the signature of its item cannot spend.
    ForeignOutput {
        /// The input.
        input: u32,
        /// The rules, and so the ledger.
        suite: Suite,
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
            Self::SighashType(byte) => write!(f, "{byte:#04x} is no signature hash type of this ledger"),
            Self::ReplayProtection => f.write_str("replay protection is for lotus; bitcoin's digests do not have it"),
            Self::Sighash(error) => error.fmt(f),
            Self::Overspent { inputs, outputs } => {
                write!(f, "the outputs are {outputs} satoshi, more than the inputs, which are {inputs}")
            }
            Self::ForeignOutput { input, suite, own, fits } => {
                write!(f, "the output that input {input} spends by key is not the session's own, whose script is ")?;
                taproot_script(*suite, own).iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
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

/// A [`Spending`] taken apart.
pub(crate) struct ParsedSpending {
    pub(crate) transaction: Transaction,
    /// In the order of the inputs.
    pub(crate) spent: Vec<TxOutput>,
    suite: Suite,
    replay_protection: bool,
}

impl ParsedSpending {
    /// Hashes what the digests of its inputs share.
    pub(crate) fn digests(&self) -> Result<Digests<'_>, SpendingError> {
        let Self { transaction, spent, suite, replay_protection } = self;
        let digests = match suite {
            Suite::Lotus => lotus::SighashCache::new(transaction, spent)
                .map(|cache| Digests::Lotus { cache, replay_protection: *replay_protection }),
            Suite::Bip340 => bitcoin::SighashCache::new(transaction, spent).map(Digests::Bitcoin),
        };
        digests.map_err(SpendingError::Sighash)
    }
}

/// The digests of a transaction's inputs.
pub(crate) enum Digests<'a> {
    Lotus { cache: lotus::SighashCache<'a>, replay_protection: bool },
    Bitcoin(bitcoin::SighashCache<'a>),
}

impl Digests<'_> {
    /// The digest of an input: what is signed.
    pub(crate) fn of(&self, signed: SignedInput) -> Result<[u8; 32], SpendingError> {
        let SignedInput { input, sighash_type, path } = signed;
        let no_type = SpendingError::SighashType(sighash_type);
        let path = match path {
            SpendPath::Key => Spend::KeyPath,
            SpendPath::Script { executed_script_hash, code_separator } => {
                Spend::Script { executed_script_hash, code_separator }
            }
        };
        let input = usize::try_from(input).unwrap_or(usize::MAX);
        let digest = match self {
            Self::Lotus { cache, replay_protection } => {
                let kind = lotus::SighashType::from_byte(sighash_type).map_err(|_| no_type)?;
                let kind = if *replay_protection { kind.with_replay_protection() } else { kind };
                cache.sighash(input, kind, path)
            }
            Self::Bitcoin(cache) => {
                let kind = bitcoin::SighashType::from_byte(sighash_type).map_err(|_| no_type)?;
                cache.sighash(input, kind, path)
            }
        };
        digest.map_err(SpendingError::Sighash)
    }
}

impl Spending {
    /// Reads it as one of the ledger that the suite signs for.
    pub(crate) fn parse(&self, suite: Suite) -> Result<ParsedSpending, SpendingError> {
        if self.replay_protection && suite != Suite::Lotus {
            return Err(SpendingError::ReplayProtection);
        }
        let spent = |spent: &Spent| TxOutput { value: spent.value, script_pubkey: spent.script.clone() };
        Ok(ParsedSpending {
            transaction: Transaction::parse(&self.transaction).map_err(SpendingError::Transaction)?,
            spent: self.spent.iter().map(spent).collect(),
            suite,
            replay_protection: self.replay_protection,
        })
    }
}

/// The script of the Taproot output with this output key.
pub(crate) fn taproot_script(suite: Suite, output_key: &PublicKey) -> Vec<u8> {
    match suite {
        Suite::Lotus => lotus::TaprootOutput { commitment: *output_key, state: None }.script_pubkey(),
        Suite::Bip340 => bitcoin::taproot_script(output_key).to_vec(),
    }
}
