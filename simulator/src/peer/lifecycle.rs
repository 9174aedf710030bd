//! The life cycle of a peer: it starts, crashes, and handles timers.
//!
//! Invariant: a timer that was set before a crash does nothing after it. Driven by the engine and by the schedule.

use std::sync::Arc;

use nelumbo_core::api::{Config, Input, Phase, RecordSequence};
use nelumbo_core::base::{Entropy, Now};
use nelumbo_core::node::{Boot, BootError, Node};
use nelumbo_core::wire::SessionId;

use super::observation::{NodeFault, Observation};
use super::{Embedder, MakeSoftware, NEVER, Peer, PeerContext, Software, address_of, peer_id};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::network::Path;
use crate::random::Random;
use crate::schedule::{MILLISECOND, Misbehaviour};
use crate::services::{Dht, PubSub};

/// How often a peer tries to connect to those it is not connected to, and how often an adversary sends messages of its
/// own accord.
pub(super) const REDIAL: Nanos = 1000 * MILLISECOND;
pub(super) const INJECTION_INTERVAL: Nanos = 250 * MILLISECOND;
/// How often connections are checked, and after how long without a frame one is given up.
const KEEPALIVE: Nanos = 5000 * MILLISECOND;
pub(super) const GIVE_UP: Nanos = 10_000 * MILLISECOND;

/// What a timer is for: the first byte of its tag. The two bytes after it are the incarnation that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerKind {
    Tick,
    Synced,
    Redial,
    Keepalive,
    Service,
    Inject,
    Schedule,
    Application,
    Circuit,
    Device,
    Wake,
}

impl TimerKind {
    const ALL: [Self; 11] = [
        Self::Tick,
        Self::Synced,
        Self::Redial,
        Self::Keepalive,
        Self::Service,
        Self::Inject,
        Self::Schedule,
        Self::Application,
        Self::Circuit,
        Self::Device,
        Self::Wake,
    ];

    pub(super) fn tag(self, incarnation: u32, value: u64) -> u64 {
        assert!(value < 1 << 40, "a tag has room for 40 bits");
        (self as u64) << 56 | u64::from(incarnation & 0xffff) << 40 | value
    }

    pub(super) fn of(tag: u64) -> (Self, u32, u64) {
        (Self::ALL[(tag >> 56) as usize], (tag >> 40 & 0xffff) as u32, tag & ((1 << 40) - 1))
    }

    /// Its name in traces.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Synced => "synced",
            Self::Redial => "redial",
            Self::Keepalive => "keepalive",
            Self::Service => "service",
            Self::Inject => "inject",
            Self::Schedule => "schedule",
            Self::Application => "application",
            Self::Circuit => "circuit",
            Self::Device => "device",
            Self::Wake => "wake",
        }
    }
}

/// What a node boots with.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) seed: [u8; 32],
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
    config: Arc<Config>,
    now: Now,
}

/// A node, and what embeds it.
type Embedded<V> = (Node<V>, Option<Box<dyn Embedder>>);

impl<C: Crypto> Peer<C> {
    pub(super) fn boot(&mut self, context: PeerContext<'_, '_>) {
        if self.node.is_some() {
            return;
        }
        self.incarnation += 1;
        context.set_network(true);
        let number = u64::from(self.index) << 32 | u64::from(self.incarnation);
        let seed = Random::stream(self.environment.seed_at(context.now()), "boot", number).bytes32();
        let exceeds_limits =
            self.adversary.as_mut().is_some_and(|adversary| adversary.does(Misbehaviour::ExceedLimits));
        let (config, now) = (self.environment.config(exceeds_limits), self.clock.read(context.now()));
        let life = Life { seed, records: self.disk.records(), config, now };
        self.begin_signer(&life, context.now());
        let (node, mut embedder) = match self.make_node(&life) {
            Ok(made) => made,
            Err(error) => return context.emit(Observation::Fault(NodeFault::Boot, error.to_string())),
        };
        self.node = Some(Box::new(node));
        self.application.at_once.extend(embedder.as_mut().map(|embedder| embedder.on_start()).unwrap_or_default());
        self.embedder = embedder;
        self.go_on(context);
    }

    /// A node that begins this life.
    pub(super) fn make_node(&self, life: &Life) -> Result<Embedded<C::V>, BootError> {
        let entropy = Entropy::new(life.seed).expect("a mixed counter is not all zero");
        let boot = Boot {
            message_signer: C::message_signer(&self.message_secret(), entropy.stream("messages"), &self.meter),
            verifier: C::verifier(&self.meter),
            entropy,
            peer: peer_id(self.index),
            records: life.records.clone(),
        };
        let mut node = Node::delegating(life.config.clone(), boot, self.key, life.now)?;
        let software = self.environment.software.as_ref().map(|MakeSoftware(make)| make(self.index));
        let Software { protocols, policy, embedder } = software.unwrap_or_default();
        policy.into_iter().for_each(|policy| node.set_policy(policy));
        for protocol in protocols {
            let name = protocol.name();
            assert!(node.register(protocol).is_ok(), "two protocols are called {name}");
        }
        Ok((node, embedder))
    }

    /// The machine is there, with its node: it connects, and works on.
    pub(super) fn go_on(&mut self, context: PeerContext<'_, '_>) {
        self.services =
            self.environment.services(self.index, self.incarnation, context.now(), self.adversary.as_deref());
        let routes = self.services.as_ref().map_or(0, |services| services.dht.peers());
        context.emit(Observation::Up);
        let sessions = self.node.iter().flat_map(|node| node.view().sessions().collect::<Vec<_>>());
        let sessions: Vec<(SessionId, Phase)> = sessions.map(|session| (session.id, session.phase)).collect();
        if self.incarnation > 1 {
            context.emit(Observation::Restored { wall: self.clock.wall(context.now()), sessions });
        }
        (self.armed, self.busy_until, self.held_since) = (Nanos::MAX, context.now(), NEVER);
        self.settle(context);
        self.input(context, Input::Addresses(vec![address_of(self.index)]));
        self.input(context, Input::RoutingTable(routes));
        if self.environment.schedule.bootstrap > 0 {
            self.in_table(context, Dht::on_tick);
        }
        self.dial(context);
        self.await_device(context);
        if context.network().has_partitions() {
            self.timer(context, KEEPALIVE, TimerKind::Keepalive, 0);
        }
        if self.adversary.as_ref().is_some_and(|adversary| adversary.is_active()) {
            self.timer(context, INJECTION_INTERVAL, TimerKind::Inject, 0);
        }
    }

    pub(super) fn crash(&mut self, context: PeerContext<'_, '_>, silent: bool) {
        if self.node.take().is_none() {
            return;
        }
        self.clock.wake(context.now());
        self.hang_up();
        self.disk.crash(context.now(), &mut self.random);
        let byes = self.connections.crash();
        if !silent {
            self.send_frames(context, byes);
            self.in_table(context, |dht, _| dht.leave());
        }
        self.drop_circuits(context, silent);
        context.set_network(false);
        self.services = None;
        self.signer = None;
        self.application.crash();
        self.embedder = None;
        self.last_sent = None;
        // What is under way belongs to a life that has ended.
        self.incarnation += 1;
        context.emit(Observation::Down);
    }

    pub(super) fn timer(&self, context: PeerContext<'_, '_>, delay: Nanos, kind: TimerKind, value: u64) {
        context.set_timer(delay, kind.tag(self.incarnation, value));
    }

    /// Sets a timer for the node's next deadline, unless an earlier one is set.
    pub(super) fn arm(&mut self, context: PeerContext<'_, '_>) {
        let Some(deadline) = self.node.as_ref().and_then(|node| node.deadline()) else { return };
        let delay = self.clock.until(context.now(), deadline.at).max(1);
        let at = context.now().saturating_add(delay);
        if at < self.armed {
            self.armed = at;
            self.timer(context, delay, TimerKind::Tick, 0);
        }
    }

    pub(super) fn on_timer_kind(&mut self, context: PeerContext<'_, '_>, kind: TimerKind, value: u64) {
        match kind {
            TimerKind::Tick => {
                if context.now() >= self.armed {
                    self.armed = Nanos::MAX;
                    self.input(context, Input::Tick);
                }
            }
            TimerKind::Synced => {
                // A disk that has filled up meanwhile takes it later.
                let full = self.disk.full_until.saturating_sub(context.now());
                if full > 0 {
                    return self.timer(context, full, TimerKind::Synced, value);
                }
                self.synced(context, RecordSequence::from_u64(value));
                self.settle(context);
            }
            TimerKind::Redial => {
                self.connections.redials = false;
                self.dial(context);
            }
            TimerKind::Keepalive => {
                let now = context.now();
                let is_dead = |peer: &u32| {
                    let network = context.network();
                    // Who talks on a circuit hears nothing when the relay is out of reach.
                    let next = match network.path(self.index, *peer, || false) {
                        Path::Relayed(relay) => relay,
                        Path::Direct | Path::Unreachable => *peer,
                    };
                    network.cut_since(now, self.index, next).is_some_and(|since| now - since >= GIVE_UP)
                };
                let dead: Vec<u32> = self.connections.up.keys().copied().filter(is_dead).collect();
                dead.into_iter().for_each(|peer| self.disconnect(context, peer));
                self.timer(context, KEEPALIVE, TimerKind::Keepalive, 0);
            }
            TimerKind::Service => {
                if let Some(services) = self.services.as_mut().filter(|services| services.armed <= context.now()) {
                    services.armed = Nanos::MAX;
                    self.in_table(context, Dht::on_tick);
                    self.in_gossip(context, PubSub::on_tick);
                }
            }
            TimerKind::Inject => self.inject(context),
            TimerKind::Application => self.application_acts(context),
            TimerKind::Circuit => self.expire_circuits(context),
            TimerKind::Device => self.device_acts(context, value > 0),
            TimerKind::Wake => self.wake_up(context),
            TimerKind::Schedule => {}
        }
    }

    fn inject(&mut self, context: PeerContext<'_, '_>) {
        let Some(adversary) = &mut self.adversary else { return };
        if adversary.does(Misbehaviour::ClockManipulation) {
            self.clock.ahead = self.random.within(0, 600_000_000) as i64 - 300_000_000;
        }
        let peers: Vec<u32> = self.connections.up.keys().copied().collect();
        let wall = self.clock.read(context.now()).wall;
        let own = peer_id(self.index);
        for bytes in adversary.inject::<C>(&self.secret, own, wall, &mut self.random) {
            if let Some(to) = peers.get(self.random.below(peers.len() as u64) as usize) {
                self.send_direct(context, *to, &bytes);
            }
        }
        if !peers.is_empty() {
            let victim = peers[self.random.below(peers.len() as u64) as usize];
            let (_, key) = self.environment.key::<C>(victim);
            let request = self
                .adversary
                .as_mut()
                .and_then(|adversary| adversary.pester::<C>(&self.secret, key, wall, &mut self.random));
            request.iter().for_each(|bytes| self.send_direct(context, victim, bytes));
        }
        self.input(context, Input::Tick);
        if context.now() < self.environment.injects_until {
            self.timer(context, INJECTION_INTERVAL, TimerKind::Inject, 0);
        }
    }
}
