//! What is to happen, as bytes: streams of [32-byte header ‖ payload] in chunks from a pool.
//!
//! Invariant: a record is never split over two chunks, and begins at a multiple of 32 bytes, so that 32 bits locate it in
//! a stream. The chunk that was freed last is used first, while it is still in the cache. Driven by the windowed engine.

use super::{Kind, Nanos, Stamp};

/// Bytes in a unit, and units in a chunk, as a power of 2.
const UNIT: usize = 32;
const CHUNK_BITS: u32 = 7;
const CHUNK: usize = 1 << CHUNK_BITS;
/// The bit of a sequence number in a header that says: a timer.
const TIMER: u64 = 1 << 63;

type Unit = [u8; UNIT];

/// Something that is to happen to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) at: Nanos,
    /// Which of its source's events it is.
    pub(super) sequence: u64,
    /// The machine that it happens to.
    pub(super) node: u32,
    pub(super) cause: Cause,
}

/// What a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A message from this machine, with this many bytes.
    Message { source: u32, length: u32 },
    /// A timer of the machine's own.
    Timer { tag: u64 },
}

impl Header {
    #[inline]
    pub(super) const fn stamp(&self) -> Stamp {
        let source = match self.cause {
            Cause::Message { source, .. } => source,
            Cause::Timer { .. } => self.node,
        };
        Stamp { at: self.at, source, sequence: self.sequence }
    }

    /// The event, for a header with this payload.
    #[inline]
    pub(super) const fn kind<'a>(&self, payload: &'a [u8]) -> Kind<'a> {
        match self.cause {
            Cause::Message { .. } => Kind::Message(payload),
            Cause::Timer { tag } => Kind::Timer(tag),
        }
    }

    #[inline]
    fn to_unit(self) -> Unit {
        let (detail, timer, length) = match self.cause {
            Cause::Message { source, length } => (u64::from(source), 0, u64::from(length)),
            Cause::Timer { tag } => (tag, TIMER, 0),
        };
        let words = [self.at, self.sequence | timer, detail, u64::from(self.node) | length << 32];
        let mut unit = [0; UNIT];
        unit.as_chunks_mut().0.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
        unit
    }

    #[inline]
    fn from_unit(unit: &Unit) -> Self {
        let (sequence, detail, last) = (word(unit, 1), word(unit, 2), word(unit, 3));
        let cause = match sequence & TIMER {
            0 => Cause::Message { source: detail as u32, length: (last >> 32) as u32 },
            _ => Cause::Timer { tag: detail },
        };
        Self { at: word(unit, 0), sequence: sequence & !TIMER, node: last as u32, cause }
    }
}

#[inline]
fn word(unit: &Unit, at: usize) -> u64 {
    u64::from_le_bytes(unit.as_chunks().0[at])
}

impl Ord for Header {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.stamp().cmp(&other.stamp())
    }
}

impl PartialOrd for Header {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Some records, one after the other.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    units: Box<[Unit]>,
    used: usize,
}

impl Chunk {
    fn new(units: usize) -> Self {
        Self { units: vec![[0; UNIT]; units].into(), used: 0 }
    }

    /// The record that begins at this unit.
    #[inline]
    pub(super) fn record(&self, at: usize) -> (Header, &[u8]) {
        let header = Header::from_unit(&self.units[at]);
        let payload = match header.cause {
            Cause::Message { length, .. } => &self.units[at + 1..].as_flattened()[..length as usize],
            Cause::Timer { .. } => &[],
        };
        (header, payload)
    }

    #[inline]
    pub(super) fn node(&self, at: usize) -> u32 {
        word(&self.units[at], 3) as u32
    }

    /// Visits its records: at which unit each begins, when it happens, and to whom.
    #[inline]
    pub(super) fn for_each(&self, mut visit: impl FnMut(usize, Nanos, u32)) {
        // Where one record begins is known when the one before has been read. A glance at each cache line before lets
        // memory bring them all at once.
        std::hint::black_box(self.units[..self.used].iter().step_by(2).fold(0, |sum, unit| sum ^ unit[0]));
        let mut at = 0;
        while at < self.used {
            let (time, last) = (word(&self.units[at], 0), word(&self.units[at], 3));
            visit(at, time, last as u32);
            at += units((last >> 32) as usize);
        }
    }

    /// Adds a record, if there is room for its units.
    #[inline(always)]
    fn push(&mut self, units: usize, header: Header, payload: &[u8]) -> bool {
        let Some([first, rest @ ..]) = self.units.get_mut(self.used..self.used + units) else { return false };
        *first = header.to_unit();
        // In pieces of one length, which are copied without a call.
        let (pieces, last) = payload.as_chunks();
        let (whole, part) = rest.split_at_mut(pieces.len());
        whole.copy_from_slice(pieces);
        if let [part, ..] = part {
            part[..last.len()].copy_from_slice(last);
        }
        self.used += units;
        true
    }
}

/// The place of a record: chunk and unit in 32 bits.
#[inline]
pub(super) fn locate(chunk: usize, unit: usize) -> u32 {
    u32::try_from(chunk << CHUNK_BITS | unit).expect("a block has less than 128 GiB of messages in one window")
}

/// What [`locate`] located.
#[inline]
pub(super) const fn place(place: u32) -> (usize, usize) {
    ((place >> CHUNK_BITS) as usize, (place & ((1 << CHUNK_BITS) - 1)) as usize)
}

#[inline]
const fn units(length: usize) -> usize {
    1 + length.div_ceil(UNIT)
}

/// Free chunks, the last freed first.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<Chunk>);

impl Pool {
    fn take(&mut self, units: usize) -> Chunk {
        if units > CHUNK {
            return Chunk::new(units);
        }
        self.0.pop().unwrap_or_else(|| Chunk::new(CHUNK))
    }

    pub(super) fn give(&mut self, mut chunk: Chunk) {
        if chunk.units.len() == CHUNK {
            chunk.used = 0;
            self.0.push(chunk);
        }
    }
}

/// What happens to one block in one window.
#[derive(Debug, Default)]
pub(super) struct Stream {
    open: Chunk,
    full: Vec<Chunk>,
}

impl Stream {
    #[inline(always)]
    pub(super) fn push(&mut self, pool: &mut Pool, header: Header, payload: &[u8]) {
        let units = units(payload.len());
        if !self.open.push(units, header, payload) {
            self.turn(pool, units, header, payload);
        }
    }

    #[inline(never)]
    fn turn(&mut self, pool: &mut Pool, units: usize, header: Header, payload: &[u8]) {
        let full = std::mem::replace(&mut self.open, pool.take(units));
        if full.used > 0 {
            self.full.push(full);
        }
        self.open.push(units, header, payload);
    }

    /// Hands over its chunks.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Chunk> {
        let open = std::mem::take(&mut self.open);
        self.full.drain(..).chain((open.used > 0).then_some(open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_every_size_come_back_as_they_went_in() {
        let (mut pool, mut stream) = (Pool::default(), Stream::default());
        let lengths = [0, 1, 31, 32, 33, 64, 4000, 4064, 4065, 100_000, 5, 4064];
        for (sequence, length) in (0..).zip(lengths) {
            let cause = Cause::Message { source: 1, length };
            let header = Header { at: sequence * 7, sequence, node: 2, cause };
            stream.push(&mut pool, header, &vec![sequence as u8; length as usize]);
            let timer = Header { cause: Cause::Timer { tag: u64::MAX - sequence }, ..header };
            stream.push(&mut pool, timer, &[]);
        }
        let chunks: Vec<Chunk> = stream.drain().collect();
        let (mut seen, mut timers) = (Vec::new(), 0);
        for (index, chunk) in chunks.iter().enumerate() {
            chunk.for_each(|unit, at, node| {
                assert_eq!(place(locate(index, unit)), (index, unit));
                let (header, payload) = chunk.record(unit);
                assert_eq!((header.at, header.node), (at, node));
                assert_eq!((at, node), (header.sequence * 7, 2));
                match header.cause {
                    Cause::Message { source, length } => {
                        assert!(payload.iter().all(|byte| *byte == header.sequence as u8));
                        assert_eq!((source, length as usize), (1, payload.len()));
                        seen.push(length);
                    }
                    Cause::Timer { tag } => {
                        assert_eq!((tag, payload.len()), (u64::MAX - header.sequence, 0));
                        timers += 1;
                    }
                }
            });
        }
        assert_eq!((&seen[..], timers), (&lengths[..], lengths.len()));
        let count = chunks.len();
        chunks.into_iter().for_each(|chunk| pool.give(chunk));
        assert_eq!(pool.0.len(), count - 2, "the two that are larger than a chunk are not kept");
    }
}
