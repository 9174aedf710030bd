//! What is checked of each family of messages, and what each is admitted as.

use core::time::Duration;

use super::seen::Account;
use super::{Admission, Admitted, Authentic, Channel, Gate, Known, KnownSession, Origin, Request};
use crate::api::Refusal;
use crate::base::{Now, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::gate::MAX_LIFETIME;
use crate::wire::{
    Advertisement, Body, Content, Definition, Message, PeerId, Presence, ProtocolMessage, Receiver, RecordKey,
    RequestNotice, Resource, SessionId,
};

impl<V: Verifier> Gate<V> {
    /// What has been decoded.
    pub(super) fn admit_message(
        &mut self,
        verifier: &V,
        channel: Channel<'_>,
        message: Message,
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        let direct = match channel {
            Channel::Direct(peer) => Some(*peer),
            _ => None,
        };
        let is_first_hand = |presence: &Presence| direct == Some(presence.peer);
        match (self.is_news(channel, &message, known, now.wall), &message.unsigned.body) {
            (Ok(()), _) => {}
            (Err(Refusal::Duplicate), Body::Presence(presence)) => {
                let peer = direct.filter(|_| is_first_hand(presence));
                let first_hand = peer.map(|peer| (peer, self.most_keys(&peer, known.peer_tier(&peer))));
                return Ok(Admission::Repeated { author: message.unsigned.author, bytes: message.bytes, first_hand });
            }
            (Err(Refusal::Duplicate), Body::Advertisement(_)) => {
                let author = message.unsigned.author;
                return Ok(Admission::Repeated { author, bytes: message.bytes, first_hand: None });
            }
            (Err(refusal), _) => return Err(refusal),
        }
        let (authentic, body) = self.authenticate(verifier, message)?;
        if authentic.author == self.own_key {
            return self.admit_copy(authentic, body, now.wall);
        }
        let is_wanted = match &body {
            Body::Session(step) => self.policy.accepts_message(&authentic.author, step),
            Body::Protocol(_) => true,
            announcement => self.policy.accepts_resource(&authentic.author, announcement),
        };
        if !is_wanted {
            return Err(Refusal::Policy);
        }
        if !known.accepts(&authentic.author, &body) {
            // Whoever passes a resource on need not know the protocol.
            let is_message = matches!(&body, Body::Protocol(_));
            return Err(if is_message { Refusal::Invalid } else { Refusal::Policy });
        }
        // Whoever brings an announcement itself knows how many there were.
        let bringer = channel.neighbour().filter(|peer| is_own(&body, peer, channel));
        if let Some((peer, (_, until))) = bringer.zip(body.dates()) {
            let tier = known.peer_tier(peer).max(known.tier(&authentic.author));
            let most_keys = self.most_keys(peer, tier);
            self.charge_announcement(peer, (authentic.author, until), most_keys, now)?;
        }
        let excess = |refusal| match refusal {
            Refusal::AuthorQuota if bringer.is_some() => Refusal::PeerQuota,
            other => other,
        };
        match body {
            Body::Session(step) => self.admit_step(authentic.with(step), known, now),
            Body::Presence(presence) => {
                let presence = self.admit_presence(authentic.with(presence), known, now).map_err(excess)?;
                let origin = self.origin(channel, &presence, known);
                Ok(Admission::Presence(presence, origin))
            }
            Body::Advertisement(advertisement) => {
                let advertisement =
                    self.admit_advertisement(authentic.with(*advertisement), known, now).map_err(excess)?;
                let origin = self.origin(channel, &advertisement.presence(), known);
                Ok(Admission::Advertisement(advertisement, origin))
            }
            Body::Request(definition) => {
                let id = definition.id();
                let admission = if !matches!(known.session(&id), KnownSession::Not) {
                    // Its signers know it before; if they did not pass it on, nobody else would hear of it.
                    if *definition.creator_key() != authentic.author {
                        return Err(Refusal::NotTheCreator);
                    }
                    Admission::ForOthers
                } else {
                    match self.check_definition(&authentic.author, &definition, known, now) {
                        Ok(()) => Admission::Request(Request { definition, announcement: None }),
                        // A sound request of other signers is passed on.
                        Err(Refusal::NotForMe) => Admission::ForOthers,
                        Err(refusal) => return Err(refusal),
                    }
                };
                self.exchange().requests.insert(id, matches!(channel, Channel::Gossip(_)));
                Ok(admission)
            }
            Body::RequestNotice(notice) => {
                let id = notice.session;
                let is_known = !matches!(known.session(&id), KnownSession::Not);
                let admission = match self.check_notice((&authentic.author, &notice), is_known, known, now) {
                    Ok(()) if is_known => Admission::ForOthers,
                    Ok(()) => Admission::Notice(authentic.with(notice).admitted()),
                    Err(Refusal::NotForMe) => Admission::ForOthers,
                    Err(refusal) => return Err(refusal),
                };
                self.exchange().requests.insert(id, matches!(channel, Channel::Gossip(_)));
                Ok(admission)
            }
            Body::Resource(resource) => {
                self.admit_resource(authentic.with(resource), known, now).map(Admission::Resource).map_err(excess)
            }
            Body::Protocol(message) => {
                let Some(carrier) = channel.neighbour() else { return Err(Refusal::Channel) };
                let is_co_signer = known.is_co_signer(&authentic.author);
                let account =
                    if is_co_signer { Account::Author(authentic.author) } else { Account::Neighbour(*carrier) };
                self.admit_protocol_message(authentic.with(message), account, known, now).map(Admission::Protocol)
            }
            Body::Listing(_) => Err(Refusal::Channel),
        }
    }

    /// A presence of this node's own key that is news: another copy of the key is in use.
    fn admit_copy(&self, authentic: Authentic<()>, body: Body, now: Wall) -> Result<Admission, Refusal> {
        let Body::Presence(presence) = body else { return Err(Refusal::Echo) };
        self.check_lifetime(presence.issued_at, presence.expires_at, self.config.presence_lifetime, now)?;
        Ok(Admission::Copy(authentic.with(presence).admitted()))
    }

    /// Whether a message could change anything, whoever signed it: what repeats itself costs no signature check.
    pub(super) fn is_news(
        &self,
        channel: Channel<'_>,
        message: &Message,
        known: &impl Known,
        now: Wall,
    ) -> Result<(), Refusal> {
        let author = message.unsigned.author;
        let is_newer = |record: &RecordKey, issued_at: Wall| {
            if self.newest(record, known, now).is_none_or(|newest| newest < issued_at) {
                Ok(())
            } else {
                Err(Refusal::Duplicate)
            }
        };
        match &message.unsigned.body {
            // What comes back is older than what was signed since, or as old.
            Body::Presence(presence) if author == self.own_key => {
                let is_news = known.own_issued_at().is_some_and(|newest| newest < presence.issued_at);
                if is_news { Ok(()) } else { Err(Refusal::Echo) }
            }
            Body::Presence(presence) => is_newer(&RecordKey::Presence(author), presence.issued_at),
            Body::Advertisement(advertisement) => {
                // Its author signs it anew at half its time; gossip that is older is somebody else's repetition.
                let Advertisement { issued_at, expires_at, .. } = **advertisement;
                let renewed = expires_at.since(issued_at) / 2 + self.config.clock_skew;
                if matches!(channel, Channel::Gossip(_)) && now.since(issued_at) > renewed {
                    return Err(Refusal::NotFresh);
                }
                is_newer(&RecordKey::Advertisement(author), issued_at)
            }
            Body::Request(definition) => {
                let is_for_me = definition.index_of(&self.own_key).is_some();
                self.is_new_request(channel, &definition.id(), is_for_me, known)
            }
            Body::RequestNotice(notice) => {
                let is_for_me = notice.index_of(&self.own_key).is_some();
                self.is_new_request(channel, &notice.session, is_for_me, known)
            }
            Body::Session(step) => {
                let session = known.session(&step.session);
                let age = match session {
                    KnownSession::Open(definition) => now.since(definition.created_at),
                    KnownSession::Not | KnownSession::Closed => Duration::MAX,
                };
                let last_attempt = self.config.last_attempt(age);
                self.watched.peek(&author, step, last_attempt, |step| known.lacks(&author, step))?;
                match session {
                    KnownSession::Closed => Err(Refusal::Ended),
                    KnownSession::Not | KnownSession::Open(_) => Ok(()),
                }
            }
            Body::Protocol(protocol) => {
                let is_for_me = match &protocol.to {
                    Receiver::Signer(key) => *key == self.own_key,
                    Receiver::Peer(peer) => *peer == self.own_peer,
                    Receiver::Topic(_) => true,
                };
                if !is_for_me {
                    Err(Refusal::NotForMe)
                } else if !known.hears(protocol) {
                    Err(Refusal::Protocol)
                } else if self.exchange.as_ref().is_some_and(|known| known.protocol_messages.contains(&message.bytes)) {
                    Err(Refusal::Duplicate)
                } else {
                    Ok(())
                }
            }
            Body::Resource(_) | Body::Listing(_) => Ok(()),
        }
    }

    /// Whether a request could change anything, or is to be passed on.
    fn is_new_request(
        &self,
        channel: Channel<'_>,
        id: &SessionId,
        is_for_me: bool,
        known: &impl Known,
    ) -> Result<(), Refusal> {
        let is_gossip = matches!(channel, Channel::Gossip(_));
        let exchange = self.exchange.as_ref();
        let is_seen = exchange.is_some_and(|exchange| exchange.requests.contains(id, is_gossip));
        let is_known = !matches!(known.session(id), KnownSession::Not);
        let is_repeated = if is_for_me { is_known && (is_seen || !is_gossip) } else { is_seen };
        if is_repeated { Err(Refusal::Duplicate) } else { Ok(()) }
    }

    /// When the newest announcement of this name was signed. What is dated ahead was taken while this node's clock was
    /// wrong, and stands in nobody's way.
    pub(super) fn newest(&self, record: &RecordKey, known: &impl Known, now: Wall) -> Option<Wall> {
        known.issued_at(record).filter(|newest| *newest <= self.config.latest(now))
    }

    fn origin(&mut self, channel: Channel<'_>, presence: &Admitted<Presence>, known: &impl Known) -> Origin {
        let peer = &presence.value().peer;
        let tier = known.peer_tier(peer).max(known.tier(presence.author()));
        let is_first_hand = matches!(channel, Channel::Direct(from) if from == peer);
        Origin { carrier: channel.neighbour().copied(), is_first_hand, most_keys: self.most_keys(peer, tier) }
    }

    fn admit_presence(
        &mut self,
        message: Authentic<Presence>,
        known: &impl Known,
        now: Now,
    ) -> Result<Admitted<Presence>, Refusal> {
        let Presence { issued_at, expires_at, .. } = message.value;
        self.check_lifetime(issued_at, expires_at, self.config.presence_lifetime, now.wall)?;
        let quota = self.config.limits.presences_per_key.of_tier(known.tier(&message.author));
        if !self.exchange().presences.take(message.author, quota, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(message.admitted())
    }

    fn admit_advertisement(
        &mut self,
        message: Authentic<Advertisement>,
        known: &impl Known,
        now: Now,
    ) -> Result<Admitted<Advertisement>, Refusal> {
        let Advertisement { issued_at, expires_at, ref offer, .. } = message.value;
        self.check_lifetime(issued_at, expires_at, MAX_LIFETIME, now.wall)?;
        if offer.as_ref().is_some_and(|offer| offer.check().is_err()) {
            return Err(Refusal::Offer);
        }
        let quota = self.config.limits.advertisements_per_key.of_tier(known.tier(&message.author));
        if !self.exchange().advertisements.take(message.author, quota, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(message.admitted())
    }

    fn admit_resource(
        &mut self,
        message: Authentic<Resource>,
        known: &impl Known,
        now: Now,
    ) -> Result<Admitted<Resource>, Refusal> {
        let Resource { issued_at, expires_at, .. } = message.value;
        self.check_lifetime(issued_at, expires_at, MAX_LIFETIME, now.wall)?;
        let quota = self.config.limits.announcements_per_author.of_tier(known.tier(&message.author));
        if !self.exchange().resources.take(message.author, quota, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(message.admitted())
    }

    /// A protocol's message is taken once, for as long as clocks may differ from when it was signed.
    fn admit_protocol_message(
        &mut self,
        message: Authentic<ProtocolMessage>,
        account: Account,
        known: &impl Known,
        now: Now,
    ) -> Result<Admitted<ProtocolMessage>, Refusal> {
        let (issued_at, skew): (Wall, Duration) = (message.value.issued_at, self.config.clock_skew);
        let until = issued_at.checked_add(skew).ok_or(Refusal::NotFresh)?;
        let is_early = now.wall.checked_add(skew).is_none_or(|latest| issued_at > latest);
        if is_early || until < now.wall {
            return Err(Refusal::NotFresh);
        }
        let quota = self.config.limits.topic_messages_per_author.of_tier(known.tier(&message.author));
        if matches!(message.value.to, Receiver::Topic(_))
            && !self.exchange().topic_messages.take(message.author, quota, 1, now.mono)
        {
            return Err(Refusal::AuthorQuota);
        }
        let until = Now { mono: now.mono.after(skew.saturating_mul(2)), wall: until };
        self.exchange().protocol_messages.take(&message.bytes, account, until, now)?;
        Ok(message.admitted())
    }

    /// A session that is asked for: its definition is sound, names the author as its creator, has not expired, and
    /// needs this node's key.
    pub(super) fn check_definition(
        &mut self,
        author: &PublicKey,
        definition: &Definition,
        known: &impl Known,
        now: Now,
    ) -> Result<(), Refusal> {
        let longest = self.config.session_timeout;
        definition.check(longest).map_err(|_| Refusal::Definition)?;
        if definition.network != self.config.network {
            return Err(Refusal::Definition);
        }
        if definition.creator_key() != author {
            return Err(Refusal::NotTheCreator);
        }
        self.check_lifetime(definition.created_at, definition.expires_at, longest, now.wall)?;
        self.charge_request(author, definition.keys.len(), known, now)?;
        definition.index_of(&self.own_key).map(drop).ok_or(Refusal::NotForMe)
    }

    /// The same of a request whose definition is not there.
    fn check_notice(
        &mut self,
        (author, notice): (&PublicKey, &RequestNotice),
        is_known: bool,
        known: &impl Known,
        now: Now,
    ) -> Result<(), Refusal> {
        let longest = self.config.session_timeout;
        notice.check(longest).map_err(|_| Refusal::Definition)?;
        if notice.creator_key() != author {
            return Err(Refusal::NotTheCreator);
        }
        if is_known {
            // Its signers know it before; if they did not pass it on, nobody else would hear of it.
            return Ok(());
        }
        self.check_lifetime(notice.created_at, notice.expires_at, longest, now.wall)?;
        self.charge_request(author, notice.keys.len(), known, now)?;
        notice.index_of(&self.own_key).map(drop).ok_or(Refusal::NotForMe)
    }

    fn charge_request(&mut self, author: &PublicKey, keys: usize, known: &impl Known, now: Now) -> Result<(), Refusal> {
        let quota = self.config.limits.announced_keys.of_tier(known.tier(author));
        let is_taken = self.exchange().announcements.take(*author, quota, keys as u64, now.mono);
        if is_taken { Ok(()) } else { Err(Refusal::AuthorQuota) }
    }

    /// A step of a session: one that is known, one that the step itself announces, or one that may become known.
    fn admit_step(
        &mut self,
        step: Authentic<crate::wire::SessionMessage>,
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        if let KnownSession::Open(definition) = known.session(&step.value.session) {
            let lacks = |author: &_, step: &_| known.lacks(author, step);
            return self.watched.take(step, definition, lacks).map(Admission::Step);
        }
        let Content::Announce { definition, .. } = &step.value.content else {
            self.watched.keep(step, now.mono)?;
            return Ok(Admission::Pending);
        };
        let definition = definition.clone();
        if definition.id() != step.value.session {
            return Err(Refusal::Definition);
        }
        step.speaks_for(&definition)?;
        self.check_definition(&step.author, &definition, known, now)?;
        Ok(Admission::Request(Request { definition, announcement: Some(step) }))
    }
}

/// Whether a peer hands over an announcement itself: directly, or by gossip one that names it. Anything else it passes
/// on.
fn is_own(announcement: &Body, peer: &PeerId, channel: Channel<'_>) -> bool {
    let named = match announcement {
        Body::Presence(presence) => Some(&presence.peer),
        Body::Advertisement(advertisement) => Some(&advertisement.peer),
        _ => None,
    };
    matches!(channel, Channel::Direct(_)) || named == Some(peer)
}
