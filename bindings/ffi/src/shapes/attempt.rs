//! Why attempts at a session begin and fail. It only comes out.

use nelumbo_core::api;
use nelumbo_core::crypto::SignerError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Key, To};
use super::words::Word;

/// Why a new attempt began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AttemptCause {
    /// This node was restarted: its nonces of the attempt before are gone for good.
    Restarted,
    /// This node tries again after a failure.
    Retried,
    /// The embedder asked for it.
    Commanded,
    /// This node has approved, after the attempt before had lapsed at others.
    Approved,
    /// All signers have approved by now, and can be reached.
    Gathered,
    /// Another signer had begun it.
    Followed {
        /// Who.
        signer: Key,
    },
    /// For another reason, which this version of the shapes does not know.
    Unknown,
}

impl To<AttemptCause> for api::AttemptCause {
    fn to(self) -> AttemptCause {
        match self {
            Self::Restarted => AttemptCause::Restarted,
            Self::Retried => AttemptCause::Retried,
            Self::Commanded => AttemptCause::Commanded,
            Self::Approved => AttemptCause::Approved,
            Self::Gathered => AttemptCause::Gathered,
            Self::Followed(signer) => AttemptCause::Followed { signer: Key(signer) },
            _ => AttemptCause::Unknown,
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptFailure {
    /// In words, and what to do about it.
    pub message: String,
    /// Which it is: `invalid-partial`, `invalid-nonce`, `split-view`, `nonces-cancel`, `stuck` or `signer`.
    pub code: String,
    /// Who has to do with it, and what it was about; nobody can always be named.
    pub faults: Vec<ItemFault>,
    /// Why this node's own signer has not signed, if it is that.
    pub error: Option<Word<SignerError>>,
}

/// A signer that has to do with a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemFault {
    /// The signer.
    pub signer: Key,
    /// The item, from 0, if it is about one.
    pub item: Option<u32>,
}

impl To<AttemptFailure> for api::AttemptFailure {
    fn to(self) -> AttemptFailure {
        let message = self.to_string();
        let fault = |fault: api::ItemFault| ItemFault { signer: Key(fault.signer), item: Some(fault.item) };
        let keys = |keys: Vec<_>| keys.into_iter().map(|key| ItemFault { signer: Key(key), item: None }).collect();
        let (code, faults, error) = match self {
            Self::InvalidPartial(faults) => ("invalid-partial", faults.into_iter().map(fault).collect(), None),
            Self::InvalidNonce(one) => ("invalid-nonce", vec![fault(one)], None),
            Self::SplitView(signers) => ("split-view", keys(signers), None),
            Self::NoncesCancel => ("nonces-cancel", Vec::new(), None),
            Self::Stuck(signers) => ("stuck", keys(signers), None),
            Self::Signer(error) => ("signer", Vec::new(), Some(Word(error))),
        };
        AttemptFailure { message, code: code.into(), faults, error }
    }
}
