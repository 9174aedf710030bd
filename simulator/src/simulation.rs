//! Any machines in a world, with whoever checks and measures.
//!
//! Invariant: what comes of a simulation depends on the world, the seed and the machines alone, not on the engine, the
//! number of threads, or who watches. Nodes run through this like a researcher's own machines: see
//! [`run`](crate::run).

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checkers::Violation;
use crate::engine::{Global, Machine, Nanos, Noted, Pulse, Tally, Windowed};
use crate::world::World;

/// How to run a simulation. The outcome is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In windows, on this many threads.
    Windowed(usize),
    /// In global order.
    Global,
}

/// How many violations are kept: the first ones tell.
pub(crate) const KEPT: usize = 100;

type Look<'w, N> = Box<dyn FnMut(&Noted<N>) -> Result<(), String> + 'w>;

/// A simulation that is about to run.
pub struct Simulation<'w, M: Machine> {
    world: World,
    seed: u64,
    engine: Engine,
    machines: Vec<M>,
    checks: Vec<(String, Look<'w, M::Note>)>,
    go_on: Box<dyn FnMut(Pulse) -> bool + 'w>,
}

/// A simulation that has no machines yet.
#[derive(Debug)]
pub struct Builder {
    world: World,
    seed: u64,
    engine: Engine,
}

/// What came of a simulation.
#[derive(Debug)]
pub struct Outcome<M> {
    /// The machines as they are at the end; none after a panic.
    pub machines: Vec<M>,
    /// What has happened, in numbers, with the trace hash.
    pub tally: Tally,
    /// What checks have found. A panic inside a machine is a finding like any other.
    pub violations: Vec<Violation>,
    /// How much time has passed: as much as was asked for, unless somebody ended it before.
    pub passed: Nanos,
}

impl Simulation<'_, ()> {
    /// A simulation in this world, with seed 0, in windows on one thread.
    #[must_use]
    pub const fn builder(world: World) -> Builder {
        Builder { world, seed: 0, engine: Engine::Windowed(1) }
    }
}

impl Builder {
    /// What every random choice of the network follows from.
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

    /// Puts a machine at each place of the world.
    #[must_use]
    pub fn machines<'w, M: Machine>(self, make: impl FnMut(u32) -> M) -> Simulation<'w, M> {
        let Self { world, seed, engine } = self;
        let machines = (0..world.nodes()).map(make).collect();
        Simulation { world, seed, engine, machines, checks: Vec::new(), go_on: Box::new(|_| true) }
    }
}

impl<'w, M: Machine + Send> Simulation<'w, M> {
    /// The machines.
    #[must_use]
    pub fn machines(&self) -> &[M] {
        &self.machines
    }

    /// Adds a check: it sees what machines tell, in the order of events, and says in words what is wrong with it.
    #[must_use]
    pub fn check(mut self, name: &str, see: impl FnMut(&Noted<M::Note>) -> Result<(), String> + 'w) -> Self {
        self.checks.push((name.to_owned(), Box::new(see)));
        self
    }

    /// Adds a metric: it sees what machines tell, in the order of events.
    #[must_use]
    pub fn measure(self, mut see: impl FnMut(&Noted<M::Note>) + 'w) -> Self {
        self.check("", move |noted| {
            see(noted);
            Ok(())
        })
    }

    /// Ends the simulation early when this, asked now and then, says no.
    #[must_use]
    pub fn go_on(mut self, go_on: impl FnMut(Pulse) -> bool + 'w) -> Self {
        self.go_on = Box::new(go_on);
        self
    }

    /// Runs everything that happens before `until`.
    ///
    /// A world without a least latency has no windows: it runs in global order in any case.
    #[must_use]
    pub fn run(self, until: Nanos) -> Outcome<M> {
        let Self { world, seed, engine, machines, mut checks, mut go_on } = self;
        let mut violations = Vec::new();
        let mut last = Pulse::default();
        let mut is_whole = true;
        let mut show = |notes: &mut Vec<Noted<M::Note>>, pulse| {
            last = pulse;
            for noted in notes.drain(..) {
                for (name, see) in &mut checks {
                    if let Err(what) = see(&noted)
                        && violations.len() < KEPT
                    {
                        violations.push(Violation::at(name, &noted, what));
                    }
                }
            }
            is_whole = go_on(pulse);
            if is_whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let ran = catch_unwind(AssertUnwindSafe(|| match engine {
            Engine::Windowed(threads) if world.least_latency() > 0 => {
                Windowed::new(world, seed, machines).threads(threads).run(until, &mut show)
            }
            _ => in_global_order(Global::new(world, seed, machines), until, &mut show),
        }));
        let passed = if is_whole { until } else { last.at };
        let (machines, tally) = ran.unwrap_or_else(|panic| {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            let what = what.to_owned();
            violations.push(Violation { checker: "panic".into(), at: last.at, node: None, event: None, what });
            (Vec::new(), Tally::default())
        });
        Outcome { machines, tally, violations, passed }
    }
}

fn in_global_order<M: Machine>(
    mut engine: Global<M>,
    until: Nanos,
    show: &mut impl FnMut(&mut Vec<Noted<M::Note>>, Pulse) -> ControlFlow<()>,
) -> (Vec<M>, Tally) {
    while show(&mut engine.take_notes(), engine.pulse()).is_continue() && engine.step(until) {}
    let tally = engine.tally();
    (engine.into_machines(), tally)
}

impl<M: Machine> std::fmt::Debug for Simulation<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let machines = self.machines.len();
        f.debug_struct("Simulation").field("seed", &self.seed).field("machines", &machines).finish_non_exhaustive()
    }
}
