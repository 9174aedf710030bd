//! The course of a session as a sequence diagram: a line for each signer, an arrow for each message, marks for events.
//!
//! Invariant: a course is bounded; what comes after its bound is counted and not shown.

use std::collections::BTreeMap;

use nelumbo_core::api::{AttemptFailure, Event};
use nelumbo_core::wire::SessionId;

use super::milliseconds;
use crate::engine::{Nanos, Observed};
use crate::peer::Observation;

/// How many messages and marks of a session are shown.
const SHOWN: usize = 240;

#[derive(Debug)]
pub(super) enum Item {
    Message { from: u32, to: u32, sent: Nanos, arrived: Option<Nanos>, kind: &'static str },
    Mark { node: u32, at: Nanos, text: String, class: &'static str },
}

/// The messages and events of a session.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) asked: Nanos,
    pub(super) signers: Vec<u32>,
    pub(super) items: Vec<Item>,
    pub(super) left_out: u64,
    /// When a signer sent the message with this hash to another one, and where that stands among the items.
    sent: BTreeMap<(u32, u32, u64), (Nanos, Option<usize>)>,
    completed: usize,
    last: Nanos,
}

impl Course {
    pub(super) fn new(asked: Nanos, signers: &[u32]) -> Self {
        Self {
            asked,
            signers: signers.to_vec(),
            items: Vec::new(),
            left_out: 0,
            sent: BTreeMap::new(),
            completed: 0,
            last: asked,
        }
    }

    fn push(&mut self, item: Item) {
        if self.items.len() < SHOWN { self.items.push(item) } else { self.left_out += 1 }
    }

    fn mark(&mut self, at: Nanos, node: u32, text: impl Into<String>, class: &'static str) {
        self.push(Item::Mark { node, at, text: text.into(), class });
    }

    /// Its title in the list of sessions.
    pub(super) fn title(&self, session: &SessionId) -> String {
        let (took, signers) = (milliseconds(self.took()), self.signers.len());
        let end = if self.completed == signers {
            format!("complete at all after {took:.0} ms")
        } else {
            format!("complete at {} of {signers}", self.completed)
        };
        format!("{session:?} · from {:.3} s · {signers} signers · {end}", self.asked as f64 / 1e9)
    }

    /// How long it took until the last signer that has the signature had it.
    pub(super) const fn took(&self) -> Nanos {
        self.last - self.asked
    }

    /// Whether everything is as it should be.
    pub(super) fn is_complete(&self) -> bool {
        self.completed == self.signers.len()
    }
}

/// Adds an observation of a peer to the sessions that it belongs to.
pub(super) fn follow(courses: &mut BTreeMap<SessionId, Course>, observed: &Observed<Observation>) {
    let (at, node) = (observed.stamp.at, observed.node);
    match &observed.observation {
        Observation::Dispatched(to, message) => {
            let Some(course) = message.session.and_then(|session| courses.get_mut(&session)) else { return };
            // Lost, as long as it has not arrived.
            let place = course.items.len();
            course.push(Item::Message { from: node, to: *to, sent: at, arrived: None, kind: message.kind });
            let place = (place < course.items.len()).then_some(place);
            course.sent.insert((node, *to, message.digest), (at, place));
        }
        Observation::Arrived(arrival) => {
            let Some(course) = arrival.session.and_then(|session| courses.get_mut(&session)) else { return };
            let from = observed.stamp.source;
            let sent = course.sent.get_mut(&(from, node, arrival.digest));
            let (sent, place) = sent.map_or((at, None), |(sent, place)| (*sent, place.take()));
            match place.and_then(|place| course.items.get_mut(place)) {
                Some(Item::Message { arrived, .. }) => *arrived = Some(at),
                // What the network has doubled, or a relay has passed on.
                _ => course.push(Item::Message { from, to: node, sent, arrived: Some(at), kind: arrival.kind }),
            }
        }
        Observation::Event(event) => on_event(courses, at, node, event),
        Observation::Up | Observation::Down => {
            let text = if observed.observation == Observation::Up { "starts" } else { "crashes" };
            for course in courses.values_mut().filter(|course| course.signers.contains(&node)) {
                if !course.is_complete() {
                    course.mark(at, node, text, "bad");
                }
            }
        }
        _ => {}
    }
}

fn on_event(courses: &mut BTreeMap<SessionId, Course>, at: Nanos, node: u32, event: &Event) {
    let (session, text, class) = match event {
        Event::SessionCreated { session, .. } => (session, "creates".to_owned(), "mark"),
        Event::SessionCompleted { session, .. } => (session, "has the signature".to_owned(), "good"),
        Event::ShouldBroadcast { session } => (session, "its turn to broadcast".to_owned(), "mark"),
        Event::BroadcastClaimed { session, .. } => (session, "broadcast confirmed".to_owned(), "mark"),
        Event::CoordinatorFailed { session, failures, .. } => (session, format!("turn {failures} passed"), "bad"),
        Event::SessionAborted { session, .. } => (session, "aborted".to_owned(), "bad"),
        Event::SessionExpired { session, .. } => (session, "expired".to_owned(), "bad"),
        Event::AttemptStarted { session, attempt, .. } => (session, format!("attempt {attempt}"), "mark"),
        Event::AttemptLapsed { session, .. } => (session, "waits".to_owned(), "mark"),
        Event::AttemptFailed { session, failure, .. } => {
            let why = match failure {
                AttemptFailure::InvalidPartial(_) => "invalid partial signature",
                AttemptFailure::InvalidNonce(_) => "invalid nonce",
                AttemptFailure::SplitView(_) => "split view",
                AttemptFailure::NoncesCancel => "nonces cancel",
                AttemptFailure::Stuck(_) => "stuck",
                AttemptFailure::Signer(_) => "its signer fails",
            };
            (session, why.to_owned(), "bad")
        }
        _ => return,
    };
    let Some(course) = courses.get_mut(session) else { return };
    if matches!(event, Event::SessionCompleted { .. }) {
        course.completed += 1;
        course.last = at;
    }
    course.mark(at, node, text, class);
}
