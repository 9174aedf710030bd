//! A model checker for sessions among a few nodes: it tries every order of deliveries, timers, crashes and restarts.
//!
//! The nodes are the core's own, with stand-in cryptography. A state of the system is what its nodes would do next, the
//! messages in flight, and the nonces and signatures that have been sent so far; different orders that lead to the same
//! state meet there, which keeps the number of states finite and small. From every state the fair continuation is
//! followed to its end: everything in flight arrives, crashed nodes restart if they may, and time passes.
//!
//! What is left out, because it makes no difference to what is checked: a message that is in flight twice counts once;
//! a nonce or partial signature that its receiver has is dropped; sequence numbers are given on delivery, so that no
//! copy is stopped by replay protection; clocks move only when a timer fires, so that a node's timers fire in their
//! order, and those of different nodes in any. Whoever misbehaves on purpose is not held to what honest signers are.
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

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// How many signers, from 1 to 8. The first one creates the session; everyone approves it.
    pub signers: u8,
    /// How many timers fire out of turn, in all.
    pub timers: u8,
    /// How many nodes crash, in all: between two steps, or in one, after its records and before its messages.
    pub crashes: u8,
    /// Whether crashed nodes restart.
    pub returns: bool,
    /// How many messages arrive twice.
    pub duplicates: u8,
    /// How many owners whose turn it is confirm the broadcast.
    pub confirmations: u8,
    /// How many owners abort the session, at any moment before it has completed at them: early, or when they have
    /// signed.
    pub aborts: u8,
    /// How often a wall clock jumps, ahead to when the session's time is over, or back to where it was.
    pub jumps: u8,
    /// How often the last signer shows another signer another nonce than its node has drawn.
    pub equivocations: u8,
    /// How many nodes are copied with their disk while they run. Both go on with one key; what is sent to it reaches
    /// both.
    pub clones: u8,
    /// A fault that is put into the nodes on purpose, to test that it is found.
    pub fault: Option<Fault>,
}

/// A fault that is put into the nodes on purpose.
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
    /// Nodes are shown a wall clock that does not jump.
    StoppedClock,
    /// A copy draws from the same entropy as what it was made of.
    SameCopies,
    /// Whoever has signed and refused hears no signature.
    Deaf,
}

/// The size of an exploration that found no violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Different states.
    pub states: usize,
    /// Steps from one to another.
    pub steps: usize,
    /// The most steps that the shortest path to a state has.
    pub depth: usize,
    /// Different states of one node.
    pub node_states: usize,
    /// Different ends of fair continuations in which every node that is up has what it wanted: the signature, or in the
    /// model of discovery the newest announcement of everyone.
    pub complete: usize,
    /// Different ends in which some node has not. Of sessions every node that is up reports why.
    pub incomplete: usize,
}

/// Something that must never happen, and the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What happened.
    pub what: String,
    /// The steps that led to it, on one of the shortest paths.
    pub path: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        self.path.iter().zip(1..).try_for_each(|(step, number): (_, usize)| writeln!(f, "{number:4}  {step}"))
    }
}

/// Explores every state that sessions can reach within these bounds.
///
/// # Errors
/// The first violation, on one of the shortest paths.
///
/// # Panics
/// For a scope with no signers or with more than 8.
pub fn explore(scope: &Scope) -> Result<Counts, Violation> {
    assert!((1..=8).contains(&scope.signers), "from 1 to 8 signers");
    let mut node_states = NodeStates::new(*scope);
    let start = SystemState::start(scope, &mut node_states);
    search::explore(start, node_states)
}
