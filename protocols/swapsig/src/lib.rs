#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`Terms`] for what a pool is, [`content`] for what participants say, [`Plan`] for the transactions that each makes
//! by itself, [`Pool`] for the machine, [`chain`] for what it wants to know, [`SwapSig`] for the protocol on a node.
#![forbid(unsafe_code)]

mod book;
pub mod chain;
pub mod content;
mod plan;
mod pool;
mod protocol;
#[cfg(feature = "simulation")]
pub mod simulation;
mod terms;

pub use book::Own;
pub use plan::Plan;
pub use pool::{Effect, Input, Phase, Pool, Signing, Status};
pub use protocol::{Command, Event, NewPool, SwapSig};
pub use terms::*;

use serde::{Deserialize, Serialize};

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("encoding into memory cannot fail")
}

/// What these bytes are, if they are one value in its one encoding.
fn decode<'de, T: Deserialize<'de> + Serialize>(bytes: &'de [u8]) -> Option<T> {
    let value: T = postcard::from_bytes(bytes).ok()?;
    (encode(&value) == bytes).then_some(value)
}
