//! Asking Chronik servers for Lotus.
//!
//! [`ChronikClient`] asks, over a list of servers; [`Watch`] tells what happens to scripts, transactions and blocks.
//!
//! Reading order: `types` for what comes out, `judge` for why it can be believed, `server` for one server, `client` for
//! several, `broadcast`, `watch`. Owns nothing else. Embedders, and the monitors of this crate, drive it.

mod broadcast;
mod client;
mod config;
mod counts;
mod error;
mod http;
mod judge;
mod proofs;
mod server;
mod shape;
#[cfg(test)]
mod tls_tests;
mod types;
mod watch;

pub use crate::BlockHash;
pub use broadcast::{BroadcastError, Reason, Rejection, Sent};
pub use client::ChronikClient;
pub use config::{ChronikConfig, DEFAULT_SERVER};
pub use counts::{ChronikCounts, ServerCounts};
pub use error::{ChronikError, ConfigError, Failure, Fault};
pub use types::{Block, BlockId, BlockRef, BlockSummary, ChainTx, HistoryPage, OutputState, Status, Unspent};
pub use watch::{ChainEvent, Since, Watch, Watched};
