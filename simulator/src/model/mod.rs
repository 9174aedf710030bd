//! Everything that can happen in a small world, tried: every order of delivery, of timers, crashes and restarts.
//!
//! The nodes are the core's own, with stand-in cryptography. A world's state is what its nodes would do next, what is
//! in flight, and what has been shown so far; different orders that lead to the same state meet there, which is what
//! keeps the number of states finite and small. From every state the fair continuation is followed to its end:
//! everything in flight arrives, the crashed come back if they may, and time passes.
//!
//! What is left out, because it makes no difference to what is checked: a message that is in flight twice is in flight
//! once; a nonce or partial signature that its receiver has is dropped; sequence numbers are given on delivery, so that
//! no copy is stopped by replay protection; clocks stand still but when a timer fires, so that a node's timers fire in
//! their order, and between nodes in any.
//!
//! Reading order: `state` is one node, `system` is all of them, `search` goes through what is reachable.

mod discovery;
mod node_states;
mod search;
mod system;
mod test_node;

use std::fmt;

pub use discovery::{DiscoveryFault, DiscoveryScope, explore_discovery};
use node_states::NodeStates;
use system::SystemState;

/// How far to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// How many signers, from 1 to 8. The first one creates the session; everyone approves it.
    pub signers: u8,
    /// How many timers fire out of turn, in all.
    pub timers: u8,
    /// How many nodes crash, in all: between two steps, or in one, after its records and before its messages.
    pub crashes: u8,
    /// Whether the crashed come back.
    pub returns: bool,
    /// How many messages arrive twice.
    pub duplicates: u8,
    /// How many owners whose turn it is confirm the broadcast.
    pub confirmations: u8,
    /// How many owners abort the session.
    pub aborts: u8,
    /// What is wrong with the nodes, to see that it is found.
    pub fault: Option<Fault>,
}

/// Something wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every boot has the same entropy.
    SameEntropy,
    /// The journal is gone after a crash.
    LosesJournal,
    /// Turns to broadcast are over at once.
    HastyTurns,
    /// Time does not pass.
    NoTime,
}

/// What was found in a scope without a violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Different states.
    pub states: usize,
    /// Steps from one to another.
    pub steps: usize,
    /// The longest shortest way to a state.
    pub depth: usize,
    /// Different states of one node.
    pub node_states: usize,
    /// Different ends of fair continuations in which every node that is up has what it wanted: the signature, or in the
    /// model of discovery the newest announcement of everyone.
    pub complete: usize,
    /// Different ends in which it has not. Of sessions every node that is up says why.
    pub incomplete: usize,
}

/// What must never happen, and how it came to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What happened.
    pub what: String,
    /// The steps that led to it, one of the shortest ways there are.
    pub path: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        self.path.iter().zip(1..).try_for_each(|(step, number): (_, usize)| writeln!(f, "{number:4}  {step}"))
    }
}

/// Tries everything that sessions can come to in this scope.
///
/// # Errors
/// The first violation, by one of the shortest ways.
///
/// # Panics
/// For a scope with no signers or with more than 8.
pub fn explore(scope: &Scope) -> Result<Counts, Violation> {
    assert!((1..=8).contains(&scope.signers), "from 1 to 8 signers");
    let mut node_states = NodeStates::new(*scope);
    let start = SystemState::start(scope, &mut node_states);
    search::explore(start, node_states)
}
