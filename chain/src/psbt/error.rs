//! Why a PSBT is refused, or cannot go on.

use std::fmt;

use nelumbo_crypto::PublicKey;

use super::MAX_BYTES;

/// Which map of a PSBT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What concerns all of it.
    Global,
    /// An input, from 0.
    Input(usize),
    /// An output, from 0.
    Output(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("the global map"),
            Self::Input(index) => write!(f, "input {index}"),
            Self::Output(index) => write!(f, "output {index}"),
        }
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PsbtError {
    /// So many bytes.
    #[error("a PSBT of {0} bytes, and at most {MAX_BYTES} are read")]
    Size(usize),
    /// Not a PSBT of version 0 (BIP174).
    #[error("this is no PSBT of version 0: {0}")]
    Encoding(String),
    /// A field of BIP373 that breaks its rules.
    #[error("{place}: the MuSig2 field {field:#04x} is wrong: {problem}")]
    Field {
        /// Where.
        place: Place,
        /// The field's type.
        field: u8,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two PSBTs of different transactions.
    #[error("these are PSBTs of different transactions")]
    OtherTransaction,
    /// Two PSBTs, or a PSBT and what is added, have different values for one key. A nonce that changes is an attack, or
    /// a signer that began anew.
    #[error("{place}: {what} is there with two different values")]
    Conflict {
        /// Where.
        place: Place,
        /// Which field.
        what: String,
    },
    /// It is not said what this input spends, and every signature covers it.
    #[error("input {0} does not say which output it spends, or what it says does not fit")]
    NoSpentOutput(usize),
    /// There is no digest.
    #[error("input {input} cannot be signed: {problem}")]
    Digest {
        /// Which input.
        input: usize,
        /// Why.
        problem: String,
    },
    /// The participants' keys make no aggregate, or another than is said.
    #[error("input {input}: {problem}")]
    Participants {
        /// Which input.
        input: usize,
        /// What is wrong.
        problem: String,
    },
    /// The signer with this key is no participant.
    #[error("{0} is no participant of this input")]
    NotAParticipant(PublicKey),
    /// These signers gave nonces or partial signatures that are wrong.
    #[error("input {input}: what {} gave is wrong", list(.signers))]
    Culprits {
        /// Which input.
        input: usize,
        /// Who.
        signers: Vec<PublicKey>,
    },
    /// A signature does not verify.
    #[error("the signature of input {0} is not valid")]
    Signature(usize),
    /// An input has nothing yet that spends it.
    #[error("input {0} is not signed yet")]
    Unsigned(usize),
    /// A script whose other arguments nobody here knows.
    #[error("input {0} runs a script that this version cannot finalise")]
    Script(usize),
}

fn list(keys: &[PublicKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
