//! MuSig2 signing sessions between peers, as a pure state machine.
//!
//! A [`Node`](node::Node) takes part in signing sessions for one signer's key, which stays with the signer. It has no
//! I/O, no clock and no global randomness: its host tells it what has happened ([`Input`](api::Input)) and what its
//! owner wants ([`Command`](api::Command)), and does what it asks ([`Output`](api::Output)). The same inputs at the
//! same times give the same outputs, byte for byte, so what runs in a simulator is what runs in production.
//!
//! The examples `two_nodes` and `journal` show hosts in full.
//!
//! Reading order: [`api`] for what goes in and out, [`host`] for the seam to the world, [`device`] for a signer that is
//! somewhere else, [`single`] for what its key signs alone, [`node`] for the way between,
//! [`approval`] for what an owner sees before it approves, then `wire`, `gate`, `session` and `discovery`; [`crypto`]
//! and [`election`] stand on their own.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod api;
pub mod approval;
mod author;
pub mod base;
pub mod device;
mod discovery;
mod effect;
pub mod election;
pub mod evidence;
mod gate;
pub mod host;
mod journal;
pub mod node;
pub mod protocol;
mod session;
pub mod single;
pub mod wire;

pub use nelumbo_crypto as crypto;

pub use gate::{Admitted, Policy, Review, check_record};
pub use journal::CorruptRecord;
