#![doc = include_str!("../README.md")]

pub mod proto;
mod script;

pub use nelumbo_crypto as crypto;
pub use script::{ScriptError, ScriptPayload};
