//! The other protocols of a node: which there are, and what comes of what they ask for.
//!
//! A machine like the session. Invariant: what a protocol asks for while it is told something happens afterwards, in
//! order; messages that wait for their receivers are bounded, and the oldest makes room. Driven by `Node`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Protocol, ProtocolContext, ProtocolRequest};
use crate::api::{CommandError, Event, Output, Refusal, TimerReason};
use crate::base::{Bytes, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::effect::{Context, Effect};
use crate::gate::Admitted;
use crate::wire::{Body, Label, MAX_PAYLOAD, PeerId, ProtocolMessage, Resource, ResourceId};

/// All protocols, and the messages that wait for their receivers.
#[derive(Default)]
pub(crate) struct Protocols {
    by_name: BTreeMap<Label, Box<dyn Protocol>>,
    waiting: VecDeque<Waiting>,
    /// How many messages were signed: no two are the same.
    signed: u64,
}

struct Waiting {
    to: PublicKey,
    bytes: Bytes,
    until: Wall,
}

impl Protocols {
    /// Takes a protocol in, and tells it who is there already. Gives it back when there is another one of its name.
    pub(crate) fn register<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        protocol: Box<dyn Protocol>,
        connected: impl Iterator<Item = (PublicKey, PeerId)>,
    ) -> Result<(), Box<dyn Protocol>> {
        let name = protocol.name();
        if self.by_name.contains_key(&name) {
            return Err(protocol);
        }
        self.by_name.insert(name.clone(), protocol);
        for (key, peer) in connected {
            self.tell(context, &name, |protocol, context| protocol.on_signer_connected(context, &key, &peer));
        }
        Ok(())
    }

    pub(crate) fn unregister<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        name: &Label,
    ) -> Option<Box<dyn Protocol>> {
        context.timer(TimerReason::Protocol(name.clone()), None);
        self.by_name.remove(name)
    }

    pub(crate) fn on_command<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        name: &Label,
        payload: &[u8],
    ) -> Result<(), CommandError> {
        let told = self.tell(context, name, |protocol, context| protocol.on_command(context, payload));
        told.ok_or_else(|| CommandError::UnknownProtocol(name.clone()))
    }

    pub(crate) fn on_message<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        message: Admitted<ProtocolMessage>,
    ) -> Result<(), Refusal> {
        let (from, message) = message.into_parts();
        let told = self.tell(context, &message.protocol, |protocol, context| {
            protocol.on_message(context, &from, &message.payload);
        });
        told.ok_or(Refusal::Protocol)
    }

    pub(crate) fn on_timer<V: Verifier>(&mut self, context: &mut Context<'_, V>, name: &Label) {
        self.tell(context, name, |protocol, context| protocol.on_timer(context));
    }

    /// A resource has changed: the protocol with the name of its kind may want to know.
    pub(crate) fn on_resource<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        id: &ResourceId,
        resource: &Resource,
    ) {
        self.tell(context, &id.kind, |protocol, context| protocol.on_resource(context, id, resource));
    }

    /// A signer has come within reach: it gets what has waited for it.
    pub(crate) fn on_signer_connected<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        key: &PublicKey,
        peer: &PeerId,
    ) {
        let now = context.now.wall;
        let (due, rest): (VecDeque<_>, _) = self.waiting.drain(..).partition(|waiting| waiting.to == *key);
        self.waiting = rest;
        for Waiting { bytes, .. } in due.into_iter().filter(|waiting| waiting.until > now) {
            context.output(Output::Send { to: *peer, bytes });
        }
        self.tell_all(context, |protocol, context| protocol.on_signer_connected(context, key, peer));
    }

    /// A signer cannot be reached any more.
    pub(crate) fn on_signer_disconnected<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        key: &PublicKey,
        peer: &PeerId,
    ) {
        self.tell_all(context, |protocol, context| protocol.on_signer_disconnected(context, key, peer));
    }

    /// Keeps a message until its receiver is found.
    pub(crate) fn keep(&mut self, to: PublicKey, bytes: Bytes, until: Wall, capacity: usize) {
        if self.waiting.len() >= capacity {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { to, bytes, until });
    }

    fn tell_all<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        tell: impl Fn(&mut dyn Protocol, &mut ProtocolContext),
    ) {
        let names: Vec<Label> = self.by_name.keys().cloned().collect();
        for name in names {
            self.tell(context, &name, &tell);
        }
    }

    /// Tells a protocol something. `None` when there is no such protocol.
    fn tell<V: Verifier>(
        &mut self,
        context: &mut Context<'_, V>,
        name: &Label,
        tell: impl FnOnce(&mut dyn Protocol, &mut ProtocolContext),
    ) -> Option<()> {
        let mut told = ProtocolContext { now: context.now, own_key: context.own_key, requests: Vec::new() };
        tell(self.by_name.get_mut(name)?.as_mut(), &mut told);
        for request in told.requests {
            match request {
                ProtocolRequest::Send { to, payload } => self.send(context, name, to, payload),
                ProtocolRequest::Announce { name: resource, data, lifetime } => {
                    context.push(Effect::Announce { kind: name.clone(), name: resource, data, lifetime });
                }
                ProtocolRequest::Event { payload } => {
                    context.event(Event::ProtocolEvent { protocol: name.clone(), payload });
                }
                ProtocolRequest::Timer(after) => context.timer(TimerReason::Protocol(name.clone()), after),
            }
        }
        Some(())
    }

    fn send<V: Verifier>(&mut self, context: &mut Context<'_, V>, protocol: &Label, to: PublicKey, payload: Vec<u8>) {
        if payload.len() > MAX_PAYLOAD || to == context.own_key {
            return;
        }
        self.signed += 1;
        let (issued_at, number) = (context.now.wall, self.signed);
        let message = ProtocolMessage { protocol: protocol.clone(), to, number, issued_at, payload };
        // A signer that cannot sign loses a message, as a network may.
        let Ok(bytes) = context.seal(Body::Protocol(message)) else { return };
        let until = issued_at.checked_add(context.config.clock_skew).unwrap_or(issued_at);
        context.push(Effect::ToSignerUntil(to, bytes, until));
    }
}
