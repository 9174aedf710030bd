//! Hole punching with candidates that work.
//!
//! Owns DCUtR and which addresses of this node it offers. Invariant: only addresses that are numbers and no circuits
//! are ever offered, and only those that were confirmed, or that a kept peer has seen as they are. libp2p's own
//! candidates come from identify, which leaves out external addresses, so that a public node would offer none, and
//! which replaces a port that a router has changed by the one that is listened on. Driven by libp2p's swarm.

use libp2p::{
    Multiaddr, PeerId, dcutr,
    multiaddr::Protocol,
    swarm::{FromSwarm, NetworkBehaviour, NewExternalAddrCandidate},
};

use super::{
    addresses::{DecidedFilter, is_circuit},
    woken::Part,
};

/// See the module's documentation.
pub(crate) struct Punching {
    inner: dcutr::Behaviour,
    filter: DecidedFilter,
}

impl Punching {
    pub(crate) fn new(local: PeerId, filter: DecidedFilter) -> Self {
        Self { inner: dcutr::Behaviour::new(local), filter }
    }

    /// Offers an address of this node to peers that it has a circuit with.
    pub(crate) fn offer(&mut self, address: &Multiaddr) {
        if self.filter.admits(address) && may_be_offered(address) {
            let candidate = NewExternalAddrCandidate { addr: address };
            self.inner.on_swarm_event(FromSwarm::NewExternalAddrCandidate(candidate));
        }
    }
}

fn may_be_offered(address: &Multiaddr) -> bool {
    !is_circuit(address) && matches!(address.iter().next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_)))
}

impl Part for Punching {
    type Behaviour = dcutr::Behaviour;

    fn behaviour(&mut self) -> &mut dcutr::Behaviour {
        &mut self.inner
    }

    fn sift(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::NewExternalAddrCandidate(candidate) => self.offer(candidate.addr),
            FromSwarm::ExternalAddrConfirmed(confirmed) => self.offer(confirmed.addr),
            event => self.inner.on_swarm_event(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_offered_and_circuits_and_names_are_not() {
        let address = |text: &str| text.parse::<Multiaddr>().expect("an address");
        assert!(may_be_offered(&address("/ip4/9.9.9.9/udp/4001/quic-v1")));
        assert!(may_be_offered(&address("/ip6/2606:4700::1111/tcp/4001")));
        let relay = PeerId::random();
        for text in ["/dns4/node.example.org/tcp/4001", &format!("/ip4/9.9.9.9/tcp/1/p2p/{relay}/p2p-circuit")] {
            assert!(!may_be_offered(&address(text)), "{text}");
        }
    }
}
