//! Names of peers and addresses, in libp2p's form and in the core's.
//!
//! Owns the conversion. Invariant: a name that survives the way there and back is the same name. Pure.

use libp2p::{Multiaddr, PeerId};
use nelumbo_core::wire;

/// `None` for a peer id longer than any that libp2p makes of a public key.
pub(crate) fn to_core(peer: &PeerId) -> Option<wire::PeerId> {
    wire::PeerId::from_bytes(&peer.to_bytes())
}

/// `None` for bytes that are no peer id: the core takes any, and a presence may name nonsense.
pub(crate) fn from_core(peer: &wire::PeerId) -> Option<PeerId> {
    PeerId::from_bytes(peer.as_bytes()).ok()
}

/// The addresses that are short enough for a presence.
pub(crate) fn addresses_to_core<'a>(addresses: impl IntoIterator<Item = &'a Multiaddr>) -> Vec<wire::Address> {
    addresses.into_iter().filter_map(|address| wire::Address::from_bytes(address.to_vec())).collect()
}

/// The addresses that are multiaddrs.
pub(crate) fn addresses_from_core(addresses: &[wire::Address]) -> Vec<Multiaddr> {
    addresses.iter().filter_map(|address| Multiaddr::try_from(address.as_bytes().to_vec()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_there_and_back() {
        let peer = PeerId::random();
        let core = to_core(&peer).expect("short enough");
        assert_eq!(from_core(&core), Some(peer));
        assert_eq!(core.to_string(), peer.to_string());
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().expect("an address");
        assert_eq!(addresses_from_core(&addresses_to_core([&address])), [address]);
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(from_core(&wire::PeerId::from_bytes(b"nonsense").expect("short")), None);
        let nonsense = wire::Address::from_bytes(vec![255; 9]).expect("short");
        assert!(addresses_from_core(&[nonsense]).is_empty());
    }
}
