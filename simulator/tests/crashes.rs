//! Crashes at every moment of a session.

mod common;

use std::time::Duration;

use common::{Outcome, check, create, run};
use nelumbo_core::api::Event;
use nelumbo_core::crypto::Suite;
use nelumbo_simulator::{Options, Simulation};

const SIGNERS: usize = 3;

fn options(seed: u64) -> Options {
    let mut options = Options::new(seed, SIGNERS);
    options.jitter = Duration::from_millis(5);
    // Slow enough that a crash can hit a record that is asked for and not yet durable.
    options.disk = Duration::from_millis(1);
    options
}

fn merge(parts: impl IntoIterator<Item = Outcome>) -> Outcome {
    parts.into_iter().fold(Outcome::default(), |mut all, part| {
        all.completed.extend(part.completed);
        all.sessions.extend(part.sessions);
        all.seen.extend(part.seen);
        all
    })
}

/// Runs a session in which `victim` crashes after `steps` steps and restarts half a second later. True when the
/// session needed a second attempt; `None` when it was over before the crash.
fn crash_after(seed: u64, victim: usize, steps: u64) -> Option<bool> {
    let mut simulation = Simulation::new(options(seed));
    let start = simulation.steps();
    create(&mut simulation, 0, SIGNERS, Suite::Bip340);
    let early =
        run(&mut simulation, SIGNERS, Duration::from_secs(10), |simulation| simulation.steps() - start >= steps);
    if early.completed.len() == SIGNERS {
        return None;
    }
    simulation.crash(victim);
    let meanwhile = run(&mut simulation, SIGNERS, Duration::from_millis(500), |_| false);
    simulation.restart(victim);
    let late = run(&mut simulation, SIGNERS, Duration::from_secs(600), |_| false);
    let all = merge([early, meanwhile, late]);
    let is_known =
        all.seen.iter().any(|seen| matches!(seen.event, Event::SessionCreated { .. } | Event::SessionAnnounced { .. }));
    if is_known {
        check(&simulation, SIGNERS, Suite::Bip340, &all);
    } else {
        // The creator crashed before its first record was durable: nobody had asked for anything yet.
        assert_eq!((all.completed.len(), victim), (0, 0));
    }
    Some(all.seen.iter().any(|seen| matches!(seen.event, Event::AttemptStarted { .. })))
}

#[test]
fn a_crash_at_any_moment_costs_an_attempt_and_never_a_nonce() {
    let (mut points, mut second_attempts) = (0, 0);
    for seed in 0..3 {
        for victim in 0..SIGNERS {
            for steps in 0.. {
                let Some(again) = crash_after(seed, victim, steps) else { break };
                points += 1;
                second_attempts += u32::from(again);
            }
        }
    }
    assert!(points > 150 && second_attempts > 100, "{points} crash points, {second_attempts} second attempts");
}

#[test]
fn all_signers_crash_at_once_and_finish_in_a_later_attempt() {
    for seed in 0..20 {
        let mut simulation = Simulation::new(options(seed));
        create(&mut simulation, 1, SIGNERS, Suite::Lotus);
        let early = run(&mut simulation, SIGNERS, Duration::from_millis(15 + seed), |_| false);
        (0..SIGNERS).for_each(|node| simulation.crash(node));
        (0..SIGNERS).for_each(|node| simulation.restart(node));
        let late = run(&mut simulation, SIGNERS, Duration::from_secs(600), |_| false);
        check(&simulation, SIGNERS, Suite::Lotus, &merge([early, late]));
    }
}
