//! A simulation in the caller's hands: nodes under real cryptography, in global order, with commands, crashes and cuts
//! at any moment.
//!
//! Invariant: the caller acts between two events, and an answer takes no virtual time. For everything that can be
//! written down in advance there is [`run`](crate::run::run).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nelumbo_core::api::{Command, CommandError, CommandId, Event};
use nelumbo_core::crypto::PublicKey;
use nelumbo_core::node::Node;

use crate::checkers::{Violation, Watch, all};
use crate::crypto::Real;
use crate::engine::{Global, Nanos};
use crate::options::Options;
use crate::peer::{Note, Peer, Plan};
use crate::run::facts;
use crate::world::{Latency, Members, Partition, Spell, Way, Weather, World};

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

/// A world of nodes in virtual time.
pub struct Simulation {
    engine: Global<Peer<Real>>,
    watch: Watch,
    seen: VecDeque<Seen>,
    sent_before: u64,
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Simulation {
    /// A world in which all nodes have booted, are connected to each other, and know each other's keys.
    ///
    /// # Panics
    /// When there are more nodes than can be numbered.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (mut schedule, config) = options.schedule();
        // Sessions come from the caller, and so does the end.
        schedule.until_ms = 0;
        let seed = schedule.seed;
        let nodes = schedule.nodes;
        let plan = Arc::new(Plan::new(schedule.clone(), Some(config), true));
        let peers: Vec<Peer<Real>> = (0..nodes).map(|node| Peer::new(plan.clone(), node)).collect();
        let watch = Watch::new(facts::<Real>(&schedule, &peers), all());
        let (low, span) = (nanos(options.latency), nanos(options.jitter));
        let world = World::new(nodes, Latency::Uniform { low, span });
        let engine = Global::new(world, seed, peers);
        let mut simulation = Self { engine, watch, seen: VecDeque::new(), sent_before: 0 };
        simulation.run_for(Duration::from_secs(1));
        let (loss, duplication) = (options.loss * 1000, options.duplication * 1000);
        let weather = Weather { loss, duplication, ..Weather::default() };
        simulation.engine.world_mut().spells_mut().push(Spell { from: 0, until: Nanos::MAX, weather });
        simulation.seen.clear();
        simulation.sent_before = simulation.sent();
        simulation
    }

    fn sent(&self) -> u64 {
        self.engine.machines().map(Peer::sent).sum()
    }

    /// A node's key.
    #[must_use]
    pub fn key(&self, node: usize) -> PublicKey {
        self.engine.machine(node as u32).key()
    }

    /// A running node.
    ///
    /// # Panics
    /// When it has crashed.
    #[must_use]
    pub fn node(&self, node: usize) -> &Node {
        self.engine.machine(node as u32).node().expect("the node is running")
    }

    /// Virtual time since the start.
    #[must_use]
    pub const fn now(&self) -> Duration {
        Duration::from_nanos(self.engine.now())
    }

    /// How many direct messages nodes have sent since the start.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.sent() - self.sent_before
    }

    /// Runs until a node tells something, for at most `limit` and unless `stop` holds before. The world stands still at
    /// that moment, so that an answer takes no virtual time.
    pub fn next_event(&mut self, limit: Duration, mut stop: impl FnMut(&Self) -> bool) -> Option<Seen> {
        self.run_until(limit, |simulation| !simulation.seen.is_empty() || stop(simulation));
        self.seen.pop_front()
    }

    /// How many things have happened since the start.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.engine.counts().events
    }

    /// What the checkers have found. Empty unless the core is broken.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.watch.violations
    }

    /// Gives a running node a command.
    ///
    /// # Errors
    /// What the node says.
    pub fn command(&mut self, node: usize, command: Command) -> Result<CommandId, CommandError> {
        let result = self.engine.interfere(node as u32, |peer, context| peer.command(context, command));
        self.take_notes();
        result
    }

    /// Stops a node at once; its peers see the connections close.
    pub fn crash(&mut self, node: usize) {
        self.engine.interfere(node as u32, |peer, context| peer.crash(context, false));
        self.take_notes();
    }

    /// Starts a crashed node again, with what its disk holds.
    pub fn restart(&mut self, node: usize) {
        self.engine.interfere(node as u32, |peer, context| peer.boot(context));
        self.take_notes();
    }

    /// Cuts a node off from all others, or ends that. Connections close at once.
    pub fn cut(&mut self, node: usize, cut: bool) {
        let node = node as u32;
        let members = Members::collect([node]);
        let from = self.engine.now();
        let partitions = self.engine.world_mut().partitions_mut();
        partitions.retain(|partition| partition.members != members);
        if cut {
            partitions.push(Partition { from, until: Nanos::MAX, members, way: Way::Both, flapping: 0 });
            let nodes = self.engine.machines().len() as u32;
            for other in (0..nodes).filter(|other| *other != node) {
                self.engine.interfere(node, |peer, context| peer.disconnect(context, other));
                self.engine.interfere(other, |peer, context| peer.disconnect(context, node));
            }
        }
        self.take_notes();
    }

    /// Runs until the condition holds, for at most `limit`, and says whether it does.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.engine.now().saturating_add(nanos(limit));
        while !done(self) {
            if !self.engine.step(end.saturating_add(1)) {
                self.engine.pass(end);
                return done(self);
            }
            self.take_notes();
        }
        true
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    fn take_notes(&mut self) {
        for noted in self.engine.take_notes() {
            self.watch.see(&noted);
            if let Note::Event(event) = noted.note {
                let at = Duration::from_nanos(noted.stamp.at);
                self.seen.push_back(Seen { at, node: noted.node as usize, event });
            }
        }
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation").field("engine", &self.engine).finish_non_exhaustive()
    }
}
