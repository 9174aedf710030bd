//! Once the network has healed, everything honest comes to its end: each session among honest signers that its creator
//! was told of completes at every signer, unless somebody refused it.

use std::collections::{BTreeMap, BTreeSet};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use super::{Checker, Facts, Sight};
use crate::creations::Creations;
use crate::peer::Note;

#[derive(Debug, Default)]
pub(super) struct Liveness {
    creations: Creations,
    created: BTreeMap<SessionId, Vec<u32>>,
    given_up: BTreeSet<SessionId>,
    completed: BTreeMap<SessionId, BTreeSet<u32>>,
    down: BTreeSet<u32>,
}

impl Checker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn see(&mut self, _: &Facts, sight: &Sight<'_>) -> Result<(), String> {
        let node = sight.noted.node;
        if let Some((session, creation)) = self.creations.see(sight.noted) {
            self.created.insert(session, creation.signers);
        }
        match &sight.noted.note {
            Note::Up => {
                self.down.remove(&node);
            }
            Note::Down => {
                self.down.insert(node);
            }
            Note::Event(Event::SessionAborted { session, .. } | Event::SessionExpired { session }) => {
                self.given_up.insert(*session);
            }
            // A crash between the record and the event leaves the record.
            Note::Remembers(session) | Note::Event(Event::SessionCompleted { session, .. }) => {
                self.completed.entry(*session).or_default().insert(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, facts: &Facts) -> Vec<String> {
        if !facts.has_time {
            return Vec::new();
        }
        let mut missing = Vec::new();
        for (session, signers) in &self.created {
            if self.given_up.contains(session) {
                continue;
            }
            let is_expected =
                signers.iter().all(|signer| facts.honest[*signer as usize] && !self.down.contains(signer));
            let none = BTreeSet::new();
            let completed = self.completed.get(session).unwrap_or(&none);
            let lacking: Vec<u32> = signers.iter().filter(|signer| !completed.contains(signer)).copied().collect();
            if is_expected && !lacking.is_empty() {
                missing.push(format!("{session} has not completed at {lacking:?}"));
            }
        }
        missing
    }
}
