//! With what a node begins: who it is, how it behaves, and what it remembers.
//!
//! Invariant: every setting of the core's is here, under the same name, and has the core's default where nothing is
//! said.

use std::time::Duration;

use nelumbo_core::api::{Config, Limits, Quota};
use nelumbo_core::crypto::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::text::{Hex, Key, Peer};
use super::words::Word;

/// With what a node begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The network that the keys belong to.
    pub network: Word<Network>,
    /// This node's name on the network.
    pub peer: Peer,
    /// The journal: each key with its newest value.
    #[serde(default)]
    pub records: Vec<(Hex, Hex)>,
    /// The key that signs the sessions, when it is not the secret that the machine is given. That secret then signs
    /// messages only; what the signing key signs is asked for by the output `sign`.
    #[serde(default)]
    pub signing_key: Option<Key>,
    /// What gets in without the embedder being asked, and what does not.
    #[serde(default)]
    pub policy: Policy,
    /// How the node behaves, where it differs from the defaults.
    #[serde(default)]
    pub config: Settings,
}

/// How a node behaves. What is not said has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a session may take from its creation, to the millisecond, by each signer's own clock. One that has
    /// ended is remembered for twice `clock_skew` longer. Announcements of sessions that last longer are refused.
    pub session_timeout_ms: Option<u64>,
    /// After how long without progress a session asks the others for what is missing; doubles each time up to
    /// `stall_max`. Also the pause before a failed attempt is followed by another, which doubles too.
    pub stall_ms: Option<u64>,
    /// The longest pause between two questions of a session for what is missing.
    pub stall_max_ms: Option<u64>,
    /// After how long without progress an attempt ends: while nonces are missing it lapses, and whoever approves
    /// later, or is back, begins the next one; once this node has signed it has failed.
    pub stuck_timeout_ms: Option<u64>,
    /// How many attempts a node begins by itself after failures, each after twice the pause of the one before. Not
    /// more than `limits.attempts` in any case.
    pub retries: Option<u32>,
    /// How long a coordinator has to broadcast before it is the next one's turn.
    pub broadcast_timeout_ms: Option<u64>,
    /// By how much another node's clock may be wrong.
    pub clock_skew_ms: Option<u64>,
    /// How long a presence, which says where this node is, is valid; it is renewed after half of that. Presences of
    /// others that are valid for longer are refused.
    pub presence_lifetime_ms: Option<u64>,
    /// How long an advertisement, which says what this node offers to sign, is valid; it is renewed after half of
    /// that.
    pub advertisement_lifetime_ms: Option<u64>,
    /// For how long a node with a message key has its signing key delegate to it, which its signer is asked for again
    /// after half of that. What is announced is not valid for longer than the delegation.
    pub delegation_lifetime_ms: Option<u64>,
    /// After how long everything that this node announces is put into the DHT again.
    pub republish_ms: Option<u64>,
    /// How long a DHT lookup may take, and a search of the embedder's.
    pub lookup_timeout_ms: Option<u64>,
    /// How much of everything a node takes and keeps.
    pub limits: LimitSettings,
}

/// How much of something is allowed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaSetting {
    /// How much at once. At zero nothing is let in.
    pub burst: u64,
    /// After how many nanoseconds there is one more.
    pub every_ns: u64,
}

/// How much of everything a node takes and keeps. What is not said has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Sessions that have not ended, this node's own and others' together.
    pub sessions: Option<usize>,
    /// Nonces that sessions of this node's have which have not ended: items times signers of each, added up. Sessions
    /// that wait for approval have as many again.
    pub slots: Option<usize>,
    /// Announced sessions that await this node's approval, of all creators together; and those that ended before it,
    /// whose end is told to whoever has missed it. Part of `sessions`, but those that this node creates or approves
    /// come first.
    pub unapproved: Option<usize>,
    /// Announced sessions that await this node's approval, of one creator.
    pub unapproved_per_creator: Option<usize>,
    /// Sessions that have ended and can be looked at until they expire, and for a day longer when this node has
    /// signed in them. The oldest make room, and only their ids are kept.
    pub ended: Option<usize>,
    /// Ids of sessions that were closed or made room, so that late messages mean nothing; at most 100 bytes each.
    pub closed: Option<usize>,
    /// Signing requests, whomever they are for, whose repetition is noticed.
    pub requests: Option<usize>,
    /// Attempts at one session, whoever begins them, without those that have lapsed. Of these there are no more than
    /// `stuck_timeout` fits into the time since its creation.
    pub attempts: Option<u32>,
    /// Connected peers that the node keeps account of.
    pub peers: Option<usize>,
    /// Peers whose behaviour is remembered, connected or not.
    pub neighbours: Option<usize>,
    /// Messages from one peer.
    pub messages_per_peer: Option<QuotaSetting>,
    /// Bytes from one peer. The burst has room for the largest message.
    pub bytes_per_peer: Option<QuotaSetting>,
    /// Messages from one peer that are taken even when all peers together send too much, so that many who shout do
    /// not silence those who speak.
    pub messages_reserved_per_peer: Option<QuotaSetting>,
    /// Messages from all peers together, beyond what is reserved for each.
    pub messages: Option<QuotaSetting>,
    /// Bytes from all peers together, beyond the messages that are reserved for each.
    pub bytes: Option<QuotaSetting>,
    /// New presences of one key.
    pub presences_per_key: Option<QuotaSetting>,
    /// Keys in the sessions that one signer announces: the work of an announcement grows with its signers.
    pub announced_keys: Option<QuotaSetting>,
    /// Signers whose announcements of sessions are counted.
    pub announcers: Option<usize>,
    /// The penalty from which on a peer is not listened to for an hour.
    pub graylist_at: Option<u32>,
    /// The penalty from which on a peer is banned for a day, and for twice as long each further time.
    pub blacklist_at: Option<u32>,
    /// Keys whose holders are known from others; as many more that sessions want; and beside them those of connected
    /// peers.
    pub presences: Option<usize>,
    /// Keys that one peer may hold, unless the policy gives it more.
    pub keys_per_peer: Option<usize>,
    /// DHT lookups under way at once.
    pub lookups: Option<usize>,
    /// DHT lookups that wait for one under way to end.
    pub lookups_waiting: Option<usize>,
    /// How often DHT lookups begin, so that waiting for many signers costs the network little.
    pub lookup_rate: Option<QuotaSetting>,
    /// Searches of the embedder's under way at once.
    pub searches: Option<usize>,
    /// Signers whose advertisements are known.
    pub advertisements: Option<usize>,
    /// New advertisements of one key.
    pub advertisements_per_key: Option<QuotaSetting>,
    /// Resources of others that are known.
    pub resources: Option<usize>,
    /// Resources of one author that are known, of all kinds; of this node's own, those that it announces. Also the
    /// records of one author that are kept for others.
    pub resources_per_author: Option<usize>,
    /// Resources of one author and one kind that are known; of this node's own, those that it announces.
    pub resources_per_kind: Option<usize>,
    /// New resources of one author.
    pub announcements_per_author: Option<QuotaSetting>,
    /// Signers whose reputation is remembered.
    pub reputations: Option<usize>,
    /// Keys whose identities are known; of further ones nothing is remembered.
    pub identities: Option<usize>,
    /// DHT records that are kept for others. When there are more, those that are far make room, of whoever has the
    /// most.
    pub records: Option<usize>,
    /// New DHT records and announcements from one peer, and new records of one author: everything that an honest
    /// signer announces at once, and then one at a time.
    pub records_per_peer: Option<QuotaSetting>,
    /// Messages to other protocols whose repetition would be noticed. Half of it is shared out to as many neighbours
    /// as `peers` says; of the rest whoever needs more may use as much as is free.
    pub protocol_messages: Option<usize>,
    /// Messages of one author to gossip topics of other protocols.
    pub topic_messages_per_author: Option<QuotaSetting>,
    /// Gossip topics of other protocols that this node listens to.
    pub protocol_topics: Option<usize>,
    /// Timers of other protocols.
    pub protocol_timers: Option<usize>,
    /// Records of other protocols that outlast a restart.
    pub protocol_records: Option<usize>,
    /// Bytes of these records.
    pub protocol_record_bytes: Option<usize>,
    /// Messages of other protocols that wait for their receivers to be found.
    pub protocol_waiting: Option<usize>,
    /// Messages that wait for the announcements of their sessions, of all signers together. A large one counts once
    /// for each 10,000 bytes.
    pub early: Option<usize>,
    /// Messages of one signer that wait for the announcements of their sessions.
    pub early_per_author: Option<usize>,
    /// How long a message waits for the announcement of its session.
    pub early_lifetime_ms: Option<u64>,
    /// Signers whose keys are prepared for faster verification once they have signed some messages in sessions, 16
    /// KiB each. When there are more, those who have been silent the longest are verified as anyone is.
    pub prepared_keys: Option<usize>,
    /// How far a message's number may be behind the newest of its author, in its session and attempt, when it says
    /// nothing that the session lacks.
    pub sequence_window: Option<u64>,
}

impl From<QuotaSetting> for Quota {
    fn from(from: QuotaSetting) -> Self {
        Self { burst: from.burst, every: Duration::from_nanos(from.every_ns) }
    }
}

fn set<A, B>(field: &mut B, value: Option<A>, convert: impl Fn(A) -> B) {
    if let Some(value) = value {
        *field = convert(value);
    }
}

impl Settings {
    /// The core's configuration, whose values have not been checked.
    pub fn over_defaults(self, network: Network) -> Config {
        let mut config = Config::new(network);
        set(&mut config.session_timeout, self.session_timeout_ms, Duration::from_millis);
        set(&mut config.stall, self.stall_ms, Duration::from_millis);
        set(&mut config.stall_max, self.stall_max_ms, Duration::from_millis);
        set(&mut config.stuck_timeout, self.stuck_timeout_ms, Duration::from_millis);
        set(&mut config.retries, self.retries, std::convert::identity);
        set(&mut config.broadcast_timeout, self.broadcast_timeout_ms, Duration::from_millis);
        set(&mut config.clock_skew, self.clock_skew_ms, Duration::from_millis);
        set(&mut config.presence_lifetime, self.presence_lifetime_ms, Duration::from_millis);
        set(&mut config.advertisement_lifetime, self.advertisement_lifetime_ms, Duration::from_millis);
        set(&mut config.delegation_lifetime, self.delegation_lifetime_ms, Duration::from_millis);
        set(&mut config.republish, self.republish_ms, Duration::from_millis);
        set(&mut config.lookup_timeout, self.lookup_timeout_ms, Duration::from_millis);
        self.limits.apply(&mut config.limits);
        config
    }
}

impl LimitSettings {
    fn apply(self, limits: &mut Limits) {
        set(&mut limits.sessions, self.sessions, std::convert::identity);
        set(&mut limits.slots, self.slots, std::convert::identity);
        set(&mut limits.unapproved, self.unapproved, std::convert::identity);
        set(&mut limits.unapproved_per_creator, self.unapproved_per_creator, std::convert::identity);
        set(&mut limits.ended, self.ended, std::convert::identity);
        set(&mut limits.closed, self.closed, std::convert::identity);
        set(&mut limits.requests, self.requests, std::convert::identity);
        set(&mut limits.attempts, self.attempts, std::convert::identity);
        set(&mut limits.peers, self.peers, std::convert::identity);
        set(&mut limits.neighbours, self.neighbours, std::convert::identity);
        set(&mut limits.messages_per_peer, self.messages_per_peer, Quota::from);
        set(&mut limits.bytes_per_peer, self.bytes_per_peer, Quota::from);
        set(&mut limits.messages_reserved_per_peer, self.messages_reserved_per_peer, Quota::from);
        set(&mut limits.messages, self.messages, Quota::from);
        set(&mut limits.bytes, self.bytes, Quota::from);
        set(&mut limits.presences_per_key, self.presences_per_key, Quota::from);
        set(&mut limits.announced_keys, self.announced_keys, Quota::from);
        set(&mut limits.announcers, self.announcers, std::convert::identity);
        set(&mut limits.graylist_at, self.graylist_at, std::convert::identity);
        set(&mut limits.blacklist_at, self.blacklist_at, std::convert::identity);
        set(&mut limits.presences, self.presences, std::convert::identity);
        set(&mut limits.keys_per_peer, self.keys_per_peer, std::convert::identity);
        set(&mut limits.lookups, self.lookups, std::convert::identity);
        set(&mut limits.lookups_waiting, self.lookups_waiting, std::convert::identity);
        set(&mut limits.lookup_rate, self.lookup_rate, Quota::from);
        set(&mut limits.searches, self.searches, std::convert::identity);
        set(&mut limits.advertisements, self.advertisements, std::convert::identity);
        set(&mut limits.advertisements_per_key, self.advertisements_per_key, Quota::from);
        set(&mut limits.resources, self.resources, std::convert::identity);
        set(&mut limits.resources_per_author, self.resources_per_author, std::convert::identity);
        set(&mut limits.resources_per_kind, self.resources_per_kind, std::convert::identity);
        set(&mut limits.announcements_per_author, self.announcements_per_author, Quota::from);
        set(&mut limits.reputations, self.reputations, std::convert::identity);
        set(&mut limits.identities, self.identities, std::convert::identity);
        set(&mut limits.records, self.records, std::convert::identity);
        set(&mut limits.records_per_peer, self.records_per_peer, Quota::from);
        set(&mut limits.protocol_messages, self.protocol_messages, std::convert::identity);
        set(&mut limits.topic_messages_per_author, self.topic_messages_per_author, Quota::from);
        set(&mut limits.protocol_topics, self.protocol_topics, std::convert::identity);
        set(&mut limits.protocol_timers, self.protocol_timers, std::convert::identity);
        set(&mut limits.protocol_records, self.protocol_records, std::convert::identity);
        set(&mut limits.protocol_record_bytes, self.protocol_record_bytes, std::convert::identity);
        set(&mut limits.protocol_waiting, self.protocol_waiting, std::convert::identity);
        set(&mut limits.early, self.early, std::convert::identity);
        set(&mut limits.early_per_author, self.early_per_author, std::convert::identity);
        set(&mut limits.early_lifetime, self.early_lifetime_ms, Duration::from_millis);
        set(&mut limits.prepared_keys, self.prepared_keys, std::convert::identity);
        set(&mut limits.sequence_window, self.sequence_window, std::convert::identity);
    }
}
