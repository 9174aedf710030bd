//! Measures whole sessions between nodes in one process, over loopback, with journals on a real disk; and what an idle
//! node costs in memory.
//!
//! `cargo run --release -p nelumbo-tokio --example session_latency [signers] [sessions]`

#![allow(clippy::print_stdout, reason = "a measurement for people")]

mod common;

use std::{
    env, fs,
    time::{Duration, Instant},
};

use common::{Failure, listening, start};
use nelumbo_tokio::{
    Events, Handle, Multiaddr, NewSession, NodeEvent, Unusual,
    core::{api::Event, crypto::Suite},
    network::NetworkConfig,
};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let number: usize = env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let sessions: usize = env::args().nth(2).map_or(Ok(300), |text| text.parse())?;
    println!("before any node: {} KiB", resident()?);

    let mut folders = Vec::new();
    let mut handles: Vec<Handle> = Vec::new();
    let mut through: Option<Multiaddr> = None;
    for index in 0..number {
        let folder = tempfile::tempdir()?;
        let (handle, mut events) = start(NetworkConfig::full(), folder.path(), through.as_ref())?;
        let address = listening(&mut events).await?;
        through.get_or_insert(address);
        if index > 0 {
            tokio::spawn(approve(handle.clone(), events));
        }
        handles.push(handle);
        folders.push(folder);
        println!("{} nodes: {} KiB", index + 1, resident()?);
    }
    for handle in &handles {
        while handle.with_view(|view| view.signers().filter(|(.., near)| *near).count()).await? < number - 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    println!("all connected: {} KiB", resident()?);

    let keys: Vec<_> = handles.iter().map(Handle::key).collect();
    let mut times = Vec::new();
    for session in 0..sessions {
        let start = Instant::now();
        let new = NewSession::new(Suite::Lotus, keys.clone(), session.to_be_bytes().repeat(4));
        let id = handles[0].create(new).await?;
        handles[0].signatures(id).await?;
        times.push(start.elapsed());
    }
    println!("the first session: {:?}", times[0]);
    times.sort_unstable();
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100];
    println!("{sessions} sessions of {number}: median {:?}, 90% {:?}, 99% {:?}", at(50), at(90), at(99));
    println!("at the end: {} KiB", resident()?);
    for handle in &handles {
        handle.stop().await?;
    }
    Ok(())
}

/// Takes part in everything that is announced.
async fn approve(handle: Handle, mut events: Events) {
    while let Ok(event) = events.next().await {
        if let NodeEvent::Core(Event::SessionAnnounced { session, .. }) = event
            && handle.join(session, [Unusual::Opaque]).await.is_err()
        {
            return;
        }
    }
}

/// The process's memory in KiB.
fn resident() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}
