//! Dial backs: whether an address of the node can be reached from outside.
//!
//! Owns AutoNAT's client and a gate in front of it. Invariant: only so many addresses, only those that pass the address
//! filter, and no circuits are ever candidates. The client keeps every candidate for good, and any peer can make up as
//! many as it likes by telling us, in one identify message after another, that it sees us somewhere else. Driven by
//! libp2p's swarm.

use std::collections::HashSet;

use libp2p::{
    Multiaddr,
    autonat::v2::client,
    swarm::{FromSwarm, NetworkBehaviour, NewExternalAddrCandidate},
};

use super::{
    addresses::{DecidedFilter, is_circuit},
    woken::Part,
};

const MAX_CANDIDATES: usize = 64;

/// See the module's documentation.
pub(crate) struct AutonatClient {
    client: client::Behaviour,
    filter: DecidedFilter,
    candidates: HashSet<Multiaddr>,
}

impl AutonatClient {
    pub(crate) fn new(filter: DecidedFilter) -> Self {
        Self { client: client::Behaviour::default(), filter, candidates: HashSet::new() }
    }

    /// Has an address tested that is taken for an external one already, though nobody may get through to it.
    pub(crate) fn test(&mut self, address: &Multiaddr) {
        self.sift(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr: address }));
    }

    fn admits(&mut self, candidate: &Multiaddr) -> bool {
        if self.candidates.contains(candidate) {
            return true;
        }
        // A dial back within a private network says nothing about the internet.
        let is_possible = self.filter.is_for_all(candidate) && !is_circuit(candidate);
        let admitted = self.candidates.len() < MAX_CANDIDATES && is_possible;
        if admitted {
            self.candidates.insert(candidate.clone());
        }
        admitted
    }
}

impl Part for AutonatClient {
    type Behaviour = client::Behaviour;

    fn behaviour(&mut self) -> &mut client::Behaviour {
        &mut self.client
    }

    fn sift(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr }) if !self.admits(addr) => {}
            event => self.client.on_swarm_event(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;
    use crate::network::AddressFilter;

    #[test]
    fn candidates_are_public_and_bounded() {
        let mut client = AutonatClient::new(AddressFilter::PublicOnly.decide([], []));
        let address = |text: String| text.parse::<Multiaddr>().expect("an address");
        assert!(!client.admits(&address("/ip4/192.168.1.1/tcp/1".to_owned())));
        let circuit = format!("/ip4/9.9.9.9/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        assert!(!client.admits(&address(circuit)));
        let admitted = (0..1000).filter(|port| client.admits(&address(format!("/ip4/1.1.1.1/tcp/{port}"))));
        assert_eq!(admitted.count(), MAX_CANDIDATES);
        assert!(client.admits(&address("/ip4/1.1.1.1/tcp/3".to_owned())), "known ones stay");
    }
}
