//! How fast whole nodes run: events of one core in a second of its time, the gain of a second thread, bytes a node.
//!
//! `cargo run --release -p nelumbo-simulator --no-default-features --example speed -- planet 1000 10000 100000`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use nelumbo_simulator::run::{Engine, Run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::summary::Summary;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "planet".to_owned());
    let mut sizes: Vec<u32> = arguments.map(|size| size.parse().expect("a number of nodes")).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000];
    }
    println!("| nodes | events | events a second of one core | two threads take | bytes a node, at the peak |");
    println!("|---|---|---|---|---|");
    for nodes in sizes {
        let settings = [format!("nodes={nodes}"), format!("sessions={}", nodes * 3 / 10)];
        let text = Scenario::text(&name).expect("the name of a ready scenario");
        let schedule = Scenario::from_toml(text, &settings).expect("sound").schedule(0);
        let run = |threads| {
            let (start, before) = (Instant::now(), on_processor());
            let summary: Summary = Run::new(&schedule).engine(Engine::Windowed(threads)).summary();
            (summary, start.elapsed().as_secs_f64(), on_processor() - before)
        };
        let (one, alone, processor) = run(1);
        // Sizes grow, so the most memory so far is this one's; two threads have more, so they come after.
        let bytes = peak() / u64::from(nodes);
        let (two, together, _) = run(2);
        assert_eq!(one.trace_hash, two.trace_hash, "the same run");
        let (rate, gain) = (one.events as f64 / processor, together / alone);
        println!("| {nodes} | {} | {rate:.0} | {gain:.2} of the time | {bytes} |", one.events);
    }
}

/// For how long this thread has been on a processor, in seconds, where the system tells: other work does not count.
fn on_processor() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).map_or(f64::NAN, |nanos| nanos / 1e9)
}

/// The most memory that this process has had, in bytes, where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0).saturating_mul(1024)
}
