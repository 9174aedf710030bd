#![doc = include_str!("../README.md")]

pub mod build;
#[cfg(feature = "ledger")]
pub mod ledger;
pub mod proto;
mod script;

pub use nelumbo_crypto as crypto;
pub use script::{ScriptError, ScriptPayload};
