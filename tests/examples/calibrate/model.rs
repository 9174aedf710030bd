//! The modelled network: the same number of peers with the same connections, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nelumbo_core::api::Verdict;
use nelumbo_core::base::Bytes;
use nelumbo_simulator::engine::{Context, Machine, Nanos};
use nelumbo_simulator::network::{Latency, NetworkModel};
use nelumbo_simulator::services::gossipsub::{self, Gossipsub};
use nelumbo_simulator::services::kademlia::{self, Kademlia, NodeIds};
use nelumbo_simulator::services::{Effect, LookupStats};
use nelumbo_simulator::{Random, Simulation};

use super::{Measured, ONE_WAY_DELAY, depths};

const MILLISECOND: Nanos = 1_000_000;
const TOPIC: u64 = 1;
/// Kademlia's messages and gossip's, told apart by their first byte.
const KADEMLIA: u8 = 0;
const GOSSIP: u8 = 1;

/// What a peer tells.
#[derive(Clone, Debug)]
enum Observation {
    LookupFinished { number: u64, stats: LookupStats, nearest: Vec<u32>, known: BTreeSet<u32> },
    Published(u32),
    Received { number: u32, from: u32 },
    Snapshot { routes: usize, mesh: usize },
}

struct Peer {
    kademlia: Kademlia,
    gossip: Gossipsub,
    /// When it looks up and publishes what.
    actions: Vec<(Nanos, Action)>,
    known: BTreeMap<u64, BTreeSet<u32>>,
}

#[derive(Clone, Copy)]
enum Action {
    Lookup(u64, u64),
    Publish(u32),
    Snapshot,
}

const HEARTBEAT: u64 = u64::MAX;

impl Peer {
    fn act(&mut self, context: &mut Context<'_, Observation>, service: u8, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, bytes) => context.send(to, &[&[service], &bytes[..]].concat()),
                Effect::LookupFinished(number, stats) => {
                    let (nearest, known) = (self.kademlia.last_nearest().to_vec(), self.known.remove(&number));
                    context.emit(Observation::LookupFinished {
                        number,
                        stats,
                        nearest,
                        known: known.unwrap_or_default(),
                    });
                }
                Effect::MessageReceived { id, from, bytes } => {
                    let number = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                    context.emit(Observation::Received { number, from });
                    let effects = self.gossip.report_validation(id, Verdict::Accept);
                    self.act(context, GOSSIP, effects);
                }
                Effect::RecordFound(..) | Effect::PutRequested { .. } => {}
            }
        }
    }
}

impl Machine for Peer {
    type Observation = Observation;

    fn on_start(&mut self, context: &mut Context<'_, Observation>) {
        for (at, (when, _)) in self.actions.iter().enumerate() {
            context.set_timer(*when, at as u64);
        }
        let effects = self.gossip.subscribe(TOPIC);
        self.act(context, GOSSIP, effects);
        context.set_timer(self.gossip.deadline(), HEARTBEAT);
    }

    fn on_message(&mut self, context: &mut Context<'_, Observation>, from: u32, payload: &[u8]) {
        let (service, bytes) = payload.split_first().expect("peers send messages alone");
        let effects = match *service {
            KADEMLIA => self.kademlia.on_message(context.now(), from, bytes),
            _ => self.gossip.on_message(context.now(), from, bytes),
        };
        self.act(context, *service, effects);
    }

    fn on_timer(&mut self, context: &mut Context<'_, Observation>, tag: u64) {
        let now = context.now();
        if tag == HEARTBEAT {
            let effects = self.gossip.on_tick(now);
            self.act(context, GOSSIP, effects);
            return context.set_timer(self.gossip.deadline() - now, HEARTBEAT);
        }
        match self.actions[tag as usize].1 {
            Action::Lookup(number, target) => {
                self.known.insert(number, self.kademlia.routes().collect());
                let effects = self.kademlia.lookup(now, number, target);
                self.act(context, KADEMLIA, effects);
            }
            Action::Publish(number) => {
                context.emit(Observation::Published(number));
                let bytes = Bytes::from(&number.to_le_bytes().repeat(16)[..]);
                let effects = self.gossip.publish(now, TOPIC, &bytes);
                self.act(context, GOSSIP, effects);
            }
            Action::Snapshot => {
                context.emit(Observation::Snapshot {
                    routes: self.kademlia.peers(),
                    mesh: self.gossip.mesh(TOPIC).count(),
                });
            }
        }
    }
}

/// What a modelled network with these connections does.
pub(crate) fn measure(connections: &[Vec<u32>], lookups: usize, messages: usize) -> Measured {
    let count = connections.len();
    let ids = Arc::new(NodeIds::new(count as u32));
    let mut random = Random::stream(1, "calibration", 0);
    let mut actions = vec![vec![(8_000 * MILLISECOND, Action::Snapshot)]; count];
    let (mut targets, mut asked) = (Vec::new(), Vec::new());
    for number in 0..lookups {
        let target = random.draw();
        targets.push((number * 7 % count, target));
        let at = (10_000 + number as u64 * 100) * MILLISECOND;
        asked.push(at);
        actions[number * 7 % count].push((at, Action::Lookup(number as u64, target)));
    }
    for number in 0..messages {
        let at = (40_000 + number as u64 * 50) * MILLISECOND;
        actions[number * 13 % count].push((at, Action::Publish(number as u32)));
    }
    let network = NetworkModel::new(count as u32, Latency::Fixed(ONE_WAY_DELAY.as_nanos() as Nanos));
    let (mut measured, mut published) = (Measured::default(), BTreeMap::new());
    let mut received: BTreeMap<u32, BTreeMap<usize, usize>> = BTreeMap::new();
    let simulation = Simulation::builder(network).seed(1).machines(|node| {
        let mut kademlia = Kademlia::new(node, ids.clone(), kademlia::Settings::default());
        kademlia.fill_table(1);
        let stream = Random::stream(1, "gossip", u64::from(node));
        let neighbours = connections[node as usize].iter().copied();
        let gossip = Gossipsub::new(stream, 0, neighbours, gossipsub::Settings::default());
        Peer { kademlia, gossip, actions: std::mem::take(&mut actions[node as usize]), known: BTreeMap::new() }
    });
    let outcome = simulation
        .measure(|observed| match &observed.observation {
            Observation::LookupFinished { number, stats, nearest, known } => {
                let (asker, target) = targets[*number as usize];
                measured.requests.push(f64::from(stats.requests));
                measured.lookup_ms.push((observed.stamp.at - asked[*number as usize]) as f64 / MILLISECOND as f64);
                let mut all: Vec<u32> = (0..count as u32).filter(|node| *node != asker as u32).collect();
                all.sort_by_key(|node| ids.id(*node) ^ target);
                all.truncate(20);
                let hits = nearest.iter().filter(|node| all.contains(node)).count();
                measured.recall.push(hits as f64 / all.len() as f64);
                let is_farther = nearest.first().is_some_and(|first| !known.contains(first));
                measured.farther.push(f64::from(u8::from(is_farther)));
            }
            Observation::Published(number) => drop(published.insert(*number, (observed.node, observed.stamp.at))),
            Observation::Received { number, from } => {
                received.entry(*number).or_default().insert(observed.node as usize, *from as usize);
                let (_, at) = published[number];
                measured.latency_ms.push((observed.stamp.at - at) as f64 / MILLISECOND as f64);
            }
            Observation::Snapshot { routes, mesh } => {
                measured.routes.push(*routes as f64);
                measured.mesh.push(*mesh as f64);
            }
        })
        .run((60_000 + messages as u64 * 50) * MILLISECOND);
    assert_eq!(outcome.violations, []);
    for (number, (author, _)) in &published {
        let from = received.remove(number).unwrap_or_default();
        measured.delivered.push(from.len() as f64 / (count - 1) as f64);
        measured.hops.extend(depths(*author as usize, &from));
    }
    measured
}
