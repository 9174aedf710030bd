//! The message workload, timed side by side: N nodes send 64 bytes to a random neighbour each 100 ms, a message takes
//! 10–50 ms, and receivers answer.
//!
//! Three ways in one run, so that their ratios mean something: the engine with its network model and all fault paths, a
//! bare loop that does nothing else, and, with `--features madsim` and `RUSTFLAGS="--cfg madsim"`, madsim.
//!
//! Usage: `nelumbo-simulator-compare [NODES]… [--threads N]`

mod bare;
mod engine;
#[cfg(feature = "madsim")]
mod in_madsim;

use std::time::Instant;

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;
/// Each node sends this often.
const PERIOD: u64 = 100 * MILLISECOND;
/// The least latency, and by how much more at most.
const LATENCY: (u64, u64) = (10 * MILLISECOND, 40 * MILLISECOND);
/// What is sent.
const PAYLOAD: usize = 64;

fn timed(name: &str, nodes: u32, run: impl FnOnce() -> u64) -> f64 {
    let start = Instant::now();
    let events = run();
    let rate = events as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("{nodes:>9} nodes  {name:<22} {events:>10} events  {rate:>8.2} million/s");
    rate
}

fn main() {
    let mut threads = 2;
    let mut sizes = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--threads" {
            threads = arguments.next().and_then(|count| count.parse().ok()).expect("--threads takes a number");
        } else {
            sizes.push(argument.parse().expect("a number of nodes"));
        }
    }
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    for nodes in sizes {
        let virtual_time = (200_000_000 / u64::from(nodes) / 30).clamp(2, 200) * 1_000 * MILLISECOND / 10;
        let bare = timed("bare loop", nodes, || bare::run(nodes, virtual_time));
        let one = timed("engine, 1 thread", nodes, || engine::run(nodes, virtual_time, 1));
        let more = timed(&format!("engine, {threads} threads"), nodes, || engine::run(nodes, virtual_time, threads));
        println!("{nodes:>9} nodes  bare loop / engine = {:.2}, threads gain {:.2}", bare / one, more / one);
        #[cfg(feature = "madsim")]
        if nodes <= 100_000 {
            let rate = timed("madsim", nodes, || in_madsim::run(nodes, (virtual_time / 20).max(1000 * MILLISECOND)));
            println!("{nodes:>9} nodes  engine / madsim = {:.1}", one / rate);
        }
    }
}
