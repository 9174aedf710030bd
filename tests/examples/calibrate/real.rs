//! The real network: libp2p with the settings of our nodes, over TCP on loopback, all peers in one process. What
//! arrives is held back, because loopback takes no time and a hundred peers on one machine take all of its processor.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::upgrade::Version;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport, gossipsub, identify, kad, noise, tcp, yamux,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::delayed_stream::DelayedStream;
use super::{Measured, ONE_WAY_DELAY, depths};

const TOPIC: &str = "calibration";

#[derive(NetworkBehaviour)]
struct Behaviour {
    kad: kad::Behaviour<kad::store::MemoryStore>,
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
}

enum Request {
    AddPeer(PeerId, Multiaddr),
    Bootstrap(oneshot::Sender<()>),
    Lookup(PeerId, oneshot::Sender<LookupResult>),
    Publish(Vec<u8>),
    Snapshot(oneshot::Sender<Snapshot>),
}

struct LookupResult {
    peers: Vec<PeerId>,
    known: BTreeSet<PeerId>,
    requests: u32,
}

struct Snapshot {
    routes: usize,
    mesh: usize,
    connected: Vec<PeerId>,
}

/// Who had which message from whom, and when.
type Deliveries = Arc<Mutex<BTreeMap<u32, BTreeMap<usize, (PeerId, Instant)>>>>;

fn swarm() -> Swarm<Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|keypair| {
            tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
                .map(|stream, _| DelayedStream::new(stream, ONE_WAY_DELAY))
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(keypair).expect("a keypair of its own"))
                .multiplex(yamux::Config::default())
        })
        .expect("TCP")
        .with_behaviour(|keypair| {
            let own = keypair.public().to_peer_id();
            let mut settings = kad::Config::new(StreamProtocol::new("/calibration/kad/1"));
            settings.disjoint_query_paths(true).set_periodic_bootstrap_interval(None);
            let mut kad = kad::Behaviour::with_config(own, kad::store::MemoryStore::new(own), settings);
            kad.set_mode(Some(kad::Mode::Server));
            let settings = gossipsub::ConfigBuilder::default()
                .heartbeat_initial_delay(Duration::ZERO)
                .build()
                .expect("settings of our nodes");
            let signed = gossipsub::MessageAuthenticity::Signed(keypair.clone());
            let mut gossip = gossipsub::Behaviour::new(signed, settings).expect("settings of our nodes");
            gossip.subscribe(&gossipsub::IdentTopic::new(TOPIC)).expect("a topic");
            let identify = identify::Behaviour::new(identify::Config::new("/calibration/1".into(), keypair.public()));
            Behaviour { kad, gossip, identify }
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}

/// One peer, for as long as somebody gives orders.
async fn peer(
    index: usize,
    mut swarm: Swarm<Behaviour>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    deliveries: Deliveries,
) {
    let mut bootstraps = HashMap::new();
    let mut lookups = HashMap::new();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                None => return,
                Some(request) => on_request(&mut swarm, request, &mut bootstraps, &mut lookups),
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                    for address in info.listen_addrs {
                        swarm.behaviour_mut().kad.add_address(&peer_id, address);
                    }
                }
                SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                    propagation_source, message, ..
                })) => {
                    let number = message.data.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                    let received = (propagation_source, Instant::now());
                    deliveries.lock().await.entry(number).or_default().entry(index).or_insert(received);
                }
                SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                    id, result, stats, step,
                })) => match result {
                    kad::QueryResult::Bootstrap(_) if step.last => {
                        bootstraps.remove(&id).map(|done: oneshot::Sender<()>| done.send(()));
                    }
                    kad::QueryResult::GetClosestPeers(Ok(found)) if step.last => {
                        let peers = found.peers.into_iter().map(|info| info.peer_id).collect();
                        if let Some((known, done)) = lookups.remove(&id) {
                            let done: oneshot::Sender<LookupResult> = done;
                            let result = LookupResult { peers, known, requests: stats.num_requests() };
                            let _gone = done.send(result).is_err();
                        }
                    }
                    _ => {}
                },
                _ => {}
            },
        }
    }
}

fn known(swarm: &mut Swarm<Behaviour>) -> BTreeSet<PeerId> {
    let kad = &mut swarm.behaviour_mut().kad;
    kad.kbuckets()
        .flat_map(|bucket| bucket.iter().map(|entry| *entry.node.key.preimage()).collect::<Vec<_>>())
        .collect()
}

fn on_request(
    swarm: &mut Swarm<Behaviour>,
    request: Request,
    bootstraps: &mut HashMap<kad::QueryId, oneshot::Sender<()>>,
    lookups: &mut HashMap<kad::QueryId, (BTreeSet<PeerId>, oneshot::Sender<LookupResult>)>,
) {
    match request {
        Request::AddPeer(peer, address) => drop(swarm.behaviour_mut().kad.add_address(&peer, address)),
        Request::Bootstrap(done) => {
            let query = swarm.behaviour_mut().kad.bootstrap().expect("somebody is known");
            bootstraps.insert(query, done);
        }
        Request::Lookup(target, done) => {
            let known = known(swarm);
            let query = swarm.behaviour_mut().kad.get_closest_peers(target);
            lookups.insert(query, (known, done));
        }
        Request::Publish(bytes) => {
            let topic = gossipsub::IdentTopic::new(TOPIC);
            swarm.behaviour_mut().gossip.publish(topic, bytes).expect("neighbours in the topic");
        }
        Request::Snapshot(done) => {
            let topic = gossipsub::IdentTopic::new(TOPIC).hash();
            let mesh = swarm.behaviour().gossip.mesh_peers(&topic).count();
            let snapshot =
                Snapshot { routes: known(swarm).len(), mesh, connected: swarm.connected_peers().copied().collect() };
            let _gone = done.send(snapshot).is_err();
        }
    }
}

type Requests = mpsc::UnboundedSender<Request>;

async fn ask<T>(to: &Requests, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
    let (send, receive) = oneshot::channel();
    to.send(request(send)).unwrap_or_else(|_| panic!("the peer is there"));
    receive.await.expect("the peer answers")
}

/// What a network of this many peers does, and who is connected to whom.
pub(crate) async fn measure(count: usize, lookups: usize, messages: usize) -> (Measured, Vec<Vec<u32>>) {
    let deliveries = Deliveries::default();
    let (mut ids, mut addresses, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..count {
        let mut swarm = swarm();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("a free port");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        ids.push(*swarm.local_peer_id());
        addresses.push(address);
        let (send, receive) = mpsc::unbounded_channel();
        tokio::spawn(peer(index, swarm, receive, deliveries.clone()));
        peers.push(send);
    }
    let send = |to: usize, request: Request| peers[to].send(request).unwrap_or_else(|_| panic!("the peer is there"));
    for index in 1..count {
        send(index, Request::AddPeer(ids[index / 2], addresses[index / 2].clone()));
        send(index, Request::AddPeer(ids[0], addresses[0].clone()));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..2 {
        futures::future::join_all(peers[1..].iter().map(|one| ask(one, Request::Bootstrap))).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut measured = Measured::default();
    let mut connections = Vec::new();
    for one in &peers {
        let snapshot = ask(one, Request::Snapshot).await;
        measured.routes.push(snapshot.routes as f64);
        measured.mesh.push(snapshot.mesh as f64);
        let number = |name: &PeerId| ids.iter().position(|other| other == name).map(|index| index as u32);
        connections.push(snapshot.connected.iter().filter_map(number).collect());
    }
    for number in 0..lookups {
        let (target, asker) = (PeerId::random(), number * 7 % count);
        let asked = Instant::now();
        let found = ask(&peers[asker], |done| Request::Lookup(target, done)).await;
        measured.lookup_ms.push(asked.elapsed().as_secs_f64() * 1e3);
        measured.requests.push(f64::from(found.requests));
        let distance = |name: &PeerId| kad::KBucketKey::from(*name).distance(&kad::KBucketKey::from(target));
        let mut all: Vec<&PeerId> = ids.iter().filter(|name| **name != ids[asker]).collect();
        all.sort_by_key(|name| distance(name));
        let nearest: BTreeSet<&PeerId> = all.into_iter().take(20).collect();
        let hits = found.peers.iter().filter(|name| nearest.contains(name)).count();
        measured.recall.push(hits as f64 / nearest.len() as f64);
        let first = found.peers.iter().min_by_key(|name| distance(name));
        measured.farther.push(f64::from(u8::from(first.is_some_and(|name| !found.known.contains(name)))));
    }
    let mut published = Vec::new();
    for number in 0..messages {
        let author = number * 13 % count;
        published.push((author, Instant::now()));
        send(author, Request::Publish((number as u32).to_le_bytes().repeat(16)));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // A busy machine takes its time; a message that is lost never comes.
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let deliveries = deliveries.lock().await;
        if deliveries.len() == messages && deliveries.values().all(|received| received.len() == count - 1) {
            break;
        }
    }
    let deliveries = deliveries.lock().await;
    for (number, (author, at)) in published.into_iter().enumerate() {
        let received = deliveries.get(&(number as u32)).cloned().unwrap_or_default();
        measured.delivered.push(received.len() as f64 / (count - 1) as f64);
        measured.latency_ms.extend(received.values().map(|(_, when)| when.duration_since(at).as_secs_f64() * 1e3));
        let index = |name: &PeerId| ids.iter().position(|other| other == name).unwrap_or(author);
        let from = received.iter().map(|(peer, (from, _))| (*peer, index(from))).collect();
        measured.hops.extend(depths(author, &from));
    }
    (measured, connections)
}
