//! The demonstration among strangers: nodes that do not know each other's keys find each other, ask, approve and sign.
//!
//! Owns the order of its parts and their timeline. Invariant: no node is told another's key. The strangers know the
//! address of one node that signs nothing; whom to sign with, the one who asks learns from the network alone. `course`
//! drives it.

use std::collections::BTreeSet;
use std::time::Instant;

use nelumbo_core::crypto::{KeyAggContext, PublicKey, Signature, sort_keys};
use nelumbo_core::election::{Election, Method};
use nelumbo_core::wire::SessionId;
use serde::Serialize;

use super::course::{Course, are_valid};
use super::messages::{Order, Report};
use super::outcome::{Outcome, Phases, millis};
use super::stages::{Stage, named};
use crate::failure::Failure;
use crate::output;

/// Nodes that sign nothing: the one that everybody knows, and two that look on.
pub(super) const BYSTANDERS: usize = 3;
/// The stranger that asks.
const ASKING: usize = BYSTANDERS;

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Discovery {
    bystanders: usize,
    timeline: Vec<Entry>,
}

/// A row of the timeline.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    /// Since the start of the demonstration.
    ms: f64,
    node: usize,
    event: Moment,
}

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Moment {
    Advertised,
    SignersFound,
    RequestFound,
    Approved,
    NoncesExchanged,
    SessionCompleted,
}

impl Moment {
    const fn of(report: &Report) -> Option<Self> {
        match report {
            Report::Advertised => Some(Self::Advertised),
            Report::Found { .. } => Some(Self::SignersFound),
            Report::Asked { .. } => Some(Self::RequestFound),
            Report::Approved { .. } => Some(Self::Approved),
            Report::NoncesExchanged { .. } => Some(Self::NoncesExchanged),
            Report::Signed { .. } => Some(Self::SessionCompleted),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Advertised => "advertised",
            Self::SignersFound => "signers-found",
            Self::RequestFound => "request-found",
            Self::Approved => "approved",
            Self::NoncesExchanged => "nonces-exchanged",
            Self::SessionCompleted => "session-completed",
        }
    }
}

/// What the nodes have told so far.
#[derive(Default)]
struct Story {
    events: Vec<(Instant, usize, Moment)>,
    found: Vec<PublicKey>,
    signatures: BTreeSet<(SessionId, Vec<Signature>)>,
}

/// Waits until something has happened to each of some nodes, and notes everything that happens meanwhile.
struct Until<'a> {
    what: Moment,
    nodes: &'a BTreeSet<usize>,
    /// How it is put that it has not happened.
    lacking: &'static str,
    story: &'a mut Story,
}

impl Stage for Until<'_> {
    fn take(&mut self, node: usize, at: Instant, report: Report) {
        if let Some(moment) = Moment::of(&report) {
            self.story.events.push((at, node, moment));
        }
        match report {
            Report::Found { keys } => self.story.found = keys,
            Report::Signed { session, signatures } => drop(self.story.signatures.insert((session, signatures))),
            _ => {}
        }
    }

    fn done(&self) -> usize {
        self.nodes.iter().filter(|node| self.has_happened(**node)).count()
    }

    fn missing(&self) -> Option<String> {
        let last = self.nodes.last().map_or(0, |last| last + 1);
        let waiting: Vec<bool> = (0..last).map(|node| self.nodes.contains(&node) && !self.has_happened(node)).collect();
        named(&waiting, |waits| *waits).map(|nodes| format!("{nodes} {}", self.lacking))
    }
}

impl Until<'_> {
    fn has_happened(&self, node: usize) -> bool {
        self.story.events.iter().any(|(_, other, moment)| (*other, *moment) == (node, self.what))
    }
}

impl Course<'_> {
    /// Advertise, find, request, approve, sign. `nodes` are the nodes' keys, which no node is told.
    pub(super) async fn discover(mut self, began: Instant, nodes: &[PublicKey]) -> Result<Outcome, Failure> {
        let started = Instant::now();
        self.progress.end(&[("start", started - began)]);
        let strangers: BTreeSet<usize> = (BYSTANDERS..nodes.len()).collect();
        let others: BTreeSet<usize> = strangers.iter().copied().filter(|node| *node != ASKING).collect();
        let mut story = Story::default();
        for node in &others {
            self.crew.order(*node, Order::Advertise).await?;
        }
        self.until(&mut story, Moment::Advertised, &others, "did not advertise").await?;
        self.crew.order(ASKING, Order::Find { others: others.len() }).await?;
        self.until(
            &mut story,
            Moment::SignersFound,
            &BTreeSet::from([ASKING]),
            "did not find every signer that advertises",
        )
        .await?;
        let commanded = Instant::now();
        let messages = self.plan.messages(0);
        let request = Order::Request { suite: self.plan.suite, messages: messages.iter().map(hex::encode).collect() };
        self.crew.order(ASKING, request).await?;
        self.until(&mut story, Moment::RequestFound, &others, "did not find the request").await?;
        let asked = Instant::now();
        self.until(&mut story, Moment::NoncesExchanged, &strangers, "did not get the nonces of all signers").await?;
        let exchanged = Instant::now();
        self.until(&mut story, Moment::SessionCompleted, &strangers, "did not get the signature").await?;
        let complete = Instant::now();
        let Story { mut events, found, signatures } = story;

        let mut keys: Vec<PublicKey> = found.iter().copied().chain([nodes[ASKING]]).collect();
        sort_keys(&mut keys);
        let expected: BTreeSet<PublicKey> = nodes[BYSTANDERS..].iter().copied().collect();
        let bug = |problem: &str| Failure::unmet(problem.to_owned(), "this is a bug: report it");
        if keys.iter().copied().collect::<BTreeSet<_>>() != expected {
            return Err(bug("the signers that were found are not those that advertise"));
        }
        let context = KeyAggContext::new(self.plan.suite, &keys).map_err(|error| bug(&error.to_string()))?;
        let mut all = signatures.iter();
        let (Some((_, signatures)), None) = (all.next(), all.next()) else {
            return Err(bug("the nodes have different signatures of one message"));
        };
        if !are_valid(&context, &messages, signatures) {
            return Err(bug("the signatures do not verify"));
        }
        let election = Election::new(Method::Lexicographic, &keys).map_err(|error| bug(&error.to_string()))?;
        events.sort_by_key(|(at, ..)| *at);
        let entry = |(at, node, event): &(Instant, usize, Moment)| {
            let ms = millis(at.saturating_duration_since(began));
            Entry { ms, node: node + 1, event: *event }
        };
        let discovery = Discovery { bystanders: BYSTANDERS, timeline: events.iter().map(entry).collect() };
        let phases_ms = Phases {
            start: millis(started - began),
            discovery: millis(commanded - started + (asked - commanded)),
            nonce_exchange: millis(exchanged - asked),
            partial_signatures: millis(complete - exchanged),
            repeats: None,
            failover: None,
        };
        let coordinator = keys[election.coordinator()];
        let parts = (context, keys, coordinator, signatures.clone(), phases_ms);
        Ok(Outcome { discovery: Some(discovery), ..self.outcome(parts, complete - began) })
    }

    async fn until(
        &mut self,
        story: &mut Story,
        what: Moment,
        nodes: &BTreeSet<usize>,
        lacking: &'static str,
    ) -> Result<(), Failure> {
        self.progress.begin(what.name(), nodes.len());
        let begun = Instant::now();
        self.wait_for(&mut Until { what, nodes, lacking, story }).await?;
        self.progress.end(&[(what.name(), begun.elapsed())]);
        Ok(())
    }
}

impl Discovery {
    /// Prints the timeline for people: what happens to several nodes is one row, from the first to the last.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let mut moments: Vec<Moment> = Vec::new();
        for Entry { event, .. } in &self.timeline {
            if !moments.contains(event) {
                moments.push(*event);
            }
        }
        output::line("timeline")?;
        moments.into_iter().try_for_each(|moment| {
            let rows: Vec<&Entry> = self.timeline.iter().filter(|entry| entry.event == moment).collect();
            let last = rows.iter().map(|row| row.node).max().unwrap_or(0);
            let nodes: Vec<bool> = (1..=last).map(|node| rows.iter().any(|row| row.node == node)).collect();
            let nodes = named(&nodes, |is_meant| *is_meant).unwrap_or_default();
            let (first, until) = (rows.first().map_or(0.0, |row| row.ms), rows.last().map_or(0.0, |row| row.ms));
            output::line(format_args!("{first:8.1} – {until:8.1} ms  {:20}  {nodes}", moment.name()))
        })
    }
}
