//! A simulation of any machines on a simulated network, with checks and metrics.
//!
//! Invariant: the outcome of a simulation depends on the network, the seed and the machines alone, not on the engine,
//! the number of threads, or who observes. Nodes run through this like a researcher's own machines: see
//! [`run`](crate::run).

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checkers::Violation;
use crate::engine::{Machine, Nanos, Observed, Progress, Sequential, Stats, Windowed};
use crate::network::NetworkModel;

/// How to run a simulation. The outcome is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In windows, on this many threads.
    Windowed(usize),
    /// In global order.
    Sequential,
}

/// How many violations are kept, the first ones.
pub(crate) const KEPT: usize = 100;

type Look<'w, N> = Box<dyn FnMut(&Observed<N>) -> Result<(), String> + 'w>;

/// A simulation that is about to run.
pub struct Simulation<'w, M: Machine> {
    network: NetworkModel,
    seed: u64,
    engine: Engine,
    machines: Vec<M>,
    checks: Vec<(String, Look<'w, M::Observation>)>,
    run_while: Box<dyn FnMut(Progress) -> bool + 'w>,
}

/// A simulation that has no machines yet.
#[derive(Debug)]
pub struct Builder {
    network: NetworkModel,
    seed: u64,
    engine: Engine,
}

/// The outcome of a simulation.
#[derive(Debug)]
pub struct Outcome<M> {
    /// The machines as they are at the end; none after a panic.
    pub machines: Vec<M>,
    /// Counts of what has happened, and the trace hash.
    pub stats: Stats,
    /// What checks have found. A panic inside a machine is a finding like any other.
    pub violations: Vec<Violation>,
    /// How much virtual time has passed: as much as was asked for, unless it was ended early.
    pub passed: Nanos,
}

impl Simulation<'_, ()> {
    /// A simulation on this network, with seed 0, in windows on one thread.
    #[must_use]
    pub const fn builder(network: NetworkModel) -> Builder {
        Builder { network, seed: 0, engine: Engine::Windowed(1) }
    }
}

impl Builder {
    /// The seed of every random choice of the network.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How to run it.
    #[must_use]
    pub const fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Creates the machine of each node of the network, given its number.
    #[must_use]
    pub fn machines<'w, M: Machine>(self, make: impl FnMut(u32) -> M) -> Simulation<'w, M> {
        let Self { network, seed, engine } = self;
        let machines = (0..network.nodes()).map(make).collect();
        Simulation { network, seed, engine, machines, checks: Vec::new(), run_while: Box::new(|_| true) }
    }
}

impl<'w, M: Machine + Send> Simulation<'w, M> {
    /// The machines.
    #[must_use]
    pub fn machines(&self) -> &[M] {
        &self.machines
    }

    /// Adds a check: it sees the observations of machines in the order of events, and returns in words what is wrong.
    #[must_use]
    pub fn check(mut self, name: &str, see: impl FnMut(&Observed<M::Observation>) -> Result<(), String> + 'w) -> Self {
        self.checks.push((name.to_owned(), Box::new(see)));
        self
    }

    /// Adds a metric: it sees the observations of machines in the order of events.
    #[must_use]
    pub fn measure(self, mut see: impl FnMut(&Observed<M::Observation>) + 'w) -> Self {
        self.check("", move |observed| {
            see(observed);
            Ok(())
        })
    }

    /// Ends the simulation early when this returns false. It is called now and then.
    #[must_use]
    pub fn run_while(mut self, run_while: impl FnMut(Progress) -> bool + 'w) -> Self {
        self.run_while = Box::new(run_while);
        self
    }

    /// Runs everything that happens before `until`.
    ///
    /// A network whose least latency is zero has no windows, and runs in global order whatever the engine.
    #[must_use]
    pub fn run(self, until: Nanos) -> Outcome<M> {
        let Self { network, seed, engine, machines, mut checks, mut run_while } = self;
        let mut violations = Vec::new();
        let mut last = Progress::default();
        let mut is_whole = true;
        let mut show = |observations: &mut Vec<Observed<M::Observation>>, progress| {
            last = progress;
            for observed in observations.drain(..) {
                for (name, see) in &mut checks {
                    if let Err(what) = see(&observed)
                        && violations.len() < KEPT
                    {
                        violations.push(Violation::at(name, &observed, what));
                    }
                }
            }
            is_whole = run_while(progress);
            if is_whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let ran = catch_unwind(AssertUnwindSafe(|| match engine {
            Engine::Windowed(threads) if network.least_latency() > 0 => {
                Windowed::new(network, seed, machines).threads(threads).run(until, &mut show)
            }
            _ => in_sequence(Sequential::new(network, seed, machines), until, &mut show),
        }));
        let passed = if is_whole { until } else { last.at };
        let (machines, stats) = ran.unwrap_or_else(|panic| {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            let what = what.to_owned();
            violations.push(Violation { checker: "panic".into(), at: last.at, node: None, event: None, what });
            (Vec::new(), Stats::default())
        });
        Outcome { machines, stats, violations, passed }
    }
}

fn in_sequence<M: Machine>(
    mut engine: Sequential<M>,
    until: Nanos,
    show: &mut impl FnMut(&mut Vec<Observed<M::Observation>>, Progress) -> ControlFlow<()>,
) -> (Vec<M>, Stats) {
    while show(&mut engine.take_observations(), engine.progress()).is_continue() && engine.step(until) {}
    let stats = engine.stats();
    (engine.into_machines(), stats)
}

impl<M: Machine> std::fmt::Debug for Simulation<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let machines = self.machines.len();
        f.debug_struct("Simulation").field("seed", &self.seed).field("machines", &machines).finish_non_exhaustive()
    }
}
