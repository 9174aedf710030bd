//! Steps of machines, and what comes of their effects.
//!
//! Invariants: a machine takes its step alone; `settle` is the only place that turns effects into outputs, and
//! everything that is said of a session waits for all earlier records of that session.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Context, Node};
use crate::api::{CommandError, Event, Identity, Output, RecordSequence};
use crate::base::Bytes;
use crate::crypto::{PublicKey, Verifier};
use crate::discovery::{Discovery, IdentityChange, ReputationChange};
use crate::effect::Effect;
use crate::journal::{self, Record};
use crate::protocol::{Notice, Protocols};
use crate::session::{Session, Sessions};
use crate::wire::{Definition, SessionId};

impl<V: Verifier> Node<V> {
    /// Lets machines take a step, and does what comes of it.
    pub(super) fn take_step<R>(
        &mut self,
        step: impl FnOnce(&mut Sessions<V>, &mut Discovery, &mut Protocols, &mut Context<'_, V>) -> R,
    ) -> R {
        let Self { environment, sessions, discovery, protocols, outbox, .. } = self;
        let mut context = environment.context(outbox.durable());
        let result = step(sessions, discovery, protocols, &mut context);
        let effects = context.effects;
        self.settle(effects);
        result
    }

    /// Lets sessions take a step.
    pub(super) fn sign<R>(&mut self, step: impl FnOnce(&mut Sessions<V>, &mut Context<'_, V>) -> R) -> R {
        self.take_step(|sessions, _, _, context| step(sessions, context))
    }

    /// Lets one session take a step that a command asks for.
    pub(super) fn step(
        &mut self,
        id: SessionId,
        step: impl FnOnce(&mut Session<V>, &mut Context<'_, V>) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        self.sign(|sessions, context| sessions.command(context, id, step))
    }

    /// Lets a session begin its next attempt, if it is to.
    pub(super) fn retry(&mut self, id: SessionId) {
        self.take_step(|sessions, discovery, _, context| {
            sessions.on_retry(context, id, |key| discovery.is_connected(key));
        });
    }

    /// Lets discovery take a step.
    pub(super) fn discover<R>(&mut self, step: impl FnOnce(&mut Discovery, &mut Context<'_, V>) -> R) -> R {
        self.take_step(|_, discovery, _, context| step(discovery, context))
    }

    /// Lets the other protocols take a step.
    pub(super) fn talk<R>(&mut self, step: impl FnOnce(&mut Protocols, &mut Context<'_, V>) -> R) -> R {
        self.take_step(|_, _, protocols, context| step(protocols, context))
    }

    /// Asks for a session of this node's in public, if it is to be listed. That can be repeated; the session is there
    /// in any case.
    pub(super) fn list_request(&mut self, definition: &Arc<Definition>) {
        if definition.is_listed {
            self.discover(|discovery, context| {
                context.session = Some(definition.id());
                let _signed = discovery.list_request(context, definition);
            });
        }
    }

    /// Turns effects into outputs and timers. This alone decides who hears them.
    pub(super) fn settle(&mut self, effects: Vec<(Option<SessionId>, Effect)>) {
        // The newest record of the session that was last looked at.
        let mut newest = (None, RecordSequence::default());
        for (session, effect) in effects {
            if session != newest.0 {
                let known = session.and_then(|id| self.sessions.get(&id));
                newest = (session, known.map(|session| session.barrier).unwrap_or_default());
            }
            let barrier = newest.1;
            match effect {
                Effect::Output(output) => self.outbox.push_after(barrier, output),
                Effect::Event(event) => {
                    if let Some(session) = session.and_then(|id| self.sessions.get(&id)) {
                        let own_key = self.environment.own_key;
                        let others = session.definition().keys.iter().copied().filter(|key| *key != own_key);
                        let changes = self.discovery.learn(&event, others);
                        self.remember(changes);
                    }
                    self.tell(session, barrier, event);
                }
                Effect::Repeat(event) => self.tell(session, barrier, event),
                Effect::Persist(record) => {
                    let Some(id) = session else { continue };
                    newest.1 = self.outbox.persist(Record::key(&id), record.map(|record| record.encode()));
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.barrier = newest.1;
                    }
                }
                Effect::PersistDefinition(definition) => {
                    let Some(id) = session else { continue };
                    let record = definition.map(|definition| Record::Definition(definition).encode());
                    self.outbox.persist(Record::definition_key(&id), record);
                }
                Effect::PersistOffer(record) => {
                    self.outbox.persist(journal::OFFER_KEY.to_vec(), record.map(|record| record.encode()));
                }
                Effect::PersistOwner { session, owner, created } => {
                    self.outbox.persist(Record::owner_key(&session), Some(Record::Owner(owner.clone()).encode()));
                    self.protocols.own(session, owner.clone());
                    if let Some(name) = created {
                        self.protocols.notify(Some(owner), Notice::Created(name, Ok(session)));
                    }
                }
                Effect::ToSigner(key, bytes) => {
                    // Whoever asks for a signature does not choose whom this node calls.
                    let may_seek = |node: &Self| session.is_some_and(|id| node.sessions.is_approved(&id));
                    if !self.send(&key, &bytes, barrier) && may_seek(self) {
                        self.discover(|discovery, context| discovery.seek(context, &key));
                    }
                }
                Effect::ToConnected(key, bytes) => {
                    self.send(&key, &bytes, barrier);
                }
                Effect::Timer(reason, Some(after)) => {
                    self.timers.set(reason, self.environment.now.mono.after(after));
                }
                Effect::Timer(reason, None) => self.timers.cancel(&reason),
                Effect::TimerWithin(reason, after) => {
                    let at = self.environment.now.mono.after(after);
                    if self.timers.at(&reason).is_none_or(|due| due > at) {
                        self.timers.set(reason, at);
                    }
                }
                Effect::Wanted(definition) => self.discover(|discovery, context| discovery.want(context, &definition)),
                Effect::Released(definition) => self.release(&definition),
                Effect::Forgotten => {
                    if let Some(id) = session {
                        self.gate.unwatch(&id);
                        self.disown(&id);
                    }
                }
                Effect::SignerConnected(key, peer) => {
                    for bytes in self.protocols.kept_for(&key, self.environment.now.wall) {
                        self.outbox.push(Output::Send { to: peer, bytes });
                    }
                    self.protocols.notify(None, Notice::SignerConnected(key, peer));
                    self.on_signer_connected(&key);
                }
                Effect::SignerDisconnected(key, peer) => {
                    self.protocols.notify(None, Notice::SignerDisconnected(key, peer));
                }
                Effect::ResourceChanged(id) => {
                    if let Some(resource) = self.discovery.resource(&id, self.environment.now.wall).cloned() {
                        self.protocols.notify(Some(id.kind.clone()), Notice::Resource(id, resource));
                    }
                }
                Effect::Found(protocol, id) => {
                    if let Some(resource) = self.discovery.resource(&id, self.environment.now.wall).cloned() {
                        self.protocols.notify(Some(protocol), Notice::Found(id, resource));
                    }
                }
                Effect::Tell(protocol, notice) => self.protocols.notify(protocol, notice),
                Effect::Protocol(name, request) => self.protocols.request(name, request),
            }
        }
    }

    /// Sends a signer a message once that record is durable. False when it is not connected.
    pub(super) fn send(&mut self, key: &PublicKey, bytes: &Bytes, after: RecordSequence) -> bool {
        let peer = self.discovery.route(key);
        if let Some(to) = peer {
            self.outbox.push_after(after, Output::Send { to, bytes: bytes.clone() });
        }
        peer.is_some()
    }

    fn release(&mut self, definition: &Definition) {
        self.discover(|discovery, context| {
            discovery.unlist_request(context.own_key, &definition.id(), definition);
            discovery.release(context, definition);
        });
    }

    fn on_signer_connected(&mut self, key: &PublicKey) {
        self.take_step(|sessions, discovery, _, context| {
            sessions.on_signer_connected(context, key, |key| discovery.is_connected(key));
        });
    }

    /// Puts reputations on the disk, or takes them from it.
    pub(super) fn remember(&mut self, changes: Vec<ReputationChange>) {
        for (key, value) in changes {
            let record = value.map(|value| Record::Reputation(value).encode());
            self.outbox.persist(Record::reputation_key(&key), record);
        }
    }

    /// A host has verified a key's identity, or that it has none any more: what changes is told once it is on the disk.
    pub(super) fn on_identity(&mut self, key: PublicKey, identity: Option<Identity>) {
        let (identities, reputations) =
            self.discovery.on_identity(key, identity, self.environment.config.limits.identities);
        self.remember(reputations);
        for IdentityChange { key, before, now } in identities {
            let record = now.map(|(id, tier)| Record::Identity(id, tier).encode());
            let durable = self.outbox.persist(Record::identity_key(&key), record);
            let event = match (before, now) {
                (_, Some((id, tier))) => Event::IdentityVerified { key, id, tier },
                (Some((id, _)), None) => Event::IdentityLost { key, id },
                (None, None) => continue,
            };
            self.tell(None, durable, event);
        }
    }

    /// Tells the embedder, and the protocol that the session belongs to, when this record is durable.
    fn tell(&mut self, session: Option<SessionId>, barrier: RecordSequence, event: Event) {
        tracing::debug!(?event, "event");
        self.tell_owner(session, barrier, &event);
        self.outbox.push_after(barrier, Output::Event(event));
    }
}
