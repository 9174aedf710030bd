//! What has happened to a node lately.
//!
//! Owns the newest events, numbered from 1 at each start. Invariants: what is kept is bounded in number and in bytes;
//! nobody who reads slowly holds up the node or makes it remember more, but is told how many events were missed. The
//! node's life writes it; the terminal and whoever follows over the socket read it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nelumbo_core::approval::Summary;
use nelumbo_core::wire::Harmless;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::output;

const MAX_ENTRIES: usize = 1024;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its place since the node started.
    pub(crate) number: u64,
    /// When the node noted it: milliseconds since 1970-01-01 UTC.
    pub(crate) time: u64,
    /// What happened, as one JSON object with a field `event`.
    pub(crate) event: Box<RawValue>,
}

impl Entry {
    /// In one line, for programs or for people.
    pub(crate) fn line(&self, json: bool) -> String {
        if json { output::json_text(self) } else { self.to_string() }
    }
}

/// The line that stands for events that were lost.
pub(crate) fn missed_line(missed: u64, json: bool) -> String {
    if json { format!("{{\"missed\":{missed}}}") } else { format!("{missed} events were missed") }
}

/// For people, in one line: when, what, and the fields.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time / 1000;
        write!(f, "{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)?;
        let mut fields: Map<String, Value> = serde_json::from_str(self.event.get()).unwrap_or_default();
        if let Some(event) = fields.remove("event") {
            write!(f, " {}", plain("event", &event))?;
        }
        let fields = fields.iter().filter(|(_, value)| !value.is_null());
        fields.into_iter().try_for_each(|(name, value)| write!(f, " {name}={}", plain(name, value)))
    }
}

/// Without quotes where that is clear, and a summary in one line. Peers choose some of these texts: all are made
/// harmless.
fn plain(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) if !text.contains([' ', '"']) => Harmless(text).to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => values.iter().map(|value| plain("", value)).collect::<Vec<_>>().join(","),
        Value::Object(_) if name == "summary" => match serde_json::from_value::<Summary>(value.clone()) {
            Ok(summary) => quoted(&format!("{summary}; it is said: {}", summary.description)),
            Err(_) => Harmless(&value.to_string()).to_string(),
        },
        other => Harmless(&other.to_string()).to_string(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", Harmless(&text.replace('"', "\\\"")))
}

/// See the module's documentation. Clones share one log.
#[derive(Clone, Debug)]
pub(crate) struct EventLog {
    kept: Arc<Mutex<Kept>>,
    newest: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    newest: u64,
    is_closed: bool,
}

/// What a follower gets next.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// An event.
    Entry(Arc<Entry>),
    /// So many events went by unread and are gone. What follows is in order again.
    Missed(u64),
}

/// Reads a log from some event on.
#[derive(Debug)]
pub(crate) struct Follower {
    log: EventLog,
    /// The newest event that it has had, or missed.
    seen: u64,
    newest: watch::Receiver<u64>,
}

impl EventLog {
    pub(crate) fn new() -> Self {
        Self { kept: Arc::default(), newest: Arc::new(watch::Sender::new(0)) }
    }

    /// Notes an event.
    pub(crate) fn note(&self, time: u64, event: &impl Serialize) {
        let event = serde_json::value::to_raw_value(event).expect("events are made of texts, numbers and lists");
        self.change(|kept| {
            kept.newest += 1;
            kept.bytes += event.get().len();
            kept.entries.push_back(Arc::new(Entry { number: kept.newest, time, event }));
            while kept.entries.len() > MAX_ENTRIES || (kept.bytes > MAX_BYTES && kept.entries.len() > 1) {
                let oldest = kept.entries.pop_front();
                kept.bytes -= oldest.map_or(0, |oldest| oldest.event.get().len());
            }
        });
    }

    /// Notes that so many events got lost before they could be noted.
    pub(crate) fn skip(&self, events: u64) {
        self.change(|kept| kept.newest += events);
    }

    /// Nothing follows: followers come to their end.
    pub(crate) fn close(&self) {
        self.change(|kept| kept.is_closed = true);
    }

    /// Reads what comes after the event with this number; without one, what comes from now on.
    pub(crate) fn follow(&self, after: Option<u64>) -> Follower {
        let seen = after.unwrap_or_else(|| self.lock().newest);
        Follower { log: self.clone(), seen, newest: self.newest.subscribe() }
    }

    /// Waits until nobody follows any more.
    pub(crate) async fn read_to_the_end(&self) {
        self.newest.closed().await;
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let newest = {
            let mut kept = self.lock();
            change(&mut kept);
            kept.newest
        };
        self.newest.send_replace(newest);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// What comes next, if it is there already.
    pub(crate) fn try_next(&mut self) -> Option<Next> {
        let kept = self.log.lock();
        let place = kept.entries.partition_point(|entry| entry.number <= self.seen);
        // An event that is in no entry is gone: lost before, or pushed out since.
        let next = kept.entries.get(place).map_or(kept.newest + 1, |entry| entry.number);
        // Whoever asks for what comes after a number of an earlier life of the node may be ahead.
        let missed = next.saturating_sub(self.seen).saturating_sub(1);
        if missed > 0 {
            self.seen = next - 1;
            return Some(Next::Missed(missed));
        }
        let entry = kept.entries.get(place)?.clone();
        self.seen = entry.number;
        Some(Next::Entry(entry))
    }

    /// What comes next; `None` at the end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        loop {
            self.newest.borrow_and_update();
            // In this order: what is noted last is noted before the end.
            let is_closed = self.log.lock().is_closed;
            if let Some(next) = self.try_next() {
                return Some(next);
            }
            if is_closed || self.newest.changed().await.is_err() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(follower: &mut Follower) -> Vec<Result<u64, u64>> {
        let mut seen = Vec::new();
        while let Some(next) = follower.try_next() {
            seen.push(match next {
                Next::Entry(entry) => Ok(entry.number),
                Next::Missed(missed) => Err(missed),
            });
        }
        seen
    }

    #[test]
    fn a_slow_follower_is_told_what_it_missed() {
        let log = EventLog::new();
        let (mut from_now, mut from_start) = (log.follow(None), log.follow(Some(0)));
        for _ in 0..MAX_ENTRIES + 10 {
            log.note(0, &"event");
        }
        for follower in [&mut from_now, &mut from_start] {
            let seen = numbers(follower);
            assert_eq!((seen.len(), seen[0], seen[1]), (MAX_ENTRIES + 1, Err(10), Ok(11)));
            assert_eq!(seen.last(), Some(&Ok(MAX_ENTRIES as u64 + 10)));
        }
        log.skip(3);
        assert_eq!(numbers(&mut from_now), [Err(3)]);
        log.note(0, &"event");
        assert_eq!(numbers(&mut from_now), [Ok(MAX_ENTRIES as u64 + 14)]);
        let newest = MAX_ENTRIES as u64 + 14;
        assert_eq!(numbers(&mut log.follow(Some(newest - 5))), [Ok(newest - 4), Err(3), Ok(newest)]);
    }

    #[test]
    fn large_events_push_out_more() {
        let log = EventLog::new();
        let large = "x".repeat(MAX_BYTES / 4);
        for _ in 0..10 {
            log.note(0, &large);
        }
        assert_eq!(numbers(&mut log.follow(Some(0))), [Err(7), Ok(8), Ok(9), Ok(10)]);
        log.note(0, &"x".repeat(2 * MAX_BYTES));
        assert_eq!(numbers(&mut log.follow(Some(10))), [Ok(11)], "the newest is always there");
    }

    #[test]
    fn nothing_comes_before_its_time() {
        let log = EventLog::new();
        for seen in [7, u64::MAX] {
            let mut ahead = log.follow(Some(seen));
            log.note(0, &"event");
            assert_eq!(numbers(&mut ahead), []);
        }
    }

    #[test]
    fn what_a_peer_says_about_itself_does_not_command_the_terminal() {
        let log = EventLog::new();
        log.note(
            3_723_000,
            &serde_json::json!({
                "event": "peer-updated", "agent": "evil\u{1b}[2J \"one\"\u{202e}", "peer": "12D3",
                "addresses": ["/a", "/b"], "error": null
            }),
        );
        let Some(Next::Entry(entry)) = log.follow(Some(0)).try_next() else { panic!("there is an event") };
        let line = r#"01:02:03Z peer-updated addresses=/a,/b agent="evil\u{1b}[2J \"one\"\u{202e}" peer=12D3"#;
        assert_eq!(entry.to_string(), line);
    }

    #[tokio::test]
    async fn the_last_event_comes_before_the_end() {
        let log = EventLog::new();
        let mut follower = log.follow(None);
        log.note(0, &"event");
        log.close();
        assert!(matches!(follower.next().await, Some(Next::Entry(_))));
        assert!(follower.next().await.is_none());
    }
}
