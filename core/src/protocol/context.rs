//! What a protocol may ask for.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::api::NewSession;
use crate::approval::Unusual;
use crate::base::Now;
use crate::crypto::PublicKey;
use crate::single::Single;
use crate::wire::{AbortReason, Data, Label, PeerId, Receiver, SessionId};

/// What a protocol may ask for while it is told something; it happens afterwards, in order. What is said or done after
/// a record was [`persist`](Self::persist)ed waits until the record is durable.
#[derive(Debug)]
pub struct ProtocolContext {
    /// The time.
    pub now: Now,
    /// This node's key.
    pub own_key: PublicKey,
    /// This node's peer.
    pub own_peer: PeerId,
    pub(crate) holdings: Holdings,
    /// How much there may be of what it has, beside what other protocols have.
    pub(crate) room: Room,
    pub(crate) requests: Vec<ProtocolRequest>,
}

/// Why a protocol does not get what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// There are as many timers as `limits.protocol_timers` allows.
    TooManyTimers,
    /// There are as many topics as `limits.protocol_topics` allows.
    TooManyTopics,
    /// There are as many records as `limits.protocol_records` allows, or as many bytes in them as
    /// `limits.protocol_record_bytes` does.
    TooManyRecords,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyTimers => "protocols have as many timers as limits.protocol_timers allows",
            Self::TooManyTopics => "protocols listen to as many topics as limits.protocol_topics allows",
            Self::TooManyRecords => {
                "protocols have as many records as limits.protocol_records and limits.protocol_record_bytes allow"
            }
        })
    }
}

impl core::error::Error for ProtocolError {}

/// What a protocol has.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(super) records: BTreeMap<Label, Vec<u8>>,
    /// How many bytes names and values of the records have.
    pub(super) bytes: usize,
    pub(super) topics: BTreeSet<Label>,
    pub(super) timers: BTreeSet<Label>,
    pub(super) is_searching: bool,
}

/// How much a protocol may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) topics: usize,
    pub(super) timers: usize,
}

/// Something that a protocol asks for.
#[derive(Debug)]
pub(crate) enum ProtocolRequest {
    Send { to: Receiver, payload: Vec<u8> },
    Announce { name: Label, data: Option<Data>, lifetime: Duration },
    Event { payload: Vec<u8> },
    Timer { name: Label, after: Option<Duration> },
    Subscribe(Label),
    Unsubscribe(Label),
    Search,
    Persist { name: Label, value: Option<Vec<u8>> },
    Create { name: Label, session: Box<NewSession> },
    Join { session: SessionId, allow: BTreeSet<Unusual> },
    Abort { session: SessionId, reason: AbortReason },
    Retry(SessionId),
    ConfirmBroadcast(SessionId),
    Close(SessionId),
    Sign { name: Label, single: Box<Single>, allow: BTreeSet<Unusual> },
}

/// Whether something that a protocol asks for can be seen outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// By others: it waits for the protocol's records.
    Visible,
    /// By nobody.
    Private,
}

impl ProtocolRequest {
    pub(crate) const fn visibility(&self) -> Visibility {
        match self {
            Self::Timer { .. } | Self::Subscribe(_) | Self::Unsubscribe(_) | Self::Search | Self::Persist { .. } => {
                Visibility::Private
            }
            Self::Send { .. }
            | Self::Announce { .. }
            | Self::Event { .. }
            | Self::Create { .. }
            | Self::Join { .. }
            | Self::Abort { .. }
            | Self::Retry(_)
            | Self::ConfirmBroadcast(_)
            | Self::Close(_)
            | Self::Sign { .. } => Visibility::Visible,
        }
    }
}

impl ProtocolRequest {
    /// The session that it is about.
    pub(super) const fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Join { session, .. }
            | Self::Abort { session, .. }
            | Self::Retry(session)
            | Self::ConfirmBroadcast(session)
            | Self::Close(session) => Some(session),
            _ => None,
        }
    }
}

impl ProtocolContext {
    /// Sends a message to a signer, now or when it can be reached, signed with this node's key. It may be lost: only an
    /// answer is proof that it has arrived. At most [`MAX_PAYLOAD`](crate::wire::MAX_PAYLOAD) bytes; a longer one is
    /// not sent.
    pub fn send(&mut self, to: PublicKey, payload: Vec<u8>) {
        self.requests.push(ProtocolRequest::Send { to: Receiver::Signer(to), payload });
    }

    /// The same, to a connected peer, whatever key it holds. To a peer that is not connected nothing is sent.
    pub fn send_to_peer(&mut self, to: PeerId, payload: Vec<u8>) {
        self.requests.push(ProtocolRequest::Send { to: Receiver::Peer(to), payload });
    }

    /// Publishes a message by gossip, to whoever [`subscribe`](Self::subscribe)s to this topic of the protocol. At most
    /// [`MAX_PUBLISHED`](crate::wire::MAX_PUBLISHED) bytes, and no more often than others take it from one author
    /// (`limits.topic_messages_per_author`); what is more is not published.
    pub fn publish(&mut self, topic: Label, payload: Vec<u8>) {
        self.requests.push(ProtocolRequest::Send { to: Receiver::Topic(topic), payload });
    }

    /// Listens to a topic of the protocol from now on.
    ///
    /// # Errors
    /// [`ProtocolError::TooManyTopics`].
    pub fn subscribe(&mut self, topic: Label) -> Result<(), ProtocolError> {
        let topics = &mut self.holdings.topics;
        if topics.contains(&topic) {
            return Ok(());
        }
        if topics.len() >= self.room.topics {
            return Err(ProtocolError::TooManyTopics);
        }
        topics.insert(topic.clone());
        self.requests.push(ProtocolRequest::Subscribe(topic));
        Ok(())
    }

    /// Listens to a topic no more.
    pub fn unsubscribe(&mut self, topic: &Label) {
        if self.holdings.topics.remove(topic) {
            self.requests.push(ProtocolRequest::Unsubscribe(topic.clone()));
        }
    }

    /// Announces a resource of the protocol's kind, or announces it anew; without data it is withdrawn. Over the limits
    /// of [`Command::AnnounceResource`](crate::api::Command::AnnounceResource) nothing is announced.
    pub fn announce(&mut self, name: Label, data: Option<Data>, lifetime: Duration) {
        self.requests.push(ProtocolRequest::Announce { name, data, lifetime });
    }

    /// Looks for resources of the protocol's kind, among those already known and in the DHT:
    /// [`on_found`](super::Protocol::on_found) for each, then
    /// [`on_search_finished`](super::Protocol::on_search_finished). While one search is under way, another is none.
    pub fn search(&mut self) {
        if !core::mem::replace(&mut self.holdings.is_searching, true) {
            self.requests.push(ProtocolRequest::Search);
        }
    }

    /// Tells the embedder, by [`Event::ProtocolEvent`](crate::api::Event::ProtocolEvent).
    pub fn event(&mut self, payload: Vec<u8>) {
        self.requests.push(ProtocolRequest::Event { payload });
    }

    /// Calls back under this name after this time, and after a millisecond at the earliest; a timer of the same name is
    /// replaced.
    ///
    /// # Errors
    /// [`ProtocolError::TooManyTimers`].
    pub fn set_timer(&mut self, name: Label, after: Duration) -> Result<(), ProtocolError> {
        let timers = &mut self.holdings.timers;
        if !timers.contains(&name) {
            if timers.len() >= self.room.timers {
                return Err(ProtocolError::TooManyTimers);
            }
            timers.insert(name.clone());
        }
        self.requests.push(ProtocolRequest::Timer { name, after: Some(after) });
        Ok(())
    }

    /// Takes a timer back.
    pub fn cancel_timer(&mut self, name: &Label) {
        if self.holdings.timers.remove(name) {
            self.requests.push(ProtocolRequest::Timer { name: name.clone(), after: None });
        }
    }

    /// Its records, by name: as it has set them last, also before a restart.
    pub fn records(&self) -> impl ExactSizeIterator<Item = (&Label, &[u8])> {
        self.holdings.records.iter().map(|(name, value)| (name, value.as_slice()))
    }

    /// One of its records.
    pub fn record(&self, name: &Label) -> Option<&[u8]> {
        self.holdings.records.get(name).map(Vec::as_slice)
    }

    /// Sets a record, over restarts, until it is removed.
    ///
    /// # Errors
    /// [`ProtocolError::TooManyRecords`]; then the record stays as it was.
    pub fn persist(&mut self, name: Label, value: Vec<u8>) -> Result<(), ProtocolError> {
        let Holdings { records, bytes, .. } = &mut self.holdings;
        let before = records.get(&name).map(|before| size(&name, before));
        let after = (*bytes - before.unwrap_or(0)).saturating_add(size(&name, &value));
        if (before.is_none() && records.len() >= self.room.records) || after > self.room.bytes {
            return Err(ProtocolError::TooManyRecords);
        }
        *bytes = after;
        records.insert(name.clone(), value.clone());
        self.requests.push(ProtocolRequest::Persist { name, value: Some(value) });
        Ok(())
    }

    /// Removes a record.
    pub fn remove_record(&mut self, name: &Label) {
        if let Some(value) = self.holdings.records.remove(name) {
            self.holdings.bytes -= size(name, &value);
            self.requests.push(ProtocolRequest::Persist { name: name.clone(), value: None });
        }
    }

    /// Creates a session, which belongs to the protocol and is approved by this node with it; the answer,
    /// [`on_created`](super::Protocol::on_created), has this name.
    pub fn create(&mut self, name: Label, session: NewSession) {
        self.requests.push(ProtocolRequest::Create { name, session: Box::new(session) });
    }

    /// Approves a session that belongs to the protocol: this node signs. `allow` names what may be unusual about it.
    pub fn join(&mut self, session: SessionId, allow: BTreeSet<Unusual>) {
        self.requests.push(ProtocolRequest::Join { session, allow });
    }

    /// Refuses a session that belongs to the protocol, or stops one that has not completed.
    pub fn abort(&mut self, session: SessionId, reason: AbortReason) {
        self.requests.push(ProtocolRequest::Abort { session, reason });
    }

    /// Makes a new attempt at a session that belongs to the protocol and whose last one failed.
    pub fn retry(&mut self, session: SessionId) {
        self.requests.push(ProtocolRequest::Retry(session));
    }

    /// The final signature of a session that belongs to the protocol has been broadcast: nobody else needs to.
    pub fn confirm_broadcast(&mut self, session: SessionId) {
        self.requests.push(ProtocolRequest::ConfirmBroadcast(session));
    }

    /// Forgets a session that belongs to the protocol; one that has not ended is aborted first.
    pub fn close(&mut self, session: SessionId) {
        self.requests.push(ProtocolRequest::Close(session));
    }

    /// Has something signed with this node's key alone: an input of a transaction that is shown, or a statement.
    /// `allow` names what may be unusual about it. The answer, [`on_signature`](super::Protocol::on_signature), has
    /// this name; a request under the same name that has not been answered is given up. A device may ask its person,
    /// so that an answer may take long, and after a restart none comes: then ask again.
    pub fn sign(&mut self, name: Label, single: Single, allow: BTreeSet<Unusual>) {
        self.requests.push(ProtocolRequest::Sign { name, single: Box::new(single), allow });
    }
}

/// How many bytes a record counts.
pub(super) fn size(name: &Label, value: &[u8]) -> usize {
    name.as_str().len() + value.len()
}
