//! How many hops a lookup in the model of Kademlia takes, by the number of peers.
//!
//! Usage: `cargo run --release -p nelumbo-simulator --example lookups -- [PEERS]…`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use nelumbo_simulator::engine::{Context, Machine, Nanos};
use nelumbo_simulator::network::{Latency, NetworkModel};
use nelumbo_simulator::services::kademlia::{Kademlia, NodeIds, Settings};
use nelumbo_simulator::services::{Effect, LookupStats};
use nelumbo_simulator::simulation::Engine;
use nelumbo_simulator::summary::Percentiles;
use nelumbo_simulator::{Random, Simulation};

const MILLISECOND: Nanos = 1_000_000;
/// How many lookups there are.
const LOOKUPS: u64 = 2_000;

/// A peer that takes part in the hash table, and perhaps looks something up.
struct Peer {
    kademlia: Kademlia,
    targets: Vec<u64>,
}

impl Peer {
    fn act(&mut self, context: &mut Context<'_, LookupStats>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, bytes) => context.send(to, &bytes),
                Effect::LookupFinished(_, trip) => context.emit(trip),
                Effect::RecordFound(..) | Effect::PutRequested { .. } | Effect::MessageReceived { .. } => {}
            }
        }
    }
}

impl Machine for Peer {
    type Observation = LookupStats;

    fn on_start(&mut self, context: &mut Context<'_, LookupStats>) {
        for at in 0..self.targets.len() {
            context.set_timer(at as u64 * 1000 * MILLISECOND, at as u64);
        }
    }

    fn on_message(&mut self, context: &mut Context<'_, LookupStats>, from: u32, payload: &[u8]) {
        let effects = self.kademlia.on_message(context.now(), from, payload);
        self.act(context, effects);
    }

    fn on_timer(&mut self, context: &mut Context<'_, LookupStats>, at: u64) {
        let effects = self.kademlia.lookup(context.now(), at, self.targets[at as usize]);
        self.act(context, effects);
    }
}

fn main() {
    let mut sizes: Vec<u32> = std::env::args().skip(1).map(|size| size.parse().expect("a number of peers")).collect();
    if sizes.is_empty() {
        sizes = vec![100, 1_000, 10_000, 100_000];
    }
    for peers in sizes {
        let ids = Arc::new(NodeIds::new(peers));
        let mut random = Random::stream(1, "lookups", 0);
        let mut targets = vec![Vec::new(); peers as usize];
        for _ in 0..LOOKUPS {
            targets[random.below(u64::from(peers)) as usize].push(random.draw());
        }
        let network = NetworkModel::new(peers, Latency::Uniform { low: 10 * MILLISECOND, span: 40 * MILLISECOND });
        let mut trips = Vec::new();
        let make = |node: u32| {
            let mut kademlia = Kademlia::new(node, ids.clone(), Settings { paths: 1, ..Settings::default() });
            kademlia.fill_table(1);
            Peer { kademlia, targets: std::mem::take(&mut targets[node as usize]) }
        };
        let simulation = Simulation::builder(network).engine(Engine::Windowed(2)).machines(make);
        let outcome = simulation.measure(|observed| trips.push(observed.observation)).run(120_000 * MILLISECOND);
        let hops = Percentiles::of(trips.iter().map(|trip| f64::from(trip.hops)).collect());
        let requests = Percentiles::of(trips.iter().map(|trip| f64::from(trip.requests)).collect());
        let mean = trips.iter().map(|trip| u64::from(trip.hops)).sum::<u64>() as f64 / trips.len() as f64;
        println!(
            "{peers:>8} peers  {} lookups  hops mean {mean:.2} p50 {} p99 {} max {}  requests p50 {} p99 {}  {} events",
            trips.len(),
            hops.p50,
            hops.p99,
            hops.max,
            requests.p50,
            requests.p99,
            outcome.stats.events,
        );
    }
}
