//! What runs on a simulated node beside signing: other protocols, a policy, and an embedder that has wishes.
//!
//! Invariant: it is made anew whenever a node boots, so that nothing of it outlives a crash but what the node's disk
//! keeps. Driven by the peer.

use std::fmt;

use nelumbo_core::Policy;
use nelumbo_core::api::{Command, Event};
use nelumbo_core::protocol::Protocol;

/// What a node runs.
#[derive(Default)]
pub struct Software {
    /// Registered in this order, as soon as the node is there.
    pub protocols: Vec<Box<dyn Protocol>>,
    /// The policy.
    pub policy: Option<Box<dyn Policy>>,
    /// Who has wishes. The owner that every simulated node has, who approves bare messages and broadcasts, is there
    /// too.
    pub embedder: Option<Box<dyn Embedder>>,
}

impl fmt::Debug for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Software").field("protocols", &self.protocols.len()).finish_non_exhaustive()
    }
}

/// An embedder of a simulated node. It decides by what it is told alone, so that runs can be repeated.
pub trait Embedder: Send {
    /// The node has booted. What does it want?
    fn on_start(&mut self) -> Vec<Command>;

    /// The node has said this. What does it want now? A command that is refused is gone.
    fn on_event(&mut self, event: &Event) -> Vec<Command>;
}

/// Makes the software of a node, by its number.
pub(crate) struct MakeSoftware(pub(crate) Box<dyn Fn(u32) -> Software + Send + Sync>);

impl fmt::Debug for MakeSoftware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeSoftware")
    }
}
