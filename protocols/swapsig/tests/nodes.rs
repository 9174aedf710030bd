//! The protocol on simulated nodes, with the core's own sessions: a pool is announced, found, joined and completed over
//! a network that loses messages, and nodes crash meanwhile.

mod support;

use nelumbo_simulator::schedule::ScheduledEvent;
use support::{Outcome, run, schedule};

const NODES: u32 = 4;

#[test]
fn nodes_find_a_pool_and_complete_it_over_a_network_that_loses_messages() {
    for seed in 0..3 {
        let Outcome { complete, paid, .. } = run(&schedule(seed, NODES, true));
        assert_eq!(complete, (0..NODES).collect(), "seed {seed}");
        assert_eq!(paid, vec![vec![100_000]; NODES as usize], "seed {seed}");
    }
}

#[test]
fn nodes_that_crash_go_on_with_their_pool() {
    for at_ms in [12_000, 18_000, 24_000, 30_000, 40_000] {
        let schedule = schedule(7, NODES, true)
            .with(at_ms, ScheduledEvent::Crash { node: 1, silent: false })
            .with(at_ms + 1_000, ScheduledEvent::Restart { node: 1 })
            .with(at_ms + 4_000, ScheduledEvent::Crash { node: 0, silent: true })
            .with(at_ms + 6_000, ScheduledEvent::Restart { node: 0 });
        let Outcome { complete, paid, .. } = run(&schedule);
        assert_eq!(complete, (0..NODES).collect(), "crashes from {at_ms} ms");
        assert_eq!(paid, vec![vec![100_000]; NODES as usize], "crashes from {at_ms} ms");
    }
}
