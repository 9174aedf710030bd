//! What signing does, for whoever is to approve it. It only comes out.

use nelumbo_core::approval::{self as core, LockUnit, Path, Unusual};
use nelumbo_core::crypto::Suite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Key, To};
use super::words::Word;

/// What signing a session does. All texts are harmless to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// All of it in one line.
    pub line: String,
    /// What has to be allowed by name when the session is joined.
    pub unusual: Vec<Word<Unusual>>,
    /// What a person should know first, in sentences.
    pub warnings: Vec<String>,
    /// The creator's words, which nobody has checked.
    pub description: String,
    /// What is signed.
    pub signs: Signs,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Signs {
    /// Bare messages: nobody can say what signing them does.
    Messages {
        /// Item by item.
        messages: Vec<Message>,
    },
    /// Inputs of a transaction. Amounts are satoshi.
    Transaction {
        /// The rules that it is signed by, and with them the ledger.
        suite: Word<Suite>,
        /// Its id.
        txid: String,
        /// Which of the inputs are signed, and how.
        signed: Vec<SignedInputs>,
        /// What it spends, as the creator says.
        inputs: Vec<SpentOutput>,
        /// What it pays.
        outputs: Vec<TransactionOutput>,
        /// The sum of the inputs.
        total_in: u64,
        /// The sum of the outputs.
        total_out: u64,
        /// What of the inputs is the group's.
        from_group: u64,
        /// What of the outputs returns to the group.
        to_group: u64,
        /// What is left to whoever mines it.
        fee: u64,
        /// How many bytes it has when it is signed, on Bitcoin virtual bytes.
        size: u64,
        /// The fee in satoshi per byte, on Bitcoin per virtual byte.
        fee_rate: String,
        /// Before when it is not valid; nothing if it is valid at once.
        lock_time: Option<LockTime>,
    },
    /// A statement of one key.
    Statement {
        /// What it is for.
        name: String,
        /// What is stated.
        message: Message,
    },
}

/// A bare message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// It in hexadecimal.
    pub hex: String,
    /// It as text, harmless to show, if it is UTF-8 and not empty.
    pub text: Option<String>,
}

/// Inputs that are signed in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedInputs {
    /// Their places in the transaction, from 0.
    pub inputs: Vec<u32>,
    /// How the outputs are spent.
    pub path: Word<Path>,
    /// What the signatures cover.
    pub sighash: Sighash,
}

/// What a signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sighash {
    /// The byte behind the signature; on Bitcoin 0 stands for none.
    pub byte: u8,
    /// Its name, such as `ALL` or `NONE|ANYONECANPAY`.
    pub name: String,
    /// In words, what can still change after the signature.
    pub leaves_open: String,
}

/// An output that is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpentOutput {
    /// Which output: id of the transaction, colon, its place there.
    pub outpoint: String,
    /// Its value.
    pub value: u64,
    /// Its address, if it has one.
    pub address: Option<String>,
    /// Its script, in hexadecimal.
    pub script: String,
    /// Whether it is the session's own.
    pub is_group: bool,
    /// The input's sequence, which may hold a relative lock.
    pub sequence: u32,
}

/// An output that is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionOutput {
    /// Its value.
    pub value: u64,
    /// Its address, if it has one.
    pub address: Option<String>,
    /// Its script, in hexadecimal.
    pub script: String,
    /// What is written behind OP_RETURN, harmless to show, if it is text.
    pub text: Option<String>,
    /// Whose it is.
    pub to: Recipient,
    /// Whether each of the signatures covers it. One that is not covered can be replaced by any other.
    pub is_covered: bool,
}

/// Whose an output is, as far as a node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Recipient {
    /// The group's.
    Group,
    /// One signer's alone.
    Signer {
        /// The signer.
        key: Key,
    },
    /// Whoever holds the address.
    Other,
    /// Nobody's: it carries data, and its value is lost.
    Nobody,
}

/// Before when a transaction is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockTime {
    /// What it counts.
    pub unit: Word<LockUnit>,
    /// The height of a block, or seconds since 1970.
    pub value: u32,
    /// Whether it counts: it does not when every input is final.
    pub effective: bool,
}

impl From<core::Summary> for Approval {
    fn from(summary: core::Summary) -> Self {
        Self {
            line: summary.to_string(),
            unusual: summary.unusual.into_iter().map(Word).collect(),
            warnings: summary.warnings,
            description: summary.description,
            signs: summary.signs.into(),
        }
    }
}

impl To<Approval> for Box<core::Summary> {
    fn to(self) -> Approval {
        (*self).into()
    }
}

impl From<core::Signs> for Signs {
    fn from(signs: core::Signs) -> Self {
        match signs {
            core::Signs::Messages(messages) => Self::Messages { messages: messages.to() },
            core::Signs::Statement { name, message } => Self::Statement { name, message: message.to() },
            core::Signs::Transaction(transaction) => (*transaction).into(),
        }
    }
}

impl From<core::TransactionSummary> for Signs {
    fn from(from: core::TransactionSummary) -> Self {
        let lock =
            |lock: core::LockTime| LockTime { unit: Word(lock.unit), value: lock.value, effective: lock.effective };
        Self::Transaction {
            suite: Word(from.suite),
            txid: from.txid,
            signed: from.signed.to(),
            inputs: from.inputs.to(),
            outputs: from.outputs.to(),
            total_in: from.total_in,
            total_out: from.total_out,
            from_group: from.from_group,
            to_group: from.to_group,
            fee: from.fee,
            size: from.size,
            fee_rate: from.fee_rate,
            lock_time: from.lock_time.map(lock),
        }
    }
}

impl To<Message> for core::Message {
    fn to(self) -> Message {
        let Self { hex, text } = self;
        Message { hex, text }
    }
}

impl To<SignedInputs> for core::SignedInputs {
    fn to(self) -> SignedInputs {
        let core::Sighash { byte, name, leaves_open } = self.sighash;
        SignedInputs { inputs: self.inputs, path: Word(self.path), sighash: Sighash { byte, name, leaves_open } }
    }
}

impl To<SpentOutput> for core::Input {
    fn to(self) -> SpentOutput {
        let Self { outpoint, value, address, script, is_group, sequence } = self;
        SpentOutput { outpoint, value, address, script, is_group, sequence }
    }
}

impl To<TransactionOutput> for core::Output {
    fn to(self) -> TransactionOutput {
        let Self { value, address, script, text, to, is_covered } = self;
        let to = match to {
            core::Recipient::Group => Recipient::Group,
            core::Recipient::Signer(key) => Recipient::Signer { key: Key(key) },
            core::Recipient::Other => Recipient::Other,
            core::Recipient::Nobody => Recipient::Nobody,
        };
        TransactionOutput { value, address, script, text, to, is_covered }
    }
}
