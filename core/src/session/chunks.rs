//! A map from session ids to something small, for a million of them: sorted arrays of a few hundred, each hardly longer
//! than what it holds.
//!
//! Invariant: ids ascend within a chunk and from one chunk to the next, and no chunk is empty.

use alloc::vec::Vec;

use crate::wire::SessionId;

/// The most entries of a chunk; one that has as many is split.
const MOST: usize = 256;
/// How many places a chunk gets when it has none left.
const STEP: usize = 16;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Chunks<T> {
    chunks: Vec<Vec<(SessionId, T)>>,
    len: usize,
}

impl<T: Copy> Chunks<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The chunk in which an id is, or belongs, and its place there.
    fn find(&self, id: &SessionId) -> (usize, Result<usize, usize>) {
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| last < id));
        let chunk = chunk.min(self.chunks.len().saturating_sub(1));
        let place = self.chunks.get(chunk).map(|chunk| chunk.binary_search_by(|(other, _)| other.cmp(id)));
        (chunk, place.unwrap_or(Err(0)))
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<&T> {
        let (chunk, place) = self.find(id);
        place.ok().map(|place| &self.chunks[chunk][place].1)
    }

    /// Sets what an id has, and returns what it had before.
    pub(super) fn insert(&mut self, id: SessionId, value: T) -> Option<T> {
        let (mut at, place) = self.find(&id);
        let mut place = match place {
            Ok(place) => return Some(core::mem::replace(&mut self.chunks[at][place].1, value)),
            Err(place) => place,
        };
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        if self.chunks[at].len() == MOST {
            let mut upper = Vec::with_capacity(MOST / 2 + STEP);
            upper.extend(self.chunks[at].drain(MOST / 2..));
            self.chunks[at].shrink_to(MOST / 2 + STEP);
            self.chunks.insert(at + 1, upper);
            if place > MOST / 2 {
                (at, place) = (at + 1, place - MOST / 2);
            }
        }
        let chunk = &mut self.chunks[at];
        if chunk.len() == chunk.capacity() {
            chunk.reserve_exact(STEP);
        }
        chunk.insert(place, (id, value));
        self.len += 1;
        None
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        if let (chunk, Ok(place)) = self.find(id) {
            let entries = &mut self.chunks[chunk];
            entries.remove(place);
            tighten(entries);
            self.len -= 1;
            if entries.is_empty() {
                self.chunks.remove(chunk);
            }
        }
    }

    /// Keeps those of which this is true, in order.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&SessionId, &T) -> bool) {
        let mut kept: Vec<Vec<(SessionId, T)>> = Vec::new();
        for mut chunk in core::mem::take(&mut self.chunks) {
            chunk.retain(|(id, value)| keep(id, value));
            match kept.last_mut() {
                _ if chunk.is_empty() => {}
                // Small ones become one, so that a few that stay of many do not stay far apart.
                Some(last) if last.len() + chunk.len() <= MOST / 2 => last.extend(chunk),
                _ => kept.push(chunk),
            }
        }
        kept.iter_mut().for_each(tighten);
        self.len = kept.iter().map(Vec::len).sum();
        self.chunks = kept;
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionId, &T)> {
        self.chunks.iter().flatten().map(|(id, value)| (id, value))
    }
}

/// Gives back what a chunk does not need.
fn tighten<T>(chunk: &mut Vec<T>) {
    if chunk.capacity() > chunk.len() + 2 * STEP {
        chunk.shrink_to(chunk.len() + STEP);
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use quickcheck::quickcheck;

    use super::*;

    fn id(number: u16) -> SessionId {
        let mut bytes = [0; 32];
        // Not in the order in which they come.
        bytes[..2].copy_from_slice(&number.wrapping_mul(40_503).to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    fn agree(chunks: &Chunks<u16>, map: &BTreeMap<SessionId, u16>) -> bool {
        let is_whole = chunks.chunks.iter().all(|chunk| (1..=MOST).contains(&chunk.len()));
        let places: usize = chunks.chunks.iter().map(Vec::capacity).sum();
        is_whole
            && chunks.len() == map.len()
            && chunks.iter().eq(map.iter())
            && places <= chunks.len() + (2 * STEP) * chunks.chunks.len()
    }

    #[test]
    fn many_are_found_again_and_take_hardly_more_room_than_they_need() {
        let (mut chunks, mut map) = (Chunks::new(), BTreeMap::new());
        for number in 0..20_000 {
            assert_eq!(chunks.insert(id(number), number), map.insert(id(number), number));
        }
        assert!(agree(&chunks, &map));
        assert!((0..20_000).all(|number| chunks.get(&id(number)) == Some(&number)));
        assert_eq!(chunks.get(&id(20_000)), None);
        let places: usize = chunks.chunks.iter().map(Vec::capacity).sum();
        assert!(places < 23_000, "{places} places");
        chunks.retain(|_, number| number % 3 == 0);
        map.retain(|_, number| *number % 3 == 0);
        assert!(agree(&chunks, &map));
    }

    quickcheck! {
        fn it_is_a_map(numbers: alloc::vec::Vec<(u16, bool)>) -> bool {
            let (mut chunks, mut map) = (Chunks::new(), BTreeMap::new());
            // So many that chunks are split and joined.
            let more = (0..600).map(|number| (number * 7, true));
            more.chain(numbers).all(|(number, is_new)| {
                let number = number % 5_000;
                let is_same = if is_new {
                    chunks.insert(id(number), number) == map.insert(id(number), number)
                } else {
                    chunks.remove(&id(number));
                    map.remove(&id(number));
                    chunks.get(&id(number)).is_none()
                };
                is_same && agree(&chunks, &map)
            })
        }
    }
}
