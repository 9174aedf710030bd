//! The modelled network: the same number of peers with the same connections, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nelumbo_core::api::Verdict;
use nelumbo_core::base::Bytes;
use nelumbo_simulator::engine::{Context, Machine, Nanos};
use nelumbo_simulator::network::gossip::{self, Gossip};
use nelumbo_simulator::network::kademlia::{self, Directory, Kademlia};
use nelumbo_simulator::network::{Effect, Trip};
use nelumbo_simulator::world::{Latency, World};
use nelumbo_simulator::{Random, Simulation};

use super::{DISTANCE, Measured, depths};

const MILLISECOND: Nanos = 1_000_000;
const TOPIC: u64 = 1;
/// Kademlia's messages and gossip's, told apart by their first byte.
const KADEMLIA: u8 = 0;
const GOSSIP: u8 = 1;

/// What a peer tells.
#[derive(Clone, Debug)]
enum Note {
    Found { number: u64, trip: Trip, nearest: Vec<u32>, known: BTreeSet<u32> },
    Published(u32),
    Came { number: u32, from: u32 },
    Look { routes: usize, mesh: usize },
}

struct Peer {
    kademlia: Kademlia,
    gossip: Gossip,
    /// When it looks up and publishes what.
    plan: Vec<(Nanos, Do)>,
    known: BTreeMap<u64, BTreeSet<u32>>,
}

#[derive(Clone, Copy)]
enum Do {
    LookUp(u64, u64),
    Publish(u32),
    Look,
}

const HEARTBEAT: u64 = u64::MAX;

impl Peer {
    fn act(&mut self, context: &mut Context<'_, Note>, service: u8, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, bytes) => context.send(to, &[&[service], &bytes[..]].concat()),
                Effect::Finished(number, trip) => {
                    let (nearest, known) = (self.kademlia.last_nearest().to_vec(), self.known.remove(&number));
                    context.note(Note::Found { number, trip, nearest, known: known.unwrap_or_default() });
                }
                Effect::Arrived { id, from, bytes } => {
                    let number = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                    context.note(Note::Came { number, from });
                    let effects = self.gossip.judge(id, Verdict::Accept);
                    self.act(context, GOSSIP, effects);
                }
                Effect::Found(..) | Effect::Offered { .. } => {}
            }
        }
    }
}

impl Machine for Peer {
    type Note = Note;

    fn on_start(&mut self, context: &mut Context<'_, Note>) {
        for (at, (when, _)) in self.plan.iter().enumerate() {
            context.set_timer(*when, at as u64);
        }
        let effects = self.gossip.subscribe(TOPIC);
        self.act(context, GOSSIP, effects);
        context.set_timer(self.gossip.deadline(), HEARTBEAT);
    }

    fn on_message(&mut self, context: &mut Context<'_, Note>, from: u32, payload: &[u8]) {
        let (service, bytes) = payload.split_first().expect("peers send messages alone");
        let effects = match *service {
            KADEMLIA => self.kademlia.on_message(context.now(), from, bytes),
            _ => self.gossip.on_message(context.now(), from, bytes),
        };
        self.act(context, *service, effects);
    }

    fn on_timer(&mut self, context: &mut Context<'_, Note>, tag: u64) {
        let now = context.now();
        if tag == HEARTBEAT {
            let effects = self.gossip.on_time(now);
            self.act(context, GOSSIP, effects);
            return context.set_timer(self.gossip.deadline() - now, HEARTBEAT);
        }
        match self.plan[tag as usize].1 {
            Do::LookUp(number, target) => {
                self.known.insert(number, self.kademlia.routes().collect());
                let effects = self.kademlia.look_up(now, number, target);
                self.act(context, KADEMLIA, effects);
            }
            Do::Publish(number) => {
                context.note(Note::Published(number));
                let bytes = Bytes::from(&number.to_le_bytes().repeat(16)[..]);
                let effects = self.gossip.publish(now, TOPIC, &bytes);
                self.act(context, GOSSIP, effects);
            }
            Do::Look => {
                context.note(Note::Look { routes: self.kademlia.peers(), mesh: self.gossip.mesh(TOPIC).count() });
            }
        }
    }
}

/// What a modelled network with these connections does.
pub(crate) fn measure(connections: &[Vec<u32>], lookups: usize, messages: usize) -> Measured {
    let count = connections.len();
    let directory = Arc::new(Directory::new(count as u32));
    let mut random = Random::stream(1, "calibration", 0);
    let mut plans = vec![vec![(8_000 * MILLISECOND, Do::Look)]; count];
    let (mut targets, mut asked) = (Vec::new(), Vec::new());
    for number in 0..lookups {
        let target = random.draw();
        targets.push((number * 7 % count, target));
        let at = (10_000 + number as u64 * 100) * MILLISECOND;
        asked.push(at);
        plans[number * 7 % count].push((at, Do::LookUp(number as u64, target)));
    }
    for number in 0..messages {
        let at = (40_000 + number as u64 * 50) * MILLISECOND;
        plans[number * 13 % count].push((at, Do::Publish(number as u32)));
    }
    let world = World::new(count as u32, Latency::Fixed(DISTANCE.as_nanos() as Nanos));
    let (mut measured, mut published) = (Measured::default(), BTreeMap::new());
    let mut came: BTreeMap<u32, BTreeMap<usize, usize>> = BTreeMap::new();
    let simulation = Simulation::builder(world).seed(1).machines(|node| {
        let mut kademlia = Kademlia::new(node, directory.clone(), kademlia::Settings::default());
        kademlia.settle(1);
        let stream = Random::stream(1, "gossip", u64::from(node));
        let neighbours = connections[node as usize].iter().copied();
        let gossip = Gossip::new(stream, 0, neighbours, gossip::Settings::default());
        Peer { kademlia, gossip, plan: std::mem::take(&mut plans[node as usize]), known: BTreeMap::new() }
    });
    let outcome = simulation
        .measure(|noted| match &noted.note {
            Note::Found { number, trip, nearest, known } => {
                let (asker, target) = targets[*number as usize];
                measured.requests.push(f64::from(trip.requests));
                measured.lookup_ms.push((noted.stamp.at - asked[*number as usize]) as f64 / MILLISECOND as f64);
                let mut all: Vec<u32> = (0..count as u32).filter(|node| *node != asker as u32).collect();
                all.sort_by_key(|node| directory.name(*node) ^ target);
                all.truncate(20);
                let hits = nearest.iter().filter(|node| all.contains(node)).count();
                measured.recall.push(hits as f64 / all.len() as f64);
                let is_farther = nearest.first().is_some_and(|first| !known.contains(first));
                measured.farther.push(f64::from(u8::from(is_farther)));
            }
            Note::Published(number) => drop(published.insert(*number, (noted.node, noted.stamp.at))),
            Note::Came { number, from } => {
                came.entry(*number).or_default().insert(noted.node as usize, *from as usize);
                let (_, at) = published[number];
                measured.latency_ms.push((noted.stamp.at - at) as f64 / MILLISECOND as f64);
            }
            Note::Look { routes, mesh } => {
                measured.routes.push(*routes as f64);
                measured.mesh.push(*mesh as f64);
            }
        })
        .run((60_000 + messages as u64 * 50) * MILLISECOND);
    assert_eq!(outcome.violations, []);
    for (number, (author, _)) in &published {
        let from = came.remove(number).unwrap_or_default();
        measured.delivered.push(from.len() as f64 / (count - 1) as f64);
        measured.hops.extend(depths(*author as usize, &from));
    }
    measured
}
