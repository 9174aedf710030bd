//! From a schedule to what came of it.
//!
//! Invariant: the outcome depends on the schedule alone, not on the engine, the number of threads or who watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nelumbo_core::api::{AttemptFailure, Event};
use nelumbo_core::wire::SessionId;

use crate::checkers::{Checker, Facts, Watch, all};
use crate::creations::Creations;
use crate::crypto::{Crypto, Real, Toy};
use crate::engine::{Nanos, Noted, Pulse, Tally};
use crate::peer::{Note, Peer, Plan};
use crate::schedule::{CryptoChoice, Happening, MILLISECOND, Schedule};
use crate::simulation::Simulation;
use crate::summary::{Percentiles, Sessions, Summary};

pub use crate::simulation::Engine;

/// How long after everything has healed everything honest must have come to its end.
pub const HEALING_MS: u64 = 1_200_000;

type Measure<'r> = Box<dyn FnMut(&Noted<Note>) + 'r>;

/// A schedule that is about to run.
pub struct Run<'r> {
    schedule: &'r Schedule,
    engine: Engine,
    checkers: Vec<Box<dyn Checker>>,
    traced: bool,
    measures: Vec<Measure<'r>>,
    go_on: Box<dyn FnMut(Pulse) -> bool + 'r>,
}

/// Runs a schedule with all checkers.
#[must_use]
pub fn run(schedule: &Schedule, engine: Engine) -> Summary {
    Run::new(schedule).engine(engine).summary()
}

impl<'r> Run<'r> {
    /// Runs this schedule in windows on one thread, with all checkers.
    #[must_use]
    pub fn new(schedule: &'r Schedule) -> Self {
        let (engine, checkers) = (Engine::Windowed(1), all());
        Self { schedule, engine, checkers, traced: false, measures: Vec::new(), go_on: Box::new(|_| true) }
    }

    /// How to run it.
    #[must_use]
    pub const fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Adds a checker to those of this crate.
    #[must_use]
    pub fn checker(mut self, checker: Box<dyn Checker>) -> Self {
        self.checkers.push(checker);
        self
    }

    /// Adds a metric: it sees what nodes tell, in the order of events.
    #[must_use]
    pub fn measure(mut self, see: impl FnMut(&Noted<Note>) + 'r) -> Self {
        self.measures.push(Box::new(see));
        self
    }

    /// Adds a metric that also sees each event that arrives at a node, as [`Note::Arrived`].
    #[must_use]
    pub fn trace(mut self, see: impl FnMut(&Noted<Note>) + 'r) -> Self {
        self.traced = true;
        self.measure(see)
    }

    /// Ends the run early when this, asked now and then, says no.
    #[must_use]
    pub fn go_on(mut self, go_on: impl FnMut(Pulse) -> bool + 'r) -> Self {
        self.go_on = Box::new(go_on);
        self
    }

    /// Runs it.
    #[must_use]
    pub fn summary(self) -> Summary {
        match self.schedule.crypto {
            CryptoChoice::Real => self.summary_with::<Real>(),
            CryptoChoice::Toy | CryptoChoice::ToyCharged => self.summary_with::<Toy>(),
        }
    }

    /// Runs it with this cryptography, whatever the schedule says.
    #[must_use]
    pub fn summary_with<C: Crypto>(self) -> Summary {
        let Self { schedule, engine, checkers, traced, mut measures, go_on } = self;
        let world = schedule.world();
        let one_way = world.mean_latency();
        let plan = Arc::new(Plan::new(schedule.clone(), traced).with_names::<C>());
        let builder = Simulation::builder(world).seed(schedule.seed).engine(engine);
        let simulation = builder.machines(|node| Peer::<C>::new(plan.clone(), node)).go_on(go_on);
        let mut record = Record::new(Watch::new(facts::<C>(schedule, simulation.machines()), checkers));
        let until = schedule.until_ms * MILLISECOND;
        let outcome = simulation
            .measure(|noted| {
                record.see(noted);
                measures.iter_mut().for_each(|see| see(noted));
            })
            .run(until);
        record.watch.violations.extend(outcome.violations);
        if outcome.passed == until && !outcome.machines.is_empty() {
            record.watch.end(until);
        }
        record.summary(schedule, outcome.tally, outcome.machines, outcome.passed, one_way)
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("schedule", &self.schedule.scenario).finish_non_exhaustive()
    }
}

/// What checkers know before anything has happened.
fn facts<C: Crypto>(schedule: &Schedule, peers: &[Peer<C>]) -> Facts {
    let mut honest = vec![true; peers.len()];
    let mut copies = BTreeSet::new();
    for step in &schedule.steps {
        match &step.happening {
            Happening::Deed { node, broken: false, .. } => honest[*node as usize] = false,
            // With two lives at once, what is said with one key is nobody's fault any more.
            Happening::Fork { node, copy } => {
                (honest[*node as usize], honest[*copy as usize]) = (false, false);
                copies.insert(*copy);
            }
            _ => {}
        }
    }
    let nodes = (0..).zip(peers).filter(|(node, _)| !copies.contains(node)).map(|(node, peer)| (peer.key(), node));
    let has_time = schedule.until_ms >= schedule.healed_ms() + HEALING_MS;
    Facts { honest, nodes: nodes.collect(), sessions: BTreeMap::new(), is_final: C::is_final, has_time }
}

/// What is remembered of a run.
struct Record {
    watch: Watch,
    created: BTreeMap<SessionId, Nanos>,
    completed: BTreeMap<SessionId, BTreeSet<u32>>,
    latencies: Vec<Nanos>,
    reasons: BTreeMap<String, u64>,
    creations: Creations,
    hops: Vec<f64>,
    passages: BTreeMap<String, u64>,
    failovers: u64,
    broadcasts: u64,
}

impl Record {
    fn new(watch: Watch) -> Self {
        Self {
            watch,
            created: BTreeMap::new(),
            completed: BTreeMap::new(),
            latencies: Vec::new(),
            reasons: BTreeMap::new(),
            creations: Creations::default(),
            hops: Vec::new(),
            passages: BTreeMap::new(),
            failovers: 0,
            broadcasts: 0,
        }
    }

    fn see(&mut self, noted: &Noted<Note>) {
        self.watch.see(noted);
        if let Some((session, creation)) = self.creations.see(noted) {
            self.created.entry(session).or_insert(creation.asked_at);
        }
        let at = noted.stamp.at;
        match &noted.note {
            Note::LookedUp(trip) => self.hops.push(f64::from(trip.hops)),
            Note::Passage(passage) => *self.passages.entry(passage.name().into()).or_default() += 1,
            Note::Asked(None) => *self.reasons.entry("refused-command".into()).or_default() += 1,
            Note::Remembers(session) => drop(self.completed.entry(*session).or_default().insert(noted.node)),
            Note::Event(event) => self.on_event(at, noted.node, event),
            _ => {}
        }
    }

    fn on_event(&mut self, at: Nanos, node: u32, event: &Event) {
        match event {
            Event::SessionCompleted { session, .. } => {
                if self.completed.entry(*session).or_default().insert(node)
                    && let Some(since) = self.created.get(session)
                {
                    self.latencies.push(at - since);
                }
            }
            Event::AttemptFailed { failure, .. } => {
                let reason = match failure {
                    AttemptFailure::InvalidPartial(_) => "invalid-partial",
                    AttemptFailure::InvalidNonce(_) => "invalid-nonce",
                    AttemptFailure::SplitView(_) => "split-view",
                    AttemptFailure::NoncesCancel => "nonces-cancel",
                    AttemptFailure::Stuck(_) => "stuck",
                    AttemptFailure::Signer => "signer",
                };
                *self.reasons.entry(reason.into()).or_default() += 1;
            }
            Event::SessionAborted { .. } => *self.reasons.entry("aborted".into()).or_default() += 1,
            Event::SessionExpired { .. } => *self.reasons.entry("expired".into()).or_default() += 1,
            Event::CoordinatorFailed { .. } => self.failovers += 1,
            Event::ShouldBroadcast { .. } => self.broadcasts += 1,
            _ => {}
        }
    }

    fn summary<C: Crypto>(
        self,
        schedule: &Schedule,
        tally: Tally,
        peers: Vec<Peer<C>>,
        passed: Nanos,
        one_way: Nanos,
    ) -> Summary {
        let (mut deeds, mut refusals, mut crypto_ns) = (BTreeMap::new(), 0, 0);
        for mut peer in peers {
            crypto_ns += peer.charged();
            refusals += peer.node().map_or(0, |node| node.view().refusals().total());
            for (deed, count) in peer.take_deeds() {
                *deeds.entry(deed).or_default() += count;
            }
        }
        let facts = &self.watch.facts;
        let is_complete = |session: &&SessionId| {
            let completed = self.completed.get(session);
            let signers = facts.sessions.get(session).map(|definition| definition.keys.as_slice()).unwrap_or_default();
            let mut honest = signers.iter().filter_map(|key| facts.nodes.get(key));
            !signers.is_empty()
                && completed.is_some_and(|all| honest.all(|node| !facts.honest[*node as usize] || all.contains(node)))
        };
        let completed = self.created.keys().filter(is_complete).count() as u64;
        let started = self.created.len() as u64;
        let sessions = Sessions { started, completed, failed: started - completed, by_reason: self.reasons };
        let faults = [("lost", tally.lost), ("doubled", tally.duplicated), ("cut", tally.cut)];
        let scaled = |unit: f64| Percentiles::of(self.latencies.iter().map(|nanos| *nanos as f64 / unit).collect());
        Summary {
            seed: schedule.seed,
            scenario: schedule.scenario.clone(),
            crypto: schedule.crypto.name().into(),
            trace_hash: format!("{:016x}", tally.trace),
            nodes: schedule.nodes,
            events: tally.events,
            messages: tally.messages,
            bytes: tally.bytes,
            faults: faults.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            nat: self.passages,
            deeds,
            refusals,
            virtual_ms: passed / MILLISECOND,
            crypto_ns,
            sessions,
            latency_ms: scaled(MILLISECOND as f64),
            one_way_delays: scaled(one_way.max(1) as f64),
            lookup_hops: Percentiles::of(self.hops),
            failovers: self.failovers,
            broadcasts: self.broadcasts,
            violations: self.watch.violations,
            wall_ms: 0,
            events_per_second: 0,
            bytes_per_node: 0,
        }
    }
}
