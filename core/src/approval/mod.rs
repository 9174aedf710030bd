//! What signing a session does: the account that a person, a policy or a program sees before this node approves it.
//!
//! Owns [`Summary`], the one place where a definition becomes outputs, amounts and warnings, and [`Unusual`], the names
//! of what nobody approves by accident. Invariants: a summary is a pure function of the definition and of the key that
//! the session signs under; texts in it are harmless to show; what cannot be what its creator says has no summary at
//! all. The node drives it when it creates, hears of and joins a session; embedders show what it says.

mod shown;
mod size;
mod transaction;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::crypto::PublicKey;
use crate::wire::{Definition, DefinitionError, Harmless};

pub use shown::{Satoshi, names};
pub use transaction::{Input, LockTime, LockUnit, Output, Path, Recipient, Sighash, SignedInputs, TransactionSummary};

/// What makes a signature more, or something else, than the payment that is shown. A session with any of these is
/// created and joined only when they are allowed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unusual {
    /// Bare messages: the node cannot say what signing them does.
    Opaque,
    /// Sighash NONE: no output is covered.
    SighashNone,
    /// Sighash SINGLE: one output is covered.
    SighashSingle,
    /// Sighash ANYONECANPAY: one input is covered.
    AnyoneCanPay,
    /// A script is run, which the node has not seen.
    ScriptPath,
    /// An output pays the address of one signer's key, and not the group.
    PaysSigner,
}

impl Unusual {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Opaque, Self::SighashNone, Self::SighashSingle, Self::AnyoneCanPay, Self::ScriptPath, Self::PaysSigner];

    /// Its name in commands, events and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::SighashNone => "sighash-none",
            Self::SighashSingle => "sighash-single",
            Self::AnyoneCanPay => "anyone-can-pay",
            Self::ScriptPath => "script-path",
            Self::PaysSigner => "pays-signer",
        }
    }

    /// What it means for whoever signs, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Opaque => "this is a bare message: the node cannot say what signing it does, and it can be anything",
            Self::SighashNone => {
                "no output is covered: whoever has the signature can send all the money anywhere, whatever is shown"
            }
            Self::SighashSingle => {
                "one output is covered: whoever has the signature can send the rest of the money anywhere"
            }
            Self::AnyoneCanPay => {
                "one input is covered: others can be added or replaced, and their values are only what the creator says"
            }
            Self::ScriptPath => {
                "a script is run that the node has not seen: what it demands, and whose the money is, is not checked"
            }
            Self::PaysSigner => "money goes to one of the signers alone, and not back to the group",
        }
    }
}

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is none of the names of [`Unusual`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownUnusual;

impl fmt::Display for UnknownUnusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what can be allowed is {}", names(Unusual::ALL))
    }
}

impl core::error::Error for UnknownUnusual {}

impl FromStr for Unusual {
    type Err = UnknownUnusual;

    fn from_str(text: &str) -> Result<Self, UnknownUnusual> {
        Self::ALL.into_iter().find(|unusual| unusual.as_str() == text).ok_or(UnknownUnusual)
    }
}

/// What signing a session does. As text (`Display`) it is one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What has to be allowed by name; nothing for a transaction that covers all its inputs and outputs and pays no
    /// signer.
    pub unusual: BTreeSet<Unusual>,
    /// What a person should know first, in sentences: the meaning of each that is unusual, and others.
    pub warnings: Vec<String>,
    /// The creator's words, harmless to show. Nobody has checked them.
    pub description: String,
    /// What is signed.
    pub signs: Signs,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signs {
    /// Bare messages, item by item.
    Messages(Vec<Message>),
    /// Inputs of a transaction, each by its digest.
    Transaction(Box<TransactionSummary>),
    /// A statement of one key.
    Statement {
        /// What it is for.
        name: String,
        /// What is stated.
        message: Message,
    },
}

/// A bare message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// It in hexadecimal.
    pub hex: String,
    /// It as text, harmless to show, if it is UTF-8 and not empty.
    pub text: Option<String>,
}

impl Message {
    pub(crate) fn of(message: &[u8]) -> Self {
        let text = core::str::from_utf8(message).ok().filter(|text| !text.is_empty());
        Self { hex: shown::hex(message), text: text.map(|text| Harmless(text).to_string()) }
    }
}

impl Summary {
    /// The account of a session whose items are signed under these keys, each the aggregate key after the item's tweak.
    /// The definition may be anything; what it must be to be a session at all is [`Definition::check`].
    ///
    /// # Errors
    /// When items and details do not fit, or there is a transaction and it cannot be signed, pays out more than it
    /// spends, or spends by key an output that is not the session's own for that input.
    ///
    /// # Panics
    /// When there is not one key for each item.
    pub fn of(definition: &Definition, challenge_keys: &[PublicKey]) -> Result<Self, DefinitionError> {
        assert_eq!(challenge_keys.len(), definition.items.len(), "an item would be shown under the key of another");
        let description = definition.details.description.to_string();
        let Some(spending) = &definition.details.spending else {
            let messages = definition.messages()?.iter().map(|message| Message::of(message)).collect();
            return Ok(Self::new(BTreeSet::from([Unusual::Opaque]), None, description, Signs::Messages(messages)));
        };
        let transaction = TransactionSummary::of(definition, spending, challenge_keys)?;
        let (unusual, warning) = (transaction.unusual(), transaction.warning());
        Ok(Self::new(unusual, warning, description, Signs::Transaction(Box::new(transaction))))
    }

    fn new(unusual: BTreeSet<Unusual>, warning: Option<String>, description: String, signs: Signs) -> Self {
        let warnings = unusual.iter().map(|unusual| unusual.meaning().to_string()).chain(warning).collect();
        Self { unusual, warnings, description, signs }
    }

    /// What is unusual and not among `allowed`.
    pub fn missing(&self, allowed: &BTreeSet<Unusual>) -> BTreeSet<Unusual> {
        self.unusual.difference(allowed).copied().collect()
    }
}
