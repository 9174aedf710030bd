//! Signing sessions in virtual time.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{check, create, run};
use nelumbo_core::api::{Event, Phase};
use nelumbo_core::crypto::Suite;
use nelumbo_simulator::{Options, Simulation};

#[test]
fn connected_signers_have_the_signature_after_three_one_way_delays() {
    for suite in [Suite::Lotus, Suite::Bip340] {
        for signers in [2, 3, 5, 10] {
            let mut simulation = Simulation::new(Options::new(1, signers));
            // Presences come by gossip and directly: the second is a duplicate.
            let refused: Vec<u64> = (0..signers).map(|node| simulation.node(node).view().refusals().total()).collect();
            let start = simulation.now();
            create(&mut simulation, signers - 1, signers, suite);
            let outcome = run(&mut simulation, signers, Duration::from_secs(10), |_| false);
            check(&simulation, signers, suite, &outcome);
            let slowest = outcome.completed.values().map(|(at, _)| *at - start).max().unwrap();
            assert_eq!(slowest, 3 * Duration::from_millis(10), "{suite} with {signers} signers");
            let others = signers as u64 - 1;
            assert_eq!(simulation.messages(), 2 * signers as u64 * others, "announce, join, partial signature");
            for (node, before) in refused.into_iter().enumerate() {
                assert_eq!(
                    simulation.node(node).view().refusals().total(),
                    before,
                    "the session has no superfluous message"
                );
            }
        }
    }
}

#[test]
fn loss_duplication_and_reordering_only_delay_the_signature() {
    for seed in 0..40 {
        let mut options = Options::new(seed, 4);
        options.loss = 300;
        options.duplication = 200;
        options.jitter = Duration::from_millis(80);
        options.disk = Duration::from_micros(200);
        let mut simulation = Simulation::new(options);
        create(&mut simulation, (seed % 4) as usize, 4, Suite::Lotus);
        let outcome = run(&mut simulation, 4, Duration::from_secs(600), |_| false);
        check(&simulation, 4, Suite::Lotus, &outcome);
        let phases: Vec<(usize, Phase)> = outcome
            .seen
            .iter()
            .filter_map(|seen| match seen.event {
                Event::PhaseChanged { phase, .. } => Some((seen.node, phase)),
                _ => None,
            })
            .collect();
        let distinct: BTreeSet<_> = phases.iter().collect();
        assert_eq!(distinct.len(), phases.len(), "no phase is entered twice in one attempt, seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run_once = |seed| {
        let mut options = Options::new(seed, 3);
        options.loss = 200;
        options.jitter = Duration::from_millis(50);
        let mut simulation = Simulation::new(options);
        create(&mut simulation, 0, 3, Suite::Lotus);
        let outcome = run(&mut simulation, 3, Duration::from_secs(300), |_| false);
        (outcome.seen, simulation.messages())
    };
    assert_eq!(run_once(5), run_once(5));
    assert_ne!(run_once(5), run_once(6));
}
