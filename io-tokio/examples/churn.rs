//! Sixty nodes in one process, half of which leave and come back while all of them ask each other for signatures. Every
//! request completes whose signers are there in the end, or this fails.
//!
//! `cargo run --release -p nelumbo-tokio --example churn`, over addresses in memory, or over TCP on loopback with `--
//! tcp`. A program and not one of the tests, because libp2p takes a minute for so many nodes when it is not optimised;
//! the gate runs it.

#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "../tests/nodes/mod.rs"]
mod nodes;

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use nelumbo_tokio::{
    Events, EventsError, Handle, NewSession, NoSignature, NodeEvent, Unusual,
    core::{
        api::{Event, Phase},
        crypto::{PublicKey, Signature, Suite},
        wire::SessionId,
    },
    network::NetworkConfig,
};
use nodes::{Home, Signer, through, verify};
use tokio::time::{Instant, sleep, timeout_at};

const NODES: usize = 60;
/// The first few are those that the others join through.
const BOOTSTRAP: usize = 3;
const ROUNDS: usize = 3;
/// How many leave in each round: together, half of all.
const LEAVING: usize = NODES / 2 / ROUNDS;
/// It leaves with the last round and does not come back.
const GONE: usize = NODES - 1;
/// The limit is for the process, and here that is sixty nodes.
const MEMORY: usize = 8 << 30;
/// Until the last of them has to be complete.
const PATIENCE: Duration = Duration::from_secs(150);

/// A node, there or not, and its key, which does not change.
struct Place {
    key: PublicKey,
    state: State,
}

#[expect(clippy::large_enum_variant, reason = "there are sixty of them")]
enum State {
    Here(Handle, Box<Home>),
    Away(Box<Home>),
}

impl Place {
    async fn arrive(home: Box<Home>) -> Self {
        let Signer { handle, events, home, .. } = home.start().await;
        tokio::spawn(approve(handle.clone(), events));
        Self { key: handle.key(), state: State::Here(handle, Box::new(home)) }
    }

    async fn turn(self) -> Self {
        match self.state {
            State::Here(handle, home) => {
                handle.stop().await.expect("a clean end");
                Self { key: self.key, state: State::Away(home) }
            }
            State::Away(home) => Self::arrive(home).await,
        }
    }

    fn handle(&self) -> Option<&Handle> {
        match &self.state {
            State::Here(handle, _) => Some(handle),
            State::Away(_) => None,
        }
    }
}

/// Takes part in everything that is announced.
async fn approve(handle: Handle, mut events: Events) {
    loop {
        let announced = match events.next().await {
            Ok(NodeEvent::Core(Event::SessionAnnounced { session, .. })) => vec![session],
            Ok(_) => continue,
            Err(EventsError::Missed(_)) => {
                let sessions = handle.sessions().await.unwrap_or_default();
                sessions.iter().filter(|one| one.phase == Phase::Announced).map(|one| one.id).collect()
            }
            Err(EventsError::Stopped) => return,
        };
        for session in announced {
            // A node that stops meanwhile is asked again when it is back.
            let _ = handle.join(session, [Unusual::Opaque]).await;
        }
    }
}

/// The signature, from a node that may not have heard of the session yet.
async fn signature(handle: &Handle, session: SessionId) -> Signature {
    loop {
        match handle.signatures(session).await {
            Ok(signatures) => return signatures[0],
            Err(NoSignature::Unknown) => sleep(Duration::from_millis(200)).await,
            Err(error) => panic!("{session}: {error}"),
        }
    }
}

/// Lets these leave who are here, and those come who are away.
async fn turn(places: &mut BTreeMap<usize, Place>, nodes: impl Iterator<Item = usize>) {
    let turning = nodes.map(|node| (node, places.remove(&node).expect("each is once")));
    let turned = turning.map(async |(node, place)| (node, place.turn().await));
    let turned = join_all(turned.collect::<Vec<_>>()).await;
    places.extend(turned);
}

/// Who leaves in a round.
fn leaving(round: usize) -> std::ops::Range<usize> {
    let first = NODES - LEAVING * (ROUNDS - round);
    first..first + LEAVING
}

/// Who signs what is asked in a round: one who stays, one who is away just now, and one who leaves next; by turns it is
/// the first or the last who asks.
fn signers(round: usize, number: usize) -> [usize; 3] {
    let stays = BOOTSTRAP + (round * LEAVING + number) % (NODES / 2 - BOOTSTRAP);
    let (away, next) = (leaving(round).start + number, leaving((round + 1) % ROUNDS).start + number);
    if number.is_multiple_of(2) { [stays, away, next] } else { [next, away, stays] }
}

#[tokio::main]
async fn main() {
    let anywhere = match std::env::args().nth(1).as_deref() {
        None | Some("memory") => "/memory/0",
        Some("tcp") => "/ip4/127.0.0.1/tcp/0",
        Some(other) => panic!("{other} is no transport: give memory or tcp"),
    };
    let mut bootstrap: Vec<Signer> = Vec::new();
    for _ in 0..BOOTSTRAP {
        let known: Vec<_> = bootstrap.iter().map(|signer| &signer.address).collect();
        let network = through(NetworkConfig::bootstrap(), &known).memory_limit(MEMORY);
        bootstrap.push(Home::at(anywhere, network).start().await);
    }
    let addresses: Vec<_> = bootstrap.iter().map(|signer| &signer.address).collect();
    // A third serve the DHT, so that records go away with them.
    let homes = (BOOTSTRAP..NODES).map(|node| {
        let network = if node % 3 == 0 { NetworkConfig::full() } else { NetworkConfig::wallet() };
        Box::new(Home::at(anywhere, through(network, &addresses).memory_limit(MEMORY)))
    });
    let arrivals = join_all(homes.map(Place::arrive)).await;
    let mut places: BTreeMap<usize, Place> = (BOOTSTRAP..NODES).zip(arrivals).collect();

    let mut requests = Vec::new();
    for round in 0..=ROUNDS {
        // Those of this round leave, and then those of the round before come back: nobody meets who is not to.
        let leave = (round < ROUNDS).then(|| leaving(round)).into_iter().flatten();
        turn(&mut places, leave).await;
        let back = round.checked_sub(1).map_or(0..0, leaving);
        turn(&mut places, back.filter(|node| *node != GONE)).await;
        if round == ROUNDS {
            break;
        }
        for number in 0..LEAVING {
            let signers = signers(round, number);
            let keys: Vec<PublicKey> = signers.iter().map(|node| places[node].key).collect();
            let message = [(round * LEAVING + number) as u8; 32];
            let new = NewSession { is_listed: true, ..NewSession::new(Suite::Lotus, keys.clone(), message.to_vec()) };
            let creator = places[&signers[0]].handle().expect("who asks is there");
            requests.push((signers, keys, message, creator.create(new).await.expect("a session")));
        }
    }

    let (mut complete, mut incomplete) = (0, 0);
    let until = Instant::now() + PATIENCE;
    for (signers, keys, message, session) in requests.iter().filter(|(signers, ..)| !signers.contains(&GONE)) {
        let mut missing = Vec::new();
        for node in signers {
            let handle = places[node].handle().expect("all but one are there");
            match timeout_at(until, signature(handle, *session)).await {
                Ok(signature) => verify(Suite::Lotus, keys.clone(), message, &signature),
                Err(_) => missing.push(node),
            }
        }
        if missing.is_empty() {
            complete += 1;
        } else {
            incomplete += 1;
            println!("{session} of {signers:?}: no signature at {missing:?} within {PATIENCE:?}");
        }
    }
    println!("{complete} requests are complete, {incomplete} are not");
    assert_eq!((complete, incomplete), (28, 0), "every request completes whose signers are there");
    // Nobody signs for a signer that is gone.
    for (signers, _, _, session) in requests.iter().filter(|(signers, ..)| signers.contains(&GONE)) {
        for handle in signers.iter().filter_map(|node| places[node].handle()) {
            let seen = handle.session(*session).await.expect("it runs");
            assert!(seen.is_none_or(|seen| !seen.phase.has_ended()), "{session} ended without one of its signers");
        }
    }
}
