//! A node's outputs, performed: records, messages, network services, events.
//!
//! Invariant: outputs are performed in the order in which the node made them, and nothing leaves while the processor is
//! still busy with what came before. Driven by whatever reaches the node.

use std::time::Duration;

use nelumbo_core::api::{Event, GossipId, Input, OperationId, Output, PutId, RecordSequence, Verdict};
use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::Verifier;
use nelumbo_core::node::Node;
use nelumbo_core::wire::Body;

use super::connections::Frames;
use super::disk::Disk;
use super::frame::Frame;
use super::lifecycle::TimerKind;
use super::memory::Given;
use super::observation::{Arrival, NodeFault, Observation};
use super::{NEVER, Peer, PeerContext, node_of, peer_id, subnet_of};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::network::Reliability;
use crate::schedule::Misbehaviour;
use crate::services::{Dht, Effect, PubSub};

impl<C: Crypto> Peer<C> {
    /// Gives the node an input, if it is running.
    pub(super) fn input(&mut self, context: PeerContext<'_, '_>, input: Input) {
        if self.node.is_some() {
            self.give(context.now(), Given::Input(input));
            self.settle(context);
        }
    }

    /// Performs the node's outputs, and the commands with which its embedder answers them, until nothing is left.
    pub(super) fn settle(&mut self, context: PeerContext<'_, '_>) {
        loop {
            let Some(node) = &mut self.node else { return };
            let outputs: Vec<Output> = std::iter::from_fn(|| node.poll()).collect();
            // What leads to nothing, as garbage that was refused, has kept the processor busy all the same.
            let cost = self.meter.take() * Nanos::from(self.environment.schedule.crypto_slowness);
            if cost > 0 {
                self.busy_until = self.busy_until.max(context.now()) + cost;
                self.charged += cost;
            }
            if outputs.is_empty() {
                // What the embedder answers at once takes no time.
                let Some(command) = self.application.at_once.pop_front() else { break };
                let _taken = self.give(context.now(), Given::Command(command));
                continue;
            }
            for output in outputs {
                self.perform(context, output);
            }
        }
        self.look_at_limits(context);
        self.arm(context);
    }

    fn perform(&mut self, context: PeerContext<'_, '_>, output: Output) {
        match output {
            Output::Persist { sequence, key, value } => {
                self.disk.write((sequence, key, value));
                let takes = self.disk.takes(context.now()) + self.computes(context);
                if takes > 0 {
                    self.timer(context, takes, TimerKind::Synced, sequence.as_u64());
                } else {
                    self.synced(context, sequence);
                }
            }
            Output::Sign(request) => self.ask_signer(context, request),
            Output::Send { to, bytes } => {
                if let Some(to) = node_of(&to) {
                    self.send(context, to, bytes);
                }
            }
            Output::Dial { peer, .. } => {
                if let Some(peer) = node_of(&peer)
                    && peer < context.network().nodes()
                    && peer != self.index
                    && self.connections.contacts.insert(peer)
                {
                    self.dial(context);
                }
            }
            Output::Subscribe(topic) => self.in_gossip(context, |pubsub, _| pubsub.subscribe(topic.as_str())),
            Output::Publish { topic, bytes } => {
                self.in_gossip(context, |pubsub, now| pubsub.publish(now, topic.as_str(), &bytes));
            }
            Output::Verdict { id, verdict } => {
                let verdict = if self.censors(context) { Verdict::Ignore } else { verdict };
                self.in_gossip(context, |pubsub, _| pubsub.report_validation(id.0, verdict))
            }
            Output::Lookup { operation, key } => self.in_table(context, |dht, now| dht.lookup(now, operation.0, &key)),
            Output::Store { key, value, lifetime } => {
                self.in_table(context, |dht, now| dht.store(now, &key, value, nanos(lifetime)));
            }
            Output::AcceptRecord { id, value, lifetime } => {
                self.answer_put(context, id, Some((value, nanos(lifetime))));
            }
            Output::RejectRecord { id, .. } => self.answer_put(context, id, None),
            Output::Event(event) => self.on_event(context, event),
            Output::RemoveRecord { key } => {
                if let Some(services) = &mut self.services {
                    services.dht.remove(&key);
                }
            }
            // Simulated peers leave no topic, prune no connection, and leave it to the node to refuse whom it has
            // banned.
            Output::Unsubscribe(_) | Output::Release(_) | Output::Ban(_) | Output::Unban(_) => {}
        }
    }

    /// Whether the machine passes on nothing of others now.
    pub(super) fn censors(&mut self, context: PeerContext<'_, '_>) -> bool {
        context.now() < self.environment.injects_until
            && self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::Censor))
    }

    fn answer_put(&mut self, context: PeerContext<'_, '_>, id: PutId, accepted: Option<(Bytes, Nanos)>) {
        self.in_table(context, |dht, now| {
            dht.resolve_put(now, id.0, accepted);
            Vec::new()
        });
    }

    pub(super) fn synced(&mut self, context: PeerContext<'_, '_>, sequence: RecordSequence) {
        self.disk.sync(sequence);
        self.give(context.now(), Given::Input(Input::Persisted(sequence)));
    }

    fn on_event(&mut self, context: PeerContext<'_, '_>, mut event: Event) {
        if let Some(adversary) = &mut self.adversary {
            let ends_turns = matches!(event, Event::BroadcastUnconfirmed { .. } | Event::FailoverExhausted { .. });
            if ends_turns && adversary.does(Misbehaviour::HidesTurns) {
                return;
            }
            event = adversary.alter_event(event);
        }
        self.application_hears(context, &event);
        let wishes = self.embedder.as_mut().map(|embedder| embedder.on_event(&event));
        self.application.at_once.extend(wishes.unwrap_or_default());
        context.emit(Observation::Event(event));
    }

    /// How long the processor is still busy with cryptography.
    pub(super) fn computes(&self, context: PeerContext<'_, '_>) -> Nanos {
        self.busy_until.saturating_sub(context.now())
    }

    /// Sends a message of the node.
    fn send(&mut self, context: PeerContext<'_, '_>, to: u32, bytes: Bytes) {
        if !self.last_sent.as_ref().is_some_and(|last| Bytes::ptr_eq(last, &bytes)) {
            context.emit(Observation::Sent { bytes: bytes.clone(), decided: self.decided(context.now()) });
            self.last_sent = Some(bytes.clone());
        }
        let Some(mut adversary) = self.adversary.take() else { return self.send_direct(context, to, &bytes) };
        for altered in adversary.alter::<C>(&self.secret, to, bytes.clone()) {
            if !Bytes::ptr_eq(&altered, &bytes) {
                context.emit(Observation::Sent { bytes: altered.clone(), decided: self.decided(context.now()) });
            }
            self.send_direct(context, to, &altered);
        }
        self.adversary = Some(adversary);
    }

    pub(super) fn send_direct(&mut self, context: PeerContext<'_, '_>, to: u32, bytes: &Bytes) {
        if let Some(frame) = self.connections.direct(to, bytes) {
            if self.environment.traced
                && let Some(decoded) = Frame::decode(&frame)
            {
                context.emit(Observation::Dispatched(to, Arrival::message(&decoded, &frame)));
            }
            let busy = self.computes(context);
            self.carry(context, busy, to, &frame, self.reliability_of(bytes));
        }
    }

    /// What transports do about the loss of a message of the node.
    pub(super) fn reliability_of(&self, bytes: &Bytes) -> Reliability {
        if self.environment.retransmits_presences && is_presence(bytes) {
            Reliability::Retransmit
        } else {
            Reliability::BestEffort
        }
    }

    pub(super) fn send_frame(&self, context: PeerContext<'_, '_>, to: u32, frame: &Frame<'_>) {
        let busy = self.computes(context);
        context.send_on(frame.channel(), busy, to, &frame.encode(), Reliability::Retransmit);
    }

    pub(super) fn send_frames(&self, context: PeerContext<'_, '_>, frames: Frames) {
        let busy = self.computes(context);
        for (to, frame) in frames {
            self.carry(context, busy, to, &frame, Reliability::Retransmit);
        }
    }

    /// Calls the hash table, and performs the effects that it returns.
    pub(super) fn in_table(&mut self, context: PeerContext<'_, '_>, act: impl FnOnce(&mut Dht, Nanos) -> Vec<Effect>) {
        let Some(services) = &mut self.services else { return };
        for effect in act(&mut services.dht, context.now()) {
            match effect {
                Effect::Send(to, bytes) => self.send_frame(context, to, &Frame::Dht { bytes: &bytes }),
                Effect::RecordFound(operation, bytes) => {
                    self.input(context, Input::Found { operation: OperationId(operation), bytes });
                }
                Effect::LookupFinished(operation, stats) => {
                    context.emit(Observation::LookupFinished(stats));
                    self.input(context, Input::LookupFinished(OperationId(operation)));
                }
                Effect::PutRequested { id, from, key, bytes, stored } => {
                    let id = PutId(id);
                    self.input(
                        context,
                        Input::PutRequested {
                            from: peer_id(from),
                            subnet: Some(subnet_of(from)),
                            id,
                            key,
                            bytes,
                            stored,
                        },
                    );
                }
                Effect::MessageReceived { .. } => {}
            }
        }
        self.tell_routes(context);
        self.arm_services(context);
    }

    /// Tells the node how many peers it can route to, where that began with few.
    fn tell_routes(&mut self, context: PeerContext<'_, '_>) {
        let is_young = self.environment.schedule.bootstrap > 0;
        let Some(services) = self.services.as_mut().filter(|_| is_young) else { return };
        let routes = services.dht.peers();
        if std::mem::replace(&mut services.routes, routes) != routes {
            self.input(context, Input::RoutingTable(routes));
        }
    }

    /// Calls gossip, and performs the effects that it returns.
    pub(super) fn in_gossip(
        &mut self,
        context: PeerContext<'_, '_>,
        act: impl FnOnce(&mut PubSub, Nanos) -> Vec<Effect>,
    ) {
        let Some(services) = &mut self.services else { return };
        for effect in act(&mut services.pubsub, context.now()) {
            match effect {
                Effect::Send(to, bytes) => self.send_frame(context, to, &Frame::Gossip { bytes: &bytes }),
                Effect::MessageReceived { id, from, bytes } => {
                    self.input(context, Input::Gossip { from: peer_id(from), id: GossipId(id), bytes });
                }
                Effect::RecordFound(..) | Effect::LookupFinished(..) | Effect::PutRequested { .. } => {}
            }
        }
        self.arm_services(context);
    }

    /// Sets a timer for the services' next deadline, unless an earlier one is set.
    fn arm_services(&mut self, context: PeerContext<'_, '_>) {
        let Some(services) = &mut self.services else { return };
        let soonest = services.dht.deadline().into_iter().chain(services.pubsub.deadline()).min();
        if let Some(at) = soonest.filter(|at| *at < services.armed) {
            services.armed = at;
            self.timer(context, at.saturating_sub(context.now()), TimerKind::Service, 0);
        }
    }

    /// The machine's wall clock when the node decided what it does now, or before: outputs wait for the disk.
    pub(super) fn decided(&self, now: Nanos) -> Wall {
        self.held_since.min(self.clock.wall(now))
    }

    fn look_at_limits(&mut self, context: PeerContext<'_, '_>) {
        let Some(node) = &self.node else { return };
        let (view, limits) = (node.view(), &self.environment.limits);
        self.held_since = match view.held() {
            0 => NEVER,
            _ => self.decided(context.now()),
        };
        let (sessions, signers) = (view.sessions().len(), view.signers().len());
        if sessions > limits.sessions + limits.ended + limits.unapproved
            || signers > limits.most_presences()
            || view.held() > self.environment.held
        {
            let what = format!("{sessions} sessions, {signers} presences, {} outputs held", view.held());
            context.emit(Observation::Fault(NodeFault::Limits, what));
        }
    }
}

/// Writes what a node wants to be written, and lets everything else be that it wants.
pub(super) fn write_only<V: Verifier>(node: &mut Node<V>, disk: &mut Disk) {
    while let Some(output) = node.poll() {
        if let Output::Persist { sequence, key, value } = output {
            disk.write((sequence, key, value));
        }
    }
}

fn is_presence(bytes: &Bytes) -> bool {
    nelumbo_core::wire::Message::decode(bytes.clone())
        .is_ok_and(|message| matches!(message.unsigned.body, Body::Presence(_)))
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}
