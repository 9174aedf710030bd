//! Why something from outside was not taken, and who is to blame.

use alloc::{boxed::Box, collections::BTreeMap};

use serde::{Deserialize, Serialize};

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// The peer that handed it over: it could have checked.
    Neighbour,
    /// The key that signed it.
    Author,
    /// Nobody: it happens among honest nodes too.
    Nobody,
}

/// What the checks of the gate are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// How large it is.
    Size,
    /// Who hands it over.
    Reputation,
    /// How much of it there is.
    Quota,
    /// Whether it is a message.
    Decoding,
    /// Whether it is of this time.
    Freshness,
    /// Whether its author signed it.
    Signature,
    /// Whether it is new.
    Replay,
    /// Whether it makes sense to whom it is for.
    Content,
}

/// What a peer has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// How many messages, also those that were refused.
    pub messages: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many of them were refused, for whatever reason.
    pub refused: u64,
}

/// Whether a peer is listened to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Yes.
    #[default]
    Good,
    /// Not for a while.
    Graylisted,
    /// It is banned.
    Blacklisted,
}

/// Why a message or record from outside was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// More bytes than the channel allows.
    Oversized,
    /// From a peer that is banned.
    Blacklisted,
    /// From a peer that is not listened to for a while.
    Graylisted,
    /// More than one peer may send.
    PeerQuota,
    /// More than this node takes from everyone together.
    TotalQuota,
    /// More new presences of a key, more announced sessions of a signer, or more messages to topics than anyone needs.
    AuthorQuota,
    /// More new DHT records than one peer may hand over.
    RecordQuota,
    /// Not a message.
    Malformed,
    /// A message in another than its one encoding.
    NotCanonical,
    /// A protocol version that this node does not speak.
    Version,
    /// A message for another network.
    Network,
    /// This kind of message does not travel by this channel.
    Channel,
    /// A message that this node has already taken.
    Duplicate,
    /// This node's own message came back.
    Echo,
    /// Signed too far in the future, or no longer valid.
    NotFresh,
    /// The signature is not the author's.
    Signature,
    /// The author has not delegated to the key that signed, or for longer than anyone may.
    Delegation,
    /// The author's delegation is not for all of the time that the message is about: from a session's creation to its
    /// expiry, and so long as an announcement is valid.
    DelegationTime,
    /// The author is none of the session's signers.
    NotASigner,
    /// This node is none of the session's signers.
    NotForMe,
    /// The session's definition breaks a rule, or a step does not fit it.
    Definition,
    /// A step that only the creator may take.
    NotTheCreator,
    /// Of an attempt that is over.
    StaleAttempt,
    /// Of an attempt beyond what the limits allow, or a partial signature of one in which this node has shown no nonce.
    Attempt,
    /// The sequence number is too far behind the author's newest.
    SequenceGap,
    /// Another nonce or partial signature than the author's first in this attempt.
    Equivocation,
    /// A final signature that does not verify.
    FinalSignature,
    /// The session has ended.
    Ended,
    /// A cap is reached.
    Full,
    /// More requests wait for approval than this node keeps, of this creator or of all.
    Requests,
    /// The embedder's own rules say no, or a protocol has no use for a message to one of its topics or for a resource.
    Policy,
    /// An offer that nobody can mean.
    Offer,
    /// A record that does not belong under its key.
    RecordKey,
    /// An advertisement or resource that is older than, or other than, what its author's entry in a directory says.
    NotAsListed,
    /// A protocol that this node does not speak, or a topic of it that this node does not listen to.
    Protocol,
    /// A message to this node or to a gossip topic that its protocol finds invalid.
    Invalid,
    /// A lookup's answer that is not about the key that was looked up, or that nobody asked for.
    Unasked,
}

impl Refusal {
    /// All of them, in order.
    pub const ALL: [Self; 37] = [
        Self::Oversized,
        Self::Blacklisted,
        Self::Graylisted,
        Self::PeerQuota,
        Self::TotalQuota,
        Self::AuthorQuota,
        Self::RecordQuota,
        Self::Malformed,
        Self::NotCanonical,
        Self::Version,
        Self::Network,
        Self::Channel,
        Self::Duplicate,
        Self::Echo,
        Self::NotFresh,
        Self::Signature,
        Self::Delegation,
        Self::DelegationTime,
        Self::NotASigner,
        Self::NotForMe,
        Self::Definition,
        Self::NotTheCreator,
        Self::StaleAttempt,
        Self::Attempt,
        Self::SequenceGap,
        Self::Equivocation,
        Self::FinalSignature,
        Self::Ended,
        Self::Full,
        Self::Requests,
        Self::Policy,
        Self::Offer,
        Self::RecordKey,
        Self::NotAsListed,
        Self::Protocol,
        Self::Invalid,
        Self::Unasked,
    ];

    /// Whose fault it is. An author is blamed only for what only the author can have done, and only after the
    /// signature has been verified.
    pub const fn blame(self) -> Blame {
        match self {
            Self::Oversized
            | Self::PeerQuota
            | Self::Malformed
            | Self::NotCanonical
            | Self::Channel
            | Self::Signature
            | Self::Delegation
            | Self::NotASigner
            | Self::Invalid => Blame::Neighbour,
            Self::AuthorQuota
            | Self::DelegationTime
            | Self::Definition
            | Self::NotTheCreator
            | Self::Equivocation
            | Self::FinalSignature
            | Self::Offer => Blame::Author,
            Self::Blacklisted
            | Self::Graylisted
            | Self::TotalQuota
            | Self::Version
            | Self::Network
            | Self::Duplicate
            | Self::Echo
            | Self::NotFresh
            | Self::NotForMe
            | Self::StaleAttempt
            | Self::Attempt
            | Self::SequenceGap
            | Self::Ended
            | Self::Full
            | Self::Requests
            | Self::Policy
            | Self::RecordQuota
            | Self::RecordKey
            | Self::NotAsListed
            | Self::Protocol
            | Self::Unasked => Blame::Nobody,
        }
    }

    /// Which check refused it.
    pub const fn layer(self) -> Layer {
        match self {
            Self::Oversized => Layer::Size,
            Self::Blacklisted | Self::Graylisted => Layer::Reputation,
            Self::PeerQuota
            | Self::TotalQuota
            | Self::AuthorQuota
            | Self::RecordQuota
            | Self::Full
            | Self::Requests => Layer::Quota,
            Self::Malformed | Self::NotCanonical | Self::Version | Self::Network | Self::Channel => Layer::Decoding,
            Self::NotFresh => Layer::Freshness,
            Self::Signature | Self::Delegation | Self::DelegationTime => Layer::Signature,
            Self::Duplicate | Self::Echo | Self::StaleAttempt | Self::Attempt | Self::SequenceGap => Layer::Replay,
            Self::NotASigner
            | Self::NotForMe
            | Self::Definition
            | Self::NotTheCreator
            | Self::Equivocation
            | Self::FinalSignature
            | Self::Ended
            | Self::Policy
            | Self::Offer
            | Self::RecordKey
            | Self::NotAsListed
            | Self::Protocol
            | Self::Invalid
            | Self::Unasked => Layer::Content,
        }
    }

    /// How much it weighs against the neighbour. Ten invalid signatures reach the default threshold of the blacklist,
    /// ten excesses that of the graylist.
    pub(crate) const fn penalty(self) -> u32 {
        match self {
            Self::Oversized
            | Self::Malformed
            | Self::NotCanonical
            | Self::Channel
            | Self::Signature
            | Self::Delegation => 10,
            Self::PeerQuota | Self::NotASigner | Self::Invalid => 5,
            _ => 0,
        }
    }
}

/// How often each refusal has happened.
#[allow(clippy::box_collection, reason = "an idle node has none, and a map would take three times the room of a box")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalCounts(Option<Box<BTreeMap<Refusal, u64>>>);

impl RefusalCounts {
    pub(crate) fn count(&mut self, refusal: Refusal) {
        *self.0.get_or_insert_default().entry(refusal).or_default() += 1;
    }

    /// How often this one has happened.
    pub fn get(&self, refusal: Refusal) -> u64 {
        self.0.as_ref().and_then(|counts| counts.get(&refusal)).copied().unwrap_or(0)
    }

    /// All that have happened, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        self.0.iter().flat_map(|counts| counts.iter()).map(|(refusal, count)| (*refusal, *count))
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_refusals_are_in_the_list() {
        let number = |number: usize| postcard::from_bytes::<Refusal>(&[u8::try_from(number).expect("few")]).ok();
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(number(place), Some(refusal));
        }
        assert_eq!(number(Refusal::ALL.len()), None, "there is no other");
    }
}
