//! Runs the swarm over a range of seeds on two threads, a seed on each, and prints every seed with a violation.
//!
//! Usage: `cargo run --release -p nelumbo-simulator --example swarm -- FROM TO`
#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicU64, Ordering};

use nelumbo_simulator::run::{Engine, run};
use nelumbo_simulator::scenario::Scenario;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a seed"));
    let (from, to): (u64, u64) = (arguments.next().unwrap_or(0), arguments.next().unwrap_or(100));
    let next = AtomicU64::new(from);
    let (sessions, completed) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= to {
                break;
            }
            let summary = run(&Scenario::swarm(seed).schedule(seed), Engine::Windowed(1));
            sessions.fetch_add(summary.sessions.started, Ordering::Relaxed);
            completed.fetch_add(summary.sessions.completed, Ordering::Relaxed);
            if !summary.violations.is_empty() {
                println!("seed {seed}: {:?}", summary.violations[0]);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    println!("seeds {from}..{to}: {sessions:?} sessions, {completed:?} completed at every honest signer");
}
