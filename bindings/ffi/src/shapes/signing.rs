//! What a node asks of the signer that has its key, and what that answers: both ways, so that the signer can be
//! anywhere.
//!
//! Invariant: a request is read back as the same one, so that an identical request gets the identical answer.

use std::sync::Arc;

use nelumbo_core::api;
use nelumbo_core::crypto::{self, Network, SignerError, Suite};
use nelumbo_core::single;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::session::{Definition, SignedInput, Spending, Tweak};
use super::text::{Bytes32, Hex, Name, NonceHex, PartialHex, SignatureHex, To};
use super::words::Word;
use crate::Error;

/// Something for the signer to do. An identical request gets the identical answer, for as long as the signer remembers
/// its slot; another one for the same slot is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignRequest {
    /// Draw the nonces of an attempt. Whoever answers has agreed to sign.
    Nonces {
        /// The session and the attempt.
        slot: Slot,
        /// The session, whole.
        definition: Definition,
    },
    /// Sign with them. Nobody is asked again.
    Partials {
        /// The session and the attempt.
        slot: Slot,
        /// For each item of the session the public nonces of all its signers, in key order.
        nonces: Vec<Vec<NonceHex>>,
    },
    /// Sign something with the key alone, outside of every session.
    Single {
        /// Names the request.
        id: Bytes32,
        /// What is signed.
        single: Single,
    },
    /// Wipe the nonces of an attempt that will not be signed. It has no reply.
    Forget {
        /// The session and the attempt.
        slot: Slot,
    },
    /// Wipe all nonces: the node has begun anew. It has no reply.
    ForgetAll {},
}

/// The one place where a nonce is used: an attempt of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The session's id.
    pub session: Bytes32,
    /// Which attempt of the session.
    pub attempt: u32,
}

/// What one key signs by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Single {
    /// An input of a transaction.
    Input {
        /// The network that the transaction is for.
        network: Word<Network>,
        /// The rules, and with them the ledger.
        suite: Word<Suite>,
        /// The transaction, and the outputs that it spends.
        spending: Spending,
        /// Which input, and how.
        signed: SignedInput,
        /// What the key is changed by.
        #[serde(default)]
        tweak: Tweak,
    },
    /// A statement, such as that messages are signed by another key.
    Statement {
        /// The network that the key belongs to.
        network: Word<Network>,
        /// What it is for.
        name: Name,
        /// What is stated.
        text: Hex,
    },
}

/// What the signer answers: what was asked for, or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignReply {
    /// The public nonces of an attempt.
    Nonces {
        /// The request's slot.
        slot: Slot,
        /// For each item this signer's public nonce.
        nonces: Vec<NonceHex>,
    },
    /// The partial signatures of an attempt.
    Partials {
        /// The request's slot.
        slot: Slot,
        /// For each item this signer's partial signature.
        partials: Vec<PartialHex>,
    },
    /// The signature of one key alone.
    Single {
        /// The request's id.
        id: Bytes32,
        /// The signature.
        signature: SignatureHex,
    },
    /// There are no nonces, for this reason.
    NoNonces {
        /// The request's slot.
        slot: Slot,
        /// Why.
        error: Word<SignerError>,
    },
    /// There are no partial signatures, for this reason.
    NoPartials {
        /// The request's slot.
        slot: Slot,
        /// Why.
        error: Word<SignerError>,
    },
    /// There is no signature of one key alone, for this reason.
    NoSingle {
        /// The request's id.
        id: Bytes32,
        /// Why.
        error: Word<SignerError>,
    },
}

impl From<crypto::NonceSlot> for Slot {
    fn from(from: crypto::NonceSlot) -> Self {
        Self { session: Bytes32(from.session), attempt: from.attempt }
    }
}

impl From<Slot> for crypto::NonceSlot {
    fn from(from: Slot) -> Self {
        Self { session: from.session.0, attempt: from.attempt }
    }
}

impl From<&api::SignRequest> for SignRequest {
    fn from(from: &api::SignRequest) -> Self {
        match from {
            api::SignRequest::Nonces { slot, definition } => {
                Self::Nonces { slot: (*slot).into(), definition: (&**definition).into() }
            }
            api::SignRequest::Partials { slot, nonces } => {
                Self::Partials { slot: (*slot).into(), nonces: nonces.clone().to() }
            }
            api::SignRequest::Single { id, single } => Self::Single { id: Bytes32(id.0), single: (&**single).into() },
            api::SignRequest::Forget(slot) => Self::Forget { slot: (*slot).into() },
            api::SignRequest::ForgetAll => Self::ForgetAll {},
        }
    }
}

impl TryFrom<SignRequest> for api::SignRequest {
    type Error = Error;

    fn try_from(from: SignRequest) -> Result<Self, Error> {
        Ok(match from {
            SignRequest::Nonces { slot, definition } => {
                Self::Nonces { slot: slot.into(), definition: definition.try_into()? }
            }
            SignRequest::Partials { slot, nonces } => Self::Partials { slot: slot.into(), nonces: nonces.to() },
            SignRequest::Single { id, single } => {
                Self::Single { id: single::SingleId(id.0), single: Arc::new(single.try_into()?) }
            }
            SignRequest::Forget { slot } => Self::Forget(slot.into()),
            SignRequest::ForgetAll {} => Self::ForgetAll,
        })
    }
}

impl From<&single::Single> for Single {
    fn from(from: &single::Single) -> Self {
        match from {
            single::Single::Input(input) => Self::Input {
                network: Word(input.network),
                suite: Word(input.suite),
                spending: (&input.spending).into(),
                signed: (&input.input).into(),
                tweak: input.tweak.into(),
            },
            single::Single::Statement(statement) => Self::Statement {
                network: Word(statement.network),
                name: Name(statement.name.clone()),
                text: Hex(statement.text.clone()),
            },
        }
    }
}

impl TryFrom<Single> for single::Single {
    type Error = Error;

    fn try_from(from: Single) -> Result<Self, Error> {
        Ok(match from {
            Single::Input { network, suite, spending, signed, tweak } => Self::Input(Box::new(single::SingleInput {
                network: network.0,
                suite: suite.0,
                spending: spending.into(),
                input: signed.try_into()?,
                tweak: tweak.into(),
            })),
            Single::Statement { network, name, text } => {
                Self::Statement(single::Statement { network: network.0, name: name.0, text: text.0 })
            }
        })
    }
}

impl From<api::SignReply> for SignReply {
    fn from(from: api::SignReply) -> Self {
        match from {
            api::SignReply::Nonces { slot, nonces } => match nonces {
                Ok(nonces) => Self::Nonces { slot: slot.into(), nonces: nonces.to() },
                Err(error) => Self::NoNonces { slot: slot.into(), error: Word(error) },
            },
            api::SignReply::Partials { slot, partials } => match partials {
                Ok(partials) => Self::Partials { slot: slot.into(), partials: partials.to() },
                Err(error) => Self::NoPartials { slot: slot.into(), error: Word(error) },
            },
            api::SignReply::Single { id, signature } => match signature {
                Ok(signature) => Self::Single { id: Bytes32(id.0), signature: SignatureHex(signature) },
                Err(error) => Self::NoSingle { id: Bytes32(id.0), error: Word(error) },
            },
        }
    }
}

impl From<SignReply> for api::SignReply {
    fn from(from: SignReply) -> Self {
        let single = |id: Bytes32| single::SingleId(id.0);
        match from {
            SignReply::Nonces { slot, nonces } => Self::Nonces { slot: slot.into(), nonces: Ok(nonces.to()) },
            SignReply::NoNonces { slot, error } => Self::Nonces { slot: slot.into(), nonces: Err(error.0) },
            SignReply::Partials { slot, partials } => Self::Partials { slot: slot.into(), partials: Ok(partials.to()) },
            SignReply::NoPartials { slot, error } => Self::Partials { slot: slot.into(), partials: Err(error.0) },
            SignReply::Single { id, signature } => Self::Single { id: single(id), signature: Ok(signature.0) },
            SignReply::NoSingle { id, error } => Self::Single { id: single(id), signature: Err(error.0) },
        }
    }
}
