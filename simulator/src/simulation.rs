//! The engine: one queue of what will happen, and the nodes it happens to.
//!
//! Invariant: events run in the order (time, causing node, that node's count), which depends on nothing but the
//! options and the calls made.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, CommandId, Event, Input, RecordSequence};
use nelumbo_core::base::{Bytes, Mono, Now, Wall};
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::host::drain;
use nelumbo_core::node::Node;
use nelumbo_core::wire::{Address, PeerId};

use crate::checkers::Nonces;
use crate::machine::{Machine, Wish};
use crate::options::Options;
use crate::random::Random;

/// When the simulated calendar begins: 2026-01-01 UTC, in milliseconds.
const WALL_ORIGIN: u64 = 1_767_225_600_000;

/// An event with when and at which node it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Virtual time since the start.
    pub at: Duration,
    /// The node's index.
    pub node: usize,
    /// The event.
    pub event: Event,
}

/// What happens to a node.
#[derive(Debug)]
enum Happening {
    Input(Input),
    Synced(RecordSequence),
    Boot,
}

/// Orders happenings: when, caused by whom, that node's count.
type Key = (u64, usize, u64);

/// A world of nodes in virtual time.
pub struct Simulation {
    options: Options,
    now: u64,
    machines: Vec<Machine>,
    by_peer: BTreeMap<PeerId, usize>,
    queue: BTreeMap<Key, (usize, u64, Happening)>,
    counts: Vec<u64>,
    network: Vec<Random>,
    seen: VecDeque<Seen>,
    cut: Vec<bool>,
    messages: u64,
    steps: u64,
    nonces: Nonces,
    violations: Vec<String>,
}

impl Simulation {
    /// A world in which all nodes have booted, are connected to each other, and know each other's keys.
    pub fn new(options: Options) -> Self {
        let machines: Vec<Machine> = (0..options.nodes).map(|index| Machine::new(options.seed, index)).collect();
        let by_peer = machines.iter().enumerate().map(|(index, machine)| (machine.peer, index)).collect();
        let network = (0..options.nodes).map(|index| Random::stream(options.seed, "network", index as u64)).collect();
        let mut simulation = Self {
            now: 0,
            by_peer,
            queue: BTreeMap::new(),
            counts: vec![0; options.nodes],
            network,
            seen: VecDeque::new(),
            cut: vec![false; options.nodes],
            messages: 0,
            steps: 0,
            nonces: Nonces::default(),
            violations: Vec::new(),
            machines,
            options,
        };
        let (loss, duplication) = (simulation.options.loss, simulation.options.duplication);
        (simulation.options.loss, simulation.options.duplication) = (0, 0);
        for index in 0..simulation.machines.len() {
            simulation.boot(index);
        }
        simulation.run_for(Duration::from_secs(1));
        (simulation.options.loss, simulation.options.duplication) = (loss, duplication);
        simulation.seen.clear();
        simulation.messages = 0;
        simulation
    }

    /// A node's key.
    pub fn key(&self, node: usize) -> PublicKey {
        self.machines[node].key
    }

    /// A running node.
    ///
    /// # Panics
    /// When it has crashed.
    pub fn node(&self, node: usize) -> &Node {
        self.machines[node].node.as_ref().expect("the node is running")
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// How many direct messages have been sent since the start.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Runs until a node tells something, for at most `limit` and unless `stop` holds before. The world stands still at
    /// that moment, so that an answer takes no virtual time.
    pub fn next_event(&mut self, limit: Duration, mut stop: impl FnMut(&Self) -> bool) -> Option<Seen> {
        self.run_until(limit, |simulation| !simulation.seen.is_empty() || stop(simulation));
        self.seen.pop_front()
    }

    /// How many things have happened since the start.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What the checkers have found. Empty unless the core is broken.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Gives a running node a command.
    ///
    /// # Errors
    /// What the node says.
    pub fn command(&mut self, node: usize, command: Command) -> Result<CommandId, CommandError> {
        let now = self.clocks();
        let result = self.machines[node].node.as_mut().expect("the node is running").command(now, command);
        self.settle(node);
        result
    }

    /// Stops a node at once; its peers see the connections close.
    pub fn crash(&mut self, node: usize) {
        self.machines[node].crash();
        self.disconnect(node);
    }

    /// Starts a crashed node again, with what its disk holds.
    pub fn restart(&mut self, node: usize) {
        self.schedule(node, node, Duration::ZERO, Happening::Boot);
    }

    /// Cuts a node off from all others, or ends that.
    pub fn cut(&mut self, node: usize, cut: bool) {
        self.cut[node] = cut;
        if cut {
            self.disconnect(node);
        } else {
            self.connect(node);
        }
    }

    /// Runs until the condition holds, for at most `limit`, and says whether it does.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now.saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        while !done(self) {
            let queued = self.queue.first_key_value().map(|(key, _)| key.0);
            let timer = self.next_timer();
            // At one moment, what was under way comes before what time alone brings about.
            let (at, ticking) = match (queued, timer) {
                (None, None) => break,
                (Some(at), Some((timer, node))) if timer < at => (timer, Some(node)),
                (Some(at), _) => (at, None),
                (None, Some((timer, node))) => (timer, Some(node)),
            };
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.steps += 1;
            match ticking {
                Some(node) => self.input(node, Input::Tick),
                None => self.step(),
            }
        }
        let is_done = done(self);
        if !is_done {
            self.now = end;
        }
        is_done
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    fn next_timer(&self) -> Option<(u64, usize)> {
        let deadlines = self.machines.iter().enumerate();
        deadlines.filter_map(|(index, machine)| Some((machine.node.as_ref()?.deadline()?.at.as_nanos(), index))).min()
    }

    fn step(&mut self) {
        let Some((_, (node, life, happening))) = self.queue.pop_first() else { return };
        match happening {
            Happening::Boot => self.boot(node),
            _ if self.machines[node].life != life || self.machines[node].node.is_none() => {}
            Happening::Input(input) => self.input(node, input),
            Happening::Synced(sequence) => {
                self.machines[node].sync(sequence);
                self.input(node, Input::Persisted(sequence));
            }
        }
    }

    fn boot(&mut self, node: usize) {
        let now = self.clocks();
        self.machines[node].boot(&self.options, now);
        self.settle(node);
        let address = Address::from_bytes(vec![1]).expect("one byte is an address");
        self.input(node, Input::Addresses(vec![address]));
        self.connect(node);
    }

    /// Connects a node to all others that are up and not cut off.
    fn connect(&mut self, node: usize) {
        for other in 0..self.machines.len() {
            let is_up = self.machines[other].node.is_some() && !self.cut[other];
            if other != node && is_up && self.machines[node].node.is_some() && !self.cut[node] {
                self.input(node, Input::Connected(self.machines[other].peer));
                self.input(other, Input::Connected(self.machines[node].peer));
            }
        }
    }

    fn disconnect(&mut self, node: usize) {
        let peer = self.machines[node].peer;
        for other in 0..self.machines.len() {
            if other != node {
                self.input(other, Input::Disconnected(peer));
                self.input(node, Input::Disconnected(self.machines[other].peer));
            }
        }
    }

    /// Gives a node an input, if it is running.
    fn input(&mut self, node: usize, input: Input) {
        let now = self.clocks();
        if let Some(running) = self.machines[node].node.as_mut() {
            running.handle(now, input);
            self.settle(node);
        }
    }

    /// Turns what a node has asked for into happenings.
    fn settle(&mut self, node: usize) {
        let Machine { node: running, asked, .. } = &mut self.machines[node];
        if let Some(running) = running {
            drain(running, asked);
        }
        let (wishes, events) = self.machines[node].take();
        let at = self.now();
        self.seen.extend(events.into_iter().map(|event| Seen { at, node, event }));
        for wish in wishes {
            match wish {
                Wish::Persist(sequence) => {
                    self.schedule(node, node, self.options.disk, Happening::Synced(sequence));
                }
                Wish::Send(to, bytes) => self.send(node, to, bytes),
                Wish::Lookup(operation) => {
                    self.schedule(node, node, self.options.latency, Happening::Input(Input::LookupFinished(operation)));
                }
            }
        }
    }

    fn send(&mut self, from: usize, to: PeerId, bytes: Bytes) {
        self.messages += 1;
        self.violations.extend(self.nonces.sent(&bytes).err());
        let Some(&receiver) = self.by_peer.get(&to) else { return };
        if self.cut[from] || self.cut[receiver] {
            return;
        }
        let random = &mut self.network[from];
        let thousandth = |random: &mut Random| random.below(1000) as u32;
        let is_lost = thousandth(random) < self.options.loss;
        let is_doubled = thousandth(random) < self.options.duplication;
        let jitter = u64::try_from(self.options.jitter.as_nanos()).unwrap_or(u64::MAX);
        let delays = [random.below(jitter), random.below(jitter)];
        for delay in delays.into_iter().take(usize::from(!is_lost) + usize::from(is_doubled)) {
            let input = Input::Received { from: self.machines[from].peer, bytes: bytes.clone() };
            let delay = self.options.latency + Duration::from_nanos(delay);
            self.schedule(from, receiver, delay, Happening::Input(input));
        }
    }

    fn schedule(&mut self, by: usize, node: usize, delay: Duration, happening: Happening) {
        let at = self.now.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
        self.counts[by] += 1;
        let life = self.machines[node].life;
        self.queue.insert((at, by, self.counts[by]), (node, life, happening));
    }

    fn clocks(&self) -> Now {
        Now { mono: Mono::from_nanos(self.now), wall: Wall::from_millis(WALL_ORIGIN + self.now / 1_000_000) }
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation")
            .field("now", &self.now())
            .field("nodes", &self.machines.len())
            .finish_non_exhaustive()
    }
}
