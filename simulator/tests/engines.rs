//! The same machines on the same network give the same trace, however they are run.

use std::ops::ControlFlow;

use nelumbo_simulator::Random;
use nelumbo_simulator::engine::{Context, Machine, Nanos, Observed, Sequential, Stats, Windowed};
use nelumbo_simulator::network::{Direction, Latency, LinkConditions, LinkWindow, NetworkModel, NodeSet, Partition};

const MILLISECOND: Nanos = 1_000_000;
const HOUR: Nanos = 3_600_000 * MILLISECOND;

/// Sends to random others at random times, answers most of what it gets, and sets timers near and far.
struct Chatter {
    random: Random,
    heard: u64,
}

impl Machine for Chatter {
    type Observation = u64;

    fn on_start(&mut self, context: &mut Context<'_, u64>) {
        context.set_timer(self.random.below(5 * MILLISECOND), 1);
    }

    fn on_message(&mut self, context: &mut Context<'_, u64>, from: u32, payload: &[u8]) {
        self.heard += payload.len() as u64;
        if self.heard.is_multiple_of(7) {
            context.emit(self.heard);
        }
        if payload.len() > 20 {
            context.send(from, &payload[..payload.len() / 2]);
        }
        if self.random.below(4) == 0 {
            // Also inside this window, beyond the ring, and at the same time as others.
            let delays = [0, 1, MILLISECOND, 3 * MILLISECOND, 800 * MILLISECOND];
            context.set_timer(delays[self.random.below(5) as usize], 2);
        }
    }

    fn on_timer(&mut self, context: &mut Context<'_, u64>, tag: u64) {
        let nodes = u64::from(context.network().nodes());
        let bytes = self.random.bytes32();
        let length = [8, 32, 40, 5000][self.random.below(4) as usize];
        let payload: Vec<u8> = bytes.iter().cycle().take(length).copied().collect();
        context.send(self.random.below(nodes) as u32, &payload);
        if tag == 1 {
            context.set_timer(20 * MILLISECOND, 1);
        }
    }
}

fn machines(seed: u64, count: u32) -> Vec<Chatter> {
    (0..count).map(|node| Chatter { random: Random::stream(seed, "chatter", u64::from(node)), heard: 0 }).collect()
}

fn network(seed: u64, nodes: u32) -> NetworkModel {
    let latency = match seed % 3 {
        0 => Latency::Fixed(10 * MILLISECOND),
        1 => Latency::Uniform { low: 4 * MILLISECOND, span: 300 * MILLISECOND },
        _ => Latency::log_normal(5 * MILLISECOND, 20 * MILLISECOND, 0.8),
    };
    let conditions =
        LinkConditions { loss: 50_000, duplication: 30_000, reordering: 100_000, reorder_delay: 80 * MILLISECOND };
    let members = NodeSet::collect((0..nodes).filter(|node| node % 3 == 0));
    NetworkModel::new(nodes, latency)
        .with_link_window(LinkWindow { from: 100 * MILLISECOND, until: 700 * MILLISECOND, conditions })
        .with_partition(Partition {
            from: 200 * MILLISECOND,
            until: 500 * MILLISECOND,
            members,
            direction: Direction::Outward,
            flapping: 60 * MILLISECOND,
        })
        .with_slow(NodeSet::collect([1, 5]), 7 * MILLISECOND)
        .with_bandwidth(200_000)
}

const UNTIL: Nanos = 1_200 * MILLISECOND + 123_457;

fn in_sequence(seed: u64, nodes: u32) -> (Stats, Vec<Observed<u64>>) {
    let mut simulation = Sequential::new(network(seed, nodes), seed, machines(seed, nodes));
    while simulation.step(UNTIL) {}
    (simulation.stats(), simulation.take_observations())
}

fn in_windows(seed: u64, nodes: u32, threads: usize, block_bits: u32) -> (Stats, Vec<Observed<u64>>) {
    let mut all = Vec::new();
    let simulation = Windowed::new(network(seed, nodes), seed, machines(seed, nodes));
    let (machines, stats) = simulation.threads(threads).block_bits(block_bits).run(UNTIL, |observations, _| {
        all.append(observations);
        ControlFlow::Continue(())
    });
    assert_eq!(machines.len(), nodes as usize);
    (stats, all)
}

#[test]
fn both_engines_give_the_same_trace_on_any_number_of_threads_and_blocks() {
    for seed in 0..6 {
        let nodes = 20 + 7 * seed as u32;
        let (stats, observations) = in_sequence(seed, nodes);
        assert!(stats.events > 2_000 && observations.len() > 100, "{stats:?}");
        assert!(stats.lost > 0 && stats.duplicated > 0 && stats.cut > 0, "every fault has happened: {stats:?}");
        assert!(observations.is_sorted_by_key(|observed| observed.stamp));
        for (threads, block_bits) in [(1, 10), (1, 3), (2, 3), (2, 0), (3, 4), (2, 10)] {
            let (other, others) = in_windows(seed, nodes, threads, block_bits);
            assert_eq!(other, stats, "seed {seed}, {threads} threads, 2^{block_bits} in a block");
            assert_eq!(others, observations);
        }
    }
}

#[test]
fn latencies_and_timers_of_any_length_give_the_same_trace() {
    /// Sends on what it gets, and wakes after times of every order of magnitude.
    struct Sleeper(Random);
    impl Machine for Sleeper {
        type Observation = ();
        fn on_start(&mut self, context: &mut Context<'_, ()>) {
            (0..12).for_each(|exponent| context.set_timer(10_u64.pow(exponent), exponent.into()));
        }
        fn on_message(&mut self, context: &mut Context<'_, ()>, _: u32, payload: &[u8]) {
            if self.0.below(8) > 0 {
                context.send(self.0.below(30) as u32, payload);
            }
        }
        fn on_timer(&mut self, context: &mut Context<'_, ()>, tag: u64) {
            context.send(self.0.below(30) as u32, &tag.to_le_bytes());
            context.set_timer(self.0.below(HOUR), tag);
        }
    }
    let sleepers = || (0..30).map(|node| Sleeper(Random::stream(5, "sleeper", node))).collect::<Vec<_>>();
    // A window of six seconds would not fit into a key, and in an hour there are many rungs of windows.
    for latency in [Latency::Fixed(6_000 * MILLISECOND), Latency::Uniform { low: 1_000 * MILLISECOND, span: HOUR }] {
        let mut one = Sequential::new(NetworkModel::new(30, latency.clone()), 5, sleepers());
        while one.step(4 * HOUR) {}
        assert!(one.stats().events > 1_000, "{:?}", one.stats());
        for (threads, block_bits) in [(1, 5), (2, 2)] {
            let windowed = Windowed::new(NetworkModel::new(30, latency.clone()), 5, sleepers());
            let run = windowed.threads(threads).block_bits(block_bits).run(4 * HOUR, |_, _| ControlFlow::Continue(()));
            assert_eq!(run.1, one.stats(), "{latency:?} on {threads} threads");
        }
    }
}

#[test]
fn another_seed_gives_another_trace() {
    let traces: std::collections::BTreeSet<u64> = (0..20).map(|seed| in_windows(seed, 40, 1, 4).0.trace).collect();
    assert_eq!(traces.len(), 20);
}

#[test]
fn the_trace_is_the_one_written_down() {
    // Debug and release builds, two processes, and every later version: the trace of a seed stays.
    let traces: Vec<u64> = (0..3).map(|seed| in_windows(seed, 50, 2, 4).0.trace).collect();
    assert_eq!(traces, TRACES);
}

const TRACES: [u64; 3] = [3_698_102_794_909_686_599, 8_332_467_115_272_822_769, 10_896_354_301_720_420_047];

#[test]
fn a_panic_anywhere_reaches_the_caller_and_leaves_no_thread_waiting() {
    #[derive(Clone, Copy, PartialEq)]
    enum When {
        Start,
        Timer,
        Observed,
    }
    struct Fragile(Option<When>);
    impl Machine for Fragile {
        type Observation = ();

        fn on_start(&mut self, context: &mut Context<'_, ()>) {
            assert!(self.0 != Some(When::Start), "at the start");
            context.set_timer(10 * MILLISECOND, 0);
        }

        fn on_message(&mut self, _: &mut Context<'_, ()>, _: u32, _: &[u8]) {}

        fn on_timer(&mut self, context: &mut Context<'_, ()>, _: u64) {
            assert!(self.0 != Some(When::Timer), "at a timer");
            context.emit(());
            context.set_timer(10 * MILLISECOND, 0);
        }
    }
    for (when, node) in [(When::Start, 0), (When::Start, 7), (When::Timer, 0), (When::Timer, 7), (When::Observed, 0)] {
        let machines = (0..8).map(|other| Fragile((other == node).then_some(when))).collect();
        let simulation =
            Windowed::new(NetworkModel::new(8, Latency::Fixed(MILLISECOND)), 1, machines).threads(4).block_bits(0);
        let run = std::panic::catch_unwind(|| {
            simulation.run(HOUR, |observations, _| {
                assert!(when != When::Observed || observations.is_empty(), "observed");
                ControlFlow::Continue(())
            })
        });
        assert!(run.is_err());
    }
}

#[test]
fn an_observer_that_breaks_ends_the_simulation() {
    let simulation = Windowed::new(network(1, 40), 1, machines(1, 40)).threads(2).block_bits(2);
    let mut windows = 0;
    let (_, stats) = simulation.run(UNTIL, |_, _| {
        windows += 1;
        if windows == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(windows, 3);
    assert!(stats.events < in_windows(1, 40, 1, 4).0.events);
}
