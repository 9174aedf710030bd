//! The ids of sessions that were closed, and nothing else of them: some forty bytes each.
//!
//! Invariants: an id that has to be kept is kept until its time is over by both clocks, because the wall clock may be
//! wrong and a process does not know how long it has been away; the others make room when there are too many. Driven by
//! `Sessions`.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::time::Duration;

use super::chunks::Chunks;
use crate::base::{Mono, Now, Wall};
use crate::wire::SessionId;

/// The shortest time between two looks at what is over, so that many ids cost little.
const SWEEP: Duration = Duration::from_secs(60);
/// The same, when there is more to forget than at once.
const NEXT: Duration = Duration::from_secs(1);
/// How many ids are forgotten at once: the record of each goes too.
const BATCH: usize = 1_024;
/// The bit that says that an id has to be kept.
const KEPT: u32 = 1 << 31;
/// More seconds than ever come.
const NEVER: u32 = KEPT - 1;

/// Packed, because there may be a million of them: both times in seconds, rounded up.
#[derive(Clone, Copy, Debug)]
struct Closed {
    wall: u32,
    /// With [`KEPT`].
    mono: u32,
}

impl Closed {
    fn new(until: Now, is_kept: bool) -> Self {
        let wall = u32::try_from(until.wall.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
        let mono = u32::try_from(until.mono.as_nanos().div_ceil(1_000_000_000)).unwrap_or(NEVER).min(NEVER);
        Self { wall, mono: mono | if is_kept { KEPT } else { 0 } }
    }

    const fn is_kept(self) -> bool {
        self.mono & KEPT != 0
    }

    fn until(self) -> Now {
        let mono = match self.mono & NEVER {
            NEVER => Mono::MAX,
            seconds => Mono::from_nanos(u64::from(seconds) * 1_000_000_000),
        };
        let wall = match self.wall {
            u32::MAX => u64::MAX,
            seconds => u64::from(seconds) * 1_000,
        };
        Now { mono, wall: Wall::from_millis(wall) }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct ClosedSessions {
    by_id: Chunks<Closed>,
    kept: usize,
    sweep_at: Option<Mono>,
    /// No sweep before.
    swept_until: Mono,
}

impl ClosedSessions {
    pub(super) const fn new() -> Self {
        Self { by_id: Chunks::new(), kept: 0, sweep_at: None, swept_until: Mono::ZERO }
    }

    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.by_id.get(id).is_some()
    }

    /// How many have to be kept.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Remembers an id until then. Of those that need not be kept the ones that end first make room when there are as
    /// many as that. Returns what is not remembered any more, the id itself if there is no room for it.
    pub(super) fn insert(
        &mut self,
        id: SessionId,
        until: Now,
        is_kept: bool,
        now: Now,
        capacity: usize,
    ) -> Vec<SessionId> {
        let mut gone = if self.by_id.len() < capacity { Vec::new() } else { self.make_room() };
        if !is_kept && self.by_id.len() >= capacity {
            gone.push(id);
            return gone;
        }
        self.kept += usize::from(is_kept);
        let closed = Closed::new(until, is_kept);
        if self.by_id.insert(id, closed).is_some_and(Closed::is_kept) {
            self.kept -= 1;
        }
        let at = now.mono.after(time_until(closed.until(), now)).max(self.swept_until);
        self.sweep_at = Some(self.sweep_at.map_or(at, |sweep| sweep.min(at)));
        gone
    }

    fn make_room(&mut self) -> Vec<SessionId> {
        let others = self.by_id.len() - self.kept;
        let most = others.div_ceil(2).min(BATCH);
        let mut first = BinaryHeap::new();
        for (id, closed) in self.by_id.iter().filter(|(_, closed)| !closed.is_kept() && most > 0) {
            first.push((closed.wall, *id));
            if first.len() > most {
                first.pop();
            }
        }
        let first: Vec<SessionId> = first.into_sorted_vec().into_iter().map(|(_, id)| id).collect();
        for id in &first {
            self.by_id.remove(id);
        }
        first
    }

    /// Forgets the ids whose time is over.
    pub(super) fn expire(&mut self, now: Now) -> Vec<SessionId> {
        if self.sweep_at.is_none_or(|at| at > now.mono) {
            return Vec::new();
        }
        let (mut over, mut kept) = (Vec::new(), 0);
        self.by_id.retain(|id, closed| {
            let is_over = over.len() < BATCH && time_until(closed.until(), now) == Duration::ZERO;
            if is_over {
                over.push(*id);
            } else {
                kept += usize::from(closed.is_kept());
            }
            !is_over
        });
        self.kept = kept;
        self.swept_until = now.mono.after(if over.len() < BATCH { SWEEP } else { NEXT });
        self.recount(now);
        over
    }

    /// Looks anew at when there is something to forget.
    pub(super) fn recount(&mut self, now: Now) {
        let next = self.by_id.iter().map(|(_, closed)| time_until(closed.until(), now)).min();
        self.sweep_at = next.map(|wait| now.mono.after(wait).max(self.swept_until));
    }

    /// When there is something to forget.
    pub(super) const fn deadline(&self) -> Option<Mono> {
        self.sweep_at
    }
}

/// How long it is until both clocks show that.
pub(super) fn time_until(until: Now, now: Now) -> Duration {
    until.mono.since(now.mono).max(until.wall.since(now.wall))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> SessionId {
        SessionId::from_bytes([number; 32])
    }

    fn at(seconds: u64) -> Now {
        both(seconds, seconds)
    }

    fn both(mono: u64, wall: u64) -> Now {
        Now { mono: Mono::ZERO.after(Duration::from_secs(mono)), wall: Wall::from_millis(wall * 1_000) }
    }

    #[test]
    fn what_has_to_be_kept_is_kept_and_the_rest_makes_room() {
        let mut closed = ClosedSessions::new();
        assert_eq!(closed.insert(id(1), at(900), true, at(0), 4), []);
        for number in 2..5 {
            assert_eq!(closed.insert(id(number), at(100 * u64::from(number)), false, at(0), 4), []);
        }
        assert_eq!(closed.insert(id(5), at(500), true, at(0), 4), [id(2), id(3)], "those that end first");
        assert_eq!(closed.insert(id(6), at(600), true, at(0), 4), []);
        assert_eq!(closed.insert(id(7), at(700), true, at(0), 4), [id(4)]);
        assert_eq!((closed.kept(), closed.by_id.len()), (4, 4));
        assert_eq!(closed.insert(id(8), at(800), false, at(0), 4), [id(8)], "there is no room for it");
        assert!([1, 5, 6, 7].into_iter().all(|number| closed.contains(&id(number))));
    }

    #[test]
    fn half_of_those_that_need_not_be_kept_make_room_together() {
        let mut closed = ClosedSessions::new();
        for (number, is_kept) in (1..8).zip([true, true, false, false, false, false, false]) {
            assert_eq!(closed.insert(id(number), at(100 * u64::from(9 - number)), is_kept, at(0), 7), []);
        }
        assert_eq!(closed.insert(id(8), at(1), false, at(0), 7), [id(7), id(6), id(5)], "three of five");
        assert_eq!((closed.kept(), closed.by_id.len()), (2, 5));
    }

    #[test]
    fn many_that_are_over_at_once_are_forgotten_in_parts() {
        let mut closed = ClosedSessions::new();
        for number in 0..2_500_u32 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            closed.insert(SessionId::from_bytes(id), at(100), true, at(0), 9_999);
        }
        let forgotten = [100, 101, 102].map(|second| closed.expire(at(second)).len());
        assert_eq!((forgotten, closed.kept(), closed.deadline()), ([1_024, 1_024, 452], 0, None));
    }

    #[test]
    fn what_is_over_is_forgotten_once_a_minute_at_most() {
        let mut closed = ClosedSessions::new();
        for number in 1..4 {
            closed.insert(id(number), at(100 + u64::from(number)), true, at(0), 9);
        }
        assert_eq!((closed.deadline(), closed.expire(at(100))), (Some(at(101).mono), Vec::new()));
        assert_eq!((closed.expire(at(101)), closed.deadline()), (Vec::from([id(1)]), Some(at(161).mono)));
        assert_eq!((closed.expire(at(160)), closed.kept()), (Vec::new(), 2));
        assert_eq!((closed.expire(at(161)), closed.kept(), closed.deadline()), (Vec::from([id(2), id(3)]), 0, None));
    }
    #[test]
    fn nothing_is_forgotten_by_one_clock_alone() {
        let mut closed = ClosedSessions::new();
        assert_eq!(closed.insert(id(1), at(1_000), true, at(0), 9), []);
        assert_eq!(closed.deadline(), Some(at(1_000).mono));
        // The wall clock was set, and is set right again.
        closed.recount(both(10, 90_000));
        assert_eq!((closed.deadline(), closed.expire(both(999, 90_999))), (Some(at(1_000).mono), Vec::new()));
        closed.recount(both(1_000, 10));
        assert_eq!((closed.deadline(), closed.expire(both(1_989, 999))), (Some(at(1_990).mono), Vec::new()));
        assert!(closed.contains(&id(1)));
        assert_eq!(closed.expire(both(1_990, 1_000)), [id(1)]);
    }
}
