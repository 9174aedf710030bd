//! What is checked of each family of messages, and what each is admitted as.

use core::time::Duration;

use super::{Admission, Admitted, Authentic, Channel, Gate, Known, KnownSession, Request};
use crate::api::Refusal;
use crate::base::{Now, Wall};
use crate::crypto::Verifier;
use crate::gate::MAX_LIFETIME;
use crate::wire::{Advertisement, Body, Content, Definition, Message, Presence, ProtocolMessage, RecordKey, Resource};

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
        match (self.is_news(channel, &message, known), &message.unsigned.body) {
            (Ok(()), _) => {}
            (Err(Refusal::Duplicate), Body::Presence(presence)) => {
                let first_hand = direct.filter(|_| is_first_hand(presence));
                return Ok(Admission::Repeated { author: message.unsigned.author, first_hand });
            }
            (Err(Refusal::Duplicate), Body::Advertisement(_)) => {
                return Ok(Admission::Repeated { author: message.unsigned.author, first_hand: None });
            }
            (Err(refusal), _) => return Err(refusal),
        }
        let (authentic, body) = self.authenticate(verifier, message)?;
        let is_wanted = match &body {
            Body::Session(step) => self.policy.accepts_message(&authentic.author, step),
            Body::Protocol(_) => true,
            announcement => self.policy.accepts_resource(&authentic.author, announcement),
        };
        if !is_wanted {
            return Err(Refusal::Policy);
        }
        match body {
            Body::Session(step) => self.admit_step(authentic.with(step), known, now),
            Body::Presence(presence) => {
                let is_first_hand = is_first_hand(&presence);
                let presence = self.admit_presence(authentic.with(presence), now)?;
                let most_keys = self.most_keys(presence.value());
                Ok(Admission::Presence { presence, is_first_hand, most_keys })
            }
            Body::Advertisement(advertisement) => {
                let is_first_hand = is_first_hand(&advertisement.presence());
                let advertisement = self.admit_advertisement(authentic.with(*advertisement), now)?;
                let most_keys = self.most_keys(&advertisement.value().presence());
                Ok(Admission::Advertisement { advertisement, is_first_hand, most_keys })
            }
            Body::Request(definition) => {
                match self.check_definition(&authentic.author, &definition, known, now) {
                    Ok(()) => Ok(Admission::Request(Request { definition, announcement: None })),
                    // A sound request of other signers is passed on.
                    Err(Refusal::NotForMe) => Ok(Admission::ForOthers),
                    Err(refusal) => Err(refusal),
                }
            }
            Body::Resource(resource) => self.admit_resource(authentic.with(resource), now).map(Admission::Resource),
            Body::Protocol(message) => {
                self.admit_protocol_message(authentic.with(message), now).map(Admission::Protocol)
            }
            Body::Listing(_) => Err(Refusal::Channel),
        }
    }

    /// Whether a message could change anything, whoever signed it: what repeats itself costs no signature check.
    pub(super) fn is_news(&self, _: Channel<'_>, message: &Message, known: &impl Known) -> Result<(), Refusal> {
        let author = message.unsigned.author;
        let is_newer = |record: &RecordKey, issued_at: Wall| {
            if known.issued_at(record).is_none_or(|newest| newest < issued_at) {
                Ok(())
            } else {
                Err(Refusal::Duplicate)
            }
        };
        match &message.unsigned.body {
            Body::Presence(presence) => is_newer(&RecordKey::Presence(author), presence.issued_at),
            Body::Advertisement(advertisement) => is_newer(&RecordKey::Advertisement(author), advertisement.issued_at),
            Body::Request(definition) => match known.session(&definition.id()) {
                KnownSession::Not => Ok(()),
                KnownSession::Open(_) | KnownSession::Closed => Err(Refusal::Duplicate),
            },
            Body::Session(step) => {
                self.watched.peek(&author, step, &self.config.limits)?;
                match known.session(&step.session) {
                    KnownSession::Closed => Err(Refusal::Ended),
                    KnownSession::Not | KnownSession::Open(_) => Ok(()),
                }
            }
            Body::Resource(_) | Body::Listing(_) | Body::Protocol(_) => Ok(()),
        }
    }

    /// How many keys the peer of a presence may hold.
    fn most_keys(&mut self, presence: &Presence) -> usize {
        self.policy.keys_per_peer(&presence.peer, self.config.limits.keys_per_peer)
    }

    fn admit_presence(&mut self, message: Authentic<Presence>, now: Now) -> Result<Admitted<Presence>, Refusal> {
        let Presence { issued_at, expires_at, .. } = message.value;
        self.check_lifetime(issued_at, expires_at, self.config.presence_lifetime, now.wall)?;
        if !self.presences.take(message.author, self.config.limits.presences_per_key, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(message.admitted())
    }

    fn admit_advertisement(
        &mut self,
        message: Authentic<Advertisement>,
        now: Now,
    ) -> Result<Admitted<Advertisement>, Refusal> {
        let Advertisement { issued_at, expires_at, ref offer, .. } = message.value;
        self.check_lifetime(issued_at, expires_at, MAX_LIFETIME, now.wall)?;
        if offer.as_ref().is_some_and(|offer| offer.check().is_err()) {
            return Err(Refusal::Offer);
        }
        if !self.advertisements.take(message.author, self.config.limits.advertisements_per_key, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(message.admitted())
    }

    fn admit_resource(&mut self, message: Authentic<Resource>, now: Now) -> Result<Admitted<Resource>, Refusal> {
        let Resource { issued_at, expires_at, .. } = message.value;
        self.check_lifetime(issued_at, expires_at, MAX_LIFETIME, now.wall)?;
        if !self.resources.take(message.author, self.config.limits.announcements_per_author, 1, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        Ok(message.admitted())
    }

    /// A protocol's message is taken once, for as long as clocks may differ from when it was signed.
    fn admit_protocol_message(
        &mut self,
        message: Authentic<ProtocolMessage>,
        now: Now,
    ) -> Result<Admitted<ProtocolMessage>, Refusal> {
        if message.value.to != self.own_key {
            return Err(Refusal::NotForMe);
        }
        let (issued_at, skew): (Wall, Duration) = (message.value.issued_at, self.config.clock_skew);
        let until = issued_at.checked_add(skew).ok_or(Refusal::NotFresh)?;
        let is_early = now.wall.checked_add(skew).is_none_or(|latest| issued_at > latest);
        if is_early || until < now.wall {
            return Err(Refusal::NotFresh);
        }
        self.protocol_messages.take(&message.bytes, until, now.wall)?;
        Ok(message.admitted())
    }

    /// A session that is asked for: its definition is sound, names the author as its creator, has not expired, is not one
    /// too many, and needs this node's key.
    pub(super) fn check_definition(
        &mut self,
        author: &crate::crypto::PublicKey,
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
        let keys = definition.keys.len() as u64;
        if !self.announcements.take(*author, self.config.limits.announced_keys, keys, now.mono) {
            return Err(Refusal::AuthorQuota);
        }
        definition.index_of(&self.own_key).ok_or(Refusal::NotForMe)?;
        if known.has_room(author) { Ok(()) } else { Err(Refusal::Full) }
    }

    /// A step of a session: one that is known, one that the step itself announces, or one that may become known.
    fn admit_step(
        &mut self,
        step: Authentic<crate::wire::SessionMessage>,
        known: &impl Known,
        now: Now,
    ) -> Result<Admission, Refusal> {
        if let KnownSession::Open(definition) = known.session(&step.value.session) {
            return self.watched.take(step, definition).map(Admission::Step);
        }
        let Content::Announce { definition, .. } = &step.value.content else {
            self.watched.keep(step, now.mono)?;
            return Ok(Admission::Pending);
        };
        let definition = definition.clone();
        if definition.id() != step.value.session {
            return Err(Refusal::Definition);
        }
        self.check_definition(&step.author, &definition, known, now)?;
        Ok(Admission::Request(Request { definition, announcement: Some(step) }))
    }
}
