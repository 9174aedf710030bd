//! How long it takes to broadcast when somebody signs and never does. The numbers stand in `docs/src/simulation.md`
//! too.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_core::election::Method;
use nelumbo_simulator::peer::Observation;
use nelumbo_simulator::run::{Run, SETTLING_MS};
use nelumbo_simulator::schedule::{CryptoChoice, Misbehaviour, Schedule, ScheduledEvent, SuiteChoice};

const BOOK: &str = include_str!("../../docs/src/simulation.md");
const SIGNERS: u32 = 5;
const SESSIONS: u64 = 40;
const ATTACKER: u32 = 4;

/// Sessions, one after the other; the keys follow from the seed.
fn series(seed: u64, election: Method, sessions: u64, silent: Option<u32>) -> Schedule {
    let mut schedule = Schedule::new(seed, SIGNERS);
    (schedule.crypto, schedule.election) = (CryptoChoice::Toy, election);
    if let Some(node) = silent {
        schedule = schedule.with(
            0,
            ScheduledEvent::Misbehaviour { node, misbehaviour: Misbehaviour::SilentCoordinator, broken: false },
        );
    }
    for session in 0..sessions {
        let signers = (0..SIGNERS).collect();
        let create = ScheduledEvent::create(0, signers, SuiteChoice::Lotus);
        schedule = schedule.with(2_000 + 1_000 * session, create);
    }
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

/// Of all sessions: how many coordinators failed, and from signature to broadcast the middle and the longest time in
/// ms.
fn measure(schedule: &Schedule) -> (usize, u64, u64) {
    let (mut signed, mut broadcast, mut failed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let run = Run::new(schedule).measure(|observed| {
        let ms = observed.stamp.at / 1_000_000;
        match &observed.observation {
            Observation::Event(Event::SessionCompleted { session, .. }) => drop(signed.entry(*session).or_insert(ms)),
            Observation::Event(Event::BroadcastClaimed { session, .. }) => {
                broadcast.entry(*session).or_insert(ms);
            }
            Observation::Event(Event::CoordinatorFailed { session, coordinator, .. }) => {
                failed.insert((*session, *coordinator));
            }
            _ => {}
        }
    });
    let summary = run.summary();
    assert_eq!(summary.violations, [], "{summary}");
    assert_eq!((signed.len(), broadcast.len()), (SESSIONS as usize, SESSIONS as usize), "{summary}");
    let mut times: Vec<u64> = broadcast.iter().map(|(session, at)| at - signed[session]).collect();
    times.sort_unstable();
    (failed.len(), times[times.len() / 2], times[times.len() - 1])
}

/// Who is to broadcast first with these keys; the same in every session, unless the method rotates.
fn leader(seed: u64, method: Method) -> u32 {
    let mut leader = None;
    let schedule = series(seed, method, 1, None);
    let summary = Run::new(&schedule)
        .measure(|observed| {
            if matches!(observed.observation, Observation::Event(Event::ShouldBroadcast { .. })) {
                leader.get_or_insert(observed.node);
            }
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}");
    leader.expect("somebody is to broadcast")
}

#[test]
fn a_silent_leader_stalls_all_sessions_of_a_fixed_order_and_a_few_of_a_rotating_one() {
    let mut rows = Vec::new();
    for method in [Method::Lexicographic, Method::LastSigner, Method::HashBased, Method::Rotating] {
        // The attacker draws keys until it comes first; a session's order cannot be drawn before there is a session.
        let first = |seed: &u64| leader(*seed, method) == ATTACKER;
        let (seed, drawn) = (0..1_000).find(first).map(|seed| (seed, seed + 1)).expect("one in five keys will do");
        for (situation, seed, silent) in [
            ("offline leader".to_owned(), 0, leader(0, method)),
            (format!("key ground, {drawn} drawn"), seed, ATTACKER),
        ] {
            let (failovers, middle, longest) = measure(&series(seed, method, SESSIONS, Some(silent)));
            let row = format!("| {method} | {situation} | {failovers} of {SESSIONS} | {middle} ms | {longest} ms |");
            rows.push(row);
        }
    }
    let missing: Vec<_> = rows.iter().filter(|row| !BOOK.lines().any(|line| line == row.as_str())).collect();
    assert!(missing.is_empty(), "the book lacks these rows: {missing:#?}");
}
