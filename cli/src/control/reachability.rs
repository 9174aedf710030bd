//! How a node is reached, and what it does for others that cannot be.
//!
//! Owns these fields of its answers, and how people read them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether others can reach a node.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Reachability {
    /// public, mapped, private, behind-nat, no-route, local or unknown.
    pub(crate) state: String,
    /// Why, for people.
    pub(crate) reason: String,
    /// The relays through which others can reach it.
    pub(crate) relays: Vec<String>,
    /// What it does for others that cannot be reached.
    #[serde(default)]
    pub(crate) relaying: Relaying,
}

/// Whether a node relays for others.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Relaying {
    /// Whether it takes reservations now.
    pub(crate) on: bool,
    /// The most reservations and circuits, where it is no relay by its configuration; 0 where it is to be none.
    pub(crate) small: Option<usize>,
    /// Nodes that are reached through it.
    pub(crate) reservations: usize,
    /// Connections through it.
    pub(crate) circuits: usize,
}

impl fmt::Display for Relaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { on, small, reservations, circuits } = self;
        match (on, small) {
            (false, Some(0)) => write!(f, "no: `network.small-relay` is false"),
            (false, _) => write!(f, "no: others cannot come in"),
            (true, Some(most)) => write!(f, "{reservations} reservations, {circuits} circuits, of {most} at most"),
            (true, None) => write!(f, "{reservations} reservations, {circuits} circuits"),
        }
    }
}
