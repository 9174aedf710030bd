//! At which relays a node reserves.
//!
//! Owns the relays that are known and connected, and how each has behaved. Invariant: their number is bounded, one
//! address of each is used, at most [`RELAYS`] are asked or reserved at, those that have failed least first, and one
//! that fails is not asked again before a time that doubles. Pure. Driven by [`super::Machine`].

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::Action;

/// With one, a node would be out of reach while another is sought.
pub(super) const RELAYS: usize = 2;
const MAX_KNOWN: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A relay that does not answer is as good as one that refuses.
const PATIENCE: Duration = Duration::from_secs(30);

/// A relay, and the address of its that a reservation is asked for at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserve {
    pub(crate) relay: PeerId,
    pub(crate) address: Multiaddr,
}

#[derive(Debug)]
struct Relay {
    address: Multiaddr,
    /// It is reserved at whatever else is known.
    is_configured: bool,
    failures: u32,
    state: State,
}

impl Relay {
    /// Whether it is asked or reserved at, and could be let go.
    fn is_taken(&self) -> bool {
        !self.is_configured && !matches!(self.state, State::Free { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free { from: Instant },
    Asked { until: Instant },
    Reserved,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Relays {
    most: usize,
    known: BTreeMap<PeerId, Relay>,
}

impl Relays {
    pub(super) fn new(most: usize) -> Self {
        Self { most, known: BTreeMap::new() }
    }

    pub(super) fn on_known(&mut self, relay: PeerId, address: Multiaddr, is_configured: bool, now: Instant) {
        if let Some(known) = self.known.get_mut(&relay) {
            known.address = address;
        } else if is_configured || self.known.len() < MAX_KNOWN {
            let state = State::Free { from: now };
            self.known.insert(relay, Relay { address, is_configured, failures: 0, state });
        }
    }

    pub(super) fn on_reserved(&mut self, relay: &PeerId) {
        if let Some(relay) = self.known.get_mut(relay) {
            relay.state = State::Reserved;
            relay.failures = 0;
        }
    }

    pub(super) fn on_ended(&mut self, relay: &PeerId, now: Instant) {
        if let Some(relay) = self.known.get_mut(relay) {
            let pause = FIRST_PAUSE.saturating_mul(1 << relay.failures.min(16)).min(LONGEST_PAUSE);
            relay.failures = relay.failures.saturating_add(1);
            relay.state = State::Free { from: now + pause };
        }
    }

    pub(super) fn on_gone(&mut self, relay: &PeerId) {
        self.known.remove(relay);
    }

    pub(super) fn reserved(&self) -> impl Iterator<Item = PeerId> {
        self.known.iter().filter(|(_, relay)| relay.state == State::Reserved).map(|(peer, _)| *peer)
    }

    pub(super) fn deadline(&self, is_wanted: bool) -> Option<Instant> {
        let has_room = self.has_room(is_wanted);
        self.known
            .values()
            .filter_map(|relay| match relay.state {
                State::Free { from } => (relay.is_configured || has_room).then_some(from),
                State::Asked { until } => Some(until),
                State::Reserved => None,
            })
            .min()
    }

    pub(super) fn next(&mut self, is_wanted: bool, now: Instant) -> Option<Action> {
        let silent = self.known.iter().find(|(_, relay)| matches!(relay.state, State::Asked { until } if until <= now));
        if let Some((peer, _)) = silent {
            let peer = *peer;
            self.on_ended(&peer, now);
            return Some(Action::Release(peer));
        }
        if !is_wanted && let Some((peer, relay)) = self.known.iter_mut().find(|(_, relay)| relay.is_taken()) {
            // N12: the node can be reached without it.
            relay.state = State::Free { from: now };
            return Some(Action::Release(*peer));
        }
        let has_room = self.has_room(is_wanted);
        let may_be_asked = |relay: &Relay| {
            (relay.is_configured || has_room) && matches!(relay.state, State::Free { from } if from <= now)
        };
        let free = self.known.iter_mut().filter(|(_, relay)| may_be_asked(relay));
        let (peer, relay) = free.min_by_key(|(_, relay)| (!relay.is_configured, relay.failures))?;
        relay.state = State::Asked { until: now + PATIENCE };
        Some(Action::Reserve(Reserve { relay: *peer, address: relay.address.clone() }))
    }

    /// Whether one that is not configured may be asked.
    fn has_room(&self, is_wanted: bool) -> bool {
        is_wanted && self.known.values().filter(|relay| !matches!(relay.state, State::Free { .. })).count() < self.most
    }
}
