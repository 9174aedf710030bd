//! Gossip: topics, messages, verdicts.
//!
//! Owns the requests about gossip. Invariant: no message from elsewhere is forwarded before its verdict, and every
//! topic has scores under which invalid messages cost. Driven by the owner of the [`Network`].

use std::collections::BTreeMap;

use libp2p::{
    PeerId,
    gossipsub::{self, IdentTopic, MessageAcceptance, MessageId},
};
use nelumbo_core::api::{GossipId, Verdict};

use super::{MAX_GOSSIP_MESSAGE, Network, scores};

const MAX_TOPICS: usize = 256;
/// At most this many messages wait for a verdict; the core gives it at once, so that a few are normal.
const MAX_UNVALIDATED: usize = 1024;

/// What topics are for, as metrics tell them apart: few, whatever others call theirs.
pub(crate) const TOPIC_KINDS: [&str; 5] = ["presence", "requests", "signers", "protocols", "other"];

/// What a topic is for.
pub(super) fn kind(topic: &str) -> &'static str {
    let is_of = |start: &str| topic.starts_with(start);
    TOPIC_KINDS[match topic {
        "musig2:presence" => 0,
        "musig2:signing-request" => 1,
        _ if is_of("musig2:signers:") => 2,
        _ if is_of("protocol:") => 3,
        _ => 4,
    }]
}

/// A message as gossipsub names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) message: MessageId,
    pub(super) propagation_source: PeerId,
    /// What its topic is for.
    pub(super) kind: &'static str,
}

/// The messages that wait for a verdict. At the limit the oldest makes room: gossipsub keeps a message for seconds
/// only, and a verdict about an older one changes nothing.
#[derive(Debug, Default)]
pub(super) struct Unvalidated {
    waiting: BTreeMap<GossipId, Received>,
    last: u64,
}

impl Unvalidated {
    /// Names a message, and returns the one that had to make room.
    pub(super) fn insert(&mut self, received: Received) -> (GossipId, Option<Received>) {
        let oldest = if self.waiting.len() < MAX_UNVALIDATED { None } else { self.waiting.pop_first() };
        self.last += 1;
        let id = GossipId(self.last);
        self.waiting.insert(id, received);
        (id, oldest.map(|(_, received)| received))
    }
}

/// What became of a gossip message that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is on its way to at least one neighbour.
    ToNeighbours,
    /// No neighbour subscribes to the topic.
    ToNobody,
}

/// Why a gossip message was not published, or a topic not subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GossipError {
    /// The message is over the limit.
    #[error("the message has {0} bytes, over the limit of gossip")]
    TooLarge(usize),
    /// Every neighbour's queue is full, or the message could not be signed.
    #[error("the message was not taken: {0}")]
    NotTaken(String),
    /// Too many topics.
    #[error("too many topics")]
    TooManyTopics,
}

impl Network {
    /// Whether this node takes part in gossip.
    pub fn gossips(&self) -> bool {
        self.swarm.behaviour().gossipsub.is_on()
    }

    /// Subscribes to a topic.
    pub fn subscribe(&mut self, topic: &str) -> Result<(), GossipError> {
        let topic = IdentTopic::new(topic);
        if self.topics.len() >= MAX_TOPICS && !self.topics.contains(&topic.hash()) {
            return Err(GossipError::TooManyTopics);
        }
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        gossipsub
            .set_topic_params(topic.clone(), scores::topic())
            .map_err(|error| GossipError::NotTaken(error.to_owned()))?;
        gossipsub.subscribe(&topic).map_err(|error| GossipError::NotTaken(error.to_string()))?;
        self.topics.insert(topic.hash());
        Ok(())
    }

    /// Unsubscribes from a topic.
    pub fn unsubscribe(&mut self, topic: &str) {
        let topic = IdentTopic::new(topic);
        self.topics.remove(&topic.hash());
        self.swarm.behaviour_mut().gossipsub.unsubscribe(&topic);
    }

    /// How many neighbours subscribe to a topic.
    pub fn subscribers(&self, topic: &str) -> usize {
        let topic = IdentTopic::new(topic).hash();
        self.swarm.behaviour().gossipsub.all_peers().filter(|(_, topics)| topics.contains(&&topic)).count()
    }

    /// Publishes a gossip message. That nobody subscribes is not an error.
    pub fn publish(&mut self, topic: &str, bytes: Vec<u8>) -> Result<Published, GossipError> {
        if bytes.len() > MAX_GOSSIP_MESSAGE {
            return Err(GossipError::TooLarge(bytes.len()));
        }
        match self.swarm.behaviour_mut().gossipsub.publish(IdentTopic::new(topic).hash(), bytes) {
            Ok(_) => {
                self.metrics.network.count_gossip_published(kind(topic));
                Ok(Published::ToNeighbours)
            }
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => Ok(Published::ToNobody),
            Err(error) => Err(GossipError::NotTaken(error.to_string())),
        }
    }

    /// Says what becomes of a gossip message. `false` when the verdict came too late to matter.
    pub fn report_gossip(&mut self, id: GossipId, verdict: Verdict) -> bool {
        let received = self.unvalidated.waiting.remove(&id);
        received.is_some_and(|received| self.validated(&received, verdict))
    }

    pub(super) fn validated(&mut self, received: &Received, verdict: Verdict) -> bool {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        self.metrics.network.count_gossip_judged(received.kind, verdict);
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        gossipsub.report_message_validation_result(&received.message, &received.propagation_source, acceptance)
    }

    /// The score of a gossip neighbour: negative for one that passes on what is rejected.
    pub fn gossip_score(&self, peer: &PeerId) -> Option<f64> {
        self.swarm.behaviour().gossipsub.peer_score(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_without_a_verdict_are_bounded_and_the_oldest_makes_room() {
        let mut unvalidated = Unvalidated::default();
        let received = |number: usize| Received {
            message: MessageId::new(&number.to_be_bytes()),
            propagation_source: PeerId::from_bytes(&[0, 1, 7]).expect("a peer id"),
            kind: "other",
        };
        for number in 0..MAX_UNVALIDATED {
            assert_eq!(unvalidated.insert(received(number)).1, None);
        }
        let (id, oldest) = unvalidated.insert(received(MAX_UNVALIDATED));
        assert_eq!((oldest, unvalidated.waiting.len()), (Some(received(0)), MAX_UNVALIDATED));
        assert_eq!(unvalidated.waiting.remove(&id), Some(received(MAX_UNVALIDATED)));
    }
}
