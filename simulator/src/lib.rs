//! Many nelumbo nodes in one process, in virtual time, from one seed.
//!
//! The nodes are the very ones that run in production: [`Simulation`] is one more implementation of the core's
//! [`Host`](nelumbo_core::host::Host). Time is an integer that jumps from event to event; every random choice comes
//! from labelled streams of the seed; events are ordered by time, then by the node that caused them, then by that
//! node's own count. The same options give the same run, byte for byte.
#![forbid(unsafe_code)]

mod checkers;
pub mod engine;
mod machine;
mod options;
mod random;
mod simulation;
pub mod world;

pub use options::Options;
pub use random::Random;
pub use simulation::{Seen, Simulation};
