//! Who is behind which NAT decides who meets: by itself, with a relay's help, on a circuit, or not at all.

use nelumbo_simulator::network::Nat;
use nelumbo_simulator::run::{Engine, SETTLING_MS, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::{Schedule, ScheduledEvent, SuiteChoice};
use nelumbo_simulator::summary::Summary;

/// Two signers of these classes, and a third node that relays or does not.
fn pair(one: Nat, other: Nat, relays: bool) -> Schedule {
    let create = ScheduledEvent::create(0, vec![0, 1], SuiteChoice::Lotus);
    let mut schedule = Schedule::new(1, 3).with(2_000, create);
    schedule.nats = vec![one, other, Nat::Public];
    schedule.relays = if relays { vec![2] } else { Vec::new() };
    schedule.check().expect("a sound schedule");
    schedule
}

fn count(summary: &Summary, name: &str) -> u64 {
    summary.nat.get(name).copied().unwrap_or(0)
}

fn completes(schedule: &Schedule) -> (bool, Summary) {
    let summary = run(schedule, Engine::Windowed(1));
    assert_eq!((summary.violations.as_slice(), summary.sessions.started), ([].as_slice(), 1), "{summary}");
    (summary.sessions.completed == 1, summary)
}

#[test]
fn whoever_can_dial_the_other_needs_no_relay() {
    for (one, other) in [(Nat::Public, Nat::Symmetric), (Nat::Symmetric, Nat::FullCone), (Nat::Public, Nat::Public)] {
        let (is_complete, summary) = completes(&pair(one, other, false));
        assert!(is_complete, "{one:?} and {other:?}: {summary}");
    }
}

#[test]
fn a_pair_that_nobody_can_dial_does_not_meet_without_a_relay() {
    for (one, other) in [(Nat::Symmetric, Nat::Symmetric), (Nat::Restricted, Nat::Restricted)] {
        let (is_complete, summary) = completes(&pair(one, other, false));
        assert!(!is_complete && count(&summary, "dials-refused") > 0, "{one:?} and {other:?}: {summary}");
    }
    let mut schedule = pair(Nat::Symmetric, Nat::Symmetric, false);
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    let fired: Vec<String> =
        run(&schedule, Engine::Windowed(1)).violations.into_iter().map(|one| one.checker).collect();
    assert_eq!(fired, ["liveness"], "and given time, that is noticed");
}

#[test]
fn with_a_relay_a_hole_is_punched_where_the_classes_allow_it() {
    for (one, other) in [(Nat::Restricted, Nat::Symmetric), (Nat::PortRestricted, Nat::PortRestricted)] {
        let (is_complete, summary) = completes(&pair(one, other, true));
        assert!(is_complete && count(&summary, "dials-upgraded") > 0, "{one:?} and {other:?}: {summary}");
        assert_eq!((count(&summary, "circuits-opened"), count(&summary, "dials-refused")), (0, 0), "{summary}");
    }
}

#[test]
fn with_a_relay_a_symmetric_pair_meets_on_circuits_which_are_cut_every_two_minutes() {
    for other in [Nat::Symmetric, Nat::PortRestricted] {
        let mut schedule = pair(Nat::Symmetric, other, true);
        schedule.until_ms = 10 * 60_000;
        let (is_complete, summary) = completes(&schedule);
        assert!(is_complete, "{summary}");
        // Two minutes and the second until the next greeting: the fifth is open at the end.
        assert_eq!((count(&summary, "circuits-opened"), count(&summary, "circuits-cut")), (5, 4), "{summary}");
        assert_eq!(count(&summary, "dials-upgraded"), 0, "{summary}");
    }
}

#[test]
fn circuits_that_are_full_are_cut_and_sessions_complete_on_the_next() {
    let mut schedule = pair(Nat::Symmetric, Nat::Symmetric, true);
    schedule.steps.clear();
    for count in 0..200 {
        let create = ScheduledEvent::create(count % 2, vec![0, 1], SuiteChoice::Bip340);
        schedule = schedule.with(2_000 + u64::from(count) * 500, create);
    }
    schedule.until_ms = 118_000;
    let summary = run(&schedule, Engine::Windowed(1));
    assert_eq!(summary.violations, [], "{summary}");
    assert!(count(&summary, "circuits-cut") > 0, "before their time is over: {summary}");
    assert_eq!((summary.sessions.started, summary.sessions.completed), (200, 200), "{summary}");
    assert!(summary.latency_ms.max > 1_000.0, "what was under way was lost: {summary}");
}

#[test]
fn circuits_come_back_when_their_relay_does() {
    for silent in [false, true] {
        let mut schedule = pair(Nat::Symmetric, Nat::Symmetric, true)
            .with(2_001, ScheduledEvent::Crash { node: 2, silent })
            .with(30_000, ScheduledEvent::Restart { node: 2 });
        schedule.until_ms = 90_000;
        let (is_complete, summary) = completes(&schedule);
        assert!(is_complete && count(&summary, "circuits-opened") == 2, "silent {silent}: {summary}");
        assert!(summary.latency_ms.max > 28_000.0, "only after the relay is back: {summary}");
    }
}

#[test]
fn engines_and_threads_agree_on_nats_and_the_classes_of_a_scenario_are_as_shared_out() {
    let scenario = Scenario::from_toml(Scenario::text("nat").expect("a ready scenario"), &[]).expect("sound");
    let schedule = scenario.schedule(7);
    assert_eq!((schedule.nats.len(), schedule.relays.as_slice()), (18, [16, 17].as_slice()));
    assert!(schedule.nats.iter().filter(|nat| !nat.is_dialable()).count() > 8, "{:?}", schedule.nats);
    let summary = run(&schedule, Engine::Windowed(1));
    assert_eq!(summary.violations, [], "{summary}");
    assert_eq!((summary.sessions.completed, summary.sessions.failed), (16, 0), "{summary}");
    assert!(["dials-upgraded", "circuits-opened", "circuits-cut"].iter().all(|name| count(&summary, name) > 0));
    assert_eq!(run(&schedule, Engine::Sequential), summary);
    assert_eq!(run(&schedule, Engine::Windowed(2)), summary);
}

#[test]
fn relays_that_nobody_can_dial_and_classes_for_other_nodes_are_refused() {
    let mut schedule = pair(Nat::Public, Nat::Symmetric, true);
    schedule.relays = vec![1];
    assert!(schedule.check().expect_err("it is symmetric").contains("nobody can dial"));
    schedule.relays = vec![7];
    assert!(schedule.check().is_err());
    schedule.relays.clear();
    schedule.nats.pop();
    assert!(schedule.check().expect_err("two classes").contains("3 nodes and 2 NAT classes"));
}
