//! What an embedder may set, with defaults from the protocol's specification. `check` says which values make a node;
//! `docs/src/configuration-core.md` is a table of all of them.

mod check;

use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use check::ConfigError;

use super::identity::Tier;
use crate::base::Wall;
use crate::crypto::Network;
use crate::session::REMEMBERED;
use crate::wire::{MAX_ADDRESS, MAX_ADDRESSES, MAX_DEFINITION, MAX_GOSSIP, MAX_PAYLOAD, MAX_RESOURCE, MAX_SIGNERS};

/// How a node behaves. Begin with [`Config::new`] and assign the fields that are to differ; [`Node::new`] refuses what
/// [`Config::check`] does.
///
/// [`Node::new`]: crate::node::Node::new
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Config {
    /// The network that the keys belong to. Messages, sessions and journals of another one are refused.
    pub network: Network,
    /// How long a session may take from its creation, to the millisecond, by each signer's own clock. One that has
    /// ended is remembered for twice `clock_skew` longer. Announcements of sessions that last longer are refused.
    pub session_timeout: Duration,
    /// After how long without progress a session asks the others for what is missing; doubles each time up to
    /// `stall_max`. Also the pause before a failed attempt is followed by another, which doubles too.
    pub stall: Duration,
    /// The longest pause between two questions of a session for what is missing.
    pub stall_max: Duration,
    /// After how long without progress an attempt ends: while nonces are missing it lapses, and whoever approves later,
    /// or is back, begins the next one; once this node has signed it has failed.
    pub stuck_timeout: Duration,
    /// How many attempts a node begins by itself after failures, each after twice the pause of the one before. Not more
    /// than `limits.attempts` in any case.
    pub retries: u32,
    /// How long a coordinator has to broadcast before it is the next one's turn.
    pub broadcast_timeout: Duration,
    /// By how much another node's clock may be wrong.
    pub clock_skew: Duration,
    /// How long a presence, which says where this node is, is valid; it is renewed after half of that. Presences of
    /// others that are valid for longer are refused.
    pub presence_lifetime: Duration,
    /// How long an advertisement, which says what this node offers to sign, is valid; it is renewed after half of that.
    pub advertisement_lifetime: Duration,
    /// For how long a node with a message key has its signing key delegate to it, which its signer is asked for again
    /// after half of that. What is announced is not valid for longer than the delegation.
    pub delegation_lifetime: Duration,
    /// After how long everything that this node announces is put into the DHT again.
    pub republish: Duration,
    /// How long a DHT lookup may take, and a search of the embedder's.
    pub lookup_timeout: Duration,
    /// How much of everything a node takes and keeps.
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
            delegation_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            republish: Duration::from_secs(60 * 60),
            lookup_timeout: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// What is dated later is no date of anyone's whose clock is right enough.
    pub(crate) fn latest(&self, now: Wall) -> Wall {
        now.checked_add(self.clock_skew).unwrap_or(Wall::from_millis(u64::MAX))
    }

    /// How far back a node may have to speak of what has been: of a session that has ended, to whoever has missed it.
    pub(crate) fn reach_back(&self) -> Duration {
        self.session_timeout + REMEMBERED + self.clock_skew.saturating_mul(2)
    }

    /// The highest number that an attempt may have at a session that was created so long ago: as many as may be made,
    /// and as many as may have lapsed since.
    pub(crate) fn last_attempt(&self, age: Duration) -> u32 {
        let lapses = age.min(self.session_timeout).as_nanos() / self.stuck_timeout.as_nanos().max(1);
        self.limits.attempts.saturating_add(u32::try_from(lapses).unwrap_or(u32::MAX))
    }
}

/// How much of something is allowed over time: a bucket that holds `burst` tokens and gets one back after each `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// How much at once. At zero nothing is let in.
    pub burst: u64,
    /// After how long there is one more.
    pub every: Duration,
}

impl Quota {
    /// A quota of so many per second, with `seconds` seconds' worth at once. If either is zero, nothing is let in; a
    /// rate above one in each nanosecond is that one.
    #[must_use]
    pub const fn per_second(rate: u32, seconds: u32) -> Self {
        let every = match rate {
            0 | 1 => 1_000_000_000,
            1_000_000_000.. => 1,
            rate => 1_000_000_000 / rate as u64,
        };
        Self { burst: rate as u64 * seconds as u64, every: Duration::from_nanos(every) }
    }

    /// As much more as a key of this tier may have.
    pub(crate) fn of_tier(self, tier: Option<Tier>) -> Self {
        let factor = tier.map_or(1, Tier::factor);
        let every = (self.every / factor).max(Duration::from_nanos(1));
        Self { burst: self.burst.saturating_mul(u64::from(factor)), every }
    }
}

/// How much of everything a node takes and keeps. At a cap new work is refused; what was promised is not dropped.
/// [`Limits::ceiling`] adds the caps up. Begin with [`Limits::default`] and assign the fields that are to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions that have not ended, this node's own and others' together.
    pub sessions: usize,
    /// Nonces that sessions of this node's have which have not ended: items times signers of each, added up. Sessions
    /// that wait for approval have as many again.
    pub slots: usize,
    /// Announced sessions that await this node's approval, of all creators together; and those that ended before it,
    /// whose end is told to whoever has missed it. Part of `sessions`, but those that this node creates or approves
    /// come first.
    pub unapproved: usize,
    /// Announced sessions that await this node's approval, of one creator.
    pub unapproved_per_creator: usize,
    /// Sessions that have ended and can be looked at until they expire, and for a day longer when this node has signed
    /// in them. The oldest make room, and only their ids are kept.
    pub ended: usize,
    /// Ids of sessions that were closed or made room, so that late messages mean nothing; at most 100 bytes each.
    pub closed: usize,
    /// Signing requests, whomever they are for, whose repetition is noticed.
    pub requests: usize,
    /// Attempts at one session, whoever begins them, without those that have lapsed. Of these there are no more than
    /// `stuck_timeout` fits into the time since its creation.
    pub attempts: u32,
    /// Connected peers that the node keeps account of.
    pub peers: usize,
    /// Peers whose behaviour is remembered, connected or not.
    pub neighbours: usize,
    /// Messages from one peer.
    pub messages_per_peer: Quota,
    /// Bytes from one peer. The burst has room for the largest message.
    pub bytes_per_peer: Quota,
    /// Messages from one peer that are taken even when all peers together send too much, so that many who shout do not
    /// silence those who speak.
    pub messages_reserved_per_peer: Quota,
    /// Messages from all peers together, beyond what is reserved for each.
    pub messages: Quota,
    /// Bytes from all peers together, beyond the messages that are reserved for each.
    pub bytes: Quota,
    /// New presences of one key.
    pub presences_per_key: Quota,
    /// Keys in the sessions that one signer announces: the work of an announcement grows with its signers.
    pub announced_keys: Quota,
    /// Signers whose announcements of sessions are counted.
    pub announcers: usize,
    /// The penalty from which on a peer is not listened to for an hour.
    pub graylist_at: u32,
    /// The penalty from which on a peer is banned for a day, and for twice as long each further time.
    pub blacklist_at: u32,
    /// Keys whose holders are known from others; as many more that sessions want; and beside them those of connected
    /// peers.
    pub presences: usize,
    /// Keys that one peer may hold, unless the [`Policy`](crate::Policy) gives it more.
    pub keys_per_peer: usize,
    /// DHT lookups under way at once.
    pub lookups: usize,
    /// DHT lookups that wait for one under way to end.
    pub lookups_waiting: usize,
    /// How often DHT lookups begin, so that waiting for many signers costs the network little.
    pub lookup_rate: Quota,
    /// Searches of the embedder's under way at once.
    pub searches: usize,
    /// Signers whose advertisements are known.
    pub advertisements: usize,
    /// New advertisements of one key.
    pub advertisements_per_key: Quota,
    /// Resources of others that are known.
    pub resources: usize,
    /// Resources of one author that are known, of all kinds; of this node's own, those that it announces. Also the
    /// records of one author that are kept for others.
    pub resources_per_author: usize,
    /// Resources of one author and one kind that are known; of this node's own, those that it announces.
    pub resources_per_kind: usize,
    /// New resources of one author.
    pub announcements_per_author: Quota,
    /// Signers whose reputation is remembered.
    pub reputations: usize,
    /// Keys whose identities are known; of further ones nothing is remembered.
    pub identities: usize,
    /// DHT records that are kept for others. When there are more, those that are far make room, of whoever has the
    /// most.
    pub records: usize,
    /// New DHT records and announcements from one peer, and new records of one author: everything that an honest signer
    /// announces at once, and then one at a time.
    pub records_per_peer: Quota,
    /// Messages to other protocols whose repetition would be noticed. Half of it is shared out to as many neighbours as
    /// `peers` says; of the rest whoever needs more may use as much as is free.
    pub protocol_messages: usize,
    /// Messages of one author to gossip topics of other protocols.
    pub topic_messages_per_author: Quota,
    /// Gossip topics of other protocols that this node listens to.
    pub protocol_topics: usize,
    /// Timers of other protocols.
    pub protocol_timers: usize,
    /// Records of other protocols that outlast a restart.
    pub protocol_records: usize,
    /// Bytes of these records.
    pub protocol_record_bytes: usize,
    /// Messages of other protocols that wait for their receivers to be found.
    pub protocol_waiting: usize,
    /// Messages that wait for the announcements of their sessions, of all signers together. A large one counts once for
    /// each 10,000 bytes.
    pub early: usize,
    /// Messages of one signer that wait for the announcements of their sessions.
    pub early_per_author: usize,
    /// How long a message waits for the announcement of its session.
    pub early_lifetime: Duration,
    /// Signers whose keys are prepared for faster verification once they have signed some messages in sessions, 16 KiB
    /// each. When there are more, those who have been silent the longest are verified as anyone is.
    pub prepared_keys: usize,
    /// How far a message's number may be behind the newest of its author, in its session and attempt, when it says
    /// nothing that the session lacks.
    pub sequence_window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 512,
            slots: 65_536,
            unapproved: 256,
            unapproved_per_creator: 64,
            ended: 1_024,
            closed: 1_000_000,
            requests: 4_096,
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
            lookup_rate: Quota { burst: 256, every: Duration::from_millis(50) },
            searches: 16,
            advertisements: 4_096,
            advertisements_per_key: Quota { burst: 5, every: Duration::from_secs(60) },
            resources: 2_048,
            resources_per_author: 100,
            resources_per_kind: 20,
            announcements_per_author: Quota { burst: 25, every: Duration::from_secs(30) },
            reputations: 4_096,
            identities: 1_024,
            records: 1_024,
            records_per_peer: Quota { burst: 120, every: Duration::from_secs(30) },
            protocol_messages: 16_384,
            topic_messages_per_author: Quota { burst: 60, every: Duration::from_secs(1) },
            protocol_topics: 64,
            protocol_timers: 1_024,
            protocol_records: 4_096,
            protocol_record_bytes: 4_194_304,
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
    /// A signer's part of one item of several: nonce and partial signature, each as it came too, and its share of what
    /// the item has of keys and rounds.
    pub(super) const SLOT: usize = 1_024;
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
    /// The id of a session that was closed, or of a request.
    pub(super) const CLOSED: usize = 100;
    /// A bucket, a lookup, a timer.
    pub(super) const SMALL: usize = 256;
}

impl Limits {
    /// The most keys whose holders are known.
    #[must_use]
    pub const fn most_presences(&self) -> usize {
        self.presences.saturating_mul(2).saturating_add(self.peers.saturating_mul(self.keys_per_peer))
    }

    /// The most bytes that a node keeps, whatever arrives: the sum of all caps at their worst, with `MAX_SIGNERS`
    /// signers and `MAX_MESSAGE` bytes in every session; `usize::MAX` when the sum is larger. What the embedder has not
    /// fetched with `poll` comes on top.
    #[must_use]
    pub const fn ceiling(&self) -> usize {
        let session = size::SESSION + 3 * MAX_DEFINITION;
        let addresses = MAX_ADDRESSES * (MAX_ADDRESS + 64);
        let known = self.advertisements.saturating_add(self.resources);
        let own = self.sessions.saturating_add(self.resources_per_author).saturating_add(16);
        // How many of each there are, and how many bytes one takes.
        let parts = [
            (self.sessions, session + MAX_SIGNERS * size::LIVE_SIGNER),
            (self.slots.saturating_mul(2), size::SLOT),
            (self.ended.saturating_add(self.unapproved), session + MAX_SIGNERS * size::ENDED_SIGNER),
            (self.closed, size::CLOSED),
            (self.requests, size::CLOSED),
            // Its addresses, and the message that says so, which may be an advertisement.
            (self.most_presences(), 2 * addresses + size::ANNOUNCEMENT + size::NEIGHBOUR + size::SMALL),
            (self.early, MAX_GOSSIP + size::SMALL),
            (self.peers, size::NEIGHBOUR),
            (self.neighbours, size::NEIGHBOUR),
            (self.neighbours.saturating_mul(self.keys_per_peer), size::BROUGHT_KEY),
            (self.prepared_keys, size::PREPARED_KEY),
            (self.advertisements, 2 * (addresses + size::ANNOUNCEMENT) + 2 * size::SMALL),
            (self.resources, 2 * (MAX_RESOURCE + size::ANNOUNCEMENT)),
            // What this node itself announces, kept to be announced again.
            (own, MAX_GOSSIP + MAX_SIGNERS * size::LISTING),
            (self.protocol_waiting, MAX_PAYLOAD + size::SMALL),
            (self.searches.saturating_mul(known), size::SMALL),
            (self.lookups, size::SMALL),
            (self.lookups_waiting, size::SMALL),
            (self.announcers, size::SMALL),
            (self.reputations, size::SMALL),
            (self.identities, size::SMALL),
            (self.records, 2 * size::SMALL),
            (self.protocol_messages, size::SMALL),
            // Signers whose messages to topics are counted.
            (self.announcers, size::SMALL),
            (self.protocol_topics, size::SMALL),
            (self.protocol_timers, 2 * size::SMALL),
            (self.protocol_records, 2 * size::SMALL),
            (self.protocol_record_bytes, 1),
            // Which protocol a session belongs to.
            (self.sessions.saturating_add(self.ended).saturating_add(self.unapproved), size::SMALL),
        ];
        let (mut sum, mut rest) = (0_usize, parts.as_slice());
        while let [(count, bytes), others @ ..] = rest {
            sum = sum.saturating_add(count.saturating_mul(*bytes));
            rest = others;
        }
        sum
    }
}
