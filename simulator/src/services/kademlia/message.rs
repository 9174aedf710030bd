//! The messages that Kademlia exchanges between peers.
//!
//! Invariant: decoding gives back what was encoded.

use crate::engine::Nanos;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Asks for the nearest peers to this name, and for the record under it.
    FindNode { query: u32, target: u64 },
    /// The answer: the nearest peers, and the record or nothing.
    CloserPeers { query: u32, closer: Vec<u32>, value: &'a [u8] },
    /// Asks the receiver to store this record.
    PutValue { name: &'a str, ttl: Nanos, value: &'a [u8] },
    /// A step of the handshake before all that, with how many follow.
    Handshake { left: u8 },
    /// The sender has no connection to the receiver any more; the bytes are the message that was sent over it.
    NotConnected { bytes: &'a [u8] },
    /// The connection is closed.
    Close,
}

impl<'a> Message<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        match self {
            Self::FindNode { query, target } => {
                bytes.push(0);
                bytes.extend_from_slice(&query.to_le_bytes());
                bytes.extend_from_slice(&target.to_le_bytes());
            }
            Self::CloserPeers { query, closer, value } => {
                bytes.push(1);
                bytes.extend_from_slice(&query.to_le_bytes());
                bytes.extend_from_slice(&(closer.len() as u32).to_le_bytes());
                closer.iter().for_each(|node| bytes.extend_from_slice(&node.to_le_bytes()));
                bytes.extend_from_slice(value);
            }
            Self::PutValue { name, ttl, value } => {
                bytes.push(2);
                bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(&ttl.to_le_bytes());
                bytes.extend_from_slice(value);
            }
            Self::Handshake { left } => bytes.extend_from_slice(&[3, *left]),
            Self::NotConnected { bytes: sent } => {
                bytes.push(4);
                bytes.extend_from_slice(sent);
            }
            Self::Close => bytes.push(5),
        }
        bytes
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        Some(match kind {
            0 => {
                let (query, rest) = number(rest)?;
                Self::FindNode { query, target: u64::from_le_bytes(*rest.first_chunk()?) }
            }
            1 => {
                let (query, rest) = number(rest)?;
                let (count, rest) = number(rest)?;
                let (list, value) = rest.split_at_checked(count as usize * 4)?;
                let closer = list.chunks_exact(4).filter_map(|four| number(four).map(|(node, _)| node)).collect();
                Self::CloserPeers { query, closer, value }
            }
            2 => {
                let (length, rest) = number(rest)?;
                let (name, rest) = rest.split_at_checked(length as usize)?;
                let (ttl, value) = rest.split_first_chunk()?;
                Self::PutValue { name: std::str::from_utf8(name).ok()?, ttl: u64::from_le_bytes(*ttl), value }
            }
            3 => Self::Handshake { left: *rest.first()? },
            4 => Self::NotConnected { bytes: rest },
            5 => Self::Close,
            _ => return None,
        })
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        for message in [
            Message::FindNode { query: 7, target: u64::MAX },
            Message::CloserPeers { query: 1, closer: vec![1, 2, u32::MAX], value: &[4, 5] },
            Message::CloserPeers { query: 1, closer: vec![], value: &[] },
            Message::PutValue { name: "key", ttl: 9, value: &[1] },
            Message::Handshake { left: 7 },
            Message::NotConnected { bytes: &[5, 0] },
            Message::Close,
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[1, 0, 0, 0, 0, 9, 0, 0, 0]), None);
    }
}
