//! Why nothing was done, in a form that programs and people can use.
//!
//! Owns the codes, which stay as they are once they have been published. Driven by everything that can fail.

use std::borrow::Cow;
use std::fmt;

use nelumbo_core::api::CommandError;
use nelumbo_core::node::BootError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Error {
    /// For programs: stays the same in later versions.
    pub code: Cow<'static, str>,
    /// For people: what is wrong.
    pub message: String,
    /// For people: what to do about it.
    pub remedy: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(code: &'static str, message: impl fmt::Display, remedy: &'static str) -> Self {
        Self { code: code.into(), message: message.to_string(), remedy: remedy.into() }
    }

    /// What was given has not the form that the schema says.
    pub(crate) fn shape(message: impl fmt::Display) -> Self {
        Self::new("bad-json", message, "compare what was given with schema.json")
    }

    /// A shell was given what is no UTF-8, no pointer, or not as long as it must be.
    pub fn argument(message: impl fmt::Display) -> Self {
        Self::new("bad-argument", message, "see the function's documentation")
    }

    /// The library has a fault. The machine that was called must not be used again.
    pub fn poisoned(message: impl fmt::Display) -> Self {
        Self::new(
            "poisoned",
            format_args!("an assertion of the library has failed: {message}"),
            "free this machine, make another one from its journal, and report the fault",
        )
    }

    /// Whether the library has a fault, and what was called must not be used again.
    pub fn is_poisoned(&self) -> bool {
        self.code == "poisoned"
    }

    /// This as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an error is texts")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}); {}", self.message, self.code, self.remedy)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::shape(error)
    }
}

impl From<BootError> for Error {
    fn from(error: BootError) -> Self {
        let (code, remedy) = match &error {
            BootError::Config(_) => ("bad-config", "change the setting that is named"),
            BootError::Corrupt(_) => (
                "corrupt-journal",
                "do not go on with a part of the journal: look at the storage, and begin with another key",
            ),
            BootError::ForeignSession(_) => ("foreign-journal", "keep one journal for each key"),
            BootError::ForeignNetwork { .. } => ("foreign-network", "keep one journal for each network"),
            BootError::Keys(_) => ("corrupt-journal", "look at the storage, and begin with another key"),
        };
        Self::new(code, error, remedy)
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        let (code, remedy) = match &error {
            CommandError::Definition(_) => ("bad-definition", "change what is to be signed as the message says"),
            CommandError::Keys(_) => ("bad-keys", "check the keys, and that none is there twice"),
            CommandError::Unusual(_) => {
                ("unusual", "look at what is signed; if it is meant, name what is unusual in `allow`")
            }
            CommandError::NotASigner => ("not-a-signer", "put this node's own key among the signers"),
            CommandError::TooManySessions(_) => ("too-many-sessions", "abort or close some sessions first"),
            CommandError::TooManyItems(_) => ("too-many-items", "abort or close some sessions first"),
            CommandError::TooManyEnded(_) => ("too-many-ended", "wait until some sessions expire"),
            CommandError::UnknownSession(_) => ("unknown-session", "look for it in the view"),
            CommandError::Ended(_) => ("ended", "create a new session"),
            CommandError::Expired(_) => ("expired", "check this machine's clock; ask the creator to create it again"),
            CommandError::NotComplete(_) => ("not-complete", "wait for the event session-completed"),
            CommandError::NothingToRetry(_) => ("nothing-to-retry", "wait: no attempt has failed"),
            CommandError::NoAttemptsLeft(_) => ("no-attempts-left", "create a new session"),
            CommandError::Offer(_) => ("bad-offer", "change the offer as the message says"),
            CommandError::OfferLifetime { .. } => ("bad-lifetime", "choose a lifetime as the message says"),
            CommandError::NothingOffered => ("nothing-offered", "nothing has to be done"),
            CommandError::KnownSession(_) => ("known-session", "look at it in the view"),
            CommandError::TooManySearches => ("too-many-searches", "wait for the event search-finished"),
            CommandError::TooManyResources => ("too-many-resources", "withdraw some resources first"),
            CommandError::UnknownProtocol(_) => ("unknown-protocol", "this surface registers no protocols"),
            CommandError::Lifetime => ("bad-lifetime", "choose a lifetime of a millisecond to seven days"),
            CommandError::TooManyPeers => ("too-many-peers", "unban some peers first"),
            CommandError::NotBanned(_) => ("not-banned", "nothing has to be done"),
            CommandError::NotOwned(_) => ("not-owned", "a protocol can touch its own sessions only"),
            CommandError::Policy => ("policy", "change the policy"),
            CommandError::TooManySignatures(_) => ("too-many-signatures", "wait until the signer has answered"),
            CommandError::Signer(_) => ("signer", "see that the signer can be reached"),
            _ => ("refused", "do as the message says"),
        };
        Self::new(code, error, remedy)
    }
}
