//! The names and addresses of simulated peers.

use nelumbo_core::api::Subnet;
use nelumbo_core::wire::{Address, PeerId};

/// The peer id of a machine, which holds its number.
#[must_use]
pub fn peer_id(node: u32) -> PeerId {
    PeerId::from_bytes(&u64::from(node).to_be_bytes()).expect("eight bytes name a peer")
}

/// The machine with this peer id, if it is a simulated one.
#[must_use]
pub fn node_of(peer: &PeerId) -> Option<u32> {
    let number = u64::from_be_bytes(peer.as_bytes().try_into().ok()?);
    u32::try_from(number).ok()
}

/// The address of a machine, which holds its number, little endian.
#[must_use]
pub fn address_of(node: u32) -> Address {
    Address::from_bytes(node.to_le_bytes().to_vec()).expect("four bytes are an address")
}

/// The subnet of a machine's address. Each machine is in one of its own, as peers of different owners mostly are.
#[must_use]
pub fn subnet_of(node: u32) -> Subnet {
    let [a, b, c, d] = node.to_le_bytes();
    Subnet::V6([0xfd, 0, a, b, c, d])
}
