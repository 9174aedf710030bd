//! What machines' stacks send each other.
//!
//! Invariant: decoding gives back what was encoded. Packets come from this crate alone, so a bad one is a defect of it.

use crate::engine::Nanos;

/// The name of a connection: when it was dialled, and by whom. Of two between the same machines the later one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId {
    pub(super) since: Nanos,
    pub(super) dialler: u32,
}

/// A piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) stream: u64,
    pub(super) offset: u64,
    pub(super) bytes: Box<[u8]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// A message past all streams.
    Aside(&'a [u8]),
    /// A step of a handshake, by the side that dials, and the answer.
    Dial {
        id: ConnectionId,
        step: u8,
    },
    Accept {
        id: ConnectionId,
        step: u8,
    },
    /// There is no such connection.
    Reset {
        id: ConnectionId,
    },
    /// Pieces of streams, and which packets have arrived, the last ones first.
    Data {
        id: ConnectionId,
        number: Option<u64>,
        arrived: Vec<(u64, u64)>,
        chunks: Vec<Chunk>,
    },
}

impl<'a> Packet<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let head = |kind: u8, id: &ConnectionId| {
            let mut bytes = vec![kind];
            bytes.extend_from_slice(&id.since.to_le_bytes());
            bytes.extend_from_slice(&id.dialler.to_le_bytes());
            bytes
        };
        match self {
            Self::Aside(payload) => [&[0], *payload].concat(),
            Self::Dial { id, step } => [head(1, id), vec![*step]].concat(),
            Self::Accept { id, step } => [head(2, id), vec![*step]].concat(),
            Self::Reset { id } => head(3, id),
            Self::Data { id, number, arrived, chunks } => {
                let mut bytes = head(4, id);
                bytes.extend_from_slice(&number.map_or(0, |number| number + 1).to_le_bytes());
                bytes.extend_from_slice(&(arrived.len() as u64).to_le_bytes());
                arrived.iter().flat_map(|(first, last)| [first, last]).for_each(|number| {
                    bytes.extend_from_slice(&number.to_le_bytes());
                });
                for Chunk { stream, offset, bytes: piece } in chunks {
                    for number in [*stream, *offset, piece.len() as u64] {
                        bytes.extend_from_slice(&number.to_le_bytes());
                    }
                    bytes.extend_from_slice(piece);
                }
                bytes
            }
        }
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        if *kind == 0 {
            return Some(Self::Aside(rest));
        }
        let id = ConnectionId { since: take(&mut rest)?, dialler: take32(&mut rest)? };
        Some(match kind {
            1 => Self::Dial { id, step: *rest.first()? },
            2 => Self::Accept { id, step: *rest.first()? },
            3 => Self::Reset { id },
            4 => {
                let number = take(&mut rest)?.checked_sub(1);
                let count = take(&mut rest)?;
                let arrived = (0..count).map(|_| Some((take(&mut rest)?, take(&mut rest)?))).collect::<Option<_>>()?;
                let mut chunks = Vec::new();
                while !rest.is_empty() {
                    let (stream, offset, length) = (take(&mut rest)?, take(&mut rest)?, take(&mut rest)?);
                    let (piece, after) = rest.split_at_checked(length as usize)?;
                    rest = after;
                    chunks.push(Chunk { stream, offset, bytes: piece.into() });
                }
                Self::Data { id, number, arrived, chunks }
            }
            _ => return None,
        })
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

fn take32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back() {
        let id = ConnectionId { since: 77, dialler: 3 };
        let chunk = |stream, bytes: &[u8]| Chunk { stream, offset: 9, bytes: bytes.into() };
        for packet in [
            Packet::Aside(&[1, 2]),
            Packet::Aside(&[]),
            Packet::Dial { id, step: 1 },
            Packet::Accept { id, step: 0 },
            Packet::Reset { id },
            Packet::Data { id, number: None, arrived: vec![(4, 7), (0, 2)], chunks: Vec::new() },
            Packet::Data { id, number: Some(0), arrived: Vec::new(), chunks: vec![chunk(1, &[5]), chunk(2, &[])] },
        ] {
            assert_eq!(Packet::decode(&packet.encode()), Some(packet));
        }
        assert_eq!(Packet::decode(&[4, 1]), None);
    }
}
