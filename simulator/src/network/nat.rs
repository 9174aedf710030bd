//! NATs: which machines can dial which others, and the path through a relay where they cannot.
//!
//! The classes are those of RFC 3489, section 5. Invariant: the path between two machines is the same in both
//! directions, and follows from their classes alone. Driven by the transports of peers.

use serde::{Deserialize, Serialize};

/// The kind of NAT that a machine is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// None: anyone can dial it.
    #[default]
    Public,
    /// One outer address for everything, open to anyone.
    FullCone,
    /// One outer address for everything, open to the hosts that the machine has sent to.
    Restricted,
    /// One outer address for everything, open to the ports that the machine has sent to.
    PortRestricted,
    /// Another outer port for each receiver, open to that receiver alone.
    Symmetric,
}

impl Nat {
    /// Whether somebody can dial a machine behind it that the machine has not sent to before.
    #[must_use]
    pub const fn is_dialable(self) -> bool {
        matches!(self, Self::Public | Self::FullCone)
    }

    /// Whether two machines get a direct connection when a relay tells both to begin at the same moment: each must let
    /// in what comes from a port that it knows, and a symmetric one's port is known to nobody before.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        !matches!(
            (self, other),
            (Self::Symmetric, Self::Symmetric | Self::PortRestricted) | (Self::PortRestricted, Self::Symmetric)
        )
    }
}

/// The path from one machine to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A direct connection.
    Direct,
    /// A circuit over this relay.
    Relayed(u32),
    /// There is no path.
    Unreachable,
}

/// The NAT of every machine, and the machines that relay.
#[derive(Clone, Debug)]
pub struct Nats {
    classes: Box<[Nat]>,
    relays: Box<[u32]>,
}

impl Nats {
    /// The class of each machine, and the machines that relay.
    ///
    /// # Panics
    /// When nobody could dial a relay.
    #[must_use]
    pub fn new(classes: Box<[Nat]>, relays: Box<[u32]>) -> Self {
        assert!(relays.iter().all(|relay| classes[*relay as usize].is_dialable()), "relays can be dialled");
        Self { classes, relays }
    }

    /// How many machines there are.
    #[must_use]
    pub const fn machines(&self) -> usize {
        self.classes.len()
    }

    pub(super) fn is_relay(&self, node: u32) -> bool {
        self.relays.contains(&node)
    }

    /// The path that a dial takes. Machines behind a NAT stay connected to all relays.
    pub(super) fn dial(&self, from: u32, to: u32) -> Path {
        let is_let_in = self.classes[to as usize].is_dialable() || self.is_relay(from);
        if is_let_in { Path::Direct } else { self.relayed(from, to) }
    }

    /// The path of all frames that follow the dial.
    pub(super) fn path(&self, from: u32, to: u32) -> Path {
        let (here, there) = (self.classes[from as usize], self.classes[to as usize]);
        if here.meets(there) { Path::Direct } else { self.relayed(from, to) }
    }

    /// The relay of two machines, which is the same whichever of them asks.
    fn relayed(&self, from: u32, to: u32) -> Path {
        let turn = (from as usize + to as usize).checked_rem(self.relays.len());
        turn.map_or(Path::Unreachable, |turn| Path::Relayed(self.relays[turn]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Nat; 5] = [Nat::Public, Nat::FullCone, Nat::Restricted, Nat::PortRestricted, Nat::Symmetric];

    #[test]
    fn holes_are_punched_between_the_classes_that_allow_it() {
        let expected = [
            [true, true, true, true, true],
            [true, true, true, true, true],
            [true, true, true, true, true],
            [true, true, true, true, false],
            [true, true, true, false, false],
        ];
        assert_eq!(ALL.map(|one| ALL.map(|other| one.meets(other))), expected);
        assert_eq!(ALL.map(Nat::is_dialable), [true, true, false, false, false]);
    }

    #[test]
    fn a_dial_that_nobody_lets_in_takes_a_relay_and_what_follows_takes_it_where_no_hole_can_be_punched() {
        let nats = Nats::new([ALL.as_slice(), &[Nat::Public]].concat().into(), [0, 1].into());
        assert_eq!(
            (nats.dial(4, 1), nats.dial(0, 4)),
            (Path::Direct, Path::Direct),
            "a full cone, and a relay's client"
        );
        assert_eq!((nats.dial(5, 2), nats.path(5, 2)), (Path::Relayed(1), Path::Direct), "the other end dials back");
        assert_eq!((nats.dial(3, 2), nats.path(3, 2)), (Path::Relayed(1), Path::Direct), "a hole is punched");
        assert_eq!((nats.dial(3, 4), nats.path(3, 4)), (Path::Relayed(1), Path::Relayed(1)));
        assert_eq!(nats.path(4, 3), nats.path(3, 4), "seen from both ends");
        let alone = Nats::new(ALL.into(), [].into());
        assert_eq!((alone.dial(3, 4), alone.dial(0, 2)), (Path::Unreachable, Path::Unreachable));
    }
}
