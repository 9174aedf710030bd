//! What simulated peers are called on the network.

use nelumbo_core::wire::PeerId;

/// A machine's name on the network: its number.
#[must_use]
pub fn peer_id(node: u32) -> PeerId {
    PeerId::from_bytes(&u64::from(node).to_be_bytes()).expect("eight bytes name a peer")
}

/// The machine with this name, if it is one of ours.
#[must_use]
pub fn node_of(peer: &PeerId) -> Option<u32> {
    let number = u64::from_be_bytes(peer.as_bytes().try_into().ok()?);
    u32::try_from(number).ok()
}
