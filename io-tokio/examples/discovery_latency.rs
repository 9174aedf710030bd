//! Measures how long it takes to learn of a signer, in a network of ten nodes over loopback TCP: from what a node knows
//! already, by gossip, and out of the DHT. Six nodes serve the DHT and four only ask it: in so small a network each
//! server holds every record, and would ask itself.
//!
//! `cargo run --release -p nelumbo-tokio --example discovery_latency`

#![allow(clippy::print_stdout, reason = "a measurement for people")]

mod common;

use std::time::{Duration, Instant};

use common::{Failure, listening, start};
use nelumbo_tokio::{
    Events, EventsError, Handle, NodeEvent,
    core::{
        api::{Event, SignerFilter},
        crypto::PublicKey,
        wire::{Offer, TransactionType},
    },
    network::NetworkConfig,
};
use tokio::sync::mpsc;

const SERVERS: usize = TransactionType::ALL.len();
const CLIENTS: usize = 4;
const CACHE_HITS: usize = 250;
/// A node takes five new advertisements of one key at once; the first is the one that is searched for.
const ADVERTISEMENTS: u64 = 4;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let (mut handles, mut listeners, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    let mut through = None;
    for index in 0..SERVERS + CLIENTS {
        let folder = tempfile::tempdir()?;
        let network = if index < SERVERS { NetworkConfig::full() } else { NetworkConfig::wallet() };
        let (handle, mut events) = start(network, folder.path(), through.as_ref())?;
        through.get_or_insert(listening(&mut events).await?);
        handles.push(handle);
        listeners.push(events);
        folders.push(folder);
    }
    for handle in &handles {
        while handle.status().await?.routing_peers < SERVERS - 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    // One signer for each type, and nobody listens to gossip about any of them.
    for (kind, handle) in TransactionType::ALL.into_iter().zip(&handles) {
        handle.advertise(offer(kind, 0)).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mut first, mut whole, mut cached) = (Vec::new(), Vec::new(), Vec::new());
    for searcher in &handles[SERVERS..] {
        for (kind, signer) in TransactionType::ALL.into_iter().zip(&handles) {
            first.push(search(searcher, kind, 1, signer.key()).await?);
            whole.push(search(searcher, kind, 100, signer.key()).await?);
        }
        for _ in 0..CACHE_HITS {
            cached.push(search(searcher, TransactionType::Spend, 1, handles[0].key()).await?);
        }
    }
    let gossip = gossip(&handles, listeners).await?;

    println!("| a signer is learnt of | published | samples | median | 90 % | 99 % |");
    println!("|---|---|---|---|---|---|");
    row("from the cache", "< 1 ms", cached);
    row("by gossip", "10–100 ms", gossip);
    row("in the DHT, the first", "100–500 ms", first);
    row("in the DHT, the whole directory", "100–500 ms", whole);
    for handle in &handles {
        handle.stop().await?;
    }
    Ok(())
}

fn offer(kind: TransactionType, fee: u64) -> Offer {
    Offer { types: vec![kind], fee: Some(fee), ..Offer::default() }
}

/// From the question to the answer, which must be this signer.
async fn search(
    searcher: &Handle,
    kind: TransactionType,
    max_results: usize,
    expected: PublicKey,
) -> Result<Duration, Failure> {
    let asked = Instant::now();
    let filter = SignerFilter { kind: Some(kind), max_results, ..SignerFilter::default() };
    let found = searcher.find_signers(filter).await?;
    let took = asked.elapsed();
    match &found[..] {
        [(key, _)] if *key == expected => Ok(took),
        _ => Err(format!("{} signers for {kind} instead of one", found.len()).into()),
    }
}

/// From the command to advertise to the event at each of the others.
async fn gossip(handles: &[Handle], listeners: Vec<Events>) -> Result<Vec<Duration>, Failure> {
    let (heard, mut hearing) = mpsc::unbounded_channel();
    for (handle, mut events) in handles.iter().zip(listeners) {
        handle.subscribe(TransactionType::Spend).await?;
        let heard = heard.clone();
        tokio::spawn(async move {
            loop {
                match events.next().await {
                    Ok(NodeEvent::Core(Event::SignerDiscovered { key, advertisement })) => {
                        let fee = advertisement.offer.and_then(|offer| offer.fee);
                        // The end of the measurement is no error.
                        let _ = heard.send((key, fee, Instant::now()));
                    }
                    Ok(_) | Err(EventsError::Missed(_)) => {}
                    Err(EventsError::Stopped) => return,
                }
            }
        });
    }
    // Long enough for the meshes of gossip to stand.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut times = Vec::new();
    for fee in 1..=ADVERTISEMENTS {
        for handle in handles {
            let said = Instant::now();
            handle.advertise(offer(TransactionType::Spend, fee)).await?;
            let mut others = handles.len() - 1;
            while others > 0 {
                let next = tokio::time::timeout(Duration::from_secs(5), hearing.recv()).await?;
                let (key, heard_fee, at) = next.ok_or("nobody listens")?;
                if (key, heard_fee) == (handle.key(), Some(fee)) {
                    times.push(at.saturating_duration_since(said));
                    others -= 1;
                }
            }
        }
    }
    Ok(times)
}

fn row(way: &str, published: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100].as_secs_f64() * 1_000.0;
    println!("| {way} | {published} | {} | {:.2} ms | {:.2} ms | {:.2} ms |", times.len(), at(50), at(90), at(99));
}
