//! Holds the simulator's models of Kademlia and gossipsub against the real ones: a hundred libp2p peers on loopback,
//! then as many modelled ones with the same connections, the same number of lookups and messages.
//!
//! Usage: `cargo run --release -p nelumbo-tests --example calibrate -- [PEERS] [LOOKUPS] [MESSAGES]`
#![allow(clippy::print_stdout)]

mod delayed_stream;
mod model;
mod real;

use std::collections::BTreeMap;
use std::time::Duration;

/// How long everything takes from one peer to another.
const ONE_WAY_DELAY: Duration = Duration::from_millis(50);

/// What was measured, of either.
#[derive(Debug, Default)]
struct Measured {
    /// How many peers a peer can route to.
    routes: Vec<f64>,
    /// How many requests a lookup took.
    requests: Vec<f64>,
    /// How many of the peers that are truly nearest a lookup has found, as a share.
    recall: Vec<f64>,
    /// How long a lookup took, in milliseconds.
    lookup_ms: Vec<f64>,
    /// Whether the nearest peer that it found was not in its own routing table: more than one hop.
    farther: Vec<f64>,
    /// How many neighbours a mesh has.
    mesh: Vec<f64>,
    /// To how many others a message came, as a share.
    delivered: Vec<f64>,
    /// Through how many peers it came to each.
    hops: Vec<f64>,
    /// How long it took to each, in milliseconds.
    latency_ms: Vec<f64>,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(((sorted.len().saturating_sub(1)) as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

/// Through how many peers each message came, from who had it from whom.
fn depths(author: usize, from: &BTreeMap<usize, usize>) -> Vec<f64> {
    let depth = |mut peer: usize| {
        let mut count = 0;
        while peer != author && count <= from.len() {
            let Some(before) = from.get(&peer) else { break };
            (peer, count) = (*before, count + 1);
        }
        count as f64
    };
    from.keys().map(|peer| depth(*peer)).collect()
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<usize>().expect("a number"));
    let peers = numbers.next().unwrap_or(100);
    let (lookups, messages) = (numbers.next().unwrap_or(200), numbers.next().unwrap_or(50));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (real, connections) = runtime.block_on(real::measure(peers, lookups, messages));
    let model = model::measure(&connections, lookups, messages);
    println!("{peers} peers, {lookups} lookups, {messages} messages            real    model");
    let row = |name: &str, of: fn(&Measured) -> f64| println!("{name:<44} {:>8.2} {:>8.2}", of(&real), of(&model));
    row("peers in the routing table, mean", |one| mean(&one.routes));
    row("requests of a lookup, mean", |one| mean(&one.requests));
    row("requests of a lookup, p99", |one| at(&one.requests, 0.99));
    row("share of the 20 nearest that were found", |one| mean(&one.recall));
    row("share of lookups with more than one hop", |one| mean(&one.farther));
    row("time of a lookup, p50 in ms", |one| at(&one.lookup_ms, 0.5));
    row("time of a lookup, p99 in ms", |one| at(&one.lookup_ms, 0.99));
    row("neighbours in the mesh, mean", |one| mean(&one.mesh));
    row("share of peers that got a message", |one| mean(&one.delivered));
    row("hops of a message, mean", |one| mean(&one.hops));
    row("hops of a message, most", |one| at(&one.hops, 1.0));
    row("latency of a message, p50 in ms", |one| at(&one.latency_ms, 0.5));
    row("latency of a message, p99 in ms", |one| at(&one.latency_ms, 0.99));
}
