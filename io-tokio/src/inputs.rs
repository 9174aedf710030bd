//! What the network reports, in the core's words.
//!
//! Owns the way from a [`NetworkEvent`] to an [`Input`]. Invariant: an event is told to the core, to the listeners, or
//! to both, and what cannot be told in the core's words is refused here. Driven by the runtime; `host` has the other
//! direction.

use libp2p::{Multiaddr, PeerId};
use nelumbo_core::{
    api::{Input, Refusal},
    wire::Harmless,
};

use crate::{
    event::NodeEvent,
    handle::HandleError,
    host::Libp2pHost,
    names,
    network::{NetworkEvent, PutId},
    reachability::Reached,
};

impl Libp2pHost {
    /// The next thing that the core should know. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Input {
        loop {
            let event = self.network.next().await;
            if let Some(input) = self.input(event) {
                return input;
            }
        }
    }

    /// What an event is to the core, if it is anything.
    pub(crate) fn input(&mut self, event: NetworkEvent) -> Option<Input> {
        match event {
            NetworkEvent::DirectReceived { peer, bytes } => {
                names::to_core(&peer).map(|from| Input::Received { from, bytes: bytes.into() })
            }
            NetworkEvent::Gossip { propagation_source, id, bytes, .. } => {
                let from = names::to_core(&propagation_source)?;
                Some(Input::Gossip { from, id, bytes: bytes.into() })
            }
            NetworkEvent::PeerConnected { peer, address } => {
                self.tried(peer, Ok(&address));
                self.emit(NodeEvent::PeerConnected { peer, address });
                names::to_core(&peer).map(Input::Connected)
            }
            NetworkEvent::PeerDisconnected { peer, reason } => {
                self.emit(NodeEvent::PeerDisconnected { peer, reason: harmless(&reason) });
                names::to_core(&peer).map(Input::Disconnected)
            }
            NetworkEvent::DhtRecord { operation, value, .. } => Some(Input::Found { operation, bytes: value.into() }),
            NetworkEvent::DhtFinished { operation, .. } => Some(Input::LookupFinished(operation)),
            NetworkEvent::RoutingTable { peers } => Some(Input::RoutingTable(peers)),
            NetworkEvent::InboundRecord { id, source, key, value } => self.put_requested(id, &source, key, value),
            other => self.reachability(other),
        }
    }

    /// Another node's record: the core accepts or rejects it, and sees the one that is stored already.
    fn put_requested(&mut self, id: PutId, source: &PeerId, key: Vec<u8>, value: Vec<u8>) -> Option<Input> {
        let stored = self.network.stored(&key).map(Into::into);
        match (names::to_core(source), String::from_utf8(key)) {
            (Some(from), Ok(key)) => {
                let subnet = self.network.subnet(source);
                Some(Input::PutRequested { from, subnet, id, key, bytes: value.into(), stored })
            }
            _ => {
                self.network.refuse_inbound(id, Refusal::RecordKey);
                None
            }
        }
    }

    /// Events about how the node and its peers can be reached, and hints that the core does not take.
    fn reachability(&mut self, event: NetworkEvent) -> Option<Input> {
        match event {
            NetworkEvent::Listening { address } => {
                let address = address.clone().with_p2p(self.network.local_peer()).unwrap_or(address);
                self.emit(NodeEvent::Listening { address });
                None
            }
            NetworkEvent::ListenerClosed { addresses, error } => {
                self.emit(NodeEvent::ListenerClosed { addresses, error: error.as_deref().map(harmless) });
                Some(self.addresses())
            }
            NetworkEvent::ExternalAddress { .. } | NetworkEvent::ExternalAddressExpired { .. } => {
                Some(self.addresses())
            }
            NetworkEvent::Reachability { reached: Reached { state, reason, relays } } => {
                self.emit(NodeEvent::ReachabilityChanged { state, reason, relays });
                None
            }
            NetworkEvent::PathChanged { peer, address, is_relayed } => {
                self.emit(NodeEvent::PeerPathChanged { peer, address, relayed: is_relayed });
                None
            }
            NetworkEvent::HolePunchFailed { peer, reason } => {
                self.emit(NodeEvent::HolePunchFailed { peer, reason: harmless(&reason) });
                None
            }
            NetworkEvent::Identified { peer, addresses, protocols, agent } => {
                let protocols = protocols.iter().map(|protocol| harmless(protocol)).collect();
                self.emit(NodeEvent::PeerUpdated { peer, addresses, protocols, agent: harmless(&agent) });
                None
            }
            NetworkEvent::DialFailed { peer, reason } => {
                let reason = harmless(&reason);
                self.tried(peer, Err(&reason));
                self.emit(NodeEvent::DialFailed { peer, reason });
                None
            }
            NetworkEvent::DirectFailed { peer, failure, .. } => {
                tracing::debug!(%peer, %failure, "a message may be lost");
                None
            }
            _ => None,
        }
    }

    /// Answers those who have asked for a connection to this peer.
    fn tried(&mut self, peer: PeerId, outcome: Result<&Multiaddr, &str>) {
        for (_, answer) in self.connecting.extract_if(.., |(wanted, _)| *wanted == peer) {
            let outcome = outcome.cloned().map_err(|reason| HandleError::NotConnected(reason.to_owned()));
            let _ = answer.send(outcome);
        }
    }

    fn addresses(&self) -> Input {
        let addresses: Vec<_> = self.network.external_addresses().cloned().collect();
        let input = Input::Addresses(names::addresses_to_core(&addresses));
        self.emit(NodeEvent::AddressesChanged { addresses });
        input
    }
}

/// Peers choose some texts, or parts of them.
fn harmless(text: &str) -> String {
    Harmless(text).to_string()
}
