//! DHT records: which are stored for others, and which are taken when a lookup finds them.
//!
//! Invariants: what is stored belongs under its key, is signed by its author, valid now, and not older than what is
//! there, so that nobody fills the store with what is not signed, or rolls it back. A list is merged, never replaced:
//! writers who know nothing of each other lose nothing, and when it is full a fair sample of its authors stays. Nobody
//! but the peer's quota is charged for a refusal: whoever hands a record on need not have been able to check it.
//!
//! Driven by the gate.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::kept::{Bearer, Kept, KeptRecords};
use super::quota::Buckets;
use super::{Admission, Channel, Gate, Known, KnownSession};
use crate::api::{Limits, Quota, Refusal, Subnet, Tier};
use crate::base::{Bytes, HashKey, Mono, Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::{Body, Entry, Listed, MergeSet, Message, PeerId, RecordKey};

/// Nothing stays announced for longer than this.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a peer asks to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    pub(crate) from: &'a PeerId,
    pub(crate) subnet: Option<Subnet>,
    pub(crate) key: &'a str,
    pub(crate) stored: Option<&'a Bytes>,
}

impl Put<'_> {
    fn bearer(&self) -> Bearer {
        self.subnet.map_or(Bearer::Peer(*self.from), Bearer::Subnet)
    }
}

/// What is kept, and how much each peer may still hand over, and of each author.
#[derive(Debug)]
pub(super) struct RecordQuotas {
    kept: KeptRecords,
    by_peer: Buckets<PeerId>,
    by_author: Buckets<PublicKey>,
    quota: Quota,
}

impl RecordQuotas {
    pub(super) fn new(limits: &Limits, own_peer: &PeerId, hash_key: HashKey) -> Self {
        Self {
            kept: KeptRecords::new(limits, own_peer),
            by_peer: Buckets::new(limits.neighbours, hash_key),
            by_author: Buckets::new(limits.announcers, hash_key),
            quota: limits.records_per_peer,
        }
    }

    /// Takes so many new records from a peer, or none.
    fn charge(&mut self, peer: &PeerId, records: usize, now: Mono) -> Result<(), Refusal> {
        if self.by_peer.take(*peer, self.quota, records as u64, now) { Ok(()) } else { Err(Refusal::RecordQuota) }
    }

    /// Takes one of an author, who has signed it.
    fn charge_author(&mut self, author: &PublicKey, tier: Option<Tier>, now: Mono) -> Result<(), Refusal> {
        if self.by_author.take(*author, self.quota.of_tier(tier), 1, now) { Ok(()) } else { Err(Refusal::AuthorQuota) }
    }
}

impl<V: Verifier> Gate<V> {
    /// What is to be stored after a peer has asked for it.
    pub(super) fn admit_put(
        &mut self,
        verifier: &V,
        put: Put<'_>,
        bytes: Bytes,
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        if put.stored == Some(&bytes) {
            return Err(Refusal::Duplicate);
        }
        if MergeSet::is_meant(&bytes) {
            return self.admit_put_list(verifier, put, &bytes, known, now);
        }
        let message = self.decode(Channel::Put(put), bytes.clone())?;
        let author = message.unsigned.author;
        let record = RecordKey::of(&author, &message.unsigned.body).filter(|record| record.to_string() == put.key);
        let record = record.ok_or(Refusal::RecordKey)?;
        let (issued_at, expires_at) = message.unsigned.body.dates().ok_or(Refusal::RecordKey)?;
        self.check_lifetime(issued_at, expires_at, MAX_LIFETIME, now.wall)?;
        let stored = put.stored.and_then(|stored| Message::decode(stored.clone()).ok());
        // What was stored while this node's clock was wrong stands in nobody's way.
        let stored = stored.and_then(|stored| stored.unsigned.body.dates()).map(|(stored, _)| stored);
        if stored.is_some_and(|stored| stored >= issued_at && stored <= self.config.latest(now.wall)) {
            return Err(Refusal::Duplicate);
        }
        self.exchange().records.charge(put.from, 1, now.mono)?;
        let (_, body) = self.authenticate(verifier, message)?;
        self.exchange().records.charge_author(&author, known.tier(&author), now.mono)?;
        if !known.accepts(&author, &body) {
            return Err(Refusal::Policy);
        }
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
            Body::RequestNotice(notice) => {
                notice.check(MAX_LIFETIME).map_err(|_| Refusal::Definition)?;
                if notice.creator_key() != &author {
                    return Err(Refusal::NotTheCreator);
                }
            }
            _ => {}
        }
        let kept = Kept {
            bearer: put.bearer(),
            author: Some(author),
            kind: Kept::kind_of(&record),
            until: expires_at,
            is_known: known.is_acquainted(&author),
        };
        let removed = self.exchange().records.kept.note(put.key, kept, now.wall)?;
        Ok(Admission::Record { value: bytes, lifetime: expires_at.since(now.wall), removed })
    }

    fn admit_put_list(
        &mut self,
        verifier: &V,
        put: Put<'_>,
        bytes: &[u8],
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        let offered = MergeSet::decode(put.key, bytes).ok_or(Refusal::Malformed)?;
        let mut set = put.stored.and_then(|stored| MergeSet::decode(put.key, stored)).unwrap_or_default();
        let before = set.encode();
        set.drop_dated_after(self.config.latest(now.wall));
        let new = offered.into_entries().filter(|entry| !set.has(&entry.message.bytes));
        let mut new: Vec<_> = new.filter(|entry| self.is_entry_valid(entry, now.wall)).collect();
        self.exchange().records.charge(put.from, new.len(), now.mono)?;
        for entry in &new {
            self.authenticate(verifier, entry.message.clone())?;
        }
        // Whoever writes too much loses its own entries and nobody else's.
        let records = &mut self.exchange().records;
        new.retain(|entry| {
            let author = &entry.message.unsigned.author;
            records.charge_author(author, known.tier(author), now.mono).is_ok()
        });
        new.into_iter().for_each(|entry| set.insert(entry));
        set.drop_expired(now.wall);
        set.trim(&self.secrets.salt);
        let value = set.encode();
        let until = set.entries().map(|entry| entry.listing.expires_at).max();
        let until = until.filter(|_| value != before).ok_or(Refusal::Duplicate)?;
        let is_known = set.entries().any(|entry| known.is_acquainted(&entry.message.unsigned.author));
        let kept = Kept { bearer: put.bearer(), author: None, kind: None, until, is_known };
        let removed = self.exchange().records.kept.note(put.key, kept, now.wall)?;
        Ok(Admission::Record { value: value.into(), lifetime: until.since(now.wall), removed })
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
                target => self.newest(target, known, now.wall).is_none_or(|newest| newest < entry.listing.issued_at),
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
