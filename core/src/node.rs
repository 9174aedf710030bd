//! The spine: input → gate → one machine → effects → `settle`. It routes and holds no rule of any protocol.
//!
//! Reading order: [`Node::handle`] for what comes from outside, [`Node::command`] for what the embedder wants, `settle`
//! for how effects become outputs. `node/boot.rs` brings a node to life, `node/batch.rs` takes many inputs at once,
//! `node/knowledge.rs` says to the gate what is known, `node/standing.rs` what becomes of peers that break the rules,
//! `node/protocols.rs` what comes of what other protocols ask for, `node/delegation.rs` has a message key delegated to.

mod batch;
mod boot;
mod delegation;
mod knowledge;
mod protocols;
mod settle;
mod standing;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use core::fmt;

use crate::api::{
    Blame, Command, CommandError, CommandId, Deadline, GossipId, Input, NewSession, Output, Refusal, RefusalCounts,
    SignReply, SignRequest, TimerReason, Verdict, View,
};
use crate::approval::Unusual;
use crate::base::{Bytes, Mono, Now, Outbox, Timers};
use crate::crypto::{Entropy, Secp256k1, Signer, Verifier};
use crate::discovery::Discovery;
use crate::effect::{Context, Effect, Environment};
use crate::gate::{Admission, Channel, Gate, Policy, Put, Request, Review};
use crate::protocol::Protocols;
use crate::session::Sessions;
use crate::wire::{AbortReason, Label, PeerId, SessionId};

pub use boot::{Boot, BootError};
use knowledge::Knowledge;

/// One signer's node, without a network, a disk or a clock.
pub struct Node<V: Verifier = Secp256k1> {
    pub(crate) environment: Environment<V>,
    /// For what this node chooses at random in its own sessions.
    entropy: Entropy,
    pub(crate) gate: Gate<V>,
    pub(crate) sessions: Sessions<V>,
    pub(crate) discovery: Discovery,
    pub(crate) protocols: Protocols,
    pub(crate) timers: Timers<TimerReason>,
    pub(crate) outbox: Outbox,
    pub(crate) refusals: RefusalCounts,
    /// Those of them that came by gossip.
    pub(crate) gossip_refusals: RefusalCounts,
    commands: u64,
}

impl<V: Verifier> fmt::Debug for Node<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Environment { own_key, own_peer, .. } = &self.environment;
        f.debug_struct("Node").field("key", own_key).field("peer", own_peer).finish_non_exhaustive()
    }
}

impl<V: Verifier> Node<V> {
    /// Takes a fact about the world. It cannot fail: what a peer did wrong is refused and counted.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.advance_to(now);
        self.take(input);
        self.run_protocols();
        self.end_standings();
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Received { from, bytes } => {
                let result = self.admit(Channel::Direct(&from), bytes).and_then(|admission| self.route(admission));
                self.penalize(&from, result);
            }
            Input::Gossip { from, id, bytes } => self.on_gossip(&from, id, bytes),
            Input::Found { operation, bytes } => {
                // Whoever stores a record need not have checked it: nobody is charged for it.
                let Some((sought, listed)) = self.discovery.sought(operation) else {
                    self.refusals.count(Refusal::Unasked);
                    return;
                };
                let result = match self.admit(Channel::Found(&sought, listed), bytes) {
                    Ok(Admission::Listings(listings)) => {
                        self.discover(|discovery, context| discovery.on_listings(context, &sought, listings));
                        Ok(())
                    }
                    Ok(admission) => self.route(admission),
                    Err(refusal) => Err(refusal),
                };
                let _refused = result.map_err(|refusal| self.refusals.count(refusal));
            }
            Input::PutRequested { from, subnet, id, key, bytes, stored } => {
                let put = Put { from: &from, subnet, key: &key, stored: stored.as_ref() };
                let output = match self.admit(Channel::Put(put), bytes) {
                    Ok(Admission::Record { value, lifetime, removed }) => {
                        let removed = removed.map(|key| Output::RemoveRecord { key: key.into() });
                        removed.into_iter().for_each(|output| self.outbox.push(output));
                        Output::AcceptRecord { id, value, lifetime }
                    }
                    Ok(_) => unreachable!("what is to be stored is admitted as a record"),
                    Err(refusal) => {
                        self.refusals.count(refusal);
                        Output::RejectRecord { id, refusal }
                    }
                };
                self.outbox.push(output);
            }
            Input::LookupFinished(operation) => {
                self.discover(|discovery, context| discovery.end_lookup(context, operation));
            }
            Input::Connected(peer) => {
                let most_keys = self.gate.most_keys(&peer, self.discovery.peer_tier(&peer));
                self.discover(|discovery, context| discovery.on_connected(context, peer, most_keys));
            }
            Input::Disconnected(peer) => self.discover(|discovery, context| discovery.on_disconnected(context, peer)),
            Input::RoutingTable(peers) => {
                self.discover(|discovery, context| discovery.on_routing_table(context, peers));
            }
            Input::Addresses(addresses) => {
                self.discover(|discovery, context| discovery.on_addresses(context, addresses));
            }
            Input::Persisted(sequence) => {
                self.outbox.persisted(sequence);
                self.protocols.release(self.outbox.durable());
            }
            Input::Signed(SignReply::Single { id, signature }) => self.on_single(id, signature),
            Input::Signed(reply) => self.sign(|sessions, context| sessions.on_signed(context, reply)),
            Input::SignerReady => {
                self.on_delegator_ready();
                self.sign(|sessions, context| sessions.on_signer_ready(context));
            }
            Input::Tick => {}
            Input::Identity { key, identity } => self.on_identity(key, identity),
        }
    }

    /// Takes a command of the embedder. The effect comes back as events, the one that answers a creation with the
    /// command's id.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn command(&mut self, now: Now, command: Command) -> Result<CommandId, CommandError> {
        self.advance_to(now);
        let id = CommandId(self.commands);
        let done = self.obey(id, command);
        // A refused command has no id.
        self.commands += u64::from(done.is_ok());
        self.run_protocols();
        self.end_standings();
        done.map(|()| id)
    }

    fn obey(&mut self, id: CommandId, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Create(session) => self.create(id, *session, None)?,
            Command::Join { .. }
            | Command::Abort(..)
            | Command::Retry(_)
            | Command::ConfirmBroadcast(_)
            | Command::Close(_) => self.command_session(command)?,
            Command::Ban(peer) => self.ban(peer)?,
            Command::Unban(peer) => self.unban(peer)?,
            Command::ProtocolCommand { protocol, payload } => {
                self.talk(|protocols, context| protocols.on_command(context, &protocol, &payload))?;
            }
            Command::FindSession(session)
                if self.sessions.get(&session).is_some() || self.sessions.is_closed(&session) =>
            {
                return Err(CommandError::KnownSession(session));
            }
            Command::Advertise { .. }
            | Command::Withdraw
            | Command::Subscribe(_)
            | Command::Unsubscribe(_)
            | Command::FindSigners(_)
            | Command::FindRequests
            | Command::FindSession(_)
            | Command::AnnounceResource { .. }
            | Command::FindResources(_) => {
                self.discover(|discovery, context| discovery.command(context, id, command))?;
            }
        }
        Ok(())
    }

    /// Creates a session, for the embedder or for a protocol, which calls it this.
    fn create(
        &mut self,
        id: CommandId,
        session: NewSession,
        owner: Option<(&Label, &Label)>,
    ) -> Result<(), CommandError> {
        let nonce = self.entropy.bytes32();
        let definition = self.sign(|sessions, context| {
            let definition = sessions.create(context, id, session, nonce)?;
            if let Some((owner, name)) = owner {
                // Ahead of the session's own records.
                let (session, owner, created) = (definition.id(), owner.clone(), Some(name.clone()));
                context.effects.insert(0, (None, Effect::PersistOwner { session, owner, created }));
            }
            Ok::<_, CommandError>(definition)
        })?;
        let pending = self.gate.watch(&definition, None);
        debug_assert!(pending.is_empty(), "nobody can know an id that was drawn just now");
        self.list_request(&definition);
        Ok(())
    }

    /// Approves a session, for whoever may. Whose it is, is durable before anything of that.
    fn join(&mut self, session: SessionId, allow: &BTreeSet<Unusual>) -> Result<(), CommandError> {
        let owner = self.protocols.owner(&session).cloned();
        self.sign(|sessions, context| {
            sessions.join(context, session, allow)?;
            if let Some(owner) = owner {
                context.effects.insert(0, (None, Effect::PersistOwner { session, owner, created: None }));
            }
            Ok(())
        })
    }

    /// What is wanted of one session.
    fn command_session(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Join { session, allow } => self.join(session, &allow),
            Command::Abort(session, reason) => self.step(session, |session, context| session.abort(context, reason)),
            Command::Retry(session) => self.step(session, |session, context| session.retry(context)),
            Command::ConfirmBroadcast(session) => self.step(session, |session, context| session.confirm(context)),
            Command::Close(session) => self.sign(|sessions, context| sessions.close(context, session)),
            _ => unreachable!("commands of one session only come here"),
        }
    }

    /// Lets the embedder's own rules decide too what gets in, from now on.
    pub fn set_policy(&mut self, policy: Box<dyn Policy>) {
        self.gate.set_policy(policy);
    }

    /// Has a signer in memory do what the node asked it for, and takes its answer. A host that has such a signer calls
    /// this for each [`Output::Sign`].
    pub fn answer(&mut self, now: Now, signer: &mut (impl Signer<V> + ?Sized), request: &SignRequest) {
        if let Some(reply) = self.view().answer(signer, request) {
            self.handle(now, Input::Signed(reply));
        }
    }

    /// The next thing for the host to do. A pure pop: several inputs may be handled before.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    /// When time alone makes something happen next, and what.
    pub fn deadline(&self) -> Option<Deadline> {
        self.timers.next().map(|(at, reason)| Deadline { at: *at, reason: reason.clone() })
    }

    /// A look at the node's state.
    pub fn view(&self) -> View<'_, V> {
        View { node: self }
    }

    /// Runs every timer that is due.
    fn advance_to(&mut self, now: Now) {
        if self.environment.advance_to(now) {
            self.renew_delegation();
            self.sign(|sessions, context| sessions.on_clocks_parted(context));
            self.discover(|discovery, context| discovery.on_clocks_parted(context));
        }
        let mono = self.environment.now.mono;
        while let Some(reason) = self.timers.pop_due(mono) {
            match reason {
                TimerReason::Protocol(name, timer) => {
                    self.talk(|protocols, context| protocols.on_timer(context, &name, &timer));
                }
                TimerReason::Delegation => self.on_delegation_awaited(),
                // Once due timers have run.
                TimerReason::ProtocolWork => {}
                TimerReason::PendingMessages => {
                    self.gate.expire_pending(mono);
                    self.watch_pending();
                }
                TimerReason::Stalled(id) => self.sign(|sessions, context| sessions.on_stalled(context, id)),
                TimerReason::Retry(id) => self.retry(id),
                TimerReason::Turn(id) => self.sign(|sessions, context| sessions.on_turn(context, id)),
                TimerReason::Standing => self.end_standings(),
                TimerReason::Closed => self.sign(|sessions, context| sessions.on_closed_expired(context)),
                TimerReason::Expired(id) => self.sign(|sessions, context| sessions.on_expired(context, id)),
                TimerReason::Presence
                | TimerReason::Store
                | TimerReason::Advertisement
                | TimerReason::Seek
                | TimerReason::NextLookup
                | TimerReason::Search(_)
                | TimerReason::Lookup(_) => self.discover(|discovery, context| discovery.on_timer(context, reason)),
            }
        }
    }

    fn on_gossip(&mut self, from: &PeerId, id: GossipId, bytes: Bytes) {
        let admitted = self.admit(Channel::Gossip(from), bytes.clone());
        let author = match &admitted {
            Ok(Admission::Repeated { author, .. }) => Some(*author),
            Ok(Admission::Presence(presence, _)) => Some(*presence.author()),
            Ok(Admission::Advertisement(advertisement, _)) => Some(*advertisement.author()),
            _ => None,
        };
        let result = admitted.and_then(|admission| self.route(admission));
        let is_first = author.is_some_and(|author| {
            self.discover(|discovery, context| discovery.is_first_gossip(context, &author, &bytes))
        });
        let verdict = match result {
            // What came by another way before is passed on too; above the neighbour's share nobody is to blame.
            Ok(()) | Err(Refusal::Duplicate)
                if (result.is_ok() || is_first) && self.gate.forwards(from, bytes.len(), self.environment.now.mono) =>
            {
                Verdict::Accept
            }
            Ok(()) => Verdict::Ignore,
            Err(refusal) if refusal.blame() == Blame::Neighbour => Verdict::Reject,
            Err(_) => Verdict::Ignore,
        };
        let _refused = result.map_err(|refusal| self.gossip_refusals.count(refusal));
        self.outbox.push(Output::Verdict { id, verdict });
        self.penalize(from, result);
    }

    /// Lets the gate look at bytes from outside.
    fn admit(&mut self, channel: Channel<'_>, bytes: Bytes) -> Result<Admission, Refusal> {
        let Self { environment, gate, sessions, discovery, protocols, .. } = self;
        let known = Knowledge { sessions, discovery, protocols };
        gate.admit(channel, bytes, &environment.verifier, &known, environment.now)
    }

    /// Hands what has been admitted to its machine.
    fn route(&mut self, admission: Admission) -> Result<(), Refusal> {
        match admission {
            Admission::Step(step) => self.sign(|sessions, context| sessions.on_step(context, step)),
            Admission::Request(request) => self.on_request(request),
            Admission::Notice(notice) => {
                self.discover(|discovery, context| discovery.fetch_request(context, notice));
                Ok(())
            }
            Admission::ForOthers => Ok(()),
            Admission::Pending => {
                self.watch_pending();
                Ok(())
            }
            Admission::Presence(presence, origin) => {
                self.discover(|discovery, context| discovery.on_presence(context, presence, origin))
            }
            Admission::Copy(presence) => {
                self.discover(|discovery, context| discovery.on_copy(context, presence.value()));
                Err(Refusal::Echo)
            }
            Admission::Repeated { author, bytes, first_hand } => {
                if let Some(first_hand) = first_hand {
                    self.discover(|discovery, context| {
                        discovery.on_repeated_presence(context, &author, &bytes, first_hand);
                    });
                }
                Err(Refusal::Duplicate)
            }
            Admission::Advertisement(advertisement, origin) => {
                self.discover(|discovery, context| discovery.on_advertisement(context, advertisement, origin))
            }
            Admission::Resource(resource) => {
                self.discover(|discovery, context| discovery.on_resource(context, resource))
            }
            Admission::Protocol(message) => self.talk(|protocols, context| protocols.on_message(context, message)),
            Admission::Listings(_) | Admission::Record { .. } => unreachable!("handled where they are asked for"),
        }
    }

    /// A session that this node is a signer of is asked for: the embedder's rules or the embedder look at it.
    fn on_request(&mut self, request: Request) -> Result<(), Refusal> {
        let definition = request.definition.clone();
        let id = definition.id();
        let Self { sessions, discovery, protocols, .. } = self;
        let known = Knowledge { sessions, discovery, protocols };
        let from = known.acquaintance(definition.creator_key());
        let summary = self.sign(|sessions, context| sessions.announce(context, &definition, from))?;
        self.discover(|discovery, context| discovery.on_request(context, id));
        for step in self.gate.watch(&definition, Some(request)) {
            let result = step.and_then(|step| self.sign(|sessions, context| sessions.on_step(context, step)));
            let _refused = result.map_err(|refusal| self.refusals.count(refusal));
        }
        // What is unusual and was not allowed leaves the session to the embedder.
        let declined = self.discovery.declines(definition.creator_key());
        let review = match declined {
            Some(_) => Review::Decline,
            None => self.gate.review(&definition, &summary),
        };
        if review != Review::Decline {
            self.talk(|protocols, context| protocols.on_announced(context, &definition, &summary));
        }
        let _reviewed = match review {
            Review::Ask => Ok(()),
            Review::Approve { allow } => self.join(id, &allow),
            Review::Decline => {
                let reason = declined.unwrap_or(AbortReason::Declined);
                self.step(id, |session, context| session.abort(context, reason))
            }
        };
        Ok(())
    }

    fn watch_pending(&mut self) {
        match self.gate.pending_deadline() {
            Some(at) => self.timers.set(TimerReason::PendingMessages, at.max(Mono::from_nanos(1))),
            None => self.timers.cancel(&TimerReason::PendingMessages),
        }
    }
}
