//! DHT records: which are stored for others, and which are taken when a lookup finds them.
//!
//! Invariants: what is stored belongs under its key, is signed by its author, valid now, and not older than what is there,
//! so that nobody fills the store with what is not signed, or rolls it back. A list is merged, never replaced: writers who
//! know nothing of each other lose nothing, and when it is full a fair sample of its authors stays. Nobody but the peer's
//! quota is charged for a refusal: whoever hands a record on need not have been able to check it.
//!
//! Driven by the gate.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::quota::Buckets;
use super::{Admission, Channel, Gate, Known, KnownSession};
use crate::api::{Limits, Quota, Refusal};
use crate::base::{Bytes, Map, Mono, Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::{Body, Entry, Label, Listed, MergeSet, Message, PeerId, RecordKey};

/// Nothing stays announced for longer than this.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is kept of whom, and how much each peer may still hand over.
#[derive(Debug)]
pub(super) struct RecordQuotas {
    by_author: Map<PublicKey, Map<RecordKey, Wall>>,
    count: usize,
    capacity: usize,
    per_author: usize,
    per_kind: usize,
    by_peer: Buckets<PeerId>,
    per_peer: Quota,
}

impl RecordQuotas {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            by_author: Map::new(),
            count: 0,
            capacity: limits.records,
            per_author: limits.resources_per_author,
            per_kind: limits.resources_per_kind,
            by_peer: Buckets::new(limits.neighbours),
            per_peer: limits.records_per_peer,
        }
    }

    /// Takes so many new records from a peer, or none.
    fn charge(&mut self, peer: &PeerId, records: usize, now: Mono) -> Result<(), Refusal> {
        if self.by_peer.take(*peer, self.per_peer, records as u64, now) { Ok(()) } else { Err(Refusal::RecordQuota) }
    }

    /// Takes account of a record, unless its author has too many.
    fn note(&mut self, author: PublicKey, key: RecordKey, until: Wall, now: Wall) -> Result<(), Refusal> {
        let is_known = self.by_author.get(&author).is_some_and(|kept| kept.contains_key(&key));
        if !is_known {
            self.expire(&author, now);
            if self.count >= self.capacity {
                let authors: Vec<PublicKey> = self.by_author.keys().copied().collect();
                authors.iter().for_each(|author| self.expire(author, now));
            }
            let kept = self.by_author.get(&author);
            let of_kind = |kind: &Label| {
                let is_one = |key: &&RecordKey| matches!(key, RecordKey::Resource(id) if id.kind == *kind);
                kept.map_or(0, |kept| kept.keys().filter(is_one).count())
            };
            let is_too_many = matches!(&key, RecordKey::Resource(id) if of_kind(&id.kind) >= self.per_kind);
            if is_too_many || kept.is_some_and(|kept| kept.len() >= self.per_author) {
                return Err(Refusal::AuthorQuota);
            }
            if self.count >= self.capacity {
                return Err(Refusal::Full);
            }
            self.count += 1;
        }
        self.by_author.or_insert_with(author, Map::new).insert(key, until);
        Ok(())
    }

    fn expire(&mut self, author: &PublicKey, now: Wall) {
        let Some(kept) = self.by_author.get_mut(author) else { return };
        let before = kept.len();
        kept.retain(|_, until| *until > now);
        self.count -= before - kept.len();
        if kept.is_empty() {
            self.by_author.remove(author);
        }
    }
}

impl<V: Verifier> Gate<V> {
    /// What is to be stored under this key, and for how long, after a peer has asked for it.
    pub(super) fn admit_put(
        &mut self,
        verifier: &V,
        from: &PeerId,
        (key, bytes, stored): (&str, Bytes, Option<&Bytes>),
        now: Now,
    ) -> Result<Admission, Refusal> {
        if stored == Some(&bytes) {
            return Err(Refusal::Duplicate);
        }
        if MergeSet::is_meant(&bytes) {
            return self.admit_put_list(verifier, from, (key, &bytes, stored.map(|stored| &**stored)), now);
        }
        let message = self.decode(Channel::Put(from, key, stored), bytes.clone())?;
        let author = message.unsigned.author;
        let record = RecordKey::of(&author, &message.unsigned.body).filter(|record| record.to_string() == key);
        let record = record.ok_or(Refusal::RecordKey)?;
        let (issued_at, expires_at) = message.unsigned.body.dates().ok_or(Refusal::RecordKey)?;
        self.check_lifetime(issued_at, expires_at, MAX_LIFETIME, now.wall)?;
        let stored = stored.and_then(|stored| Message::decode(stored.clone()).ok());
        if stored.and_then(|stored| stored.unsigned.body.dates()).is_some_and(|(stored, _)| stored >= issued_at) {
            return Err(Refusal::Duplicate);
        }
        self.record_quotas.charge(from, 1, now.mono)?;
        let (_, body) = self.authenticate(verifier, message)?;
        match &body {
            Body::Advertisement(advertisement) if advertisement.offer.as_ref().is_some_and(|o| o.check().is_err()) => {
                return Err(Refusal::Offer);
            }
            Body::Request(definition) => {
                definition.check(MAX_LIFETIME).map_err(|_| Refusal::Definition)?;
                if definition.creator_key() != &author {
                    return Err(Refusal::NotTheCreator);
                }
            }
            _ => {}
        }
        self.record_quotas.note(author, record, expires_at, now.wall)?;
        Ok(Admission::Record { value: bytes, lifetime: expires_at.since(now.wall) })
    }

    fn admit_put_list(
        &mut self,
        verifier: &V,
        from: &PeerId,
        (key, bytes, stored): (&str, &[u8], Option<&[u8]>),
        now: Now,
    ) -> Result<Admission, Refusal> {
        let offered = MergeSet::decode(key, bytes).ok_or(Refusal::Malformed)?;
        let mut set = stored.and_then(|stored| MergeSet::decode(key, stored)).unwrap_or_default();
        let before = set.encode();
        let new = offered.into_entries().filter(|entry| !set.has(&entry.message.bytes));
        let new: Vec<_> = new.filter(|entry| self.is_entry_valid(entry, now.wall)).collect();
        self.record_quotas.charge(from, new.len(), now.mono)?;
        for entry in &new {
            self.authenticate(verifier, entry.message.clone())?;
        }
        new.into_iter().for_each(|entry| set.insert(entry));
        set.drop_expired(now.wall);
        set.trim(&self.salt);
        let value = set.encode();
        let until = set.entries().map(|entry| entry.listing.expires_at).max();
        let until = until.filter(|_| value != before).ok_or(Refusal::Duplicate)?;
        Ok(Admission::Record { value: value.into(), lifetime: until.since(now.wall) })
    }

    /// What a lookup has found: a message that belongs under that key, or a list.
    pub(super) fn admit_found(
        &mut self,
        verifier: &V,
        (sought, listed): (&RecordKey, Option<Listed>),
        bytes: Bytes,
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        if MergeSet::is_meant(&bytes) {
            return self.admit_found_list(verifier, sought, &bytes, known, now);
        }
        let channel = Channel::Found(sought, listed);
        let message = self.decode(channel, bytes)?;
        if RecordKey::of(&message.unsigned.author, &message.unsigned.body).as_ref() != Some(sought) {
            return Err(Refusal::Unasked);
        }
        if listed.is_some_and(|listed| !listed.fits(&message)) {
            return Err(Refusal::NotAsListed);
        }
        self.admit_message(verifier, channel, message, known, now)
    }

    /// A list says who announces what. Entries that point to what is known cost nothing.
    fn admit_found_list(
        &mut self,
        verifier: &V,
        sought: &RecordKey,
        bytes: &[u8],
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        let set = MergeSet::decode(&sought.to_string(), bytes).ok_or(Refusal::Malformed)?;
        let mut listings = Vec::new();
        for entry in set.into_entries() {
            let author = entry.message.unsigned.author;
            let Some(target) = entry.listing.target(&author).filter(|_| author != self.own_key) else { continue };
            let is_new = match &target {
                RecordKey::Request(id) => matches!(known.session(id), KnownSession::Not),
                target => known.issued_at(target).is_none_or(|newest| newest < entry.listing.issued_at),
            };
            if is_new && self.is_entry_valid(&entry, now.wall) {
                let (authentic, _) = self.authenticate(verifier, entry.message)?;
                listings.push(authentic.with(entry.listing).admitted());
            }
        }
        Ok(Admission::Listings(listings))
    }

    /// Whether an entry of a list is of this network and this time. Its signature has not been looked at.
    fn is_entry_valid(&self, entry: &Entry, now: Wall) -> bool {
        let listing = &entry.listing;
        entry.message.unsigned.network == self.config.network
            && self.check_lifetime(listing.issued_at, listing.expires_at, MAX_LIFETIME, now).is_ok()
    }
}
