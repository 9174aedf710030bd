//! Future events as bytes: streams of [24-byte header ‖ payload] in chunks from a pool.
//!
//! Invariant: a record is never split over two chunks, and begins at a multiple of 8 bytes, so that 32 bits locate it
//! in a stream; its time is what has passed since the window of its stream began. The chunk that was freed last is used
//! first, while it is still in the cache. Driven by the windowed engine.

use super::{Kind, Nanos, Stamp};

/// Bytes in a unit, and units in a chunk, as a power of 2.
const UNIT: usize = 8;
const CHUNK_BITS: u32 = 9;
const CHUNK: usize = 1 << CHUNK_BITS;
/// The bits of a header's sequence number that mark a timer, and one of the machine's network stack.
const TIMER: u64 = 1 << 63;
const STACK: u64 = 1 << 62;
/// Units in a header, and in a cache line.
const HEADER: usize = 3;
const LINE: usize = 64 / UNIT;

type Unit = [u8; UNIT];

/// An event that a machine will handle, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) at: Nanos,
    /// Which of its source's events it is.
    pub(super) sequence: u64,
    /// The machine that handles it.
    pub(super) node: u32,
    pub(super) cause: Cause,
}

/// The cause of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A message from this machine, with this many bytes.
    Message { source: u32, length: u32 },
    /// A timer of the machine's own.
    Timer { tag: u64 },
    /// A timer of its network stack, for the connection to this peer.
    Stack { peer: u32 },
}

impl Header {
    #[inline]
    pub(super) const fn stamp(&self) -> Stamp {
        let source = match self.cause {
            Cause::Message { source, .. } => source,
            Cause::Timer { .. } | Cause::Stack { .. } => self.node,
        };
        Stamp { at: self.at, source, sequence: self.sequence }
    }

    /// The event, for a header with this payload.
    #[inline]
    pub(super) const fn kind<'a>(&self, payload: &'a [u8]) -> Kind<'a> {
        match self.cause {
            Cause::Message { .. } => Kind::Message(payload),
            Cause::Timer { tag } => Kind::Timer(tag),
            Cause::Stack { peer } => Kind::Stack(peer),
        }
    }

    /// The header as units, for an event that is `after` nanoseconds after the beginning of its window.
    #[inline]
    fn to_units(self, after: u32) -> [Unit; HEADER] {
        let (detail, timer) = match self.cause {
            Cause::Message { source, length } => (u64::from(source) | u64::from(length) << 32, 0),
            Cause::Timer { tag } => (tag, TIMER),
            Cause::Stack { peer } => (peer as u64, TIMER | STACK),
        };
        [u64::from(self.node) | u64::from(after) << 32, self.sequence | timer, detail].map(u64::to_le_bytes)
    }

    #[inline]
    fn from_units(units: &[Unit; HEADER], start: Nanos) -> Self {
        let [first, sequence, detail] = units.map(u64::from_le_bytes);
        let cause = match sequence & TIMER {
            0 => Cause::Message { source: detail as u32, length: (detail >> 32) as u32 },
            _ if sequence & STACK != 0 => Cause::Stack { peer: detail as u32 },
            _ => Cause::Timer { tag: detail },
        };
        Self { at: start + (first >> 32), sequence: sequence & !(TIMER | STACK), node: first as u32, cause }
    }
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

/// A record, not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    header: &'a [Unit; HEADER],
    /// Its payload and what comes after it.
    rest: &'a [Unit],
}

impl<'a> Record<'a> {
    /// The machine that handles it.
    #[inline]
    pub(super) const fn node(self) -> u32 {
        u64::from_le_bytes(self.header[0]) as u32
    }

    /// Its header and payload; `start` is when its window began.
    #[inline]
    pub(super) fn read(self, start: Nanos) -> (Header, &'a [u8]) {
        let header = Header::from_units(self.header, start);
        let payload = match header.cause {
            Cause::Message { length, .. } => &self.rest.as_flattened()[..length as usize],
            Cause::Timer { .. } | Cause::Stack { .. } => &[],
        };
        (header, payload)
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
    pub(super) fn record(&self, at: usize) -> Record<'_> {
        let (header, rest) = self.units[at..].split_first_chunk().expect("records are whole");
        Record { header, rest }
    }

    /// Reads a byte of each of its cache lines, so that the processor fetches all of them at once. Where a record
    /// begins is known only when the one before has been read.
    #[inline]
    pub(super) fn prefetch(&self) -> u8 {
        self.units[..self.used].iter().step_by(LINE).fold(0, |sum, unit| sum ^ unit[0])
    }

    /// Visits its records: the unit at which each begins, how long after the beginning of the window it happens, and
    /// the machine that handles it.
    #[inline]
    pub(super) fn for_each(&self, mut visit: impl FnMut(usize, u32, u32)) {
        let mut at = 0;
        while let Some(&[first, sequence, detail]) = self.units[..self.used][at..].first_chunk() {
            let first = u64::from_le_bytes(first);
            visit(at, (first >> 32) as u32, first as u32);
            let is_timer = u64::from_le_bytes(sequence) & TIMER != 0;
            at += if is_timer { HEADER } else { units((u64::from_le_bytes(detail) >> 32) as usize) };
        }
    }

    /// Adds a record, if there is room for its units.
    #[inline(always)]
    fn push(&mut self, units: usize, after: u32, header: Header, payload: &[u8]) -> bool {
        let place = self.units.get_mut(self.used..self.used + units);
        let Some((first, rest)) = place.and_then(|place| place.split_first_chunk_mut()) else { return false };
        *first = header.to_units(after);
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
    u32::try_from(chunk << CHUNK_BITS | unit).expect("a block has less than 32 GiB of messages in one window")
}

/// The chunk and the unit that [`locate`] was given.
#[inline]
pub(super) const fn place(place: u32) -> (usize, usize) {
    ((place >> CHUNK_BITS) as usize, (place & ((1 << CHUNK_BITS) - 1)) as usize)
}

#[inline]
const fn units(length: usize) -> usize {
    HEADER + length.div_ceil(UNIT)
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

/// The events of one block in one window.
#[derive(Debug, Default)]
pub(super) struct Stream {
    open: Chunk,
    full: Vec<Chunk>,
}

impl Stream {
    /// Adds an event that happens `after` nanoseconds after the beginning of the window.
    #[inline(always)]
    pub(super) fn push(&mut self, pool: &mut Pool, after: u32, header: Header, payload: &[u8]) {
        let units = units(payload.len());
        if !self.open.push(units, after, header, payload) {
            self.turn(pool, units, after, header, payload);
        }
    }

    #[inline(never)]
    fn turn(&mut self, pool: &mut Pool, units: usize, after: u32, header: Header, payload: &[u8]) {
        let full = std::mem::replace(&mut self.open, pool.take(units));
        if full.used > 0 {
            self.full.push(full);
        }
        self.open.push(units, after, header, payload);
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

    const START: Nanos = 1_000_000;

    #[test]
    fn records_of_every_size_come_back_as_they_went_in() {
        let (mut pool, mut stream) = (Pool::default(), Stream::default());
        let lengths = [0, 1, 7, 8, 9, 64, 4000, 4072, 4073, 100_000, 5, 4072];
        for (sequence, length) in (0..).zip(lengths) {
            let cause = Cause::Message { source: 1, length };
            let after = sequence as u32 * 7;
            let header = Header { at: START + u64::from(after), sequence, node: 2, cause };
            stream.push(&mut pool, after, header, &vec![sequence as u8; length as usize]);
            let timer = Header { cause: Cause::Timer { tag: u64::MAX - sequence }, ..header };
            stream.push(&mut pool, after, timer, &[]);
            stream.push(&mut pool, after, Header { cause: Cause::Stack { peer: 77 }, ..header }, &[]);
        }
        let chunks: Vec<Chunk> = stream.drain().collect();
        let (mut seen, mut timers, mut stack_timers) = (Vec::new(), 0, 0);
        for (index, chunk) in chunks.iter().enumerate() {
            chunk.for_each(|unit, after, node| {
                assert_eq!(place(locate(index, unit)), (index, unit));
                let (header, payload) = chunk.record(unit).read(START);
                assert_eq!((header.at, header.node), (START + u64::from(after), node));
                assert_eq!((u64::from(after), node), (header.sequence * 7, 2));
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
                    Cause::Stack { peer } => {
                        assert_eq!((peer, payload.len()), (77, 0));
                        stack_timers += 1;
                    }
                }
            });
        }
        assert_eq!((&seen[..], timers, stack_timers), (&lengths[..], lengths.len(), lengths.len()));
        let count = chunks.len();
        chunks.into_iter().for_each(|chunk| pool.give(chunk));
        assert_eq!(pool.0.len(), count - 2, "the two that are larger than a chunk are not kept");
    }
}
