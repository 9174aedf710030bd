//! Which DHT records are stored for others.
//!
//! Invariants: what is stored belongs under its key, is signed by its author, valid now, and not older than what is there,
//! so that nobody fills the store with what is not signed, or rolls it back. A list is merged, never replaced: writers who
//! know nothing of each other lose nothing, and when it is full a fair sample of its authors stays. Nobody but the peer's
//! quota is charged for a refusal: whoever hands a record on need not have been able to check it.
//!
//! Driven by `Node`.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::kept::{Bearer, Kept, KeptRecords};
use super::quota::Buckets;
use super::{Channel, Gate};
use crate::api::{Limits, Quota, Refusal, Subnet};
use crate::base::{Bytes, HashKey, Mono, Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::{Body, Entry, MergeSet, Message, PeerId, RecordKey};

/// Nothing stays announced for longer than this.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a peer asks to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    pub(crate) from: &'a PeerId,
    pub(crate) subnet: Option<Subnet>,
    pub(crate) key: &'a str,
    pub(crate) bytes: &'a Bytes,
    pub(crate) stored: Option<&'a Bytes>,
}

impl Put<'_> {
    fn bearer(&self) -> Bearer {
        self.subnet.map_or(Bearer::Peer(*self.from), Bearer::Subnet)
    }
}

/// What is to be stored, and which other record makes room for it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) value: Bytes,
    pub(crate) lifetime: Duration,
    pub(crate) removed: Option<Box<str>>,
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
    fn charge_author(&mut self, author: &PublicKey, now: Mono) -> Result<(), Refusal> {
        if self.by_author.take(*author, self.quota, 1, now) { Ok(()) } else { Err(Refusal::AuthorQuota) }
    }
}

impl Gate {
    /// What is to be stored after a peer has offered a record; some authors are known at first hand.
    pub(crate) fn validate_put<V: Verifier>(
        &mut self,
        verifier: &V,
        put: Put<'_>,
        is_known: impl Fn(&PublicKey) -> bool,
        now: Now,
    ) -> Result<Judged, Refusal> {
        if put.stored == Some(put.bytes) {
            return Err(Refusal::Duplicate);
        }
        if MergeSet::is_meant(put.bytes) {
            return self.validate_merge_set(verifier, put, is_known, now);
        }
        let message = self.decode(Channel::Record, put.bytes.clone())?;
        let author = message.unsigned.author;
        let record = RecordKey::of(&author, &message.unsigned.body).filter(|record| record.to_string() == put.key);
        let record = record.ok_or(Refusal::RecordKey)?;
        let (issued_at, expires_at) = message.unsigned.body.dates().ok_or(Refusal::RecordKey)?;
        self.check_lifetime(issued_at, expires_at, MAX_LIFETIME, now.wall)?;
        let stored = put.stored.and_then(|stored| Message::decode(stored.clone()).ok());
        if stored.and_then(|stored| stored.unsigned.body.dates()).is_some_and(|(stored, _)| stored >= issued_at) {
            return Err(Refusal::Duplicate);
        }
        self.kept.charge(put.from, 1, now.mono)?;
        if !verifier.verify(&author, &message.digest(), &message.signature) {
            return Err(Refusal::Signature);
        }
        self.kept.charge_author(&author, now.mono)?;
        match &message.unsigned.body {
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
        let kept = Kept {
            bearer: put.bearer(),
            author: Some(author),
            kind: Kept::kind_of(&record),
            until: expires_at,
            is_known: is_known(&author),
        };
        let removed = self.kept.kept.note(put.key, kept, now.wall)?;
        Ok(Judged { value: put.bytes.clone(), lifetime: expires_at.since(now.wall), removed })
    }

    fn validate_merge_set<V: Verifier>(
        &mut self,
        verifier: &V,
        put: Put<'_>,
        is_known: impl Fn(&PublicKey) -> bool,
        now: Now,
    ) -> Result<Judged, Refusal> {
        let offered = MergeSet::decode(put.key, put.bytes).ok_or(Refusal::Malformed)?;
        let mut log = put.stored.and_then(|stored| MergeSet::decode(put.key, stored)).unwrap_or_default();
        let before = log.encode();
        let news = offered.into_entries().filter(|entry| !log.has(&entry.message.bytes));
        let mut news: Vec<_> = news.filter(|entry| self.is_entry_valid(entry, now.wall)).collect();
        self.kept.charge(put.from, news.len(), now.mono)?;
        for entry in &news {
            let author = &entry.message.unsigned.author;
            if !verifier.verify(author, &entry.message.digest(), &entry.message.signature) {
                return Err(Refusal::Signature);
            }
        }
        // Whoever writes too much loses its own entries and nobody else's.
        news.retain(|entry| self.kept.charge_author(&entry.message.unsigned.author, now.mono).is_ok());
        news.into_iter().for_each(|entry| log.insert(entry));
        log.drop_expired(now.wall);
        log.trim(&self.salt);
        let value = log.encode();
        let until = log.entries().map(|entry| entry.listing.expires_at).max();
        let until = until.filter(|_| value != before).ok_or(Refusal::Duplicate)?;
        let is_known = log.entries().any(|entry| is_known(&entry.message.unsigned.author));
        let kept = Kept { bearer: put.bearer(), author: None, kind: None, until, is_known };
        let removed = self.kept.kept.note(put.key, kept, now.wall)?;
        Ok(Judged { value: value.into(), lifetime: until.since(now.wall), removed })
    }

    /// Whether an entry of a list is of this network and this time. Its signature has not been looked at.
    pub(crate) fn is_entry_valid(&self, entry: &Entry, now: Wall) -> bool {
        let listing = &entry.listing;
        entry.message.unsigned.network == self.config.network
            && self.check_lifetime(listing.issued_at, listing.expires_at, MAX_LIFETIME, now).is_ok()
    }
}
