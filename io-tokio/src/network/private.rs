//! Private networks, and what a node does for others in a small one.
//!
//! Owns what the node's connections say about the network that it is in, and whether it relays. Invariant: only a node
//! whose every direct connection leads to a host of a private network, this machine left out, is in one; of private
//! addresses it believes those of subnets alone in which it has called somebody itself, or listens while it has. A node
//! that is no relay by its configuration is a small one as long as others can come in, and only then. Driven by
//! [`super::Network`].

use std::{collections::HashSet, net::IpAddr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, relay};
use nelumbo_core::api::Subnet;
use tokio::time::Instant;

use super::{
    Network,
    addresses::{self, host, is_circuit, is_private},
    behaviour::SMALL_RELAY,
    config::NetworkConfig,
    event::NetworkEvent,
};
use crate::reachability::Reachability;

/// Whether a node relays for others, and for how many now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relaying {
    /// Whether it takes reservations now.
    pub is_on: bool,
    /// The most reservations, and the most circuits, at a node that is no relay by its configuration.
    pub small: Option<usize>,
    /// Nodes that are reached through it.
    pub reservations: usize,
    /// Connections through it.
    pub circuits: usize,
}

impl NetworkConfig {
    pub(super) fn relaying(&self) -> Relaying {
        let small = (!self.relay_server).then_some(if self.relays_a_little { SMALL_RELAY } else { 0 });
        Relaying { is_on: false, small, reservations: 0, circuits: 0 }
    }
}

/// The hosts at the other ends of direct connections.
#[derive(Debug, Default)]
struct Survey {
    /// Whether each of them is of a private network; `None` when there are none.
    is_private: Option<bool>,
    /// Whether one has come in.
    has_come_in: bool,
    /// Where this node has called.
    called: HashSet<Subnet>,
}

impl Survey {
    /// Of connections, each with its host and whether this node has made it. A host without a number may be anywhere.
    fn of(connections: impl Iterator<Item = (Option<IpAddr>, bool)>) -> Self {
        let mut survey = Self::default();
        for (host, is_outbound) in connections {
            // What forwards connections on this machine says nothing about where they come from.
            if host.is_some_and(|host| host.to_canonical().is_loopback()) {
                continue;
            }
            let private = host.filter(is_private);
            survey.is_private = Some(private.is_some() && survey.is_private != Some(false));
            survey.has_come_in |= !is_outbound;
            survey.called.extend(private.filter(|_| is_outbound).map(Subnet::from));
        }
        survey
    }
}

impl Network {
    /// Whether this node relays for others, and for how many now.
    pub fn relaying(&self) -> Relaying {
        self.relaying
    }

    /// A connection has come or gone: this may be another network now.
    pub(super) fn survey(&mut self, now: Instant) {
        if self.filter.is_local() {
            return;
        }
        let direct = self.peers.direct().map(|connection| (host(&connection.address), connection.is_outbound));
        let survey = Survey::of(direct);
        let Some(is_private) = survey.is_private else { return };
        let mut near = HashSet::new();
        if is_private && !survey.called.is_empty() {
            let own = self.swarm.listeners().filter(|address| !is_circuit(address));
            let own = own.filter_map(host).filter(addresses::is_private).map(Subnet::from);
            near.extend(survey.called.into_iter().chain(own));
        }
        self.filter.come_near(near);
        self.reach.machine().on_private(is_private, survey.has_come_in, now);
        self.follow_reachability();
    }

    /// Tells others what addresses the node has in its private network, or no longer; relays, or no longer.
    pub(super) fn follow_reachability(&mut self) {
        let is_private = self.reach.machine().state() == Reachability::Private;
        let is_own = |address: &&Multiaddr| {
            !is_circuit(address) && host(address).is_some_and(|host| addresses::is_private(&host))
        };
        let own: Vec<Multiaddr> = self.swarm.listeners().filter(is_own).cloned().collect();
        if is_private {
            own.into_iter().for_each(|address| self.announce(address));
        } else if !self.filter.is_local() {
            for address in own {
                if self.swarm.external_addresses().any(|known| *known == address) && !self.announced.contains(&address)
                {
                    self.swarm.remove_external_address(&address);
                    self.events.push_back(NetworkEvent::ExternalAddressExpired { address });
                }
            }
        }
        self.follow_relaying();
    }

    /// libp2p's own rule would begin to relay with the first address of any kind, also if that is a circuit.
    pub(super) fn follow_relaying(&mut self) {
        let is_on = match self.relaying.small {
            Some(_) => self.reach.machine().lets_others_in(),
            None => self.swarm.external_addresses().any(|address| !is_circuit(address)),
        };
        if is_on != self.relaying.is_on
            && let Some(relay) = self.swarm.behaviour_mut().relay_server.as_mut()
        {
            relay.set_status(Some(if is_on { relay::Status::Enable } else { relay::Status::Disable }));
            self.relaying.is_on = is_on;
            self.swarm.behaviour().lists_change();
            tracing::debug!(is_on, "relaying");
        }
    }

    pub(super) fn on_relay_server(&mut self, event: &relay::Event) {
        tracing::debug!(?event, "as a relay");
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, renewed } => {
                self.reserved.insert(*src_peer_id);
                if !renewed {
                    self.leave_older(src_peer_id);
                }
            }
            // libp2p says this of every connection that ends.
            relay::Event::ReservationClosed { src_peer_id } | relay::Event::ReservationTimedOut { src_peer_id } => {
                self.reserved.remove(src_peer_id);
            }
            relay::Event::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
                self.carried.push((*src_peer_id, *dst_peer_id));
            }
            relay::Event::CircuitClosed { src_peer_id, dst_peer_id, .. } => {
                if let Some(at) = self.carried.iter().position(|ends| *ends == (*src_peer_id, *dst_peer_id)) {
                    self.carried.swap_remove(at);
                }
            }
            _ => {}
        }
        (self.relaying.reservations, self.relaying.circuits) = (self.reserved.len(), self.carried.len());
    }

    /// Who reserves at another connection than before has lost the older ones, whose reservations would be taken for
    /// the way to it as well, and whose circuits lead nowhere: both ends of these are to know.
    fn leave_older(&mut self, peer: &PeerId) {
        let direct = self.peers.connections(peer).iter().filter(|connection| !connection.is_relayed);
        let direct: Vec<_> = direct.map(|connection| connection.id).collect();
        for older in direct.iter().rev().skip(1) {
            self.swarm.close_connection(*older);
        }
    }

    /// Whether circuits go through a connection to this peer, or may: at one end of it is a relay.
    pub(super) fn carries(&self, peer: &PeerId) -> bool {
        let is_end = || self.carried.iter().any(|(from, to)| from == peer || to == peer);
        let is_relay = || self.peers.relayed().any(|address| address.iter().any(|part| part == Protocol::P2p(*peer)));
        self.reach.holds(peer) || self.reserved.contains(peer) || is_end() || is_relay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(connections: &[(&str, bool)]) -> Survey {
        Survey::of(connections.iter().map(|(host, is_outbound)| (host.parse().ok(), *is_outbound)))
    }

    #[test]
    fn one_host_elsewhere_makes_no_private_network_and_who_comes_in_brings_no_subnet() {
        assert_eq!(survey(&[]).is_private, None);
        assert_eq!(survey(&[("127.0.0.1", false)]).is_private, None, "a proxy");
        let inside = survey(&[("10.0.0.1", true), ("192.168.1.7", false), ("::1", true)]);
        assert_eq!((inside.is_private, inside.has_come_in), (Some(true), true));
        assert_eq!(inside.called, HashSet::from(["10.0.0.9".parse::<IpAddr>().expect("a host").into()]));
        for elsewhere in ["9.9.9.9", "2606:4700::1111", "169.254.1.1", "a name"] {
            let survey = survey(&[("10.0.0.1", true), (elsewhere, false), ("10.0.0.2", true)]);
            assert_eq!(survey.is_private, Some(false), "{elsewhere}");
        }
    }
}
