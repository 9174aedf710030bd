//! Checks what must never happen, and what must happen in the end, from the observations of nodes.
//!
//! Invariant: a checker sees the observations of nodes in the order of events, and nothing else; it changes nothing.
//! Each is in a file of its own, and a test shows each of them firing.

mod agreement;
mod blame;
mod claims;
mod completions;
mod coordinators;
mod copies;
mod expiry;
mod limits;
mod liveness;
mod newcomers;
mod nonces;
mod partials;
mod promise;
mod signatures;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use nelumbo_core::crypto::{PublicKey, Signature};
use nelumbo_core::wire::{Content, Definition, SessionId, SessionMessage};

use crate::engine::{Nanos, Observed};
use crate::peer::{Observation, session_step};
use crate::simulation::KEPT;

/// What checkers know of the simulation.
#[derive(Debug)]
pub struct GroundTruth {
    /// Whether each node is to be honest, by number.
    pub honest: Vec<bool>,
    /// The node with each key. A copy of a node has that node's key.
    pub nodes: BTreeMap<PublicKey, u32>,
    /// Machines of honest owners that are copied or resumed, so that one key has two lives, each with the node whose
    /// key it has. They are not held to what honest nodes are.
    pub copies: BTreeMap<u32, u32>,
    /// The definitions of the sessions that have been announced so far.
    pub sessions: BTreeMap<SessionId, Arc<Definition>>,
    /// Whether these are the final signatures of this session, judged apart from any node.
    pub is_final: fn(&Definition, &[Signature]) -> bool,
    /// Whether each node is to be honest, and its clocks go as time does.
    pub steady: Vec<bool>,
    /// When the last fault has ended.
    pub healed: Nanos,
    /// When everything that honest signers have begun must have ended, if the run goes on for so long.
    pub settled: Option<Nanos>,
    /// How long a turn to broadcast is.
    pub turn: Nanos,
}

impl GroundTruth {
    /// Whether the holder of this key is to be honest.
    #[must_use]
    pub fn is_honest(&self, key: &PublicKey) -> bool {
        self.nodes.get(key).is_some_and(|node| self.honest[*node as usize])
    }

    fn is_steady(&self, node: u32) -> bool {
        self.steady.get(node as usize) == Some(&true)
    }
}

/// An observation of a node, with the session's message in it when the node has sent one that it signed itself.
#[derive(Debug)]
pub struct NodeObservation<'a> {
    /// The observation.
    pub observed: &'a Observed<Observation>,
    /// The message of a session, when the node has sent one that it signed itself.
    pub step: Option<&'a SessionMessage>,
    /// The node's key.
    pub key: PublicKey,
}

/// Something that must hold.
pub trait Checker: Send {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Whether it looks at nodes whose key has two lives, and at no others.
    fn is_for_copies(&self) -> bool {
        false
    }

    /// Checks an observation of an honest node, or of one whose key has two lives.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn see(&mut self, truth: &GroundTruth, seen: &NodeObservation<'_>) -> Result<(), String>;

    /// Checks the whole run at its end; returns in words what is wrong.
    fn end(&mut self, _: &GroundTruth) -> Vec<String> {
        Vec::new()
    }
}

/// All checkers of this crate.
#[must_use]
pub fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(nonces::Nonces::default()),
        Box::new(partials::Partials::default()),
        Box::new(copies::Copies::default()),
        Box::new(signatures::Signatures::default()),
        Box::new(agreement::Agreement::default()),
        Box::new(blame::Blame),
        Box::new(limits::Limits),
        Box::new(coordinators::Coordinators::default()),
        Box::new(liveness::Liveness::default()),
        Box::new(told::Told::default()),
        Box::new(expiry::Expiry::default()),
        Box::new(promise::Promise::default()),
        Box::new(newcomers::Newcomers::default()),
        Box::new(claims::Claims::default()),
    ]
}

/// Something that a checker found wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// The name of the checker.
    pub checker: String,
    /// When, in nanoseconds of virtual time; the end of the run for what is missing then.
    pub at: u64,
    /// The node at which it happened, if it is about one.
    pub node: Option<u32>,
    /// The event: the machine that caused it, and its number among that machine's events.
    pub event: Option<(u32, u64)>,
    /// What is wrong, in words.
    pub what: String,
}

impl Violation {
    /// A violation that a checker found at an event.
    pub(crate) fn at<N>(checker: &str, observed: &Observed<N>, what: String) -> Self {
        let event = Some((observed.stamp.source, observed.stamp.sequence));
        Self { checker: checker.into(), at: observed.stamp.at, node: Some(observed.node), event, what }
    }
}

/// The checkers with what they know and what they have found.
pub(crate) struct CheckerSet {
    pub(crate) truth: GroundTruth,
    checkers: Vec<Box<dyn Checker>>,
    keys: Vec<Option<PublicKey>>,
    pub(crate) violations: Vec<Violation>,
}

impl CheckerSet {
    pub(crate) fn new(truth: GroundTruth, checkers: Vec<Box<dyn Checker>>) -> Self {
        let mut keys = vec![None; truth.honest.len()];
        truth.nodes.iter().for_each(|(key, node)| keys[*node as usize] = Some(*key));
        truth.copies.iter().for_each(|(copy, node)| keys[*copy as usize] = keys[*node as usize]);
        Self { truth, checkers, keys, violations: Vec::new() }
    }

    pub(crate) fn see(&mut self, observed: &Observed<Observation>) {
        let sent = match &observed.observation {
            Observation::Sent { bytes, .. } => session_step(bytes),
            _ => None,
        };
        if let Some((_, SessionMessage { session, content: Content::Announce { definition, .. }, .. })) = &sent
            && !self.truth.sessions.contains_key(session)
            && definition.id() == *session
        {
            self.truth.sessions.insert(*session, definition.clone());
        }
        let Some(key) = self.keys[observed.node as usize] else { return };
        let is_copy = self.truth.copies.contains_key(&observed.node);
        if !is_copy && !self.truth.honest[observed.node as usize] {
            return;
        }
        // Messages of others are passed on to those who lack them.
        let step = sent.filter(|(author, _)| *author == key).map(|(_, step)| step);
        let seen = NodeObservation { observed, step: step.as_ref(), key };
        for checker in self.checkers.iter_mut().filter(|checker| checker.is_for_copies() == is_copy) {
            if let Err(what) = checker.see(&self.truth, &seen)
                && self.violations.len() < KEPT
            {
                self.violations.push(Violation::at(checker.name(), observed, what));
            }
        }
    }

    pub(crate) fn end(&mut self, at: u64) {
        for checker in &mut self.checkers {
            for what in checker.end(&self.truth) {
                self.violations.push(Violation { checker: checker.name().into(), at, node: None, event: None, what });
            }
        }
    }
}
