//! What a peer tells those who watch the simulation.

use nelumbo_core::api::Event;
use nelumbo_core::base::Bytes;
use nelumbo_core::wire::SessionId;

/// A kind of trouble that a peer sees by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The node cannot boot from its own disk.
    Boot,
    /// The node keeps more than its limits allow.
    Limits,
}

/// Something that a peer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The node is running.
    Up,
    /// The node remembers from before it was started that this session has completed.
    Remembers(SessionId),
    /// The node is not running any more.
    Down,
    /// The node was asked for a session among these, or could not make one.
    Asked(Option<Vec<u32>>),
    /// The node sends a direct message; told once for all its receivers.
    Sent(Bytes),
    /// The node tells its owner something.
    Event(Event),
    /// Something is wrong with the node.
    Trouble(Trouble, String),
}
