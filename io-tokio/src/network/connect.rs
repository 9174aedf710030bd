//! Whom the node is connected to, and what it sends to them directly.
//!
//! Owns the requests about connections and direct messages. Invariant: a message waits only while a connection exists
//! or is being made. Driven by the owner of the [`Network`].

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use nelumbo_core::{api::OperationId, base::Bytes};
use tokio::time::Instant;

use super::{
    MAX_ADDRESSES, Network,
    event::{DirectFailure, NetworkEvent},
};

const MAX_BLOCKED: usize = 16_384;

impl Network {
    /// Tries once to connect to a peer, at these addresses and at those already known.
    pub fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.peers.contains(&peer) {
            return;
        }
        self.guard.name(&addresses);
        let options = DialOpts::peer_id(peer).addresses(addresses).extend_addresses_through_behaviour().build();
        match self.swarm.dial(options) {
            // In the second case a dial is under way already, and its result serves this caller too.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => self.on_dial_failed(peer, &error),
        }
    }

    /// Dials a peer whose only connection is silent: it may have come back from somewhere else, and this end alone not
    /// know that. Messages move to what is made, and pings end the other one if it is dead.
    pub(super) fn dial_besides(&mut self, peer: PeerId) {
        let addresses = self.kept.addresses(&peer).to_vec();
        let options = DialOpts::peer_id(peer).addresses(addresses).extend_addresses_through_behaviour();
        if let Err(error) = self.swarm.dial(options.condition(PeerCondition::NotDialing).build()) {
            tracing::debug!(%peer, %error, "not dialled besides");
        }
    }

    /// Those of a peer's addresses that this node would store or advertise: what others say about where a peer is does
    /// not make a node that is on the internet knock at doors of its own local network.
    pub fn admissible(&self, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        self.filter.select(addresses, MAX_ADDRESSES)
    }

    /// Connects to a peer now and whenever the connection is lost, and lets it in even if the node is full. `false`
    /// when too many peers are kept.
    pub fn keep(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> bool {
        let connected = self.peers.contains(&peer);
        self.guard.name(&addresses);
        let kept = self.kept.keep(peer, addresses, connected, Instant::now());
        if let Some(only) = self.neighbours.get_mut(&peer) {
            *only = false;
        }
        if kept {
            self.swarm.behaviour_mut().limits.bypass_peer_id(&peer);
        }
        kept
    }

    /// Ends [`keep`](Self::keep). The connection stays until it is idle; bootstrap peers are always kept, and
    /// neighbours on the same link as long as they are there.
    pub fn release(&mut self, peer: &PeerId) {
        if let Some(only) = self.neighbours.get_mut(peer) {
            *only = true;
        } else if !self.bootstrap.contains(peer) {
            self.forget_kept(peer);
        }
    }

    pub(super) fn forget_kept(&mut self, peer: &PeerId) {
        self.kept.release(peer);
        self.swarm.behaviour_mut().limits.remove_peer_id(peer);
    }

    /// The other end of the best connection to a peer.
    pub fn address_of(&self, peer: &PeerId) -> Option<Multiaddr> {
        self.peers.best(peer).map(|best| best.address.clone())
    }

    /// Closes every connection to a peer; `false` when there is none. What it has not acknowledged counts as lost.
    pub fn disconnect(&mut self, peer: &PeerId) -> bool {
        self.part(peer, "this node was asked to close it");
        self.peers.contains(peer)
    }

    /// The same for a reason of the network's own.
    pub(super) fn part(&mut self, peer: &PeerId, reason: &'static str) {
        self.say_why(peer, reason);
        self.give_up_direct(peer, DirectFailure::ConnectionClosed);
        self.peers.leaves(peer);
        // An error says that there is none.
        let _ = self.swarm.disconnect_peer_id(*peer);
    }

    fn say_why(&mut self, peer: &PeerId, reason: &'static str) {
        self.closing.extend(self.peers.connections(peer).iter().map(|connection| (connection.id, reason)));
    }

    /// Closes every connection to a peer and allows no new one. `false` when too many are blocked already.
    pub fn block(&mut self, peer: PeerId) -> bool {
        let behaviour = self.swarm.behaviour_mut();
        let blocked = behaviour.blocked.blocked_peers();
        if blocked.len() >= MAX_BLOCKED && !blocked.contains(&peer) {
            return false;
        }
        behaviour.blocked.block_peer(peer);
        behaviour.gossipsub.blacklist_peer(&peer);
        behaviour.kad.remove_peer(&peer);
        self.say_why(&peer, "it is banned");
        self.forget_kept(&peer);
        self.give_up_direct(&peer, DirectFailure::ConnectionClosed);
        self.update_routing_peers();
        true
    }

    /// Ends [`block`](Self::block).
    pub fn unblock(&mut self, peer: PeerId) {
        let behaviour = self.swarm.behaviour_mut();
        behaviour.blocked.unblock_peer(peer);
        behaviour.gossipsub.remove_blacklisted_peer(&peer);
    }

    /// Sends a direct message, over a connection that exists or is made now, and again over another one when that is
    /// cut before the peer has acknowledged it: so it may arrive twice. Ends in one
    /// [`DirectSent`](NetworkEvent::DirectSent) or [`DirectFailed`](NetworkEvent::DirectFailed).
    pub fn send(&mut self, peer: PeerId, operation: OperationId, bytes: impl Into<Bytes>) {
        match self.swarm.behaviour_mut().channel.send(peer, operation, bytes.into()) {
            Err(failure) => self.fail_direct(operation, peer, failure),
            Ok(()) if self.peers.contains(&peer) => {}
            Ok(()) => self.dial(peer, Vec::new()),
        }
    }

    /// Tells others an address of this node.
    pub(super) fn announce(&mut self, address: Multiaddr) {
        let known = self.swarm.external_addresses().any(|known| *known == address);
        if !known && self.swarm.external_addresses().count() < MAX_ADDRESSES {
            self.swarm.add_external_address(address.clone());
            self.on_external_address(address);
        }
    }

    pub(super) fn on_external_address(&mut self, address: Multiaddr) {
        // identify pushes new listeners by itself, but not new external addresses.
        let connected: Vec<_> = self.peers.iter().collect();
        self.swarm.behaviour_mut().identify.push(connected);
        self.follow_relaying();
        self.events.push_back(NetworkEvent::ExternalAddress { address });
    }

    pub(super) fn give_up_direct(&mut self, peer: &PeerId, failure: DirectFailure) {
        for operation in self.swarm.behaviour_mut().channel.give_up(peer) {
            self.fail_direct(operation, *peer, failure);
        }
    }

    pub(super) fn on_direct_received(&mut self, peer: PeerId, bytes: Vec<u8>) {
        self.peers.used(&peer, Instant::now());
        self.metrics.network.direct_received.inc();
        self.events.push_back(NetworkEvent::DirectReceived { peer, bytes });
    }

    pub(super) fn on_direct_sent(&mut self, peer: PeerId, operation: OperationId) {
        self.peers.used(&peer, Instant::now());
        self.metrics.network.direct_sent.inc();
        self.events.push_back(NetworkEvent::DirectSent { operation });
    }

    pub(super) fn fail_direct(&mut self, operation: OperationId, peer: PeerId, failure: DirectFailure) {
        self.metrics.network.direct_failed.inc();
        self.events.push_back(NetworkEvent::DirectFailed { operation, peer, failure });
    }
}
