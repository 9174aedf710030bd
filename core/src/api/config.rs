//! What an embedder may set, with defaults from the protocol's specification.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crypto::Network;
use crate::wire::{
    MAX_ADDRESS, MAX_ADDRESSES, MAX_DETAILS, MAX_GOSSIP, MAX_MESSAGE, MAX_PAYLOAD, MAX_RESOURCE, MAX_SIGNERS,
};

/// How a node behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The network that the keys belong to.
    pub network: Network,
    /// How long a session may take, and how long one that has ended is remembered. Default 2 h.
    pub session_timeout: Duration,
    /// After how long without progress a session asks the others for what is missing; doubles each time up to
    /// `stall_max`. Default 2 s.
    pub stall: Duration,
    /// The longest pause between two such questions. Default 30 s.
    pub stall_max: Duration,
    /// After how long without progress an attempt is given up. Default 10 min.
    pub stuck_timeout: Duration,
    /// How many attempts a node begins by itself after failures, each after twice the pause of the one before. Default 3.
    pub retries: u32,
    /// How long a coordinator has to broadcast before it is the next one's turn. Default 5 min.
    pub broadcast_timeout: Duration,
    /// By how much another node's clock may be wrong. Default 5 min.
    pub clock_skew: Duration,
    /// How long a presence is valid; it is renewed after half of that. Default 1 h.
    pub presence_lifetime: Duration,
    /// How long an advertisement is valid; it is renewed after half of that. Default 24 h.
    pub advertisement_lifetime: Duration,
    /// After how long everything that this node announces is put into the DHT again. Default 1 h.
    pub republish: Duration,
    /// How long a DHT lookup may take, and a search. Default 5 s.
    pub lookup_timeout: Duration,
    /// What is bounded by how much.
    pub limits: Limits,
}

impl Config {
    /// The defaults for a network.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            session_timeout: Duration::from_secs(2 * 60 * 60),
            stall: Duration::from_secs(2),
            stall_max: Duration::from_secs(30),
            stuck_timeout: Duration::from_secs(10 * 60),
            retries: 3,
            broadcast_timeout: Duration::from_secs(5 * 60),
            clock_skew: Duration::from_secs(5 * 60),
            presence_lifetime: Duration::from_secs(60 * 60),
            advertisement_lifetime: Duration::from_secs(24 * 60 * 60),
            republish: Duration::from_secs(60 * 60),
            lookup_timeout: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }
}

/// How much of something is allowed over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// How much at once.
    pub burst: u64,
    /// After how long there is one more.
    pub every: Duration,
}

/// How much of everything a node keeps. At a cap new work is refused; what was promised is not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Sessions that have not ended.
    pub sessions: usize,
    /// Announced sessions that await this node's approval, of all creators together. Part of `sessions`.
    pub unapproved: usize,
    /// The same, of one creator.
    pub unapproved_per_creator: usize,
    /// Sessions that have ended and are remembered until they expire, so that late messages mean nothing.
    pub ended: usize,
    /// Attempts at one session.
    pub attempts: u32,
    /// Connected peers that the node keeps account of.
    pub peers: usize,
    /// Peers whose behaviour is remembered, connected or not.
    pub neighbours: usize,
    /// Messages from one peer.
    pub messages_per_peer: Quota,
    /// Bytes from one peer.
    pub bytes_per_peer: Quota,
    /// Messages from one peer that are taken even when all peers together send too much, so that many who shout do not
    /// silence those who speak.
    pub messages_reserved_per_peer: Quota,
    /// Messages from all peers together, beyond what is reserved for each.
    pub messages: Quota,
    /// Bytes from all peers together.
    pub bytes: Quota,
    /// New presences of one key.
    pub presences_per_key: Quota,
    /// Keys in the sessions that one signer announces: the work of an announcement grows with its signers.
    pub announced_keys: Quota,
    /// Signers whose announcements are counted.
    pub announcers: usize,
    /// From which penalty on a peer is not listened to for an hour.
    pub graylist_at: u32,
    /// From which penalty on a peer is banned for a day, and for twice as long each further time.
    pub blacklist_at: u32,
    /// Keys whose holders are known.
    pub presences: usize,
    /// Keys that one peer may hold, unless the [`Policy`](crate::Policy) gives it more.
    pub keys_per_peer: usize,
    /// DHT lookups under way.
    pub lookups: usize,
    /// DHT lookups in line.
    pub lookups_waiting: usize,
    /// Searches under way.
    pub searches: usize,
    /// Signers whose advertisements are known.
    pub advertisements: usize,
    /// New advertisements of one key.
    pub advertisements_per_key: Quota,
    /// Resources that are known.
    pub resources: usize,
    /// The same, of one author.
    pub resources_per_author: usize,
    /// The same, of one author and kind.
    pub resources_per_kind: usize,
    /// New resources of one author.
    pub announcements_per_author: Quota,
    /// Signers whose behaviour is remembered.
    pub reputations: usize,
    /// Records that are kept for others. When there are more, those that are far make room, of whoever has the most.
    pub records: usize,
    /// New records and announcements from one peer, and new records of one author: everything that an honest signer
    /// announces at once, and then one at a time.
    pub records_per_peer: Quota,
    /// Messages of other protocols whose repetition would be noticed.
    pub protocol_messages: usize,
    /// Messages of other protocols that wait for their receivers.
    pub protocol_waiting: usize,
    /// Messages of sessions that this node does not know yet.
    pub early: usize,
    /// The same, from one signer.
    pub early_per_author: usize,
    /// How long such a message is kept.
    pub early_lifetime: Duration,
    /// Signers of sessions whose keys are prepared once they have signed some messages, 16 KiB each. When there are more,
    /// those who have been silent the longest are verified as anyone is.
    pub prepared_keys: usize,
    /// How far a message may be behind the newest of its author, in its session and attempt.
    pub sequence_window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 512,
            unapproved: 256,
            unapproved_per_creator: 64,
            ended: 4_096,
            attempts: 16,
            peers: 1_024,
            neighbours: 4_096,
            messages_per_peer: Quota::per_second(2_000, 2),
            bytes_per_peer: Quota::per_second(4_000_000, 2),
            messages_reserved_per_peer: Quota::per_second(40, 10),
            messages: Quota::per_second(8_000, 2),
            bytes: Quota::per_second(16_000_000, 4),
            presences_per_key: Quota { burst: 5, every: Duration::from_secs(60) },
            announced_keys: Quota::per_second(1_000, 2),
            announcers: 4_096,
            graylist_at: 50,
            blacklist_at: 100,
            presences: 4_096,
            keys_per_peer: 10,
            lookups: 64,
            lookups_waiting: 1_024,
            searches: 16,
            advertisements: 4_096,
            advertisements_per_key: Quota { burst: 5, every: Duration::from_secs(60) },
            resources: 2_048,
            resources_per_author: 100,
            resources_per_kind: 20,
            announcements_per_author: Quota { burst: 25, every: Duration::from_secs(30) },
            reputations: 4_096,
            records: 1_024,
            records_per_peer: Quota { burst: 120, every: Duration::from_secs(30) },
            protocol_messages: 10_000,
            protocol_waiting: 64,
            early: 1_000,
            early_per_author: 64,
            early_lifetime: Duration::from_secs(60),
            prepared_keys: 256,
            sequence_window: 100,
        }
    }
}

/// Sizes of what is kept, with everything that the collections around it need, rounded up. The flood in
/// `tests/memory.rs` holds them against what is really allocated.
mod size {
    /// A signer's part of a session that has not ended: key, coefficient and point, nonce, partial signature, each with
    /// its message, and the replay window.
    pub(super) const LIVE_SIGNER: usize = 2_048;
    /// A signer's part of a session that has ended: key and replay window.
    pub(super) const ENDED_SIGNER: usize = 256;
    /// The rest of a session: definition, record, last word, timers.
    pub(super) const SESSION: usize = 4_096;
    /// A peer's account, connected or not.
    pub(super) const NEIGHBOUR: usize = 512;
    /// A key that a peer has announced for.
    pub(super) const BROUGHT_KEY: usize = 96;
    /// A prepared key.
    pub(super) const PREPARED_KEY: usize = 16_384 + 512;
    /// An advertisement's offer, or a resource's name, and the indices to them.
    pub(super) const ANNOUNCEMENT: usize = 2_048;
    /// A signer's place in what is said in public about a request.
    pub(super) const LISTING: usize = 512;
    /// A bucket, a lookup, a timer.
    pub(super) const SMALL: usize = 256;
}

impl Limits {
    /// The most bytes that a node keeps, whatever arrives: the sum of all caps at their worst, with `MAX_SIGNERS`
    /// signers and `MAX_MESSAGE` bytes in every session. What the embedder has not fetched with `poll` comes on top.
    #[must_use]
    pub const fn ceiling(&self) -> usize {
        let session = size::SESSION + 3 * (MAX_MESSAGE + MAX_DETAILS);
        let live = self.sessions * (session + MAX_SIGNERS * size::LIVE_SIGNER);
        let ended = self.ended * (session + MAX_SIGNERS * size::ENDED_SIGNER);
        let presences = self.presences * (MAX_ADDRESSES * (MAX_ADDRESS + 64) + size::NEIGHBOUR + size::SMALL);
        let early = self.early * (MAX_GOSSIP + size::SMALL);
        let brought = self.keys_per_peer * size::BROUGHT_KEY;
        let peers = (self.peers + self.neighbours) * size::NEIGHBOUR + self.neighbours * brought;
        let advertisements = self.advertisements * (MAX_ADDRESSES * (MAX_ADDRESS + 64) + size::ANNOUNCEMENT);
        let resources = self.resources * (MAX_RESOURCE + size::ANNOUNCEMENT);
        // What this node itself announces, kept to be announced again.
        let own = (self.sessions + self.resources_per_author + 16) * (MAX_GOSSIP + MAX_SIGNERS * size::LISTING);
        let waiting = self.protocol_waiting * (MAX_PAYLOAD + size::SMALL);
        let searches = self.searches * (self.advertisements + self.resources) * size::SMALL;
        let prepared_keys = self.prepared_keys * size::PREPARED_KEY;
        let small = self.lookups
            + self.lookups_waiting
            + self.announcers
            + self.reputations
            + 2 * self.records
            + self.protocol_messages
            + 2 * self.advertisements;
        live + ended
            + presences
            + early
            + peers
            + prepared_keys
            + advertisements
            + resources
            + own
            + waiting
            + searches
            + small * size::SMALL
    }
}
