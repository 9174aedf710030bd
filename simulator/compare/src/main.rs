//! What the simulator costs, side by side in one run.
//!
//! The message workload: N nodes send 64 bytes to a random neighbour each 100 ms, a message takes 10–50 ms, and
//! receivers answer. It runs through the engine with its network model and all fault paths, in a bare loop that does
//! nothing else, and, with `--features madsim` and `RUSTFLAGS="--cfg madsim"`, in madsim. Then sessions of three
//! signers with real cryptography, beside their cryptographic operations alone and what the stand-in's table charges
//! for those.
//!
//! All take turns in each round, time is that on the processor where one thread runs, and what is shown is the median
//! over the rounds. Prints a table with the targets beside the results.
//!
//! Usage: `nelumbo-simulator-compare [NODES]… [--rounds N] [--threads N] [--json FILE]`

mod bare;
#[path = "../../../crypto/benches/crypto/clock.rs"]
mod clock;
mod engine;
#[cfg(feature = "madsim")]
mod in_madsim;
mod memory;
mod session;
mod table;

use std::time::Instant;

use table::{Bound, Table};

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;
/// Each node sends this often.
const PERIOD: u64 = 100 * MILLISECOND;
/// The least latency, and by how much more at most.
const LATENCY: (u64, u64) = (10 * MILLISECOND, 40 * MILLISECOND);
/// What is sent.
const PAYLOAD: usize = 64;
/// Where the target for madsim is; beyond it takes minutes.
const FOR_MADSIM: u32 = 10_000;

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds of this thread's processor for each event.
fn cost(run: impl FnOnce() -> u64) -> f64 {
    let start = clock::now();
    let events = run();
    (clock::now() - start).as_secs_f64() * 1e9 / events as f64
}

/// Nanoseconds on the wall for each event.
fn wall(run: impl FnOnce() -> u64) -> f64 {
    let start = Instant::now();
    let events = run();
    start.elapsed().as_secs_f64() * 1e9 / events as f64
}

/// One round of the message workload, in nanoseconds for each event.
struct Round {
    bare: f64,
    engine: f64,
    madsim: Option<f64>,
    one_thread: f64,
    more_threads: f64,
}

impl Round {
    fn run(nodes: u32, threads: usize) -> Self {
        // About six million events, and more where each node would have few.
        let until = (2_000_000 / u64::from(nodes)).clamp(6, 2_000) * PERIOD;
        Self {
            bare: cost(|| bare::run(nodes, until)),
            engine: cost(|| engine::run(nodes, until, 1)),
            #[cfg(feature = "madsim")]
            madsim: (nodes <= FOR_MADSIM).then(|| cost(|| in_madsim::run(nodes, until.min(10 * PERIOD)))),
            #[cfg(not(feature = "madsim"))]
            madsim: None,
            one_thread: wall(|| engine::run(nodes, until, 1)),
            more_threads: wall(|| engine::run(nodes, until, threads)),
        }
    }
}

fn messages(table: &mut Table, nodes: u32, rounds: usize, threads: usize) -> f64 {
    let rounds: Vec<Round> = (0..rounds).map(|_| Round::run(nodes, threads)).collect();
    let of = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value));
    let at = format!("{nodes} nodes");
    let engine = of(&|round| round.engine);
    table.add("bare loop, million events/s", &at, of(&|round| 1e3 / round.bare), None);
    table.add("engine, million events/s", &at, 1e3 / engine, None);
    let is_aimed = nodes >= 10_000;
    table.add(
        "engine's time over the bare loop's",
        &at,
        of(&|round| round.engine / round.bare),
        is_aimed.then_some(Bound::AtMost(2.0)),
    );
    if rounds[0].madsim.is_some() {
        let times = of(&|round| round.madsim.map_or(f64::NAN, |madsim| madsim / round.engine));
        table.add("times as fast as madsim", &at, times, (nodes == FOR_MADSIM).then_some(Bound::AtLeast(40.0)));
    }
    let gain = of(&|round| round.one_thread / round.more_threads);
    table.add(&format!("times as fast on {threads} threads"), &at, gain, None);
    engine
}

fn main() {
    let (mut threads, mut rounds, mut json) = (2, 5, None);
    let mut sizes: Vec<u32> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|count| count.parse().ok()).expect("a number");
        match argument.as_str() {
            "--threads" => threads = number(),
            "--rounds" => rounds = number(),
            "--json" => json = Some(arguments.next().expect("a file")),
            nodes => sizes.push(nodes.parse().expect("a number of nodes")),
        }
    }
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000, 1_000_000];
    }
    let mut table = Table::start();
    let costs: Vec<f64> = sizes.iter().map(|nodes| messages(&mut table, *nodes, rounds, threads)).collect();
    let (least, most) =
        costs.iter().fold((f64::MAX, 0.0_f64), |(least, most), cost| (least.min(*cost), most.max(*cost)));
    let all = format!("{} to {} nodes", sizes[0], sizes[sizes.len() - 1]);
    table.add("an event's highest cost over its lowest", &all, most / least, Some(Bound::AtMost(3.0)));
    let nodes = 100_000;
    table.add("bytes of an idle machine", &format!("{nodes} nodes"), memory::idle(nodes), Some(Bound::AtMost(300.0)));
    table.add("bytes of a machine in the workload", &format!("{nodes} nodes"), memory::busy(nodes), None);
    let session = session::measure(rounds.max(3) * 3);
    table.add("session, simulated, µs", "3 signers", session.simulated_us, None);
    table.add("its cryptography alone, µs", "3 signers", session.alone_us, None);
    table.add("the same, as `toy-charged` has it, µs", "3 signers", session.charged_us, None);
    table.add("charged over alone", "3 signers", session.charged_over_alone, None);
    table.add("simulated over alone", "3 signers", session.ratio, Some(Bound::AtMost(1.3)));
    println!("\nA session of three signers: {}.", session.operations);
    if let Some(file) = json {
        std::fs::write(file, table.json()).expect("a file that can be written");
    }
}
