//! Checks that whoever comes is known, whatever strangers do: an honest node that is connected to another honest one
//! learns within five minutes which key that holds, once the network has healed. Machines whose clocks are set, drift
//! or sleep are left out: what is dated otherwise may be refused.

use std::collections::{BTreeMap, VecDeque};

use nelumbo_core::api::Event;

use super::{Checker, GroundTruth, NodeObservation};
use crate::engine::Nanos;
use crate::peer::{Observation, node_of};
use crate::schedule::MILLISECOND;

/// Within which time a newcomer is known.
const BOUND: Nanos = 300_000 * MILLISECOND;

#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// Since when a node is connected to a peer whose key it does not know.
    unknown: BTreeMap<(u32, u32), Nanos>,
    /// By when it is to know it: this, and since when it is connected.
    due: VecDeque<(Nanos, Nanos, u32, u32)>,
}

impl Newcomers {
    fn overdue(&mut self, now: Nanos) -> Option<(u32, u32)> {
        while let Some((_, since, node, peer)) = self.due.front().copied().filter(|(at, ..)| *at <= now) {
            self.due.pop_front();
            if self.unknown.get(&(node, peer)) == Some(&since) {
                self.unknown.remove(&(node, peer));
                return Some((node, peer));
            }
        }
        None
    }
}

impl Checker for Newcomers {
    fn name(&self) -> &'static str {
        "newcomers"
    }

    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        let (node, now) = (seen.observed.node, seen.observed.stamp.at);
        match &seen.observed.observation {
            Observation::Connected(peer) if truth.is_steady(node) && truth.is_steady(*peer) => {
                self.unknown.insert((node, *peer), now);
                self.due.push_back((now.max(truth.healed) + BOUND, now, node, *peer));
            }
            Observation::Disconnected(peer) => drop(self.unknown.remove(&(node, *peer))),
            Observation::Event(Event::SignerConnected { peer, .. }) => {
                node_of(peer).and_then(|peer| self.unknown.remove(&(node, peer)));
            }
            Observation::Down => self.unknown.retain(|(one, other), _| *one != node && *other != node),
            _ => {}
        }
        match self.overdue(now) {
            Some((node, peer)) => Err(format!(
                "node {node} is connected to node {peer} for {} s and does not know it",
                BOUND / 1_000_000_000
            )),
            None => Ok(()),
        }
    }
}
