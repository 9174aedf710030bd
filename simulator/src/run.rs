//! From a schedule to what came of it.
//!
//! Invariant: the outcome depends on the schedule alone, not on the engine or the number of threads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nelumbo_core::api::{AttemptFailure, Event};
use nelumbo_core::wire::SessionId;

use crate::checkers::{Checker, Facts, Violation, Watch, all};
use crate::crypto::{Crypto, Real, Toy};
use crate::engine::{Global, Nanos, Noted, Tally, Windowed};
use crate::peer::{Note, Peer, Plan};
use crate::schedule::{CryptoChoice, Happening, MILLISECOND, Schedule};
use crate::summary::{Percentiles, Sessions, Summary};

/// How long after everything has healed everything honest must have come to its end.
pub const HEALING_MS: u64 = 1_200_000;

/// How to run a schedule. The outcome is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In windows, on this many threads.
    Windowed(usize),
    /// In global order.
    Global,
}

/// Runs a schedule.
#[must_use]
pub fn run(schedule: &Schedule, engine: Engine) -> Summary {
    run_while(schedule, engine, all(), |_| true)
}

/// Runs a schedule with these checkers for as long as `go_on`, which is asked now and then with the virtual time, says
/// so.
#[must_use]
pub fn run_while(
    schedule: &Schedule,
    engine: Engine,
    checkers: Vec<Box<dyn Checker>>,
    go_on: impl FnMut(Nanos) -> bool,
) -> Summary {
    match schedule.crypto {
        CryptoChoice::Real => run_with::<Real>(schedule, engine, checkers, go_on),
        CryptoChoice::Toy | CryptoChoice::ToyCharged => run_with::<Toy>(schedule, engine, checkers, go_on),
    }
}

fn run_with<C: Crypto>(
    schedule: &Schedule,
    engine: Engine,
    checkers: Vec<Box<dyn Checker>>,
    mut go_on: impl FnMut(Nanos) -> bool,
) -> Summary {
    let plan = Arc::new(Plan::new(schedule.clone(), None, false));
    let peers: Vec<Peer<C>> = (0..schedule.nodes).map(|node| Peer::new(plan.clone(), node)).collect();
    let world = schedule.world();
    let one_way = world.mean_latency();
    let mut record = Record::new(Watch::new(facts::<C>(schedule, &peers), checkers));
    let until = schedule.until_ms * MILLISECOND;
    let mut last = 0;
    let mut show = |notes: &mut Vec<Noted<Note>>| {
        last = notes.last().map_or(last, |noted| noted.stamp.at);
        notes.drain(..).for_each(|noted| record.see(&noted));
        if go_on(last) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    // A panic inside a node is a finding like any other.
    let ran = catch_unwind(AssertUnwindSafe(|| match engine {
        Engine::Windowed(threads) => Windowed::new(world, schedule.seed, peers).threads(threads).run(until, &mut show),
        Engine::Global => {
            let mut simulation = Global::new(world, schedule.seed, peers);
            while simulation.step(until) {
                let mut notes = simulation.take_notes();
                if !notes.is_empty() && show(&mut notes).is_break() {
                    break;
                }
            }
            let tally = simulation.tally();
            (simulation.into_machines(), tally)
        }
    }));
    let is_whole = go_on(until);
    let (peers, tally) = ran.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        let violation = Violation { checker: "panic".into(), at: last, node: None, event: None, what: what.to_owned() };
        record.watch.violations.push(violation);
        (Vec::new(), Tally::default())
    });
    if is_whole && !peers.is_empty() {
        record.watch.end(until);
    }
    let mut deeds = BTreeMap::new();
    for (deed, count) in peers.into_iter().flat_map(|mut peer| peer.take_deeds().collect::<Vec<_>>()) {
        *deeds.entry(deed).or_default() += count;
    }
    record.summary(schedule, tally, deeds, if is_whole { until } else { last }, one_way)
}

/// What checkers know before anything has happened.
pub(crate) fn facts<C: Crypto>(schedule: &Schedule, peers: &[Peer<C>]) -> Facts {
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
    asked: BTreeMap<u32, Vec<Nanos>>,
    failovers: u64,
    broadcasts: u64,
}

impl Record {
    const fn new(watch: Watch) -> Self {
        Self {
            watch,
            created: BTreeMap::new(),
            completed: BTreeMap::new(),
            latencies: Vec::new(),
            reasons: BTreeMap::new(),
            asked: BTreeMap::new(),
            failovers: 0,
            broadcasts: 0,
        }
    }

    fn see(&mut self, noted: &Noted<Note>) {
        self.watch.see(noted);
        let at = noted.stamp.at;
        match &noted.note {
            Note::Asked(Some(_)) => self.asked.entry(noted.node).or_default().push(at),
            Note::Down => drop(self.asked.remove(&noted.node)),
            Note::Asked(None) => *self.reasons.entry("refused-command".into()).or_default() += 1,
            Note::Remembers(session) => drop(self.completed.entry(*session).or_default().insert(noted.node)),
            Note::Event(event) => self.on_event(at, noted.node, event),
            _ => {}
        }
    }

    fn on_event(&mut self, at: Nanos, node: u32, event: &Event) {
        match event {
            Event::SessionCreated { session, .. } => {
                // Creations become durable in the order in which they were asked for.
                let asked = self.asked.get_mut(&node).filter(|asked| !asked.is_empty());
                let since = asked.map_or(at, |asked| asked.remove(0));
                self.created.entry(*session).or_insert(since);
            }
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

    fn summary(
        self,
        schedule: &Schedule,
        tally: Tally,
        deeds: BTreeMap<crate::schedule::Deed, u64>,
        until: Nanos,
        one_way: Nanos,
    ) -> Summary {
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
            deeds,
            virtual_ms: until / MILLISECOND,
            sessions,
            latency_ms: scaled(MILLISECOND as f64),
            one_way_delays: scaled(one_way.max(1) as f64),
            failovers: self.failovers,
            broadcasts: self.broadcasts,
            violations: self.watch.violations,
            wall_ms: 0,
            events_per_second: 0,
            bytes_per_node: 0,
        }
    }
}
