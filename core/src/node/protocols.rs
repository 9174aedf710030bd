//! What comes of what other protocols ask for, and what they are told of sessions.
//!
//! Invariants: a protocol's requests are done one after the other, outside of every other machine's step; with sessions
//! it may do only what it may with those that belong to it. Driven by `Node`, at the end of each input and command.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use crate::api::{
    Command, CommandError, CommandId, Event, NewSession, Output, RecordSequence, SignRequest, TimerReason, Topic,
};
use crate::approval::Unusual;
use crate::crypto::{Signature, SignerError, Verifier};
use crate::journal::Record;
use crate::protocol::{Notice, PeerChange, Protocol, ProtocolRequest, Work};
use crate::session::Session;
use crate::single::{Claim, Single, SingleId};
use crate::wire::{DELEGATION, Label, Receiver, SessionId};

/// How much is done for protocols at once. Whatever they want without end, the rest of the node goes on.
const AT_ONCE: usize = 1_024;
/// When the rest follows.
const MORE: Duration = Duration::from_millis(1);

impl<V: Verifier> Node<V> {
    /// Registers a protocol. It gets the records that it has set, also before a restart, is told who is connected and
    /// where its sessions stand, and then of everything that happens.
    ///
    /// # Errors
    /// Gives it back when there is another one of its name.
    pub fn register(&mut self, protocol: Box<dyn Protocol>) -> Result<(), Box<dyn Protocol>> {
        let name = self.protocols.register(protocol)?;
        let tell = |node: &mut Self, notice| node.protocols.notify(Some(name.clone()), notice);
        tell(self, Notice::Registered);
        let addresses = self.discovery.own_addresses().to_vec();
        if !addresses.is_empty() {
            tell(self, Notice::OwnAddresses(addresses));
        }
        let connected: Vec<_> = self.discovery.connected().copied().collect();
        for peer in connected {
            tell(self, Notice::Peer(peer, PeerChange::Connected));
        }
        let signers: Vec<_> = self.discovery.signers().collect();
        for (key, peer, _) in signers.into_iter().filter(|(.., is_connected)| *is_connected) {
            tell(self, Notice::SignerConnected(key, peer));
        }
        for id in self.protocols.sessions_of(&name) {
            if let Some(event) = self.sessions.get(&id).map(Session::standing) {
                tell(self, Notice::Session(id, Box::new(event)));
            }
        }
        self.run_protocols();
        Ok(())
    }

    /// Takes a protocol out. Its messages are refused from now on. Its records and its sessions stay, for when it is
    /// registered again; what they lead to meanwhile is the embedder's to do.
    pub fn unregister(&mut self, name: &Label) -> Option<Box<dyn Protocol>> {
        let protocol = self.talk(|protocols, context| protocols.unregister(context, name));
        self.run_protocols();
        protocol
    }

    /// Does what protocols have asked for, and tells them what has happened, until nothing is left.
    pub(super) fn run_protocols(&mut self) {
        for _ in 0..AT_ONCE {
            match self.protocols.next_work() {
                None => return,
                Some(Work::Tell(name, notice)) => {
                    self.talk(|protocols, context| protocols.tell(context, name, notice));
                }
                Some(Work::DoAtLast(name, request)) => self.perform(name, request),
                Some(Work::Do(name, request)) => {
                    let durable = self.outbox.durable();
                    if let Some(request) = self.protocols.hold(&name, request, durable) {
                        self.perform(name, request);
                    }
                }
            }
        }
        if self.protocols.has_work() {
            self.timers.set(TimerReason::ProtocolWork, self.environment.now.mono.after(MORE));
        }
    }

    fn perform(&mut self, protocol: Label, request: ProtocolRequest) {
        match request {
            ProtocolRequest::Send { to, payload } => self.send_for(&protocol, to, payload),
            ProtocolRequest::Announce { name, data, lifetime } => {
                let kind = protocol.clone();
                let announced = self
                    .discover(|discovery, context| discovery.announce_resource(context, kind, name, data, lifetime));
                if let Err(error) = announced {
                    tracing::warn!(%protocol, %error, "not announced");
                }
            }
            ProtocolRequest::Event { payload } => {
                self.talk(|_, context| context.event(Event::ProtocolEvent { protocol, payload }));
            }
            ProtocolRequest::Timer { name, after } => {
                let after = after.filter(|_| self.protocols.has_timer(&protocol, &name));
                self.talk(|_, context| context.timer(TimerReason::Protocol(protocol, name), after));
            }
            ProtocolRequest::Subscribe(topic) => {
                self.outbox.push(Output::Subscribe(Topic::of_protocol(&protocol, &topic)));
            }
            ProtocolRequest::Unsubscribe(topic) => {
                self.outbox.push(Output::Unsubscribe(Topic::of_protocol(&protocol, &topic)));
            }
            // P16: a search, of which the protocol alone hears.
            ProtocolRequest::Search => {
                let (id, kind) = (self.next_command(), protocol.clone());
                let begun = self.discover(|discovery, context| discovery.search_for(context, id, kind));
                if let Err(error) = begun {
                    self.protocols.notify(Some(protocol), Notice::SearchFinished(Err(error)));
                }
            }
            // P10: durable before anything that the protocol says afterwards.
            ProtocolRequest::Persist { name, value } => {
                let value = value.map(|value| Record::Protocol(value).encode());
                let record = self.outbox.persist(Record::protocol_key(&protocol, &name), value);
                self.protocols.raise_barrier(&protocol, record);
            }
            ProtocolRequest::Create { name, session } => {
                if let Err(error) = self.create_for(&protocol, &name, *session) {
                    self.protocols.notify(Some(protocol), Notice::Created(name, Err(error)));
                }
            }
            ProtocolRequest::Join { session, allow } => {
                self.act_for(protocol, session, |node, owner| node.join_for(owner, session, &allow));
            }
            ProtocolRequest::Abort { session, reason } => {
                let command = Command::Abort(session, reason);
                self.act_for(protocol, session, |node, _| node.command_session(command));
            }
            ProtocolRequest::Retry(session) => {
                self.act_for(protocol, session, |node, _| node.command_session(Command::Retry(session)));
            }
            ProtocolRequest::ConfirmBroadcast(session) => {
                self.act_for(protocol, session, |node, _| node.command_session(Command::ConfirmBroadcast(session)));
            }
            ProtocolRequest::Close(session) => {
                self.act_for(protocol, session, |node, _| node.command_session(Command::Close(session)));
            }
            ProtocolRequest::Sign { name, single, allow } => self.sign_for(&protocol, name, *single, &allow),
        }
    }

    /// P15: a protocol sends or publishes something.
    fn send_for(&mut self, protocol: &Label, to: Receiver, payload: Vec<u8>) {
        let receiver = to.clone();
        let sealed = self.talk(|protocols, context| protocols.seal(context, protocol, to, payload));
        let Some((bytes, until)) = sealed else {
            tracing::warn!(%protocol, ?receiver, "not sent");
            return;
        };
        match receiver {
            Receiver::Signer(key) => {
                if !self.send(&key, &bytes, RecordSequence::default()) {
                    self.protocols.keep(key, bytes, until, self.environment.config.limits.protocol_waiting);
                    self.discover(|discovery, context| discovery.seek(context, &key));
                }
            }
            Receiver::Peer(to) => {
                if self.discovery.connected().any(|peer| *peer == to) {
                    self.outbox.push(Output::Send { to, bytes });
                }
            }
            Receiver::Topic(topic) => {
                self.outbox.push(Output::Publish { topic: Topic::of_protocol(protocol, &topic), bytes });
            }
        }
    }

    /// P11: creates a session that belongs to a protocol. That is durable before the session is.
    fn create_for(&mut self, protocol: &Label, name: &Label, session: NewSession) -> Result<(), CommandError> {
        if !self.gate.lets_create(protocol, &session) {
            return Err(CommandError::Policy);
        }
        let command = self.next_command();
        self.create(command, session, Some((protocol, name)))
    }

    /// P12: a protocol does something about a session, which has to belong to it.
    fn act_for(
        &mut self,
        protocol: Label,
        session: SessionId,
        act: impl FnOnce(&mut Self, &Label) -> Result<(), CommandError>,
    ) {
        let done = match self.protocols.owner(&session) {
            Some(owner) if *owner == protocol => act(self, &protocol),
            _ => Err(CommandError::NotOwned(session)),
        };
        if let Err(error) = done {
            self.protocols.notify(Some(protocol), Notice::Refused(session, error));
        }
    }

    /// Approves a session for the protocol that it belongs to, unless the embedder's policy says no.
    fn join_for(&mut self, owner: &Label, id: SessionId, allow: &BTreeSet<Unusual>) -> Result<(), CommandError> {
        let session = self.sessions.get(&id).ok_or(CommandError::UnknownSession(id))?;
        let summary = session.summary().map_err(|_| CommandError::UnknownSession(id))?;
        let definition = session.definition().clone();
        if !self.gate.lets_approve(owner, &definition, &summary) {
            return Err(CommandError::Policy);
        }
        self.join(id, allow)
    }

    /// P13: tells the protocol that a session belongs to what has happened to it. What the protocol says then waits for
    /// the session's records.
    pub(super) fn tell_owner(&mut self, session: Option<SessionId>, record: RecordSequence, event: &Event) {
        let owner = session.and_then(|id| Some((id, self.protocols.owner(&id)?.clone())));
        if let Some((id, owner)) = owner {
            self.protocols.raise_barrier(&owner, record);
            self.protocols.notify(Some(owner), Notice::Session(id, Box::new(event.clone())));
        }
    }

    /// A session is forgotten: it belongs to nobody any more.
    pub(super) fn disown(&mut self, id: &SessionId) {
        if self.protocols.disown(id) {
            self.outbox.persist(Record::owner_key(id), None);
        }
    }

    /// P17: a protocol wants a signature of this node's key alone. What is unusual about it has to be allowed by name,
    /// and the embedder's policy has the last word, as with sessions.
    fn sign_for(&mut self, protocol: &Label, name: Label, single: Single, allow: &BTreeSet<Unusual>) {
        let own_key = self.environment.own_key;
        // Whom this node lets speak for it, no protocol says.
        let is_reserved = matches!(&single, Single::Statement(statement) if statement.name.as_str() == DELEGATION);
        let asked = single.summary(&own_key).map_err(CommandError::Definition).and_then(|summary| {
            let missing = summary.missing(allow);
            if !missing.is_empty() {
                return Err(CommandError::Unusual(missing));
            }
            if is_reserved || !self.gate.lets_sign(protocol, &single, &summary) {
                return Err(CommandError::Policy);
            }
            Claim::new(&single, &own_key).map_err(CommandError::Definition)
        });
        let id = SingleId(self.entropy.bytes32());
        match asked.and_then(|claim| self.protocols.await_single(id, protocol, &name, claim)) {
            Ok(()) => self.outbox.push(Output::Sign(SignRequest::Single { id, single: Arc::new(single) })),
            Err(error) => self.protocols.notify(Some(protocol.clone()), Notice::Signature(name, Err(error))),
        }
    }

    /// P18: the signer has answered. What it gives is verified: it may be anything.
    pub(super) fn on_single(&mut self, id: SingleId, signature: Result<Signature, SignerError>) {
        if self.on_delegation(&id, signature) {
            return;
        }
        let Some((protocol, name, claim)) = self.protocols.take_single(&id) else { return };
        let signature = match signature {
            Ok(signature) if !claim.holds(&self.environment.verifier, &signature) => Err(SignerError::RoundMismatch),
            signature => signature,
        };
        let notice = Notice::Signature(name, signature.map_err(CommandError::Signer));
        self.protocols.notify(Some(protocol), notice);
    }

    pub(super) const fn next_command(&mut self) -> CommandId {
        let id = CommandId(self.commands);
        self.commands += 1;
        id
    }
}
