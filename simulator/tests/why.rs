//! A defect that was planted at a known step is found by the probability of failure.

mod planted;

use nelumbo_simulator::fork::Fork;
use nelumbo_simulator::network::Nat;
use nelumbo_simulator::run::{Engine, Run, SETTLING_MS, run};
use nelumbo_simulator::schedule::{CryptoChoice, Misbehaviour, Schedule, ScheduledEvent, ServicesChoice, SuiteChoice};
use nelumbo_simulator::why::{Bound, MOST_RUNS, why};

/// Three nodes, a few sessions, and a defect among other faults; and the number of its step.
fn small() -> (Schedule, usize) {
    let node = 1;
    let mut schedule = Schedule::new(7, 3);
    (schedule.crypto, schedule.services) = (CryptoChoice::Toy, ServicesChoice::None);
    schedule = schedule
        .with(1_000, ScheduledEvent::Jump { node: 0, ms: 100 })
        .with(2_000, ScheduledEvent::create(0, vec![0, node], SuiteChoice::Lotus))
        .with(3_000, ScheduledEvent::Crash { node: 2, silent: false })
        .with(3_500, ScheduledEvent::Restart { node: 2 })
        .with(5_000, ScheduledEvent::Misbehaviour { node, misbehaviour: Misbehaviour::SignTwice, broken: true })
        .with(6_000, ScheduledEvent::create(0, vec![0, node, 2], SuiteChoice::Lotus))
        .with(7_000, ScheduledEvent::DiskFull { node: 2, until_ms: 7_500 });
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    (schedule, 5)
}

#[test]
fn a_planted_defect_is_found_on_any_number_of_threads() {
    let (schedule, step) = small();
    let found = why(&schedule, 2).expect("it fails");
    assert!(matches!(found.bound, Bound::Step { number, .. } if number == step), "{found}");
    assert_eq!((found.checker.as_str(), found.course.len()), ("partials", 9), "{found}");
    for moment in &found.course {
        let all = if moment.steps < step { (0, 16) } else { (64, 64) };
        assert_eq!((moment.failed, moment.runs), all, "{found}");
        assert!(moment.interval.0 <= moment.probability && moment.probability <= moment.interval.1);
    }
    assert!(
        found.runs <= MOST_RUNS && found.to_string().contains("from step 5 on, at 5.000 s: misbehaviour"),
        "{found}"
    );
    assert_eq!(why(&schedule, 1), Some(found), "on one thread");
}

/// The trace of a run up to a time, and its hash at the end.
fn trace(run: Run<'_>, until: u64) -> (Vec<String>, String) {
    let mut rows = Vec::new();
    let see = |observed: &nelumbo_simulator::engine::Observed<_>| {
        if observed.stamp.at < until {
            rows.push(format!("{observed:?}"));
        }
    };
    let hash = run.trace(see).summary().trace_hash;
    (rows, hash)
}

#[test]
fn a_fork_is_the_run_up_to_its_moment_and_another_one_after_it() {
    let (schedule, ..) = planted::planted(3);
    let at = 12_345_678_901;
    let (rows, hash) = trace(Run::new(&schedule), at);
    let forks = [0, 1].map(|number| trace(Run::new(&schedule).fork(Fork::at(&schedule, at, number)), at));
    assert!(rows.len() > 500);
    assert!(forks.iter().all(|(prefix, _)| *prefix == rows), "the same up to the last event");
    assert!(forks[0].1 != hash && forks[1].1 != hash && forks[0].1 != forks[1].1);
    let again = Run::new(&schedule).engine(Engine::Sequential).fork(Fork::at(&schedule, at, 1));
    assert_eq!(trace(again, at).1, forks[1].1, "either engine");
}

#[test]
fn every_planted_defect_makes_its_schedule_fail_and_its_step_is_where_it_stands() {
    for number in 0..planted::COUNT {
        let (schedule, name, step) = planted::planted(number);
        assert!(!run(&schedule, Engine::Windowed(1)).violations.is_empty(), "{number} {name}");
        // Neither before it, with everything else that goes wrong.
        let without = Run::new(&schedule).fork(Fork::after_steps(&schedule, step - 1, 0)).summary();
        assert_eq!(without.violations, [], "{number} {name}");
    }
}

#[test]
fn what_fails_by_itself_fails_from_the_beginning_and_what_does_not_fail_has_no_reason() {
    let mut schedule = Schedule::new(1, 3)
        .with(2_000, ScheduledEvent::create(0, vec![0, 1], SuiteChoice::Lotus))
        .with(3_000, ScheduledEvent::Crash { node: 2, silent: false });
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    assert_eq!(why(&schedule, 1), None);
    // Nobody can reach the other one, whatever happens.
    schedule.nats = vec![Nat::Symmetric; 3];
    schedule.services = ServicesChoice::None;
    let found = why(&schedule, 2).expect("it fails");
    assert_eq!((found.bound, found.checker.as_str()), (Bound::Beginning, "liveness"));
}
