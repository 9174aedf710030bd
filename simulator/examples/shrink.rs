//! Prints the smallest failing schedule that shrinking finds for a seed of the swarm, and what comes of it.
//!
//! Usage: `cargo run --release -p nelumbo-simulator --example shrink -- SEED`
#![allow(clippy::print_stdout)]

use nelumbo_simulator::run::{Engine, run};
use nelumbo_simulator::scenario::Scenario;
use nelumbo_simulator::shrink::shrink;

fn main() {
    for seed in std::env::args().skip(1) {
        let seed = seed.parse().expect("a seed");
        let schedule = Scenario::swarm(seed).schedule(seed);
        match shrink(&schedule, 400) {
            Some(small) => println!("{}\n{}\n", small.to_toml(), run(&small, Engine::Windowed(1))),
            None => println!("seed {seed} does not fail"),
        }
    }
}
