//! How a peer lives: it boots and crashes, and timers tell it of time.
//!
//! Invariant: a timer that another life has set does nothing. Driven by the engine and by the schedule.

use nelumbo_core::api::{Input, RecordSequence};
use nelumbo_core::base::Entropy;
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::Address;

use super::note::{Note, Trouble};
use super::owner::Owner;
use super::{Peer, Port, peer_id};
use crate::crypto::Crypto;
use crate::engine::Nanos;
use crate::network::{Dht, PubSub};
use crate::random::Random;
use crate::schedule::{Deed, MILLISECOND};
use crate::world::Road;

/// How often a peer tries to connect to those it is not connected to, and how often an adversary strikes.
pub(super) const REDIAL: Nanos = 1000 * MILLISECOND;
pub(super) const STRIKE: Nanos = 250 * MILLISECOND;
/// How often connections are looked after, and after how long without a sign of life one is given up.
const KEEPALIVE: Nanos = 5000 * MILLISECOND;
const GIVE_UP: Nanos = 10_000 * MILLISECOND;

/// What a timer is for: a tag's first byte. The two after it are the life that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Tick,
    Synced,
    Redial,
    Keepalive,
    Service,
    Strike,
    Plan,
    Owner,
    Circuit,
}

impl Purpose {
    const ALL: [Self; 9] = [
        Self::Tick,
        Self::Synced,
        Self::Redial,
        Self::Keepalive,
        Self::Service,
        Self::Strike,
        Self::Plan,
        Self::Owner,
        Self::Circuit,
    ];

    pub(super) fn tag(self, life: u32, value: u64) -> u64 {
        assert!(value < 1 << 40, "a tag has room for 40 bits");
        (self as u64) << 56 | u64::from(life & 0xffff) << 40 | value
    }

    pub(super) fn of(tag: u64) -> (Self, u32, u64) {
        (Self::ALL[(tag >> 56) as usize], (tag >> 40 & 0xffff) as u32, tag & ((1 << 40) - 1))
    }

    /// What traces call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Synced => "synced",
            Self::Redial => "redial",
            Self::Keepalive => "keepalive",
            Self::Service => "service",
            Self::Strike => "strike",
            Self::Plan => "plan",
            Self::Owner => "owner",
            Self::Circuit => "circuit",
        }
    }
}

impl<C: Crypto> Peer<C> {
    pub(super) fn boot(&mut self, context: Port<'_, '_>) {
        if self.node.is_some() {
            return;
        }
        self.life += 1;
        let number = u64::from(self.index) << 32 | u64::from(self.life);
        let seed = Random::stream(self.plan.schedule.seed, "boot", number).bytes32();
        let entropy = Entropy::new(seed).expect("a mixed counter is not all zero");
        let (signer, verifier) = C::boot(&self.secret, entropy.stream("signer"), &self.meter);
        let boot = Boot { signer, verifier, entropy, peer: peer_id(self.index), records: self.disk.records() };
        let hoards = self.deeds.as_mut().is_some_and(|deeds| deeds.does(Deed::Hoard));
        match Node::new(self.plan.config(hoards), boot, self.clock.read(context.now())) {
            Ok(node) => self.node = Some(Box::new(node)),
            Err(error) => return context.note(Note::Trouble(Trouble::Boot, error.to_string())),
        }
        self.services = self.plan.services(self.index, self.life, context.now(), self.deeds.as_deref());
        let routes = self.services.as_ref().map_or(0, |services| services.dht.peers());
        context.note(Note::Up);
        let sessions = self.node.iter().flat_map(|node| node.view().sessions().collect::<Vec<_>>());
        for session in sessions.filter(|session| session.signature.is_some()) {
            context.note(Note::Remembers(session.id));
        }
        (self.armed, self.busy_until) = (Nanos::MAX, context.now());
        self.settle(context);
        let address = Address::from_bytes(self.index.to_le_bytes().to_vec()).expect("four bytes are an address");
        self.input(context, Input::Addresses(vec![address]));
        self.input(context, Input::RoutingTable(routes));
        if self.plan.schedule.bootstrap > 0 {
            self.in_table(context, Dht::on_time);
        }
        self.dial(context);
        if context.world().has_partitions() {
            self.timer(context, KEEPALIVE, Purpose::Keepalive, 0);
        }
        if self.deeds.as_ref().is_some_and(|deeds| deeds.is_restless()) {
            self.timer(context, STRIKE, Purpose::Strike, 0);
        }
    }

    pub(super) fn crash(&mut self, context: Port<'_, '_>, silent: bool) {
        if self.node.take().is_none() {
            return;
        }
        self.disk.crash(context.now(), &mut self.random);
        let byes = self.connections.crash();
        if !silent {
            self.send_frames(context, byes);
            self.in_table(context, |dht, _| dht.leave());
        }
        self.drop_circuits(context, silent);
        self.services = None;
        self.owner = Owner::default();
        self.last_sent = None;
        // What is under way belongs to a life that has ended.
        self.life += 1;
        context.note(Note::Down);
    }

    pub(super) fn timer(&self, context: Port<'_, '_>, delay: Nanos, purpose: Purpose, value: u64) {
        context.set_timer(delay, purpose.tag(self.life, value));
    }

    /// Sees to it that a tick comes when the node wants one.
    pub(super) fn arm(&mut self, context: Port<'_, '_>) {
        let Some(deadline) = self.node.as_ref().and_then(|node| node.deadline()) else { return };
        let delay = self.clock.until(context.now(), deadline.at).max(1);
        let at = context.now().saturating_add(delay);
        if at < self.armed {
            self.armed = at;
            self.timer(context, delay, Purpose::Tick, 0);
        }
    }

    pub(super) fn on_purpose(&mut self, context: Port<'_, '_>, purpose: Purpose, value: u64) {
        match purpose {
            Purpose::Tick => {
                if context.now() >= self.armed {
                    self.armed = Nanos::MAX;
                    self.input(context, Input::Tick);
                }
            }
            Purpose::Synced => {
                // A disk that has filled up meanwhile takes it later.
                let full = self.disk.full_until.saturating_sub(context.now());
                if full > 0 {
                    return self.timer(context, full, Purpose::Synced, value);
                }
                self.synced(context, RecordSequence::from_u64(value));
                self.settle(context);
            }
            Purpose::Redial => {
                self.connections.redials = false;
                self.dial(context);
            }
            Purpose::Keepalive => {
                let now = context.now();
                let is_dead = |peer: &u32| {
                    let world = context.world();
                    // Who talks on a circuit hears nothing when the relay is out of reach.
                    let next = match world.road(self.index, *peer, || false) {
                        Road::Relayed(relay) => relay,
                        Road::Direct | Road::Closed => *peer,
                    };
                    world.cut_since(now, self.index, next).is_some_and(|since| now - since >= GIVE_UP)
                };
                let dead: Vec<u32> = self.connections.up.keys().copied().filter(is_dead).collect();
                dead.into_iter().for_each(|peer| self.disconnect(context, peer));
                self.timer(context, KEEPALIVE, Purpose::Keepalive, 0);
            }
            Purpose::Service => {
                if let Some(services) = self.services.as_mut().filter(|services| services.armed <= context.now()) {
                    services.armed = Nanos::MAX;
                    self.in_table(context, Dht::on_time);
                    self.in_gossip(context, PubSub::on_time);
                }
            }
            Purpose::Strike => self.strike(context),
            Purpose::Owner => self.owner_acts(context),
            Purpose::Circuit => self.expire_circuits(context),
            Purpose::Plan => {}
        }
    }

    fn strike(&mut self, context: Port<'_, '_>) {
        let Some(deeds) = &mut self.deeds else { return };
        if deeds.does(Deed::TimeGames) {
            self.clock.ahead = self.random.within(0, 600_000_000) as i64 - 300_000_000;
        }
        let peers: Vec<u32> = self.connections.up.keys().copied().collect();
        let wall = self.clock.read(context.now()).wall;
        for bytes in deeds.strike::<C>(&self.secret, wall, &mut self.random) {
            if let Some(to) = peers.get(self.random.below(peers.len() as u64) as usize) {
                self.send_direct(context, *to, &bytes);
            }
        }
        self.input(context, Input::Tick);
        if context.now() < self.plan.strikes_until {
            self.timer(context, STRIKE, Purpose::Strike, 0);
        }
    }
}
