//! Once the network has healed, everything honest comes to its end: each session among honest signers that its creator
//! was told of completes at every signer, unless somebody refused it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use super::{Checker, Facts, Sight};
use crate::peer::Note;

#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// What was asked for and is not durable yet, by node, in order.
    asked: BTreeMap<u32, VecDeque<Vec<u32>>>,
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
        match &sight.noted.note {
            Note::Up => drop(self.down.remove(&node)),
            Note::Down => {
                self.down.insert(node);
                self.asked.remove(&node);
            }
            Note::Asked(Some(signers)) => self.asked.entry(node).or_default().push_back(signers.clone()),
            Note::Event(Event::SessionCreated { session, .. }) => {
                if let Some(signers) = self.asked.get_mut(&node).and_then(VecDeque::pop_front) {
                    self.created.insert(*session, signers);
                }
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
