//! One simulated peer: a node of the core with its disk, its clocks, its transport and its owner.
//!
//! Invariant: the node meets the world through its outputs and its inputs alone, as in production;
//! what a life of it has not finished when it ends does not reach the next. Driven by the engine.

mod clock;
mod connections;
mod deeds;
mod disk;
mod frame;
mod life;
mod names;
mod note;
mod outputs;
mod owner;
mod plan;
mod relay;
mod transport;

use std::sync::Arc;

use nelumbo_core::base::Bytes;
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::node::Node;
use nelumbo_core::wire::Body;

use crate::crypto::{Crypto, Meter};
use crate::engine::{Context, Machine, Nanos};
use crate::network::{Dht, PubSub};
use crate::random::Random;
use crate::schedule::Deed;
use clock::Clock;
pub use connections::{Change, Connections};
use deeds::Deeds;
use disk::Disk;
pub use frame::Frame;
use life::Purpose;
use owner::Owner;
use relay::Circuits;

pub use names::{node_of, peer_id};
pub use note::{Arrival, Note, Passage, Trouble, kind_of};
pub(crate) use plan::Plan;

type Port<'a, 'b> = &'a mut Context<'b, Note>;

/// A simulated peer.
pub struct Peer<C: Crypto> {
    plan: Arc<Plan>,
    index: u32,
    secret: [u8; 32],
    key: PublicKey,
    node: Option<Box<Node<C::V>>>,
    life: u32,
    /// When the earliest tick that is under way is due.
    armed: Nanos,
    /// Until when the processor is busy with cryptography.
    busy_until: Nanos,
    /// What its cryptography was charged, in all its lives.
    charged: Nanos,
    disk: Disk,
    clock: Clock,
    connections: Connections,
    /// The circuits of others, where the machine relays.
    circuits: Option<Box<Circuits>>,
    /// The network's services, while the node is running.
    services: Option<Box<Services>>,
    owner: Owner,
    deeds: Option<Box<Deeds>>,
    random: Random,
    meter: Meter,
    last_sent: Option<Bytes>,
}

/// A peer's part in the network's services.
#[derive(Debug)]
struct Services {
    dht: Dht,
    /// How many peers the node was told that it can route to.
    routes: usize,
    pubsub: PubSub,
    /// When the earliest time of theirs that is under way is due.
    armed: Nanos,
}

impl<C: Crypto> Peer<C> {
    pub(crate) fn new(plan: Arc<Plan>, index: u32) -> Self {
        let (secret, key) = plan.key::<C>(index);
        let connections = Connections::new(plan.contacts(index));
        let disk = Disk::new(plan.schedule.disk_us * 1000);
        Self {
            random: Random::stream(plan.schedule.seed, "peer", u64::from(index)),
            meter: plan.meter(),
            plan,
            index,
            secret,
            key,
            node: None,
            life: 0,
            armed: Nanos::MAX,
            busy_until: 0,
            charged: 0,
            disk,
            clock: Clock::default(),
            connections,
            circuits: None,
            services: None,
            owner: Owner::default(),
            deeds: None,
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

    /// For how long its processor was busy with cryptography, in all its lives.
    pub(crate) const fn charged(&self) -> Nanos {
        self.charged
    }

    /// The deeds that were done since the last look.
    pub(crate) fn take_deeds(&mut self) -> impl Iterator<Item = (Deed, u64)> {
        let mut done = self.deeds.as_mut().map(|deeds| std::mem::take(&mut deeds.done)).unwrap_or_default();
        if let (Some(deeds), Some(services)) = (&self.deeds, &mut self.services) {
            let misdeeds = services.dht.take_misdeeds();
            let of = [Deed::Eclipse, Deed::Poison].into_iter().find(|deed| deeds.is(*deed));
            done.extend(of.filter(|_| misdeeds > 0).map(|deed| (deed, misdeeds)));
        }
        done.into_iter()
    }
}

impl<C: Crypto> Machine for Peer<C> {
    type Note = Note;

    fn on_start(&mut self, context: &mut Context<'_, Note>) {
        let plan = self.plan.clone();
        for (at, step) in plan.steps_of(self.index) {
            if at == 0 {
                self.on_step(context, step);
            } else {
                context.set_timer(at, Purpose::Plan.tag(0, step as u64));
            }
        }
        if !plan.is_copy(self.index) {
            self.boot(context);
        }
    }

    fn on_message(&mut self, context: &mut Context<'_, Note>, from: u32, payload: &[u8]) {
        let frame = Frame::decode(payload).expect("peers send frames alone");
        if self.plan.traced {
            context.note(Note::Arrived(Arrival::message(&frame, payload)));
        }
        match frame {
            Frame::Snapshot { node, records } => self.adopt(context, node, records),
            _ if self.node.is_none() => {}
            frame => self.on_frame(context, from, &frame),
        }
    }

    fn on_timer(&mut self, context: &mut Context<'_, Note>, tag: u64) {
        let (purpose, life, value) = Purpose::of(tag);
        let is_ours = purpose == Purpose::Plan || (life == self.life & 0xffff && self.node.is_some());
        if self.plan.traced {
            context.note(Note::Arrived(Arrival::timer(purpose.name(), is_ours)));
        }
        match purpose {
            Purpose::Plan => self.on_step(context, value as usize),
            _ if is_ours => self.on_purpose(context, purpose, value),
            _ => {}
        }
    }
}

/// The author's message inside, if these bytes are one.
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
