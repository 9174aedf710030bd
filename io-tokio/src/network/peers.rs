//! The peers with a connection.
//!
//! Owns every connection to every connected peer, which of them is best, and when a direct message last went to or came
//! from whom. Invariant: the number of entries is that of the connections, which the connection limits bound. Pure.
//! Driven by [`super::Network`].

use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, swarm::ConnectionId};
use tokio::time::Instant;

use super::addresses::is_circuit;

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
        let connected = ConnectedPeer { connections: Vec::new(), last_used: now };
        let peer = self.peers.entry(peer).or_insert(connected);
        peer.connections.push(connection);
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
