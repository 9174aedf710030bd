//! The receiving half of a connection: packets come in any order, messages come out whole.

use std::collections::BTreeMap;

use super::packet::Chunk;
use super::ranges::Ranges;

/// How many ranges an acknowledgement has: enough for what is under way, and bounded.
const RANGES: usize = 32;
/// Streams below this number go on after a message; the others have one.
pub(super) const CHANNELS: u64 = 256;
/// The length that stands before each message in a stream.
pub(super) const PREFIX: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Reassembly {
    arrived: Ranges,
    streams: BTreeMap<u64, Stream>,
    /// Streams that have come to their end.
    finished: Ranges,
}

/// A stream, parts of which have arrived.
#[derive(Debug, Default)]
struct Stream {
    /// Up to where it is whole.
    whole: u64,
    /// What comes later, by where it begins.
    later: BTreeMap<u64, Box<[u8]>>,
    /// What is whole and not yet a message.
    bytes: Vec<u8>,
}

impl Stream {
    fn add(&mut self, offset: u64, bytes: Box<[u8]>) {
        if offset >= self.whole {
            self.later.insert(offset, bytes);
        }
        while let Some(next) = self.later.remove(&self.whole) {
            self.whole += next.len() as u64;
            self.bytes.extend_from_slice(&next);
        }
    }

    /// Takes the next message, if it is whole.
    fn take(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.bytes.split_first_chunk::<PREFIX>()?;
        let message = rest.get(..u32::from_le_bytes(*length) as usize)?.to_vec();
        self.bytes.drain(..PREFIX + message.len());
        Some(message)
    }
}

impl Reassembly {
    /// Takes a packet, and adds the messages that are whole now.
    pub(super) fn on_packet(&mut self, number: u64, chunks: Vec<Chunk>, mut deliver: impl FnMut(Vec<u8>)) {
        if !self.arrived.insert(number) {
            return;
        }
        self.arrived.prune(RANGES);
        for Chunk { stream: id, offset, bytes } in chunks {
            if self.finished.contains(id) {
                continue;
            }
            let stream = self.streams.entry(id).or_default();
            stream.add(offset, bytes);
            while let Some(message) = stream.take() {
                deliver(message);
                if id >= CHANNELS {
                    self.streams.remove(&id);
                    self.finished.insert(id);
                    break;
                }
            }
        }
    }

    /// Which packets have arrived, the last first.
    pub(super) fn arrived(&self) -> Vec<(u64, u64)> {
        self.arrived.iter().collect()
    }
}
