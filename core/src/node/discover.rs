//! Strangers become signers: what this node announces, what others announce, and how it looks for them.
//!
//! An announcement takes three ways at once: gossip to whoever listens now, the DHT for whoever looks later, a directory
//! in the DHT for whoever does not know what to look for. Whatever way it comes by, it passes the gate and counts once.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use crate::api::{
    Command, CommandError, CommandId, Event, OperationId, Output, PutId, Refusal, SignerFilter, TimerReason, Topic,
};
use crate::base::{Bytes, Wall};
use crate::crypto::{PublicKey, SignerError, Verifier, sha256};
use crate::discovery::{Goal, InsertOutcome, Listed, Search};
use crate::gate::{Admitted, Channel, Hearing, Judged, MAX_LIFETIME, Put};
use crate::journal::{self, Record};
use crate::wire::{
    Advertisement, Body, Data, Definition, Label, List, Listing, MAX_GOSSIP, MergeSet, Message, Offer, PRESENCE_TOPIC,
    REQUEST_TOPIC, RecordKey, Resource, ResourceId, SessionId, TransactionType, encode, merge_own, seal,
};

/// Something that this node announces, as it is stored in the DHT.
#[derive(Debug)]
pub(super) struct PublishedRecord {
    value: Bytes,
    expires_at: Wall,
}

impl PublishedRecord {
    fn store(&self, key: &RecordKey, now: Wall) -> Output {
        Output::Store { key: key.to_string(), value: self.value.clone(), lifetime: self.expires_at.since(now) }
    }
}

impl<V: Verifier> Node<V> {
    /// The commands of discovery.
    pub(super) fn discover(&mut self, id: CommandId, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Advertise(offer) => {
                offer.check().map_err(CommandError::Offer)?;
                self.offer = Some(offer);
                self.remember_offer();
                self.advertise().map_err(CommandError::Signer)
            }
            Command::Withdraw => {
                self.offer.take().ok_or(CommandError::NothingOffered)?;
                self.remember_offer();
                self.withdraw().map_err(CommandError::Signer)
            }
            Command::Subscribe(kind) => {
                self.subscribed.insert(kind);
                self.outbox.push(Output::Subscribe(Topic::from_static(kind.topic())));
                self.read(&List::Signers(kind));
                Ok(())
            }
            Command::Unsubscribe(kind) => {
                self.subscribed.remove(&kind);
                self.outbox.push(Output::Unsubscribe(Topic::from_static(kind.topic())));
                Ok(())
            }
            Command::FindSigners(filter) => self.find_signers(id, filter),
            Command::FindRequests => {
                let goal = Goal::Requests { found: BTreeSet::new() };
                self.search(id, goal, &List::Requests(self.own_key))
            }
            Command::FindSession(session) => {
                if self.sessions.get(&session).is_some() || self.sessions.is_closed(&session) {
                    return Err(CommandError::KnownSession(session));
                }
                let goal = Goal::Requests { found: BTreeSet::new() };
                self.begin_search(id, goal, [RecordKey::Request(session)].into_iter())
            }
            Command::AnnounceResource { kind, name, data, lifetime } => {
                self.announce_resource(kind, name, data, lifetime)
            }
            Command::FindResources(kind) => {
                let list = List::Resources(kind.clone());
                let found = BTreeSet::new();
                self.search(id, Goal::Resources { kind: kind.clone(), found }, &list)?;
                let known: Vec<_> = self.resources.iter(self.now.wall).map(|(id, _)| id.clone()).collect();
                known.iter().for_each(|resource| self.find_resource(resource));
                self.finish_searches();
                Ok(())
            }
            _ => unreachable!("only commands of discovery come here"),
        }
    }

    // What this node announces.

    fn remember_offer(&mut self) {
        let record = self.offer.clone().map(|offer| Record::Offer(offer).encode());
        self.outbox.persist(journal::OFFER_KEY.to_vec(), record);
    }

    /// Signs this node's offer and tells everyone who may want it.
    pub(super) fn advertise(&mut self) -> Result<(), SignerError> {
        let Some(offer) = self.offer.clone() else { return Ok(()) };
        self.timers.set(TimerReason::Advertisement, self.now.mono.after(self.advertisement_lifetime() / 2));
        let expires_at = self.publish_offer(Some(*offer))?;
        self.outbox.push(Output::Event(Event::Advertised { expires_at }));
        Ok(())
    }

    /// Says that this node offers nothing any more, for as long as somebody may remember that it did.
    fn withdraw(&mut self) -> Result<(), SignerError> {
        self.timers.cancel(&TimerReason::Advertisement);
        self.publish_offer(None)?;
        self.outbox.push(Output::Event(Event::Withdrawn));
        Ok(())
    }

    fn advertisement_lifetime(&self) -> Duration {
        self.config.advertisement_lifetime.min(MAX_LIFETIME)
    }

    /// Shows an offer, or that there is none, wherever it or the one before it may be looked for: whoever knows the old
    /// one asks for the new one only when a directory says that there is one.
    fn publish_offer(&mut self, offer: Option<Offer>) -> Result<Wall, SignerError> {
        let types = offer.as_ref().map(|offer| offer.types.clone()).unwrap_or_default();
        let shown: BTreeSet<TransactionType> = self.advertised.iter().chain(&types).copied().collect();
        let issued_at = self.issue();
        let expires_at = issued_at.checked_add(self.advertisement_lifetime()).unwrap_or(issued_at);
        let (peer, addresses) = (self.own_peer, self.addresses.clone());
        let advertisement = Advertisement { peer, addresses, offer, issued_at, expires_at };
        let body = Body::Advertisement(Box::new(advertisement));
        let bytes = seal(self.signer.as_mut(), self.config.network, body)?;
        self.gossip(&bytes, shown.iter().copied());
        let digest = sha256(&[&bytes]);
        self.announce(RecordKey::Advertisement(self.own_key), bytes, expires_at);
        for list in shown.into_iter().map(List::Signers).chain([List::AllSigners]) {
            self.list(Listing { list, name: None, digest, issued_at, expires_at })?;
        }
        self.advertised = types;
        Ok(expires_at)
    }

    fn gossip(&mut self, advertisement: &Bytes, kinds: impl IntoIterator<Item = TransactionType>) {
        for kind in kinds {
            let (topic, bytes) = (Topic::from_static(kind.topic()), advertisement.clone());
            self.outbox.push(Output::Publish { topic, bytes });
        }
    }

    /// The time at which an announcement is signed: later than any before it, because the newer holds.
    pub(super) fn issue(&mut self) -> Wall {
        let next = self.issued_at.checked_add(Duration::from_millis(1)).unwrap_or(self.issued_at);
        self.issued_at = self.now.wall.max(next);
        self.issued_at
    }

    /// Enters something into a list.
    fn list(&mut self, listing: Listing) -> Result<(), SignerError> {
        let (key, expires_at) = (RecordKey::of_entry(&listing.list, &self.own_key), listing.expires_at);
        let entry = seal(self.signer.as_mut(), self.config.network, Body::Listing(listing))?;
        let value = match self.own.get(&key) {
            Some(own) => merge_own(&own.value, &MergeSet::of(entry)).into(),
            None => MergeSet::of(entry),
        };
        self.announce(key, value, expires_at);
        Ok(())
    }

    /// Puts something into the DHT, now or when there is one, and again from time to time.
    pub(super) fn announce(&mut self, key: RecordKey, value: Bytes, expires_at: Wall) {
        let own = PublishedRecord { value, expires_at };
        if self.routes.any() {
            self.outbox.push(own.store(&key, self.now.wall));
        }
        self.timers.set_once(TimerReason::Store, self.now.mono.after(self.config.republish));
        self.own.insert(key, own);
    }

    /// Says again everything that this node announces, once there is somebody to say it to, and looks what has been said
    /// to it meanwhile.
    pub(super) fn republish(&mut self) {
        let now = self.now.wall;
        self.own.retain(|_, own| own.expires_at > now);
        self.timers.set(TimerReason::Store, self.now.mono.after(self.config.republish));
        if !self.routes.any() {
            return;
        }
        self.routes.on_announced(self.now.mono);
        for (key, own) in self.own.iter() {
            self.outbox.push(own.store(key, now));
        }
        if let Some(bytes) = self.own_presence.clone().filter(|_| !self.is_presence_gossip) {
            self.is_presence_gossip = true;
            self.outbox.push(Output::Publish { topic: Topic::from_static(PRESENCE_TOPIC), bytes });
        }
        if let Some(own) = self.own.get(&RecordKey::Advertisement(self.own_key)) {
            let (bytes, kinds) = (own.value.clone(), self.advertised.clone());
            self.gossip(&bytes, kinds);
        }
        self.read(&List::Requests(self.own_key));
        for kind in self.subscribed.clone() {
            self.read(&List::Signers(kind));
        }
    }

    /// Looks what is new in a list.
    fn read(&mut self, list: &List) {
        for key in RecordKey::parts(list) {
            self.lookups.ask(key, None);
        }
        self.begin_lookups();
    }

    pub(crate) fn own_records(&self) -> usize {
        self.own.len()
    }

    /// Whether a request is small enough to be listed, if it is to be.
    pub(super) fn check_listed(&self, definition: &Definition) -> Result<(), CommandError> {
        if !definition.is_listed {
            return Ok(());
        }
        // The rest of a message: version, network, author, family, signature.
        let length = encode(definition).len() + 128;
        if length > MAX_GOSSIP { Err(CommandError::TooLargeToList(length)) } else { Ok(()) }
    }

    /// Asks for a session of this node's in public.
    pub(super) fn list_request(&mut self, definition: &Arc<Definition>) -> Result<(), SignerError> {
        let (id, expires_at) = (definition.id(), definition.expires_at);
        let barrier = self.sessions.get(&id).map(|session| session.barrier).unwrap_or_default();
        let bytes = seal(self.signer.as_mut(), self.config.network, Body::Request(definition.clone()))?;
        self.outbox
            .push_after(barrier, Output::Publish { topic: Topic::from_static(REQUEST_TOPIC), bytes: bytes.clone() });
        self.announce(RecordKey::Request(id), bytes, expires_at);
        let name: Option<Label> = id.to_string().parse().ok();
        let own_key = self.own_key;
        for key in definition.keys.iter().filter(|key| **key != own_key) {
            let (list, name) = (List::Requests(*key), name.clone());
            let issued_at = definition.created_at;
            self.list(Listing { list, name, digest: *id.as_bytes(), issued_at, expires_at })?;
        }
        self.outbox.push_after(barrier, Output::Event(Event::RequestListed { session: id }));
        Ok(())
    }

    /// Nobody needs to find this session any more.
    pub(super) fn unlist_request(&mut self, id: &SessionId) {
        if self.own.remove(&RecordKey::Request(*id)).is_none() {
            return;
        }
        let keys = self.sessions.get(id).map(|session| session.definition().keys.clone()).unwrap_or_default();
        let name: Option<Label> = id.to_string().parse().ok();
        for key in keys {
            let record = RecordKey::of_entry(&List::Requests(key), &self.own_key);
            let Some(own) = self.own.remove(&record) else { continue };
            let rest = MergeSet::decode(&record.to_string(), &own.value);
            if let Some(rest) = rest.and_then(|log| log.without(self.own_key, name.clone())) {
                self.own.insert(record, PublishedRecord { value: rest.encode().into(), ..own });
            }
        }
    }

    pub(super) fn announce_resource(
        &mut self,
        kind: Label,
        name: Label,
        data: Option<Data>,
        lifetime: Duration,
    ) -> Result<(), CommandError> {
        if lifetime < Duration::from_millis(1) || lifetime > MAX_LIFETIME {
            return Err(CommandError::Lifetime);
        }
        let id = ResourceId { author: self.own_key, kind: kind.clone(), name: name.clone() };
        let of_kind = |key: &&RecordKey| matches!(key, RecordKey::Resource(own) if own.kind == kind);
        let is_one = |key: &&RecordKey| matches!(key, RecordKey::Resource(_));
        let limits = &self.config.limits;
        if !self.own.contains_key(&RecordKey::Resource(id.clone()))
            && (self.own.keys().filter(of_kind).count() >= limits.resources_per_kind
                || self.own.keys().filter(is_one).count() >= limits.resources_per_author)
        {
            return Err(CommandError::TooManyResources);
        }
        let issued_at = self.issue();
        let expires_at = issued_at.checked_add(lifetime).ok_or(CommandError::Lifetime)?;
        let body = Body::Resource(Resource { kind: kind.clone(), name: name.clone(), data, issued_at, expires_at });
        let bytes = seal(self.signer.as_mut(), self.config.network, body).map_err(CommandError::Signer)?;
        let digest = sha256(&[&bytes]);
        self.announce(RecordKey::Resource(id), bytes, expires_at);
        // Withdrawn or not: whoever knows it asks again only when the directory says that there is something newer.
        let listing = Listing { list: List::Resources(kind), name: Some(name), digest, issued_at, expires_at };
        self.list(listing).map_err(CommandError::Signer)
    }

    // What others announce.

    pub(super) fn on_advertisement(
        &mut self,
        advertisement: Admitted<Advertisement>,
        is_first_hand: bool,
    ) -> Result<(), Refusal> {
        let key = *advertisement.author();
        // It says where its signer is, too; that may be old news.
        let _known = self.on_presence(advertisement.presence(), is_first_hand);
        let advertisement = advertisement.into_parts().1;
        match self.advertisements.insert(key, &key, advertisement.clone(), self.now.wall) {
            InsertOutcome::Old => return Err(Refusal::Duplicate),
            InsertOutcome::Full => return Err(Refusal::Full),
            InsertOutcome::Renewed => {}
            InsertOutcome::New if advertisement.offer.is_none() => {
                self.outbox.push(Output::Event(Event::SignerWithdrawn { key }));
            }
            InsertOutcome::New => {
                let advertisement = Box::new(advertisement);
                self.outbox.push(Output::Event(Event::SignerDiscovered { key, advertisement }));
            }
        }
        self.find_signer(&key);
        self.finish_searches();
        Ok(())
    }

    pub(super) fn on_resource(&mut self, resource: Admitted<Resource>) -> Result<(), Refusal> {
        let (author, resource) = resource.into_parts();
        let id = ResourceId { author, kind: resource.kind.clone(), name: resource.name.clone() };
        if self.resources.get(&id, self.now.wall).is_none() && !self.has_room_for(&id) {
            return Err(Refusal::AuthorQuota);
        }
        match self.resources.insert(id.clone(), &author, resource, self.now.wall) {
            InsertOutcome::Old => return Err(Refusal::Duplicate),
            InsertOutcome::Full => return Err(Refusal::Full),
            InsertOutcome::Renewed => {}
            InsertOutcome::New => {
                self.outbox.push(Output::Event(Event::ResourceDiscovered { resource: id.clone() }));
                self.show_resource(&id);
            }
        }
        self.find_resource(&id);
        self.finish_searches();
        Ok(())
    }

    /// Whether an author may have one more resource here.
    fn has_room_for(&self, id: &ResourceId) -> bool {
        let limits = &self.config.limits;
        let of_author =
            self.resources.iter(self.now.wall).map(|(known, _)| known).filter(|known| known.author == id.author);
        let (all, of_kind) =
            of_author.fold((0, 0), |(all, of_kind), known| (all + 1, of_kind + usize::from(known.kind == id.kind)));
        all < limits.resources_per_author && of_kind < limits.resources_per_kind
    }

    /// A peer asks for a record to be stored. Nobody is blamed for one that is not.
    pub(super) fn on_offered(&mut self, id: PutId, put: Put<'_>) {
        let charged = self.gate.neighbours.charge(put.from, Channel::Record, put.bytes.len(), self.now.mono);
        let (presences, sessions) = (&self.presences, &self.sessions);
        let is_known =
            |author: &PublicKey| presences.is_first_hand(author) || sessions.live_with(author).next().is_some();
        let judged = charged.and_then(|hearing| match hearing {
            Hearing::Full => self.gate.validate_put(&self.verifier, put, is_known, self.now),
            Hearing::Sample => Err(Refusal::Graylisted),
        });
        match judged {
            Ok(Judged { value, lifetime, removed }) => {
                if let Some(key) = removed {
                    self.outbox.push(Output::RemoveRecord { key: key.into() });
                }
                self.outbox.push(Output::AcceptRecord { id, value, lifetime });
            }
            Err(refusal) => {
                self.refusals.count(refusal);
                self.outbox.push(Output::RejectRecord { id, refusal });
            }
        }
    }

    // What this node looks for.

    fn find_signers(&mut self, id: CommandId, filter: SignerFilter) -> Result<(), CommandError> {
        let list = filter.kind.map_or(List::AllSigners, List::Signers);
        self.search(id, Goal::Signers { filter, found: BTreeSet::new() }, &list)?;
        let known: Vec<PublicKey> = self.advertisements.iter(self.now.wall).map(|(key, _)| *key).collect();
        known.iter().for_each(|key| self.find_signer(key));
        self.finish_searches();
        Ok(())
    }

    fn search(&mut self, id: CommandId, goal: Goal, list: &List) -> Result<(), CommandError> {
        self.begin_search(id, goal, RecordKey::parts(list))
    }

    fn begin_search(
        &mut self,
        id: CommandId,
        goal: Goal,
        records: impl Iterator<Item = RecordKey>,
    ) -> Result<(), CommandError> {
        if self.searches.len() >= self.config.limits.searches {
            return Err(CommandError::TooManySearches);
        }
        let open = records.filter(|record| self.lookups.ask(record.clone(), None)).collect();
        self.searches.insert(id, Search { goal, open });
        self.timers.set(TimerReason::Search(id), self.now.mono.after(self.config.lookup_timeout));
        self.begin_lookups();
        Ok(())
    }

    pub(super) fn begin_lookups(&mut self) {
        while let Some((operation, key)) = self.lookups.begin() {
            self.timers.set(TimerReason::Lookup(operation), self.now.mono.after(self.config.lookup_timeout));
            self.outbox.push(Output::Lookup { operation, key: key.to_string() });
        }
    }

    pub(super) fn end_lookup(&mut self, operation: OperationId) {
        self.timers.cancel(&TimerReason::Lookup(operation));
        if let Some(key) = self.lookups.end(operation) {
            self.searches.close(&key);
        }
        self.begin_lookups();
        self.finish_searches();
    }

    pub(super) fn on_found(&mut self, operation: OperationId, bytes: Bytes) -> Result<(), Refusal> {
        let sought = self.lookups.get(operation).ok_or(Refusal::Unasked)?.clone();
        if MergeSet::is_meant(&bytes) {
            return self.on_log(&sought, &bytes);
        }
        let message = self.gate.decode(Channel::Record, bytes)?;
        if RecordKey::of(&message.unsigned.author, &message.unsigned.body).as_ref() != Some(&sought) {
            return Err(Refusal::Unasked);
        }
        if self.lookups.listed(&sought).is_some_and(|listed| !is_as_listed(&message, listed)) {
            return Err(Refusal::NotAsListed);
        }
        // Whoever stores a record need not have checked it: nobody is charged for it.
        self.on_message(message, None)
    }

    /// A directory says who announces what: each entry is verified, and then what it points to.
    fn on_log(&mut self, sought: &RecordKey, bytes: &[u8]) -> Result<(), Refusal> {
        let log = MergeSet::decode(&sought.to_string(), bytes).ok_or(Refusal::Malformed)?;
        for entry in log.into_entries() {
            let author = entry.message.unsigned.author;
            let listing = &entry.listing;
            let Some(target) = target(&author, listing).filter(|_| author != self.own_key) else { continue };
            let is_new = match &target {
                RecordKey::Advertisement(key) => self.advertisements.is_newer(key, listing.issued_at),
                RecordKey::Resource(id) => self.resources.is_newer(id, listing.issued_at),
                RecordKey::Request(id) => self.sessions.get(id).is_none() && !self.sessions.is_closed(id),
                RecordKey::Presence(_) | RecordKey::List(..) => false,
            };
            if !is_new || !self.gate.is_entry_valid(&entry, self.now.wall) {
                continue;
            }
            if !self.verifier.verify(&author, &entry.message.digest(), &entry.message.signature) {
                return Err(Refusal::Signature);
            }
            let listed = Listed { digest: listing.digest, issued_at: listing.issued_at };
            if self.lookups.ask(target.clone(), Some(listed)) {
                self.searches.follow(sought, &target);
            }
        }
        self.begin_lookups();
        Ok(())
    }

    /// Tells the searches that wait for a signer like this one.
    fn find_signer(&mut self, key: &PublicKey) {
        let Some(offer) = self.advertisements.get(key, self.now.wall).and_then(|known| known.offer.as_ref()) else {
            return;
        };
        let reputation = self.reputations.get(key);
        for (command, search) in self.searches.iter_mut() {
            let Goal::Signers { filter, found } = &mut search.goal else { continue };
            let fits = filter.kind.is_none_or(|kind| offer.types.contains(&kind))
                && filter.amount.is_none_or(|amount| offer.covers(amount))
                && reputation >= filter.min_reputation;
            if fits && found.len() < filter.max_results && found.insert(*key) {
                self.outbox.push(Output::Event(Event::SignerFound { command, key: *key }));
            }
        }
    }

    fn find_resource(&mut self, id: &ResourceId) {
        if self.resources.get(id, self.now.wall).is_none_or(|known| known.data.is_none()) {
            return;
        }
        for (command, search) in self.searches.iter_mut() {
            let Goal::Resources { kind, found } = &mut search.goal else { continue };
            if *kind == id.kind && found.insert(id.clone()) {
                self.outbox.push(Output::Event(Event::ResourceFound { command, resource: id.clone() }));
            }
        }
    }

    /// Tells the searches for requests that there is one.
    pub(super) fn find_request(&mut self, session: SessionId) {
        for (command, search) in self.searches.iter_mut() {
            let Goal::Requests { found } = &mut search.goal else { continue };
            if found.insert(session) {
                self.outbox.push(Output::Event(Event::RequestFound { command, session }));
            }
        }
    }

    fn finish_searches(&mut self) {
        while let Some(command) = self.searches.finished() {
            self.finish_search(command);
        }
    }

    pub(super) fn finish_search(&mut self, command: CommandId) {
        self.timers.cancel(&TimerReason::Search(command));
        if let Some(search) = self.searches.remove(command) {
            let found = search.goal.count();
            self.outbox.push(Output::Event(Event::SearchFinished { command, found }));
        }
    }
}

/// What an entry of a list points to.
fn target(author: &PublicKey, listing: &Listing) -> Option<RecordKey> {
    match &listing.list {
        List::Signers(_) | List::AllSigners => Some(RecordKey::Advertisement(*author)),
        List::Resources(kind) => {
            let (author, kind) = (*author, kind.clone());
            listing.name.clone().map(|name| RecordKey::Resource(ResourceId { author, kind, name }))
        }
        List::Requests(_) => Some(RecordKey::Request(SessionId::from_bytes(listing.digest))),
    }
}

/// Whether a message is the one that its author has listed, or newer.
fn is_as_listed(message: &Message, listed: Listed) -> bool {
    let body = &message.unsigned.body;
    // A request's key is its digest.
    matches!(body, Body::Request(_))
        || body.dates().is_some_and(|(issued_at, _)| issued_at > listed.issued_at)
        || sha256(&[&message.bytes]) == listed.digest
}
