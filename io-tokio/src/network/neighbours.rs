//! Nodes on the same link, found without anybody's help.
//!
//! Owns what mDNS finds. Invariant: as anybody else, a neighbour is believed public addresses; of private ones only
//! those in a subnet in which this node listens, so that what is said on a link leads nowhere but to that link; at most
//! [`MAX_NEIGHBOURS`] are kept, and the records that libp2p holds are bounded too. Driven by [`super::Network`].

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId, mdns, swarm::behaviour::toggle::Toggle};
use nelumbo_core::api::Subnet;

use super::{
    MAX_ADDRESSES, Network, NetworkError,
    addresses::{host, is_circuit, is_private},
    reach::without_peer,
};

/// As many are called and kept, of a link that may have thousands.
const MAX_NEIGHBOURS: usize = 16;
/// libp2p keeps whatever is said for as long as it says itself.
const MAX_RECORDS: usize = 1024;

pub(super) fn behaviour(local: PeerId) -> Result<mdns::tokio::Behaviour, NetworkError> {
    let error = |error: std::io::Error| NetworkError::Protocol(format!("mDNS: {error}"));
    mdns::tokio::Behaviour::new(mdns::Config::default(), local).map_err(error)
}

impl Network {
    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        match event {
            mdns::Event::Discovered(found) => {
                let mut neighbours: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
                for (peer, address) in found {
                    let address = without_peer(address);
                    if self.is_on_link(&address) {
                        neighbours.entry(peer).or_default().push(address);
                    }
                }
                neighbours.into_iter().for_each(|(peer, addresses)| self.on_neighbour(peer, addresses));
            }
            mdns::Event::Expired(gone) => {
                for (peer, _) in gone {
                    if self.neighbours.remove(&peer) == Some(true) && !self.bootstrap.contains(&peer) {
                        self.forget_kept(&peer);
                    }
                }
            }
        }
        let records = self.swarm.behaviour().mdns.as_ref().map_or(0, |mdns| mdns.discovered_nodes().len());
        if records > MAX_RECORDS {
            tracing::warn!(records, "mDNS is switched off until the node starts again: somebody floods the link");
            *self.swarm.behaviour_mut().mdns = Toggle::from(None);
        }
    }

    fn on_neighbour(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) {
        addresses.truncate(MAX_ADDRESSES);
        let before = self.neighbours.get(&peer).copied();
        if before.is_some() || self.neighbours.len() < MAX_NEIGHBOURS {
            tracing::debug!(%peer, ?addresses, "a neighbour");
            let only = before.unwrap_or(!self.kept.contains(&peer));
            if self.keep(peer, addresses) {
                self.neighbours.insert(peer, only);
            }
        }
    }

    fn is_on_link(&self, address: &Multiaddr) -> bool {
        if is_circuit(address) {
            return false;
        }
        let Some(private) = host(address).filter(is_private) else { return self.filter.is_for_all(address) };
        let own = self.swarm.listeners().filter(|address| !is_circuit(address)).filter_map(host).filter(is_private);
        own.map(Subnet::from).any(|own| own == private.into())
    }
}
