//! One simulated peer: a node of the core with its disk, its clocks, its transport and its embedder.
//!
//! Invariant: the node is driven through its inputs and outputs alone, as in production; what is unfinished when it
//! crashes does not reach it after the restart. Driven by the engine.

mod adversary;
mod application;
mod clock;
mod connections;
mod device;
mod disk;
mod environment;
mod frame;
mod lifecycle;
mod memory;
mod names;
mod observation;
mod outputs;
mod relay;
mod sleep;
mod software;
mod transport;

use std::sync::Arc;

use nelumbo_core::base::{Bytes, Wall};
use nelumbo_core::crypto::{PublicKey, Signer};
use nelumbo_core::node::Node;
use nelumbo_core::wire::Body;

use crate::crypto::{Crypto, Meter};
use crate::engine::{Context, Machine, Nanos};
use crate::random::Random;
use crate::schedule::Misbehaviour;
use crate::services::{Dht, PubSub};
use adversary::Adversary;
use application::Application;
use clock::Clock;
pub use connections::{Change, Connections};
use device::Device;
use disk::Disk;
pub use frame::Frame;
use lifecycle::TimerKind;
use memory::History;
use relay::Circuits;

pub(crate) use clock::WALL_ORIGIN;
pub(crate) use environment::Environment;
pub use names::{address_of, node_of, peer_id, subnet_of};
pub use observation::{Arrival, NatEvent, NodeFault, Observation, kind_of};
pub(crate) use software::MakeSoftware;
pub use software::{Embedder, Software};

/// A time that no clock shows.
const NEVER: Wall = Wall::from_millis(u64::MAX);

type PeerContext<'a, 'b> = &'a mut Context<'b, Observation>;

/// A simulated peer.
pub struct Peer<C: Crypto> {
    environment: Arc<Environment>,
    index: u32,
    secret: [u8; 32],
    key: PublicKey,
    /// Whether it speaks with a message key.
    delegates: bool,
    node: Option<Box<Node<C::V>>>,
    /// What has its key, while it is running.
    signer: Option<Box<dyn Signer<C::V> + Send>>,
    /// What has it instead, whether the node is running or not.
    device: Option<Box<Device<C>>>,
    /// What its node has been given, where that is looked at again.
    history: Option<Box<History>>,
    incarnation: u32,
    /// When the earliest timer that is set for the node is due.
    armed: Nanos,
    /// Until when the processor is busy with cryptography.
    busy_until: Nanos,
    /// The time that its cryptography was charged, over all restarts.
    charged: Nanos,
    disk: Disk,
    clock: Clock,
    /// Since when, by the wall clock, outputs have been waiting for the disk; the end of time while none do.
    held_since: Wall,
    connections: Connections,
    /// The circuits of others, where the machine relays.
    circuits: Option<Box<Circuits>>,
    /// The network's services, while the node is running.
    services: Option<Box<Services>>,
    application: Application,
    embedder: Option<Box<dyn Embedder>>,
    adversary: Option<Box<Adversary>>,
    random: Random,
    meter: Meter,
    last_sent: Option<Bytes>,
}

/// A peer's side of the network's services.
#[derive(Debug)]
struct Services {
    dht: Dht,
    /// The size of the routing table that the node was told last.
    routes: usize,
    pubsub: PubSub,
    /// When the earliest timer that is set for the services is due.
    armed: Nanos,
}

impl<C: Crypto> Peer<C> {
    pub(crate) fn new(environment: Arc<Environment>, index: u32) -> Self {
        let (secret, key) = environment.key::<C>(index);
        let connections = Connections::new(environment.contacts(index));
        let disk = Disk::new(environment.schedule.disk_us * 1000);
        Self {
            random: Random::stream(environment.schedule.seed, "peer", u64::from(index)),
            meter: environment.meter(),
            environment,
            index,
            secret,
            key,
            delegates: false,
            node: None,
            signer: None,
            device: None,
            history: None,
            incarnation: 0,
            armed: Nanos::MAX,
            busy_until: 0,
            charged: 0,
            disk,
            clock: Clock::default(),
            held_since: NEVER,
            connections,
            circuits: None,
            services: None,
            application: Application::default(),
            embedder: None,
            adversary: None,
            last_sent: None,
        }
    }

    /// The peer's signing key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// The node, while it is running.
    #[must_use]
    pub fn node(&self) -> Option<&Node<C::V>> {
        self.node.as_deref()
    }

    /// For how long its processor was busy with cryptography, over all restarts.
    pub(crate) const fn charged(&self) -> Nanos {
        self.charged
    }

    /// The misbehaviours that were done since this was last called.
    pub(crate) fn take_misbehaviours(&mut self) -> impl Iterator<Item = (Misbehaviour, u64)> {
        let mut done = self.adversary.as_mut().map(|adversary| std::mem::take(&mut adversary.done)).unwrap_or_default();
        if let (Some(adversary), Some(services)) = (&self.adversary, &mut self.services) {
            let misbehaviours = services.dht.take_misbehaviours();
            let of = [Misbehaviour::Eclipse, Misbehaviour::Poison]
                .into_iter()
                .find(|misbehaviour| adversary.is(*misbehaviour));
            done.extend(of.filter(|_| misbehaviours > 0).map(|misbehaviour| (misbehaviour, misbehaviours)));
        }
        done.into_iter()
    }
}

impl<C: Crypto> Machine for Peer<C> {
    type Observation = Observation;

    fn on_start(&mut self, context: &mut Context<'_, Observation>) {
        let environment = self.environment.clone();
        for (at, step) in environment.steps_of(self.index) {
            if at == 0 {
                self.on_step(context, step);
            } else {
                context.set_timer(at, TimerKind::Schedule.tag(0, step as u64));
            }
        }
        if environment.is_late(self.index) {
            context.set_network(false);
        } else {
            self.boot(context);
        }
    }

    fn on_message(&mut self, context: &mut Context<'_, Observation>, from: u32, payload: &[u8]) {
        let key = self.environment.key_at(context.now());
        self.random.switch(key);
        self.hear(context, from, payload);
        self.random.switch(key);
    }

    fn on_disconnected(&mut self, context: &mut Context<'_, Observation>, peer: u32) {
        if self.node.is_some() {
            self.disconnect(context, peer);
        }
    }

    fn on_timer(&mut self, context: &mut Context<'_, Observation>, tag: u64) {
        let key = self.environment.key_at(context.now());
        self.random.switch(key);
        self.on_time(context, tag);
        self.random.switch(key);
    }
}

impl<C: Crypto> Peer<C> {
    fn hear(&mut self, context: PeerContext<'_, '_>, from: u32, payload: &[u8]) {
        let frame = Frame::decode(payload).expect("peers send frames alone");
        if self.environment.traced {
            context.emit(Observation::Arrived(Arrival::message(&frame, payload)));
        }
        match frame {
            Frame::Snapshot { node, records } => self.adopt(context, node, records),
            _ if self.node.is_none() || self.clock.is_asleep() => {}
            frame => self.on_frame(context, from, &frame),
        }
    }

    fn on_time(&mut self, context: PeerContext<'_, '_>, tag: u64) {
        let (kind, incarnation, value) = TimerKind::of(tag);
        let is_ours = kind == TimerKind::Schedule || (incarnation == self.incarnation & 0xffff && self.node.is_some());
        if self.environment.traced {
            context.emit(Observation::Arrived(Arrival::timer(kind.name(), is_ours)));
        }
        if self.clock.is_asleep() && self.sleeps_through(kind, value as usize) {
            let wakes = self.clock.asleep_until().saturating_sub(context.now()).max(1);
            return context.set_timer(wakes, tag);
        }
        match kind {
            TimerKind::Schedule => self.on_step(context, value as usize),
            _ if is_ours => self.on_timer_kind(context, kind, value),
            _ => {}
        }
    }
}

/// The session's message in these bytes with its author, if they are one.
pub(crate) fn session_step(bytes: &Bytes) -> Option<(PublicKey, nelumbo_core::wire::SessionMessage)> {
    let message = nelumbo_core::wire::Message::decode(bytes.clone()).ok()?;
    match message.unsigned.body {
        Body::Session(step) => Some((message.unsigned.author, step)),
        _ => None,
    }
}

impl<C: Crypto> std::fmt::Debug for Peer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("index", &self.index).field("key", &self.key).finish_non_exhaustive()
    }
}
