//! The workload in a bare loop, as fast as we can make one: the same windows and blocks, chunks that are used again
//! while they are in the cache, and keys sorted by buckets; and nothing that the workload does not need. Records have
//! one size, a node has one timer, nothing is lost, late or traced, and nobody can plug in anything.

use crate::{LATENCY, PAYLOAD, PERIOD};

#[derive(Clone, Copy)]
struct Message {
    at: u64,
    from: u32,
    to: u32,
    payload: [u8; PAYLOAD],
}

#[derive(Clone, Copy)]
struct Timer {
    at: u64,
    node: u32,
}

#[derive(Clone, Copy)]
struct Node {
    random: u64,
    received: u64,
}

fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn below(state: &mut u64, bound: u64) -> u64 {
    ((u128::from(draw(state)) * u128::from(bound)) >> 64) as u64
}

const BLOCK_BITS: u32 = 12;
const RING: usize = 16;
/// Records in a chunk.
const CHUNK: usize = 64;
const NONE: u32 = u32::MAX;
/// The bit of a key that says: a timer.
const TIMER: u64 = 1 << 31;

/// The last of a list of chunks, and how many records are in it.
#[derive(Clone, Copy)]
struct Stream {
    chunk: u32,
    used: u32,
}

const EMPTY: Stream = Stream { chunk: NONE, used: CHUNK as u32 };

/// All records of one type.
struct Arena<T> {
    records: Vec<T>,
    /// By chunk, the one before it in its list.
    before: Vec<u32>,
    free: Vec<u32>,
}

impl<T: Copy> Arena<T> {
    const fn new() -> Self {
        Self { records: Vec::new(), before: Vec::new(), free: Vec::new() }
    }

    #[inline]
    fn push(&mut self, stream: &mut Stream, record: T) {
        if stream.used as usize == CHUNK {
            let chunk = self.free.pop().unwrap_or_else(|| {
                self.before.push(NONE);
                self.records.resize(self.records.len() + CHUNK, record);
                (self.before.len() - 1) as u32
            });
            self.before[chunk as usize] = stream.chunk;
            *stream = Stream { chunk, used: 0 };
        }
        self.records[stream.chunk as usize * CHUNK + stream.used as usize] = record;
        stream.used += 1;
    }

    #[inline]
    fn for_each(&self, mut stream: Stream, mut visit: impl FnMut(u64, &T)) {
        while stream.chunk != NONE {
            let first = stream.chunk as usize * CHUNK;
            let records = &self.records[first..first + stream.used as usize];
            (first as u64..).zip(records).for_each(|(index, record)| visit(index, record));
            stream = Stream { chunk: self.before[stream.chunk as usize], used: CHUNK as u32 };
        }
    }

    fn free(&mut self, stream: Stream) {
        let mut chunk = stream.chunk;
        while chunk != NONE {
            self.free.push(chunk);
            chunk = self.before[chunk as usize];
        }
    }
}

/// Sorts by [time in the window ‖ place].
fn sort(keys: &mut Vec<u64>, sorted: &mut Vec<u64>, counts: &mut Vec<u32>) {
    let size = usize::BITS - keys.len().leading_zeros();
    let shift = (32 + 64 - LATENCY.0.leading_zeros()).saturating_sub(size);
    counts.clear();
    counts.resize(1 << size, 0);
    keys.iter().for_each(|key| counts[(key >> shift) as usize] += 1);
    let mut sum = 0;
    counts.iter_mut().for_each(|count| sum += std::mem::replace(count, sum));
    sorted.resize(keys.len(), 0);
    for key in &*keys {
        let place = &mut counts[(key >> shift) as usize];
        sorted[*place as usize] = *key;
        *place += 1;
    }
    for next in 1..sorted.len() {
        let key = sorted[next];
        let mut at = next;
        while at > 0 && sorted[at - 1] > key {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = key;
    }
    std::mem::swap(keys, sorted);
}

pub fn run(nodes: u32, until: u64) -> u64 {
    let length = LATENCY.0;
    let blocks = (nodes as usize).div_ceil(1 << BLOCK_BITS);
    let stream = |at: u64, node: u32| (at / length) as usize % RING * blocks + (node >> BLOCK_BITS) as usize;
    let fresh = |node: u32| Node { random: u64::from(node).wrapping_mul(0x1234_5678_9abc_def1), received: 0 };
    let mut all: Vec<Node> = (0..nodes).map(fresh).collect();
    let (mut messages, mut timers) = (Arena::new(), Arena::new());
    let mut ring = vec![(EMPTY, EMPTY); RING * blocks];
    for node in 0..nodes {
        let at = below(&mut all[node as usize].random, PERIOD);
        timers.push(&mut ring[stream(at, node)].1, Timer { at, node });
    }
    let mut events = 0;
    let (mut keys, mut sorted, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for window in 0..until.div_ceil(length) {
        let start = window * length;
        for block in 0..blocks {
            let due = std::mem::replace(&mut ring[window as usize % RING * blocks + block], (EMPTY, EMPTY));
            keys.clear();
            // A glance at each node lets memory bring many at a time.
            let mut glances = 0;
            messages.for_each(due.0, |index, message: &Message| {
                keys.push((message.at - start) << 32 | index);
                glances ^= all[message.to as usize].random;
            });
            timers.for_each(due.1, |index, timer: &Timer| {
                keys.push((timer.at - start) << 32 | TIMER | index);
                glances ^= all[timer.node as usize].random;
            });
            std::hint::black_box(glances);
            sort(&mut keys, &mut sorted, &mut counts);
            for key in &keys {
                let at = start + (key >> 32);
                if at >= until {
                    break;
                }
                events += 1;
                if key & TIMER == 0 {
                    let mut message = messages.records[*key as u32 as usize];
                    let node = &mut all[message.to as usize];
                    node.received += 1;
                    if message.payload[0] == 0 {
                        message.payload[0] = 1;
                        message.at = at + LATENCY.0 + below(&mut node.random, LATENCY.1);
                        std::mem::swap(&mut message.from, &mut message.to);
                        messages.push(&mut ring[stream(message.at, message.to)].0, message);
                    }
                } else {
                    let Timer { node: from, .. } = timers.records[(*key as u32 ^ TIMER as u32) as usize];
                    let random = &mut all[from as usize].random;
                    let to = below(random, u64::from(nodes)) as u32;
                    let arrives = at + LATENCY.0 + below(random, LATENCY.1);
                    let mut payload = [0; PAYLOAD];
                    payload[8..16].copy_from_slice(&draw(random).to_le_bytes());
                    messages.push(&mut ring[stream(arrives, to)].0, Message { at: arrives, from, to, payload });
                    timers.push(&mut ring[stream(at + PERIOD, from)].1, Timer { at: at + PERIOD, node: from });
                }
            }
            messages.free(due.0);
            timers.free(due.1);
        }
    }
    std::hint::black_box(all.iter().map(|node| node.received).sum::<u64>());
    events
}
