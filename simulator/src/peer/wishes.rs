//! What a node wants, done: records, messages, network services, events.
//!
//! Invariant: wishes are fulfilled in the order in which the node made them, and nothing leaves while the processor is
//! still busy with what came before. Driven by whatever reaches the node.

use std::time::Duration;

use nelumbo_core::api::{Event, GossipId, Input, OperationId, PutId, RecordSequence};
use nelumbo_core::base::Bytes;
use nelumbo_core::host::drain;
use nelumbo_core::wire::Body;

use super::connections::Frames;
use super::frame::Frame;
use super::host::Wish;
use super::life::Purpose;
use super::note::{Note, Trouble};
use super::{Peer, Port, peer_id};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::network::{Dht, Effect, PubSub};
use crate::world::Care;

impl<C: Crypto> Peer<C> {
    /// Gives the node an input, if it is running.
    pub(super) fn input(&mut self, context: Port<'_, '_>, input: Input) {
        let now = self.clock.read(context.now());
        if let Some(node) = &mut self.node {
            node.handle(now, input);
            self.settle(context);
        }
    }

    /// Does what the node wants, and what its owner wants of that, until nothing is left.
    pub(super) fn settle(&mut self, context: Port<'_, '_>) {
        loop {
            let Some(node) = &mut self.node else { return };
            drain(&mut **node, &mut self.wishes);
            // What leads to nothing, as garbage that was refused, has kept the processor busy all the same.
            let cost = self.meter.take() * Nanos::from(self.plan.schedule.crypto_slowness);
            if cost > 0 {
                self.busy_until = self.busy_until.max(context.now()) + cost;
                self.charged += cost;
            }
            if self.wishes.0.is_empty() {
                // What the owner answers on the spot takes no time.
                let Some(command) = self.owner.at_once.pop_front() else { break };
                let _refused = node.command(self.clock.read(context.now()), command).is_err();
                continue;
            }
            for wish in std::mem::take(&mut self.wishes.0) {
                self.fulfil(context, wish);
            }
        }
        self.look_at_limits(context);
        self.arm(context);
    }

    fn fulfil(&mut self, context: Port<'_, '_>, wish: Wish) {
        match wish {
            Wish::Persist(sequence, key, value) => {
                self.disk.write((sequence, key, value));
                let takes = self.disk.takes(context.now()) + self.computes(context);
                if takes > 0 {
                    self.timer(context, takes, Purpose::Synced, sequence.as_u64());
                } else {
                    self.synced(context, sequence);
                }
            }
            Wish::Send(to, bytes) => self.send(context, to, bytes),
            Wish::Dial(peer) => {
                if peer < context.world().nodes() && peer != self.index && self.connections.contacts.insert(peer) {
                    self.dial(context);
                }
            }
            Wish::Subscribe(topic) => self.in_gossip(context, |pubsub, _| pubsub.subscribe(topic.as_str())),
            Wish::Publish(topic, bytes) => {
                self.in_gossip(context, |pubsub, now| pubsub.publish(now, topic.as_str(), &bytes));
            }
            Wish::Verdict(id, verdict) => self.in_gossip(context, |pubsub, _| pubsub.judge(id.0, verdict)),
            Wish::Lookup(operation, key) => self.in_table(context, |dht, now| dht.look_up(now, operation.0, &key)),
            Wish::Store(key, value, life) => {
                self.in_table(context, |dht, now| dht.store(now, &key, value, nanos(life)));
            }
            Wish::Judged(id, kept) => self.in_table(context, |dht, now| {
                dht.judge(now, id.0, kept.map(|(value, life)| (value, nanos(life))));
                Vec::new()
            }),
            Wish::Event(event) => self.on_event(context, event),
        }
    }

    pub(super) fn synced(&mut self, context: Port<'_, '_>, sequence: RecordSequence) {
        self.disk.sync(sequence);
        let now = self.clock.read(context.now());
        if let Some(node) = &mut self.node {
            node.handle(now, Input::Persisted(sequence));
        }
    }

    fn on_event(&mut self, context: Port<'_, '_>, mut event: Event) {
        if let Some(deeds) = &mut self.deeds {
            event = deeds.alter_event(event);
        }
        self.owner_hears(context, &event);
        context.note(Note::Event(event));
    }

    /// How long the processor is still busy.
    fn computes(&self, context: Port<'_, '_>) -> Nanos {
        self.busy_until.saturating_sub(context.now())
    }

    /// Sends a message of the node.
    fn send(&mut self, context: Port<'_, '_>, to: u32, bytes: Bytes) {
        if !self.last_sent.as_ref().is_some_and(|last| Bytes::ptr_eq(last, &bytes)) {
            context.note(Note::Sent(bytes.clone()));
            self.last_sent = Some(bytes.clone());
        }
        let Some(mut deeds) = self.deeds.take() else { return self.send_direct(context, to, &bytes) };
        for altered in deeds.alter::<C>(&self.secret, to, bytes.clone()) {
            if !Bytes::ptr_eq(&altered, &bytes) {
                context.note(Note::Sent(altered.clone()));
            }
            self.send_direct(context, to, &altered);
        }
        self.deeds = Some(deeds);
    }

    pub(super) fn send_direct(&mut self, context: Port<'_, '_>, to: u32, bytes: &Bytes) {
        if let Some(frame) = self.connections.direct(to, bytes) {
            let busy = self.computes(context);
            self.carry(context, busy, to, &frame, self.care_of(bytes));
        }
    }

    /// What transports do about the loss of a message of the node.
    pub(super) fn care_of(&self, bytes: &Bytes) -> Care {
        if self.plan.repeats_presences && is_presence(bytes) { Care::Again } else { Care::Once }
    }

    pub(super) fn send_frame(&self, context: Port<'_, '_>, to: u32, frame: &Frame<'_>) {
        let busy = self.computes(context);
        context.send_after(busy, to, &frame.encode(), Care::Again);
    }

    pub(super) fn send_frames(&self, context: Port<'_, '_>, frames: Frames) {
        let busy = self.computes(context);
        for (to, frame) in frames {
            self.carry(context, busy, to, &frame, Care::Again);
        }
    }

    /// Lets the hash table do something, and does what it wants.
    pub(super) fn in_table(&mut self, context: Port<'_, '_>, act: impl FnOnce(&mut Dht, Nanos) -> Vec<Effect>) {
        let Some(services) = &mut self.services else { return };
        for effect in act(&mut services.dht, context.now()) {
            match effect {
                Effect::Send(to, bytes) => self.send_frame(context, to, &Frame::Dht { bytes: &bytes }),
                Effect::Found(operation, bytes) => {
                    self.input(context, Input::Found { operation: OperationId(operation), bytes });
                }
                Effect::Finished(operation, trip) => {
                    context.note(Note::LookedUp(trip));
                    self.input(context, Input::LookupFinished(OperationId(operation)));
                }
                Effect::Offered { id, from, key, bytes, stored } => {
                    let id = PutId(id);
                    self.input(
                        context,
                        Input::PutRequested { from: peer_id(from), subnet: None, id, key, bytes, stored },
                    );
                }
                Effect::Arrived { .. } => {}
            }
        }
        self.tell_routes(context);
        self.arm_services(context);
    }

    /// Tells the node how many peers it can route to, where that began with few.
    fn tell_routes(&mut self, context: Port<'_, '_>) {
        let is_young = self.plan.schedule.bootstrap > 0;
        let Some(services) = self.services.as_mut().filter(|_| is_young) else { return };
        let routes = services.dht.peers();
        if std::mem::replace(&mut services.routes, routes) != routes {
            self.input(context, Input::RoutingTable(routes));
        }
    }

    /// Lets gossip do something, and does what it wants.
    pub(super) fn in_gossip(&mut self, context: Port<'_, '_>, act: impl FnOnce(&mut PubSub, Nanos) -> Vec<Effect>) {
        let Some(services) = &mut self.services else { return };
        for effect in act(&mut services.pubsub, context.now()) {
            match effect {
                Effect::Send(to, bytes) => self.send_frame(context, to, &Frame::Gossip { bytes: &bytes }),
                Effect::Arrived { id, from, bytes } => {
                    self.input(context, Input::Gossip { from: peer_id(from), id: GossipId(id), bytes });
                }
                Effect::Found(..) | Effect::Finished(..) | Effect::Offered { .. } => {}
            }
        }
        self.arm_services(context);
    }

    /// Sees to it that the services are told the time when they want to.
    fn arm_services(&mut self, context: Port<'_, '_>) {
        let Some(services) = &mut self.services else { return };
        let soonest = services.dht.deadline().into_iter().chain(services.pubsub.deadline()).min();
        if let Some(at) = soonest.filter(|at| *at < services.armed) {
            services.armed = at;
            self.timer(context, at.saturating_sub(context.now()), Purpose::Service, 0);
        }
    }

    fn look_at_limits(&self, context: Port<'_, '_>) {
        let Some(node) = &self.node else { return };
        let (view, limits) = (node.view(), &self.plan.limits);
        let (sessions, signers) = (view.sessions().len(), view.signers().len());
        if sessions > limits.sessions + limits.ended || signers > limits.presences || view.held() > self.plan.held {
            let what = format!("{sessions} sessions, {signers} presences, {} outputs held", view.held());
            context.note(Note::Trouble(Trouble::Limits, what));
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
