//! Runs a schedule on simulated nodes and sums up the outcome.
//!
//! Invariant: the outcome depends on the schedule alone, not on the engine, the number of threads or who watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nelumbo_core::api::{AttemptFailure, Event, Phase};
use nelumbo_core::wire::SessionId;

use crate::checkers::{Checker, CheckerSet, GroundTruth, all};
use crate::crypto::{Crypto, Real, Toy};
use crate::engine::{Nanos, Observed, Progress, Stats};
use crate::fork::Fork;
use crate::peer::{Environment, MakeSoftware, Observation, Peer, Software};
use crate::pending_sessions::PendingSessions;
use crate::schedule::{CryptoChoice, MILLISECOND, Schedule, ScheduledEvent};
use crate::simulation::Simulation;
use crate::summary::{Percentiles, Sessions, Summary};

pub use crate::simulation::Engine;

/// How long after the last fault all sessions among honest signers must have ended, in milliseconds.
pub const SETTLING_MS: u64 = 1_200_000;

type Measure<'r> = Box<dyn FnMut(&Observed<Observation>) + 'r>;

/// A schedule that is about to run.
pub struct Run<'r> {
    schedule: &'r Schedule,
    engine: Engine,
    checkers: Vec<Box<dyn Checker>>,
    traced: bool,
    software: Option<MakeSoftware>,
    fork: Option<Fork>,
    measures: Vec<Measure<'r>>,
    run_while: Box<dyn FnMut(Progress) -> bool + 'r>,
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
        let run_while = Box::new(|_| true);
        let (software, fork, measures) = (None, None, Vec::new());
        Self { schedule, engine, checkers, traced: false, software, fork, measures, run_while }
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

    /// Lets nodes run something beside signing: other protocols, a policy, an embedder with wishes. It is asked for the
    /// software of a node, by its number, whenever that boots.
    #[must_use]
    pub fn software(mut self, make: impl Fn(u32) -> Software + Send + Sync + 'static) -> Self {
        self.software = Some(MakeSoftware(Box::new(make)));
        self
    }

    /// Lets the run leave its schedule.
    #[must_use]
    pub fn fork(mut self, fork: Fork) -> Self {
        self.fork = Some(fork);
        self
    }

    /// Adds a metric: it sees what nodes tell, in the order of events.
    #[must_use]
    pub fn measure(mut self, see: impl FnMut(&Observed<Observation>) + 'r) -> Self {
        self.measures.push(Box::new(see));
        self
    }

    /// Adds a metric that also sees each event that arrives at a node, as [`Observation::Arrived`].
    #[must_use]
    pub fn trace(mut self, see: impl FnMut(&Observed<Observation>) + 'r) -> Self {
        self.traced = true;
        self.measure(see)
    }

    /// Ends the run early when this returns false. It is called now and then.
    #[must_use]
    pub fn run_while(mut self, run_while: impl FnMut(Progress) -> bool + 'r) -> Self {
        self.run_while = Box::new(run_while);
        self
    }

    /// Runs it.
    ///
    /// # Panics
    /// When the schedule has settings that make no node, which [`Schedule::check`] says.
    #[must_use]
    pub fn summary(self) -> Summary {
        match self.schedule.crypto {
            CryptoChoice::Real => self.summary_with::<Real>(),
            CryptoChoice::Toy | CryptoChoice::ToyCharged => self.summary_with::<Toy>(),
        }
    }

    /// Runs it with this cryptography, whatever the schedule says.
    ///
    /// # Panics
    /// When the schedule has settings that make no node, which [`Schedule::check`] says.
    #[must_use]
    pub fn summary_with<C: Crypto>(self) -> Summary {
        let Self { schedule, engine, checkers, traced, software, fork, mut measures, run_while } = self;
        let network = match &fork {
            None => schedule.network(),
            Some(fork) => {
                let network = schedule.network_without(|step| fork.omits(step));
                network.with_fork(fork.time(), fork.key_at(fork.time()))
            }
        };
        let one_way = network.mean_latency();
        let environment =
            Environment::new(schedule.clone(), traced).with_node_ids::<C>().with_software(software).with_fork(fork);
        let environment = Arc::new(environment);
        let builder = Simulation::builder(network).seed(schedule.seed).engine(engine);
        let simulation = builder.machines(|node| Peer::<C>::new(environment.clone(), node)).run_while(run_while);
        let mut record = Record::new(CheckerSet::new(truth::<C>(schedule, simulation.machines()), checkers));
        let until = schedule.until_ms * MILLISECOND;
        let outcome = simulation
            .measure(|observed| {
                record.see(observed);
                measures.iter_mut().for_each(|see| see(observed));
            })
            .run(until);
        record.checkers.violations.extend(outcome.violations);
        if outcome.passed == until && !outcome.machines.is_empty() {
            record.checkers.end(until);
        }
        record.summary(schedule, outcome.stats, outcome.machines, outcome.passed, one_way)
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("schedule", &self.schedule.scenario).finish_non_exhaustive()
    }
}

/// What checkers know at the start of a run.
fn truth<C: Crypto>(schedule: &Schedule, peers: &[Peer<C>]) -> GroundTruth {
    let (mut honest, mut steady) = (vec![true; peers.len()], vec![!schedule.loses_presences; peers.len()]);
    let (mut copies, mut places, mut liars) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for step in &schedule.steps {
        match &step.event {
            ScheduledEvent::Misbehaviour { node, broken: false, .. } => {
                honest[*node as usize] = false;
                liars.insert(*node);
            }
            // With two lives at once, what is said with one key is nobody's fault any more.
            ScheduledEvent::Fork { node, copy } => {
                (honest[*node as usize], honest[*copy as usize]) = (false, false);
                places.insert(*copy);
                copies.extend([(*node, *node), (*copy, *node)]);
            }
            ScheduledEvent::Resume { node, .. } => {
                honest[*node as usize] = false;
                copies.insert(*node, *node);
            }
            ScheduledEvent::Jump { node, .. }
            | ScheduledEvent::Drift { node, .. }
            | ScheduledEvent::Sleep { node, .. } => steady[*node as usize] = false,
            _ => {}
        }
    }
    steady.iter_mut().zip(&honest).for_each(|(steady, honest)| *steady &= honest);
    let healed = schedule.healed_ms() * MILLISECOND;
    let nodes = (0..).zip(peers).filter(|(node, _)| !places.contains(node)).map(|(node, peer)| (peer.key(), node));
    let settled = schedule.healed_ms() + schedule.settling_ms();
    let settled = (schedule.until_ms >= settled).then_some(settled * MILLISECOND);
    let turn = schedule.config().map_or(Nanos::MAX, |config| config.broadcast_timeout.as_nanos() as Nanos);
    let (nodes, sessions, is_final) = (nodes.collect(), BTreeMap::new(), C::is_final);
    copies.retain(|_, node| !liars.contains(node));
    GroundTruth { honest, nodes, copies, sessions, is_final, steady, healed, settled, turn }
}

/// What a run records for its summary.
struct Record {
    checkers: CheckerSet,
    created: BTreeMap<SessionId, Nanos>,
    completed: BTreeMap<SessionId, BTreeSet<u32>>,
    latencies: Vec<Nanos>,
    reasons: BTreeMap<String, u64>,
    pending: PendingSessions,
    hops: Vec<f64>,
    nat_events: BTreeMap<String, u64>,
    failovers: u64,
    broadcasts: u64,
}

impl Record {
    fn new(checkers: CheckerSet) -> Self {
        Self {
            checkers,
            created: BTreeMap::new(),
            completed: BTreeMap::new(),
            latencies: Vec::new(),
            reasons: BTreeMap::new(),
            pending: PendingSessions::default(),
            hops: Vec::new(),
            nat_events: BTreeMap::new(),
            failovers: 0,
            broadcasts: 0,
        }
    }

    fn see(&mut self, observed: &Observed<Observation>) {
        self.checkers.see(observed);
        if let Some((session, pending)) = self.pending.see(observed) {
            self.created.entry(session).or_insert(pending.requested_at);
        }
        let at = observed.stamp.at;
        match &observed.observation {
            Observation::LookupFinished(lookup) => self.hops.push(f64::from(lookup.hops)),
            Observation::Nat(nat_event) => *self.nat_events.entry(nat_event.name().into()).or_default() += 1,
            Observation::SessionRequested(None) => *self.reasons.entry("refused-command".into()).or_default() += 1,
            Observation::Restored { sessions, .. } => {
                for (session, _) in sessions.iter().filter(|(_, phase)| *phase == Phase::Complete) {
                    self.completed.entry(*session).or_default().insert(observed.node);
                }
            }
            Observation::Event(event) => self.on_event(at, observed.node, event),
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
                    AttemptFailure::Signer(_) => "signer",
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
        stats: Stats,
        peers: Vec<Peer<C>>,
        passed: Nanos,
        one_way: Nanos,
    ) -> Summary {
        let (mut misbehaviours, mut refusals, mut crypto_ns) = (BTreeMap::new(), 0, 0);
        for mut peer in peers {
            crypto_ns += peer.charged();
            refusals += peer.node().map_or(0, |node| node.view().refusals().total());
            for (misbehaviour, count) in peer.take_misbehaviours() {
                *misbehaviours.entry(misbehaviour).or_default() += count;
            }
        }
        let truth = &self.checkers.truth;
        let is_complete = |session: &&SessionId| {
            let completed = self.completed.get(session);
            let signers = truth.sessions.get(session).map(|definition| definition.keys.as_slice()).unwrap_or_default();
            let mut honest = signers.iter().filter_map(|key| truth.nodes.get(key));
            !signers.is_empty()
                && completed.is_some_and(|all| honest.all(|node| !truth.honest[*node as usize] || all.contains(node)))
        };
        let completed = self.created.keys().filter(is_complete).count() as u64;
        let started = self.created.len() as u64;
        let sessions = Sessions { started, completed, failed: started - completed, by_reason: self.reasons };
        let faults = [
            ("lost", stats.lost),
            ("doubled", stats.duplicated),
            ("cut", stats.cut),
            ("retransmitted", stats.retransmitted),
        ];
        let scaled = |unit: f64| Percentiles::of(self.latencies.iter().map(|nanos| *nanos as f64 / unit).collect());
        Summary {
            seed: schedule.seed,
            scenario: schedule.scenario.clone(),
            crypto: schedule.crypto.name().into(),
            trace_hash: format!("{:016x}", stats.trace),
            nodes: schedule.nodes,
            events: stats.events,
            messages: stats.messages,
            bytes: stats.bytes,
            faults: faults.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            nat: self.nat_events,
            misbehaviours,
            refusals,
            virtual_ms: passed / MILLISECOND,
            crypto_ns,
            sessions,
            latency_ms: scaled(MILLISECOND as f64),
            latency: self.latencies.iter().copied().collect(),
            one_way_delays: scaled(one_way.max(1) as f64),
            lookup_hops: Percentiles::of(self.hops),
            failovers: self.failovers,
            broadcasts: self.broadcasts,
            violations: self.checkers.violations,
            wall_ms: 0,
            events_per_second: 0,
            bytes_per_node: 0,
        }
    }
}
