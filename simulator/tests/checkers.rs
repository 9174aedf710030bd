//! Each checker fires on a node that is broken on purpose, and what made it fire shrinks to a few steps.

use std::collections::BTreeSet;

use nelumbo_simulator::run::{Engine, HEALING_MS, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::{Deed, Happening, Schedule, SuiteChoice};
use nelumbo_simulator::shrink::shrink;

/// A busy world with one broken node that checkers take for honest.
fn broken(deed: Deed, sessions_limit: Option<u32>) -> Schedule {
    let settings = ["nodes=5".into(), "sessions=4".into(), "most_signers=4".into()];
    let scenario = Scenario::from_toml(Scenario::text("lossy").unwrap(), &settings).unwrap();
    let mut schedule = scenario.schedule(1).with(0, Happening::Deed { node: 1, deed, broken: true });
    schedule.sessions_limit = sessions_limit;
    for at in 0..6 {
        let create = Happening::Create { node: 1, signers: vec![0, 1, 2], suite: SuiteChoice::Lotus };
        schedule = schedule.with(4_000 + at * 500, create);
    }
    schedule.until_ms = schedule.healed_ms() + HEALING_MS;
    schedule
}

fn fired(schedule: &Schedule) -> BTreeSet<String> {
    run(schedule, Engine::Windowed(1)).violations.into_iter().map(|violation| violation.checker).collect()
}

#[test]
fn every_checker_fires_and_its_schedule_shrinks() {
    let mut seen = BTreeSet::new();
    for (deed, checker, limit) in [
        (Deed::Equivocate, "nonces", None),
        (Deed::SignTwice, "partials", None),
        (Deed::FalseSignature, "signatures", None),
        (Deed::FalseSignature, "agreement", None),
        (Deed::InvalidPartials, "blame", None),
        (Deed::InvalidNonces, "blame", None),
        (Deed::Hoard, "limits", Some(1)),
        (Deed::WithholdPartials, "liveness", None),
        (Deed::WithholdNonces, "liveness", None),
        (Deed::BroadcastOutOfTurn, "coordinators", None),
        (Deed::Panic, "panic", None),
    ] {
        let schedule = broken(deed, limit);
        let all = fired(&schedule);
        assert!(all.contains(checker), "{deed:?} sets off {all:?}");
        let small = shrink(&schedule, 300).expect("it fails");
        assert!(small.steps.len() <= 12 && small.steps.len() < schedule.steps.len(), "{}", small.to_toml());
        assert!(!fired(&small).is_empty());
        seen.extend(all);
    }
    let names = nelumbo_simulator::checkers::all();
    let mut names: BTreeSet<String> = names.iter().map(|checker| checker.name().to_owned()).collect();
    names.insert("panic".into());
    assert_eq!(seen, names, "every checker has fired");
}

#[test]
fn the_same_world_without_the_broken_node_is_silent() {
    let mut schedule = broken(Deed::Hoard, None);
    schedule.steps.retain(|step| !matches!(step.happening, Happening::Deed { .. }));
    assert_eq!(fired(&schedule), BTreeSet::new());
    assert_eq!(shrink(&schedule, 10), None, "nothing fails, so there is nothing to shrink");
}
