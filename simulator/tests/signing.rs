//! Signing sessions in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_simulator::peer::Observation;
use nelumbo_simulator::run::{Run, SETTLING_MS};
use nelumbo_simulator::schedule::{LatencyChoice, Schedule, ScheduledEvent, SuiteChoice};

/// A session among all nodes of a network without faults, created by the last one after two seconds.
fn session(seed: u64, signers: u32, suite: SuiteChoice) -> Schedule {
    let mut schedule = Schedule::new(seed, signers);
    schedule.latency = LatencyChoice::Fixed { ms: 10 };
    schedule.until_ms = 10_000;
    schedule.with(2_000, ScheduledEvent::create(signers - 1, (0..signers).collect(), suite))
}

#[test]
fn connected_signers_have_the_signature_after_three_one_way_delays() {
    for suite in [SuiteChoice::Lotus, SuiteChoice::Bip340] {
        for signers in [2, 3, 5, 10] {
            let schedule = session(1, signers, suite);
            let mut arrived = BTreeMap::<&str, u64>::new();
            let summary = Run::new(&schedule)
                .trace(|observed| {
                    if let Observation::Arrived(arrival) = &observed.observation {
                        *arrived.entry(arrival.kind).or_default() += 1;
                    }
                })
                .summary();
            assert_eq!(summary.violations, [], "{summary}");
            assert_eq!((summary.sessions.completed, summary.latency_ms.count), (1, u64::from(signers)), "{summary}");
            assert!((summary.one_way_delays.max - 3.0).abs() < 1e-9, "{suite:?} with {signers} signers: {summary}");
            let others = u64::from(signers) - 1;
            assert_eq!((arrived["announce"], arrived["join"]), (others, others * others));
            assert_eq!(arrived["partial"], u64::from(signers) * others);
            assert!(!arrived.contains_key("finalized") && !arrived.contains_key("status"), "{arrived:?}");
            // Presences come by gossip and directly: the second is a duplicate. The session has none.
            let mut without = schedule.clone();
            without.steps.clear();
            assert_eq!(Run::new(&without).summary().refusals, summary.refusals);
        }
    }
}

#[test]
fn loss_duplication_and_reordering_only_delay_the_signature() {
    for seed in 0..40 {
        let mut schedule = session(seed, 4, SuiteChoice::Lotus);
        schedule.latency = LatencyChoice::Uniform { low_ms: 10, high_ms: 90 };
        schedule.disk_us = 200;
        let (loss, duplication) = (300_000, 200_000);
        let conditions = ScheduledEvent::LinkConditions {
            until_ms: 600_000,
            loss,
            duplication,
            reordering: 100_000,
            reorder_delay_ms: 500,
        };
        let mut schedule = schedule.with(1_900, conditions);
        schedule.until_ms = 600_000 + SETTLING_MS;
        let mut phases = Vec::new();
        let summary = Run::new(&schedule)
            .measure(|observed| {
                if let Observation::Event(Event::PhaseChanged { phase, .. }) = &observed.observation {
                    phases.push((observed.node, *phase));
                }
            })
            .summary();
        assert_eq!((summary.violations.len(), summary.sessions.completed), (0, 1), "{summary}");
        let distinct: BTreeSet<_> = phases.iter().collect();
        assert_eq!(distinct.len(), phases.len(), "no phase is entered twice in one attempt, seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run_once = |seed| {
        let mut schedule = session(seed, 3, SuiteChoice::Lotus);
        schedule.latency = LatencyChoice::Uniform { low_ms: 10, high_ms: 60 };
        Run::new(&schedule).summary()
    };
    assert_eq!(run_once(5), run_once(5));
    assert_ne!(run_once(5).trace_hash, run_once(6).trace_hash);
}
