//! When to look for more peers.
//!
//! Owns the rhythm of the routing table's refresh and of filling up connections. Invariant: a young node looks around
//! again shortly after it has learned of as many peers as it knew before, so that a small network is complete within a
//! fraction of a second and a crowd that arrives one by one costs a few looks; an old one does so every few minutes.
//! Pure: it is told the time and what happened. Driven by [`super::Network`].

use std::time::Duration;

use tokio::time::Instant;

/// After a new peer, wait this long for others that come with it.
const SETTLE: Duration = Duration::from_millis(10);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(300);
/// As many times longer is the time to the next refresh when one has found nobody new.
const WITHOUT_NEWS: u32 = 4;
/// With this many peers in the routing table, a new one is no news.
const POPULATED: usize = 20;
const FILL_INTERVAL: Duration = Duration::from_secs(5);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Discovery {
    refresh_at: Instant,
    interval: Duration,
    refreshing: bool,
    /// Whether a peer was new since the last refresh began.
    has_news: bool,
    /// How many peers the routing table had when it was last followed up, or has had since, whichever is less.
    seen: usize,
    fill_at: Instant,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Refresh the routing table, then call [`Discovery::on_refresh_started`] if that was possible.
    Refresh,
    /// Connect to known peers if there are too few connections.
    Fill,
}

impl Discovery {
    pub(crate) fn new(now: Instant) -> Self {
        let refresh_at = now + SHORTEST;
        Self {
            refresh_at,
            interval: SHORTEST,
            refreshing: false,
            has_news: true,
            seen: 0,
            fill_at: now + FILL_INTERVAL,
        }
    }

    /// A peer entered the routing table, which now holds `peers`.
    pub(crate) fn on_new_peer(&mut self, peers: usize, now: Instant) {
        self.has_news = true;
        self.seen = self.seen.min(peers.saturating_sub(1));
        if peers <= POPULATED && peers >= 2 * self.seen {
            self.seen = peers;
            self.interval = SHORTEST;
            self.refresh_at = self.refresh_at.min(now + SETTLE);
        }
    }

    /// A connection ended, or more could be made than there were.
    pub(crate) fn fill_soon(&mut self, now: Instant) {
        self.fill_at = self.fill_at.min(now + Duration::from_secs(1));
    }

    pub(crate) fn on_refresh_started(&mut self) {
        self.refreshing = true;
        self.has_news = false;
    }

    /// One that has found nobody new is followed by the next much later: it asks some twenty peers for each of several
    /// keys, and in a network of thirty nodes that costs more than signing does.
    pub(crate) fn on_refresh_finished(&mut self, now: Instant) {
        self.refreshing = false;
        if !self.has_news {
            self.interval = (self.interval * WITHOUT_NEWS).min(LONGEST);
            self.refresh_at = self.refresh_at.max(now + self.interval);
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        if self.refreshing { self.fill_at } else { self.fill_at.min(self.refresh_at) }
    }

    /// The next thing to do, until there is none.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        if !self.refreshing && self.refresh_at <= now {
            self.refresh_at = now + self.interval;
            self.interval = (self.interval * 2).min(LONGEST);
            return Some(Due::Refresh);
        }
        if self.fill_at <= now {
            self.fill_at = now + FILL_INTERVAL;
            return Some(Due::Fill);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets every refresh end at once until `until`, and returns when they were.
    fn refreshes(discovery: &mut Discovery, until: Instant) -> Vec<Instant> {
        let mut times = Vec::new();
        while discovery.deadline() <= until {
            let now = discovery.deadline();
            while let Some(due) = discovery.due(now) {
                if due == Due::Refresh {
                    times.push(now);
                }
            }
        }
        times
    }

    #[test]
    fn refreshes_grow_rare() {
        let start = Instant::now();
        let mut discovery = Discovery::new(start);
        let first = refreshes(&mut discovery, start + Duration::from_secs(1)).len();
        assert!((3..=5).contains(&first), "{first}");
        let hour = refreshes(&mut discovery, start + Duration::from_secs(3600)).len();
        assert!((12..=25).contains(&hour), "{hour}");
    }

    #[test]
    fn a_new_peer_in_a_small_table_is_followed_up_at_once() {
        let start = Instant::now();
        let mut discovery = Discovery::new(start);
        let later = start + Duration::from_secs(3000);
        refreshes(&mut discovery, later);
        discovery.on_new_peer(1, later);
        assert_eq!(refreshes(&mut discovery, later + SETTLE), [later + SETTLE]);
        discovery.on_new_peer(POPULATED + 1, later + SETTLE);
        assert_eq!(refreshes(&mut discovery, later + SETTLE + SHORTEST / 2), []);
    }

    #[test]
    fn one_refresh_at_a_time() {
        let start = Instant::now();
        let mut discovery = Discovery::new(start);
        let now = start + SHORTEST;
        assert_eq!(discovery.due(now), Some(Due::Refresh));
        discovery.on_refresh_started();
        discovery.on_new_peer(1, now);
        assert_eq!(discovery.due(now + SETTLE), None);
        discovery.on_refresh_finished(now);
        assert_eq!(discovery.due(now + SETTLE), Some(Due::Refresh));
    }

    #[test]
    fn a_network_that_is_known_is_looked_at_seldom() {
        let start = Instant::now();
        let mut discovery = Discovery::new(start);
        let (mut now, mut looks) = (start, 0);
        while now < start + Duration::from_secs(30) {
            now = discovery.deadline();
            if discovery.due(now) == Some(Due::Refresh) {
                looks += 1;
                discovery.on_refresh_started();
                if looks == 1 {
                    discovery.on_new_peer(POPULATED + 9, now);
                }
                discovery.on_refresh_finished(now);
            }
        }
        assert!((3..=4).contains(&looks), "{looks}");
    }

    #[test]
    fn a_lost_connection_is_replaced_within_a_second() {
        let start = Instant::now();
        let mut discovery = Discovery::new(start);
        discovery.on_refresh_started();
        discovery.fill_soon(start);
        assert_eq!(discovery.deadline(), start + Duration::from_secs(1));
        assert_eq!(discovery.due(start + Duration::from_secs(1)), Some(Due::Fill));
    }
}
