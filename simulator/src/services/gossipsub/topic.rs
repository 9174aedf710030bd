//! The mesh of one topic: its members, and when they are added and removed.
//!
//! Invariant: after a heartbeat the mesh has as many neighbours as the settings ask for, if there are as many that
//! behave.

use std::collections::BTreeMap;

use super::Settings;
use crate::engine::Nanos;
use crate::random::Random;

/// How many of the best are kept when a mesh is too large.
const BEST: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Topic {
    /// The neighbours in the mesh, and since when.
    pub(super) mesh: BTreeMap<u32, Nanos>,
    /// Until when neighbours that were removed are not grafted again.
    backoff: BTreeMap<u32, Nanos>,
}

impl Topic {
    fn may_join(&self, now: Nanos, node: u32) -> bool {
        self.backoff.get(&node).is_none_or(|until| *until <= now)
    }

    /// A neighbour has taken this peer into its mesh. Returns whether it is added to this mesh in turn.
    pub(super) fn on_graft(&mut self, now: Nanos, node: u32, settings: &Settings) -> bool {
        let is_known = self.mesh.contains_key(&node);
        if !is_known && (self.mesh.len() >= settings.mesh_n_high || !self.may_join(now, node)) {
            return false;
        }
        self.mesh.entry(node).or_insert(now);
        true
    }

    pub(super) fn let_go(&mut self, now: Nanos, node: u32, settings: &Settings) {
        self.mesh.remove(&node);
        self.backoff.insert(node, now + settings.prune_backoff);
    }

    /// Repairs the mesh with these others, and returns which neighbours it has added and which it has removed.
    pub(super) fn maintain_mesh(
        &mut self,
        now: Nanos,
        settings: &Settings,
        others: &[u32],
        random: &mut Random,
        score: impl Fn(&u32) -> f64,
    ) -> (Vec<u32>, Vec<u32>) {
        self.backoff.retain(|_, until| *until > now);
        let mut removed: Vec<u32> = self.mesh.keys().filter(|node| score(node) < 0.0).copied().collect();
        if self.mesh.len() - removed.len() > settings.mesh_n_high {
            let mut rest: Vec<u32> = self.mesh.keys().filter(|node| !removed.contains(node)).copied().collect();
            random.shuffle(&mut rest);
            rest.sort_by(|one, other| score(other).total_cmp(&score(one)));
            let mut worse = rest.split_off(BEST.min(rest.len()));
            random.shuffle(&mut worse);
            removed.extend(worse.into_iter().skip(settings.mesh_n - BEST));
        }
        removed.iter().for_each(|node| self.let_go(now, *node, settings));
        let mut added = Vec::new();
        if self.mesh.len() < settings.mesh_n_low {
            let missing = settings.mesh_n - self.mesh.len();
            added.extend(others.iter().filter(|node| self.may_join(now, **node)).take(missing));
            self.mesh.extend(added.iter().map(|node| (*node, now)));
        }
        (added, removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mesh_fills_up_shrinks_and_does_not_ask_back_at_once() {
        let (settings, mut random) = (Settings::default(), Random::stream(1, "mesh", 0));
        let mut topic = Topic::default();
        let others: Vec<u32> = (0..20).collect();
        let (added, removed) = topic.maintain_mesh(0, &settings, &others, &mut random, |_| 1.0);
        assert_eq!((added.len(), removed.len(), topic.mesh.len()), (6, 0, 6));
        assert!((6..12).all(|node| topic.on_graft(1, node, &settings)), "neighbours may bring it to its most");
        assert!(!topic.on_graft(1, 12, &settings));
        topic.mesh.insert(13, 1);
        let (added, removed) = topic.maintain_mesh(2, &settings, &others, &mut random, |node| f64::from(*node));
        assert_eq!((added.len(), removed.len(), topic.mesh.len()), (0, 7, 6));
        assert!([13, 11, 10, 9].iter().all(|node| topic.mesh.contains_key(node)), "the best stay");
        assert!(!topic.on_graft(3, removed[0], &settings));
        let (added, removed) = topic.maintain_mesh(4, &settings, &[], &mut random, |_| -1.0);
        assert_eq!((added.len(), removed.len(), topic.mesh.len()), (0, 6, 0), "who misbehaves leaves");
    }
}
