//! Each sequence number of a signer, session and attempt is taken once.
//!
//! A window below the newest number, rather than "greater than the last", lets messages overtake each other without
//! loss. Above there is no limit: the numbers are signed, so that only their author can raise them, and an author that
//! was away for long must be heard when it comes back. What is behind the window, the gate lets in as long as its
//! session lacks it. Driven by the gate.

use crate::api::Refusal;

/// What has been seen of one signer in one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplayWindow {
    attempt: u32,
    newest: u64,
    // Bit k stands for `newest - k`.
    seen: u128,
    reach: u8,
}

impl ReplayWindow {
    /// A window that reaches `reach` numbers down; at most 127.
    pub(crate) fn new(reach: u64) -> Self {
        Self { attempt: 0, newest: 0, seen: 0, reach: reach.min(127) as u8 }
    }

    /// Whether the number could be taken.
    pub(crate) fn peek(&self, attempt: u32, sequence: u64) -> Result<(), Refusal> {
        if attempt < self.attempt {
            return Err(Refusal::StaleAttempt);
        }
        let newest = if attempt == self.attempt { self.newest } else { 0 };
        if sequence == 0 || newest.saturating_sub(sequence) > u64::from(self.reach) {
            return Err(Refusal::SequenceGap);
        }
        if attempt == self.attempt && sequence <= newest && self.seen & (1 << (newest - sequence)) != 0 {
            return Err(Refusal::Duplicate);
        }
        Ok(())
    }

    /// Takes the number.
    pub(crate) fn take(&mut self, attempt: u32, sequence: u64) -> Result<(), Refusal> {
        self.peek(attempt, sequence)?;
        if attempt > self.attempt {
            *self = Self { attempt, newest: 0, seen: 0, reach: self.reach };
        }
        if sequence > self.newest {
            self.seen =
                u32::try_from(sequence - self.newest).ok().and_then(|by| self.seen.checked_shl(by)).unwrap_or(0) | 1;
            self.newest = sequence;
        } else {
            self.seen |= 1 << (self.newest - sequence);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn reordering_within_the_reach_loses_nothing_and_repeats_nothing() {
        let mut window = ReplayWindow::new(100);
        for sequence in (1..=100).rev() {
            assert_eq!(window.take(1, sequence), Ok(()), "{sequence}");
            assert_eq!(window.take(1, sequence), Err(Refusal::Duplicate), "{sequence}");
        }
        assert_eq!(window.take(1, 0), Err(Refusal::SequenceGap));
        assert_eq!(window.take(1, 200), Ok(()));
        assert_eq!(window.take(1, 100), Err(Refusal::Duplicate));
        assert_eq!(window.take(1, 99), Err(Refusal::SequenceGap));
        assert_eq!(window.take(1, 101), Ok(()));
        for newest in [1_000, 1 << 32, 1 << 63, u64::MAX] {
            assert_eq!(window.take(1, newest), Ok(()), "whoever was away comes back");
            assert_eq!(window.take(1, newest), Err(Refusal::Duplicate));
            assert_eq!(window.take(1, newest - 100), Ok(()));
            assert_eq!(window.take(1, newest - 101), Err(Refusal::SequenceGap));
        }
    }

    #[test]
    fn a_new_attempt_counts_afresh_and_ends_the_old_one() {
        let mut window = ReplayWindow::new(100);
        window.take(1, 7).unwrap();
        assert_eq!(window.take(2, 1), Ok(()));
        assert_eq!(window.take(1, 8), Err(Refusal::StaleAttempt));
        assert_eq!(window.take(2, 1), Err(Refusal::Duplicate));
    }

    quickcheck! {
        fn no_number_is_taken_twice(sequences: alloc::vec::Vec<u8>) -> bool {
            let mut window = ReplayWindow::new(100);
            let mut taken = BTreeSet::new();
            sequences.into_iter().all(|sequence| {
                window.take(1, u64::from(sequence)).is_err() || taken.insert(sequence)
            })
        }
    }
}
