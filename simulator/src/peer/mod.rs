//! One simulated peer: a node of the core with its disk, its clocks, its transport and its owner.
//!
//! Invariant: the node meets the world through [`Host`](nelumbo_core::host::Host) and its inputs alone, as in production;
//! what a life of it has not finished when it ends does not reach the next. Driven by the engine.

mod clock;
mod deeds;
mod disk;
mod frame;
mod host;
mod network;
mod note;
mod owner;
mod plan;

use std::sync::Arc;

use nelumbo_core::api::{Command, CommandError, CommandId, Event, Input, OperationId, RecordSequence};
use nelumbo_core::base::{Bytes, Entropy};
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::host::drain;
use nelumbo_core::node::{Boot, Node};
use nelumbo_core::wire::{Address, Body};

use crate::crypto::{Crypto, Meter};
use crate::engine::{Context, Machine, Nanos};
use crate::random::Random;
use crate::schedule::{Deed, MILLISECOND};
use crate::world::Care;
use clock::Clock;
use deeds::Deeds;
use disk::Disk;
use frame::Frame;
use host::{Wish, Wishes};
use network::{Frames, Network};

pub(crate) use host::{node_of, peer_id};
pub use note::{Note, Trouble};
pub(crate) use plan::Plan;

/// How often a peer tries to connect to those it is not connected to, and how often an adversary strikes.
const REDIAL: Nanos = 1000 * MILLISECOND;
const STRIKE: Nanos = 250 * MILLISECOND;
/// How often connections are looked after, and after how long without a sign of life one is given up.
const KEEPALIVE: Nanos = 5000 * MILLISECOND;
const GIVE_UP: Nanos = 10_000 * MILLISECOND;
/// How long a lookup waits for its last answer.
const LOOKUP: Nanos = 2000 * MILLISECOND;

/// What a timer is for: a tag's first byte. The two after it are the life that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Tick,
    Synced,
    Redial,
    Keepalive,
    Lookup,
    Strike,
    Plan,
    Owner,
}

impl Purpose {
    const ALL: [Self; 8] =
        [Self::Tick, Self::Synced, Self::Redial, Self::Keepalive, Self::Lookup, Self::Strike, Self::Plan, Self::Owner];

    fn tag(self, life: u32, value: u64) -> u64 {
        assert!(value < 1 << 40, "a tag has room for 40 bits");
        (self as u64) << 56 | u64::from(life & 0xffff) << 40 | value
    }

    fn of(tag: u64) -> (Self, u32, u64) {
        (Self::ALL[(tag >> 56) as usize], (tag >> 40 & 0xffff) as u32, tag & ((1 << 40) - 1))
    }
}

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
    disk: Disk,
    clock: Clock,
    network: Network,
    mesh: Vec<u32>,
    owner: owner::Owner,
    deeds: Option<Box<Deeds>>,
    random: Random,
    meter: Meter,
    wishes: Wishes,
    last_sent: Option<Bytes>,
    sent: u64,
}

impl<C: Crypto> Peer<C> {
    pub(crate) fn new(plan: Arc<Plan>, index: u32) -> Self {
        let (secret, key) = plan.key::<C>(index);
        let network = Network::new(plan.contacts(index));
        let disk = Disk::new(plan.schedule.disk_us * 1000);
        Self {
            mesh: plan.mesh(index),
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
            disk,
            clock: Clock::default(),
            network,
            owner: owner::Owner::default(),
            deeds: None,
            wishes: Wishes::default(),
            last_sent: None,
            sent: 0,
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

    /// How many direct messages the node has sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn boot(&mut self, context: Port<'_, '_>) {
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
        context.note(Note::Up);
        let sessions = self.node.iter().flat_map(|node| node.view().sessions().collect::<Vec<_>>());
        for session in sessions.filter(|session| session.signature.is_some()) {
            context.note(Note::Remembers(session.id));
        }
        (self.armed, self.busy_until) = (Nanos::MAX, context.now());
        self.settle(context);
        let address = Address::from_bytes(self.index.to_le_bytes().to_vec()).expect("four bytes are an address");
        self.input(context, Input::Addresses(vec![address]));
        self.input(context, Input::RoutingTable(context.world().nodes() as usize - 1));
        self.send_frames(context, self.network.greetings(self.life));
        self.timer(context, REDIAL, Purpose::Redial, 0);
        if context.world().has_partitions() {
            self.timer(context, KEEPALIVE, Purpose::Keepalive, 0);
        }
        if self.deeds.as_ref().is_some_and(|deeds| deeds.is_restless()) {
            self.timer(context, STRIKE, Purpose::Strike, 0);
        }
    }

    pub(crate) fn crash(&mut self, context: Port<'_, '_>, silent: bool) {
        if self.node.take().is_none() {
            return;
        }
        self.disk.crash(context.now(), &mut self.random);
        if !silent {
            self.send_frames(context, self.network.up.keys().map(|peer| (*peer, Frame::Bye.encode())).collect());
        }
        self.network.crash();
        self.owner = owner::Owner::default();
        self.wishes.0.clear();
        self.last_sent = None;
        // What is under way belongs to a life that has ended.
        self.life += 1;
        context.note(Note::Down);
    }

    /// Gives the node a command of its owner.
    pub(crate) fn command(&mut self, context: Port<'_, '_>, command: Command) -> Result<CommandId, CommandError> {
        let now = self.clock.read(context.now());
        let result = self.node.as_mut().expect("the node is running").command(now, command);
        self.settle(context);
        result
    }

    /// Gives the node an input, if it is running.
    fn input(&mut self, context: Port<'_, '_>, input: Input) {
        let now = self.clock.read(context.now());
        if let Some(node) = &mut self.node {
            node.handle(now, input);
            self.settle(context);
        }
    }

    /// Does what the node wants, and what its owner wants of that, until nothing is left.
    fn settle(&mut self, context: Port<'_, '_>) {
        loop {
            let Some(node) = &mut self.node else { return };
            drain(&mut **node, &mut self.wishes);
            if self.wishes.0.is_empty() {
                // What the owner answers on the spot takes no time.
                let Some(command) = self.owner.at_once.pop_front() else { break };
                let _refused = node.command(self.clock.read(context.now()), command).is_err();
                continue;
            }
            let cost = self.meter.take();
            if cost > 0 {
                self.busy_until = self.busy_until.max(context.now()) + cost;
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
                if peer < context.world().nodes() && peer != self.index && self.network.contacts.insert(peer) {
                    self.send_frames(context, self.network.greetings(self.life));
                }
            }
            Wish::Publish(bytes) => {
                let frames = self.network.publish(&bytes, &self.mesh);
                self.send_frames(context, frames);
            }
            Wish::Verdict(id, verdict) => {
                let frames = self.network.judged(id, verdict, &self.mesh);
                self.send_frames(context, frames);
            }
            Wish::Lookup(operation, key) => {
                let frames = self.network.look_up(operation, &key, context.world().nodes());
                self.send_frames(context, frames);
                self.timer(context, LOOKUP, Purpose::Lookup, operation.0);
            }
            Wish::Store(key, value) => {
                let frames = self.network.store(&key, &value, context.world().nodes());
                self.send_frames(context, frames);
            }
            Wish::Event(event) => self.on_event(context, event),
        }
    }

    fn synced(&mut self, context: Port<'_, '_>, sequence: RecordSequence) {
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
        if !self.plan.manual {
            self.owner_hears(context, &event);
        }
        context.note(Note::Event(event));
    }

    /// How long the processor is still busy.
    fn computes(&self, context: Port<'_, '_>) -> Nanos {
        self.busy_until.saturating_sub(context.now())
    }

    /// Sends a message of the node.
    fn send(&mut self, context: Port<'_, '_>, to: u32, bytes: Bytes) {
        self.sent += 1;
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

    fn send_direct(&mut self, context: Port<'_, '_>, to: u32, bytes: &Bytes) {
        if let Some(frame) = self.network.direct(to, bytes) {
            let busy = self.computes(context);
            let is_repeated = self.plan.repeats_presences && is_presence(bytes);
            context.send_after(busy, to, &frame, if is_repeated { Care::Again } else { Care::Once });
        }
    }

    fn send_frame(&self, context: Port<'_, '_>, to: u32, frame: &Frame<'_>) {
        let busy = self.computes(context);
        context.send_after(busy, to, &frame.encode(), Care::Again);
    }

    fn send_frames(&self, context: Port<'_, '_>, frames: Frames) {
        let busy = self.computes(context);
        for (to, frame) in frames {
            context.send_after(busy, to, &frame, Care::Again);
        }
    }

    fn timer(&self, context: Port<'_, '_>, delay: Nanos, purpose: Purpose, value: u64) {
        context.set_timer(delay, purpose.tag(self.life, value));
    }

    /// Sees to it that a tick comes when the node wants one.
    fn arm(&mut self, context: Port<'_, '_>) {
        let Some(deadline) = self.node.as_ref().and_then(|node| node.deadline()) else { return };
        let delay = self.clock.until(context.now(), deadline.at).max(1);
        let at = context.now().saturating_add(delay);
        if at < self.armed {
            self.armed = at;
            self.timer(context, delay, Purpose::Tick, 0);
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

    fn on_connected(&mut self, context: Port<'_, '_>, from: u32, life: u32) {
        match self.network.up.insert(from, life) {
            Some(before) if before == life => return,
            Some(_) => self.input(context, Input::Disconnected(peer_id(from))),
            None => {}
        }
        self.input(context, Input::Connected(peer_id(from)));
    }

    /// The greeting has been answered and the answer has arrived: both ends are connected.
    fn on_thanks(&mut self, context: Port<'_, '_>, from: u32, life: u32) {
        if self.network.greeted.get(&from) == Some(&life) {
            self.network.greeted.remove(&from);
            self.on_connected(context, from, life);
        }
    }

    pub(crate) fn disconnect(&mut self, context: Port<'_, '_>, from: u32) {
        if self.network.up.remove(&from).is_some() {
            self.input(context, Input::Disconnected(peer_id(from)));
        }
    }

    fn on_frame(&mut self, context: Port<'_, '_>, from: u32, frame: &Frame<'_>) {
        match *frame {
            Frame::Hello { life } => {
                self.network.greeted.insert(from, life);
                self.send_frame(context, from, &Frame::Welcome { life: self.life });
            }
            Frame::Welcome { life } => {
                self.send_frame(context, from, &Frame::Thanks { life: self.life });
                self.on_connected(context, from, life);
            }
            Frame::Thanks { life } => self.on_thanks(context, from, life),
            Frame::Bye => self.disconnect(context, from),
            Frame::Direct { life, bytes } => {
                // It can overtake the thanks: who knows this life has been welcomed.
                if life == self.life
                    && let Some(greeted) = self.network.greeted.get(&from)
                {
                    self.on_thanks(context, from, *greeted);
                }
                if life == self.life && self.network.up.contains_key(&from) {
                    let bytes = frame::shared(bytes);
                    if let Some(deeds) = &mut self.deeds {
                        deeds.remember(&bytes);
                    }
                    self.input(context, Input::Received { from: peer_id(from), bytes });
                } else {
                    self.send_frame(context, from, &Frame::Bye);
                }
            }
            Frame::Gossip { bytes } => {
                let bytes = frame::shared(bytes);
                if let Some(id) = self.network.gossip(from, &bytes) {
                    self.input(context, Input::Gossip { from: peer_id(from), id, bytes });
                }
            }
            Frame::Store { key, value } => self.network.keep(key, value),
            Frame::Find { operation, key } => {
                self.send_frames(context, vec![(from, self.network.find(operation, key))]);
            }
            Frame::Found { operation, value } => {
                let operation = OperationId(operation);
                if let Some(is_last) = self.network.answered(operation) {
                    if !value.is_empty() {
                        self.input(context, Input::Found { operation, bytes: frame::shared(value) });
                    }
                    if is_last {
                        self.input(context, Input::LookupFinished(operation));
                    }
                }
            }
            Frame::Snapshot { .. } => {}
        }
    }

    fn on_purpose(&mut self, context: Port<'_, '_>, purpose: Purpose, value: u64) {
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
                if self.network.is_lacking() {
                    self.send_frames(context, self.network.greetings(self.life));
                }
                self.timer(context, REDIAL, Purpose::Redial, 0);
            }
            Purpose::Keepalive => {
                let now = context.now();
                let is_dead = |peer: &u32| {
                    context.world().cut_since(now, self.index, *peer).is_some_and(|since| now - since >= GIVE_UP)
                };
                let dead: Vec<u32> = self.network.up.keys().copied().filter(is_dead).collect();
                dead.into_iter().for_each(|peer| self.disconnect(context, peer));
                self.timer(context, KEEPALIVE, Purpose::Keepalive, 0);
            }
            Purpose::Lookup => {
                if self.network.give_up(OperationId(value)) {
                    self.input(context, Input::LookupFinished(OperationId(value)));
                }
            }
            Purpose::Strike => self.strike(context),
            Purpose::Owner => self.owner_acts(context),
            Purpose::Plan => {}
        }
    }

    fn strike(&mut self, context: Port<'_, '_>) {
        let Some(deeds) = &mut self.deeds else { return };
        if deeds.does(Deed::TimeGames) {
            self.clock.ahead = self.random.within(0, 600_000_000) as i64 - 300_000_000;
        }
        let peers: Vec<u32> = self.network.up.keys().copied().collect();
        for bytes in deeds.strike(&mut self.random) {
            if let Some(to) = peers.get(self.random.below(peers.len() as u64) as usize) {
                self.send_direct(context, *to, &bytes);
            }
        }
        self.input(context, Input::Tick);
        if context.now() < self.plan.strikes_until {
            self.timer(context, STRIKE, Purpose::Strike, 0);
        }
    }

    /// The deeds that were done since the last look.
    pub(crate) fn take_deeds(&mut self) -> impl Iterator<Item = (Deed, u64)> {
        self.deeds.as_mut().map(|deeds| std::mem::take(&mut deeds.done)).unwrap_or_default().into_iter()
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
        match frame {
            Frame::Snapshot { node, records } => self.adopt(context, node, records),
            _ if self.node.is_none() => {}
            frame => self.on_frame(context, from, &frame),
        }
    }

    fn on_timer(&mut self, context: &mut Context<'_, Note>, tag: u64) {
        let (purpose, life, value) = Purpose::of(tag);
        if purpose == Purpose::Plan {
            self.on_step(context, value as usize);
        } else if life == self.life & 0xffff && self.node.is_some() {
            self.on_purpose(context, purpose, value);
        }
    }
}

fn is_presence(bytes: &Bytes) -> bool {
    nelumbo_core::wire::Message::decode(bytes.clone())
        .is_ok_and(|message| matches!(message.unsigned.body, Body::Presence(_)))
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
