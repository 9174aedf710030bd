//! The other protocols of a node: which there are, what each has, and what they ask for and are told.
//!
//! A machine like the session. Invariants: what a protocol asks for while it is told something happens afterwards, in
//! order, and what others could see of that not before the records that it has set are durable; what protocols have is
//! bounded by `Limits`; of messages that wait for their receivers the oldest makes room. Driven by `Node`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::mem::take;

use super::context::{Holdings, Room, size};
use super::{Notice, Protocol, ProtocolContext, ProtocolRequest, Visibility};
use crate::api::{CommandError, Limits, RecordSequence, Refusal, TimerReason, Verdict};
use crate::approval::Summary;
use crate::base::{Bytes, Map, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::effect::{Context, Effect};
use crate::gate::{Admitted, Bucket};
use crate::single::{Claim, SingleId};
use crate::wire::{Body, Definition, Label, MAX_PAYLOAD, MAX_PUBLISHED, ProtocolMessage, Receiver, SessionId};

/// How many signatures of this node's key alone are awaited at once, for all protocols.
const MAX_SINGLES: usize = 64;

/// All protocols, and what waits for them and because of them.
#[derive(Default)]
pub(crate) struct Protocols {
    by_name: BTreeMap<Label, Entry>,
    /// Which protocol a session belongs to.
    owners: Map<SessionId, Label>,
    work: VecDeque<Work>,
    /// The oldest first.
    waiting: Vec<Waiting>,
    /// Signatures of this node's key alone that are awaited, for whom, and under which name. In a box, because most
    /// nodes never ask for one.
    singles: Option<Box<Singles>>,
    /// How many messages were signed: no two are the same.
    signed: u64,
    published: Bucket,
}

type Singles = BTreeMap<SingleId, (Label, Label, Claim)>;

/// What there is of a protocol. Its records and sessions stay when it is not registered.
#[derive(Default)]
struct Entry {
    protocol: Option<Box<dyn Protocol>>,
    holdings: Holdings,
    /// The newest record that it has set, or that something it was told stands in.
    barrier: RecordSequence,
    /// What waits until that record is durable.
    held: VecDeque<(RecordSequence, ProtocolRequest)>,
}

/// Something that is to be done for a protocol, or that it is to be told.
pub(crate) enum Work {
    Do(Label, ProtocolRequest),
    /// The same, after the records that it has waited for are durable.
    DoAtLast(Label, ProtocolRequest),
    /// All of them, when no one is named.
    Tell(Option<Label>, Notice),
}

struct Waiting {
    to: PublicKey,
    bytes: Bytes,
    until: Wall,
}

impl Protocols {
    /// P1: takes a protocol in. Gives it back when there is another one of its name.
    pub(crate) fn register(&mut self, protocol: Box<dyn Protocol>) -> Result<Label, Box<dyn Protocol>> {
        let name = protocol.name();
        let entry = self.by_name.entry(name.clone()).or_default();
        if entry.protocol.is_some() {
            return Err(protocol);
        }
        entry.protocol = Some(protocol);
        Ok(name)
    }

    /// P2: takes a protocol out. Its records and its sessions stay its own.
    pub(crate) fn unregister<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        name: &Label,
    ) -> Option<Box<dyn Protocol>> {
        let entry = self.by_name.get_mut(name)?;
        let protocol = entry.protocol.take()?;
        self.singles.iter_mut().for_each(|singles| singles.retain(|_, (owner, ..)| owner != name));
        entry.holdings.is_searching = false;
        for timer in take(&mut entry.holdings.timers) {
            context.timer(TimerReason::Protocol(name.clone(), timer), None);
        }
        for topic in take(&mut entry.holdings.topics) {
            context.push(Effect::Protocol(name.clone(), ProtocolRequest::Unsubscribe(topic)));
        }
        self.tidy(name);
        Some(protocol)
    }

    /// Forgets of whom there is nothing.
    fn tidy(&mut self, name: &Label) {
        let is_empty =
            |entry: &Entry| entry.protocol.is_none() && entry.holdings.records.is_empty() && entry.held.is_empty();
        if self.by_name.get(name).is_some_and(is_empty) {
            self.by_name.remove(name);
        }
    }

    /// P3: a record from before the restart. Its protocol gets it when it is registered.
    pub(crate) fn resume_record(&mut self, protocol: Label, name: Label, value: Vec<u8>) {
        let holdings = &mut self.by_name.entry(protocol).or_default().holdings;
        holdings.bytes += size(&name, &value);
        holdings.records.insert(name, value);
    }

    /// Whether a protocol wants a message that is for this node.
    pub(crate) fn hears(&self, message: &ProtocolMessage) -> bool {
        let entry = self.by_name.get(&message.protocol).filter(|entry| entry.protocol.is_some());
        entry.is_some_and(|entry| match &message.to {
            Receiver::Signer(_) | Receiver::Peer(_) => true,
            Receiver::Topic(topic) => entry.holdings.topics.contains(topic),
        })
    }

    /// Whether the protocol that this is for finds that it means something. What is published it judges when it is
    /// told.
    pub(crate) fn accepts(&self, author: &PublicKey, body: &Body) -> bool {
        let of = |name: &Label| self.by_name.get(name).and_then(|entry| entry.protocol.as_ref());
        match body {
            Body::Protocol(ProtocolMessage {
                to: Receiver::Signer(_) | Receiver::Peer(_), protocol, payload, ..
            }) => of(protocol).is_none_or(|protocol| protocol.accepts_message(author, payload)),
            Body::Resource(resource) => {
                of(&resource.kind).is_none_or(|protocol| protocol.accepts_resource(author, resource))
            }
            _ => true,
        }
    }

    /// P14: the embedder wants something of a protocol.
    pub(crate) fn on_command<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        name: &Label,
        payload: &[u8],
    ) -> Result<(), CommandError> {
        let told = self.call(context, name, |protocol, context| protocol.on_command(context, payload));
        told.ok_or_else(|| CommandError::UnknownProtocol(name.clone()))
    }

    /// P4: a message for a protocol.
    pub(crate) fn on_message<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        message: Admitted<ProtocolMessage>,
    ) -> Result<(), Refusal> {
        let (from, message) = message.into_parts();
        let told = self.call(context, &message.protocol, |protocol, context| match &message.to {
            Receiver::Signer(_) | Receiver::Peer(_) => {
                protocol.on_message(context, &from, &message.payload);
                Verdict::Accept
            }
            // P5: what a protocol says of a message to a topic decides what gossip does with it.
            Receiver::Topic(topic) => protocol.on_published(context, topic, &from, &message.payload),
        });
        match told.ok_or(Refusal::Protocol)? {
            Verdict::Accept => Ok(()),
            Verdict::Ignore => Err(Refusal::Policy),
            Verdict::Reject => Err(Refusal::Invalid),
        }
    }

    /// P6: a timer of a protocol is due.
    pub(crate) fn on_timer<V: Verifier>(&mut self, context: &mut Context<'_, V>, name: &Label, timer: &Label) {
        self.call(context, name, |protocol, context| {
            context.holdings.timers.remove(timer);
            protocol.on_timer(context, timer);
        });
    }

    /// P7: something has happened that a protocol wants to know, or all of them.
    pub(crate) fn tell<V: Verifier>(&mut self, context: &mut Context<'_, V>, name: Option<Label>, notice: Notice) {
        let names: Vec<Label> = match name {
            Some(name) => Vec::from([name]),
            None => self.by_name.keys().cloned().collect(),
        };
        for name in names {
            let notice = notice.clone();
            self.call(context, &name, |protocol, context| notice.tell(protocol, context));
        }
    }

    /// P8: another signer asks for a session. Whose is it?
    pub(crate) fn on_announced<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        definition: &Definition,
        summary: &Summary,
    ) {
        let session = definition.id();
        let names: Vec<Label> = self.by_name.keys().cloned().collect();
        let owner = names.into_iter().find(|name| {
            let owns = self.call(context, name, |protocol, context| {
                let owns = protocol.on_announced(context, &session, definition, summary);
                if !owns {
                    // What it wants of somebody else's session it cannot have.
                    context.requests.retain(|request| request.session() != Some(&session));
                }
                owns
            });
            owns == Some(true)
        });
        if let Some(owner) = owner {
            self.owners.insert(session, owner);
        }
    }

    /// Lets a protocol do something. `None` when there is no such protocol.
    fn call<V: Verifier, R>(
        &mut self,
        context: &mut Context<'_, V>,
        name: &Label,
        tell: impl FnOnce(&mut dyn Protocol, &mut ProtocolContext) -> R,
    ) -> Option<R> {
        let room = self.room(name, &context.config.limits);
        let entry = self.by_name.get_mut(name)?;
        let protocol = entry.protocol.as_deref_mut()?;
        let mut called = ProtocolContext {
            now: context.now,
            own_key: context.own_key,
            own_peer: context.own_peer,
            holdings: take(&mut entry.holdings),
            room,
            requests: Vec::new(),
        };
        let result = tell(protocol, &mut called);
        entry.holdings = called.holdings;
        for request in called.requests {
            context.push(Effect::Protocol(name.clone(), request));
        }
        Some(result)
    }

    /// How much a protocol may have, beside what the others have.
    fn room(&self, name: &Label, limits: &Limits) -> Room {
        let mut room = Room {
            records: limits.protocol_records,
            bytes: limits.protocol_record_bytes,
            topics: limits.protocol_topics,
            timers: limits.protocol_timers,
        };
        for (_, Entry { holdings, .. }) in self.by_name.iter().filter(|(other, _)| *other != name) {
            room.records = room.records.saturating_sub(holdings.records.len());
            room.bytes = room.bytes.saturating_sub(holdings.bytes);
            room.topics = room.topics.saturating_sub(holdings.topics.len());
            room.timers = room.timers.saturating_sub(holdings.timers.len());
        }
        room
    }

    /// Signs a message, unless it is too long or is more than others take.
    pub(crate) fn seal<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        protocol: &Label,
        to: Receiver,
        payload: Vec<u8>,
    ) -> Option<(Bytes, Wall)> {
        let (most, is_own) = match &to {
            Receiver::Signer(key) => (MAX_PAYLOAD, *key == context.own_key),
            Receiver::Peer(peer) => (MAX_PAYLOAD, *peer == context.own_peer),
            Receiver::Topic(_) => (MAX_PUBLISHED, false),
        };
        if payload.len() > most || is_own {
            return None;
        }
        let quota = context.config.limits.topic_messages_per_author;
        if matches!(to, Receiver::Topic(_)) && !self.published.take(quota, 1, context.now.mono) {
            return None;
        }
        self.signed += 1;
        let (issued_at, number) = (context.now.wall, self.signed);
        let message = ProtocolMessage { protocol: protocol.clone(), to, number, issued_at, payload };
        // A signer that cannot sign loses a message, as a network may.
        let bytes = context.seal(Body::Protocol(message)).ok()?;
        Some((bytes, issued_at.checked_add(context.config.clock_skew).unwrap_or(issued_at)))
    }

    /// Keeps a message until its receiver is found.
    pub(crate) fn keep(&mut self, to: PublicKey, bytes: Bytes, until: Wall, capacity: usize) {
        if self.waiting.len() >= capacity {
            self.waiting.remove(0);
        }
        self.waiting.push(Waiting { to, bytes, until });
    }

    /// What has waited for a signer and is still worth sending.
    pub(crate) fn kept_for(&mut self, key: &PublicKey, now: Wall) -> impl Iterator<Item = Bytes> {
        let (due, rest): (Vec<_>, _) = self.waiting.drain(..).partition(|waiting| waiting.to == *key);
        self.waiting = rest;
        due.into_iter().filter(move |waiting| waiting.until > now).map(|waiting| waiting.bytes)
    }

    /// Something is to be told, if there is anybody to hear it.
    pub(crate) fn notify(&mut self, name: Option<Label>, notice: Notice) {
        let is_there = |name: &Label| self.by_name.get(name).is_some_and(|entry| entry.protocol.is_some());
        let has_hearer = match &name {
            Some(name) => is_there(name),
            None => self.by_name.keys().any(is_there),
        };
        if has_hearer {
            self.work.push_back(Work::Tell(name, notice));
        }
    }

    /// Something is to be done for a protocol.
    pub(crate) fn request(&mut self, name: Label, request: ProtocolRequest) {
        self.work.push_back(Work::Do(name, request));
    }

    /// Holds back what others could see while a record that the protocol has set before is not durable; gives back what
    /// can be done now.
    pub(crate) fn hold(
        &mut self,
        name: &Label,
        request: ProtocolRequest,
        durable: RecordSequence,
    ) -> Option<ProtocolRequest> {
        match self.by_name.get_mut(name) {
            Some(entry) if entry.barrier > durable && request.visibility() == Visibility::Visible => {
                entry.held.push_back((entry.barrier, request));
                None
            }
            _ => Some(request),
        }
    }

    /// P9: records are durable. What has waited for them comes first.
    pub(crate) fn release(&mut self, durable: RecordSequence) {
        let mut released = VecDeque::new();
        for (name, entry) in &mut self.by_name {
            let due = entry.held.partition_point(|(record, _)| *record <= durable);
            released.extend(entry.held.drain(..due).map(|(_, request)| Work::DoAtLast(name.clone(), request)));
        }
        released.append(&mut self.work);
        self.work = released;
    }

    /// What others see of a protocol from now on waits for this record.
    pub(crate) fn raise_barrier(&mut self, name: &Label, record: RecordSequence) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.barrier = entry.barrier.max(record);
        }
    }

    /// Whether a protocol still wants this timer.
    pub(crate) fn has_timer(&self, name: &Label, timer: &Label) -> bool {
        self.by_name.get(name).is_some_and(|entry| entry.holdings.timers.contains(timer))
    }

    /// How many requests wait for the disk.
    pub(crate) fn held(&self) -> usize {
        self.by_name.values().map(|entry| entry.held.len()).sum()
    }

    pub(crate) fn next_work(&mut self) -> Option<Work> {
        self.work.pop_front()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// A protocol awaits a signature under this name; one that it has awaited under it before it awaits no more.
    pub(crate) fn await_single(
        &mut self,
        id: SingleId,
        protocol: &Label,
        name: &Label,
        claim: Claim,
    ) -> Result<(), CommandError> {
        let singles = self.singles.get_or_insert_default();
        singles.retain(|_, (owner, known, _)| (&*owner, &*known) != (protocol, name));
        if singles.len() >= MAX_SINGLES {
            return Err(CommandError::TooManySignatures(MAX_SINGLES));
        }
        singles.insert(id, (protocol.clone(), name.clone(), claim));
        Ok(())
    }

    /// The signer has answered: for whom, under which name, and what the signature must be.
    pub(crate) fn take_single(&mut self, id: &SingleId) -> Option<(Label, Label, Claim)> {
        self.singles.as_mut()?.remove(id)
    }

    /// Whom a session belongs to.
    pub(crate) fn owner(&self, session: &SessionId) -> Option<&Label> {
        self.owners.get(session)
    }

    pub(crate) fn own(&mut self, session: SessionId, owner: Label) {
        self.owners.insert(session, owner);
    }

    /// A session is forgotten. True when it belonged to a protocol.
    pub(crate) fn disown(&mut self, session: &SessionId) -> bool {
        self.owners.remove(session).is_some()
    }

    /// The sessions of a protocol.
    pub(crate) fn sessions_of(&self, name: &Label) -> Vec<SessionId> {
        self.owners.iter().filter(|(_, owner)| *owner == name).map(|(session, _)| *session).collect()
    }

    /// All sessions that belong to a protocol.
    pub(crate) fn owned(&self) -> Vec<SessionId> {
        self.owners.keys().copied().collect()
    }
}
