//! When a node announces everything again, because its routing table has grown.
//!
//! Whoever enters a small table is among the nearest to every name, so what this node announces belongs there too; in a
//! large one it takes many to change who is nearest to a name. Invariant: growth that matters is followed by an
//! announcement, and announcements follow each other after pauses that double, so that a crowd that arrives one by one,
//! and peers that come and go, cost a few. Driven by `Node`.

use core::time::Duration;

use crate::base::Mono;

/// As many peers hold a record, and a table with fewer knows nobody else (Kademlia's k).
const HOLDERS: usize = 20;
/// How long to let the table grow, when it has not grown lately.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(64);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(super) peers: usize,
    /// How many of them have been there since the last announcement, at least.
    pub(super) told: usize,
    pub(super) pause: Duration,
    /// Until when an announcement would be too soon.
    pub(super) quiet_until: Mono,
}

impl Default for Routes {
    fn default() -> Self {
        Self { peers: 0, told: 0, pause: SHORTEST, quiet_until: Mono::ZERO }
    }
}

impl Routes {
    /// Whether there is anybody.
    pub(crate) const fn any(&self) -> bool {
        self.peers > 0
    }

    /// The table has this many peers now. When to announce everything again, if that is to be done.
    pub(crate) fn on_table(&mut self, peers: usize, now: Mono) -> Option<Mono> {
        self.peers = peers;
        // Who has left has taken along what it held.
        self.told = self.told.min(peers);
        let matters = peers > self.told && (peers <= HOLDERS || peers >= self.told.saturating_mul(2));
        matters.then(|| now.after(SHORTEST).max(self.quiet_until))
    }

    /// Everything has been announced to those who are there now.
    pub(crate) fn on_announced(&mut self, now: Mono) {
        self.told = self.peers;
        let was_quiet = now.since(self.quiet_until) >= LONGEST;
        self.pause = if was_quiet { SHORTEST } else { self.pause.saturating_mul(2).min(LONGEST) };
        self.quiet_until = now.after(self.pause);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// When the table was announced to, in milliseconds, while it changed like this.
    fn announcements(changes: impl IntoIterator<Item = (u64, usize)>) -> Vec<u64> {
        let (mut routes, mut due, mut times) = (Routes::default(), None::<Mono>, Vec::new());
        for (millis, peers) in changes.into_iter().chain([(u64::MAX / 2_000_000, 0)]) {
            let now = Mono::from_nanos(millis * 1_000_000);
            if let Some(at) = due.filter(|at| *at <= now) {
                routes.on_announced(at);
                times.push(at.as_nanos() / 1_000_000);
                due = None;
            }
            due = due.or(routes.on_table(peers, now));
        }
        times
    }

    #[test]
    fn there_is_somebody_from_the_first_on_until_the_last_is_gone() {
        let mut routes = Routes::default();
        let any = [0, 1, 2, 0].map(|peers| {
            routes.on_table(peers, Mono::ZERO);
            routes.any()
        });
        assert_eq!(any, [false, true, true, false]);
    }

    #[test]
    fn growth_is_followed_and_a_crowd_costs_a_few() {
        assert_eq!(announcements([(0, 1)]), [500]);
        assert_eq!(
            announcements((0..20).map(|peer| (peer * 500, peer as usize + 1))),
            [500, 1_500, 3_500, 7_500, 15_500]
        );
        let long_after = LONGEST.as_millis() as u64 * 3;
        assert_eq!(announcements([(0, 1), (long_after, 2)]), [500, long_after + 500]);
    }

    #[test]
    fn a_small_table_counts_each_a_large_one_many_and_whoever_returns_is_new() {
        let late = |times: u64| times * 200_000;
        assert_eq!(announcements([(0, 30), (late(1), 59), (late(2), 60)]), [500, late(2) + 500]);
        assert_eq!(announcements([(0, 5), (late(1), 5), (late(2), 4), (late(3), 5)]), [500, late(3) + 500]);
        assert_eq!(announcements([(0, 30), (late(1), 0), (late(2), 30)]), [500, late(2) + 500]);
        let most = usize::MAX;
        assert_eq!(announcements([(0, most - 1), (late(1), most)]), [500, late(1) + 500], "no sum turns over");
    }
}
