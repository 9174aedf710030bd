//! How the node comes to be reached.
//!
//! Owns what libp2p reports about that, and does what [`Machine`] decides: reservations at relays, and the way from a
//! circuit to a direct connection. Invariant: a relay is reserved at by one listener at a time and at one address, and
//! beside a direct connection no other one stays for longer than [`SPARE_STAYS`], unless circuits may go through it.
//! Driven by [`super::Network`].

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, autonat,
    core::transport::ListenerId,
    dcutr, identify,
    multiaddr::Protocol,
    relay,
    swarm::dial_opts::{DialOpts, PeerCondition},
    upnp,
};
use tokio::time::Instant;

use super::{
    MAX_ADDRESSES, Network,
    addresses::{host, is_circuit, split_peer},
    event::NetworkEvent,
    gateway::{self, Gateway},
    peers::Connection,
};
use crate::reachability::{Action, Machine, Reached, Reserve};

/// As long as what is on its way over another connection may take, after a direct one has been made.
const SPARE_STAYS: Duration = Duration::from_secs(2);
/// The hosts that this node has called lately; what comes from there is no stranger.
const MAX_CALLED: usize = 1024;

/// What the network remembers for this.
pub(super) struct Reach {
    machine: Machine,
    reservations: HashMap<ListenerId, PeerId>,
    /// Relays from the configuration, which the node stays connected to and reserves at whatever else is known.
    configured: HashMap<PeerId, Multiaddr>,
    called: VecDeque<IpAddr>,
    /// When to close what is spare of the connections to these peers.
    spare: VecDeque<(Instant, PeerId)>,
    /// Where circuits to these were tried to be made direct by a plain dial.
    dialled: HashMap<PeerId, Vec<Multiaddr>>,
}

impl Reach {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            reservations: HashMap::new(),
            configured: HashMap::new(),
            called: VecDeque::new(),
            spare: VecDeque::new(),
            dialled: HashMap::new(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let spare = self.spare.front().map(|(at, _)| *at);
        self.machine.deadline().into_iter().chain(spare).min()
    }

    /// Whether the node is reached through this relay, or has asked it for that.
    pub(super) fn holds(&self, peer: &PeerId) -> bool {
        self.reservations.values().any(|relay| relay == peer)
    }

    pub(super) fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    fn call(&mut self, address: &Multiaddr) {
        if let Some(host) = host(address)
            && !self.called.contains(&host)
        {
            if self.called.len() == MAX_CALLED {
                self.called.pop_front();
            }
            self.called.push_back(host);
        }
    }
}

impl Network {
    /// Whether others can reach this node, and why.
    pub fn reachability(&self) -> Reached {
        self.reach.machine.reached()
    }

    /// Takes a relay's address from the configuration, `…/p2p/<relay>/p2p-circuit`: the node stays connected to the
    /// relay, and reserves there whenever it is connected. libp2p's own way, to listen on the circuit, ends for good
    /// when the relay cannot be reached at once, or restarts.
    pub(super) fn reserve_always(&mut self, circuit: &Multiaddr) -> bool {
        let until_circuit = circuit.iter().take_while(|part| *part != Protocol::P2pCircuit).collect();
        let Some((relay, address)) = split_peer(&until_circuit) else { return false };
        self.keep(relay, vec![address.clone()]);
        self.reach.configured.insert(relay, address);
        true
    }

    /// Does what time asks for.
    pub(super) fn run_reach(&mut self, now: Instant) {
        while let Some(action) = self.reach.machine.next(now) {
            match action {
                Action::Reserve(reserve) => self.reserve(reserve, now),
                Action::Release(relay) => self.let_go(&relay),
                Action::Tell(reached) => {
                    tracing::info!(%reached, "reachability");
                    self.events.push_back(NetworkEvent::Reachability { reached });
                    self.follow_reachability();
                }
            }
        }
        while self.reach.spare.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, peer)) = self.reach.spare.pop_front()
        {
            if self.carries(&peer) {
                continue;
            }
            // Both ends close circuits, which have one meaning for both; of several direct connections one end chooses.
            let decides = self.local_peer() > peer;
            for spare in self.peers.spare(&peer, decides) {
                self.swarm.close_connection(spare);
            }
        }
    }

    fn reserve(&mut self, Reserve { relay, address }: Reserve, now: Instant) {
        let circuit = address.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
        match self.swarm.listen_on(circuit) {
            Ok(listener) => drop(self.reach.reservations.insert(listener, relay)),
            Err(error) => {
                tracing::debug!(%relay, %error, "no reservation");
                self.reach.machine.on_reservation_ended(&relay, now);
            }
        }
    }

    fn let_go(&mut self, relay: &PeerId) {
        let listeners = self.reach.reservations.iter().filter(|(_, of)| *of == relay).map(|(listener, _)| *listener);
        for listener in listeners.collect::<Vec<_>>() {
            self.reach.reservations.remove(&listener);
            self.swarm.remove_listener(listener);
        }
    }

    /// Whether this listener is a reservation; its address is told when the relay has accepted.
    pub(super) fn is_reservation(&self, listener: &ListenerId) -> bool {
        self.reach.reservations.contains_key(listener)
    }

    pub(super) fn on_reservation_closed(&mut self, listener: ListenerId) {
        if let Some(relay) = self.reach.reservations.remove(&listener) {
            self.reach.machine.on_reservation_ended(&relay, Instant::now());
        }
    }

    pub(super) fn on_relay_client(&mut self, event: &relay::client::Event) {
        tracing::debug!(?event, "relay");
        if let relay::client::Event::ReservationReqAccepted { relay_peer_id, .. } = event {
            self.reach.machine.on_reserved(relay_peer_id);
        }
    }

    pub(super) fn on_own_address(&mut self, address: &Multiaddr, is_announced: bool) {
        if is_announced {
            self.reach.machine.on_announced(address.clone());
        } else {
            self.reach.machine.on_own_address(address.clone());
            if matches!(host(address), Some(IpAddr::V6(_))) {
                // It is told to others already, so that libp2p would not try whether they get through.
                self.swarm.behaviour_mut().autonat.test(address);
            }
        }
    }

    pub(super) fn on_address_gone(&mut self, address: &Multiaddr) {
        self.reach.machine.on_address_gone(address);
    }

    pub(super) fn on_autonat(&mut self, event: &autonat::v2::client::Event) {
        tracing::debug!(?event, "a dial back");
        if event.result.is_ok() {
            self.reach.machine.on_confirmed(event.tested_addr.clone());
        }
    }

    pub(super) fn on_upnp(&mut self, event: upnp::Event) {
        tracing::debug!(?event, "gateway");
        match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => {
                // libp2p takes the gateway's word. Here a dial back decides.
                self.swarm.behaviour_mut().autonat.test(&external_addr);
                self.reach.machine.on_mapped(external_addr);
            }
            upnp::Event::ExpiredExternalAddr { external_addr, .. } => {
                self.reach.machine.on_address_gone(&external_addr);
            }
            upnp::Event::GatewayNotFound => {
                let listeners = self.swarm.listeners().cloned().collect::<Vec<_>>();
                self.gateway.get_or_insert_with(|| Gateway::start(listeners.into_iter()));
            }
            upnp::Event::NonRoutableGateway => self.reach.machine.on_no_gateway(),
        }
    }

    /// The same from a gateway that speaks PCP or NAT-PMP.
    pub(super) fn on_gateway(&mut self, event: gateway::Event) {
        tracing::debug!(?event, "gateway");
        match event {
            gateway::Event::Mapped(address) => {
                self.swarm.behaviour_mut().autonat.test(&address);
                self.reach.machine.on_mapped(address);
            }
            gateway::Event::Gone(address) => {
                self.swarm.remove_external_address(&address);
                self.reach.machine.on_address_gone(&address);
                self.events.push_back(NetworkEvent::ExternalAddressExpired { address });
            }
            gateway::Event::NoGateway => self.reach.machine.on_no_gateway(),
        }
    }

    /// A connection was made, the first one to this peer or another.
    pub(super) fn on_connection(&mut self, peer: PeerId, connection: &Connection, is_first: bool, now: Instant) {
        self.survey(now);
        self.reach.machine.on_connections(self.peers.len(), now);
        if connection.is_relayed {
            return;
        }
        if connection.is_outbound {
            self.reach.call(&connection.address);
        } else if is_first && host(&connection.address).is_some_and(|host| !self.reach.called.contains(&host)) {
            self.reach.machine.on_stranger();
        }
        if !is_first {
            self.reach.spare.push_back((now + SPARE_STAYS, peer));
        }
    }

    /// A connection has ended, the last one to this peer or another.
    pub(super) fn on_connection_ended(&mut self, peer: &PeerId, was_last: bool, now: Instant) {
        self.survey(now);
        self.reach.machine.on_connections(self.peers.len(), now);
        if was_last {
            self.reach.machine.on_relay_gone(peer);
        }
        if self.peers.best(peer).is_none_or(|best| !best.is_relayed) {
            self.reach.dialled.remove(peer);
        }
    }

    /// What was called without success is no stranger either.
    pub(super) fn on_called(&mut self, address: &Multiaddr) {
        self.reach.call(address);
    }

    /// A peer has said what it is: a relay, somebody who sees this node, somebody who could be reached directly.
    pub(super) fn on_reach_identified(&mut self, peer: PeerId, info: &identify::Info, addresses: &[Multiaddr]) {
        let Some(best) = self.peers.best(&peer).cloned() else { return };
        if self.kept.contains(&peer)
            && !best.is_relayed
            && let Some(punching) = self.swarm.behaviour_mut().punching.as_mut()
        {
            punching.offer(&info.observed_addr);
        }
        if info.protocols.contains(&relay::HOP_PROTOCOL_NAME) && !best.is_relayed {
            let configured = self.reach.configured.get(&peer).cloned();
            let is_configured = configured.is_some();
            // Where this node has reached it; else where it says that others can.
            let reached = best.is_outbound.then_some(best.address.clone()).map(without_peer);
            let known = addresses.iter().find(|address| !is_circuit(address)).cloned();
            let address = configured.or(reached.filter(|address| self.filter.admits(address))).or(known);
            if let Some(address) = address {
                self.reach.machine.on_relay(peer, address, is_configured, Instant::now());
            }
        }
        if best.is_relayed {
            // It may learn itself after a while where it can be reached.
            let dialled = self.reach.dialled.entry(peer).or_default();
            let is_new = |address: &&Multiaddr| !is_circuit(address) && !dialled.contains(address);
            let new: Vec<_> = addresses.iter().filter(is_new).cloned().collect();
            let new: Vec<_> = new.into_iter().take(MAX_ADDRESSES.saturating_sub(dialled.len())).collect();
            dialled.extend(new.iter().cloned());
            self.dial_past_relay(peer, new);
        }
    }

    /// A plain dial to who can be reached as it is, which hole punching does not make.
    fn dial_past_relay(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if addresses.is_empty() {
            return;
        }
        let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always);
        if let Err(error) = self.swarm.dial(options.allocate_new_port().build()) {
            tracing::debug!(%peer, %error, "not dialled past the relay");
        }
    }

    pub(super) fn on_punched(&mut self, event: &dcutr::Event) {
        if let Err(error) = &event.result {
            let (peer, reason) = (event.remote_peer_id, error.to_string());
            self.events.push_back(NetworkEvent::HolePunchFailed { peer, reason });
        }
    }
}

pub(super) fn without_peer(address: Multiaddr) -> Multiaddr {
    split_peer(&address).map_or(address, |(_, address)| address)
}
