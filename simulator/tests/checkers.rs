//! Each checker fires on a node that is broken on purpose, and what made it fire shrinks to a few steps.

use std::collections::BTreeSet;

use nelumbo_core::api::Limits;
use nelumbo_simulator::run::{Engine, SETTLING_MS, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::{Misbehaviour, Schedule, ScheduledEvent, ServicesChoice, SuiteChoice};
use nelumbo_simulator::settings::Overlay;
use nelumbo_simulator::shrink::shrink;

/// A run with many faults and one broken node that checkers take for honest.
fn broken(misbehaviour: Misbehaviour, sessions_limit: Option<usize>) -> Schedule {
    let settings = ["nodes=5".into(), "sessions=4".into(), "max-signers=4".into()];
    let scenario = Scenario::from_toml(Scenario::text("lossy").unwrap(), &settings).unwrap();
    let mut schedule =
        scenario.schedule(1).with(0, ScheduledEvent::Misbehaviour { node: 1, misbehaviour, broken: true });
    if let Some(limit) = sessions_limit {
        let mut limits = Limits::default();
        (limits.sessions, limits.ended, limits.unapproved, limits.unapproved_per_creator) =
            (limit, limit, limit, limit);
        schedule.limits = Overlay::of(limits);
    }
    for at in 0..6 {
        let create = ScheduledEvent::create(1, vec![0, 1, 2], SuiteChoice::Lotus);
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
    for (schedule, checker) in [
        (late_answer(true), "expiry"),
        (lost_records(true), "promise"),
        (hidden_presence(true), "newcomers"),
        (lied_to(true), "claims"),
        (resumed(true), "copies"),
    ] {
        let all = fired(&schedule);
        assert!(all.contains(checker), "not {checker} but {all:?}");
        let small = shrink(&schedule, 100).expect("it fails");
        assert!(small.steps.len() <= 12, "{}", small.to_toml());
        seen.extend(all);
    }
    let names = nelumbo_simulator::checkers::all();
    let mut names: BTreeSet<String> = names.iter().map(|checker| checker.name().to_owned()).collect();
    names.insert("panic".into());
    assert_eq!(seen, names, "every checker has fired");
}

/// A world in which a signer answers an hour after the end, and whether its node is shown a clock that stands still.
fn late_answer(is_stopped: bool) -> Schedule {
    let (node, hours) = (1, 3 * 3_600_000);
    let mut schedule = Schedule::new(1, 3)
        .with(0, ScheduledEvent::Device { node, nonces_ms: hours, partials_ms: 1 })
        .with(0, ScheduledEvent::Owner { node: 0, least_ms: 60_000, most_ms: 600_000 })
        .with(2_000, ScheduledEvent::create(node, vec![0, node], SuiteChoice::Lotus));
    if is_stopped {
        let misbehaviour = Misbehaviour::StoppedClock;
        schedule = schedule.with(0, ScheduledEvent::Misbehaviour { node, misbehaviour, broken: true });
    }
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

/// A world in which a node restarts just when it has approved, and whether its disk has lost that.
fn lost_records(is_lost: bool) -> Schedule {
    let node = 1;
    let mut schedule = Schedule::new(1, 3)
        .with(0, ScheduledEvent::Owner { node, least_ms: 60_000, most_ms: 60_000 })
        .with(2_000, ScheduledEvent::create(node, vec![0, node, 2], SuiteChoice::Lotus))
        .with(2_500, ScheduledEvent::create(0, vec![0, node, 2], SuiteChoice::Lotus))
        .with(63_000, ScheduledEvent::Crash { node, silent: false })
        .with(64_000, ScheduledEvent::Restart { node });
    if is_lost {
        let misbehaviour = Misbehaviour::LosesRecords;
        schedule = schedule.with(0, ScheduledEvent::Misbehaviour { node, misbehaviour, broken: true });
    }
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

/// A world in which a node has shown its nonce, signed, and is resumed from a snapshot that was taken between the two;
/// another signer has lost its records meanwhile, and draws another nonce. And whether the snapshot has the nonce.
fn resumed(open_nonces: bool) -> Schedule {
    let (node, other) = (1, 2);
    let lost = ScheduledEvent::Misbehaviour { node: other, misbehaviour: Misbehaviour::LosesRecords, broken: false };
    // The announcement is there after ten milliseconds, the other's nonce after twenty.
    let resume = ScheduledEvent::Resume { node, since_ms: 2_015, keeps_disk: true, open_nonces };
    let mut schedule = Schedule::new(1, 3)
        .with(0, lost)
        .with(2_000, ScheduledEvent::create(0, vec![0, node, other], SuiteChoice::Lotus))
        .with(3_000, ScheduledEvent::Crash { node: 0, silent: false })
        .with(3_000, ScheduledEvent::Crash { node: other, silent: false })
        .with(3_500, ScheduledEvent::Restart { node: other })
        .with(5_000, resume);
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

#[test]
fn a_nonce_that_a_snapshot_has_signs_twice_and_one_that_it_has_not_signs_once() {
    assert!(fired(&resumed(true)).contains("copies"));
    assert_eq!(fired(&resumed(false)), BTreeSet::new());
}

/// A world in which nothing but connections says who holds which key, and whether a node does not say it.
fn hidden_presence(is_hidden: bool) -> Schedule {
    let mut schedule = Schedule::new(1, 3);
    schedule.services = ServicesChoice::None;
    if is_hidden {
        let misbehaviour = Misbehaviour::HidesPresence;
        schedule = schedule.with(0, ScheduledEvent::Misbehaviour { node: 1, misbehaviour, broken: true });
    }
    schedule = schedule.with(600_000, ScheduledEvent::create(0, vec![0, 2], SuiteChoice::Lotus));
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

/// A world in which a signer says that it has broadcast and has not, and whether another one hides that from its owner.
fn lied_to(is_hidden: bool) -> Schedule {
    let misbehaviour = Misbehaviour::LyingCoordinator;
    let mut schedule =
        Schedule::new(1, 3).with(0, ScheduledEvent::Misbehaviour { node: 0, misbehaviour, broken: false });
    if is_hidden {
        let misbehaviour = Misbehaviour::HidesTurns;
        schedule = schedule.with(0, ScheduledEvent::Misbehaviour { node: 1, misbehaviour, broken: true });
    }
    for at in 0..4 {
        let create = ScheduledEvent::create(at as u32 % 3, vec![0, 1, 2], SuiteChoice::Lotus);
        schedule = schedule.with(2_000 + at * 500, create);
    }
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

#[test]
fn worlds_in_which_nothing_is_signed_late_and_nothing_is_lost_are_silent() {
    assert_eq!(fired(&hidden_presence(false)), BTreeSet::new());
    assert_eq!(fired(&late_answer(false)), BTreeSet::new());
    assert_eq!(fired(&lost_records(false)), BTreeSet::new());
    assert_eq!(fired(&lied_to(false)), BTreeSet::new());
}

/// The world of late refusals, in which the others take their time, sign with devices and sleep, over a bad network.
fn late_refusal_among_people(is_deaf: bool) -> Schedule {
    let mut schedule = late_refusal(is_deaf);
    let [minute, hour] = [60_000, 3_600_000];
    for event in [
        ScheduledEvent::Owner { node: 0, least_ms: minute, most_ms: hour },
        ScheduledEvent::Owner { node: 1, least_ms: minute, most_ms: hour },
        ScheduledEvent::Device { node: 2, nonces_ms: 20_000, partials_ms: 1 },
        ScheduledEvent::LinkConditions {
            until_ms: 2 * hour,
            loss: 300_000,
            duplication: 0,
            reordering: 0,
            reorder_delay_ms: 0,
        },
    ] {
        schedule = schedule.with(0, event);
    }
    schedule = schedule.with(30_000, ScheduledEvent::Sleep { node: 2, until_ms: hour / 2 });
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

#[test]
fn whoever_has_signed_is_told_in_the_worlds_of_people_too() {
    assert!(!fired(&late_refusal_among_people(false)).contains("told"));
    assert!(fired(&late_refusal_among_people(true)).contains("told"));
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
