//! The peers that the node stays connected to.
//!
//! Owns who they are, where they are and when to dial them next: bootstrap peers, and the co-signers of live sessions.
//! Invariant: a kept peer is connected, being dialled, or has a time at which it will be dialled. Pure: it is told the
//! time and what happened, and says whom to dial. Driven by [`super::Network`].

use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::backoff::Backoff;

/// At most this many peers are kept.
pub(crate) const MAX_KEPT: usize = 1024;
/// A connection that lived this long clears the count of failures. A peer that accepts and closes at once does not.
const PROVEN: Duration = Duration::from_secs(10);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct KeptPeers {
    peers: HashMap<PeerId, Kept>,
    backoff: Backoff,
    /// The earliest time in `peers`, kept up to date because it is asked for between any two events.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    addresses: Vec<Multiaddr>,
    failures: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Connected { since: Instant },
    Dialling,
    Waiting { until: Instant },
}

impl KeptPeers {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { peers: HashMap::new(), backoff, next: None }
    }

    /// Keeps a peer, or learns more addresses of it, of which the newest count. `false` when there are too many peers.
    pub(crate) fn keep(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, connected: bool, now: Instant) -> bool {
        if self.peers.len() >= MAX_KEPT && !self.peers.contains_key(&peer) {
            return false;
        }
        let state = if connected { State::Connected { since: now } } else { State::Waiting { until: now } };
        let kept = self.peers.entry(peer).or_insert(Kept { addresses: Vec::new(), failures: 0, state });
        for address in addresses {
            if kept.addresses.contains(&address) {
                continue;
            }
            if kept.addresses.len() >= super::MAX_ADDRESSES {
                // Never the first: that is where a bootstrap peer was said to be by who runs this node.
                kept.addresses.remove(1);
            }
            kept.addresses.push(address);
            // It has moved, and what failed at its old address says nothing about the new one.
            if let State::Waiting { until } = &mut kept.state {
                *until = now.min(*until);
            }
        }
        self.find_next();
        true
    }

    pub(crate) fn release(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.find_next();
    }

    /// Where a kept peer is said to be.
    pub(crate) fn addresses(&self, peer: &PeerId) -> &[Multiaddr] {
        self.peers.get(peer).map_or(&[], |kept| &kept.addresses)
    }

    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(crate) fn on_connected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(kept) = self.peers.get_mut(peer) {
            kept.state = State::Connected { since: now };
            self.find_next();
        }
    }

    pub(crate) fn on_disconnected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(kept) = self.peers.get_mut(peer) {
            if matches!(kept.state, State::Connected { since } if now.duration_since(since) >= PROVEN) {
                kept.failures = 0;
            }
            self.retry(peer, now);
        }
    }

    pub(crate) fn on_dial_failed(&mut self, peer: &PeerId, now: Instant) {
        if self.peers.get(peer).is_some_and(|kept| !matches!(kept.state, State::Connected { .. })) {
            self.retry(peer, now);
        }
    }

    fn retry(&mut self, peer: &PeerId, now: Instant) {
        if let Some(kept) = self.peers.get_mut(peer) {
            kept.failures = kept.failures.saturating_add(1);
            kept.state = State::Waiting { until: now + self.backoff.delay(kept.failures) };
            self.find_next();
        }
    }

    /// When [`due`](Self::due) has something to say next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whom to dial now, and where. They count as being dialled from here on.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (peer, kept) in &mut self.peers {
            if matches!(kept.state, State::Waiting { until } if until <= now) {
                kept.state = State::Dialling;
                due.push((*peer, kept.addresses.clone()));
            }
        }
        self.find_next();
        due
    }

    fn find_next(&mut self) {
        self.next = self
            .peers
            .values()
            .filter_map(|kept| match kept.state {
                State::Waiting { until } => Some(until),
                State::Connected { .. } | State::Dialling => None,
            })
            .min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_peers() -> (KeptPeers, PeerId, Instant) {
        let (peer, now) = (PeerId::random(), Instant::now());
        let mut kept = KeptPeers::new(Backoff::new(3));
        assert!(kept.keep(peer, vec!["/ip4/127.0.0.1/tcp/1".parse().expect("an address")], false, now));
        (kept, peer, now)
    }

    #[test]
    fn a_kept_peer_is_dialled_at_once_and_then_with_growing_delays() {
        let (mut kept, peer, mut now) = kept_peers();
        let mut last = Duration::ZERO;
        for attempt in 0..5 {
            let due = kept.due(now);
            assert_eq!((due.len(), due[0].0, due[0].1.len()), (1, peer, 1));
            assert!(kept.due(now).is_empty(), "it is being dialled");
            kept.on_dial_failed(&peer, now);
            let delay = kept.deadline().expect("a time to try again") - now;
            assert!(attempt == 0 || delay > last, "{attempt}: {delay:?} after {last:?}");
            last = delay;
            now += delay;
        }
    }

    #[test]
    fn a_peer_that_has_moved_is_dialled_at_once() {
        let (mut kept, peer, now) = kept_peers();
        let address = |port: usize| format!("/ip4/127.0.0.1/tcp/{port}").parse::<Multiaddr>().expect("an address");
        for port in 1..2 * crate::network::MAX_ADDRESSES {
            let due = kept.due(now);
            assert_eq!(due[0].1.last(), Some(&address(port)));
            assert!(due[0].1.len() <= crate::network::MAX_ADDRESSES && due[0].1[0] == address(1));
            kept.on_dial_failed(&peer, now);
            assert!(kept.keep(peer, vec![address(port)], false, now) && kept.due(now).is_empty(), "no news");
            assert!(kept.keep(peer, vec![address(port + 1)], false, now));
        }
    }

    #[test]
    fn only_a_connection_that_lasted_clears_the_failures() {
        let (mut kept, peer, mut now) = kept_peers();
        for _ in 0..4 {
            kept.due(now);
            kept.on_connected(&peer, now);
            assert_eq!(kept.deadline(), None);
            kept.on_disconnected(&peer, now);
            now = kept.deadline().expect("a time to try again");
        }
        kept.due(now);
        kept.on_connected(&peer, now);
        now += PROVEN;
        kept.on_disconnected(&peer, now);
        assert!(kept.deadline().expect("a time to try again") - now < Duration::from_millis(1400));
    }

    #[test]
    fn a_failed_extra_dial_does_not_forget_the_connection() {
        let (mut kept, peer, now) = kept_peers();
        kept.on_connected(&peer, now);
        kept.on_dial_failed(&peer, now);
        assert_eq!(kept.deadline(), None);
    }

    #[test]
    fn released_peers_are_left_alone_and_their_number_is_bounded() {
        let (mut kept, peer, now) = kept_peers();
        kept.release(&peer);
        assert!(kept.due(now).is_empty() && !kept.contains(&peer));
        let accepted = (0..MAX_KEPT + 5).filter(|_| kept.keep(PeerId::random(), Vec::new(), true, now)).count();
        assert_eq!(accepted, MAX_KEPT);
    }
}
