//! What a simulated world is like.

use std::time::Duration;

use nelumbo_core::api::Config;
use nelumbo_core::crypto::Network;

use crate::schedule::Schedule;

/// A world: how many nodes, how far apart, how unreliable.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// How many nodes; each holds one key.
    pub nodes: usize,
    /// The least time that a message takes.
    pub latency: Duration,
    /// By how much a message may take longer; drawn evenly.
    pub jitter: Duration,
    /// The share of messages that are lost, in thousandths.
    pub loss: u32,
    /// The share of messages that arrive twice, in thousandths.
    pub duplication: u32,
    /// How long a record takes to become durable.
    pub disk: Duration,
    /// How the nodes behave.
    pub config: Config,
}

impl Options {
    /// A quiet world: 10 ms between any two nodes, nothing lost, a fast disk.
    pub fn new(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            nodes,
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0,
            duplication: 0,
            disk: Duration::ZERO,
            config: Config::new(Network::Regtest),
        }
    }

    /// The same as a schedule without steps, and how the nodes behave.
    pub(crate) fn schedule(&self) -> (Schedule, Config) {
        let nodes = u32::try_from(self.nodes).expect("nodes are numbered in 32 bits");
        let mut schedule = Schedule::new(self.seed, nodes);
        schedule.disk_us = u64::try_from(self.disk.as_micros()).unwrap_or(u64::MAX);
        (schedule, self.config.clone())
    }
}
