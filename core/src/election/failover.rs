//! Whose turn it is to broadcast, without a message: every signer counts from its own completion.
//!
//! The coordinator's turn begins at completion; each further signer of the priority list has its turn after one more
//! timeout without a confirmation. After everyone's turn the list is exhausted. Broadcasting twice is harmless, because
//! it is the same signature over the same message; so clocks that differ cost a repetition and nothing else.
//!
//! A signer may say from its own turn on that it has broadcast. What it says earlier is kept until then, so that a
//! signer who is not due cannot silence those who are. Without a chain to look at, that is its word and no more: it
//! ends the turns, and when everyone's turn would be over, everyone is told that the broadcast rests on it. So a
//! coordinator that lies delays the broadcast until then, and silences nobody.
//!
//! Invariant: turns only move forward, each news is told once in a life, and nothing is told after the end. A pure
//! function of elapsed time and claims; driven by the session.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

/// What has changed. Signers are named by their index among the sorted keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// F1: it is this node's turn.
    ShouldBroadcast,
    /// F2: this signer's turn is over, and nobody says that the broadcast is done; it is the `failures`-th.
    CoordinatorFailed { coordinator: usize, failures: usize },
    /// F3: everyone's turn is over.
    Exhausted { failures: usize },
    /// F4: this signer says that it has broadcast.
    Claimed { by: usize },
    /// F5: everyone's turn would be over, and that the broadcast is done rests on this signer's word alone.
    Unconfirmed { by: usize },
}

/// The turns of one session's signers.
#[derive(Debug)]
pub(crate) struct Failover {
    priority: Vec<usize>,
    me: usize,
    timeout: Duration,
    /// How many turns are over.
    turn: usize,
    claims: BTreeSet<usize>,
    /// Whose word has ended the turns.
    claimed: Option<usize>,
    has_ended: bool,
}

impl Failover {
    /// Begins when `elapsed` has passed since completion: after a restart the turns that are over are not told again.
    /// Whose word had ended them then, `advance` says again once everyone's turn would be over.
    pub(crate) fn new(
        priority: Vec<usize>,
        me: usize,
        timeout: Duration,
        elapsed: Duration,
        claimed: Option<usize>,
    ) -> (Self, Option<Turn>) {
        let turn = turns_over(elapsed, timeout).min(priority.len());
        let has_ended = claimed.map_or(turn == priority.len(), |by| by == me);
        let failover = Self { priority, me, timeout, turn, claims: BTreeSet::new(), claimed, has_ended };
        let is_mine = failover.coordinator() == Some(me);
        (failover, is_mine.then_some(Turn::ShouldBroadcast))
    }

    /// Whose turn it is.
    pub(crate) fn coordinator(&self) -> Option<usize> {
        let is_open = self.claimed.is_none() && !self.has_ended;
        self.priority.get(self.turn).copied().filter(|_| is_open)
    }

    /// This signer says that it has broadcast.
    pub(crate) fn claim(&mut self, signer: usize) {
        if let Some(position) = self.priority.iter().position(|index| *index == signer) {
            self.claims.insert(position);
        }
    }

    /// Whether this signer has said so, or nobody waits for it any more.
    pub(crate) fn has_claim_of(&self, signer: usize) -> bool {
        self.has_ended || self.claims.iter().any(|position| self.priority[*position] == signer)
    }

    /// This node's embedder says so: that is its own word, whoever's turn it is and whatever others say.
    pub(crate) fn confirm(&mut self) -> Option<Turn> {
        self.has_ended = true;
        (self.claimed.replace(self.me) != Some(self.me)).then_some(Turn::Claimed { by: self.me })
    }

    /// What has changed by the time `elapsed`.
    pub(crate) fn advance(&mut self, elapsed: Duration) -> Vec<Turn> {
        let mut news = Vec::new();
        while !self.has_ended {
            let over = turns_over(elapsed, self.timeout);
            if let Some(by) = self.claimed {
                if over < self.priority.len() {
                    break;
                }
                self.has_ended = true;
                news.push(Turn::Unconfirmed { by });
            } else if let Some(position) = self.claims.first().filter(|position| **position <= self.turn) {
                let by = self.priority[*position];
                self.claimed = Some(by);
                news.push(Turn::Claimed { by });
            } else if over > self.turn {
                let coordinator = self.priority[self.turn];
                self.turn += 1;
                let failures = self.turn;
                news.push(Turn::CoordinatorFailed { coordinator, failures });
                if self.turn == self.priority.len() {
                    self.has_ended = true;
                    news.push(Turn::Exhausted { failures });
                } else if self.coordinator() == Some(self.me) {
                    news.push(Turn::ShouldBroadcast);
                }
            } else {
                break;
            }
        }
        news
    }

    /// When, since completion, the current turn is over; once somebody has claimed the broadcast, when all would be.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let turns = if self.claimed.is_some() { self.priority.len() } else { self.turn + 1 };
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        (!self.has_ended).then(|| self.timeout.saturating_mul(turns))
    }
}

fn turns_over(elapsed: Duration, timeout: Duration) -> usize {
    usize::try_from(elapsed.as_nanos() / timeout.as_nanos().max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use quickcheck::quickcheck;

    use super::*;

    const T: Duration = Duration::from_secs(300);

    fn start(me: usize) -> (Failover, Option<Turn>) {
        Failover::new(vec![2, 0, 1], me, T, Duration::ZERO, None)
    }

    #[test]
    fn each_signer_has_its_turn_and_then_the_list_is_exhausted() {
        // F1, F2, F3
        let (mut failover, first) = start(2);
        assert_eq!(first, Some(Turn::ShouldBroadcast));
        assert_eq!(failover.advance(T - Duration::from_nanos(1)), []);
        assert_eq!(failover.advance(T), [Turn::CoordinatorFailed { coordinator: 2, failures: 1 }]);
        assert_eq!(failover.deadline(), Some(T * 2));
        let (mut failover, first) = start(0);
        assert_eq!(first, None);
        let failed = |coordinator, failures| Turn::CoordinatorFailed { coordinator, failures };
        assert_eq!(failover.advance(T), [failed(2, 1), Turn::ShouldBroadcast]);
        assert_eq!(failover.advance(T), [], "a turn is told once");
        assert_eq!(failover.advance(T * 9), [failed(0, 2), failed(1, 3), Turn::Exhausted { failures: 3 }]);
        assert_eq!(failover.advance(T * 99), []);
        assert_eq!(failover.deadline(), None);
    }

    #[test]
    fn a_claim_counts_from_its_author_s_turn_on_and_is_told_as_its_word_in_the_end() {
        // F4, F5
        let (mut failover, _) = start(1);
        failover.claim(0);
        assert_eq!(failover.advance(Duration::ZERO), [], "signer 0 is not due yet");
        let failed = Turn::CoordinatorFailed { coordinator: 2, failures: 1 };
        assert_eq!(failover.advance(T), [failed, Turn::Claimed { by: 0 }]);
        assert_eq!((failover.coordinator(), failover.deadline()), (None, Some(T * 3)));
        failover.claim(2);
        assert_eq!(failover.advance(T * 3 - Duration::from_nanos(1)), [], "late and repeated claims do nothing");
        assert_eq!(failover.advance(T * 3), [Turn::Unconfirmed { by: 0 }]);
        assert_eq!((failover.advance(T * 9), failover.deadline()), (vec![], None));
        assert_eq!(failover.confirm(), Some(Turn::Claimed { by: 1 }), "what others say is not this node's own word");
        assert_eq!(failover.confirm(), None);
    }

    #[test]
    fn the_embedder_s_own_word_rests_on_nobody_else() {
        let (mut failover, _) = start(1);
        assert_eq!(failover.confirm(), Some(Turn::Claimed { by: 1 }));
        assert_eq!((failover.advance(T * 9), failover.deadline()), (vec![], None));
        let (mut failover, _) = start(1);
        failover.claim(2);
        assert_eq!(failover.advance(Duration::ZERO), [Turn::Claimed { by: 2 }]);
        assert_eq!(failover.confirm(), Some(Turn::Claimed { by: 1 }));
        assert_eq!(failover.advance(T * 9), []);
    }

    #[test]
    fn a_restart_resumes_the_turn_that_it_is_and_whose_word_has_ended_them() {
        let restart = |elapsed, claimed| Failover::new(vec![2, 0, 1], 0, T, elapsed, claimed);
        let (failover, news) = restart(T + T / 2, None);
        assert_eq!((failover.coordinator(), news), (Some(0), Some(Turn::ShouldBroadcast)));
        let (failover, news) = restart(T * 3, None);
        assert_eq!((failover.coordinator(), failover.deadline(), news), (None, None, None));
        for elapsed in [T, T * 9] {
            let (mut failover, news) = restart(elapsed, Some(2));
            assert_eq!((failover.coordinator(), news), (None, None));
            assert_eq!(failover.advance(elapsed.max(T * 3)), [Turn::Unconfirmed { by: 2 }]);
            let (mut failover, news) = restart(elapsed, Some(0));
            assert_eq!((failover.advance(T * 9), news), (vec![], None), "its own embedder has said so");
        }
    }

    quickcheck! {
        fn whoever_has_not_claimed_it_is_told_at_least_once_whatever_others_claim(
            claims: Vec<(u16, u8)>,
            me: u8
        ) -> bool {
            let me = usize::from(me % 3);
            let (mut failover, first) = start(me);
            let (mut told, mut elapsed) = (first == Some(Turn::ShouldBroadcast), Duration::ZERO);
            let asks = |news: &[Turn]| {
                news.iter().any(|news| matches!(
                    news,
                    Turn::ShouldBroadcast | Turn::Exhausted { .. } | Turn::Unconfirmed { .. }
                ))
            };
            for (step, by) in claims {
                elapsed += Duration::from_secs(step.into());
                if usize::from(by % 3) != me {
                    failover.claim(usize::from(by % 3));
                }
                told |= asks(&failover.advance(elapsed));
            }
            told | asks(&failover.advance(elapsed.max(T * 3)))
        }
    }

    quickcheck! {
        fn no_two_signers_of_one_clock_are_due_at_once_and_all_are_in_the_end(steps: Vec<u16>) -> bool {
            let mut failovers: Vec<_> = (0..3).map(|me| start(me).0).collect();
            let mut told = [true as usize, 0, 0];
            let mut elapsed = Duration::ZERO;
            for step in steps.into_iter().map(u64::from).chain([1000]) {
                elapsed += Duration::from_secs(step);
                let due: Vec<_> = failovers.iter_mut().map(|failover| failover.advance(elapsed)).collect();
                for (me, news) in due.iter().enumerate() {
                    let position = [1, 2, 0][me];
                    told[position] += news.iter().filter(|news| **news == Turn::ShouldBroadcast).count();
                }
                let coordinators: BTreeSet<_> = failovers.iter().map(Failover::coordinator).collect();
                if coordinators.len() != 1 {
                    return false;
                }
            }
            told == [1, 1, 1]
        }
    }
}
