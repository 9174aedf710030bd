//! The DHT records that this node holds.
//!
//! Owns the record store of Kademlia. Invariant: what others ask us to store can never push out, or take the room of,
//! what this node published itself; both kinds are bounded in number and size. Provider records are not part of our
//! protocol and are not kept. Driven by Kademlia, and by [`super::Network`] once a record has been accepted.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map},
    iter,
    time::Instant,
};

use libp2p::{
    PeerId,
    kad::{ProviderRecord, Record, RecordKey, store},
};

/// The largest value of a DHT record, in bytes: what the field's implementations carry without trouble.
pub const MAX_DHT_VALUE: usize = 12_000;
/// The longest key of a DHT record, in bytes.
pub const MAX_DHT_KEY: usize = 512;

const MAX_OWN: usize = 512;
/// As many as a core with default limits asks to have kept: it says which make room.
const MAX_FOREIGN: usize = 1024;

/// See the module's documentation.
pub(crate) struct Records {
    local: PeerId,
    records: HashMap<RecordKey, Record>,
    own: usize,
}

impl Records {
    pub(crate) fn new(local: PeerId) -> Self {
        Self { local, records: HashMap::new(), own: 0 }
    }

    fn is_own(&self, record: &Record) -> bool {
        record.publisher == Some(self.local)
    }

    fn take(&mut self, key: &RecordKey) -> Option<Record> {
        let record = self.records.remove(key)?;
        if self.is_own(&record) {
            self.own -= 1;
        }
        Some(record)
    }

    fn insert(&mut self, record: Record) {
        if self.is_own(&record) {
            self.own += 1;
        }
        let replaced = self.records.insert(record.key.clone(), record);
        debug_assert!(replaced.is_none(), "the old record is taken out, and counted, first");
    }

    fn has_room_for(&self, record: &Record) -> bool {
        if self.is_own(record) { self.own < MAX_OWN } else { self.records.len() - self.own < MAX_FOREIGN }
    }

    /// How many records of this node's there are, and how many of others.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.own, self.records.len() - self.own)
    }

    /// Removes a record of others, if it is one.
    pub(crate) fn remove_foreign(&mut self, key: &RecordKey) {
        if self.records.get(key).is_some_and(|record| !self.is_own(record)) {
            self.take(key);
        }
    }

    fn drop_expired(&mut self) {
        let now = Instant::now();
        let expired: Vec<_> =
            self.records.values().filter(|record| record.is_expired(now)).map(|record| record.key.clone()).collect();
        for key in expired {
            self.take(&key);
        }
    }
}

impl store::RecordStore for Records {
    type RecordsIter<'a> = iter::Map<hash_map::Values<'a, RecordKey, Record>, fn(&'a Record) -> Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        self.records.get(key).map(Cow::Borrowed)
    }

    fn put(&mut self, record: Record) -> store::Result<()> {
        if record.value.len() > MAX_DHT_VALUE || record.key.as_ref().len() > MAX_DHT_KEY {
            return Err(store::Error::ValueTooLarge);
        }
        let old = self.take(&record.key);
        if !self.has_room_for(&record) {
            self.drop_expired();
        }
        if self.has_room_for(&record) {
            self.insert(record);
            return Ok(());
        }
        if let Some(old) = old {
            self.insert(old);
        }
        Err(store::Error::MaxRecords)
    }

    fn remove(&mut self, key: &RecordKey) {
        self.take(key);
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        self.records.values().map(Cow::Borrowed)
    }

    fn add_provider(&mut self, _: ProviderRecord) -> store::Result<()> {
        Err(store::Error::MaxProvidedKeys)
    }

    fn providers(&self, _: &RecordKey) -> Vec<ProviderRecord> {
        Vec::new()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, _: &RecordKey, _: &PeerId) {}
}

#[cfg(test)]
mod tests {
    use libp2p::kad::store::RecordStore;

    use super::*;

    fn record(key: usize, bytes: usize, publisher: Option<PeerId>) -> Record {
        Record { key: RecordKey::new(&key.to_be_bytes()), value: vec![1; bytes], publisher, expires: None }
    }

    #[test]
    fn foreign_records_leave_room_for_our_own() {
        let local = PeerId::random();
        let mut records = Records::new(local);
        let stored = (0..2 * MAX_FOREIGN).filter(|key| records.put(record(*key, 10, None)).is_ok()).count();
        assert_eq!(stored, MAX_FOREIGN);
        for key in 0..MAX_OWN {
            records.put(record(100_000 + key, 10, Some(local))).expect("room for our own");
        }
        assert!(records.put(record(200_000, 10, Some(local))).is_err());
    }

    #[test]
    fn what_makes_room_is_a_record_of_others() {
        let local = PeerId::random();
        let mut records = Records::new(local);
        for key in 0..MAX_FOREIGN {
            records.put(record(key, MAX_DHT_VALUE, None)).expect("room, however large they are");
        }
        records.put(record(MAX_FOREIGN, 10, Some(local))).expect("room for our own");
        assert!(records.put(record(MAX_FOREIGN + 1, 1, None)).is_err());
        records.put(record(0, 1, None)).expect("a replacement needs no more room");
        records.remove_foreign(&record(MAX_FOREIGN, 0, None).key);
        assert!(records.get(&record(MAX_FOREIGN, 0, None).key).is_some(), "our own stays");
        records.remove_foreign(&record(7, 0, None).key);
        records.put(record(MAX_FOREIGN + 1, 1, None)).expect("the room was given back");
    }

    #[test]
    fn expired_records_make_room() {
        let mut records = Records::new(PeerId::random());
        for key in 0..MAX_FOREIGN {
            let expired = Record { expires: Some(Instant::now()), ..record(key, 10, None) };
            records.put(expired).expect("room");
        }
        records.put(record(MAX_FOREIGN, 10, None)).expect("room made by what expired");
        assert_eq!(records.records().count(), 1);
    }

    #[test]
    fn large_values_and_providers_are_refused() {
        let mut records = Records::new(PeerId::random());
        assert!(records.put(record(0, MAX_DHT_VALUE + 1, None)).is_err());
        let provider = ProviderRecord::new(RecordKey::new(b"key"), PeerId::random(), Vec::new());
        assert!(records.add_provider(provider).is_err());
    }
}
