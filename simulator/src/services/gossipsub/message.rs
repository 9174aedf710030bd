//! The messages that gossipsub exchanges between peers.
//!
//! Invariant: decoding gives back what was encoded.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// The sender is subscribed to this topic.
    Subscribe { topic: u64 },
    /// A message.
    Publish { topic: u64, bytes: &'a [u8] },
    /// The sender has taken the receiver into its mesh.
    Graft { topic: u64 },
    /// The sender has removed the receiver from its mesh.
    Prune { topic: u64 },
    /// The sender has these messages.
    IHave { topic: u64, ids: Vec<u64> },
    /// The sender asks for these messages.
    IWant { ids: Vec<u64> },
}

impl<'a> Message<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, topic, ids, rest): (u8, Option<u64>, &[u64], &[u8]) = match self {
            Self::Subscribe { topic } => (0, Some(*topic), &[], &[]),
            Self::Publish { topic, bytes } => (1, Some(*topic), &[], bytes),
            Self::Graft { topic } => (2, Some(*topic), &[], &[]),
            Self::Prune { topic } => (3, Some(*topic), &[], &[]),
            Self::IHave { topic, ids } => (4, Some(*topic), ids, &[]),
            Self::IWant { ids } => (5, None, ids, &[]),
        };
        let mut bytes = vec![kind];
        topic.iter().chain(ids).for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(rest);
        bytes
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        if *kind == 5 {
            return Some(Self::IWant { ids: numbers(rest)? });
        }
        let (topic, rest) = rest.split_first_chunk()?;
        let topic = u64::from_le_bytes(*topic);
        Some(match kind {
            0 => Self::Subscribe { topic },
            1 => Self::Publish { topic, bytes: rest },
            2 => Self::Graft { topic },
            3 => Self::Prune { topic },
            4 => Self::IHave { topic, ids: numbers(rest)? },
            _ => return None,
        })
    }
}

fn numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let chunks = bytes.chunks_exact(8);
    if !chunks.remainder().is_empty() {
        return None;
    }
    chunks.map(|eight| eight.first_chunk().map(|eight| u64::from_le_bytes(*eight))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        for message in [
            Message::Subscribe { topic: 1 },
            Message::Publish { topic: u64::MAX, bytes: &[1, 2, 3] },
            Message::Graft { topic: 2 },
            Message::Prune { topic: 3 },
            Message::IHave { topic: 4, ids: vec![1, u64::MAX] },
            Message::IWant { ids: vec![9] },
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[5, 1]), None);
    }
}
