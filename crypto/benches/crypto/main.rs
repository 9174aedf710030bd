//! Cryptography beside libsecp256k1, plain k256, the musig2 crate and xpi-ts: `cargo bench -p nelumbo-crypto`.
//!
//! Prints a table of ratios with the targets beside them and writes the same as JSON. Each row is timed in rounds in
//! which everyone takes a turn, and a ratio is the median over the rounds, so that a machine that slows down slows all
//! of them.
//!
//! `cargo bench -p nelumbo-crypto -- TEXT` runs the rows whose names contain TEXT; with `NELUMBO_BENCH_TIMES=N` as
//! well, it runs our side of them N times and nothing else, for a profiler to count. The crates and the SDK that are
//! compared from outside the workspace are built or found at the start; a column stays empty where that fails.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is what a benchmark is for")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark measures time and writes a file")]
#![allow(missing_docs, reason = "a program")]

mod clock;
mod contest;
mod library;
mod rivals;
mod rows;
mod session;

use std::time::Instant;

use contest::{Outcome, Row};

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    if let Some(times) = std::env::var("NELUMBO_BENCH_TIMES").ok().and_then(|times| times.parse().ok()) {
        for mut row in rows::all().into_iter().map(|make| make()).filter(|row| row.name == filter) {
            (row.ours)(times);
        }
        return;
    }
    let mut rivals = rivals::Rivals::start();
    let started = Instant::now();
    let mut outcomes = Vec::new();
    println!("{}", Outcome::heading());
    for make in rows::all() {
        let mut row: Row = make();
        if !row.name.contains(&filter) {
            continue;
        }
        let outcome = row.run(&mut rivals);
        println!("{}", outcome.line());
        outcomes.push(outcome);
    }
    let path =
        std::env::var("NELUMBO_BENCH_JSON").unwrap_or_else(|_| format!("{}/bench.json", env!("CARGO_TARGET_TMPDIR")));
    let rows: Vec<_> = outcomes.iter().map(Outcome::json).collect();
    std::fs::write(&path, format!("[\n  {}\n]\n", rows.join(",\n  "))).expect("the folder for temporary files exists");
    let missed = outcomes.iter().filter(|outcome| outcome.misses_the_first_target()).count();
    println!("\n{missed} of {} rows miss the first target; {:.0?}; {path}", outcomes.len(), started.elapsed());
}
