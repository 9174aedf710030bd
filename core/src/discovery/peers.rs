//! Who is connected, which peer holds which key, and how the signers that sessions need are sought.
//!
//! Invariant: a key that is wanted and out of reach is sought after pauses that double, once for all sessions that want
//! it; so waiting for signers who are away costs the same however many sessions wait. Driven by `Node`.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::presences::{Arrival, Presences};
use super::{Discovery, InsertOutcome};
use crate::api::{Event, Limits, Output, Quota, Refusal, TimerReason};
use crate::base::{Bytes, Map, Mono};
use crate::crypto::{PublicKey, Verifier};
use crate::effect::{Context, Effect};
use crate::gate::{Admitted, Bucket, Origin};
use crate::protocol::{Notice, PeerChange};
use crate::wire::{Definition, PeerId, Presence, RecordKey, RequestNotice};

/// How many signers are sought at one time; the others follow a moment later.
const SOUGHT_AT_ONCE: usize = 64;
/// From how many creators requests are had at one time.
const MOST_FETCHED: usize = 64;
/// How often a stranger is called for one.
const STRANGERS: Quota = Quota { burst: 8, every: Duration::from_secs(15) };
/// That moment.
const NEXT_SEEK: Duration = Duration::from_millis(100);

/// When a connected peer was last shown this node's presence, and how long it is not shown again.
#[derive(Debug)]
pub(super) struct PresenceBackoff {
    pub(super) at: Mono,
    pub(super) pause: Duration,
}

/// A key that live sessions need.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) sessions: usize,
    /// When it is sought again, while it is out of reach, and the pause before that.
    pub(super) seek: Option<(Mono, Duration)>,
}

/// Connections, presences, and the keys that are wanted.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) connected: BTreeSet<PeerId>,
    pub(super) presences: Presences,
    pub(super) backoff: Map<PeerId, PresenceBackoff>,
    pub(super) wanted: Map<PublicKey, Wanted>,
    /// Made when the first request is had from its creator, which most nodes never do.
    pub(super) fetching: Option<Box<Fetching>>,
}

/// Requests that are had from their creators.
#[derive(Debug)]
pub(super) struct Fetching {
    /// The creators, and until when they are waited for.
    pub(super) from: Map<PublicKey, Mono>,
    /// How often strangers are called for it.
    calls: Bucket,
}

impl Peers {
    pub(super) const fn new(limits: &Limits, salt: [u8; 32]) -> Self {
        Self {
            connected: BTreeSet::new(),
            presences: Presences::new(limits.presences, salt),
            backoff: Map::new(),
            wanted: Map::new(),
            fetching: None,
        }
    }

    fn is_fetched_from(&self, key: &PublicKey, now: Mono) -> bool {
        self.fetching.as_ref().and_then(|fetching| fetching.from.get(key)).is_some_and(|until| *until > now)
    }

    fn peer_of(&self, key: &PublicKey) -> Option<PeerId> {
        self.presences.get(key).map(|presence| presence.peer)
    }

    /// Whether no key of this peer's is known: what it said, or what it answers to, may be lost.
    fn is_silent(&self, peer: &PeerId) -> bool {
        self.presences.keys_of(peer).next().is_none()
    }

    /// When a connected peer that is silent is shown this node's presence again, before the longest pause.
    fn repeat_at(&self, peer: &PeerId, stall_max: Duration) -> Option<Mono> {
        let shown = self.backoff.get(peer).filter(|shown| shown.pause < stall_max)?;
        self.is_silent(peer).then(|| shown.at.after(shown.pause))
    }

    fn connected_peer_of(&self, key: &PublicKey) -> Option<PeerId> {
        self.peer_of(key).filter(|peer| self.connected.contains(peer))
    }
}

impl Discovery {
    /// D1: the first connection to a peer that may hold so many keys is up. It is shown this node's key, and the keys
    /// that it holds are within reach.
    pub(crate) fn on_connected<V: Verifier>(&mut self, context: &mut Context<'_, V>, peer: PeerId, most_keys: usize) {
        if self.peers.connected.len() >= context.config.limits.peers || !self.peers.connected.insert(peer) {
            return;
        }
        context.push(Effect::Tell(None, Notice::Peer(peer, PeerChange::Connected)));
        self.show_presence(context, peer);
        self.peers.presences.on_connected(&peer, most_keys);
        let keys: Vec<PublicKey> = self.peers.presences.keys_of(&peer).copied().collect();
        if keys.is_empty() {
            context.push(Effect::TimerWithin(TimerReason::Seek, context.config.stall));
        }
        keys.into_iter().for_each(|key| self.reached(context, key, peer));
    }

    /// D2: the last connection to a peer is down. Those of its keys that are wanted are sought.
    pub(crate) fn on_disconnected<V: Verifier>(&mut self, context: &mut Context<'_, V>, peer: PeerId) {
        if !self.peers.connected.remove(&peer) {
            return;
        }
        self.peers.backoff.remove(&peer);
        let keys: Vec<PublicKey> = self.peers.presences.keys_of(&peer).copied().collect();
        for key in keys {
            context.event(Event::SignerDisconnected { key, peer });
            context.push(Effect::SignerDisconnected(key, peer));
            self.want_again(context, &key);
        }
        context.push(Effect::Tell(None, Notice::Peer(peer, PeerChange::Disconnected)));
        let Peers { presences, wanted, .. } = &mut self.peers;
        presences.on_disconnected(&peer, |key| wanted.contains_key(key), context.now.wall);
    }

    /// D3: a key's holder is known, for the first time or anew.
    pub(crate) fn on_presence<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        presence: Admitted<Presence>,
        Origin { carrier, is_first_hand, most_keys }: Origin,
    ) -> Result<(), Refusal> {
        let (key, peer) = (*presence.author(), presence.value().peer);
        let before = self.peers.connected_peer_of(&key);
        let arrival = Arrival {
            carrier,
            is_first_hand: is_first_hand && self.peers.connected.contains(&peer),
            is_wanted: self.peers.wanted.contains_key(&key),
            keys: most_keys,
        };
        let (now, is_known) = (context.now.wall, self.peers.presences.get(&key).is_some());
        match self.peers.presences.insert(presence, arrival, (now, context.config.latest(now))) {
            InsertOutcome::Old => return Err(Refusal::Duplicate),
            InsertOutcome::Full => return Err(Refusal::Full),
            InsertOutcome::Renewed => {}
            InsertOutcome::New => {
                let known = self.peers.presences.get(&key);
                let addresses = known.map(|known| known.addresses.clone()).unwrap_or_default();
                let change = if is_known {
                    PeerChange::Updated { key, addresses }
                } else {
                    PeerChange::Discovered { key, addresses }
                };
                context.push(Effect::Tell(None, Notice::Peer(peer, change)));
            }
        }
        if self.peers.connected.contains(&peer) {
            if before != Some(peer) {
                self.reached(context, key, peer);
            }
        } else if self.peers.wanted.contains_key(&key) {
            self.dial(context, &key);
            self.want_again(context, &key);
        } else if self.peers.is_fetched_from(&key, context.now.mono) {
            self.dial(context, &key);
        }
        Ok(())
    }

    /// D25: another signer asks for a session that is too large to be told in public. It tells whoever connects (R2),
    /// and offers it to whoever is connected (R1). It is called once, however much it asks for; and so that strangers
    /// do not choose whom this node calls, they are called at a low rate.
    pub(crate) fn fetch_request<V: Verifier>(&mut self, context: &mut Context<'_, V>, notice: Admitted<RequestNotice>) {
        let (creator, now) = (*notice.author(), context.now.mono);
        if self.is_connected(&creator) {
            return;
        }
        let is_known = self.has_earned(&creator) || self.is_shown(&creator);
        let none = || Box::new(Fetching { from: Map::new(), calls: Bucket::FULL });
        let Fetching { from, calls } = &mut **self.peers.fetching.get_or_insert_with(none);
        from.retain(|_, until| *until > now);
        if from.contains_key(&creator) || from.len() >= MOST_FETCHED || !is_known && !calls.take(STRANGERS, 1, now) {
            return;
        }
        from.insert(creator, now.after(context.config.stall_max));
        self.seek(context, &creator);
    }

    /// A presence that is known, perhaps from others alone, has come from its own peer, which may hold so many keys.
    /// That peer may have missed this node's.
    pub(crate) fn on_repeated_presence<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        author: &PublicKey,
        bytes: &Bytes,
        (peer, most_keys): (PeerId, usize),
    ) {
        if self.peers.connected.contains(&peer) {
            self.peers.presences.confirm(author, bytes, most_keys);
        }
        self.show_presence(context, peer);
    }

    /// Whether gossip has brought this message, the newest presence of its author, for the first time.
    pub(crate) fn is_first_gossip<V: Verifier>(
        &mut self,
        context: &Context<'_, V>,
        author: &PublicKey,
        bytes: &Bytes,
    ) -> bool {
        self.peers.presences.is_first_gossip(author, bytes, context.now.wall)
    }

    /// D4: a session needs these signers. Those out of reach are sought.
    pub(crate) fn want<V: Verifier>(&mut self, context: &mut Context<'_, V>, definition: &Definition) {
        for key in definition.keys.iter().filter(|key| **key != context.own_key) {
            let is_away = self.peers.connected_peer_of(key).is_none();
            let seek = is_away.then_some((context.now.mono, context.config.stall));
            self.peers.wanted.or_insert_with(*key, || Wanted { sessions: 0, seek }).sessions += 1;
            self.peers.presences.want(key);
        }
        self.on_seek(context);
    }

    /// D5: a session needs its signers no more. Connections that nobody needs may be pruned.
    pub(crate) fn release<V: Verifier>(&mut self, context: &mut Context<'_, V>, definition: &Definition) {
        let own_key = context.own_key;
        for key in definition.keys.iter().filter(|key| **key != own_key) {
            let Some(wanted) = self.peers.wanted.get_mut(key) else { continue };
            wanted.sessions -= 1;
            if wanted.sessions == 0 {
                self.peers.wanted.remove(key);
                if let Some(peer) = self.peers.peer_of(key) {
                    context.output(Output::Release(peer));
                }
                self.peers.presences.release(key, context.now.wall);
            }
        }
    }

    /// D6: it is time to seek wanted signers that are out of reach: they are dialled where they were last, and looked
    /// up in the DHT, for they may have moved. Or they are connected, and what said so was lost: a peer of which no key
    /// is known answers with its own presence when it is shown this node's again; a few times in any case, and for as
    /// long as somebody is wanted.
    pub(super) fn on_seek<V: Verifier>(&mut self, context: &mut Context<'_, V>) {
        let now = context.now.mono;
        let due = self.peers.wanted.iter().filter(|(_, wanted)| wanted.seek.is_some_and(|(at, _)| at <= now));
        let due: Vec<PublicKey> = due.map(|(key, _)| *key).take(SOUGHT_AT_ONCE).collect();
        let is_asked = |peer: &PeerId| !due.is_empty() && self.peers.is_silent(peer);
        let is_repeated = |peer: &PeerId| self.peers.repeat_at(peer, context.config.stall_max).is_some();
        let connected = self.peers.connected.iter().copied();
        let again: Vec<PeerId> = connected.filter(|peer| is_asked(peer) || is_repeated(peer)).collect();
        again.into_iter().for_each(|peer| self.show_presence(context, peer));
        for key in due {
            let Some(Wanted { seek: Some((at, pause)), .. }) = self.peers.wanted.get_mut(&key) else { continue };
            let is_first = *pause == context.config.stall;
            *at = now.after(*pause);
            *pause = pause.saturating_mul(2).min(context.config.stall_max);
            let is_known = self.peers.presences.get(&key).is_some();
            self.dial(context, &key);
            if !is_first || !is_known {
                self.look_up(context, RecordKey::Presence(key));
            }
        }
        self.arm_seek(context);
    }

    /// Which connected peer to send a signer's message to.
    pub(crate) fn route(&self, key: &PublicKey) -> Option<PeerId> {
        self.peers.connected_peer_of(key)
    }

    /// A message had no peer to go to: its signer is sought, unless it is wanted. Then it is being sought already, and
    /// what it misses is sent again when it comes within reach.
    pub(crate) fn seek<V: Verifier>(&mut self, context: &mut Context<'_, V>, key: &PublicKey) {
        match self.peers.peer_of(key) {
            _ if self.peers.wanted.contains_key(key) => {}
            Some(_) => self.dial(context, key),
            None => self.look_up(context, RecordKey::Presence(*key)),
        }
    }

    /// Whether a connected peer has shown this key itself.
    pub(crate) fn is_shown(&self, key: &PublicKey) -> bool {
        self.peers.presences.is_connected(key)
    }

    /// Whether a message to this signer would reach a connected peer.
    pub(crate) fn is_connected(&self, key: &PublicKey) -> bool {
        self.peers.connected_peer_of(key).is_some()
    }

    /// Shows a connected peer which key this node holds, after pauses that double: two nodes that answer each other
    /// must come to an end, however long their messages take.
    fn show_presence<V: Verifier>(&mut self, context: &mut Context<'_, V>, to: PeerId) {
        let (now, stall) = (context.now.mono, context.config.stall);
        let next = match self.peers.backoff.get(&to) {
            Some(shown) if now.since(shown.at) < shown.pause => return,
            Some(shown) => {
                PresenceBackoff { at: now, pause: shown.pause.saturating_mul(2).min(context.config.stall_max) }
            }
            None => PresenceBackoff { at: now, pause: stall },
        };
        if let Some(bytes) = self.publisher.presence.clone().filter(|_| self.peers.connected.contains(&to)) {
            self.peers.backoff.insert(to, next);
            context.output(Output::Send { to, bytes });
        }
    }

    /// Shows every connected peer a presence that has just been signed.
    pub(super) fn show_new_presence<V: Verifier>(&mut self, context: &mut Context<'_, V>, bytes: &Bytes) {
        for to in &self.peers.connected {
            let shown = PresenceBackoff { at: context.now.mono, pause: context.config.stall };
            self.peers.backoff.insert(*to, shown);
            context.output(Output::Send { to: *to, bytes: bytes.clone() });
        }
        self.arm_seek(context);
    }

    fn reached<V: Verifier>(&mut self, context: &mut Context<'_, V>, key: PublicKey, peer: PeerId) {
        if let Some(wanted) = self.peers.wanted.get_mut(&key) {
            wanted.seek = None;
        }
        context.event(Event::SignerConnected { key, peer });
        context.push(Effect::SignerConnected(key, peer));
    }

    /// A wanted key is out of reach, or has another address: it is sought soon, from the shortest pause on.
    fn want_again<V: Verifier>(&mut self, context: &mut Context<'_, V>, key: &PublicKey) {
        let (now, stall) = (context.now.mono, context.config.stall);
        if let Some(wanted) = self.peers.wanted.get_mut(key) {
            wanted.seek = Some((now.after(stall), stall));
            self.arm_seek(context);
        }
    }

    fn arm_seek<V: Verifier>(&self, context: &mut Context<'_, V>) {
        let now = context.now.mono;
        let sought = self.peers.wanted.values().filter_map(|wanted| wanted.seek.map(|(at, _)| at));
        let shown = self.peers.connected.iter().filter_map(|peer| self.peers.repeat_at(peer, context.config.stall_max));
        let soonest = sought.chain(shown).min();
        if let Some(at) = soonest {
            context.push(Effect::TimerWithin(TimerReason::Seek, at.since(now).max(NEXT_SEEK)));
        }
    }

    fn dial<V: Verifier>(&self, context: &mut Context<'_, V>, key: &PublicKey) {
        if let Some(Presence { peer, addresses, .. }) = self.peers.presences.get(key) {
            context.output(Output::Dial { peer: *peer, addresses: addresses.clone() });
        }
    }
}
