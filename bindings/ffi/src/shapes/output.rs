//! What a node asks of its host.

use nelumbo_core::api::{self, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::signing::SignRequest;
use super::text::{AddressHex, Hex, Id, Peer};
use super::words::Word;

/// Something for the host to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Output {
    /// Make this record durable, then report the input `persisted`. A later record with the same key replaces an
    /// earlier one; no value removes it. Records become durable in order.
    Persist {
        /// The record's number.
        sequence: Id,
        /// The record's key.
        key: Hex,
        /// The record's value.
        value: Option<Hex>,
    },
    /// Ask the signer for this, and report its answer as the input `signed`. A machine that has the signing key never
    /// says this: it asks itself.
    Sign {
        /// What.
        request: SignRequest,
    },
    /// Send these bytes to a connected peer as one direct message.
    Send {
        /// The receiver.
        peer: Peer,
        /// The message.
        bytes: Hex,
    },
    /// Take part in this gossip topic from now on.
    Subscribe {
        /// The topic's name.
        topic: String,
    },
    /// Take part in this gossip topic no more.
    Unsubscribe {
        /// The topic's name.
        topic: String,
    },
    /// Publish these bytes by gossip. No subscribers is no error.
    Publish {
        /// The topic's name.
        topic: String,
        /// The message.
        bytes: Hex,
    },
    /// What to do with a gossip message.
    Verdict {
        /// The host's name for it.
        id: Id,
        /// What to do.
        verdict: Verdict,
    },
    /// Connect to a peer and stay connected.
    Dial {
        /// The peer.
        peer: Peer,
        /// Where it was last known to listen; may be empty.
        addresses: Vec<AddressHex>,
    },
    /// No session needs this peer any more: the connection may be pruned.
    Release {
        /// The peer.
        peer: Peer,
    },
    /// Close all connections to this peer and accept none, until `unban`.
    Ban {
        /// The peer.
        peer: Peer,
    },
    /// Accept connections to this peer again.
    Unban {
        /// The peer.
        peer: Peer,
    },
    /// Look for records under this key in the DHT.
    Lookup {
        /// The node's name for the lookup.
        operation: Id,
        /// The DHT key.
        key: String,
    },
    /// Store an offered record, for others to find.
    AcceptRecord {
        /// The host's name for it.
        id: Id,
        /// The value to store.
        value: Hex,
        /// For how long.
        lifetime_ms: u64,
    },
    /// Remove a record that was stored for others.
    RemoveRecord {
        /// The DHT key.
        key: String,
    },
    /// Do not store an offered record.
    RejectRecord {
        /// The host's name for it.
        id: Id,
        /// Why.
        refusal: Word<Refusal>,
    },
    /// Put this record into the DHT. Where this node itself stores another value under the key, what it stores is the
    /// call `merge-own` of both.
    Store {
        /// The DHT key.
        key: String,
        /// The value.
        value: Hex,
        /// For how long it is valid.
        lifetime_ms: u64,
    },
    /// Tell the embedder.
    Event {
        /// What has happened.
        event: Event,
    },
}

/// What becomes of a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Pass it on.
    Accept,
    /// Drop it; nobody is to blame.
    Ignore,
    /// Drop it; the peer that passed it on should have known better.
    Reject,
}

impl From<api::Verdict> for Verdict {
    fn from(verdict: api::Verdict) -> Self {
        match verdict {
            api::Verdict::Accept => Self::Accept,
            api::Verdict::Ignore => Self::Ignore,
            api::Verdict::Reject => Self::Reject,
        }
    }
}
