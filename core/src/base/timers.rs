//! Keyed timers: at most one per key, so that setting one again replaces it and nothing fires twice.

use super::map::Map;
use super::time::Mono;

/// A set of timers, each with a key that says what it is for.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_key: Map<K, Mono>,
    by_time: Map<(Mono, K), ()>,
}

impl<K: Ord + Clone> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { by_key: Map::new(), by_time: Map::new() }
    }

    /// Sets or replaces the timer. At the end of time it is not set: that never comes, and what a timer sets again when
    /// it fires would never end.
    pub(crate) fn set(&mut self, key: K, at: Mono) {
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

    pub(crate) fn next(&self) -> Option<&(Mono, K)> {
        self.by_time.first().map(|(timer, ())| timer)
    }

    /// Takes the earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<K> {
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
}
