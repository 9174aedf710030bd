//! The observations that a peer emits.

use nelumbo_core::api::{Event, Phase};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::NonceSlot;
use nelumbo_core::wire::{Body, Content, Message, SessionId};

use super::frame::Frame;
use crate::random::fold;
use crate::services::LookupStats;

/// A fault that a peer finds in its own node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeFault {
    /// The node cannot start from its own disk.
    Boot,
    /// The node keeps more than its limits allow.
    Limits,
}

/// What NATs and relays did to dials and circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatEvent {
    /// A NAT did not let a dial in, and there is no relay.
    DialRefused,
    /// A relay helped two machines to a direct connection.
    DialUpgraded,
    /// A relay opened a circuit.
    CircuitOpened,
    /// A relay cut a circuit that had reached its limits.
    CircuitCut,
}

impl NatEvent {
    /// Its name in summaries and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DialRefused => "dials-refused",
            Self::DialUpgraded => "dials-upgraded",
            Self::CircuitOpened => "circuits-opened",
            Self::CircuitCut => "circuits-cut",
        }
    }
}

/// An observation of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The node is running.
    Up,
    /// What the node knows from its disk, after a restart, of its sessions.
    Restored {
        /// The time by the machine's wall clock.
        wall: Wall,
        /// Each session, and where it stands.
        sessions: Vec<(SessionId, Phase)>,
    },
    /// The node is not running any more.
    Down,
    /// The machine is connected to a peer.
    Connected(u32),
    /// The machine is not connected to a peer any more.
    Disconnected(u32),
    /// The node was asked for a session among these, or could not make one.
    SessionRequested(Option<Vec<u32>>),
    /// The node sends a direct message; emitted once for all its receivers.
    Sent {
        /// The message.
        bytes: Bytes,
        /// The machine's wall clock when the node decided to, or before.
        decided: Wall,
    },
    /// The node asks its signer for nonces or partial signatures.
    SignerAsked {
        /// Of this attempt.
        slot: NonceSlot,
        /// The machine's wall clock when the node decided to, or before.
        decided: Wall,
    },
    /// The node emits an event.
    Event(Event),
    /// A lookup of the node's has ended.
    LookupFinished(LookupStats),
    /// A NAT or a relay has done something.
    Nat(NatEvent),
    /// Something is wrong with the node.
    Fault(NodeFault, String),
    /// A direct message goes to this machine, and arrives with this digest unless it is lost; emitted in traced runs
    /// alone.
    Dispatched(u32, Arrival),
    /// An event arrives; emitted in traced runs alone, before everything else that the event leads to.
    Arrived(Arrival),
}

/// What arrives at a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What kind of message, or what a timer is for.
    pub kind: &'static str,
    /// The session that a node's message is about.
    pub session: Option<SessionId>,
    /// How many bytes; none for timers.
    pub bytes: u32,
    /// A hash of a message's content.
    pub digest: u64,
}

impl Arrival {
    pub(super) fn message(frame: &Frame<'_>, payload: &[u8]) -> Self {
        let (kind, session, content) = match frame {
            Frame::Direct { bytes, .. } => {
                let (kind, session) = kind_of(&Bytes::from(*bytes));
                (kind, session, *bytes)
            }
            frame => (frame.name(), None, payload),
        };
        Self { kind, session, bytes: payload.len() as u32, digest: fold(0, content) }
    }

    /// A timer. One that was set before a crash is stale and does nothing.
    pub(super) const fn timer(kind: &'static str, is_ours: bool) -> Self {
        let kind = if is_ours { kind } else { "stale" };
        Self { kind, session: None, bytes: 0, digest: 0 }
    }
}

/// The kind of a node's message, and the session that it is about.
#[must_use]
pub fn kind_of(bytes: &Bytes) -> (&'static str, Option<SessionId>) {
    let Ok(message) = Message::decode(bytes.clone()) else { return ("garbage", None) };
    let step = match message.unsigned.body {
        Body::Session(step) => step,
        Body::Presence(_) => return ("presence", None),
        Body::Advertisement(_) => return ("advertisement", None),
        Body::Request(definition) => return ("request", Some(definition.id())),
        Body::RequestNotice(notice) => return ("request-notice", Some(notice.session)),
        Body::Resource(_) => return ("resource", None),
        Body::Listing(_) => return ("listing", None),
        Body::Protocol(_) => return ("protocol", None),
    };
    let kind = match step.content {
        Content::Announce { .. } => "announce",
        Content::Join { .. } => "join",
        Content::Partial { .. } => "partial",
        Content::Finalized { .. } => "finalized",
        Content::Abort { .. } => "abort",
        Content::Confirmed => "confirmed",
        Content::Status { .. } => "status",
        Content::Waiting => "waiting",
        Content::Busy => "busy",
    };
    (kind, Some(step.session))
}
