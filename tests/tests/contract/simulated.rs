//! The network of the simulator: its connections and services, with a desk where a peer has its node.
//!
//! Invariant: a station does with them what a simulated peer does, and nothing else. Driven by the simulator's engine.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nelumbo_core::api::{
    Event, GossipId, Input, OperationId, PutId, RecordSequence, Refusal, SignRequest, Subnet, Topic, Verdict,
};
use nelumbo_core::base::Bytes;
use nelumbo_core::host::Host;
use nelumbo_core::wire::{Address, PeerId};
use nelumbo_simulator::Random;
use nelumbo_simulator::engine::{Context, Machine, Nanos, Sequential};
use nelumbo_simulator::network::{Latency, NetworkModel};
use nelumbo_simulator::peer::{Change, Connections, Frame, address_of, node_of, peer_id, subnet_of};
use nelumbo_simulator::services::gossipsub::{self, Gossipsub};
use nelumbo_simulator::services::kademlia::{self, Kademlia, NodeIds};
use nelumbo_simulator::services::{Dht, Effect, PubSub};

use crate::nodes::{Shape, Wire};

const MILLISECOND: Nanos = 1_000_000;
const SEED: u64 = 1;
/// How often who is lacking is greeted again.
const REDIAL: Nanos = 1000 * MILLISECOND;
/// The timers' tags.
const SERVICES: u64 = 0;
const GREET: u64 = 1;

/// With models of Kademlia and gossipsub, or with ideal services.
pub(crate) struct Simulated<const MODELLED: bool> {
    engine: Sequential<Station<MODELLED>>,
    told: VecDeque<(usize, Input)>,
    /// Until when everything has happened.
    now: Nanos,
}

struct Station<const MODELLED: bool> {
    node: u32,
    nodes: u32,
    shape: Shape,
    life: u32,
    connections: Connections,
    services: Option<(Dht, PubSub)>,
    /// When the earliest time of theirs that is under way is due.
    armed: Nanos,
}

type StationContext<'a, 'b> = &'a mut Context<'b, Input>;

impl<const MODELLED: bool> Station<MODELLED> {
    fn boot(&mut self, context: StationContext<'_, '_>) {
        self.life += 1;
        let Self { node, nodes, .. } = *self;
        let neighbours: Vec<u32> = match self.shape {
            Shape::Line => {
                [node.checked_sub(1), Some(node + 1)].into_iter().flatten().filter(|to| *to < nodes).collect()
            }
            Shape::Crowd => (0..nodes).filter(|other| *other != node).collect(),
        };
        let (dht, pubsub) = if MODELLED {
            let mut dht = Kademlia::new(node, Arc::new(NodeIds::new(nodes)), kademlia::Settings::default());
            dht.fill_table(SEED);
            let random = Random::stream(SEED, "gossip", u64::from(node));
            let pubsub = Gossipsub::new(random, context.now(), neighbours, gossipsub::Settings::default());
            (Dht::Kademlia(Box::new(dht)), PubSub::Gossipsub(Box::new(pubsub)))
        } else {
            (Dht::ideal(nodes), PubSub::ideal(neighbours))
        };
        let routes = dht.peers();
        self.services = Some((dht, pubsub));
        self.armed = Nanos::MAX;
        context.emit(Input::Addresses(vec![address_of(node)]));
        context.emit(Input::RoutingTable(routes));
        self.arm(context);
        self.greet(context);
    }

    fn crash(&mut self, context: StationContext<'_, '_>) {
        self.services = None;
        self.life += 1;
        send(context, self.connections.crash());
    }

    fn greet(&mut self, context: StationContext<'_, '_>) {
        send(context, self.connections.greetings(self.life));
        context.set_timer(REDIAL, GREET);
    }

    fn arm(&mut self, context: StationContext<'_, '_>) {
        let Some((dht, pubsub)) = &self.services else { return };
        let soonest = dht.deadline().into_iter().chain(pubsub.deadline()).min();
        if let Some(at) = soonest.filter(|at| *at < self.armed) {
            self.armed = at;
            context.set_timer(at.saturating_sub(context.now()), SERVICES);
        }
    }

    fn in_table(&mut self, context: StationContext<'_, '_>, act: impl FnOnce(&mut Dht, Nanos) -> Vec<Effect>) {
        let Some((dht, _)) = &mut self.services else { return };
        let effects = act(dht, context.now());
        effects.into_iter().for_each(|effect| take_effect(context, effect, |bytes| Frame::Dht { bytes }.encode()));
        self.arm(context);
    }

    fn in_gossip(&mut self, context: StationContext<'_, '_>, act: impl FnOnce(&mut PubSub, Nanos) -> Vec<Effect>) {
        let Some((_, pubsub)) = &mut self.services else { return };
        let effects = act(pubsub, context.now());
        effects.into_iter().for_each(|effect| take_effect(context, effect, |bytes| Frame::Gossip { bytes }.encode()));
        self.arm(context);
    }
}

fn send(context: StationContext<'_, '_>, frames: Vec<(u32, Vec<u8>)>) {
    frames.iter().for_each(|(to, frame)| context.send(*to, frame));
}

fn take_effect(context: StationContext<'_, '_>, effect: Effect, frame: fn(&[u8]) -> Vec<u8>) {
    context.emit(match effect {
        Effect::Send(to, bytes) => return context.send(to, &frame(&bytes)),
        Effect::RecordFound(operation, bytes) => Input::Found { operation: OperationId(operation), bytes },
        Effect::LookupFinished(operation, _) => Input::LookupFinished(OperationId(operation)),
        Effect::PutRequested { id, from, key, bytes, stored } => {
            let subnet = Some(subnet_of(from));
            Input::PutRequested { id: PutId(id), from: peer_id(from), subnet, key, bytes, stored }
        }
        Effect::MessageReceived { id, from, bytes } => Input::Gossip { id: GossipId(id), from: peer_id(from), bytes },
    });
}

impl<const MODELLED: bool> Machine for Station<MODELLED> {
    type Observation = Input;

    fn on_start(&mut self, context: StationContext<'_, '_>) {
        self.boot(context);
    }

    fn on_message(&mut self, context: StationContext<'_, '_>, from: u32, payload: &[u8]) {
        match Frame::decode(payload).expect("stations send frames alone") {
            _ if self.services.is_none() => {}
            Frame::Gossip { bytes } => self.in_gossip(context, |pubsub, now| pubsub.on_message(now, from, bytes)),
            Frame::Dht { bytes } => self.in_table(context, |dht, now| dht.on_message(now, from, bytes)),
            frame => {
                for change in self.connections.on_frame(self.life, from, &frame) {
                    context.emit(match change {
                        Change::Send(to, frame) => {
                            context.send(to, &frame);
                            continue;
                        }
                        Change::Up(peer) => Input::Connected(peer_id(peer)),
                        Change::Down(peer) => Input::Disconnected(peer_id(peer)),
                        Change::Received(from, bytes) => Input::Received { from: peer_id(from), bytes },
                    });
                }
            }
        }
    }

    fn on_timer(&mut self, context: StationContext<'_, '_>, tag: u64) {
        match tag {
            _ if self.services.is_none() => {}
            GREET => self.greet(context),
            _ if self.armed > context.now() => {}
            _ => {
                self.armed = Nanos::MAX;
                self.in_table(context, Dht::on_tick);
                self.in_gossip(context, PubSub::on_tick);
            }
        }
    }
}

/// What a desk asks its station for.
struct Desk<'a, 'b, const MODELLED: bool>(&'a mut Station<MODELLED>, StationContext<'a, 'b>);

impl<const MODELLED: bool> Host for Desk<'_, '_, MODELLED> {
    fn send(&mut self, to: PeerId, bytes: Bytes) {
        let frame = node_of(&to).and_then(|to| Some((to, self.0.connections.direct(to, &bytes)?)));
        send(self.1, frame.into_iter().collect());
    }

    fn subscribe(&mut self, topic: Topic) {
        self.0.in_gossip(self.1, |pubsub, _| pubsub.subscribe(topic.as_str()));
    }

    fn publish(&mut self, topic: Topic, bytes: Bytes) {
        self.0.in_gossip(self.1, |pubsub, now| pubsub.publish(now, topic.as_str(), &bytes));
    }

    fn verdict(&mut self, id: GossipId, verdict: Verdict) {
        self.0.in_gossip(self.1, |pubsub, _| pubsub.report_validation(id.0, verdict));
    }

    fn dial(&mut self, peer: PeerId, _: Vec<Address>) {
        if let Some(peer) = node_of(&peer)
            && self.0.connections.contacts.insert(peer)
        {
            self.0.greet(self.1);
        }
    }

    fn lookup(&mut self, operation: OperationId, key: String) {
        self.0.in_table(self.1, |dht, now| dht.lookup(now, operation.0, &key));
    }

    fn store(&mut self, key: String, value: Bytes, life: Duration) {
        self.0.in_table(self.1, |dht, now| dht.store(now, &key, value, life.as_nanos() as Nanos));
    }

    fn accept_record(&mut self, id: PutId, value: Bytes, life: Duration) {
        self.0.in_table(self.1, |dht, now| {
            dht.resolve_put(now, id.0, Some((value, life.as_nanos() as Nanos)));
            Vec::new()
        });
    }

    fn reject_record(&mut self, id: PutId, _: Refusal) {
        self.0.in_table(self.1, |dht, now| {
            dht.resolve_put(now, id.0, None);
            Vec::new()
        });
    }

    fn remove_record(&mut self, key: String) {
        self.0.in_table(self.1, |dht, _| {
            dht.remove(&key);
            Vec::new()
        });
    }

    // A peer's disk, its signer and its owner are not the network's.
    fn persist(&mut self, _: RecordSequence, _: Vec<u8>, _: Option<Vec<u8>>) {}
    fn sign(&mut self, _: SignRequest) {}
    fn event(&mut self, _: Event) {}
}

impl<const MODELLED: bool> Wire for Simulated<MODELLED> {
    fn start(shape: Shape, count: usize) -> Self {
        let nodes = u32::try_from(count).expect("a few nodes");
        // Later messages may overtake earlier ones.
        let network = NetworkModel::new(nodes, Latency::Uniform { low: 10 * MILLISECOND, span: 30 * MILLISECOND });
        let station = |node| {
            let connections = Connections::new(BTreeSet::new());
            Station { node, nodes, shape, life: 0, connections, services: None, armed: Nanos::MAX }
        };
        let engine = Sequential::new(network, SEED, (0..nodes).map(station).collect());
        Self { engine, told: VecDeque::new(), now: 0 }
    }

    fn peer(&self, node: usize) -> PeerId {
        peer_id(node as u32)
    }

    fn subnet(&self, node: usize) -> Option<Subnet> {
        Some(subnet_of(node as u32))
    }

    fn act(&mut self, node: usize, act: impl FnOnce(&mut dyn Host)) {
        self.engine.inject(node as u32, |station, context| act(&mut Desk(station, context)));
    }

    fn next(&mut self, patience: Duration) -> Option<(usize, Input)> {
        let until = self.now + patience.as_nanos() as Nanos;
        loop {
            let observations = self.engine.take_observations().into_iter();
            self.told.extend(observations.map(|observed| (observed.node as usize, observed.observation)));
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            if !self.engine.step(until) {
                self.now = until;
                return None;
            }
            self.now = self.engine.now();
        }
    }

    fn stop(&mut self, node: usize) {
        self.engine.inject(node as u32, |station, context| station.crash(context));
    }

    fn restart(&mut self, node: usize) {
        self.engine.inject(node as u32, |station, context| station.boot(context));
    }
}
