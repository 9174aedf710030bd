//! The peers with a connection.
//!
//! Owns who is connected and when a direct message last went to or came from whom. Invariant: the number of entries is
//! the number of connected peers, which the connection limits bound. Pure. Driven by [`super::Network`].

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;
use tokio::time::Instant;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct ConnectedPeers {
    last_used: HashMap<PeerId, Instant>,
}

impl ConnectedPeers {
    pub(crate) fn connected(&mut self, peer: PeerId, now: Instant) {
        self.last_used.insert(peer, now);
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) {
        self.last_used.remove(peer);
    }

    pub(crate) fn used(&mut self, peer: &PeerId, now: Instant) {
        if let Some(last_used) = self.last_used.get_mut(peer) {
            *last_used = now;
        }
    }

    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.last_used.contains_key(peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.last_used.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = PeerId> {
        self.last_used.keys().copied()
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
            .last_used
            .iter()
            .filter(|(peer, last_used)| now.duration_since(**last_used) >= timeout && spare(peer))
            .map(|(peer, last_used)| (*last_used, *peer))
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
            peers.connected(*peer, start + Duration::from_secs(seconds));
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
