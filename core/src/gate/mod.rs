//! The one way in: bytes go in, an [`Admission`] comes out, and nothing else makes an [`Admitted`] value.
//!
//! [`Gate::admit`] owns every check that is not a machine's: size, the neighbour's standing and quota, the embedder's
//! policy, decoding, network, channel, replay (peeked at), signature and delegation, policy on the author, freshness,
//! the author's quota, replay (taken). The order is from cheap to dear; each check says why it refuses by one
//! [`Refusal`], and a refused message changes no state but a counter. `authentic` has the signatures, `messages` the
//! checks of each family of messages, `records` those of DHT records and lists, `sessions` what is remembered of
//! sessions. Whoever has delegated is the author: quotas and replay count by the signing key. Below are tables:
//! `authors`, `neighbours`, `quota`, `seen`, `window`, `early`, and `forwarding`, how much of what neighbours gossip is
//! passed on.
//!
//! Driven by `Node` alone.

mod announcers;
mod authentic;
mod authors;
mod client;
mod early;
mod forwarding;
mod kept;
mod messages;
mod neighbours;
mod policy;
mod quota;
mod records;
mod seen;
mod sessions;
mod window;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::api::{Config, Refusal, Standing, Tier, Traffic};
use crate::base::{Bytes, HashKey, Mono, Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::{
    Advertisement, Body, DecodeError, Definition, Listed, Listing, MAX_DIRECT, MAX_GOSSIP, Message, PeerId, Presence,
    ProtocolMessage, Receiver, RecordKey, RequestNotice, Resource, SessionId, SessionMessage,
};

use announcers::Announcers;
use authentic::Authentic;
pub(crate) use authentic::{Inauthentic, authenticity};
use authors::Authors;
pub use client::check_record;
use forwarding::Forwarding;
pub(crate) use neighbours::Penalty;
use neighbours::{Hearing, Neighbours};
use policy::NoPolicy;
pub use policy::{Policy, Review};
pub(crate) use quota::Bucket;
use quota::Buckets;
use records::RecordQuotas;
pub(crate) use records::{MAX_LIFETIME, Put};
use seen::{RecentRequests, ReplayCache};
use sessions::Watched;

/// A value from outside that has passed every check of the gate. Nothing else makes one:
///
/// ```compile_fail
/// use nelumbo_core::{Admitted, wire::Presence};
/// fn forge(author: nelumbo_core::crypto::PublicKey, value: Presence) -> Admitted<Presence> {
///     Admitted { author, bytes: Vec::new().into(), value } // its fields are private
/// }
/// ```
/// ```compile_fail
/// fn forge<T>(author: nelumbo_core::crypto::PublicKey, value: T) -> nelumbo_core::Admitted<T> {
///     nelumbo_core::Admitted::new(author, value) // there is no constructor
/// }
/// ```
/// ```compile_fail
/// fn forge(bytes: &[u8]) -> nelumbo_core::Admitted<nelumbo_core::wire::Presence> {
///     serde_json::from_slice(bytes).unwrap() // it is not read from anything
/// }
/// ```
/// ```compile_fail
/// fn forge<T: Default>() -> nelumbo_core::Admitted<T> {
///     Default::default() // there is no empty one
/// }
/// ```
/// ```compile_fail
/// fn alter(admitted: &mut nelumbo_core::Admitted<nelumbo_core::wire::Presence>) {
///     admitted.value.addresses.clear(); // what has been admitted stays as it was signed
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<T> {
    author: PublicKey,
    bytes: Bytes,
    value: T,
}

impl<T> Admitted<T> {
    /// Whose word it is: the signing key, also where a message key has signed.
    pub const fn author(&self) -> &PublicKey {
        &self.author
    }

    /// The value.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The author and the value.
    pub fn into_parts(self) -> (PublicKey, T) {
        (self.author, self.value)
    }

    /// The signed message as it came, for passing on.
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The author, the value, and the message as it came.
    pub(crate) fn into_all(self) -> (PublicKey, T, Bytes) {
        (self.author, self.value, self.bytes)
    }

    #[cfg(test)]
    pub(crate) fn for_tests(author: PublicKey, value: T) -> Self {
        Self { author, bytes: Vec::new().into(), value }
    }
}

impl Admitted<Advertisement> {
    /// What the advertisement says about where its author is.
    pub(crate) fn presence(&self) -> Admitted<Presence> {
        Admitted { author: self.author, bytes: self.bytes.clone(), value: self.value.presence() }
    }
}

/// How bytes have come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Channel<'a> {
    /// Straight from a connected peer.
    Direct(&'a PeerId),
    /// By gossip, passed on by a connected peer.
    Gossip(&'a PeerId),
    /// Found in the DHT by a lookup for this key, of which a list may have said something.
    Found(&'a RecordKey, Option<Listed>),
    /// A connected peer wants them to be stored under a DHT key.
    Put(Put<'a>),
}

impl<'a> Channel<'a> {
    /// The most bytes that a message has on this channel.
    const fn max_size(self) -> usize {
        match self {
            Self::Direct(_) => MAX_DIRECT,
            Self::Gossip(_) | Self::Found(..) | Self::Put(..) => MAX_GOSSIP,
        }
    }

    /// The peer at the other end of the connection.
    const fn neighbour(self) -> Option<&'a PeerId> {
        match self {
            Self::Direct(peer) | Self::Gossip(peer) => Some(peer),
            Self::Put(put) => Some(put.from),
            Self::Found(..) => None,
        }
    }
}

/// What has been let in: one variant for each thing that can come.
#[derive(Debug)]
pub(crate) enum Admission {
    /// A step of a session of this node's.
    Step(Admitted<SessionMessage>),
    /// A session is asked for that this node is a signer of and does not know.
    Request(Request),
    /// A session is asked for that this node is a signer of and does not know; what it is its creator says.
    Notice(Admitted<RequestNotice>),
    /// A sound request of other signers, for passing on.
    ForOthers,
    /// A step of a session that is not known yet is kept for a while.
    Pending,
    /// Where a key is.
    Presence(Admitted<Presence>, Origin),
    /// A presence or an advertisement that is known already; the peer that shows its own presence again, and how many
    /// keys it may hold.
    Repeated { author: PublicKey, bytes: Bytes, first_hand: Option<(PeerId, usize)> },
    /// A presence of this node's key that is newer than any that this node has signed.
    Copy(Admitted<Presence>),
    /// What a signer offers, and where its key is.
    Advertisement(Admitted<Advertisement>, Origin),
    /// Something that somebody announces.
    Resource(Admitted<Resource>),
    /// Entries of a list that point to what is not known.
    Listings(Vec<Admitted<Listing>>),
    /// A DHT record that is to be stored, for how long, and under which key another one makes room for it.
    Record { value: Bytes, lifetime: Duration, removed: Option<Box<str>> },
    /// A message for a protocol of this node's.
    Protocol(Admitted<ProtocolMessage>),
}

/// Where something that says where a key is has come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The neighbour that brought it; none when it was found in the DHT.
    pub(crate) carrier: Option<PeerId>,
    /// Whether the peer that is said to hold the key has handed it over itself.
    pub(crate) is_first_hand: bool,
    /// How many keys that peer may hold.
    pub(crate) most_keys: usize,
}

/// A session that is asked for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) definition: Arc<Definition>,
    /// The creator's first step, when it came with that.
    announcement: Option<Authentic<SessionMessage>>,
}

/// What a node knows already, so that its repetition costs no signature check.
pub(crate) trait Known {
    /// When the newest announcement under this name was signed.
    fn issued_at(&self, record: &RecordKey) -> Option<Wall>;
    /// When this node has signed its newest announcement, once it has signed a presence.
    fn own_issued_at(&self) -> Option<Wall>;
    /// The session with this id: open or ended, forgotten but for its id, or not known.
    fn session(&self, id: &SessionId) -> KnownSession<'_>;
    /// Whether a step says something that its session still lacks, however old it is.
    fn lacks(&self, author: &PublicKey, step: &SessionMessage) -> bool;
    /// Whether this node knows an author at first hand, or works with it.
    fn is_acquainted(&self, author: &PublicKey) -> bool;
    /// Whether this node has signed with an author, or is about to.
    fn is_co_signer(&self, author: &PublicKey) -> bool;
    /// What an author may have of what strangers share.
    fn tier(&self, author: &PublicKey) -> Option<Tier>;
    /// The same of the peer that an author says it is at.
    fn peer_tier(&self, peer: &PeerId) -> Option<Tier>;
    /// Whether a protocol of this node's wants a message that is for this node.
    fn hears(&self, message: &ProtocolMessage) -> bool;
    /// Whether the protocol that something is for, if it runs here, finds that it means something.
    fn accepts(&self, author: &PublicKey, body: &Body) -> bool;
}

/// What is known of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KnownSession<'a> {
    Not,
    Open(&'a Arc<Definition>),
    Closed,
}

/// The checks and what they remember.
pub(crate) struct Gate<V: Verifier> {
    config: Arc<Config>,
    own_key: PublicKey,
    policy: Box<dyn Policy>,
    authors: Authors<V>,
    neighbours: Neighbours,
    watched: Watched,
    own_peer: PeerId,
    secrets: Secrets,
    /// Made when it is first needed: a node that nobody speaks to has none.
    exchange: Option<Box<Exchange>>,
}

/// What makes the order of tables, and who makes room in them, nobody's choice.
#[derive(Clone, Copy)]
pub(crate) struct Secrets {
    /// Ranks authors when a list is full, so that nobody can choose a key that ranks well.
    pub(crate) salt: [u8; 32],
    pub(crate) hash_key: HashKey,
}

/// What is remembered of those who announce, pass on or store something, or talk to other protocols.
struct Exchange {
    requests: RecentRequests,
    forwarding: Forwarding,
    announcers: Announcers,
    records: RecordQuotas,
    presences: Buckets<PublicKey>,
    advertisements: Buckets<PublicKey>,
    resources: Buckets<PublicKey>,
    announcements: Buckets<PublicKey>,
    protocol_messages: ReplayCache,
    topic_messages: Buckets<PublicKey>,
}

impl<V: Verifier> Gate<V> {
    pub(crate) fn new(config: Arc<Config>, (own_key, own_peer): (PublicKey, &PeerId), secrets: Secrets) -> Self {
        let (limits, hash_key) = (&config.limits, secrets.hash_key);
        Self {
            own_key,
            policy: Box::new(NoPolicy),
            authors: Authors::new(limits.prepared_keys),
            neighbours: Neighbours::new(config.clone(), hash_key),
            watched: Watched::new(limits),
            own_peer: *own_peer,
            secrets,
            exchange: None,
            config,
        }
    }

    fn exchange(&mut self) -> &mut Exchange {
        let Self { config, own_peer, secrets: Secrets { hash_key, .. }, exchange, .. } = self;
        exchange.get_or_insert_with(|| {
            let limits = &config.limits;
            Box::new(Exchange {
                requests: RecentRequests::new(limits.requests, *hash_key),
                forwarding: Forwarding::new(limits),
                announcers: Announcers::new(limits, *hash_key),
                records: RecordQuotas::new(limits, own_peer, *hash_key),
                presences: Buckets::new(limits.presences, *hash_key),
                advertisements: Buckets::new(limits.advertisements, *hash_key),
                resources: Buckets::new(limits.resources, *hash_key),
                announcements: Buckets::new(limits.announcers, *hash_key),
                protocol_messages: ReplayCache::new(limits.protocol_messages, limits.peers, *hash_key),
                topic_messages: Buckets::new(limits.announcers, *hash_key),
            })
        })
    }

    /// Lets the embedder's own rules decide too what gets in, from now on.
    pub(crate) fn set_policy(&mut self, policy: Box<dyn Policy>) {
        self.policy = policy;
    }

    /// The one way in for bytes from outside, whatever channel they came by.
    pub(crate) fn admit(
        &mut self,
        channel: Channel<'_>,
        bytes: Bytes,
        verifier: &V,
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        if bytes.len() > channel.max_size() {
            return Err(Refusal::Oversized);
        }
        if let Some(peer) = channel.neighbour() {
            let hearing = self.neighbours.charge(peer, bytes.len(), now.mono)?;
            if !self.policy.permits(peer) {
                return Err(Refusal::Policy);
            }
            if hearing == Hearing::Sample {
                return Err(self.inspect(verifier, channel, bytes));
            }
        }
        match channel {
            Channel::Put(put) => self.admit_put(verifier, put, bytes, known, now),
            Channel::Found(sought, listed) => self.admit_found(verifier, (sought, listed), bytes, known, now),
            Channel::Direct(_) | Channel::Gossip(_) => {
                let message = self.decode(channel, bytes)?;
                self.admit_message(verifier, channel, message, known, now)
            }
        }
    }

    /// What is wrong with a message of a graylisted peer, if the peer should have known it.
    fn inspect(&mut self, verifier: &V, channel: Channel<'_>, bytes: Bytes) -> Refusal {
        let is_message = matches!(channel, Channel::Direct(_) | Channel::Gossip(_));
        let inspected = is_message.then(|| self.decode(channel, bytes));
        let fault =
            inspected.and_then(|message| message.and_then(|message| self.authenticate(verifier, message)).err());
        fault.filter(|fault| fault.penalty() > 0).unwrap_or(Refusal::Graylisted)
    }

    /// A peer whose standing has ended and is good again, and what it was.
    pub(crate) fn pop_ended_standing(&mut self, now: Mono) -> Option<(PeerId, Standing)> {
        self.neighbours.pop_ended(now)
    }

    /// When the next standing ends.
    pub(crate) fn next_standing_end(&self) -> Option<Mono> {
        self.neighbours.next_end()
    }

    /// Whether this neighbour's gossip is passed on, or is more than its share of what this node passes on.
    pub(crate) fn forwards(&mut self, from: &PeerId, size: usize, now: Mono) -> bool {
        self.exchange().forwarding.take(from, size, now)
    }

    /// How many keys a peer may hold, given the best tier of those that it holds.
    pub(crate) fn most_keys(&mut self, peer: &PeerId, tier: Option<Tier>) -> usize {
        let factor = tier.map_or(1, Tier::factor) as usize;
        self.policy.keys_per_peer(peer, self.config.limits.keys_per_peer.saturating_mul(factor))
    }

    /// Holds a refusal against the neighbour that could have avoided it.
    pub(crate) fn penalize(&mut self, peer: &PeerId, refusal: Refusal, now: Mono) -> Option<Penalty> {
        self.neighbours.blame(peer, refusal, now)
    }

    /// Bans a peer by hand, until it is unbanned. False when there is no room to remember it.
    pub(crate) fn ban(&mut self, peer: &PeerId, now: Mono) -> bool {
        self.neighbours.ban(peer, now)
    }

    /// Forgets everything that is held against a peer. False when there was nothing.
    pub(crate) fn unban(&mut self, peer: &PeerId) -> bool {
        self.neighbours.unban(peer)
    }

    pub(crate) fn standing(&self, peer: &PeerId, now: Mono) -> (Standing, u32) {
        self.neighbours.standing(peer, now)
    }

    pub(crate) fn traffic(&self, peer: &PeerId) -> Traffic {
        self.neighbours.traffic(peer)
    }

    pub(crate) fn peers_in_standing(&self, standing: Standing) -> usize {
        self.neighbours.count(standing)
    }

    /// Decoding, network, channel: what can be said without cryptography.
    fn decode(&self, channel: Channel<'_>, bytes: Bytes) -> Result<Message, Refusal> {
        let message = decode(bytes)?;
        if message.unsigned.network != self.config.network {
            return Err(Refusal::Network);
        }
        let is_live = matches!(channel, Channel::Direct(_) | Channel::Gossip(_));
        if message.unsigned.author == self.own_key && !(is_live && matches!(message.unsigned.body, Body::Presence(_))) {
            return Err(Refusal::Echo);
        }
        let travels = match &message.unsigned.body {
            Body::Protocol(ProtocolMessage { to: Receiver::Topic(_), .. }) => matches!(channel, Channel::Gossip(_)),
            Body::Session(_) | Body::Protocol(_) => matches!(channel, Channel::Direct(_)),
            Body::Resource(_) => !matches!(channel, Channel::Gossip(_)),
            Body::Listing(_) => false,
            Body::Presence(_) | Body::Advertisement(_) | Body::Request(_) | Body::RequestNotice(_) => true,
        };
        if travels { Ok(message) } else { Err(Refusal::Channel) }
    }

    fn check_lifetime(&self, from: Wall, until: Wall, longest: Duration, now: Wall) -> Result<(), Refusal> {
        check_lifetime(&self.config, (from, until), longest, now)
    }
}

/// What can be said of bytes without anything else.
fn decode(bytes: Bytes) -> Result<Message, Refusal> {
    Message::decode(bytes).map_err(|error| match error {
        DecodeError::Malformed => Refusal::Malformed,
        DecodeError::NotCanonical => Refusal::NotCanonical,
        DecodeError::Version(_) => Refusal::Version,
    })
}

/// Whether it is the time of what is valid from one date to another, and not for longer than it may be.
fn check_lifetime(config: &Config, (from, until): (Wall, Wall), longest: Duration, now: Wall) -> Result<(), Refusal> {
    let is_fresh = until > from && until.since(from) <= longest && until > now && from <= config.latest(now);
    if is_fresh { Ok(()) } else { Err(Refusal::NotFresh) }
}
