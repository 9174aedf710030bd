//! Who is within reach: connections, presences, lookups, and how a message finds the peer that holds a key.

use alloc::vec::Vec;

use core::time::Duration;

use super::Node;
use crate::api::{Event, Output, RecordSequence, Refusal, TimerReason, Topic};
use crate::base::{Bytes, Mono};
use crate::crypto::{PublicKey, Verifier};
use crate::discovery::{Arrival, InsertOutcome};
use crate::gate::Admitted;
use crate::session::Reach;
use crate::wire::{Address, Body, MAX_ADDRESSES, PRESENCE_TOPIC, PeerId, Presence, RecordKey, SessionId, seal};

/// How long to wait for further changes of address before signing a presence.
pub(super) const SETTLE_ADDRESSES: Duration = Duration::from_millis(100);

/// When a connected peer was last shown this node's presence, and how long it is not shown again.
#[derive(Debug)]
pub(super) struct PresenceBackoff {
    at: Mono,
    pause: Duration,
}

impl<V: Verifier> Node<V> {
    pub(super) fn on_connected(&mut self, peer: PeerId) {
        if self.connected.len() >= self.config.limits.peers || !self.connected.insert(peer) {
            return;
        }
        self.show_presence(peer);
        let most = self.policy.keys_per_peer(&peer, self.config.limits.keys_per_peer);
        self.presences.on_connected(&peer, most);
        let keys: Vec<PublicKey> = self.presences.keys_of(&peer).copied().collect();
        keys.into_iter().for_each(|key| self.on_signer_connected(key, peer));
    }

    pub(super) fn on_disconnected(&mut self, peer: PeerId) {
        if self.connected.remove(&peer) {
            self.shown.remove(&peer);
            let keys: Vec<PublicKey> = self.presences.keys_of(&peer).copied().collect();
            for key in keys {
                self.outbox.push(Output::Event(Event::SignerDisconnected { key, peer }));
                self.show_signer(key, peer, false);
            }
            let Self { presences, sessions, now, .. } = self;
            presences.on_disconnected(&peer, |key| sessions.live_with(key).next().is_some(), now.wall);
        }
    }

    pub(super) fn on_presence(
        &mut self,
        presence: Admitted<Presence>,
        carrier: Option<&PeerId>,
        is_first_hand: bool,
    ) -> Result<(), Refusal> {
        let (key, peer) = (*presence.author(), presence.value().peer);
        let before = self.peer_of(&key).filter(|peer| self.connected.contains(peer));
        let keys = self.policy.keys_per_peer(&peer, self.config.limits.keys_per_peer);
        let arrival = Arrival {
            carrier: carrier.copied(),
            is_first_hand: is_first_hand && self.connected.contains(&peer),
            is_wanted: self.sessions.live_with(&key).next().is_some(),
            keys,
        };
        match self.presences.insert(presence, arrival, self.now.wall) {
            InsertOutcome::Old => return Err(Refusal::Duplicate),
            InsertOutcome::Full => return Err(Refusal::Full),
            InsertOutcome::New | InsertOutcome::Renewed => {}
        }
        if self.connected.contains(&peer) {
            if before != Some(peer) {
                self.on_signer_connected(key, peer);
            }
        } else if self.sessions.live_with(&key).next().is_some() {
            self.dial(&key);
        }
        Ok(())
    }

    fn on_signer_connected(&mut self, key: PublicKey, peer: PeerId) {
        self.outbox.push(Output::Event(Event::SignerConnected { key, peer }));
        self.show_signer(key, peer, true);
        let confirmed = self.sessions.confirmed_with(&key, self.now.mono, self.config.broadcast_timeout);
        for id in self.sessions.live_with(&key).chain(confirmed).collect::<Vec<SessionId>>() {
            if self.awaits_journal(&id) {
                // What waits for the disk will reach it, and the next stall asks for the rest.
                continue;
            }
            let _gone = self.run(id, |session, context| {
                if let Some(index) = session.definition().index_of(&key) {
                    session.on_reachable(context, index);
                }
            });
            self.retry(&id);
        }
    }

    /// Lets a session begin its next attempt, if it is to.
    pub(super) fn retry(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let others = session.definition().keys.len() - 1;
        let away = self.away_from(id).len();
        let reach = Reach { connected: others - away, others };
        let _gone = self.run(*id, |session, context| session.on_retry(context, reach));
    }

    /// The signers of a session that are not connected.
    fn away_from(&self, id: &SessionId) -> Vec<PublicKey> {
        let Some(session) = self.sessions.get(id) else { return Vec::new() };
        let others = session.definition().keys.iter().filter(|key| **key != self.own_key);
        others.filter(|key| !self.peer_of(key).is_some_and(|peer| self.connected.contains(&peer))).copied().collect()
    }

    pub(super) fn peer_of(&self, key: &PublicKey) -> Option<PeerId> {
        self.presences.get(key).map(|presence| presence.peer)
    }

    /// Sends a session's message to a signer once that record is durable, or sets out to find the signer: what it misses
    /// is sent again when it comes within reach.
    pub(super) fn send_to_signer(&mut self, id: &SessionId, key: PublicKey, bytes: Bytes, after: RecordSequence) {
        match self.peer_of(&key) {
            Some(to) if self.connected.contains(&to) => self.outbox.push_after(after, Output::Send { to, bytes }),
            // Whoever asks for a signature does not choose whom this node calls.
            _ if !self.sessions.is_approved(id) => {}
            Some(_) => self.dial(&key),
            None => self.look_up(key),
        }
    }

    /// Those signers of a stalled session that are out of reach may have moved; or they are connected, and what said
    /// so was lost: a peer of which no key is known answers with its own presence when it is shown this node's again.
    pub(super) fn look_for_signers(&mut self, id: &SessionId) {
        let away = self.away_from(id);
        if !away.is_empty() {
            let is_unknown = |peer: &PeerId| self.presences.keys_of(peer).next().is_none();
            let unknown: Vec<PeerId> = self.connected.iter().copied().filter(is_unknown).collect();
            unknown.into_iter().for_each(|peer| self.show_presence(peer));
        }
        away.into_iter().for_each(|key| self.look_up(key));
    }

    /// Shows a connected peer which key this node holds, after pauses that double: two nodes that answer each other must
    /// come to an end, however long their messages take.
    pub(super) fn show_presence(&mut self, to: PeerId) {
        let (now, stall) = (self.now.mono, self.config.stall);
        let next = match self.shown.get(&to) {
            Some(shown) if now.since(shown.at) < shown.pause => return,
            Some(shown) => PresenceBackoff { at: now, pause: shown.pause.saturating_mul(2).min(self.config.stall_max) },
            None => PresenceBackoff { at: now, pause: stall },
        };
        if let Some(bytes) = self.own_presence.clone().filter(|_| self.connected.contains(&to)) {
            self.shown.insert(to, next);
            self.outbox.push(Output::Send { to, bytes });
        }
    }

    /// An ended session needs its signers no more.
    pub(super) fn release_signers(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        for key in &session.definition().keys {
            if let Some(presence) = self.presences.get(key)
                && self.sessions.live_with(key).next().is_none()
            {
                self.outbox.push(Output::Release(presence.peer));
                self.presences.release(key, self.now.wall);
            }
        }
    }

    pub(super) fn dial(&mut self, key: &PublicKey) {
        if let Some(Presence { peer, addresses, .. }) = self.presences.get(key) {
            self.outbox.push(Output::Dial { peer: *peer, addresses: addresses.clone() });
        }
    }

    pub(super) fn look_up(&mut self, key: PublicKey) {
        self.lookups.ask(RecordKey::Presence(key), None);
        self.begin_lookups();
    }

    pub(super) fn on_addresses(&mut self, mut addresses: Vec<Address>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        if addresses != self.addresses {
            self.addresses = addresses;
            let at = self.now.mono.after(SETTLE_ADDRESSES);
            self.bring_forward(TimerReason::Presence, at);
            if self.offer.is_some() {
                self.bring_forward(TimerReason::Advertisement, at);
            }
        }
    }

    /// What is due in the far future comes soon; what is under way already is not pushed back.
    fn bring_forward(&mut self, reason: TimerReason, at: Mono) {
        if self.timers.at(&reason).is_none_or(|due| due > at) {
            self.timers.set(reason, at);
        }
    }

    pub(super) fn on_routing_table(&mut self, peers: usize) {
        if let Some(at) = self.routes.on_table(peers, self.now.mono) {
            self.bring_forward(TimerReason::Store, at);
        }
    }

    /// Signs this node's presence and tells everyone who can be told.
    pub(super) fn announce_presence(&mut self) {
        let lifetime = self.config.presence_lifetime;
        self.timers.set(TimerReason::Presence, self.now.mono.after(lifetime / 2));
        let issued_at = self.issue();
        let Some(expires_at) = issued_at.checked_add(lifetime) else { return };
        let presence = Presence { peer: self.own_peer, addresses: self.addresses.clone(), issued_at, expires_at };
        // A signer that cannot sign now is asked again at the next renewal.
        let Ok(bytes) = seal(self.signer.as_mut(), self.config.network, Body::Presence(presence)) else { return };
        self.own_presence = Some(bytes.clone());
        self.is_presence_gossip = self.routes.any();
        for to in &self.connected {
            self.shown.insert(*to, PresenceBackoff { at: self.now.mono, pause: self.config.stall });
            self.outbox.push(Output::Send { to: *to, bytes: bytes.clone() });
        }
        self.outbox.push(Output::Publish { topic: Topic::from_static(PRESENCE_TOPIC), bytes: bytes.clone() });
        self.announce(RecordKey::Presence(self.own_key), bytes, expires_at);
    }
}
