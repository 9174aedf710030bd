#![doc = include_str!("../README.md")]

mod block_hash;
pub mod build;
#[cfg(feature = "client")]
mod burn;
#[cfg(feature = "client")]
pub mod chronik;
#[cfg(feature = "client")]
pub mod identity;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "client")]
mod monitor;
pub mod proto;
#[cfg(feature = "psbt")]
pub mod psbt;
mod script;

pub use block_hash::BlockHash;
#[cfg(feature = "client")]
pub use burn::{Burn, BurnClaim, BurnError, BurnVerifier, MIN_CONFIRMATIONS, Purpose};
#[cfg(feature = "client")]
pub use monitor::{Confirmation, MonitorError, TransactionMonitor};
pub use nelumbo_crypto as crypto;
pub use script::{ScriptError, ScriptPayload};
