//! Many nelumbo nodes in one process, in virtual time, from one seed.
//!
//! The nodes are the very ones that run in production: a simulated peer is one more implementation of the core's
//! [`Host`](nelumbo_core::host::Host). Time is an integer that jumps from event to event; every random choice comes
//! from labelled streams of the seed; events are ordered by time, then by the node that caused them, then by that
//! node's own count. The same schedule gives the same run, byte for byte.
//!
//! Reading order: [`engine`] runs any machines in a [`world`]; [`peer`] makes a machine of a node; [`schedule`] writes
//! down what happens to them, [`run`] runs it and [`checkers`] watch. [`Simulation`] is for callers who act at every
//! step.
#![forbid(unsafe_code)]

pub mod checkers;
pub mod crypto;
pub mod engine;
mod options;
pub mod peer;
mod random;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod shrink;
mod simulation;
pub mod summary;
pub mod world;

pub use options::Options;
pub use random::Random;
pub use simulation::{Seen, Simulation};
