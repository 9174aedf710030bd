//! One lookup: from the nearest peers that are known to the nearest that there are.
//!
//! Invariant: a peer is asked at most once, on one path; a lookup is over when the k nearest on each path have answered,
//! when nobody is left to ask, or when its time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nelumbo_core::base::Bytes;

use super::Settings;
use super::routing::Routing;
use crate::engine::Nanos;
use crate::network::Trip;

/// What a lookup is for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    LookUp(u64),
    Store { name: Arc<str>, value: Bytes, life: Nanos },
    Join,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Waiting(Nanos),
    Answered,
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    node: u32,
    hops: u32,
    state: State,
}

/// One of the disjoint ways of a lookup.
#[derive(Clone, Debug, Default)]
struct Path {
    by_distance: BTreeMap<u64, Candidate>,
}

#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) goal: Goal,
    pub(super) target: u64,
    paths: Vec<Path>,
    /// Who is on some path already.
    known: BTreeSet<u32>,
    requests: u32,
    k: usize,
    /// How many requests each path has under way.
    width: usize,
    ends: Nanos,
}

impl Query {
    pub(super) fn new(
        goal: Goal,
        target: u64,
        start: Vec<u32>,
        routing: &Routing,
        settings: &Settings,
        ends: Nanos,
    ) -> Self {
        let count = settings.paths.clamp(1, settings.alpha.max(1));
        let width = (settings.alpha / count).max(1);
        let mut paths = vec![Path::default(); count];
        let known = start.iter().copied().collect();
        for (at, node) in start.into_iter().enumerate() {
            let candidate = Candidate { node, hops: 1, state: State::New };
            paths[at % count].by_distance.insert(routing.distance(node, target), candidate);
        }
        Self { goal, target, paths, known, requests: 0, k: settings.k, width, ends }
    }

    /// An answer, if it was waited for.
    pub(super) fn answer(&mut self, from: u32, closer: &[u32], routing: &Routing) -> bool {
        let at = routing.distance(from, self.target);
        for path in &mut self.paths {
            let Some(candidate) = path.by_distance.get_mut(&at).filter(|candidate| candidate.node == from) else {
                continue;
            };
            if !matches!(candidate.state, State::Waiting(_)) {
                return false;
            }
            candidate.state = State::Answered;
            let hops = candidate.hops + 1;
            for node in closer.iter().take(self.k) {
                if self.known.insert(*node) && routing.distance(*node, routing.own()) != 0 {
                    let candidate = Candidate { node: *node, hops, state: State::New };
                    path.by_distance.entry(routing.distance(*node, self.target)).or_insert(candidate);
                }
            }
            return true;
        }
        false
    }

    /// Gives up on those who have not answered in time, and names them.
    pub(super) fn fail_late(&mut self, now: Nanos, patience: Nanos) -> Vec<u32> {
        let all = self.paths.iter_mut().flat_map(|path| path.by_distance.values_mut());
        let late = all.filter(|one| matches!(one.state, State::Waiting(since) if since + patience <= now));
        late.map(|candidate| {
            candidate.state = State::Failed;
            candidate.node
        })
        .collect()
    }

    /// Whom to ask now.
    pub(super) fn next(&mut self, now: Nanos) -> Vec<u32> {
        let mut asked = Vec::new();
        let Self { paths, k, width, .. } = self;
        for path in paths {
            let waiting = path.nearest(*k).filter(|one| matches!(one.state, State::Waiting(_))).count();
            let free = width.saturating_sub(waiting);
            let new = path.by_distance.values_mut().filter(|one| one.state != State::Failed).take(*k);
            for candidate in new.filter(|one| one.state == State::New).take(free) {
                candidate.state = State::Waiting(now);
                asked.push(candidate.node);
            }
        }
        self.requests += asked.len() as u32;
        asked
    }

    pub(super) fn is_over(&self, now: Nanos) -> bool {
        let is_done = |path: &Path| path.nearest(self.k).all(|one| one.state == State::Answered);
        now >= self.ends || self.paths.iter().all(is_done)
    }

    pub(super) fn deadline(&self, patience: Nanos) -> Option<Nanos> {
        let all = self.paths.iter().flat_map(|path| path.by_distance.values());
        let late = all.filter_map(|one| match one.state {
            State::Waiting(since) => Some(since + patience),
            _ => None,
        });
        late.chain([self.ends]).min()
    }

    /// The nearest peers that have answered, on all paths together.
    pub(super) fn nearest(&self, count: usize) -> Vec<u32> {
        let all = self.paths.iter().flat_map(|path| &path.by_distance);
        let mut all: Vec<(u64, u32)> =
            all.filter(|(_, one)| one.state == State::Answered).map(|(at, one)| (*at, one.node)).collect();
        all.sort_unstable();
        all.into_iter().take(count).map(|(_, node)| node).collect()
    }

    pub(super) fn trip(&self) -> Trip {
        let all = self.paths.iter().flat_map(|path| &path.by_distance);
        let nearest = all.filter(|(_, one)| one.state == State::Answered).min_by_key(|(at, _)| **at);
        Trip { hops: nearest.map_or(0, |(_, one)| one.hops), requests: self.requests }
    }
}

impl Path {
    fn nearest(&self, count: usize) -> impl Iterator<Item = &Candidate> {
        self.by_distance.values().filter(|one| one.state != State::Failed).take(count)
    }
}
