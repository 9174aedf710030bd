//! Each checker fires on a node that is broken on purpose, and what made it fire shrinks to a few steps.

use std::collections::BTreeSet;

use nelumbo_simulator::run::{Engine, SETTLING_MS, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::{Misbehaviour, Schedule, ScheduledEvent, SuiteChoice};
use nelumbo_simulator::shrink::shrink;

/// A run with many faults and one broken node that checkers take for honest.
fn broken(misbehaviour: Misbehaviour, sessions_limit: Option<u32>) -> Schedule {
    let settings = ["nodes=5".into(), "sessions=4".into(), "max_signers=4".into()];
    let scenario = Scenario::from_toml(Scenario::text("lossy").unwrap(), &settings).unwrap();
    let mut schedule =
        scenario.schedule(1).with(0, ScheduledEvent::Misbehaviour { node: 1, misbehaviour, broken: true });
    schedule.sessions_limit = sessions_limit;
    for at in 0..6 {
        let create = ScheduledEvent::Create { node: 1, signers: vec![0, 1, 2], suite: SuiteChoice::Lotus };
        schedule = schedule.with(4_000 + at * 500, create);
    }
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

fn fired(schedule: &Schedule) -> BTreeSet<String> {
    run(schedule, Engine::Windowed(1)).violations.into_iter().map(|violation| violation.checker).collect()
}

#[test]
fn every_checker_fires_and_its_schedule_shrinks() {
    let mut seen = BTreeSet::new();
    for (misbehaviour, checker, limit) in [
        (Misbehaviour::Equivocate, "nonces", None),
        (Misbehaviour::SignTwice, "partials", None),
        (Misbehaviour::FalseSignature, "signatures", None),
        (Misbehaviour::FalseSignature, "agreement", None),
        (Misbehaviour::InvalidPartials, "blame", None),
        (Misbehaviour::InvalidNonces, "blame", None),
        (Misbehaviour::ExceedLimits, "limits", Some(1)),
        (Misbehaviour::WithholdPartials, "liveness", None),
        (Misbehaviour::WithholdNonces, "liveness", None),
        (Misbehaviour::BroadcastOutOfTurn, "coordinators", None),
        (Misbehaviour::Panic, "panic", None),
    ] {
        let schedule = broken(misbehaviour, limit);
        let all = fired(&schedule);
        assert!(all.contains(checker), "{misbehaviour:?} sets off {all:?}");
        let small = shrink(&schedule, 300).expect("it fails");
        assert!(small.steps.len() <= 12 && small.steps.len() < schedule.steps.len(), "{}", small.to_toml());
        assert!(!fired(&small).is_empty());
        seen.extend(all);
    }
    seen.extend(fired(&late_refusal(true)));
    let names = nelumbo_simulator::checkers::all();
    let mut names: BTreeSet<String> = names.iter().map(|checker| checker.name().to_owned()).collect();
    names.insert("panic".into());
    assert_eq!(seen, names, "every checker has fired");
}

/// A world in which an honest owner refuses each session when its node has signed, and what it is deaf to.
fn late_refusal(is_deaf: bool) -> Schedule {
    let mut schedule = broken(Misbehaviour::LateRefusal, None);
    if is_deaf {
        let misbehaviour = Misbehaviour::DeafToSignatures;
        schedule = schedule.with(0, ScheduledEvent::Misbehaviour { node: 1, misbehaviour, broken: true });
    }
    schedule
}

#[test]
fn whoever_has_signed_and_refused_is_told_of_the_signature_unless_it_is_deaf() {
    assert!(!fired(&late_refusal(false)).contains("told"));
    assert!(fired(&late_refusal(true)).contains("told"));
}

#[test]
fn the_same_world_without_the_broken_node_is_silent() {
    let mut schedule = broken(Misbehaviour::ExceedLimits, None);
    schedule.steps.retain(|step| !matches!(step.event, ScheduledEvent::Misbehaviour { .. }));
    assert_eq!(fired(&schedule), BTreeSet::new());
    assert_eq!(shrink(&schedule, 10), None, "nothing fails, so there is nothing to shrink");
}
