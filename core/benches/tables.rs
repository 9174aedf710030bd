//! What a hashed table takes beside an ordered map, in time and in bytes: `cargo bench -p nelumbo-core --bench tables`.
//!
//! Keys are the digests and peer ids that strangers choose, values as large as an account. Each time is that of one
//! look-up among so many entries, or of one entry that comes while another goes; the bytes are what is allocated once
//! all are in.
#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![allow(missing_docs, reason = "a program")]

extern crate alloc;

#[path = "../src/base/hashed.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "a module of the crate")]
mod hashed;
#[path = "../src/base/map.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "a module of the crate")]
mod map;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hashed::{HashKey, HashedMap};
use map::Map;
use nelumbo_core::crypto::sha256;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

type Key = [u8; 32];
type Value = [u64; 8];

fn key(number: usize) -> Key {
    sha256(&[&number.to_le_bytes()])
}

/// Both kinds of table, as far as they are measured.
trait Table {
    const NAME: &'static str;
    fn empty() -> Self;
    fn find(&self, key: &Key) -> Option<&Value>;
    fn put(&mut self, key: Key, value: Value);
    fn take(&mut self, key: &Key);
}

impl Table for Map<Key, Value> {
    const NAME: &'static str = "ordered";

    fn empty() -> Self {
        Self::new()
    }

    fn find(&self, key: &Key) -> Option<&Value> {
        self.get(key)
    }

    fn put(&mut self, key: Key, value: Value) {
        self.insert(key, value);
    }

    fn take(&mut self, key: &Key) {
        self.remove(key);
    }
}

impl Table for HashedMap<Key, Value> {
    const NAME: &'static str = "hashed";

    fn empty() -> Self {
        Self::new(HashKey::from_bytes([7; 32]))
    }

    fn find(&self, key: &Key) -> Option<&Value> {
        self.get(key)
    }

    fn put(&mut self, key: Key, value: Value) {
        self.insert(key, value);
    }

    fn take(&mut self, key: &Key) {
        self.remove(key);
    }
}

fn measure<T: Table>(criterion: &mut Criterion, entries: usize) {
    // More keys than entries, so that what goes and what comes are not the same.
    let keys: Vec<Key> = (0..2 * entries).map(key).collect();
    let before = ALLOCATOR.current_usage();
    let mut table = T::empty();
    assert_eq!(ALLOCATOR.current_usage(), before, "an empty one takes nothing");
    keys[..entries].iter().for_each(|key| table.put(*key, [1; 8]));
    let bytes = ALLOCATOR.current_usage() - before;
    println!("{} with {entries} entries: {bytes} bytes, {} for each", T::NAME, bytes / entries);
    let mut group = criterion.benchmark_group("tables");
    let mut at = 0;
    group.bench_function(BenchmarkId::new(format!("{}/find", T::NAME), entries), |bencher| {
        bencher.iter(|| {
            at = (at + 1) % entries;
            black_box(table.find(&keys[at]));
        });
    });
    let mut at = 0;
    group.bench_function(BenchmarkId::new(format!("{}/replace", T::NAME), entries), |bencher| {
        bencher.iter(|| {
            table.take(&keys[at]);
            table.put(keys[(at + entries) % keys.len()], [1; 8]);
            at = (at + 1) % keys.len();
        });
    });
    group.finish();
}

fn tables(criterion: &mut Criterion) {
    for entries in [10, 1_000, 100_000] {
        measure::<Map<Key, Value>>(criterion, entries);
        measure::<HashedMap<Key, Value>>(criterion, entries);
    }
}

criterion_group!(benches, tables);
criterion_main!(benches);
