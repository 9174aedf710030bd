//! What peers' transports say to each other: connections, messages, and the network services.
//!
//! Invariant: decoding gives back what was encoded. Frames come from this crate alone, so a bad one is a defect of it.

use nelumbo_core::base::Bytes;

/// One message between transports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// I am up in this life: connect.
    Hello { life: u32 },
    /// Connected, and this is my life.
    Welcome { life: u32 },
    /// I have your welcome, in this life of mine: connected.
    Thanks { life: u32 },
    /// The connection is down.
    Bye,
    /// A message of the node, for the receiver in this life.
    Direct { life: u32, bytes: &'a [u8] },
    /// A message of gossip.
    Gossip { bytes: &'a [u8] },
    /// Keep this record.
    Store { key: u64, value: &'a [u8] },
    /// Who has this record?
    Find { operation: u64, key: u64 },
    /// Here it is, or nothing.
    Found { operation: u64, value: &'a [u8] },
    /// A snapshot of another machine: its number, then its disk.
    Snapshot { node: u32, records: &'a [u8] },
}

impl<'a> Frame<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let parts: (u8, &[u8], &[u8], &[u8]) = match self {
            Self::Hello { life } => (0, &life.to_le_bytes(), &[], &[]),
            Self::Welcome { life } => (1, &life.to_le_bytes(), &[], &[]),
            Self::Bye => (2, &[], &[], &[]),
            Self::Thanks { life } => (9, &life.to_le_bytes(), &[], &[]),
            Self::Direct { life, bytes } => (3, &life.to_le_bytes(), &[], bytes),
            Self::Gossip { bytes } => (4, &[], &[], bytes),
            Self::Store { key, value } => (5, &key.to_le_bytes(), &[], value),
            Self::Find { operation, key } => (6, &operation.to_le_bytes(), &key.to_le_bytes(), &[]),
            Self::Found { operation, value } => (7, &operation.to_le_bytes(), &[], value),
            Self::Snapshot { node, records } => (8, &node.to_le_bytes(), &[], records),
        };
        let (kind, first, second, rest) = parts;
        let mut bytes = Vec::with_capacity(1 + first.len() + second.len() + rest.len());
        bytes.push(kind);
        [first, second, rest].into_iter().for_each(|part| bytes.extend_from_slice(part));
        bytes
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let small = || rest.split_first_chunk().map(|(number, rest)| (u32::from_le_bytes(*number), rest));
        let large =
            |bytes: &'a [u8]| bytes.split_first_chunk().map(|(number, rest)| (u64::from_le_bytes(*number), rest));
        Some(match kind {
            0 => Self::Hello { life: small()?.0 },
            1 => Self::Welcome { life: small()?.0 },
            2 => Self::Bye,
            3 => small().map(|(life, bytes)| Self::Direct { life, bytes })?,
            4 => Self::Gossip { bytes: rest },
            5 => large(rest).map(|(key, value)| Self::Store { key, value })?,
            6 => {
                let (operation, rest) = large(rest)?;
                Self::Find { operation, key: large(rest)?.0 }
            }
            7 => large(rest).map(|(operation, value)| Self::Found { operation, value })?,
            8 => small().map(|(node, records)| Self::Snapshot { node, records })?,
            9 => Self::Thanks { life: small()?.0 },
            _ => return None,
        })
    }
}

type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// A disk's records, one after the other.
pub(super) fn encode_records(records: &Records) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in records.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

pub(super) fn decode_records(mut bytes: &[u8]) -> Option<Records> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        parts.push(part.to_vec());
        bytes = rest;
    }
    let mut parts = parts.into_iter();
    let mut records = Vec::new();
    while let Some(key) = parts.next() {
        records.push((key, parts.next()?));
    }
    Some(records)
}

/// Bytes that the core shares.
pub(super) fn shared(bytes: &[u8]) -> Bytes {
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_records_come_back() {
        let bytes = [1, 2, 3];
        let frames = [
            Frame::Hello { life: 7 },
            Frame::Welcome { life: u32::MAX },
            Frame::Bye,
            Frame::Thanks { life: 8 },
            Frame::Direct { life: 1, bytes: &bytes },
            Frame::Gossip { bytes: &[] },
            Frame::Store { key: 9, value: &bytes },
            Frame::Find { operation: 1, key: u64::MAX },
            Frame::Found { operation: 5, value: &[] },
            Frame::Snapshot { node: 3, records: &bytes },
        ];
        for frame in frames {
            assert_eq!(Frame::decode(&frame.encode()), Some(frame));
        }
        let records = vec![(vec![1], vec![]), (vec![], vec![2; 300])];
        assert_eq!(decode_records(&encode_records(&records)), Some(records));
        assert_eq!(decode_records(&[1]), None);
    }
}
