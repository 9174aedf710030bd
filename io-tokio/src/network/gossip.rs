//! Gossip: topics, messages, verdicts.
//!
//! Owns the requests about gossip. Invariant: no message from elsewhere is forwarded before its verdict, and every topic
//! has scores under which invalid messages cost. Driven by the owner of the [`Network`].

use libp2p::{
    PeerId,
    gossipsub::{self, IdentTopic, MessageAcceptance},
};

use super::{
    MAX_GOSSIP_MESSAGE, Network,
    event::{GossipId, Verdict},
    scores,
};

const MAX_TOPICS: usize = 256;

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
                self.metrics.network.gossip_published.inc();
                Ok(Published::ToNeighbours)
            }
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => Ok(Published::ToNobody),
            Err(error) => Err(GossipError::NotTaken(error.to_string())),
        }
    }

    /// Says what the node thinks of a gossip message. `false` when the verdict came too late to matter.
    pub fn report_gossip(&mut self, id: &GossipId, verdict: Verdict) -> bool {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => {
                self.metrics.network.gossip_rejected.inc();
                MessageAcceptance::Reject
            }
        };
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        gossipsub.report_message_validation_result(&id.message, &id.propagation_source, acceptance)
    }

    /// The score of a gossip neighbour: negative for one that passes on what is rejected.
    pub fn gossip_score(&self, peer: &PeerId) -> Option<f64> {
        self.swarm.behaviour().gossipsub.peer_score(peer)
    }
}
