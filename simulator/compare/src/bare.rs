//! The workload in a bare loop: the same windows, each of which sorts small keys, and nothing that the workload does not
//! need: fixed records, no faults, no trace, one kind of message.

use crate::{LATENCY, PAYLOAD, PERIOD};

#[derive(Clone, Copy)]
struct Record {
    at: u64,
    from: u32,
    to: u32,
    /// 2 is the timer.
    kind: u8,
    payload: [u8; PAYLOAD - 9],
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

const BLOCK_BITS: u32 = 10;
const RING: usize = 16;

pub fn run(nodes: u32, until: u64) -> u64 {
    let blocks = (nodes as usize).div_ceil(1 << BLOCK_BITS);
    let mut random: Vec<u64> = (0..u64::from(nodes)).map(|node| node.wrapping_mul(0x1234_5678_9abc_def1)).collect();
    let mut received = vec![0_u64; nodes as usize];
    let mut ring: Vec<Vec<Vec<Record>>> = (0..RING).map(|_| vec![Vec::new(); blocks]).collect();
    let length = LATENCY.0;
    let slot = |at: u64| (at / length) as usize % RING;
    for node in 0..nodes {
        let at = below(&mut random[node as usize], PERIOD);
        let timer = Record { at, from: node, to: node, kind: 2, payload: [0; PAYLOAD - 9] };
        ring[slot(at)][(node >> BLOCK_BITS) as usize].push(timer);
    }
    let mut events = 0;
    let mut keys: Vec<u64> = Vec::new();
    let mut due: Vec<Record> = Vec::new();
    for window in 0..until.div_ceil(length) {
        let start = window * length;
        for block in 0..blocks {
            due.clear();
            std::mem::swap(&mut due, &mut ring[window as usize % RING][block]);
            keys.clear();
            keys.extend((0..).zip(&due).map(|(index, record): (u64, _)| (record.at - start) << 32 | index));
            keys.sort_unstable();
            for key in &keys {
                let record = due[*key as u32 as usize];
                if record.at >= until {
                    break;
                }
                events += 1;
                let me = record.to as usize;
                let state = &mut random[me];
                let (to, kind) = match record.kind {
                    0 => (record.from, 1),
                    1 => {
                        received[me] += 1;
                        continue;
                    }
                    _ => (below(state, u64::from(nodes)) as u32, 0),
                };
                let at = record.at + LATENCY.0 + below(state, LATENCY.1);
                let sent = Record { at, from: record.to, to, kind, payload: record.payload };
                ring[slot(at)][(to >> BLOCK_BITS) as usize].push(sent);
                if record.kind == 2 {
                    let at = record.at + PERIOD;
                    ring[slot(at)][block].push(Record { at, ..record });
                }
            }
        }
    }
    std::hint::black_box(received);
    events
}
