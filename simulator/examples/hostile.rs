//! How often a newcomer finds a signer's record in the model of Kademlia, past peers who lie: they name each other
//! alone and store nothing.
//!
//! Usage: `cargo run --release -p nelumbo-simulator --example hostile -- [PEERS]`
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeMap;
use std::sync::Arc;

use nelumbo_core::base::Bytes;
use nelumbo_simulator::engine::{Context, Machine, Nanos};
use nelumbo_simulator::network::{Latency, NetworkModel};
use nelumbo_simulator::services::kademlia::{Kademlia, NodeIds, RoutingBehaviour, Settings};
use nelumbo_simulator::services::{Effect, hash};
use nelumbo_simulator::simulation::Engine;
use nelumbo_simulator::{Random, Simulation};

const SECOND: Nanos = 1_000_000_000;
/// How many newcomers there are, and how many peers of each kind are in the table of one.
const NEWCOMERS: u32 = 100;
const ROUTES: usize = 40;

/// A world of honest peers, newcomers and liars.
#[derive(Clone, Copy)]
struct World {
    peers: u32,
    /// Liars with names that were drawn, and beside each newcomer's wanted record.
    drawn: u32,
    beside: u32,
    paths: usize,
    /// How many of a newcomer's routes lie, of as many as are honest.
    hostile_routes: usize,
    /// Whether newcomers remember three honest peers of before.
    has_anchors: bool,
    honest_routes: usize,
}

struct Peer {
    kademlia: Kademlia,
    node: u32,
    /// The record that it puts first, or looks for later.
    puts: Option<String>,
    wants: Option<u64>,
    found: bool,
}

/// A newcomer has found its record, or not.
type Found = bool;

impl Peer {
    fn act(&mut self, context: &mut Context<'_, Found>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, bytes) => context.send(to, &bytes),
                Effect::RecordFound(..) => self.found = true,
                Effect::LookupFinished(..) => context.emit(self.found),
                Effect::PutRequested { id, bytes, .. } => {
                    self.kademlia.resolve_put(context.now(), id, Some((bytes, 3_600 * SECOND)));
                }
                Effect::MessageReceived { .. } => {}
            }
        }
    }
}

impl Machine for Peer {
    type Observation = Found;

    fn on_start(&mut self, context: &mut Context<'_, Found>) {
        if self.puts.is_some() {
            context.set_timer(u64::from(self.node) * 1_000_000, 0);
        }
        if self.wants.is_some() {
            context.set_timer(60 * SECOND, 1);
            // Requests that nobody answers end with the lookup.
            (61..80).for_each(|second| context.set_timer(second * SECOND, 2));
        }
    }

    fn on_message(&mut self, context: &mut Context<'_, Found>, from: u32, payload: &[u8]) {
        let effects = self.kademlia.on_message(context.now(), from, payload);
        self.act(context, effects);
    }

    fn on_timer(&mut self, context: &mut Context<'_, Found>, tag: u64) {
        let now = context.now();
        let effects = match (tag, &self.puts, self.wants) {
            (0, Some(name), _) => {
                let value = Bytes::from(name.as_bytes());
                self.kademlia.store(now, name, value, 3_600 * SECOND)
            }
            (1, _, Some(key)) => self.kademlia.lookup(now, 1, key),
            _ => self.kademlia.on_tick(now),
        };
        self.act(context, effects);
    }
}

/// The share of newcomers who find what they look for.
fn found(world: World) -> f64 {
    let World { peers, drawn, beside, paths, hostile_routes, has_anchors, honest_routes } = world;
    let (first_newcomer, first_liar) = (peers, peers + NEWCOMERS);
    let liars = drawn + beside * NEWCOMERS;
    let name = |newcomer: u32| format!("record of signer {newcomer}");
    let chosen: BTreeMap<u32, u64> = (0..beside * NEWCOMERS)
        .map(|liar| (first_liar + drawn + liar, hash(&name(liar % NEWCOMERS)) ^ u64::from(liar / NEWCOMERS + 1)))
        .collect();
    let all = first_liar + liars;
    let ids = Arc::new(NodeIds::with_chosen(all, chosen));
    // Honest peers know each other as after a long time. Liars with drawn names have just come; those who have chosen
    // theirs are as well known as anyone.
    let known = if beside > 0 { ids.clone() } else { Arc::new(NodeIds::new(peers)) };
    let fellows: Vec<u32> = (first_liar..all).collect();
    let make = |node: u32| {
        let settings = Settings { paths, ..Settings::default() };
        let mut random = Random::stream(1, "routes", u64::from(node));
        let (mut puts, mut wants) = (None, None);
        let mut kademlia = Kademlia::new(node, ids.clone(), settings);
        if node < first_newcomer {
            let mut full = Kademlia::new(node, known.clone(), settings);
            full.fill_table(1);
            full.routes().for_each(|peer| kademlia.add_peer(peer));
            // The liars are known to whoever is near them, as anyone who has joined.
            (0..8).filter(|_| liars > 0).for_each(|_| {
                kademlia.add_peer(first_liar + random.below(u64::from(liars.max(1))) as u32);
            });
            puts = (node < NEWCOMERS).then(|| name(node));
        } else if node < first_liar {
            let newcomer = node - first_newcomer;
            wants = Some(hash(&name(newcomer)));
            (0..honest_routes).for_each(|_| kademlia.add_peer(random.below(u64::from(peers)) as u32));
            (0..hostile_routes).filter(|_| liars > 0).for_each(|_| {
                kademlia.add_peer(first_liar + random.below(u64::from(liars.max(1))) as u32);
            });
            if has_anchors {
                (0..3).for_each(|_| kademlia.add_peer(random.below(u64::from(peers)) as u32));
            }
        } else {
            kademlia.set_behaviour(RoutingBehaviour::Eclipse(fellows.clone()));
        }
        Peer { kademlia, node, puts, wants, found: false }
    };
    let network = NetworkModel::new(all, Latency::Uniform { low: 10_000_000, span: 40_000_000 });
    let simulation = Simulation::builder(network).engine(Engine::Windowed(1)).machines(make);
    let (mut lookups, mut hits) = (0_u32, 0_u32);
    let seen = simulation.measure(|observed| {
        lookups += 1;
        hits += u32::from(observed.observation);
    });
    let _outcome = seen.run(120 * SECOND);
    f64::from(hits) / f64::from(lookups.max(1))
}

fn main() {
    let peers = std::env::args().nth(1).map_or(10_000, |peers| peers.parse().expect("a number of peers"));
    let world =
        World { peers, drawn: 0, beside: 0, paths: 3, hostile_routes: 0, has_anchors: true, honest_routes: ROUTES };
    for (name, drawn, hostile_routes, honest_routes) in [
        ("nobody lies", 0, 0, ROUTES),
        ("half of the routes lie", 400, ROUTES, ROUTES),
        ("all routes lie", 400, ROUTES, 0),
    ] {
        for (paths, has_anchors) in [(1, false), (3, false), (1, true), (3, true)] {
            let share = found(World { drawn, hostile_routes, honest_routes, paths, has_anchors, ..world });
            println!("{name:<24} {paths} paths  anchors {has_anchors:<5}  found {share:.2}");
        }
    }
    for beside in [5, 10, 20, 40] {
        for paths in [1, 3] {
            let share = found(World { beside, paths, ..world });
            println!("{beside} names beside the record  {paths} paths  found {share:.2}");
        }
    }
}
