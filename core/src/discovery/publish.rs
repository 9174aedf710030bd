//! What this node announces: its presence, what it offers to sign, its requests and resources.
//!
//! An announcement takes up to three ways at once: gossip to whoever listens now, the DHT for whoever looks later, a
//! list in the DHT for whoever does not know what to look for. Invariants: of two announcements of one name the later
//! signed holds, so no time is used twice; what this node signs anew keeps to the quotas that others hold it to. Driven
//! by `Node`.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Discovery;
use super::routes::Routes;
use crate::api::{CommandError, Config, Event, Output, Quota, TimerReason, Topic};
use crate::base::{Bytes, Map, Mono, Wall};
use crate::crypto::{PublicKey, SignerError, Verifier, sha256};
use crate::effect::{Context, Effect};
use crate::gate::{Bucket, MAX_LIFETIME};
use crate::journal::{Offered, Record};
use crate::protocol::Notice;
use crate::wire::{
    Address, Advertisement, Body, Data, Definition, Label, List, Listing, MAX_ADDRESSES, MergeSet, Message, Offer,
    PRESENCE_TOPIC, Presence, REQUEST_TOPIC, RecordKey, RequestNotice, Resource, ResourceId, SessionId,
    TransactionType, merge_own,
};

/// How long to wait for further changes of address before signing a presence.
pub(crate) const SETTLE_ADDRESSES: Duration = Duration::from_millis(100);

/// Something that this node announces, as it is stored in the DHT.
#[derive(Debug)]
pub(super) struct PublishedRecord {
    pub(super) value: Bytes,
    expires_at: Wall,
    /// When that is by the monotonic clock.
    until: Mono,
}

impl PublishedRecord {
    /// The resource that it is, if it is one.
    pub(super) fn resource(&self) -> Option<Resource> {
        match Message::decode(self.value.clone()).ok()?.unsigned.body {
            Body::Resource(resource) => Some(resource),
            _ => None,
        }
    }

    fn store(&self, key: &RecordKey, now: Wall) -> Output {
        Output::Store { key: key.to_string(), value: self.value.clone(), lifetime: self.expires_at.since(now) }
    }
}

/// What this node announces, and how often it still may.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) addresses: Vec<Address>,
    /// The newest signed presence.
    pub(super) presence: Option<Bytes>,
    /// Whether it was gossiped when there was somebody to hear it.
    pub(super) is_presence_gossiped: bool,
    pub(super) routes: Routes,
    pub(super) offered: Option<Box<Offered>>,
    /// The types that were last advertised for.
    pub(super) advertised: Vec<TransactionType>,
    /// For how many seconds that advertisement was valid.
    valid_for: u32,
    /// When an announcement was last signed.
    pub(super) issued_at: Wall,
    /// By the record's name in the DHT.
    pub(super) records: Map<RecordKey, PublishedRecord>,
    pub(super) presences: Bucket,
    pub(super) advertisements: Bucket,
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            presence: None,
            is_presence_gossiped: false,
            routes: Routes::default(),
            offered: None,
            advertised: Vec::new(),
            valid_for: 0,
            issued_at: Wall::default(),
            records: Map::new(),
            presences: Bucket::default(),
            advertisements: Bucket::default(),
        }
    }

    /// The time at which an announcement is signed: later than any before it, because the newer holds. What was dated
    /// further ahead than clocks may differ nobody has taken, or does not let it stand in the way: this clock was
    /// wrong.
    fn issue(&mut self, now: Wall, config: &Config) -> Wall {
        let next = self.issued_at.checked_add(Duration::from_millis(1)).unwrap_or(self.issued_at);
        self.issued_at = if next > config.latest(now) { now } else { now.max(next) };
        self.issued_at
    }
}

/// What others allow an author, less one: what was sent in time may arrive a little closer together.
const fn own_quota(quota: Quota) -> Quota {
    Quota { burst: if quota.burst > 1 { quota.burst - 1 } else { 1 }, ..quota }
}

impl Discovery {
    /// After a restart: what was offered is offered on, once the addresses are known.
    pub(crate) fn resume_offer<V: Verifier>(&mut self, context: &mut Context<'_, V>, offered: Box<Offered>) {
        self.publisher.advertised.clone_from(&offered.offer.types);
        self.publisher.valid_for = seconds(offered.lifetime.unwrap_or_default());
        self.publisher.offered = Some(offered);
        context.timer(TimerReason::Advertisement, SETTLE_ADDRESSES);
    }

    /// D7: the addresses have changed. What says so is signed anew soon.
    pub(crate) fn on_addresses<V: Verifier>(&mut self, context: &mut Context<'_, V>, mut addresses: Vec<Address>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        if addresses == self.publisher.addresses {
            return;
        }
        context.push(Effect::Tell(None, Notice::OwnAddresses(addresses.clone())));
        self.publisher.addresses = addresses;
        context.push(Effect::TimerWithin(TimerReason::Presence, SETTLE_ADDRESSES));
        if self.publisher.offered.is_some() {
            context.push(Effect::TimerWithin(TimerReason::Advertisement, SETTLE_ADDRESSES));
        }
    }

    /// D8: the routing table has another size. What this node announces may belong elsewhere.
    pub(crate) fn on_routing_table<V: Verifier>(&mut self, context: &mut Context<'_, V>, peers: usize) {
        let now = context.now.mono;
        if let Some(at) = self.publisher.routes.on_table(peers, now) {
            context.push(Effect::TimerWithin(TimerReason::Store, at.since(now)));
        }
    }

    /// D9: signs this node's presence, at the latest after half its lifetime, and tells everyone who can be told.
    /// Faster than others allow, it waits: the last change is made up for.
    pub(super) fn announce_presence<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        let (now, lifetime) = (context.now, context.config.presence_lifetime);
        let quota = own_quota(context.config.limits.presences_per_key);
        if let Some(wait) = self.publisher.presences.wait(quota, now.mono) {
            return context.timer(TimerReason::Presence, wait);
        }
        context.timer(TimerReason::Presence, lifetime / 2);
        let issued_at = self.publisher.issue(now.wall, context.config);
        let Some(expires_at) = issued_at.checked_add(lifetime) else { return };
        let expires_at = context.valid_until(expires_at);
        let addresses = self.publisher.addresses.clone();
        let presence = Presence { peer: context.own_peer, addresses, issued_at, expires_at };
        // A signer that cannot sign now is asked again at the next renewal.
        let Ok(bytes) = context.seal(Body::Presence(presence)) else { return };
        self.publisher.presences.take(quota, 1, now.mono);
        self.publisher.presence = Some(bytes.clone());
        self.publisher.is_presence_gossiped = self.publisher.routes.any();
        self.show_new_presence(context, &bytes);
        context.output(Output::Publish { topic: Topic::from_static(PRESENCE_TOPIC), bytes: bytes.clone() });
        self.announce(context, RecordKey::Presence(context.own_key), bytes, expires_at);
    }

    /// D26: a presence of this node's key that it has not signed. What this node signs next is newer, so that the other
    /// copy hears of it too.
    pub(crate) fn on_copy<V: Verifier>(&mut self, context: &mut Context<'_, V>, presence: &Presence) {
        self.publisher.issued_at = presence.issued_at;
        context.event(Event::KeyInUseTwice { peer: presence.peer, issued_at: presence.issued_at });
    }

    /// D10: this node offers to sign, from now on and over restarts.
    pub(super) fn advertise<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        offer: Offer,
        lifetime: Option<Duration>,
    ) -> Result<(), CommandError> {
        offer.check().map_err(CommandError::Offer)?;
        let least = context.config.least_advertisement_lifetime();
        if lifetime.is_some_and(|lifetime| lifetime < least || lifetime > MAX_LIFETIME) {
            return Err(CommandError::OfferLifetime { least });
        }
        let offered = Box::new(Offered { offer, lifetime });
        context.push(Effect::PersistOffer(Some(Record::Offer(offered.clone()))));
        self.publisher.offered = Some(offered);
        self.publish_offer(context).map_err(CommandError::Signer)
    }

    /// D11: this node offers nothing any more, and says so for as long as somebody may remember that it did.
    pub(super) fn withdraw<V: Verifier>(&mut self, context: &mut Context<'_, V>) -> Result<(), CommandError> {
        self.publisher.offered.take().ok_or(CommandError::NothingOffered)?;
        context.push(Effect::PersistOffer(None));
        if self.publisher.advertised.is_empty() {
            // Nobody has heard of it yet.
            context.timer(TimerReason::Advertisement, None);
            context.event(Event::Withdrawn);
            return Ok(());
        }
        self.publish_offer(context).map_err(CommandError::Signer)
    }

    /// D12: the offer is signed anew, after half its lifetime or because an address has changed.
    pub(super) fn renew_advertisement<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        // A signer that cannot sign now is asked again when the next change of address or renewal comes.
        let _signed = self.publish_offer(context);
    }

    /// Shows this node's offer, or that there is none, wherever it or the one before it may be looked for: whoever
    /// knows the old one asks for the new one only when a list says that there is one.
    fn publish_offer<V: Verifier>(&mut self, context: &mut Context<'_, V>) -> Result<(), SignerError> {
        let publisher = &mut self.publisher;
        let offered = publisher.offered.as_deref().cloned();
        let (now, quota) = (context.now, own_quota(context.config.limits.advertisements_per_key));
        if let Some(wait) = publisher.advertisements.wait(quota, now.mono) {
            context.timer(TimerReason::Advertisement, wait);
            return Ok(());
        }
        let usual = context.config.advertisement_lifetime;
        let lifetime = match &offered {
            // What was said with other settings, before a restart, is brought within what goes with these.
            Some(Offered { lifetime: Some(wanted), .. }) => {
                (*wanted).max(context.config.least_advertisement_lifetime())
            }
            Some(_) => usual,
            None => usual.max(Duration::from_secs(publisher.valid_for.into())),
        };
        let lifetime = lifetime.min(MAX_LIFETIME);
        let offer = offered.map(|offered| offered.offer);
        context.timer(TimerReason::Advertisement, offer.is_some().then_some(lifetime / 2));
        let types = offer.as_ref().map(|offer| offer.types.clone()).unwrap_or_default();
        let shown: BTreeSet<TransactionType> = publisher.advertised.iter().chain(&types).copied().collect();
        let issued_at = publisher.issue(now.wall, context.config);
        let expires_at = context.valid_until(issued_at.checked_add(lifetime).unwrap_or(issued_at));
        let (peer, addresses) = (context.own_peer, publisher.addresses.clone());
        let is_offered = offer.is_some();
        let advertisement = Advertisement { peer, addresses, offer, issued_at, expires_at };
        let bytes = context.seal(Body::Advertisement(Box::new(advertisement)))?;
        publisher.advertisements.take(quota, 1, now.mono);
        gossip(context, &bytes, shown.iter().copied());
        let digest = sha256(&[&bytes]);
        self.announce(context, RecordKey::Advertisement(context.own_key), bytes, expires_at);
        for list in shown.into_iter().map(List::Signers).chain([List::AllSigners]) {
            self.list(context, Listing { list, name: None, digest, issued_at, expires_at })?;
        }
        (self.publisher.advertised, self.publisher.valid_for) = (types, seconds(lifetime));
        context.event(if is_offered { Event::Advertised { expires_at } } else { Event::Withdrawn });
        Ok(())
    }

    /// Enters something into a list.
    fn list<V: Verifier>(&mut self, context: &mut Context<'_, V>, listing: Listing) -> Result<(), SignerError> {
        let (key, expires_at) = (RecordKey::of_entry(&listing.list, &context.own_key), listing.expires_at);
        let entry = MergeSet::of(context.seal(Body::Listing(listing))?);
        let value = match self.publisher.records.get(&key) {
            Some(own) => merge_own(&own.value, &entry).into(),
            None => entry,
        };
        self.announce(context, key, value, expires_at);
        Ok(())
    }

    /// Puts something into the DHT, now or when there is one, and again from time to time.
    fn announce<V: Verifier>(&mut self, context: &mut Context<'_, V>, key: RecordKey, value: Bytes, expires_at: Wall) {
        let until = context.now.mono.after(expires_at.since(context.now.wall));
        let record = PublishedRecord { value, expires_at, until };
        if self.publisher.routes.any() {
            context.output(record.store(&key, context.now.wall));
        }
        context.push(Effect::TimerWithin(TimerReason::Store, context.config.republish));
        self.publisher.records.insert(key, record);
    }

    /// D13: says again everything that this node announces, once there is somebody to say it to, and looks what has
    /// been said to it meanwhile.
    pub(super) fn republish<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        let publisher = &mut self.publisher;
        let now = context.now;
        publisher.records.retain(|_, record| record.expires_at > now.wall);
        context.timer(TimerReason::Store, context.config.republish);
        if !publisher.routes.any() {
            return;
        }
        publisher.routes.on_announced(now.mono);
        for (key, record) in publisher.records.iter() {
            context.output(record.store(key, now.wall));
        }
        if let Some(bytes) = publisher.presence.clone().filter(|_| !publisher.is_presence_gossiped) {
            publisher.is_presence_gossiped = true;
            context.output(Output::Publish { topic: Topic::from_static(PRESENCE_TOPIC), bytes });
        }
        if let Some(record) = publisher.records.get(&RecordKey::Advertisement(context.own_key)) {
            gossip(context, &record.value, publisher.advertised.iter().copied());
        }
        self.read_subscribed(context);
    }

    /// D24: the clocks have parted. Everything that this node announces is dated and signed anew, for as long as it
    /// would have been announced by the time that has run. A request has its session's dates, which are part of its
    /// name.
    pub(crate) fn on_clocks_parted<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        context.push(Effect::TimerWithin(TimerReason::Presence, SETTLE_ADDRESSES));
        let mut records = core::mem::take(&mut self.publisher.records);
        let mut resources = Vec::new();
        while let Some((key, record)) = records.pop_first() {
            match &key {
                RecordKey::Resource(_) => resources.push(record),
                RecordKey::List(List::Signers(_) | List::AllSigners | List::Resources(_), _) => {}
                RecordKey::Advertisement(_) => {
                    context.push(Effect::TimerWithin(TimerReason::Advertisement, SETTLE_ADDRESSES));
                    self.publisher.records.insert(key, record);
                }
                RecordKey::Presence(_) | RecordKey::Request(_) | RecordKey::List(List::Requests(_), _) => {
                    self.publisher.records.insert(key, record);
                }
            }
        }
        for PublishedRecord { value, until, .. } in resources {
            let (left, message) = (until.since(context.now.mono), Message::decode(value));
            if let Ok(Body::Resource(Resource { kind, name, data, .. })) = message.map(|message| message.unsigned.body)
            {
                // A signer that cannot sign now announces it no more; what is over is over.
                let _announced = self.announce_resource(context, kind, name, data, left);
            }
        }
    }

    /// This node may speak, or for longer than before (K3): what it announces is signed anew, and what it could not say
    /// before is said.
    pub(crate) fn on_delegated<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        self.on_clocks_parted(context);
        if self.publisher.offered.is_some() {
            context.push(Effect::TimerWithin(TimerReason::Advertisement, SETTLE_ADDRESSES));
        }
    }

    /// D14: asks for a session of this node's in public. What is too large there is told to whoever connects.
    pub(crate) fn list_request<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        definition: &Arc<Definition>,
    ) -> Result<(), SignerError> {
        let (id, expires_at, issued_at) = (definition.id(), definition.expires_at, definition.created_at);
        let body = if definition.fits_gossip() {
            Body::Request(definition.clone())
        } else {
            Body::RequestNotice(RequestNotice::of(definition))
        };
        let bytes = context.seal(body)?;
        context.output(Output::Publish { topic: Topic::from_static(REQUEST_TOPIC), bytes: bytes.clone() });
        self.announce(context, RecordKey::Request(id), bytes, expires_at);
        let name: Option<Label> = id.to_string().parse().ok();
        let own_key = context.own_key;
        for key in definition.keys.iter().filter(|key| **key != own_key) {
            let (list, name) = (List::Requests(*key), name.clone());
            self.list(context, Listing { list, name, digest: *id.as_bytes(), issued_at, expires_at })?;
        }
        context.event(Event::RequestListed { session: id });
        Ok(())
    }

    /// D15: nobody needs to find this session any more.
    pub(crate) fn unlist_request(&mut self, own_key: PublicKey, id: &SessionId, definition: &Definition) {
        let records = &mut self.publisher.records;
        if records.remove(&RecordKey::Request(*id)).is_none() {
            return;
        }
        let name: Option<Label> = id.to_string().parse().ok();
        for key in &definition.keys {
            let key = RecordKey::of_entry(&List::Requests(*key), &own_key);
            let Some(own) = records.remove(&key) else { continue };
            let rest = MergeSet::decode(&key.to_string(), &own.value);
            if let Some(rest) = rest.and_then(|set| set.without(own_key, name.clone())) {
                records.insert(key, PublishedRecord { value: rest.encode().into(), ..own });
            }
        }
    }

    /// D16: announces a resource, or that it is withdrawn.
    pub(crate) fn announce_resource<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        kind: Label,
        name: Label,
        data: Option<Data>,
        lifetime: Duration,
    ) -> Result<(), CommandError> {
        if lifetime < Duration::from_millis(1) || lifetime > MAX_LIFETIME {
            return Err(CommandError::Lifetime);
        }
        let id = ResourceId { author: context.own_key, kind: kind.clone(), name: name.clone() };
        let records = &self.publisher.records;
        let of_kind = |key: &&RecordKey| matches!(key, RecordKey::Resource(own) if own.kind == kind);
        let is_one = |key: &&RecordKey| matches!(key, RecordKey::Resource(_));
        let limits = &context.config.limits;
        if !records.contains_key(&RecordKey::Resource(id.clone()))
            && (records.keys().filter(of_kind).count() >= limits.resources_per_kind
                || records.keys().filter(is_one).count() >= limits.resources_per_author)
        {
            return Err(CommandError::TooManyResources);
        }
        let issued_at = self.publisher.issue(context.now.wall, context.config);
        let expires_at = context.valid_until(issued_at.checked_add(lifetime).ok_or(CommandError::Lifetime)?);
        let body = Body::Resource(Resource { kind: kind.clone(), name: name.clone(), data, issued_at, expires_at });
        let bytes = context.seal(body).map_err(CommandError::Signer)?;
        let digest = sha256(&[&bytes]);
        self.announce(context, RecordKey::Resource(id), bytes, expires_at);
        // Withdrawn or not: whoever knows it asks again only when the list says that there is something newer.
        let listing = Listing { list: List::Resources(kind), name: Some(name), digest, issued_at, expires_at };
        self.list(context, listing).map_err(CommandError::Signer)
    }
}

fn gossip<V: Verifier>(
    context: &mut Context<'_, V>,
    advertisement: &Bytes,
    kinds: impl IntoIterator<Item = TransactionType>,
) {
    for kind in kinds {
        let (topic, bytes) = (Topic::from_static(kind.topic()), advertisement.clone());
        context.output(Output::Publish { topic, bytes });
    }
}

/// At least as long: it is rounded up.
fn seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}
