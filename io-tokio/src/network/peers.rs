//! The peers with a connection.
//!
//! Owns who is connected, from where, and when a direct message last went to or came from whom. Invariant: the number
//! of entries is the number of connected peers, which the connection limits bound. Pure. Driven by [`super::Network`].

use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct ConnectedPeers {
    peers: HashMap<PeerId, ConnectedPeer>,
}

#[derive(Debug)]
struct ConnectedPeer {
    /// The other end of the first connection.
    address: Multiaddr,
    last_used: Instant,
}

impl ConnectedPeers {
    pub(crate) fn connected(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        self.peers.insert(peer, ConnectedPeer { address, last_used: now });
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    pub(crate) fn used(&mut self, peer: &PeerId, now: Instant) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.last_used = now;
        }
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

    /// The other end of the first connection to a peer.
    pub(crate) fn address(&self, peer: &PeerId) -> Option<&Multiaddr> {
        self.peers.get(peer).map(|connected| &connected.address)
    }

    /// Every peer with the other end of its first connection.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (PeerId, &Multiaddr)> {
        self.peers.iter().map(|(peer, connected)| (*peer, &connected.address))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_go_first_and_the_minimum_stays() {
        let start = Instant::now();
        let mut peers = ConnectedPeers::default();
        let ids: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
        for (seconds, peer) in (0..).zip(&ids) {
            peers.connected(*peer, Multiaddr::empty(), start + Duration::from_secs(seconds));
        }
        peers.used(&ids[0], start + Duration::from_secs(60));
        let now = start + Duration::from_secs(62);
        let minute = Duration::from_secs(60);
        assert_eq!(peers.idle(minute, 0, now, |_| true), ids[1..3]);
        assert_eq!(peers.idle(minute, 4, now, |_| true), ids[1..2]);
        assert_eq!(peers.idle(minute, 0, now, |peer| *peer != ids[1]), ids[2..3]);
        assert_eq!(peers.idle(minute, 9, now, |_| true), []);
    }
}
