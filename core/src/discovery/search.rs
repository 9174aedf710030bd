//! What others announce, and what the embedder looks for.
//!
//! Invariants: of each name the newest signed announcement holds, whatever way it came by; each find is told once to
//! each search; every search ends. Driven by `Node`.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::catalogue::Catalogue;
use super::lookups::Lookups;
use super::searches::{Goal, PendingSearch, Searches};
use super::{Discovery, InsertOutcome};
use crate::api::{
    CommandError, CommandId, Event, Limits, OperationId, Output, Refusal, SignerFilter, TimerReason, Topic,
};
use crate::crypto::{PublicKey, Verifier};
use crate::effect::{Context, Effect};
use crate::gate::{Admitted, Origin};
use crate::protocol::Notice;
use crate::wire::{
    Advertisement, Label, List, Listed, Listing, RecordKey, Resource, ResourceId, SessionId, TransactionType,
};

/// What is known of others' announcements, and what is being looked for.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) advertisements: Catalogue<PublicKey, Advertisement>,
    pub(super) resources: Catalogue<ResourceId, Resource>,
    pub(super) lookups: Lookups,
    pub(super) searches: Searches,
    /// Ranks authors when a catalogue is full.
    salt: [u8; 32],
    /// The types for which the embedder wants to hear of signers.
    pub(super) subscribed: BTreeSet<TransactionType>,
}

impl Search {
    pub(super) const fn new(limits: &Limits, salt: [u8; 32]) -> Self {
        Self {
            advertisements: Catalogue::new(limits.advertisements),
            resources: Catalogue::new(limits.resources),
            lookups: Lookups::new(limits.lookups, limits.lookups_waiting),
            searches: Searches::new(),
            salt,
            subscribed: BTreeSet::new(),
        }
    }
}

impl Discovery {
    /// D17: a signer says what it offers, or that it offers nothing any more.
    pub(crate) fn on_advertisement<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        advertisement: Admitted<Advertisement>,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let key = *advertisement.author();
        // It says where its signer is, too; that may be old.
        let _known = self.on_presence(context, advertisement.presence(), origin);
        let said = advertisement.value().clone();
        let Search { advertisements, salt, .. } = &mut self.search;
        let now = context.now.wall;
        match advertisements.insert(key, advertisement, salt, (now, context.config.latest(now))) {
            InsertOutcome::Old => return Err(Refusal::Duplicate),
            InsertOutcome::Full => return Err(Refusal::Full),
            InsertOutcome::Renewed => {}
            InsertOutcome::New if said.offer.is_none() => context.event(Event::SignerWithdrawn { key }),
            InsertOutcome::New => context.event(Event::SignerDiscovered { key, advertisement: Box::new(said) }),
        }
        self.tell_of_signer(context, &key);
        self.finish_searches(context);
        Ok(())
    }

    /// D18: a resource of somebody else's is announced, or withdrawn.
    pub(crate) fn on_resource<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        resource: Admitted<Resource>,
    ) -> Result<(), Refusal> {
        let Resource { kind, name, .. } = resource.value();
        let id = ResourceId { author: *resource.author(), kind: kind.clone(), name: name.clone() };
        let now = context.now.wall;
        if self.search.resources.get(&id, now).is_none() && !self.has_room_for(&id, context) {
            return Err(Refusal::AuthorQuota);
        }
        let Search { resources, salt, .. } = &mut self.search;
        match resources.insert(id.clone(), resource, salt, (now, context.config.latest(now))) {
            InsertOutcome::Old => return Err(Refusal::Duplicate),
            InsertOutcome::Full => return Err(Refusal::Full),
            InsertOutcome::Renewed => {}
            InsertOutcome::New => {
                context.event(Event::ResourceDiscovered { resource: id.clone() });
                context.push(Effect::ResourceChanged(id.clone()));
            }
        }
        self.tell_of_resource(context, &id);
        self.finish_searches(context);
        Ok(())
    }

    /// Whether an author may have one more resource here.
    fn has_room_for<V: Verifier>(&self, id: &ResourceId, context: &Context<'_, V>) -> bool {
        let limits = &context.config.limits;
        let known = self.search.resources.iter(context.now.wall).map(|(known, _)| known);
        let of_author = known.filter(|known| known.author == id.author);
        let (all, of_kind) =
            of_author.fold((0, 0), |(all, of_kind), known| (all + 1, of_kind + usize::from(known.kind == id.kind)));
        all < limits.resources_per_author && of_kind < limits.resources_per_kind
    }

    /// D19: a list that was looked up points to announcements that are not known. They are looked up in their turn.
    pub(crate) fn on_listings<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        sought: &RecordKey,
        listings: Vec<Admitted<Listing>>,
    ) {
        for listing in listings {
            let (author, listing) = listing.into_parts();
            let Some(target) = listing.target(&author) else { continue };
            let listed = Listed { digest: listing.digest, issued_at: listing.issued_at };
            if self.search.lookups.ask(target.clone(), Some(listed)) {
                self.search.searches.follow(sought, &target);
            }
        }
        self.begin_lookups(context);
    }

    /// What a lookup is for, and what a list says about it. `None` when nobody asked, or not any more.
    pub(crate) fn sought(&self, operation: OperationId) -> Option<(RecordKey, Option<Listed>)> {
        let key = self.search.lookups.get(operation)?;
        Some((key.clone(), self.search.lookups.listed(key)))
    }

    /// D20: a lookup has ended, or has taken too long.
    pub(crate) fn end_lookup<V: Verifier>(&mut self, context: &mut Context<'_, V>, operation: OperationId) {
        context.timer(TimerReason::Lookup(operation), None);
        if let Some(key) = self.search.lookups.end(operation) {
            self.search.searches.close(&key);
        }
        self.begin_lookups(context);
        self.finish_searches(context);
    }

    pub(super) fn look_up<V: Verifier>(&mut self, context: &mut Context<'_, V>, key: RecordKey) {
        self.search.lookups.ask(key, None);
        self.begin_lookups(context);
    }

    pub(super) fn begin_lookups<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        let (now, rate) = (context.now.mono, context.config.limits.lookup_rate);
        while let Some((operation, key)) = self.search.lookups.begin(rate, now) {
            context.timer(TimerReason::Lookup(operation), context.config.lookup_timeout);
            context.output(Output::Lookup { operation, key: key.to_string() });
        }
        context.timer(TimerReason::NextLookup, self.search.lookups.wait(rate, now));
    }

    /// D21: the embedder looks for something. What is known already is told at once.
    fn search<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: CommandId,
        goal: Goal,
        records: impl Iterator<Item = RecordKey>,
        by: Option<Label>,
    ) -> Result<(), CommandError> {
        if self.search.searches.len() >= context.config.limits.searches {
            return Err(CommandError::TooManySearches);
        }
        let open = records.filter(|record| self.search.lookups.ask(record.clone(), None)).collect();
        self.search.searches.insert(id, PendingSearch { goal, open, by });
        context.timer(TimerReason::Search(id), context.config.lookup_timeout);
        self.begin_lookups(context);
        Ok(())
    }

    pub(super) fn find_signers<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: CommandId,
        filter: SignerFilter,
    ) -> Result<(), CommandError> {
        let list = filter.kind.map_or(List::AllSigners, List::Signers);
        self.search(context, id, Goal::Signers { filter, found: BTreeSet::new() }, RecordKey::parts(&list), None)?;
        let known: Vec<PublicKey> = self.search.advertisements.iter(context.now.wall).map(|(key, _)| *key).collect();
        known.iter().for_each(|key| self.tell_of_signer(context, key));
        self.finish_searches(context);
        Ok(())
    }

    pub(super) fn find_resources<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: CommandId,
        kind: Label,
        by: Option<Label>,
    ) -> Result<(), CommandError> {
        let list = List::Resources(kind.clone());
        self.search(context, id, Goal::Resources { kind, found: BTreeSet::new() }, RecordKey::parts(&list), by)?;
        let known: Vec<ResourceId> = self.search.resources.iter(context.now.wall).map(|(id, _)| id.clone()).collect();
        known.iter().for_each(|resource| self.tell_of_resource(context, resource));
        self.finish_searches(context);
        Ok(())
    }

    /// A protocol looks for resources of its kind.
    pub(crate) fn search_for<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: CommandId,
        protocol: Label,
    ) -> Result<(), CommandError> {
        self.find_resources(context, id, protocol.clone(), Some(protocol))
    }

    pub(super) fn find_requests<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: CommandId,
    ) -> Result<(), CommandError> {
        let list = List::Requests(context.own_key);
        self.search(context, id, Goal::Requests { found: BTreeSet::new() }, RecordKey::parts(&list), None)
    }

    pub(super) fn find_session<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: CommandId,
        session: SessionId,
    ) -> Result<(), CommandError> {
        let records = [RecordKey::Request(session)].into_iter();
        self.search(context, id, Goal::Requests { found: BTreeSet::new() }, records, None)
    }

    /// From now on the embedder hears of signers for this type.
    pub(super) fn subscribe<V: Verifier>(&mut self, context: &mut Context<'_, V>, kind: TransactionType) {
        self.search.subscribed.insert(kind);
        context.output(Output::Subscribe(Topic::from_static(kind.topic())));
        self.read(context, &List::Signers(kind));
    }

    pub(super) fn unsubscribe<V: Verifier>(&mut self, context: &mut Context<'_, V>, kind: TransactionType) {
        self.search.subscribed.remove(&kind);
        context.output(Output::Unsubscribe(Topic::from_static(kind.topic())));
    }

    /// Looks what is new in the lists that concern this node.
    pub(super) fn read_subscribed<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        self.read(context, &List::Requests(context.own_key));
        for kind in self.search.subscribed.clone() {
            self.read(context, &List::Signers(kind));
        }
    }

    fn read<V: Verifier>(&mut self, context: &mut Context<'_, V>, list: &List) {
        for key in RecordKey::parts(list) {
            self.search.lookups.ask(key, None);
        }
        self.begin_lookups(context);
    }

    /// Tells the searches that wait for a signer like this one. An offer that wants verified creators is none for a
    /// node that is not.
    fn tell_of_signer<V: Verifier>(&mut self, context: &mut Context<'_, V>, key: &PublicKey) {
        let known = self.search.advertisements.get(key, context.now.wall);
        let Some(offer) = known.and_then(|known| known.offer.as_ref()) else { return };
        if offer.requires_verification && self.tier(&context.own_key).is_none() {
            return;
        }
        let (reputation, is_verified) = (self.reputations.get(key), self.tier(key).is_some());
        for (command, search) in self.search.searches.iter_mut() {
            let Goal::Signers { filter, found } = &mut search.goal else { continue };
            let fits = filter.kind.is_none_or(|kind| offer.types.contains(&kind))
                && filter.amount.is_none_or(|amount| offer.covers(amount))
                && reputation >= filter.min_reputation
                && (is_verified || !filter.is_verified);
            if fits && found.len() < filter.max_results && found.insert(*key) {
                context.event(Event::SignerFound { command, key: *key });
            }
        }
    }

    fn tell_of_resource<V: Verifier>(&mut self, context: &mut Context<'_, V>, id: &ResourceId) {
        let known = self.search.resources.get(id, context.now.wall);
        if known.is_none_or(|known| known.data.is_none()) {
            return;
        }
        for (command, search) in self.search.searches.iter_mut() {
            let Goal::Resources { kind, found } = &mut search.goal else { continue };
            if *kind == id.kind && found.insert(id.clone()) {
                match &search.by {
                    None => context.event(Event::ResourceFound { command, resource: id.clone() }),
                    Some(protocol) => context.push(Effect::Found(protocol.clone(), id.clone())),
                }
            }
        }
    }

    /// D22: a request that needs this node's key has become known.
    pub(crate) fn on_request<V: Verifier>(&mut self, context: &mut Context<'_, V>, session: SessionId) {
        for (command, search) in self.search.searches.iter_mut() {
            let Goal::Requests { found } = &mut search.goal else { continue };
            if found.insert(session) {
                context.event(Event::RequestFound { command, session });
            }
        }
    }

    fn finish_searches<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        while let Some(command) = self.search.searches.finished() {
            self.finish_search(context, command);
        }
    }

    /// D23: a search has all it wants, has nothing left to wait for, or has taken too long.
    pub(super) fn finish_search<V: Verifier>(&mut self, context: &mut Context<'_, V>, command: CommandId) {
        context.timer(TimerReason::Search(command), None);
        if let Some(search) = self.search.searches.remove(command) {
            let found = search.goal.count();
            match search.by {
                None => context.event(Event::SearchFinished { command, found }),
                Some(protocol) => context.push(Effect::Tell(Some(protocol), Notice::SearchFinished(Ok(found)))),
            }
        }
    }
}
