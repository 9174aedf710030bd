//! The congestion window: how many bytes may be under way (RFC 5681, RFC 6928; RFC 9002, section 7).
//!
//! Invariant: the window never falls below one segment, halves at most once for the losses of one flight, and does not
//! grow while there is less to send than it allows.

/// The window of new connections, and the least one in recovery, in segments.
const INITIAL: usize = 10;
const LEAST: usize = 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Congestion {
    segment: usize,
    window: usize,
    /// Up to where the window doubles each round trip.
    threshold: usize,
    /// Bytes acknowledged since the window last grew by a segment, above the threshold.
    acknowledged: usize,
    /// The first packet number that was sent after the window was last reduced.
    recovers_at: u64,
    /// Whether the window has been in the way since it last grew.
    is_limiting: bool,
}

impl Congestion {
    pub(super) const fn new(segment: usize) -> Self {
        let (window, threshold) = (INITIAL * segment, usize::MAX);
        Self { segment, window, threshold, acknowledged: 0, recovers_at: 0, is_limiting: false }
    }

    /// Whether so many more bytes may go while others are under way. A no is remembered: the window is too small.
    pub(super) fn admits(&mut self, under_way: usize, bytes: usize) -> bool {
        let admits = under_way + bytes <= self.window;
        self.is_limiting |= !admits;
        admits
    }

    /// Nothing is left to send: the window was large enough.
    pub(super) const fn on_drained(&mut self, under_way: usize) {
        // While it doubles, a window is too small that is more than half full, as in Linux.
        let full = if self.window < self.threshold { 2 * under_way } else { under_way + self.segment };
        self.is_limiting = full > self.window;
    }

    /// A packet has been acknowledged.
    pub(super) fn on_acknowledged(&mut self, number: u64, bytes: usize) {
        if number < self.recovers_at || !self.is_limiting {
            return;
        }
        if self.window < self.threshold {
            self.window += bytes;
            return;
        }
        self.acknowledged += bytes;
        if self.acknowledged >= self.window {
            self.acknowledged -= self.window;
            self.window += self.segment;
        }
    }

    /// A packet is lost; `next` is the number that comes next.
    pub(super) fn on_lost(&mut self, number: u64, next: u64) {
        if number >= self.recovers_at {
            self.recovers_at = next;
            self.threshold = (self.window / 2).max(LEAST * self.segment);
            (self.window, self.acknowledged) = (self.threshold, 0);
        }
    }

    /// Nothing has come back for too long, while so many bytes were under way.
    pub(super) fn on_collapse(&mut self, under_way: usize, next: u64, segments: usize) {
        self.recovers_at = next;
        self.threshold = (under_way / 2).max(LEAST * self.segment).min(self.threshold);
        (self.window, self.acknowledged) = (segments * self.segment, 0);
    }

    /// What was measured is old: the connection begins with the initial window at most.
    pub(super) fn on_idle(&mut self) {
        self.window = self.window.min(INITIAL * self.segment);
    }

    #[cfg(test)]
    pub(super) const fn window(&self) -> usize {
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_doubles_halves_and_then_grows_by_a_segment() {
        let mut window = Congestion::new(100);
        assert_eq!(window.window(), 1_000);
        window.on_acknowledged(0, 100);
        assert_eq!(window.window(), 1_000, "it was not in the way");
        assert!(!window.admits(1_000, 100));
        (0..10).for_each(|number| window.on_acknowledged(number, 100));
        assert_eq!(window.window(), 2_000, "a window acknowledged is a window more");
        window.on_lost(10, 30);
        window.on_lost(12, 30);
        assert_eq!(window.window(), 1_000, "once for one flight");
        window.on_acknowledged(29, 100);
        assert_eq!((window.window(), window.threshold), (1_000, 1_000));
        (30..40).for_each(|number| window.on_acknowledged(number, 100));
        assert_eq!(window.window(), 1_100);
        window.on_collapse(1_100, 50, 1);
        assert_eq!((window.window(), window.threshold), (100, 550));
    }
}
