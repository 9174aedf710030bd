//! What happens from outside at a time that a schedule says: sessions, faults, and nodes that begin to misbehave.

use serde::{Deserialize, Serialize};

use super::{Misbehaviour, SuiteChoice};
use crate::network::Direction;

/// Something that happens from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum ScheduledEvent {
    /// A node starts a session.
    Create {
        /// The node.
        node: u32,
        /// All signers, the node among them.
        signers: Vec<u32>,
        /// The rules.
        #[serde(default)]
        suite: SuiteChoice,
    },
    /// A node stops at once. Its peers see the connections close, unless the power has failed.
    Crash {
        /// The node.
        node: u32,
        /// Whether its peers are left to find out.
        #[serde(default)]
        silent: bool,
    },
    /// A crashed node starts again with what its disk holds.
    Restart {
        /// The node.
        node: u32,
    },
    /// A node is copied while it runs, with its disk: both go on, with one key.
    Fork {
        /// The node.
        node: u32,
        /// The number that its copy has on the network; nobody else may have it.
        copy: u32,
    },
    /// A node's clock is set.
    Jump {
        /// The node.
        node: u32,
        /// By how much.
        ms: i64,
    },
    /// A node's clock runs faster or slower from now on.
    Drift {
        /// The node.
        node: u32,
        /// By how many millionths.
        ppm: i32,
    },
    /// A node's disk takes this long from now on.
    Disk {
        /// The node.
        node: u32,
        /// How long, in microseconds.
        us: u64,
    },
    /// A node's disk takes nothing for a while.
    DiskFull {
        /// The node.
        node: u32,
        /// Until when.
        until_ms: u64,
    },
    /// Some nodes cannot reach the others for a while.
    Partition {
        /// Until when.
        until_ms: u64,
        /// Those nodes.
        members: Vec<u32>,
        /// In which direction.
        #[serde(default)]
        direction: Direction,
        /// Comes and goes with this half period; 0 stays.
        #[serde(default)]
        flapping_ms: u64,
    },
    /// The network is unreliable for a while; shares are in millionths.
    LinkConditions {
        /// Until when.
        until_ms: u64,
        /// How many messages are lost.
        #[serde(default)]
        loss: u32,
        /// How many arrive twice.
        #[serde(default)]
        duplication: u32,
        /// How many are held back.
        #[serde(default)]
        reordering: u32,
        /// For how long at most.
        #[serde(default)]
        reorder_delay_ms: u64,
    },
    /// A node does from now on what it should not.
    Misbehaviour {
        /// The node.
        node: u32,
        /// What.
        misbehaviour: Misbehaviour,
        /// Whether checkers take the node for honest all the same: a defect, to see them fire.
        #[serde(default)]
        broken: bool,
    },
}

impl ScheduledEvent {
    /// The node that it happens to, where it is one.
    #[must_use]
    pub const fn node(&self) -> Option<u32> {
        match self {
            Self::Create { node, .. }
            | Self::Crash { node, .. }
            | Self::Restart { node }
            | Self::Fork { node, .. }
            | Self::Jump { node, .. }
            | Self::Drift { node, .. }
            | Self::Disk { node, .. }
            | Self::DiskFull { node, .. }
            | Self::Misbehaviour { node, .. } => Some(*node),
            Self::Partition { .. } | Self::LinkConditions { .. } => None,
        }
    }
}
