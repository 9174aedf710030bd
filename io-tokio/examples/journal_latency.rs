//! Measures how long a record takes to become durable: alone, and among many.
//!
//! `cargo run --release -p nelumbo-tokio --example journal_latency [folder]`

#![allow(clippy::print_stdout, reason = "a measurement for people")]

use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

use nelumbo_tokio::{journal::Journal, metrics::Metrics};

const ALONE: u64 = 2000;
const TOGETHER: u64 = 50_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args().nth(1).map_or_else(|| env::temp_dir().join("nelumbo-journal-latency"), PathBuf::from);
    let metrics = Metrics::new();
    let (journal, records) = Journal::open(&folder, &metrics)?;
    println!("{} records in {}", records.len(), folder.display());
    let mut durable = journal.durable();

    let mut latencies = Vec::new();
    for sequence in 1..=ALONE {
        let start = Instant::now();
        journal.append(sequence, vec![record(sequence)])?;
        durable.wait_for(|durable| durable.sequence >= sequence).await?;
        latencies.push(start.elapsed());
    }
    latencies.sort_unstable();
    let at = |hundredths: usize| latencies[latencies.len() * hundredths / 100];
    println!("one at a time: median {:?}, 90% {:?}, 99% {:?}", at(50), at(90), at(99));

    let start = Instant::now();
    for sequence in ALONE + 1..=ALONE + TOGETHER {
        while !journal.has_room() {
            durable.changed().await?;
        }
        journal.append(sequence, vec![record(sequence)])?;
    }
    durable.wait_for(|durable| durable.sequence == ALONE + TOGETHER).await?;
    let each = start.elapsed() / u32::try_from(TOGETHER)?;
    println!("many at a time: {each:?} each, {:.0} a second", Duration::from_secs(1).div_duration_f64(each));
    journal.close().await?;
    println!("{} bytes on disk", std::fs::metadata(folder.join(nelumbo_tokio::journal::JOURNAL_FILE))?.len());
    Ok(())
}

/// About the size of a session's record; a thousand different keys, over and over.
fn record(sequence: u64) -> (Vec<u8>, Option<Vec<u8>>) {
    ((sequence % 1000).to_be_bytes().repeat(4), Some(vec![1; 400]))
}
