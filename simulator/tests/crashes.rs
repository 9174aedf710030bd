//! Crashes at every moment of a session.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_core::wire::{Body, Message};
use nelumbo_simulator::peer::Observation;
use nelumbo_simulator::run::{Run, SETTLING_MS};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::schedule::{LatencyChoice, Schedule, ScheduledEvent, SuiteChoice};
use nelumbo_simulator::summary::Summary;

const CREATED_MS: u64 = 2_000;

fn session(seed: u64) -> Schedule {
    let mut schedule = Schedule::new(seed, 3);
    schedule.latency = LatencyChoice::Uniform { low_ms: 10, high_ms: 15 };
    // Slow enough that a crash can hit a record that is asked for and not yet durable.
    schedule.disk_us = 1_000;
    let create = ScheduledEvent::create(0, vec![0, 1, 2], SuiteChoice::Bip340);
    schedule.with(CREATED_MS, create)
}

fn crash(schedule: Schedule, node: u32, at_ms: u64, down_ms: u64) -> Schedule {
    let schedule = schedule.with(at_ms, ScheduledEvent::Crash { node, silent: false });
    let mut schedule = schedule.with(at_ms + down_ms, ScheduledEvent::Restart { node });
    schedule.until_ms = schedule.healed_ms() + SETTLING_MS;
    schedule
}

/// Runs it to its end, and says how often a node began a second attempt.
fn run(schedule: &Schedule) -> (Summary, usize) {
    let mut again = 0;
    let summary = Run::new(schedule)
        .measure(|observed| {
            again += usize::from(matches!(observed.observation, Observation::Event(Event::AttemptStarted { .. })))
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}\n{}", schedule.to_toml());
    (summary, again)
}

#[test]
fn a_crash_at_any_moment_costs_an_attempt_and_never_a_nonce() {
    let (mut unborn, mut second_attempts) = (0, 0);
    for seed in 0..2 {
        for victim in 0..3 {
            for after in 0..50 {
                let (summary, again) = run(&crash(session(seed), victim, CREATED_MS + after, 500));
                // Before the creator's first record is durable, nobody has asked for anything yet.
                unborn += 1 - summary.sessions.started;
                assert_eq!(summary.sessions.completed, summary.sessions.started, "{summary}");
                second_attempts += u32::from(again > 0);
            }
        }
    }
    assert!(second_attempts > 100 && unborn < 5, "{second_attempts} second attempts, {unborn} never began");
}

#[test]
fn all_signers_crash_at_once_and_finish_in_a_later_attempt() {
    for seed in 0..20 {
        let all = (0..3).fold(session(seed), |schedule, node| crash(schedule, node, CREATED_MS + 15 + seed, 1));
        assert_eq!(run(&all).0.sessions.completed, 1, "seed {seed}");
    }
}

/// In how many attempts of the run a machine has shown more than one list of nonces, in one life and another.
fn drawn_again(schedule: &Schedule) -> usize {
    let mut shown = BTreeMap::<_, BTreeSet<_>>::new();
    let summary = Run::new(schedule)
        .measure(|observed| {
            let Observation::Sent { bytes, .. } = &observed.observation else { return };
            let Ok(message) = Message::decode(bytes.clone()) else { return };
            if let Body::Session(step) = message.unsigned.body
                && let Some(nonces) = step.content.nonces()
            {
                let attempt = (observed.node, message.unsigned.author, step.session, step.attempt);
                shown
                    .entry(attempt)
                    .or_default()
                    .insert(nonces.iter().map(|nonce| *nonce.as_bytes()).collect::<Vec<_>>());
            }
        })
        .summary();
    assert_eq!(summary.violations, [], "{summary}\n{}", schedule.to_toml());
    shown.values().filter(|lists| lists.len() > 1).count()
}

#[test]
fn a_machine_that_is_resumed_from_a_snapshot_without_open_nonces_uses_none_twice() {
    let scenario = Scenario::from_toml(Scenario::text("snapshots").expect("ready"), &[]).expect("sound");
    let again: usize = (0..6).map(|seed| drawn_again(&scenario.schedule(seed))).sum();
    assert!(again > 20, "{again} attempts were begun in two lives");
}
