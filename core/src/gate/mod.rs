//! Nothing reaches a state machine unchecked: bytes come in, [`Admitted`] values go out, and nothing else makes one.
//!
//! The order is from cheap to dear: size, the neighbour's standing, quotas, decoding, network, channel, replay (peeked
//! at), signature, freshness, the author's quota, replay (taken). A message that fails any of them changes no state but a counter.
//!
//! Driven by `Node` alone.

mod announcers;
mod authors;
mod early;
mod kept;
mod neighbours;
mod policy;
mod quota;
mod records;
mod seen;
mod window;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;

use crate::api::{Config, Refusal};
use crate::base::{Bytes, HashKey, Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::wire::{
    Advertisement, Body, Content, DecodeError, Definition, MAX_DIRECT, MAX_GOSSIP, Message, PeerId, Presence,
    ProtocolMessage, Resource, SessionId, SessionMessage,
};

use announcers::Announcers;
pub(crate) use authors::{Authors, Claim};
pub(crate) use early::PendingMessages;
pub(crate) use neighbours::{Hearing, Neighbours, Penalty};
pub(crate) use policy::NoPolicy;
pub use policy::{Policy, Review};
use quota::Buckets;
use records::RecordQuotas;
pub(crate) use records::{Judged, MAX_LIFETIME, Put};
use seen::ReplayCache;
use window::ReplayWindow;

/// The ways into a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Straight from a connected peer.
    Direct,
    /// By gossip.
    Gossip,
    /// Found in the DHT.
    Record,
}

impl Channel {
    /// The most bytes that a message has on this channel.
    const fn max_size(self) -> usize {
        match self {
            Self::Direct => MAX_DIRECT,
            Self::Gossip | Self::Record => MAX_GOSSIP,
        }
    }
}

/// A value from outside that has passed every check. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<T> {
    author: PublicKey,
    bytes: Bytes,
    value: T,
}

impl<T> Admitted<T> {
    /// Whose signature it carries.
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

    /// The author, the value, and the message as it came, for passing on.
    pub(crate) fn into_all(self) -> (PublicKey, T, Bytes) {
        (self.author, self.value, self.bytes)
    }
}

impl Admitted<Advertisement> {
    /// What the advertisement says about where its author is.
    pub(crate) fn presence(&self) -> Admitted<Presence> {
        Admitted { author: self.author, bytes: self.bytes.clone(), value: self.value.presence() }
    }
}

/// A value whose signature is its author's. Freshness and replay have not been looked at.
#[derive(Clone, Debug)]
pub(crate) struct Authentic<T> {
    author: PublicKey,
    bytes: Bytes,
    value: T,
}

impl<T> Authentic<T> {
    pub(crate) const fn author(&self) -> &PublicKey {
        &self.author
    }

    pub(crate) const fn value(&self) -> &T {
        &self.value
    }

    fn admitted(self) -> Admitted<T> {
        Admitted { author: self.author, bytes: self.bytes, value: self.value }
    }
}

/// A session's signers, by key, with what has been seen of each.
#[derive(Debug)]
struct Signers(Box<[(PublicKey, ReplayWindow)]>);

impl Signers {
    fn find(&self, author: &PublicKey) -> Result<usize, Refusal> {
        self.0.binary_search_by(|(signer, _)| signer.cmp(author)).map_err(|_| Refusal::NotASigner)
    }
}

/// The checks and what they remember.
#[derive(Debug)]
pub(crate) struct Gate {
    config: Arc<Config>,
    own_key: PublicKey,
    windows: BTreeMap<SessionId, Signers>,
    pub(crate) early: PendingMessages,
    pub(crate) neighbours: Neighbours,
    presences: Buckets<PublicKey>,
    advertisements: Buckets<PublicKey>,
    resources: Buckets<PublicKey>,
    announcements: Buckets<PublicKey>,
    protocol_messages: ReplayCache,
    announcers: Announcers,
    kept: RecordQuotas,
    /// Ranks authors when a list is full; secret, so that nobody can choose a key that ranks well.
    salt: [u8; 32],
}

impl Gate {
    pub(crate) fn new(
        config: Arc<Config>,
        own_key: PublicKey,
        own_peer: &PeerId,
        salt: [u8; 32],
        hash_key: HashKey,
    ) -> Self {
        let limits = &config.limits;
        Self {
            own_key,
            windows: BTreeMap::new(),
            early: PendingMessages::new(limits),
            neighbours: Neighbours::new(config.clone(), hash_key),
            presences: Buckets::new(limits.presences, hash_key),
            advertisements: Buckets::new(limits.advertisements, hash_key),
            resources: Buckets::new(limits.resources, hash_key),
            protocol_messages: ReplayCache::new(limits.protocol_messages, hash_key),
            announcers: Announcers::new(limits, hash_key),
            kept: RecordQuotas::new(limits, own_peer, hash_key),
            salt,
            announcements: Buckets::new(limits.announcers, hash_key),
            config,
        }
    }

    /// From now on the messages of this session are checked for replay.
    pub(crate) fn watch(&mut self, session: SessionId, signers: &[PublicKey]) {
        let window = ReplayWindow::new(self.config.limits.sequence_window);
        self.windows.insert(session, Signers(signers.iter().map(|signer| (*signer, window)).collect()));
    }

    /// The session is gone.
    pub(crate) fn unwatch(&mut self, session: &SessionId) {
        self.windows.remove(session);
    }

    /// Size, decoding, network, channel: what can be said without cryptography.
    pub(crate) fn decode(&self, channel: Channel, bytes: Bytes) -> Result<Message, Refusal> {
        if bytes.len() > channel.max_size() {
            return Err(Refusal::Oversized);
        }
        let message = Message::decode(bytes).map_err(|error| match error {
            DecodeError::Malformed => Refusal::Malformed,
            DecodeError::NotCanonical => Refusal::NotCanonical,
            DecodeError::Version(_) => Refusal::Version,
        })?;
        if message.unsigned.network != self.config.network {
            return Err(Refusal::Network);
        }
        if message.unsigned.author == self.own_key {
            return Err(Refusal::Echo);
        }
        match (&message.unsigned.body, channel) {
            (Body::Session(_), Channel::Gossip | Channel::Record)
            | (Body::Protocol(_), Channel::Gossip | Channel::Record)
            | (Body::Resource(_), Channel::Gossip)
            | (Body::Listing(_), _) => Err(Refusal::Channel),
            (Body::Session(step), _) => self.peek(&message.unsigned.author, step).map(|()| message),
            (
                Body::Presence(_) | Body::Advertisement(_) | Body::Request(_) | Body::Resource(_) | Body::Protocol(_),
                _,
            ) => Ok(message),
        }
    }

    /// Whether a session message could still be admitted, so that duplicates cost no signature check.
    fn peek(&self, author: &PublicKey, step: &SessionMessage) -> Result<(), Refusal> {
        if step.attempt == 0 || step.attempt > self.config.limits.attempts {
            return Err(Refusal::Attempt);
        }
        match self.windows.get(&step.session) {
            None => Ok(()),
            Some(signers) => signers.0[signers.find(author)?].1.peek(step.attempt, step.sequence),
        }
    }

    /// The signature.
    pub(crate) fn authenticate<V: Verifier>(
        &self,
        verifier: &V,
        authors: &mut Authors<V>,
        message: Message,
    ) -> Result<(Authentic<()>, Body), Refusal> {
        let claim @ (author, ..) = message.claim();
        let is_signer =
            matches!(&message.unsigned.body, Body::Session(step) if self.windows.contains_key(&step.session));
        if !authors.verify(verifier, claim, is_signer) {
            return Err(Refusal::Signature);
        }
        Ok((Authentic { author, bytes: message.bytes, value: () }, message.unsigned.body))
    }

    /// Admits a presence that is valid now.
    pub(crate) fn admit_presence(
        &mut self,
        authentic: Authentic<()>,
        presence: Presence,
        longest: Duration,
        now: Now,
    ) -> Result<Admitted<Presence>, Refusal> {
        self.check_lifetime(presence.issued_at, presence.expires_at, longest, now.wall)?;
        if !self.presences.take(authentic.author, self.config.limits.presences_per_key, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(authentic.with(presence).admitted())
    }

    /// Admits an advertisement that is valid now.
    pub(crate) fn admit_advertisement(
        &mut self,
        authentic: Authentic<()>,
        advertisement: Advertisement,
        now: Now,
    ) -> Result<Admitted<Advertisement>, Refusal> {
        self.check_lifetime(advertisement.issued_at, advertisement.expires_at, MAX_LIFETIME, now.wall)?;
        if advertisement.offer.as_ref().is_some_and(|offer| offer.check().is_err()) {
            return Err(Refusal::Offer);
        }
        if !self.advertisements.take(authentic.author, self.config.limits.advertisements_per_key, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(authentic.with(advertisement).admitted())
    }

    /// Admits a resource that is valid now.
    pub(crate) fn admit_resource(
        &mut self,
        authentic: Authentic<()>,
        resource: Resource,
        now: Now,
    ) -> Result<Admitted<Resource>, Refusal> {
        self.check_lifetime(resource.issued_at, resource.expires_at, MAX_LIFETIME, now.wall)?;
        if !self.resources.take(authentic.author, self.config.limits.announcements_per_author, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(authentic.with(resource).admitted())
    }

    /// Admits a protocol's message, once, for as long as clocks may differ from when it was signed.
    pub(crate) fn admit_protocol_message(
        &mut self,
        authentic: Authentic<()>,
        message: ProtocolMessage,
        now: Now,
    ) -> Result<Admitted<ProtocolMessage>, Refusal> {
        if message.to != self.own_key {
            return Err(Refusal::NotForMe);
        }
        let until = message.issued_at.checked_add(self.config.clock_skew).ok_or(Refusal::NotFresh)?;
        let is_early = now.wall.checked_add(self.config.clock_skew).is_none_or(|latest| message.issued_at > latest);
        if is_early || until < now.wall {
            return Err(Refusal::NotFresh);
        }
        self.protocol_messages.take(&authentic.bytes, until, now.wall)?;
        Ok(authentic.with(message).admitted())
    }

    /// Admits a session's announcement before the session is known: the definition is sound, names the author as its
    /// creator, has not expired, and is not one too many.
    pub(crate) fn check_definition(
        &mut self,
        author: &PublicKey,
        session: &SessionId,
        definition: &Definition,
        longest: Duration,
        now: Now,
    ) -> Result<(), Refusal> {
        definition.check(longest).map_err(|_| Refusal::Definition)?;
        if definition.id() != *session || definition.network != self.config.network {
            return Err(Refusal::Definition);
        }
        if definition.creator_key() != author {
            return Err(Refusal::NotTheCreator);
        }
        self.check_lifetime(definition.created_at, definition.expires_at, longest, now.wall)?;
        let keys = definition.keys.len() as u64;
        if !self.announcements.take(*author, self.config.limits.announced_keys, keys, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        definition.index_of(&self.own_key).map(drop).ok_or(Refusal::NotForMe)
    }

    fn check_lifetime(&self, from: Wall, until: Wall, longest: Duration, now: Wall) -> Result<(), Refusal> {
        let is_fresh = until > from
            && until.since(from) <= longest
            && until > now
            && now.checked_add(self.config.clock_skew).is_some_and(|latest| from <= latest);
        if is_fresh { Ok(()) } else { Err(Refusal::NotFresh) }
    }

    /// Admits a step of a session that is watched, once.
    pub(crate) fn admit_step(
        &mut self,
        step: Authentic<SessionMessage>,
        definition: &Definition,
    ) -> Result<Admitted<SessionMessage>, Refusal> {
        let SessionMessage { session, attempt, sequence, ref content } = step.value;
        if let Content::Announce { definition: announced, .. } = content {
            if definition.creator_key() != &step.author {
                return Err(Refusal::NotTheCreator);
            }
            if **announced != *definition {
                return Err(Refusal::Definition);
            }
        } else if matches!(content, Content::Join { .. }) && definition.creator_key() == &step.author {
            // The creator joins by announcing.
            return Err(Refusal::Definition);
        }
        let signers = self.windows.get_mut(&session).ok_or(Refusal::Ended)?;
        let signer = signers.find(&step.author)?;
        signers.0[signer].1.take(attempt, sequence)?;
        Ok(step.admitted())
    }
}

impl Authentic<()> {
    pub(crate) fn with<T>(self, value: T) -> Authentic<T> {
        Authentic { author: self.author, bytes: self.bytes, value }
    }
}
