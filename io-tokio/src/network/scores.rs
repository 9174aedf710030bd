//! How gossip neighbours are scored.
//!
//! Owns the numbers of gossipsub's peer scores. Invariant: time spent in the mesh and messages delivered first can
//! never outweigh invalid messages: four rejected messages within the half-life put a neighbour below the graylist,
//! whatever it did before. Driven by gossipsub.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use libp2p::gossipsub::{PeerScoreParams, PeerScoreThresholds, TopicScoreParams, score_parameter_decay};

/// At most this much credit from all topics together.
const CREDIT: f64 = 20.0;
/// The cost of the square of the number of rejected messages in a topic. Libraries reward time in the mesh so well by
/// default that 13 rejected messages still leave a score of +2270.
const INVALID_MESSAGE_WEIGHT: f64 = -20.0;
const INVALID_MESSAGE_MEMORY: Duration = Duration::from_secs(3600);

pub(crate) fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -60.0,
        graylist_threshold: -120.0,
        accept_px_threshold: 1000.0,
        opportunistic_graft_threshold: 1.0,
    }
}

pub(crate) fn params() -> PeerScoreParams {
    PeerScoreParams {
        topic_score_cap: CREDIT,
        // Several nodes on one machine are normal in tests and at home; from elsewhere ten per address are plenty.
        ip_colocation_factor_whitelist: HashSet::from([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]),
        ..PeerScoreParams::default()
    }
}

pub(crate) fn topic() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        // One point for five minutes in the mesh, and no more.
        time_in_mesh_weight: 1.0 / 300.0,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: score_parameter_decay(Duration::from_secs(600)),
        first_message_deliveries_cap: 20.0,
        // Our topics are quiet for hours: whoever has nothing to deliver has done nothing wrong.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: INVALID_MESSAGE_WEIGHT,
        invalid_message_deliveries_decay: score_parameter_decay(INVALID_MESSAGE_MEMORY),
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_consistent() {
        topic().validate().expect("topic parameters");
        params().validate().expect("parameters");
        thresholds().validate().expect("thresholds");
    }

    #[test]
    fn four_rejected_messages_outweigh_any_credit() {
        let topic = topic();
        let credit = topic.time_in_mesh_cap * topic.time_in_mesh_weight
            + topic.first_message_deliveries_cap * topic.first_message_deliveries_weight;
        let topics = 32.0;
        let rejected = 4.0 * 4.0 * topic.invalid_message_deliveries_weight;
        assert!(credit * topics + rejected < thresholds().graylist_threshold);
    }
}
