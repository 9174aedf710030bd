//! Messages on their way, as bytes: streams of [32-byte header ‖ payload] in chunks from a pool.
//!
//! Invariant: a record is never split over two chunks, and begins at a multiple of 32 bytes, so that 32 bits locate it in
//! a stream. The chunk that was freed last is used first, while it is still in the cache. Driven by the windowed engine.

const CHUNK: usize = 4096;
const UNIT: usize = 32;
const UNITS_BITS: u32 = (CHUNK / UNIT).trailing_zeros();

/// What precedes a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) at: u64,
    pub(super) sequence: u64,
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) length: u32,
}

impl Header {
    #[inline]
    fn to_bytes(self) -> [u8; UNIT] {
        let mut bytes = [0; UNIT];
        bytes[..8].copy_from_slice(&self.at.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.source.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.destination.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    #[inline]
    fn from_bytes(bytes: &[u8; UNIT]) -> Self {
        let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("a header has four words"));
        let half = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("a header has eight halves"));
        Self { at: word(0), sequence: word(8), source: half(16), destination: half(20), length: half(24) }
    }
}

/// Some records, one after the other.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Box<[u8]>,
    used: usize,
}

impl Chunk {
    /// The record that begins at this unit.
    #[inline]
    pub(super) fn record(&self, unit: usize) -> (Header, &[u8]) {
        let rest = &self.bytes[unit * UNIT..];
        let header = Header::from_bytes(rest.first_chunk().expect("a record begins with its header"));
        (header, &rest[UNIT..UNIT + header.length as usize])
    }

    /// Where its records begin, with when they arrive.
    #[inline]
    pub(super) fn for_each(&self, mut visit: impl FnMut(usize, u64)) {
        let mut at = 0;
        while at < self.used {
            let header = Header::from_bytes(self.bytes[at..].first_chunk().expect("a record begins with its header"));
            visit(at / UNIT, header.at);
            at += space(header.length as usize);
        }
    }
}

/// The place of a record: chunk and unit in 31 bits.
#[inline]
pub(super) fn locate(chunk: usize, unit: usize) -> u32 {
    let place = chunk << UNITS_BITS | unit;
    assert!(place < 1 << 31, "a block has at most a gigabyte of messages in one window");
    place as u32
}

/// What [`locate`] located.
#[inline]
pub(super) const fn place(place: u32) -> (usize, usize) {
    ((place >> UNITS_BITS) as usize, (place & ((1 << UNITS_BITS) - 1)) as usize)
}

const fn space(length: usize) -> usize {
    UNIT + length.next_multiple_of(UNIT)
}

/// Free chunks, the last freed first.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<Chunk>);

impl Pool {
    fn take(&mut self, space: usize) -> Chunk {
        if space > CHUNK {
            return Chunk { bytes: vec![0; space].into(), used: 0 };
        }
        self.0.pop().unwrap_or_else(|| Chunk { bytes: vec![0; CHUNK].into(), used: 0 })
    }

    pub(super) fn give(&mut self, mut chunk: Chunk) {
        if chunk.bytes.len() == CHUNK {
            chunk.used = 0;
            self.0.push(chunk);
        }
    }
}

/// Records on their way to one block in one window.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) chunks: Vec<Chunk>,
}

impl Stream {
    #[inline]
    pub(super) fn push(&mut self, pool: &mut Pool, header: Header, payload: &[u8]) {
        let space = space(payload.len());
        let fits = self.chunks.last().is_some_and(|chunk| chunk.used + space <= chunk.bytes.len());
        if !fits {
            self.chunks.push(pool.take(space));
        }
        let chunk = self.chunks.last_mut().expect("a chunk has just been put there");
        let bytes = &mut chunk.bytes[chunk.used..chunk.used + space];
        bytes[..UNIT].copy_from_slice(&header.to_bytes());
        bytes[UNIT..UNIT + payload.len()].copy_from_slice(payload);
        chunk.used += space;
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
            let header = Header { at: sequence * 7, sequence, source: 1, destination: 2, length };
            stream.push(&mut pool, header, &vec![sequence as u8; length as usize]);
        }
        let mut seen = Vec::new();
        for (index, chunk) in stream.chunks.iter().enumerate() {
            chunk.for_each(|unit, at| {
                assert_eq!(place(locate(index, unit)), (index, unit));
                let (header, payload) = chunk.record(unit);
                assert_eq!((header.at, at), (header.sequence * 7, header.at));
                assert!(payload.iter().all(|byte| *byte == header.sequence as u8));
                seen.push(payload.len() as u32);
            });
        }
        assert_eq!(seen, lengths);
        let chunks = stream.chunks.len();
        stream.chunks.drain(..).for_each(|chunk| pool.give(chunk));
        assert_eq!(pool.0.len(), chunks - 2, "the two that are larger than a chunk are not kept");
    }
}
