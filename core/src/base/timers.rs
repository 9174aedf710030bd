//! Keyed timers: at most one per key, so that setting one again replaces it and nothing fires twice.

use core::time::Duration;

use super::map::Map;
use super::time::Mono;

/// What is set for sooner is due after this time, counted from when due timers have last run.
const SHORTEST: Duration = Duration::from_millis(1);

/// A set of timers, each with a key that says what it is for.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_key: Map<K, Mono>,
    by_time: Map<(Mono, K), ()>,
    /// No timer is due earlier: one that sets itself again for now would run for ever.
    earliest: Mono,
}

impl<K: Ord + Clone> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { by_key: Map::new(), by_time: Map::new(), earliest: Mono::ZERO }
    }

    /// Sets or replaces the timer. It is due a millisecond after due timers have last run at the earliest, so that each
    /// runs at most once whenever they do. At the end of time it is not set: that never comes.
    pub(crate) fn set(&mut self, key: K, at: Mono) {
        let at = at.max(self.earliest);
        if at == Mono::MAX {
            return self.cancel(&key);
        }
        match self.by_key.insert(key.clone(), at) {
            Some(before) if before == at => return,
            Some(before) => drop(self.by_time.remove(&(before, key.clone()))),
            None => {}
        }
        self.by_time.insert((at, key), ());
    }

    pub(crate) fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// When the timer with this key is due.
    pub(crate) fn at(&self, key: &K) -> Option<Mono> {
        self.by_key.get(key).copied()
    }

    /// All timers, the soonest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Mono, K)> {
        self.by_time.keys()
    }

    pub(crate) fn next(&self) -> Option<&(Mono, K)> {
        self.by_time.first().map(|(timer, ())| timer)
    }

    /// Takes the earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<K> {
        self.earliest = self.earliest.max(now.after(SHORTEST));
        let ((at, _), ()) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let ((_, key), ()) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_timer_again_replaces_it() {
        let mut timers = Timers::new();
        timers.set("a", Mono::from_nanos(5));
        timers.set("b", Mono::from_nanos(7));
        timers.set("a", Mono::from_nanos(9));
        assert_eq!(timers.next(), Some(&(Mono::from_nanos(7), "b")));
        assert_eq!(timers.pop_due(Mono::from_nanos(6)), None);
        assert_eq!(timers.pop_due(Mono::from_nanos(9)), Some("b"));
        assert_eq!(timers.pop_due(Mono::from_nanos(9)), Some("a"));
        assert_eq!(timers.pop_due(Mono::from_nanos(9)), None);
        timers.set("end", Mono::MAX);
        assert_eq!(timers.pop_due(Mono::MAX), None, "the end of time never comes");
        timers.set("c", Mono::ZERO);
        timers.cancel(&"c");
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_that_sets_itself_again_for_now_runs_once_in_each_millisecond() {
        let (mut timers, mut runs) = (Timers::new(), 0);
        timers.set("a", Mono::ZERO);
        // Whoever drives them stops when nothing is due any more.
        for micros in 0..=10_000 {
            let now = Mono::from_nanos(micros * 1_000);
            while let Some(key) = timers.pop_due(now) {
                runs += 1;
                assert!(runs <= 11, "it does not end");
                timers.set(key, now);
            }
        }
        assert_eq!(runs, 11, "at the beginning, and after each of ten milliseconds");
        assert_eq!(timers.pop_due(Mono::MAX), Some("a"));
        timers.set("a", Mono::ZERO);
        assert_eq!(timers.next(), None, "nothing comes after the end of time");
    }
}
