//! The frames that peers' transports exchange: connections, messages, and the network services.
//!
//! Invariant: decoding gives back what was encoded. Frames come from this crate alone, so a bad one is a defect of it.

use nelumbo_core::base::Bytes;

/// One message between transports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Asks for a connection to this incarnation of the sender.
    Hello {
        /// The sender's.
        incarnation: u32,
    },
    /// Accepts a connection, with the sender's incarnation.
    Welcome {
        /// The sender's.
        incarnation: u32,
    },
    /// Confirms that the welcome has arrived, with the sender's incarnation.
    Thanks {
        /// The sender's.
        incarnation: u32,
    },
    /// The connection is down.
    Bye,
    /// A message of the node, for this incarnation of the receiver.
    Direct {
        /// The receiver's.
        incarnation: u32,
        /// The message.
        bytes: &'a [u8],
    },
    /// A message of the gossip service.
    Gossip {
        /// The message.
        bytes: &'a [u8],
    },
    /// A message of the hash table.
    Dht {
        /// The message.
        bytes: &'a [u8],
    },
    /// A snapshot of another machine: its number, then its disk.
    Snapshot {
        /// The machine.
        node: u32,
        /// The records on its disk.
        records: &'a [u8],
    },
    /// A frame on a circuit, to the relay or from it.
    Circuit {
        /// The machine at the other end.
        peer: u32,
        /// The frame.
        bytes: &'a [u8],
    },
}

impl<'a> Frame<'a> {
    /// The frame as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, number, rest): (u8, Option<u32>, &[u8]) = match self {
            Self::Hello { incarnation } => (0, Some(*incarnation), &[]),
            Self::Welcome { incarnation } => (1, Some(*incarnation), &[]),
            Self::Thanks { incarnation } => (2, Some(*incarnation), &[]),
            Self::Bye => (3, None, &[]),
            Self::Direct { incarnation, bytes } => (4, Some(*incarnation), bytes),
            Self::Gossip { bytes } => (5, None, bytes),
            Self::Dht { bytes } => (6, None, bytes),
            Self::Snapshot { node, records } => (7, Some(*node), records),
            Self::Circuit { peer, bytes } => (8, Some(*peer), bytes),
        };
        let mut bytes = Vec::with_capacity(5 + rest.len());
        bytes.push(kind);
        number.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(rest);
        bytes
    }

    /// Reads a frame; `None` if the bytes are none.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let number = || rest.split_first_chunk().map(|(number, rest)| (u32::from_le_bytes(*number), rest));
        Some(match kind {
            0 => Self::Hello { incarnation: number()?.0 },
            1 => Self::Welcome { incarnation: number()?.0 },
            2 => Self::Thanks { incarnation: number()?.0 },
            3 => Self::Bye,
            4 => number().map(|(incarnation, bytes)| Self::Direct { incarnation, bytes })?,
            5 => Self::Gossip { bytes: rest },
            6 => Self::Dht { bytes: rest },
            7 => number().map(|(node, records)| Self::Snapshot { node, records })?,
            8 => number().map(|(peer, bytes)| Self::Circuit { peer, bytes })?,
            _ => return None,
        })
    }
}

/// The channels of peers: what a node says to another one, and its gossip, each stays in order.
pub(super) const DIRECT: Option<u8> = Some(0);
const GOSSIP: Option<u8> = Some(1);

impl Frame<'_> {
    /// Its channel; requests of the hash table have streams of their own.
    pub(super) const fn channel(&self) -> Option<u8> {
        match self {
            Self::Dht { .. } => None,
            Self::Gossip { .. } => GOSSIP,
            _ => DIRECT,
        }
    }

    /// Its name in traces; a node's own message has the name of its kind.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Welcome { .. } => "welcome",
            Self::Thanks { .. } => "thanks",
            Self::Bye => "bye",
            Self::Direct { .. } => "direct",
            Self::Gossip { .. } => "gossip",
            Self::Dht { .. } => "dht",
            Self::Snapshot { .. } => "snapshot",
            Self::Circuit { .. } => "circuit",
        }
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

/// The bytes as the core's shared type.
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
            Frame::Hello { incarnation: 7 },
            Frame::Welcome { incarnation: u32::MAX },
            Frame::Bye,
            Frame::Thanks { incarnation: 8 },
            Frame::Direct { incarnation: 1, bytes: &bytes },
            Frame::Gossip { bytes: &[] },
            Frame::Dht { bytes: &bytes },
            Frame::Snapshot { node: 3, records: &bytes },
            Frame::Circuit { peer: 9, bytes: &bytes },
        ];
        for frame in frames {
            assert_eq!(Frame::decode(&frame.encode()), Some(frame));
        }
        let records = vec![(vec![1], vec![]), (vec![], vec![2; 300])];
        assert_eq!(decode_records(&encode_records(&records)), Some(records));
        assert_eq!(decode_records(&[1]), None);
    }
}
