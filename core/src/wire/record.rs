//! Records in the DHT: what they are called, and the lists that many authors write to.
//!
//! A record is one message, or a log: the entries of many authors in one list. A log is merged wherever it is stored,
//! so that writers who know nothing of each other lose nothing. Invariant: a log is sorted and has one entry for each
//! author and name; what does not encode back to itself is none.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Body, List, Listing, MAX_GOSSIP, Message, ResourceId, SessionId, encode};
use crate::base::{Bytes, Wall};
use crate::crypto::{PublicKey, sha256, tagged_hash};

/// Into how many records a directory is split, by a hash of its entries' authors.
pub const SHARDS: u8 = 16;
/// What a log begins with; no message does.
const LOG: u8 = b'L';
/// The most entries that one author has in one log.
pub(crate) const ENTRIES_PER_AUTHOR: usize = 8;
/// The most entries of a log: what fits, each with at least its signature.
const MAX_ENTRIES: usize = MAX_GOSSIP / 64;

const SHARD_TAG: &str = "nelumbo/shard/1";
const RANK_TAG: &str = "nelumbo/rank/1";

/// What a record is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// A key's presence.
    Presence(PublicKey),
    /// A key's advertisement.
    Advertisement(PublicKey),
    /// A signing request.
    Request(SessionId),
    /// A resource.
    Resource(ResourceId),
    /// A part of a list; lists of requests have one part only.
    List(List, u8),
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/lotus/resource:")?;
        match self {
            Self::Presence(key) => write!(f, "musig2-presence:{key}"),
            Self::Advertisement(key) => write!(f, "musig2-signer-advertisement:{key}"),
            Self::Request(session) => write!(f, "musig2-signing-request:{session}"),
            Self::Resource(ResourceId { author, kind, name }) => write!(f, "{kind}:{author}:{name}"),
            Self::List(List::Signers(kind), shard) => write!(f, "musig2-signer-directory:{kind}:{shard:x}"),
            Self::List(List::AllSigners, shard) => write!(f, "musig2-signer-directory:all:{shard:x}"),
            Self::List(List::Resources(kind), shard) => write!(f, "resource-directory:{kind}:{shard:x}"),
            Self::List(List::Requests(key), _) => write!(f, "musig2-request-index:{key}"),
        }
    }
}

impl RecordKey {
    /// Where an author's entry in a list belongs.
    pub fn of_entry(list: &List, author: &PublicKey) -> Self {
        let shard = match list {
            List::Requests(_) => 0,
            _ => tagged_hash(SHARD_TAG, &[&author.to_bytes()])[0] % SHARDS,
        };
        Self::List(list.clone(), shard)
    }

    /// All parts of a list.
    pub fn parts(list: &List) -> impl Iterator<Item = Self> {
        let shards = if matches!(list, List::Requests(_)) { 1 } else { SHARDS };
        (0..shards).map({
            let list = list.clone();
            move |shard| Self::List(list.clone(), shard)
        })
    }

    /// Where a message is stored; `None` for those that are not.
    pub fn of(author: &PublicKey, body: &Body) -> Option<Self> {
        match body {
            Body::Presence(_) => Some(Self::Presence(*author)),
            Body::Advertisement(_) => Some(Self::Advertisement(*author)),
            Body::Request(definition) => Some(Self::Request(definition.id())),
            Body::RequestNotice(notice) => Some(Self::Request(notice.session)),
            Body::Resource(resource) => Some(Self::Resource(ResourceId {
                author: *author,
                kind: resource.kind.clone(),
                name: resource.name.clone(),
            })),
            Body::Listing(listing) => Some(Self::of_entry(&listing.list, author)),
            Body::Session(_) | Body::Protocol(_) => None,
        }
    }
}

/// What an author's entry in a list says about a record: it must be that message, or a newer one of its author.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) digest: [u8; 32],
    pub(crate) issued_at: Wall,
}

impl Listed {
    /// Whether a message is the one that its author has listed, or newer.
    pub(crate) fn fits(&self, message: &Message) -> bool {
        let body = &message.unsigned.body;
        // A request's key is its digest, and what its creator says of it is as good as that.
        matches!(body, Body::Request(_) | Body::RequestNotice(_))
            || body.dates().is_some_and(|(issued_at, _)| issued_at > self.issued_at)
            || sha256(&[&message.bytes]) == self.digest
    }
}

impl Listing {
    /// The name of the record that an author's entry points to.
    pub(crate) fn target(&self, author: &PublicKey) -> Option<RecordKey> {
        match &self.list {
            List::Signers(_) | List::AllSigners => Some(RecordKey::Advertisement(*author)),
            List::Resources(kind) => {
                let (author, kind) = (*author, kind.clone());
                self.name.clone().map(|name| RecordKey::Resource(ResourceId { author, kind, name }))
            }
            List::Requests(_) => Some(RecordKey::Request(SessionId::from_bytes(self.digest))),
        }
    }
}

/// An entry of a log, decoded. Its signature has not been looked at.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    pub(crate) listing: Listing,
}

/// The entries of many authors in one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergeSet {
    entries: BTreeMap<(PublicKey, Option<super::Label>), Entry>,
}

#[derive(Serialize, Deserialize)]
struct Encoded(#[serde(deserialize_with = "entries")] Vec<Vec<u8>>);

fn entries<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
    super::bounded(deserializer, MAX_ENTRIES)
}

impl MergeSet {
    /// Whether these bytes are meant as a log.
    pub(crate) fn is_meant(bytes: &[u8]) -> bool {
        bytes.first() == Some(&LOG)
    }

    /// A log with one entry.
    pub(crate) fn of(entry: Bytes) -> Bytes {
        let mut bytes = Vec::from([LOG]);
        bytes.extend_from_slice(&encode(&Encoded(Vec::from([entry.to_vec()]))));
        bytes.into()
    }

    /// The log under this key. `None` when it is none, or has what does not belong there.
    pub(crate) fn decode(key: &str, bytes: &[u8]) -> Option<Self> {
        let (own_key, log) = Self::parse(bytes)?;
        own_key.is_none_or(|own_key| own_key.to_string() == key).then_some(log)
    }

    /// A log, and the key under which all of its entries belong; none when it is empty.
    fn parse(bytes: &[u8]) -> Option<(Option<RecordKey>, Self)> {
        let [LOG, rest @ ..] = bytes else { return None };
        if rest.len() > MAX_GOSSIP {
            return None;
        }
        let Encoded(items) = postcard::from_bytes(rest).ok()?;
        let (mut key, mut log) = (None, Self::default());
        for item in items {
            let message = Message::decode(item.into()).ok()?;
            let Body::Listing(listing) = &message.unsigned.body else { return None };
            let place = RecordKey::of_entry(&listing.list, &message.unsigned.author);
            if *key.get_or_insert_with(|| place.clone()) != place {
                return None;
            }
            let listing = listing.clone();
            log.insert(Entry { message, listing });
        }
        // One form only: what is not in order, or twice there, is refused.
        (log.encode() == bytes).then_some((key, log))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let items = self.entries.values().map(|entry| entry.message.bytes.to_vec()).collect();
        let mut bytes = Vec::from([LOG]);
        bytes.extend_from_slice(&encode(&Encoded(items)));
        bytes
    }

    /// Takes an entry, unless a newer one of its author is there. Of two that are equally old one is chosen that does
    /// not depend on their order, so that merging is the same in any order.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let place = (entry.message.unsigned.author, entry.listing.name.clone());
        let age = |entry: &Entry| (entry.listing.issued_at, entry.message.bytes.clone());
        if self.entries.get(&place).is_none_or(|old| age(old) < age(&entry)) {
            self.entries.insert(place, entry);
        }
    }

    pub(crate) fn has(&self, bytes: &Bytes) -> bool {
        self.entries.values().any(|entry| entry.message.bytes == *bytes)
    }

    /// Without this author's entry of that name; `None` when nothing is left.
    pub(crate) fn without(mut self, author: PublicKey, name: Option<super::Label>) -> Option<Self> {
        self.entries.remove(&(author, name));
        (!self.entries.is_empty()).then_some(self)
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.entries.into_values()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn drop_expired(&mut self, now: Wall) {
        self.entries.retain(|_, entry| entry.listing.expires_at > now);
    }

    /// Forgets what is dated later.
    pub(crate) fn drop_dated_after(&mut self, latest: Wall) {
        self.entries.retain(|_, entry| entry.listing.issued_at <= latest);
    }

    /// Leaves as many entries as a record has room for: those with the lowest ranks. A rank depends on a secret salt
    /// and on the author alone, so what stays is a fair sample of all authors who ever wrote, whatever their order and
    /// however often they repeat themselves (min-wise sampling as in Brahms, Bortnikov et al. 2009).
    pub(crate) fn trim(&mut self, salt: &[u8; 32]) {
        self.trim_authors();
        let mut ranked: Vec<_> = self
            .entries
            .iter()
            .map(|(place, entry)| (rank(salt, &place.0), entry.message.bytes.len() + 2, place.clone()))
            .collect();
        ranked.sort_unstable_by(|a, b| (a.0, &a.2).cmp(&(b.0, &b.2)));
        // The tag and the count of entries.
        let mut size = 4;
        for (_, length, place) in ranked {
            size += length;
            if size > MAX_GOSSIP {
                self.entries.remove(&place);
            }
        }
    }

    /// Leaves the newest entries of each author, no more than [`ENTRIES_PER_AUTHOR`].
    fn trim_authors(&mut self) {
        let mut newest: Vec<_> =
            self.entries.iter().map(|(place, entry)| (entry.listing.issued_at, place.clone())).collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        let mut counts: BTreeMap<PublicKey, usize> = BTreeMap::new();
        for (_, place) in newest {
            let count = counts.entry(place.0).or_default();
            *count += 1;
            if *count > ENTRIES_PER_AUTHOR {
                self.entries.remove(&place);
            }
        }
    }
}

/// An author's place in a fair sample.
pub(crate) fn rank(salt: &[u8; 32], author: &PublicKey) -> u64 {
    let hash = tagged_hash(RANK_TAG, &[salt, &author.to_bytes()]);
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// What a node stores that already has `stored` under this key and is about to store `value` of its own: of a log the
/// entries of both.
pub fn merge_own(stored: &[u8], value: &[u8]) -> Vec<u8> {
    let merged = MergeSet::parse(value).zip(MergeSet::parse(stored)).and_then(|((own_key, own), (key, mut log))| {
        if own_key.is_none() || key.is_some_and(|key| Some(key) != own_key) {
            return None;
        }
        let authors: Vec<_> = own.entries.keys().cloned().collect();
        own.into_entries().for_each(|entry| log.insert(entry));
        // Its own entries stay in any case: every other one makes room, a few at a time.
        while log.encode().len() > MAX_GOSSIP {
            let last = log.entries.keys().rev().find(|place| !authors.contains(place))?.clone();
            log.entries.remove(&last);
        }
        Some(log.encode())
    });
    merged.unwrap_or_else(|| value.to_vec())
}
