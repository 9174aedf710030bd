//! A report on a run as one self-contained HTML page: numbers, plots, and the course of single sessions.
//!
//! Owns what the page shows and gathers it while the run goes on, within bounds. Invariant: the page follows from the
//! run alone, and nothing in it is loaded from anywhere. Driven by [`Run::trace`](crate::run::Run::trace).

mod diagram;
mod page;
pub(crate) mod plot;
mod sequence;
mod timeline;

use std::collections::BTreeMap;

use nelumbo_core::api::Event;
use nelumbo_core::wire::SessionId;

use crate::engine::{Nanos, Observed};
use crate::peer::Observation;
use crate::pending_sessions::PendingSessions;
use crate::schedule::{MILLISECOND, Schedule};
use crate::summary::Summary;
use sequence::Course;
use timeline::Outages;

/// How many sessions are followed message by message: the first ones.
const FOLLOWED: usize = 100;

/// A report that is being gathered.
#[derive(Debug)]
pub struct Report {
    schedule: Schedule,
    pending: PendingSessions,
    asked: BTreeMap<SessionId, Nanos>,
    /// When sessions were created, when signers had their signatures, when coordinators failed: in milliseconds.
    created_ms: Vec<f64>,
    completed_ms: Vec<f64>,
    failed_ms: Vec<f64>,
    latencies_ms: Vec<f64>,
    messages: BTreeMap<&'static str, u64>,
    outages: Outages,
    courses: BTreeMap<SessionId, Course>,
}

impl Report {
    /// A report on the run of this schedule.
    #[must_use]
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            schedule: schedule.clone(),
            pending: PendingSessions::default(),
            asked: BTreeMap::new(),
            created_ms: Vec::new(),
            completed_ms: Vec::new(),
            failed_ms: Vec::new(),
            latencies_ms: Vec::new(),
            messages: BTreeMap::new(),
            outages: Outages::default(),
            courses: BTreeMap::new(),
        }
    }

    /// Adds an observation of a peer.
    pub fn see(&mut self, observed: &Observed<Observation>) {
        let at_ms = milliseconds(observed.stamp.at);
        if let Some((session, pending)) = self.pending.see(observed) {
            self.created_ms.push(at_ms);
            self.asked.insert(session, pending.requested_at);
            if self.courses.len() < FOLLOWED {
                self.courses.insert(session, Course::new(pending.requested_at, &pending.signers));
            }
        }
        match &observed.observation {
            Observation::Up => self.outages.on_up(observed.stamp.at, observed.node),
            Observation::Down => self.outages.on_down(observed.stamp.at, observed.node),
            Observation::Arrived(arrival) if arrival.bytes > 0 => *self.messages.entry(arrival.kind).or_default() += 1,
            Observation::Event(Event::CoordinatorFailed { .. }) => self.failed_ms.push(at_ms),
            Observation::Event(Event::SessionCompleted { session, .. }) => {
                self.completed_ms.push(at_ms);
                self.latencies_ms.extend(self.asked.get(session).map(|asked| at_ms - milliseconds(*asked)));
            }
            _ => {}
        }
        if !self.courses.is_empty() {
            sequence::follow(&mut self.courses, observed);
        }
    }

    /// The page.
    #[must_use]
    pub fn page(&self, summary: &Summary) -> String {
        page::page(self, summary)
    }
}

const fn milliseconds(at: Nanos) -> f64 {
    at as f64 / MILLISECOND as f64
}

/// A text, escaped for HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use crate::run::Run;
    use crate::scenario::Scenario;

    use super::*;

    #[test]
    fn a_page_is_whole_and_the_same_each_time() {
        let text = Scenario::text("churn").expect("ready");
        let schedule = Scenario::from_toml(text, &["sessions=3".into()]).expect("sound").schedule(1);
        let page = || {
            let mut report = Report::new(&schedule);
            let summary = Run::new(&schedule).trace(|observed| report.see(observed)).summary();
            report.page(&summary)
        };
        let one = page();
        assert_eq!(one, page());
        for part in ["Latency", "Messages by kind", "Failovers", "Who could not be reached", "announce", "</html>"] {
            assert!(one.contains(part), "{part}");
        }
        assert_eq!(one.matches("<svg").count(), one.matches("</svg>").count());
        assert!(!one.contains("http://") || one.matches("http://").count() == one.matches("http://www.w3.org").count());
        assert!(!one.contains("NaN") && !one.contains("inf"));
    }

    #[test]
    fn what_is_shown_cannot_break_the_page() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
