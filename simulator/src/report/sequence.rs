//! The course of a session as a sequence diagram: a line for each signer, an arrow for each message, marks for events.
//!
//! Invariant: a course is bounded; what comes after its bound is counted and not shown.

use std::collections::BTreeMap;
use std::fmt::Write;

use nelumbo_core::api::{AttemptFailure, Event};
use nelumbo_core::wire::SessionId;

use super::milliseconds;
use crate::engine::{Nanos, Observed};
use crate::peer::{Observation, kind_of};
use crate::random::fold;

/// How many messages and marks of a session are shown.
const SHOWN: usize = 240;
const COLUMN: f64 = 200.0;
/// Room for words beside the last line.
const RIGHT: f64 = 60.0;
const LEFT: f64 = 110.0;
const TOP: f64 = 34.0;
const ROW: f64 = 17.0;

#[derive(Debug)]
enum Item {
    Message { from: u32, to: u32, sent: Nanos, arrived: Nanos, kind: &'static str },
    Mark { node: u32, at: Nanos, text: String, class: &'static str },
}

/// The messages and events of a session.
#[derive(Debug)]
pub(super) struct Course {
    asked: Nanos,
    signers: Vec<u32>,
    items: Vec<Item>,
    left_out: u64,
    /// When a signer sent the message with this hash.
    sent: BTreeMap<(u32, u64), Nanos>,
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
        Observation::Sent { bytes, .. } => {
            let (_, session) = kind_of(bytes);
            if let Some(course) = session.and_then(|session| courses.get_mut(&session)) {
                course.sent.insert((node, fold(0, bytes)), at);
            }
        }
        Observation::Arrived(arrival) => {
            let Some(course) = arrival.session.and_then(|session| courses.get_mut(&session)) else { return };
            let from = observed.stamp.source;
            let sent = course.sent.get(&(from, arrival.digest)).copied().unwrap_or(at);
            course.push(Item::Message { from, to: node, sent, arrived: at, kind: arrival.kind });
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

/// The diagram as SVG: time goes downwards, with a row for each time at which something happens.
pub(super) fn diagram(course: &Course) -> String {
    let mut moments: Vec<Nanos> = Vec::new();
    for item in &course.items {
        match item {
            Item::Message { sent, arrived, .. } => moments.extend([*sent, *arrived]),
            Item::Mark { at, .. } => moments.push(*at),
        }
    }
    moments.sort_unstable();
    moments.dedup();
    let y = |at: Nanos| TOP + 20.0 + ROW * moments.partition_point(|moment| *moment < at) as f64;
    let x = |node: u32| {
        let column = course.signers.iter().position(|signer| *signer == node).unwrap_or(course.signers.len());
        LEFT + COLUMN * (column as f64 + 0.5)
    };
    let (width, height) =
        (LEFT + COLUMN * course.signers.len() as f64 + RIGHT, TOP + 40.0 + ROW * moments.len() as f64);
    let mut svg = format!("<svg class=\"sequence\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\">");
    for (row, at) in moments.iter().enumerate() {
        let y = TOP + 24.0 + ROW * row as f64;
        let passed = milliseconds(*at - course.asked.min(*at));
        let _ = write!(svg, "<text text-anchor=\"end\" x=\"{:.1}\" y=\"{y:.1}\">{passed:.1} ms</text>", LEFT - 30.0);
    }
    for node in &course.signers {
        let x = x(*node);
        let end = height - 8.0;
        let _ = write!(
            svg,
            "<text class=\"who\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"18\">node {node}</text>\
             <line class=\"life\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{end:.1}\"/>"
        );
    }
    // Marks are drawn over arrows.
    let (messages, marks): (Vec<_>, Vec<_>) =
        course.items.iter().partition(|item| matches!(item, Item::Message { .. }));
    for item in messages.into_iter().chain(marks) {
        match item {
            Item::Message { from, to, sent, arrived, kind } => {
                let (from, to, top, end) = (x(*from), x(*to), y(*sent), y(*arrived));
                let head = if to > from { -6.0 } else { 6.0 };
                let (back, up, down) = (to + head, end - 4.0, end + 4.0);
                // Where the label is, on the way: nearer to the receiver, so that labels from one sender stand apart.
                let (label_x, label_y) = (from + (to - from) * 0.62, top + (end - top) * 0.62 - 3.0);
                let _ = write!(
                    svg,
                    "<g class=\"message {kind}\">\
                     <line x1=\"{from:.1}\" y1=\"{top:.1}\" x2=\"{to:.1}\" y2=\"{end:.1}\"/>\
                     <path d=\"M{to:.1} {end:.1}L{back:.1} {up:.1}L{back:.1} {down:.1}Z\"/>\
                     <text text-anchor=\"middle\" x=\"{label_x:.1}\" y=\"{label_y:.1}\">{kind}</text></g>"
                );
            }
            Item::Mark { node, at, text, class } => {
                let (x, y) = (x(*node), y(*at));
                let _ = write!(
                    svg,
                    "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\
                     <text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                    x + 8.0,
                    y + 4.0,
                );
            }
        }
    }
    svg.push_str("</svg>");
    if course.left_out > 0 {
        let _ = write!(svg, "<p class=\"none\">and {} more messages and events</p>", course.left_out);
    }
    svg
}
