//! What the demonstration and its nodes say to each other.
//!
//! Owns both directions. Between processes each message is one line of JSON, on the node's standard input and output.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use nelumbo_core::crypto::{PublicKey, Signature, Suite};
use nelumbo_core::wire::SessionId;
use serde::{Deserialize, Serialize};

use crate::spending::SpendingFile;

/// How the nodes are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// TCP, with Noise and yamux
    Tcp,
    /// QUIC, over UDP
    Quic,
    /// WebSocket, over TCP
    Ws,
}

impl Transport {
    /// The address of a port on this machine, as libp2p writes it; port 0 is any free one.
    pub(crate) fn loopback(self, port: u16) -> String {
        match self {
            Self::Tcp => format!("/ip4/127.0.0.1/tcp/{port}"),
            Self::Quic => format!("/ip4/127.0.0.1/udp/{port}/quic-v1"),
            Self::Ws => format!("/ip4/127.0.0.1/tcp/{port}/ws"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Ws => "ws",
        })
    }
}

/// How a node is to start. Its key is its own: it draws one and tells the public half.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Where it keeps its journal.
    pub(crate) folder: PathBuf,
    /// Where it listens.
    pub(crate) listen: String,
    /// The one node whose address it knows; none for that node itself.
    pub(crate) through: Option<String>,
    /// How many nodes there will be.
    pub(crate) nodes: usize,
    /// Whether it is to meet nobody but those whom it has a reason to.
    pub(crate) is_stranger: bool,
    /// How long a coordinator's turn is, in milliseconds; none for the usual time.
    pub(crate) turn_ms: Option<u64>,
    /// Where it is recorded, if it is.
    pub(crate) record: Option<PathBuf>,
}

/// What a node is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Begin. The first order, and given once.
    Start(Start),
    /// Say how many of these signers are connected, now and whenever it changes.
    Meet {
        /// All signers.
        keys: Vec<PublicKey>,
    },
    /// Create a session.
    Sign {
        /// The rules.
        suite: Suite,
        /// All signers.
        keys: Vec<PublicKey>,
        /// What is signed, item by item, in hexadecimal.
        messages: Vec<String>,
    },
    /// Offer to sign.
    Advertise,
    /// Find signers that advertise.
    Find {
        /// How many.
        others: usize,
    },
    /// Ask those that were found to sign.
    Request {
        /// The rules.
        suite: Suite,
        /// What is signed, item by item, in hexadecimal.
        messages: Vec<String>,
    },
    /// Create a session that signs all inputs of this transaction, by the key of the signers' Taproot output.
    Spend {
        /// The rules, and with them the ledger.
        suite: Suite,
        /// All signers.
        keys: Vec<PublicKey>,
        /// The transaction.
        spending: Box<SpendingFile>,
    },
    /// Broadcast what was signed, and tell the others so. Without a payment there is no chain to broadcast it to.
    Broadcast {
        /// Of which session.
        session: SessionId,
        /// The transaction, and where it is to go.
        payment: Option<Payment>,
    },
    /// End well.
    Stop,
}

/// A signed transaction, and the Chronik server that takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) server: String,
    /// In hexadecimal.
    pub(crate) transaction: String,
}

/// What a node says of the turns to broadcast. Named as the node's own events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "turn", rename_all = "kebab-case")]
pub(crate) enum Turn {
    /// It is its own turn.
    ShouldBroadcast,
    /// This signer's turn is over without a word.
    CoordinatorFailed {
        /// The signer.
        coordinator: PublicKey,
    },
    /// Everyone's turn is over.
    FailoverExhausted,
    /// This signer says that it has broadcast the signature.
    BroadcastClaimed {
        /// The signer.
        by: PublicKey,
    },
}

/// What a node says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub(crate) enum Report {
    /// It listens.
    Started {
        /// Its public key.
        key: PublicKey,
        /// Its address, with its peer id.
        address: String,
    },
    /// How many of the signers it is connected to.
    Met {
        /// Others than itself.
        others: usize,
    },
    /// Its offer is on its way.
    Advertised,
    /// It has found all signers.
    Found {
        /// Their keys.
        keys: Vec<PublicKey>,
    },
    /// It has created a session.
    Created {
        /// Which session.
        session: SessionId,
        /// The first message that it signs, in hexadecimal.
        message: String,
    },
    /// It is asked to sign.
    Asked {
        /// Which session.
        session: SessionId,
    },
    /// It takes part.
    Approved {
        /// In which session.
        session: SessionId,
    },
    /// It has every signer's nonce, and its partial signatures are out.
    NoncesExchanged {
        /// Of which session.
        session: SessionId,
    },
    /// It has the signatures.
    Signed {
        /// Of which session.
        session: SessionId,
        /// The signature of each item, which the node has verified.
        signatures: Vec<Signature>,
    },
    /// Something about whose turn it is to broadcast.
    Turn {
        /// In which session.
        session: SessionId,
        /// What.
        turn: Turn,
    },
    /// It cannot go on.
    Failed {
        /// Why.
        problem: String,
        /// What the caller can do about it, if what the node was given is the reason.
        remedy: Option<String>,
    },
    /// It has stopped, and its journal is written out.
    Stopped,
}
