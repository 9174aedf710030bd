//! One iterative lookup, from the nearest peers that are known to the nearest that there are.
//!
//! It works like libp2p's on disjoint paths: each path begins with all peers that are known and has its own requests
//! under way; an answer counts as one on all paths, but the peers that it names are added to the path alone that asked.
//! Invariant: a peer is asked at most once; a path is over when its k nearest have answered or no peer is left to ask,
//! a lookup when all paths are over or its time is.

use std::collections::BTreeMap;
use std::sync::Arc;

use nelumbo_core::base::Bytes;

use super::Settings;
use super::routing::Routing;
use crate::engine::Nanos;
use crate::services::LookupStats;

/// What a lookup is for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    LookUp(u64),
    PutValue { name: Arc<str>, value: Bytes, ttl: Nanos },
    Join,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Waiting,
    Answered,
    Failed,
}

/// A peer as one path sees it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    node: u32,
    hops: u32,
    state: State,
}

/// One of the disjoint paths of a lookup.
#[derive(Clone, Debug)]
struct Path {
    by_distance: BTreeMap<u64, Candidate>,
    waiting: usize,
    /// The number of answers since the last one that named a nearer peer.
    without_progress: usize,
    is_over: bool,
}

/// A peer that has been asked.
#[derive(Clone, Copy, Debug)]
struct Request {
    path: usize,
    since: Nanos,
    distance: u64,
    hops: u32,
    state: State,
}

#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) goal: Goal,
    pub(super) target: u64,
    paths: Vec<Path>,
    /// Which path's turn it is to ask.
    turn: usize,
    asked: BTreeMap<u32, Request>,
    k: usize,
    alpha: usize,
    ends: Nanos,
}

impl Query {
    pub(super) fn new(
        goal: Goal,
        target: u64,
        start: &[u32],
        routing: &Routing,
        settings: &Settings,
        ends: Nanos,
    ) -> Self {
        let candidate =
            |node: &u32| (routing.distance(*node, target), Candidate { node: *node, hops: 1, state: State::New });
        let by_distance = start.iter().map(candidate).collect();
        let path = Path { by_distance, waiting: 0, without_progress: 0, is_over: false };
        let paths = vec![path; settings.paths.max(1)];
        Self { goal, target, paths, turn: 0, asked: BTreeMap::new(), k: settings.k, alpha: settings.alpha, ends }
    }

    /// Takes an answer, and returns whether it was waited for.
    pub(super) fn answer(&mut self, from: u32, closer: &[u32], routing: &Routing) -> bool {
        let Some(asked) = self.asked.get_mut(&from).filter(|asked| asked.state == State::Waiting) else { return false };
        asked.state = State::Answered;
        let Request { path: told, distance, .. } = *asked;
        let others = closer.iter().filter(|node| routing.distance(**node, routing.own()) != 0).take(self.k);
        let others: Vec<(u64, u32)> = others.map(|node| (routing.distance(*node, self.target), *node)).collect();
        for (at, path) in self.paths.iter_mut().enumerate() {
            path.answer(distance, if at == told { &others } else { &[] }, self.k);
        }
        true
    }

    /// Gives up on peers that have not answered in time, and returns them.
    pub(super) fn fail_timed_out(&mut self, now: Nanos, timeout: Nanos) -> Vec<u32> {
        let Self { asked, paths, .. } = self;
        let late = asked.iter_mut().filter(|(_, one)| one.state == State::Waiting && one.since + timeout <= now);
        late.map(|(node, asked)| {
            asked.state = State::Failed;
            paths.iter_mut().for_each(|path| path.fail(asked.distance));
            *node
        })
        .collect()
    }

    /// Gives up on a peer that cannot be reached.
    pub(super) fn fail(&mut self, node: u32) {
        if let Some(asked) = self.asked.get_mut(&node).filter(|asked| asked.state == State::Waiting) {
            asked.state = State::Failed;
            self.paths.iter_mut().for_each(|path| path.fail(asked.distance));
        }
    }

    /// The peers to ask now.
    pub(super) fn next(&mut self, now: Nanos) -> Vec<u32> {
        let (mut next, mut in_vain) = (Vec::new(), 0);
        while in_vain < self.paths.len() {
            let path = self.turn % self.paths.len();
            self.turn = path + 1;
            in_vain += 1;
            if let Some(node) = self.next_on(path, now) {
                next.push(node);
                in_vain = 0;
            }
        }
        next
    }

    fn next_on(&mut self, at: usize, now: Nanos) -> Option<u32> {
        let path = &mut self.paths[at];
        loop {
            let (distance, Candidate { node, hops, .. }) = path.next(self.k, self.alpha)?;
            match self.asked.get(&node).map(|asked| asked.state) {
                Some(State::Answered) => path.answer(distance, &[], self.k),
                Some(State::Failed) => path.fail(distance),
                // It will answer this path too.
                Some(State::Waiting | State::New) => {}
                None => {
                    let asked = Request { path: at, since: now, distance, hops, state: State::Waiting };
                    self.asked.insert(node, asked);
                    return Some(node);
                }
            }
        }
    }

    /// Whether its time has run out, or the nearest on each path have answered.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        now >= self.ends || self.paths.iter().all(|path| path.is_over)
    }

    pub(super) fn deadline(&self, timeout: Nanos) -> Option<Nanos> {
        let waiting = self.asked.values().filter(|asked| asked.state == State::Waiting);
        waiting.map(|asked| asked.since + timeout).chain([self.ends]).min()
    }

    /// The nearest peers that have answered, on all paths together.
    pub(super) fn nearest(&self, count: usize) -> Vec<u32> {
        let mut all: Vec<(u64, u32)> = self.answered().map(|(node, asked)| (asked.distance, *node)).collect();
        all.sort_unstable();
        all.into_iter().take(count).map(|(_, node)| node).collect()
    }

    pub(super) fn lookup_stats(&self) -> LookupStats {
        let nearest = self.answered().min_by_key(|(_, asked)| asked.distance);
        LookupStats { hops: nearest.map_or(0, |(_, asked)| asked.hops), requests: self.asked.len() as u32 }
    }

    fn answered(&self) -> impl Iterator<Item = (&u32, &Request)> {
        self.asked.iter().filter(|(_, asked)| asked.state == State::Answered)
    }
}

impl Path {
    /// A peer has answered and named others, by distance.
    fn answer(&mut self, from: u64, others: &[(u64, u32)], k: usize) {
        let Some(candidate) = self.waiting(from) else { return };
        candidate.state = State::Answered;
        let hops = candidate.hops + 1;
        let all = self.by_distance.keys();
        let range = all.clone().nth(k - 1).or(all.last()).copied();
        let mut is_progress = self.by_distance.len() < k;
        for (distance, node) in others {
            self.by_distance.entry(*distance).or_insert_with(|| {
                is_progress |= Some(*distance) < range;
                Candidate { node: *node, hops, state: State::New }
            });
        }
        self.without_progress = if is_progress { 0 } else { self.without_progress + 1 };
    }

    fn fail(&mut self, from: u64) {
        if let Some(candidate) = self.waiting(from) {
            candidate.state = State::Failed;
        }
    }

    /// The peer at this distance, if its answer is waited for; it is not any more.
    fn waiting(&mut self, from: u64) -> Option<&mut Candidate> {
        let candidate = self.by_distance.get_mut(&from).filter(|one| !self.is_over && one.state == State::Waiting)?;
        self.waiting -= 1;
        Some(candidate)
    }

    /// The next peer to ask: alpha at once, or k when answers name no nearer peers any more.
    fn next(&mut self, k: usize, alpha: usize) -> Option<(u64, Candidate)> {
        let is_full = self.waiting >= if self.without_progress < alpha { alpha } else { k.max(alpha) };
        let (mut answered, mut is_waiting) = (0, false);
        for (distance, candidate) in self.by_distance.iter_mut().filter(|_| !self.is_over) {
            match candidate.state {
                State::Waiting | State::New if is_full => return None,
                State::Waiting => is_waiting = true,
                State::New => {
                    candidate.state = State::Waiting;
                    self.waiting += 1;
                    return Some((*distance, *candidate));
                }
                State::Answered => answered += 1,
                State::Failed => {}
            }
            if answered >= k && !is_waiting {
                self.is_over = true;
                return None;
            }
        }
        self.is_over |= self.waiting == 0;
        None
    }
}
