//! What the node listens on.
//!
//! Owns its listeners, and when to open again those that have died. Invariant: an address from the configuration is
//! listened on, or has a time at which that is tried; the delay grows with each failure, and one that has lasted is no
//! failure. Pure: it is told the time and what happened. Driven by [`super::Network`].

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::{Multiaddr, core::transport::ListenerId};
use tokio::time::Instant;

use super::backoff::Backoff;

/// A listener that lived this long clears the count of failures.
const PROVEN: Duration = Duration::from_secs(10);
/// The first dials wait as long for the listeners, whose ports they leave from.
const BOUND_AFTER: Duration = Duration::from_millis(500);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Listeners {
    open: HashMap<ListenerId, Listener>,
    dead: Vec<(Instant, Dead)>,
    /// Those of the first listeners that have no address yet, and until when dials wait for them.
    unbound: HashSet<ListenerId>,
    unbound_until: Instant,
    backoff: Backoff,
}

#[derive(Debug)]
struct Listener {
    address: Multiaddr,
    failures: u32,
    since: Instant,
}

/// A listener that is to be opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) address: Multiaddr,
    failures: u32,
}

impl Listeners {
    pub(crate) fn new(backoff: Backoff, now: Instant) -> Self {
        Self {
            open: HashMap::new(),
            dead: Vec::new(),
            unbound: HashSet::new(),
            unbound_until: now + BOUND_AFTER,
            backoff,
        }
    }

    /// One of the first, from the configuration.
    pub(crate) fn on_first(&mut self, listener: ListenerId, address: Multiaddr, now: Instant) {
        self.unbound.insert(listener);
        self.on_opened(listener, Dead { address, failures: 0 }, now);
    }

    /// It listens, or is about to.
    pub(crate) fn on_opened(&mut self, listener: ListenerId, Dead { address, failures }: Dead, now: Instant) {
        self.open.insert(listener, Listener { address, failures, since: now });
    }

    /// It has an address.
    pub(crate) fn on_bound(&mut self, listener: &ListenerId) {
        self.unbound.remove(listener);
    }

    /// It is over. That of a reservation is none of these.
    pub(crate) fn on_closed(&mut self, listener: &ListenerId, now: Instant) {
        self.unbound.remove(listener);
        if let Some(Listener { address, failures, since }) = self.open.remove(listener) {
            let failures = if now.duration_since(since) >= PROVEN { 0 } else { failures };
            self.on_failed(Dead { address, failures }, now);
        }
    }

    /// It could not be opened.
    pub(crate) fn on_failed(&mut self, dead: Dead, now: Instant) {
        let failures = dead.failures.saturating_add(1);
        self.dead.push((now + self.backoff.delay(failures), Dead { failures, ..dead }));
    }

    /// When the first dials may leave, if not yet: what leaves from a port that passes is seen at a port that does.
    pub(crate) fn may_dial_from(&self) -> Option<Instant> {
        (!self.unbound.is_empty()).then_some(self.unbound_until)
    }

    /// When [`due`](Self::due) has something to say next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.dead.iter().map(|(at, _)| *at).min()
    }

    /// What to open now. It counts as open from here on, or has failed.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Dead> {
        let at = self.dead.iter().position(|(at, _)| *at <= now)?;
        Some(self.dead.swap_remove(at).1)
    }

    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<ListenerId> {
        self.open.keys().next().copied()
    }

    /// All that are open.
    pub(crate) fn take(&mut self) -> Vec<ListenerId> {
        self.open.drain().map(|(listener, _)| listener).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dies_is_opened_again_after_growing_delays() {
        let mut now = Instant::now();
        let mut listeners = Listeners::new(Backoff::new(1), now);
        let address: Multiaddr = "/memory/7".parse().expect("an address");
        let mut id = ListenerId::next();
        listeners.on_first(id, address.clone(), now);
        assert!(listeners.may_dial_from().is_some());
        listeners.on_bound(&id);
        assert_eq!((listeners.may_dial_from(), listeners.deadline()), (None, None));
        let mut last = Duration::ZERO;
        for attempt in 0..5 {
            listeners.on_closed(&id, now);
            let delay = listeners.deadline().expect("a time to try again") - now;
            assert!(delay > last, "{attempt}: {delay:?} after {last:?}");
            assert_eq!(listeners.due(now), None);
            now += delay;
            let dead = listeners.due(now).expect("it is time");
            assert_eq!((&dead.address, listeners.due(now)), (&address, None));
            id = ListenerId::next();
            listeners.on_opened(id, dead, now);
            last = delay;
        }
        now += PROVEN;
        listeners.on_closed(&id, now);
        assert!(listeners.deadline().expect("a time to try again") - now < Duration::from_millis(1400));
        let relay = ListenerId::next();
        listeners.on_closed(&relay, now);
        assert!(listeners.due(now + PROVEN).is_some() && listeners.due(now + PROVEN).is_none(), "not one of these");
    }
}
