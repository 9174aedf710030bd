//! The peers with a connection.
//!
//! Owns every connection to every connected peer, which of them is best, and when a direct message last went to or came
//! from whom. Invariant: the number of entries is that of the connections, which the connection limits bound. Pure.
//! Driven by [`super::Network`].

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, time::Duration};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, swarm::ConnectionId};
use tokio::time::Instant;

use super::addresses::{Origin, host, is_circuit};

/// Whoever was of no use for as long makes room for a newcomer.
const USELESS_AFTER: Duration = Duration::from_secs(60);
/// Fewer from one place are no crowd.
const CROWD: usize = 4;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct ConnectedPeers {
    peers: HashMap<PeerId, ConnectedPeer>,
}

#[derive(Debug)]
struct ConnectedPeer {
    /// The oldest first.
    connections: Vec<Connection>,
    last_used: Instant,
    /// Its connections are being closed: it has its place no more.
    is_leaving: bool,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// The other end.
    pub(crate) address: Multiaddr,
    /// Through a relay.
    pub(crate) is_relayed: bool,
    /// This node has made it.
    pub(crate) is_outbound: bool,
    round_trip: Option<Duration>,
    /// Pings that were not answered, one after the other.
    missed: u8,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, endpoint: &ConnectedPoint) -> Self {
        let address = match endpoint {
            ConnectedPoint::Dialer { address, .. } => address,
            // What the peer is seen at through a relay is no address; the relay's is.
            ConnectedPoint::Listener { local_addr, send_back_addr } => {
                if is_circuit(local_addr) {
                    local_addr
                } else {
                    send_back_addr
                }
            }
        };
        let (is_relayed, is_outbound) = (endpoint.is_relayed(), endpoint.is_dialer());
        Self { id, address: address.clone(), is_relayed, is_outbound, round_trip: None, missed: 0 }
    }
}

/// A connected peer, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectedTo {
    /// The peer.
    pub peer: PeerId,
    /// The other end of the best connection, or the relay's.
    pub address: Multiaddr,
    /// Whether that is a circuit through a relay.
    pub is_relayed: bool,
    /// Whether this node has made it.
    pub is_outbound: bool,
    /// The last round trip.
    pub round_trip: Option<Duration>,
}

impl ConnectedPeers {
    /// Whether it is the first one to this peer.
    pub(crate) fn connected(&mut self, peer: PeerId, connection: Connection, now: Instant) -> bool {
        let connected = ConnectedPeer { connections: Vec::new(), last_used: now, is_leaving: false };
        let peer = self.peers.entry(peer).or_insert(connected);
        peer.connections.push(connection);
        // Whoever comes back while it is being disconnected stays.
        peer.is_leaving = false;
        peer.connections.len() == 1
    }

    /// Whether it was the last one to this peer.
    pub(crate) fn disconnected(&mut self, peer: &PeerId, connection: ConnectionId) -> bool {
        let Some(connected) = self.peers.get_mut(peer) else { return false };
        connected.connections.retain(|one| one.id != connection);
        let is_last = connected.connections.is_empty();
        if is_last {
            self.peers.remove(peer);
        }
        is_last
    }

    /// Its connections are being closed.
    pub(crate) fn leaves(&mut self, peer: &PeerId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.is_leaving = true;
        }
    }

    /// How many connections there are, and how many of them others have made.
    pub(crate) fn places(&self) -> (usize, usize) {
        let staying = self.peers.values().filter(|peer| !peer.is_leaving);
        staying.fold((0, 0), |(all, inbound), peer| {
            let came = peer.connections.iter().filter(|one| !one.is_outbound).count();
            (all + peer.connections.len(), inbound + came)
        })
    }

    /// Who has come in and makes room for a newcomer: one of a crowd, which is whoever comes from the subnet or host
    /// that most come from, if that is at least twice as many as from where the newcomer is; else whoever was of no use
    /// for the longest time. `None` when everybody has a better right to stay than the newcomer.
    pub(crate) fn gives_way(
        &self,
        newcomer: &PeerId,
        now: Instant,
        is_needed: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerId> {
        let came = |peer: &ConnectedPeer| {
            peer.connections.iter().filter(|one| !one.is_outbound).map(|one| host(&one.address)).collect::<Vec<_>>()
        };
        let staying = self.peers.iter().filter(|(_, peer)| !peer.is_leaving);
        let inbound: Vec<_> = staying.map(|(id, peer)| (id, peer.last_used, came(peer))).collect();
        let origins = Origin::count(inbound.iter().flat_map(|(.., hosts)| hosts.iter().copied()));
        let crowd = |hosts: &[Option<IpAddr>]| hosts.iter().map(|host| origins.of(*host)).max();
        let own =
            inbound.iter().find(|(id, ..)| *id == newcomer).and_then(|(.., hosts)| crowd(hosts)).unwrap_or_default();
        let others = inbound.iter().filter(|(id, _, hosts)| *id != newcomer && !hosts.is_empty() && !is_needed(id));
        let (largest, _, of_crowd) = others
            .clone()
            .map(|(id, last_used, hosts)| (crowd(hosts).unwrap_or_default(), Reverse(*last_used), **id))
            .max()?;
        let is_crowd = |theirs: usize, own: usize| theirs >= CROWD && theirs >= 2 * own;
        if is_crowd(largest.0, own.0) || is_crowd(largest.1, own.1) {
            return Some(of_crowd);
        }
        let (last_used, useless) = others.map(|(id, last_used, _)| (*last_used, **id)).min()?;
        (now.duration_since(last_used) >= USELESS_AFTER).then_some(useless)
    }

    pub(crate) fn used(&mut self, peer: &PeerId, now: Instant) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.last_used = now;
        }
    }

    pub(crate) fn on_round_trip(&mut self, peer: &PeerId, connection: ConnectionId, round_trip: Duration) {
        if let Some(connection) = self.connection(peer, connection) {
            connection.missed = 0;
            connection.round_trip = Some(round_trip);
        }
    }

    /// How many pings over this connection have not been answered, one after the other.
    pub(crate) fn on_missed(&mut self, peer: &PeerId, connection: ConnectionId) -> u8 {
        self.connection(peer, connection).map_or(0, |connection| {
            connection.missed = connection.missed.saturating_add(1);
            connection.missed
        })
    }

    fn connection(&mut self, peer: &PeerId, connection: ConnectionId) -> Option<&mut Connection> {
        self.peers.get_mut(peer)?.connections.iter_mut().find(|one| one.id == connection)
    }

    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = PeerId> {
        self.peers.keys().copied()
    }

    /// The best connection to a peer: a direct one rather than a circuit, and the newest of these.
    pub(crate) fn best(&self, peer: &PeerId) -> Option<&Connection> {
        self.peers.get(peer)?.best()
    }

    /// All connections to a peer.
    pub(crate) fn connections(&self, peer: &PeerId) -> &[Connection] {
        self.peers.get(peer).map_or(&[], |connected| &connected.connections)
    }

    /// All connections that are no circuits.
    pub(crate) fn direct(&self) -> impl Iterator<Item = &Connection> {
        self.peers.values().flat_map(|peer| &peer.connections).filter(|one| !one.is_relayed)
    }

    /// The addresses of all circuits, each of which names its relay.
    pub(crate) fn relayed(&self) -> impl Iterator<Item = &Multiaddr> {
        let circuits = self.peers.values().flat_map(|peer| &peer.connections).filter(|one| one.is_relayed);
        circuits.map(|one| &one.address)
    }

    /// What is of no use beside the best connection to a peer, if that is direct: circuits, and where this end is the
    /// one that decides, the other direct ones.
    pub(crate) fn spare(&self, peer: &PeerId, decides: bool) -> Vec<ConnectionId> {
        let Some(best) = self.best(peer).filter(|best| !best.is_relayed) else { return Vec::new() };
        let others = self.connections(peer).iter().filter(|one| one.id != best.id);
        others.filter(|one| one.is_relayed || decides).map(|one| one.id).collect()
    }

    /// Every peer with its best connection.
    pub(crate) fn list(&self) -> impl Iterator<Item = ConnectedTo> {
        self.peers.iter().filter_map(|(peer, connected)| {
            let best = connected.best()?;
            Some(ConnectedTo {
                peer: *peer,
                address: best.address.clone(),
                is_relayed: best.is_relayed,
                is_outbound: best.is_outbound,
                round_trip: best.round_trip,
            })
        })
    }

    /// Spare peers that were not used for `timeout`, longest unused first, as many as leave `minimum` connected.
    pub(crate) fn idle(
        &self,
        timeout: Duration,
        minimum: usize,
        now: Instant,
        spare: impl Fn(&PeerId) -> bool,
    ) -> Vec<PeerId> {
        let mut idle: Vec<_> = self
            .peers
            .iter()
            .map(|(peer, connected)| (connected.last_used, *peer))
            .filter(|(last_used, peer)| now.duration_since(*last_used) >= timeout && spare(peer))
            .collect();
        idle.sort_unstable();
        idle.truncate(self.len().saturating_sub(minimum));
        idle.into_iter().map(|(_, peer)| peer).collect()
    }
}

impl ConnectedPeer {
    fn best(&self) -> Option<&Connection> {
        self.connections.iter().enumerate().max_by_key(|(at, one)| (!one.is_relayed, *at)).map(|(_, one)| one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: usize, is_relayed: bool) -> Connection {
        let id = ConnectionId::new_unchecked(number);
        Connection { id, address: Multiaddr::empty(), is_relayed, is_outbound: true, round_trip: None, missed: 0 }
    }

    #[test]
    fn the_longest_unused_go_first_and_the_minimum_stays() {
        let start = Instant::now();
        let mut peers = ConnectedPeers::default();
        let ids: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
        for (number, peer) in ids.iter().enumerate() {
            peers.connected(*peer, connection(number, false), start + Duration::from_secs(number as u64));
        }
        peers.used(&ids[0], start + Duration::from_secs(60));
        let now = start + Duration::from_secs(62);
        let minute = Duration::from_secs(60);
        assert_eq!(peers.idle(minute, 0, now, |_| true), ids[1..3]);
        assert_eq!(peers.idle(minute, 4, now, |_| true), ids[1..2]);
        assert_eq!(peers.idle(minute, 0, now, |peer| *peer != ids[1]), ids[2..3]);
        assert_eq!(peers.idle(minute, 9, now, |_| true), []);
    }

    #[test]
    fn a_crowd_makes_room_at_once_and_the_useless_after_a_minute() {
        let (mut peers, start) = (ConnectedPeers::default(), Instant::now());
        let mut came = |from: &str, at: u64| {
            let peer = PeerId::random();
            let connection = Connection {
                address: format!("/ip4/{from}/tcp/1").parse().expect("an address"),
                is_outbound: false,
                ..connection(at as usize, false)
            };
            peers.connected(peer, connection, start + Duration::from_secs(at));
            peer
        };
        let honest: Vec<_> = (0..6).map(|at| came(&format!("9.9.{at}.9"), at)).collect();
        let crowd: Vec<_> = (6..12).map(|at| came("5.5.5.5", at)).collect();
        let newcomer = came("8.8.8.8", 12);
        let now = start + Duration::from_secs(12);
        assert_eq!(peers.places(), (13, 13));
        let all = |_: &PeerId| false;
        assert_eq!(peers.gives_way(&newcomer, now, all), Some(crowd[0]), "the longest unused of the crowd");
        peers.used(&crowd[0], now);
        assert_eq!(peers.gives_way(&newcomer, now, all), Some(crowd[1]));
        peers.leaves(&crowd[1]);
        assert_eq!((peers.gives_way(&newcomer, now, all), peers.places()), (Some(crowd[2]), (12, 12)));
        assert_eq!(peers.gives_way(&crowd[5], now, all), None, "one of the crowd has no better right");
        crowd[..4].iter().for_each(|peer| peers.leaves(peer));
        assert_eq!(peers.gives_way(&newcomer, now, all), None, "two are no crowd, and all are young");
        let later = start + USELESS_AFTER;
        assert_eq!(peers.gives_way(&newcomer, later, all), Some(honest[0]));
        assert_eq!(peers.gives_way(&newcomer, later, |peer| *peer == honest[0]), None, "it is needed");
    }

    #[test]
    fn the_best_connection_is_direct_and_new_and_makes_circuits_spare() {
        let (mut peers, peer, now) = (ConnectedPeers::default(), PeerId::random(), Instant::now());
        let best = |peers: &ConnectedPeers| peers.best(&peer).map(|best| best.id);
        assert!(peers.connected(peer, connection(1, true), now));
        assert!(peers.spare(&peer, true).is_empty());
        assert!(!peers.connected(peer, connection(2, false), now));
        assert!(!peers.connected(peer, connection(3, true), now));
        assert_eq!(best(&peers), Some(ConnectionId::new_unchecked(2)));
        let second = ConnectionId::new_unchecked(2);
        assert_eq!((peers.on_missed(&peer, second), peers.on_missed(&peer, second)), (1, 2));
        peers.on_round_trip(&peer, second, Duration::from_millis(5));
        assert_eq!(peers.on_missed(&peer, second), 1, "one after the other");
        assert_eq!(peers.spare(&peer, false), [1, 3].map(ConnectionId::new_unchecked));
        assert!(!peers.connected(peer, connection(4, false), now));
        assert_eq!(peers.spare(&peer, false), [1, 3].map(ConnectionId::new_unchecked));
        assert_eq!(peers.spare(&peer, true), [1, 2, 3].map(ConnectionId::new_unchecked));
        assert!(!peers.disconnected(&peer, ConnectionId::new_unchecked(4)));
        assert!(!peers.disconnected(&peer, ConnectionId::new_unchecked(2)));
        assert_eq!(best(&peers), Some(ConnectionId::new_unchecked(3)));
        assert!(!peers.disconnected(&peer, ConnectionId::new_unchecked(1)));
        assert!(peers.disconnected(&peer, ConnectionId::new_unchecked(3)));
        assert_eq!((peers.len(), best(&peers)), (0, None));
    }
}
