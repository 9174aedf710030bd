//! The workload in madsim: a node each, with an endpoint, a task that sends and a task that answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use madsim::net::{Endpoint, NetSim};
use madsim::runtime::{Handle, Runtime};
use madsim::{rand, time};

use crate::{LATENCY, PAYLOAD, PERIOD};

fn address(node: u32) -> SocketAddr {
    SocketAddr::from(([10, (node >> 16) as u8, (node >> 8) as u8, node as u8], 1))
}

pub fn run(nodes: u32, until: u64) -> u64 {
    let mut config = madsim::Config::default();
    config.net.send_latency = Duration::from_nanos(LATENCY.0)..Duration::from_nanos(LATENCY.0 + LATENCY.1);
    let runtime = Runtime::with_seed_and_config(1, config);
    let events = Arc::new(AtomicU64::new(0));
    let counted = events.clone();
    runtime.block_on(async move {
        let _ = NetSim::current();
        for node in 0..nodes {
            let events = counted.clone();
            let own = address(node);
            let machine = Handle::current().create_node().ip(own.ip()).build();
            let _detached = machine.spawn(async move {
                let endpoint = Arc::new(Endpoint::bind(own).await.expect("a free address"));
                let (listening, heard) = (endpoint.clone(), events.clone());
                let _detached = madsim::task::spawn(async move {
                    let mut buffer = [0; PAYLOAD];
                    while let Ok((_, from)) = listening.recv_from(0, &mut buffer).await {
                        heard.fetch_add(1, Ordering::Relaxed);
                        let _ = listening.send_to(from, 1, &buffer).await;
                    }
                });
                let (listening, heard) = (endpoint.clone(), events.clone());
                let _detached = madsim::task::spawn(async move {
                    let mut buffer = [0; PAYLOAD];
                    while listening.recv_from(1, &mut buffer).await.is_ok() {
                        heard.fetch_add(1, Ordering::Relaxed);
                    }
                });
                loop {
                    time::sleep(Duration::from_nanos(PERIOD)).await;
                    events.fetch_add(1, Ordering::Relaxed);
                    let to = address(rand::random::<u32>() % nodes);
                    let _ = endpoint.send_to(to, 0, &[0; PAYLOAD]).await;
                }
            });
        }
        time::sleep(Duration::from_nanos(until)).await;
    });
    events.load(Ordering::Relaxed)
}
