//! The events that a schedule lists: sessions, faults, and nodes that begin to misbehave.

use serde::{Deserialize, Serialize};

use super::{Misbehaviour, SuiteChoice};
use crate::network::Direction;

/// An event that a schedule lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum ScheduledEvent {
    /// A node starts a session.
    Create {
        /// The node.
        node: u32,
        /// All signers, the node among them.
        signers: Vec<u32>,
        /// The signature suite.
        #[serde(default)]
        suite: SuiteChoice,
        /// How many messages it signs.
        #[serde(default = "one_item", skip_serializing_if = "is_one_item")]
        items: u32,
    },
    /// A node starts now and not at the beginning.
    Start {
        /// The node.
        node: u32,
    },
    /// A node stops at once. Its peers see the connections close, unless the crash is silent.
    Crash {
        /// The node.
        node: u32,
        /// Whether its peers are not told, as after a power failure, and have to notice by themselves.
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
    /// A node's machine goes back to what it was, as a virtual machine does that is resumed from a snapshot of its
    /// memory; the network and all others have gone on, and its connections are lost.
    Resume {
        /// The node.
        node: u32,
        /// When the snapshot was taken, in milliseconds.
        since_ms: u64,
        /// Whether its disk does not go back.
        #[serde(default)]
        keeps_disk: bool,
        /// Whether the snapshot may have nonces that have not signed. If not, it was taken when there were none before.
        #[serde(default)]
        open_nonces: bool,
    },
    /// A node's machine sleeps: nothing happens there, its monotonic clock stands still and its wall clock goes on. Its
    /// connections are lost.
    Sleep {
        /// The node.
        node: u32,
        /// When it ends, in milliseconds.
        until_ms: u64,
    },
    /// A node's owner looks at what it is asked to approve after a while, each time another one.
    Owner {
        /// The node.
        node: u32,
        /// The shortest while, in milliseconds.
        least_ms: u64,
        /// The longest, in milliseconds.
        most_ms: u64,
    },
    /// A node's signer is a device.
    Device {
        /// The node.
        node: u32,
        /// How long it takes to draw nonces, its person included, in milliseconds.
        nonces_ms: u64,
        /// How long it takes to sign, in milliseconds.
        partials_ms: u64,
    },
    /// A node's device is out of reach: what it is asked is lost.
    DeviceAway {
        /// The node.
        node: u32,
        /// When it ends, in milliseconds.
        until_ms: u64,
    },
    /// A node's device is restarted, and has forgotten its nonces and what it was asked.
    DeviceRestart {
        /// The node.
        node: u32,
    },
    /// A node says what it says with a message key, to which its signer delegates.
    Delegate {
        /// The node.
        node: u32,
    },
    /// A node's wall clock is set to another time.
    Jump {
        /// The node.
        node: u32,
        /// By how many milliseconds.
        ms: i64,
    },
    /// A node's clock runs faster or slower from now on.
    Drift {
        /// The node.
        node: u32,
        /// By how many millionths.
        ppm: i32,
    },
    /// Records take this long to become durable on a node's disk from now on.
    Disk {
        /// The node.
        node: u32,
        /// How long, in microseconds.
        us: u64,
    },
    /// A node's disk is full for some time and takes no record.
    DiskFull {
        /// The node.
        node: u32,
        /// When it ends, in milliseconds.
        until_ms: u64,
    },
    /// Some nodes cannot reach the others for a while.
    Partition {
        /// When it ends, in milliseconds.
        until_ms: u64,
        /// The nodes that are cut off.
        members: Vec<u32>,
        /// In which direction the partition cuts.
        #[serde(default)]
        direction: Direction,
        /// Half of the period with which it comes and goes, in milliseconds; 0 for one that stays.
        #[serde(default)]
        flapping_ms: u64,
    },
    /// The network is unreliable for a while; shares are in millionths.
    LinkConditions {
        /// When it ends, in milliseconds.
        until_ms: u64,
        /// The share of messages that are lost.
        #[serde(default)]
        loss: u32,
        /// The share of messages that arrive twice.
        #[serde(default)]
        duplication: u32,
        /// The share of messages that are held back.
        #[serde(default)]
        reordering: u32,
        /// How long a message is held back at most, in milliseconds.
        #[serde(default)]
        reorder_delay_ms: u64,
    },
    /// A node misbehaves from now on.
    Misbehaviour {
        /// The node.
        node: u32,
        /// How it misbehaves.
        misbehaviour: Misbehaviour,
        /// Whether checkers take the node for honest all the same: a defect on purpose, to test that they find it.
        #[serde(default)]
        broken: bool,
    },
}

const fn one_item() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_one_item(items: &u32) -> bool {
    *items == one_item()
}

impl ScheduledEvent {
    /// A session of these signers that one of them starts, for one message.
    #[must_use]
    pub const fn create(node: u32, signers: Vec<u32>, suite: SuiteChoice) -> Self {
        Self::Create { node, signers, suite, items: one_item() }
    }

    /// The node that it is about, if it is about one.
    #[must_use]
    pub const fn node(&self) -> Option<u32> {
        match self {
            Self::Create { node, .. }
            | Self::Start { node }
            | Self::Sleep { node, .. }
            | Self::Owner { node, .. }
            | Self::Device { node, .. }
            | Self::DeviceAway { node, .. }
            | Self::DeviceRestart { node }
            | Self::Delegate { node }
            | Self::Crash { node, .. }
            | Self::Restart { node }
            | Self::Fork { node, .. }
            | Self::Resume { node, .. }
            | Self::Jump { node, .. }
            | Self::Drift { node, .. }
            | Self::Disk { node, .. }
            | Self::DiskFull { node, .. }
            | Self::Misbehaviour { node, .. } => Some(*node),
            Self::Partition { .. } | Self::LinkConditions { .. } => None,
        }
    }
}
