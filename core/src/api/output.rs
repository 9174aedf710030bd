//! What a node asks of its host.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::CommandId;
use super::event::Event;
use super::input::{GossipId, OperationId, PutId};
use super::refusal::Refusal;
use super::signing::SignRequest;
use crate::base::{Bytes, Mono, shared};
use crate::wire::{Address, Label, PeerId, SessionId};

/// Counts records from 1 in the order in which they were handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordSequence(u64);

impl RecordSequence {
    /// The record with this number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The record's number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The name of a gossip topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Topic(Cow<'static, str>);

impl Topic {
    /// The topic with this name.
    pub const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A topic of another protocol.
    pub(crate) fn of_protocol(protocol: &Label, topic: &Label) -> Self {
        Self(Cow::Owned(format!("protocol:{protocol}:{topic}")))
    }

    /// The topic's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What becomes of a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Pass it on.
    Accept,
    /// Drop it; nobody is to blame.
    Ignore,
    /// Drop it; the peer that passed it on should have known better.
    Reject,
}

/// Something for the host to do. "Done" is never taken on trust: what matters comes back as an input or as a peer's
/// signed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Output {
    /// Make this record durable, then report [`Input::Persisted`](super::Input::Persisted). A later record with the
    /// same key replaces an earlier one; no value removes it. Records become durable in order.
    Persist {
        /// The record's number.
        sequence: RecordSequence,
        /// The record's key.
        key: Vec<u8>,
        /// The record's value.
        value: Option<Vec<u8>>,
    },
    /// Ask the signer for this, and report its answer as [`Input::Signed`](super::Input::Signed). What is asked for a
    /// session stands behind the session's records: an attempt and the use of its nonces are durable before the signer
    /// hears of them. Requests are to reach the signer in their order. Where it cannot be reached,
    /// [`SignRequest::failed`] is the reply.
    Sign(SignRequest),
    /// Send these bytes to a connected peer as one direct message.
    Send {
        /// The receiver.
        to: PeerId,
        /// The message.
        #[serde(with = "shared")]
        bytes: Bytes,
    },
    /// Take part in this gossip topic from now on.
    Subscribe(Topic),
    /// Take part in this gossip topic no more.
    Unsubscribe(Topic),
    /// Publish these bytes by gossip. No subscribers is no error.
    Publish {
        /// On which topic.
        topic: Topic,
        /// The message.
        #[serde(with = "shared")]
        bytes: Bytes,
    },
    /// What to do with a gossip message.
    Verdict {
        /// The host's name for it.
        id: GossipId,
        /// What to do.
        verdict: Verdict,
    },
    /// Connect to a peer and stay connected.
    Dial {
        /// The peer.
        peer: PeerId,
        /// Where it was last known to listen; may be empty.
        addresses: Vec<Address>,
    },
    /// No session needs this peer any more: the connection may be pruned.
    Release(PeerId),
    /// Close all connections to this peer and accept none, until [`Unban`](Self::Unban), which comes by itself when the
    /// ban has an end.
    Ban(PeerId),
    /// Accept connections to this peer again.
    Unban(PeerId),
    /// Look for records under this key in the DHT.
    Lookup {
        /// The node's name for the lookup.
        operation: OperationId,
        /// The DHT key.
        key: String,
    },
    /// Store an offered record, for others to find; of a list it may have become more than was offered.
    AcceptRecord {
        /// The host's name for it.
        id: PutId,
        /// The value to store.
        #[serde(with = "shared")]
        value: Bytes,
        /// For how long.
        lifetime: Duration,
    },
    /// Remove a record that was stored for others: it makes room for the one that is accepted next. What this node has
    /// put under that key itself stays.
    RemoveRecord {
        /// The DHT key.
        key: String,
    },
    /// Do not store an offered record.
    RejectRecord {
        /// The host's name for it.
        id: PutId,
        /// Why.
        refusal: Refusal,
    },
    /// Put this record into the DHT. Where this node itself stores another value under the key, what it stores is
    /// [`merge_own`](crate::wire::merge_own) of both.
    Store {
        /// The DHT key.
        key: String,
        /// The value.
        #[serde(with = "shared")]
        value: Bytes,
        /// For how long it is valid.
        lifetime: Duration,
    },
    /// Tell the embedder.
    Event(Event),
}

/// When to call the node again, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// At or after this time a [`Input::Tick`](super::Input::Tick) has something to do.
    pub at: Mono,
    /// The timer that is due then.
    pub reason: TimerReason,
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerReason {
    /// Sign and publish this node's presence again.
    Presence,
    /// Put what this node announces into the DHT again.
    Store,
    /// Sign and publish this node's advertisement again.
    Advertisement,
    /// Seek signers again that sessions need and that are out of reach.
    Seek,
    /// Another DHT lookup may begin.
    NextLookup,
    /// A search has taken too long.
    Search(CommandId),
    /// A protocol, which is named first, has asked to be called back.
    Protocol(Label, Label),
    /// Protocols have more to do than is done at once.
    ProtocolWork,
    /// Forget early messages whose session never came.
    PendingMessages,
    /// A DHT lookup has taken too long.
    Lookup(OperationId),
    /// The delegation to this node's message key is to be asked for, again or anew.
    Delegation,
    /// A session stands still: ask for what is missing.
    Stalled(SessionId),
    /// A session may begin its next attempt.
    Retry(SessionId),
    /// A coordinator's turn is over.
    Turn(SessionId),
    /// A session's time is over.
    Expired(SessionId),
    /// Forget the ids of closed sessions whose time is over.
    Closed,
    /// A peer's time on the graylist or blacklist is over.
    Standing,
}
