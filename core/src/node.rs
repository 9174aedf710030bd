//! The spine: input → gate → machine → outputs. It routes and holds no protocol rule of its own.
//!
//! Reading order: [`Node::handle`] for what comes from outside, [`Node::command`] for what the embedder wants,
//! `settle` for how a session's news become outputs. Peers and presences are in `node/reach.rs`, announcements and
//! searches in `node/discover.rs`.

mod batch;
mod boot;
mod discover;
mod protocols;
mod reach;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::api::{
    Blame, Command, CommandError, CommandId, Config, Deadline, Event, GossipId, Input, NewSession, Output,
    RecordSequence, Refusal, RefusalCounts, TimerReason, Verdict, View,
};
use crate::approval::Unusual;
use crate::base::{Bytes, Entropy, Map, Mono, Now, Outbox, Timers, Wall};
use crate::crypto::{PublicKey, Secp256k1, Signer, Verifier};
use crate::discovery::{Catalogue, Lookups, Presences, Reputations, Routes, Searches};
use crate::gate::{Authentic, Authors, Channel, Gate, Policy, Review, Sentence};
use crate::journal::Record;
use crate::session::{Context, News, Session, SessionTimer, Sessions};
use crate::wire::{
    AbortReason, Address, Advertisement, Body, Content, Definition, Message, Offer, PeerId, RecordKey, Resource,
    ResourceId, SessionId, SessionMessage, TransactionType,
};
use discover::Own;
use protocols::Protocols;
use reach::Shown;

pub use boot::{Boot, BootError};

/// One signer's node, without a network, a disk or a clock.
pub struct Node<V: Verifier = Secp256k1> {
    pub(crate) config: Arc<Config>,
    pub(crate) own_key: PublicKey,
    own_peer: PeerId,
    signer: Box<dyn Signer<V> + Send>,
    pub(crate) verifier: V,
    entropy: Entropy,
    /// Apart from the rest, so that what makes a batch fail moves nothing else.
    weights: Entropy,
    pub(crate) now: Now,
    pub(crate) gate: Gate,
    authors: Authors<V>,
    policy: Box<dyn Policy>,
    pub(crate) presences: Presences,
    pub(crate) connected: BTreeSet<PeerId>,
    shown: Map<PeerId, Shown>,
    addresses: Vec<Address>,
    own_presence: Option<Bytes>,
    /// Whether it was gossiped when there was somebody to hear it.
    is_presence_gossip: bool,
    routes: Routes,
    lookups: Lookups,
    searches: Searches,
    pub(crate) advertisements: Catalogue<PublicKey, Advertisement>,
    pub(crate) resources: Catalogue<ResourceId, Resource>,
    pub(crate) reputations: Reputations,
    /// What this node offers to sign.
    pub(crate) offer: Option<Box<Offer>>,
    /// The types that it has last advertised for.
    advertised: Vec<TransactionType>,
    /// The types for which it wants to hear of signers.
    subscribed: BTreeSet<TransactionType>,
    /// When it last signed an announcement.
    issued_at: Wall,
    /// What it announces, by the name of the record in the DHT.
    own: Map<RecordKey, Own>,
    protocols: Protocols,
    pub(crate) sessions: Sessions<V>,
    pub(crate) timers: Timers<TimerReason>,
    pub(crate) outbox: Outbox,
    pub(crate) refusals: RefusalCounts,
    commands: u64,
}

impl<V: Verifier> fmt::Debug for Node<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("key", &self.own_key).field("peer", &self.own_peer).finish_non_exhaustive()
    }
}

impl<V: Verifier> Node<V> {
    /// Takes a fact about the world. It cannot fail: what a peer did wrong is refused and counted.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.advance_to(now);
        match input {
            Input::Received { from, bytes } => {
                let message = self.receive(&from, Channel::Direct, bytes);
                let result = message.and_then(|message| self.on_message(message, Some(&from)));
                self.judge(&from, result);
            }
            Input::Gossip { from, id, bytes } => self.on_gossip(&from, id, bytes),
            Input::Found { operation, bytes } => {
                if let Err(refusal) = self.on_found(operation, bytes) {
                    self.refusals.count(refusal);
                }
            }
            Input::LookupFinished(operation) => self.end_lookup(operation),
            Input::Connected(peer) => self.on_connected(peer),
            Input::Disconnected(peer) => self.on_disconnected(peer),
            Input::Offered { from, id, key, bytes, stored } => self.on_offered(&from, id, &key, bytes, stored),
            Input::RoutingTable(peers) => self.on_routing_table(peers),
            Input::Addresses(addresses) => self.on_addresses(addresses),
            Input::Persisted(sequence) => self.outbox.persisted(sequence),
            Input::Tick => {}
        }
    }

    /// Takes a wish of the embedder. The effect comes back as events, the one that answers a creation with the
    /// command's id.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn command(&mut self, now: Now, command: Command) -> Result<CommandId, CommandError> {
        self.advance_to(now);
        let id = CommandId(self.commands);
        match command {
            Command::Create(session) => {
                let NewSession { suite, mut keys, tweak, message, details, is_listed, election, allow } = *session;
                keys.sort_unstable();
                let creator = keys.binary_search(&self.own_key).map_err(|_| CommandError::NotASigner)?;
                let created_at = self.now.wall;
                let definition = Definition {
                    network: self.config.network,
                    suite,
                    keys,
                    tweak,
                    message,
                    details,
                    is_listed,
                    election,
                    creator: u16::try_from(creator).unwrap_or(u16::MAX),
                    created_at,
                    expires_at: created_at.checked_add(self.config.session_timeout).unwrap_or(created_at),
                    nonce: self.entropy.bytes32(),
                };
                self.create(id, Arc::new(definition), &allow)?;
            }
            Command::Join { session, allow } => self.step(session, |session, context| session.join(context, &allow))?,
            Command::Abort(session, reason) => {
                self.step(session, |session, context| session.abort(context, reason))?;
            }
            Command::Retry(session) => self.step(session, |session, context| session.retry(context))?,
            Command::ConfirmBroadcast(session) => self.step(session, |session, context| session.confirm(context))?,
            Command::Close(session) => self.close(session)?,
            Command::Ban(peer) => self.ban(peer)?,
            Command::Pardon(peer) => self.pardon(peer)?,
            Command::Tell { protocol, payload } => self.tell_protocol(&protocol, &payload)?,
            Command::Advertise(_)
            | Command::Withdraw
            | Command::Subscribe(_)
            | Command::Unsubscribe(_)
            | Command::FindSigners(_)
            | Command::FindRequests
            | Command::FindSession(_)
            | Command::AnnounceResource { .. }
            | Command::FindResources(_) => self.discover(id, command)?,
        }
        self.commands += 1;
        Ok(id)
    }

    /// Lets the embedder's own rules decide too what gets in, from now on.
    pub fn set_policy(&mut self, policy: Box<dyn Policy>) {
        self.policy = policy;
    }

    /// The next thing for the host to do. A pure pop: several inputs may be handled before.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    /// When time alone makes something happen next, and what.
    pub fn deadline(&self) -> Option<Deadline> {
        self.timers.next().map(|(at, reason)| Deadline { at: *at, reason: reason.clone() })
    }

    /// A look at the node's state.
    pub fn view(&self) -> View<'_, V> {
        View { node: self }
    }

    /// Runs every timer that is due. Clocks that go back stand still instead.
    fn advance_to(&mut self, now: Now) {
        self.now = Now { mono: self.now.mono.max(now.mono), wall: now.wall };
        while let Some(reason) = self.timers.pop_due(self.now.mono) {
            match reason {
                TimerReason::Presence => self.announce_presence(),
                TimerReason::Store => self.republish(),
                // A signer that cannot sign now is asked again when the next change of address or renewal comes.
                TimerReason::Advertisement => drop(self.advertise()),
                TimerReason::Protocol(name) => self.on_protocol_timer(&name),
                TimerReason::Search(command) => self.finish_search(command),
                TimerReason::Early => {
                    self.gate.early.expire(self.now.mono);
                    self.watch_early();
                }
                TimerReason::Lookup(operation) => self.end_lookup(operation),
                TimerReason::Stalled(session) => self.on_stalled(session),
                TimerReason::Retry(session) => {
                    self.look_for_signers(&session);
                    self.retry(&session);
                }
                TimerReason::Turn(session) => {
                    let _gone = self.run(session, |session, context| session.on_turn(context));
                }
                TimerReason::Expired(session) => self.expire(session),
            }
        }
    }

    /// Asks for what a session misses, unless what it has said already still waits for the disk.
    fn on_stalled(&mut self, session: SessionId) {
        if self.is_silent(&session) {
            let at = self.now.mono.after(self.config.stall_max);
            return self.timers.set(TimerReason::Stalled(session), at);
        }
        self.look_for_signers(&session);
        let _gone = self.run(session, |session, context| session.on_stalled(context));
    }

    /// Whether everything that is said of a session waits for its records: more of it would only pile up.
    fn is_silent(&self, session: &SessionId) -> bool {
        self.sessions.get(session).is_some_and(|session| !self.outbox.is_durable(session.barrier))
    }

    /// Counts a refusal, and holds it against the neighbour that could have avoided it.
    fn judge(&mut self, peer: &PeerId, result: Result<(), Refusal>) {
        let Err(refusal) = result else { return };
        tracing::debug!(%peer, ?refusal, "refused");
        self.refusals.count(refusal);
        let peer = *peer;
        match self.gate.neighbours.blame(&peer, refusal, self.now.mono) {
            None => {}
            Some(Sentence::Graylisted { time }) => {
                let seconds = time.as_secs();
                self.outbox.push(Output::Event(Event::PeerGraylisted { peer, seconds, refusal }));
            }
            Some(Sentence::Blacklisted { time }) => {
                self.outbox.push(Output::Event(Event::ShouldBan { peer, refusal }));
                let (seconds, refusal) = (Some(time.as_secs()), Some(refusal));
                self.outbox.push(Output::Event(Event::PeerBlacklisted { peer, seconds, refusal }));
                self.outbox.push(Output::Ban(peer));
            }
        }
    }

    fn ban(&mut self, peer: PeerId) -> Result<(), CommandError> {
        if !self.gate.neighbours.ban(&peer, self.now.mono) {
            return Err(CommandError::TooManyPeers);
        }
        self.outbox.push(Output::Event(Event::PeerBlacklisted { peer, seconds: None, refusal: None }));
        self.outbox.push(Output::Ban(peer));
        Ok(())
    }

    fn pardon(&mut self, peer: PeerId) -> Result<(), CommandError> {
        if !self.gate.neighbours.pardon(&peer) {
            return Err(CommandError::NotBanned(peer));
        }
        self.outbox.push(Output::Event(Event::PeerPardoned { peer }));
        self.outbox.push(Output::Pardon(peer));
        Ok(())
    }

    fn on_gossip(&mut self, from: &PeerId, id: GossipId, bytes: Bytes) {
        let message = self.receive(from, Channel::Gossip, bytes.clone());
        let author = message.as_ref().ok().map(|message| message.unsigned.author);
        let result = message.and_then(|message| self.on_message(message, None));
        let is_first = author.is_some_and(|author| self.presences.is_first_gossip(&author, &bytes, self.now.wall));
        let verdict = match result {
            Ok(()) => Verdict::Accept,
            // It came by another way before.
            Err(Refusal::Duplicate) if is_first => Verdict::Accept,
            Err(refusal) if refusal.blame() == Blame::Neighbour => Verdict::Reject,
            Err(_) => Verdict::Ignore,
        };
        self.outbox.push(Output::Verdict { id, verdict });
        self.judge(from, result);
    }

    /// The one way in for a peer's bytes, whatever channel they came by.
    fn receive(&mut self, from: &PeerId, channel: Channel, bytes: Bytes) -> Result<Message, Refusal> {
        self.gate.neighbours.charge(from, channel, bytes.len(), self.now.mono)?;
        if !self.policy.permits(from) {
            return Err(Refusal::Policy);
        }
        self.gate.decode(channel, bytes)
    }

    /// What has been decoded; `from` is the peer at the other end of the connection, if it came by one.
    fn on_message(&mut self, message: Message, from: Option<&PeerId>) -> Result<(), Refusal> {
        if let Some(refusal) = self.is_known(&message) {
            if let Body::Presence(presence) = &message.unsigned.body
                && from == Some(&presence.peer)
            {
                // A peer that shows its key again may have missed this node's.
                self.show_presence(presence.peer);
            }
            return Err(refusal);
        }
        let (authentic, body) = self.gate.authenticate(&self.verifier, &mut self.authors, message)?;
        if !matches!(body, Body::Session(_) | Body::Protocol(_))
            && !self.policy.accepts_resource(authentic.author(), &body)
        {
            return Err(Refusal::Policy);
        }
        match body {
            Body::Presence(presence) => {
                let lifetime = self.config.presence_lifetime;
                let is_first_hand = from == Some(&presence.peer);
                let presence = self.gate.admit_presence(authentic, presence, lifetime, self.now)?;
                self.on_presence(presence, is_first_hand)
            }
            Body::Session(step) => {
                if !self.policy.accepts_message(authentic.author(), &step) {
                    return Err(Refusal::Policy);
                }
                self.on_step(authentic.with(step))
            }
            Body::Advertisement(advertisement) => {
                let is_first_hand = from == Some(&advertisement.peer);
                let advertisement = self.gate.admit_advertisement(authentic, *advertisement, self.now)?;
                self.on_advertisement(advertisement, is_first_hand)
            }
            Body::Request(definition) => {
                let id = definition.id();
                match self.open_announced(*authentic.author(), id, definition) {
                    // A sound request of other signers is passed on.
                    Err(Refusal::NotForMe) => Ok(()),
                    other => other,
                }
            }
            Body::Resource(resource) => {
                let resource = self.gate.admit_resource(authentic, resource, self.now)?;
                self.on_resource(resource)
            }
            Body::Protocol(message) => {
                let message = self.gate.admit_protocol_message(authentic, message, self.now)?;
                self.on_protocol_message(message)
            }
            Body::Listing(_) => Err(Refusal::Channel),
        }
    }

    /// Why a message would change nothing, whoever signed it.
    fn is_known(&self, message: &Message) -> Option<Refusal> {
        let author = &message.unsigned.author;
        match &message.unsigned.body {
            Body::Presence(presence) => {
                (!self.presences.is_news(author, presence.issued_at)).then_some(Refusal::Duplicate)
            }
            Body::Advertisement(advertisement) => {
                (!self.advertisements.is_news(author, advertisement.issued_at)).then_some(Refusal::Duplicate)
            }
            Body::Request(definition) => {
                let id = definition.id();
                (self.sessions.get(&id).is_some() || self.sessions.is_closed(&id)).then_some(Refusal::Duplicate)
            }
            Body::Session(step) => self.sessions.is_closed(&step.session).then_some(Refusal::Ended),
            Body::Resource(_) | Body::Listing(_) | Body::Protocol(_) => None,
        }
    }

    fn on_step(&mut self, step: Authentic<SessionMessage>) -> Result<(), Refusal> {
        let id = step.value().session;
        if let Some(session) = self.sessions.get(&id) {
            return self.admit(step, &session.definition().clone());
        }
        let Content::Announce { definition, .. } = &step.value().content else {
            self.gate.early.keep(step, self.now.mono)?;
            self.watch_early();
            return Ok(());
        };
        let definition = definition.clone();
        self.open_announced(*step.author(), id, definition.clone())?;
        self.admit(step, &definition)
    }

    /// Opens a session that its creator asks for, and lets the embedder's rules or the embedder look at it.
    fn open_announced(
        &mut self,
        creator: PublicKey,
        id: SessionId,
        definition: Arc<Definition>,
    ) -> Result<(), Refusal> {
        let lifetime = self.config.session_timeout;
        self.gate.check_definition(&creator, &id, &definition, lifetime, self.now)?;
        if !self.sessions.has_room(&self.config.limits, Some(&creator)) {
            return Err(Refusal::Full);
        }
        let keys = self
            .verifier
            .aggregate_keys(definition.suite, &definition.keys, &definition.tweak)
            .map_err(|_| Refusal::Definition)?;
        let me = definition.index_of(&self.own_key).ok_or(Refusal::NotForMe)?;
        let session = Session::announced(&self.verifier, definition.clone(), keys, me, self.now.mono);
        let summary = session.summary().map_err(|_| Refusal::Definition)?;
        let review = self.policy.review(&definition, &summary);
        self.adopt(session);
        let summary = Box::new(summary);
        self.outbox.push(Output::Event(Event::SessionAnnounced { session: id, creator, summary }));
        self.find_request(id);
        for early in self.gate.early.take(&id) {
            if let Err(refusal) = self.admit(early, &definition) {
                self.refusals.count(refusal);
            }
        }
        // A signer that cannot sign, or what is unusual and was not allowed, leaves the session to the embedder.
        let _reviewed = match review {
            Review::Ask => Ok(()),
            Review::Approve { allow } => self.step(id, |session, context| session.join(context, &allow)),
            Review::Decline => self.step(id, |session, context| session.abort(context, AbortReason::Declined)),
        };
        Ok(())
    }

    fn admit(&mut self, step: Authentic<SessionMessage>, definition: &Definition) -> Result<(), Refusal> {
        let id = step.value().session;
        let admitted = self.gate.admit_step(step, definition)?;
        self.run(id, |session, context| session.on_message(context, admitted)).ok_or(Refusal::Ended)?
    }

    fn create(
        &mut self,
        command: CommandId,
        definition: Arc<Definition>,
        allow: &BTreeSet<Unusual>,
    ) -> Result<(), CommandError> {
        definition.check(self.config.session_timeout).map_err(CommandError::Definition)?;
        self.check_listed(&definition)?;
        if !self.sessions.has_room(&self.config.limits, None) {
            return Err(CommandError::TooManySessions);
        }
        let keys = self
            .verifier
            .aggregate_keys(definition.suite, &definition.keys, &definition.tweak)
            .map_err(CommandError::Keys)?;
        let (created, mut news) = self.in_context(|context| Session::create(context, definition, keys, allow));
        let session = created?;
        let id = session.id();
        // Behind the record, so that it is durable, and ahead of everything else that is said of the session.
        news.insert(1, News::Event(Event::SessionCreated { command, session: id }));
        let definition = session.definition().clone();
        self.adopt(session);
        self.settle(id, news);
        if definition.is_listed {
            // Listing it can be repeated; the session is there in any case.
            let _listed = self.list_request(&definition);
        }
        Ok(())
    }

    /// Makes a session one of this node's.
    fn adopt(&mut self, session: Session<V>) {
        let (id, definition) = (session.id(), session.definition().clone());
        self.gate.watch(id, &definition.keys);
        self.expire_after(id, definition.expires_at);
        self.sessions.insert(session);
    }

    /// Remembers a session until its announcement has expired by anyone's clock, so that no replay opens it again.
    fn expire_after(&mut self, id: SessionId, until: Wall) {
        let skew = self.config.clock_skew.saturating_mul(2);
        let at = self.now.mono.after(until.since(self.now.wall).saturating_add(skew));
        self.timers.set(TimerReason::Expired(id), at);
    }

    fn close(&mut self, id: SessionId) -> Result<(), CommandError> {
        let phase = self.sessions.get(&id).ok_or(CommandError::UnknownSession(id))?.phase();
        if !phase.has_ended() {
            self.step(id, |session, context| session.abort(context, AbortReason::Closed))?;
        }
        // As long as its announcement could be shown again, also after a restart.
        let until = self.sessions.get(&id).map_or(self.now.wall, |session| session.definition().expires_at);
        self.sessions.close(&id);
        self.forget(id, Some(Record::Closed { until }));
        Ok(())
    }

    fn expire(&mut self, id: SessionId) {
        let now = self.now.mono;
        if let Some(wait) = self.sessions.get(&id).and_then(|session| session.broadcasting_for(now)) {
            return self.timers.set(TimerReason::Expired(id), now.after(wait.max(Duration::from_secs(1))));
        }
        let was_open = self.run(id, |session, context| session.expire(context)).is_some();
        self.sessions.remove(&id);
        if was_open {
            self.forget(id, None);
        } else {
            self.persist(&id, None);
        }
    }

    /// The session is gone, and so is all that is known of it but what this record says.
    fn forget(&mut self, id: SessionId, record: Option<Record>) {
        self.gate.unwatch(&id);
        let barrier = self.persist(&id, record);
        let event = Event::SessionClosed { session: id };
        tracing::debug!(?event, "session");
        self.outbox.push_after(barrier, Output::Event(event));
        for reason in [TimerReason::Stalled(id), TimerReason::Retry(id), TimerReason::Turn(id)] {
            self.timers.cancel(&reason);
        }
    }

    /// A command's step of a session.
    fn step(
        &mut self,
        id: SessionId,
        step: impl FnOnce(&mut Session<V>, &mut Context<'_, V>) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        self.run(id, step).ok_or(CommandError::UnknownSession(id))?
    }

    /// Lets a session take a step and does what comes of it. `None` when there is no such session.
    fn run<R>(&mut self, id: SessionId, step: impl FnOnce(&mut Session<V>, &mut Context<'_, V>) -> R) -> Option<R> {
        let Self { now, config, signer, verifier, weights, sessions, .. } = self;
        let session = sessions.get_mut(&id)?;
        let mut context = Context { now: *now, config, signer: signer.as_mut(), verifier, weights, news: Vec::new() };
        let result = step(session, &mut context);
        let news = context.news;
        self.settle(id, news);
        Some(result)
    }

    /// Lets a session come into being; its news are settled once it is one of this node's.
    fn in_context<R>(&mut self, step: impl FnOnce(&mut Context<'_, V>) -> R) -> (R, Vec<News>) {
        let Self { now, config, signer, verifier, weights, .. } = self;
        let mut context = Context { now: *now, config, signer: signer.as_mut(), verifier, weights, news: Vec::new() };
        let result = step(&mut context);
        (result, context.news)
    }

    /// Turns a session's news into outputs and timers. This alone decides who hears them.
    fn settle(&mut self, id: SessionId, news: Vec<News>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (definition, mut barrier) = (session.definition().clone(), session.barrier);
        let (signers, has_ended) = (&definition.keys, session.phase().has_ended());
        for item in news {
            match item {
                News::Record(record) => barrier = self.persist(&id, Some(Record::Session(record))),
                News::Send(index, bytes) => self.send_to_signer(signers[index], bytes, barrier),
                News::Event(event) => {
                    tracing::debug!(?event, "session");
                    self.reputations.learn(&event, signers.iter().copied().filter(|key| *key != self.own_key));
                    self.outbox.push_after(barrier, Output::Event(event));
                }
                News::Timer(timer, after) => {
                    let reason = match timer {
                        SessionTimer::Stalled => TimerReason::Stalled(id),
                        SessionTimer::Retry => TimerReason::Retry(id),
                        SessionTimer::Turn => TimerReason::Turn(id),
                    };
                    match after {
                        Some(after) => self.timers.set(reason, self.now.mono.after(after)),
                        None => self.timers.cancel(&reason),
                    }
                }
            }
        }
        if has_ended && self.sessions.settle(&id) {
            self.unlist_request(&id);
            self.release_signers(&id);
        }
    }

    fn persist(&mut self, id: &SessionId, record: Option<Record>) -> RecordSequence {
        let sequence = self.outbox.persist(Record::key(id), record.map(|record| record.encode()));
        if let Some(session) = self.sessions.get_mut(id) {
            session.barrier = sequence;
        }
        sequence
    }

    fn watch_early(&mut self) {
        match self.gate.early.deadline() {
            Some(at) => self.timers.set(TimerReason::Early, at.max(Mono::from_nanos(1))),
            None => self.timers.cancel(&TimerReason::Early),
        }
    }
}
