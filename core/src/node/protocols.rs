//! The other protocols of this node: who they are, and how their effects come true.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Node;
use crate::api::{CommandError, Event, Output, Refusal, TimerReason};
use crate::base::{Bytes, Wall};
use crate::crypto::{PublicKey, Verifier};
use crate::gate::Admitted;
use crate::protocol::{Effect, Protocol, ProtocolContext};
use crate::wire::{Body, Label, MAX_PAYLOAD, PeerId, ProtocolMessage, ResourceId, seal};

/// All protocols, and the messages that wait for their receivers.
pub(super) struct Protocols {
    by_name: BTreeMap<Label, Box<dyn Protocol>>,
    waiting: VecDeque<Waiting>,
    number: u64,
}

struct Waiting {
    to: PublicKey,
    bytes: Bytes,
    until: Wall,
}

impl Protocols {
    pub(super) const fn new() -> Self {
        Self { by_name: BTreeMap::new(), waiting: VecDeque::new(), number: 0 }
    }
}

impl<V: Verifier> Node<V> {
    /// Registers a protocol. It is told of everything that happens from now on.
    ///
    /// # Errors
    /// Gives it back when there is another one of its name.
    pub fn register(&mut self, protocol: Box<dyn Protocol>) -> Result<(), Box<dyn Protocol>> {
        let name = protocol.name();
        if self.protocols.by_name.contains_key(&name) {
            return Err(protocol);
        }
        self.protocols.by_name.insert(name.clone(), protocol);
        // It learns who is there already.
        let there: Vec<(PublicKey, PeerId)> =
            self.connected.iter().flat_map(|peer| self.presences.keys_of(peer).map(|key| (*key, *peer))).collect();
        for (key, peer) in there {
            self.with_protocol(&name, |protocol, context| protocol.on_signer_connected(context, &key, &peer));
        }
        Ok(())
    }

    /// Takes a protocol out. Its messages are refused from now on.
    pub fn unregister(&mut self, name: &Label) -> Option<Box<dyn Protocol>> {
        self.timers.cancel(&TimerReason::Protocol(name.clone()));
        self.protocols.by_name.remove(name)
    }

    pub(super) fn tell_protocol(&mut self, name: &Label, payload: &[u8]) -> Result<(), CommandError> {
        let told = self.with_protocol(name, |protocol, context| protocol.on_command(context, payload));
        told.ok_or_else(|| CommandError::UnknownProtocol(name.clone()))
    }

    pub(super) fn on_protocol_message(&mut self, message: Admitted<ProtocolMessage>) -> Result<(), Refusal> {
        let (from, message) = message.into_parts();
        let told = self.with_protocol(&message.protocol, |protocol, context| {
            protocol.on_message(context, &from, &message.payload);
        });
        told.ok_or(Refusal::Protocol)
    }

    pub(super) fn on_protocol_timer(&mut self, name: &Label) {
        self.with_protocol(name, |protocol, context| protocol.on_timer(context));
    }

    /// A resource of some kind has changed: the protocol of that name may want to know.
    pub(super) fn show_resource(&mut self, id: &ResourceId) {
        if let Some(resource) = self.resources.get(id, self.now.wall).cloned() {
            self.with_protocol(&id.kind, |protocol, context| protocol.on_resource(context, id, &resource));
        }
    }

    /// A signer has come within reach, with what was to be said to it, or has gone.
    pub(super) fn show_signer(&mut self, key: PublicKey, peer: PeerId, is_connected: bool) {
        if is_connected {
            let now = self.now.wall;
            let (due, rest): (VecDeque<_>, _) = self.protocols.waiting.drain(..).partition(|waiting| waiting.to == key);
            self.protocols.waiting = rest;
            for Waiting { bytes, .. } in due.into_iter().filter(|waiting| waiting.until > now) {
                self.outbox.push(Output::Send { to: peer, bytes });
            }
        }
        let names: Vec<Label> = self.protocols.by_name.keys().cloned().collect();
        for name in names {
            self.with_protocol(&name, |protocol, context| match is_connected {
                true => protocol.on_signer_connected(context, &key, &peer),
                false => protocol.on_signer_disconnected(context, &key, &peer),
            });
        }
    }

    /// Tells a protocol something, and does what it wants. `None` when there is no such protocol.
    fn with_protocol(
        &mut self,
        name: &Label,
        tell: impl FnOnce(&mut dyn Protocol, &mut ProtocolContext),
    ) -> Option<()> {
        let mut context = ProtocolContext { now: self.now, own_key: self.own_key, effects: Vec::new() };
        tell(self.protocols.by_name.get_mut(name)?.as_mut(), &mut context);
        for wish in context.effects {
            match wish {
                Effect::Send { to, payload } => self.send_for(name, to, payload),
                Effect::Announce { name: resource, data, lifetime } => {
                    if let Err(error) = self.announce_resource(name.clone(), resource, data, lifetime) {
                        tracing::warn!(protocol = %name, %error, "not announced");
                    }
                }
                Effect::Tell { payload } => {
                    self.outbox.push(Output::Event(Event::ProtocolEvent { protocol: name.clone(), payload }));
                }
                Effect::Timer(Some(after)) => {
                    self.timers.set(TimerReason::Protocol(name.clone()), self.now.mono.after(after));
                }
                Effect::Timer(None) => self.timers.cancel(&TimerReason::Protocol(name.clone())),
            }
        }
        Some(())
    }

    /// Sends a protocol's message, or keeps it until its receiver is found; the oldest makes room.
    fn send_for(&mut self, protocol: &Label, to: PublicKey, payload: Vec<u8>) {
        if payload.len() > MAX_PAYLOAD || to == self.own_key {
            return;
        }
        self.protocols.number += 1;
        let issued_at = self.now.wall;
        let number = self.protocols.number;
        let message = ProtocolMessage { protocol: protocol.clone(), to, number, issued_at, payload };
        // A signer that cannot sign loses a message, as a network may.
        let Ok(bytes) = seal(self.signer.as_mut(), self.config.network, Body::Protocol(message)) else { return };
        match self.peer_of(&to) {
            Some(peer) if self.connected.contains(&peer) => self.outbox.push(Output::Send { to: peer, bytes }),
            peer => {
                if self.protocols.waiting.len() >= self.config.limits.protocol_waiting {
                    self.protocols.waiting.pop_front();
                }
                let until = issued_at.checked_add(self.config.clock_skew).unwrap_or(issued_at);
                self.protocols.waiting.push_back(Waiting { to, bytes, until });
                if peer.is_some() { self.dial(&to) } else { self.look_up(to) }
            }
        }
    }
}
