//! Nobody's signature is used behind its back: once the network has healed, whoever has signed, with an owner who has
//! refused or whose time was over meanwhile, hears of the signature that others have made of it.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::wire::{Content, SessionId};

use super::completions::Completions;
use super::{Checker, GroundTruth, NodeObservation};

#[derive(Debug, Default)]
pub(super) struct Told {
    signed: BTreeMap<SessionId, BTreeSet<u32>>,
    nodes: Completions,
}

impl Checker for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn see(&mut self, _: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String> {
        if let Some(step) = seen.step.filter(|step| matches!(step.content, Content::Partial { .. })) {
            self.signed.entry(step.session).or_default().insert(seen.observed.node);
        }
        self.nodes.see(seen.observed);
        Ok(())
    }

    fn end(&mut self, truth: &GroundTruth) -> Vec<String> {
        if truth.settled.is_none() {
            return Vec::new();
        }
        // Only honest nodes are seen here: among those who know the signature is one that is up and gives it.
        let Completions { completed, down } = &self.nodes;
        let known = completed.iter().filter(|(_, nodes)| nodes.iter().any(|node| !down.contains(node)));
        known
            .filter_map(|(session, completed)| {
                let signed = self.signed.get(session)?.iter();
                let lacking: Vec<u32> =
                    signed.filter(|node| !completed.contains(node) && !down.contains(node)).copied().collect();
                let what = format!("{session} has a signature, and {lacking:?} have signed and were not told");
                (!lacking.is_empty()).then_some(what)
            })
            .collect()
    }
}
