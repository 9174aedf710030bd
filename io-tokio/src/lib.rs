//! nelumbo on libp2p and tokio: a real network, a durable journal, an async handle.

pub mod journal;
pub mod metrics;
pub mod network;
