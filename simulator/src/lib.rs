//! Many nelumbo nodes in one process, in virtual time, from one seed.
//!
//! The nodes are the very ones that run in production: a simulated peer is one more implementation of the core's
//! [`Host`](nelumbo_core::host::Host). Time is an integer that jumps from event to event; every random choice comes
//! from labelled streams of the seed; events are ordered by time, then by the node that caused them, then by that
//! node's own count. The same schedule gives the same run, byte for byte.
//!
//! Reading order: [`engine`] runs any machines in a [`network`], and [`Simulation`] does so with checks and metrics;
//! [`peer`] makes a machine of a node; [`schedule`] lists what happens to nodes, [`run`] runs it and [`checkers`]
//! watch. [`model`] leaves chance out: it explores every order of events among a few nodes.
#![forbid(unsafe_code)]

pub mod checkers;
pub mod crypto;
pub mod engine;
pub mod fork;
pub mod model;
pub mod network;
pub mod peer;
mod pending_sessions;
mod random;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod services;
pub mod settings;
pub mod shrink;
pub mod simulation;
pub mod statistics;
pub mod summary;
pub mod sweep;
pub mod trace;
pub mod why;

pub use random::Random;
pub use simulation::Simulation;
