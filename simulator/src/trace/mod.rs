//! Everything that happens in a run, as rows: JSON lines, Parquet, or a trace for Perfetto and Chrome.
//!
//! Invariant: rows are in the order of events, and the same run gives the same bytes. Driven by
//! [`Run::trace`](crate::run::Run::trace).

pub mod diff;
mod json_lines;
#[cfg(feature = "parquet")]
mod parquet;
mod perfetto;

use std::borrow::Cow;
use std::io::{self, Write};

use nelumbo_core::wire::SessionId;
use serde::Serialize;
use serde_json::Value;

use crate::engine::{Nanos, Observed};
use crate::peer::{Observation, kind_of};

/// Something that happened. Several rows with the same time, source and sequence belong to one event: what arrived,
/// then what the node did about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row<'a> {
    /// The time in nanoseconds.
    pub at: Nanos,
    /// The node at which it happened.
    pub node: u32,
    /// The node that caused the event.
    pub source: u32,
    /// Which of that node's messages and timers it is.
    pub sequence: u64,
    /// `arrival`, `timer`, `sent`, `dispatch`, `event`, `state` or `trouble`.
    pub kind: &'static str,
    /// The name of the message, timer or event.
    pub name: Cow<'a, str>,
    /// The session that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// How many bytes; 0 for what is no message.
    pub bytes: u32,
    /// A hash of the content, so that two messages can be told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Further details, as JSON or text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl<'a> Row<'a> {
    /// The row of an observation.
    #[must_use]
    pub fn of(observed: &'a Observed<Observation>) -> Self {
        let row = |kind, name: &'static str| Self {
            at: observed.stamp.at,
            node: observed.node,
            source: observed.stamp.source,
            sequence: observed.stamp.sequence,
            kind,
            name: name.into(),
            session: None,
            bytes: 0,
            digest: None,
            detail: None,
        };
        match &observed.observation {
            Observation::Arrived(arrival) if arrival.bytes == 0 => row("timer", arrival.kind),
            Observation::Arrived(arrival) => Self {
                session: arrival.session,
                bytes: arrival.bytes,
                digest: Some(format!("{:016x}", arrival.digest)),
                ..row("arrival", arrival.kind)
            },
            Observation::Dispatched(to, message) => Self {
                session: message.session,
                bytes: message.bytes,
                digest: Some(format!("{:016x}", message.digest)),
                detail: Some(format!("to {to}")),
                ..row("dispatch", message.kind)
            },
            Observation::Sent { bytes, .. } => {
                let (name, session) = kind_of(bytes);
                let digest = Some(format!("{:016x}", crate::random::fold(0, bytes)));
                Self { session, bytes: bytes.len() as u32, digest, ..row("sent", name) }
            }
            Observation::Event(event) => {
                let Ok(Value::Object(mut fields)) = serde_json::to_value(event) else { return row("event", "unknown") };
                let mut text = |field| fields.remove(field).and_then(|value| value.as_str().map(str::to_owned));
                let (name, session) = (text("event"), text("session"));
                let detail = (!fields.is_empty()).then(|| Value::Object(fields).to_string());
                let session = session.and_then(|session| session.parse().ok());
                Self { name: name.unwrap_or_default().into(), session, detail, ..row("event", "") }
            }
            Observation::Up => row("state", "up"),
            Observation::Down => row("state", "down"),
            Observation::Connected(peer) => Self { detail: Some(format!("to {peer}")), ..row("state", "connected") },
            Observation::Disconnected(peer) => {
                Self { detail: Some(format!("from {peer}")), ..row("state", "disconnected") }
            }
            Observation::Restored { sessions, .. } => {
                let sessions: Vec<String> = sessions.iter().map(|(id, phase)| format!("{id} {phase:?}")).collect();
                Self { detail: Some(sessions.join(", ")), ..row("state", "restored") }
            }
            Observation::SignerAsked { slot, .. } => {
                let session = Some(SessionId::from_bytes(slot.session));
                Self { session, detail: Some(format!("attempt {}", slot.attempt)), ..row("state", "signer-asked") }
            }
            Observation::SessionRequested(signers) => {
                Self { detail: signers.as_ref().map(|all| format!("{all:?}")), ..row("state", "session-requested") }
            }
            Observation::LookupFinished(lookup) => {
                let detail = format!("{} hops, {} requests", lookup.hops, lookup.requests);
                Self { detail: Some(detail), ..row("state", "lookup-finished") }
            }
            Observation::Nat(nat_event) => row("state", nat_event.name()),
            Observation::Fault(trouble, what) => {
                Self { detail: Some(format!("{trouble:?}: {what}")), ..row("fault", "fault") }
            }
        }
    }
}

/// The forms that a trace can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// A table in columns, for data frames and databases.
    #[cfg(feature = "parquet")]
    Parquet,
    /// For <https://ui.perfetto.dev> and `chrome://tracing`.
    Perfetto,
}

impl Format {
    /// The format by a file's name.
    ///
    /// # Errors
    /// Which endings there are, when it has none of them.
    pub fn of(name: &str) -> Result<Self, &'static str> {
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("jsonl") => Ok(Self::JsonLines),
            Some("json") => Ok(Self::Perfetto),
            #[cfg(feature = "parquet")]
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(if cfg!(feature = "parquet") {
                "a trace ends in .jsonl (JSON lines), .parquet (Parquet) or .json (Perfetto, Chrome)"
            } else {
                "a trace ends in .jsonl (JSON lines) or .json (Perfetto, Chrome); \
                 .parquet takes a build with `--features parquet`"
            }),
        }
    }

    /// A writer of this form.
    ///
    /// # Errors
    /// What the file says.
    pub fn writer<'w>(self, file: impl Write + Send + 'w) -> io::Result<Box<dyn Trace + 'w>> {
        Ok(match self {
            Self::JsonLines => Box::new(json_lines::JsonLines(file)),
            #[cfg(feature = "parquet")]
            Self::Parquet => Box::new(parquet::Parquet::new(file)?),
            Self::Perfetto => Box::new(perfetto::Perfetto::new(file)?),
        })
    }
}

/// A trace that is being written.
pub trait Trace {
    /// Writes a row.
    ///
    /// # Errors
    /// What the file says.
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Writes what belongs at the end.
    ///
    /// # Errors
    /// What the file says.
    fn end(self: Box<Self>) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Run;
    use crate::scenario::Scenario;

    fn traced(format: Format) -> Vec<u8> {
        let settings = ["sessions=2".to_owned(), "nodes=3".to_owned()];
        let scenario = Scenario::from_toml(Scenario::text("quiet").expect("ready"), &settings).expect("sound");
        let mut schedule = scenario.schedule(1);
        schedule.until_ms = 30_000;
        let mut bytes = Vec::new();
        let mut trace = format.writer(&mut bytes).expect("memory takes everything");
        let summary = Run::new(&schedule).trace(|observed| trace.row(&Row::of(observed)).expect("memory")).summary();
        trace.end().expect("memory takes everything");
        assert_eq!((summary.violations.len(), summary.sessions.completed), (0, 2), "{summary}");
        bytes
    }

    #[test]
    fn json_lines_tell_every_event_in_order() {
        let text = String::from_utf8(traced(Format::JsonLines)).expect("text");
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert!(rows.is_sorted_by_key(|row| row["at"].as_u64()));
        let count = |name| rows.iter().filter(|row| row["name"] == name).count();
        assert_eq!((count("session-completed"), count("up")), (6, 3));
        assert!(
            rows.iter().any(|row| row["kind"] == "arrival" && row["name"] == "partial" && row["session"].is_string())
        );
    }

    #[test]
    fn a_trace_for_perfetto_is_one_object_with_a_track_for_each_node() {
        let trace: Value = serde_json::from_slice(&traced(Format::Perfetto)).expect("one object");
        let events = trace["traceEvents"].as_array().expect("a list");
        let named = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
        assert_eq!(named("M"), 3, "each node is named once");
        assert_eq!((named("b"), named("e")), (6, 6), "each signer's session begins and ends");
        assert!(named("i") > 100);
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn a_parquet_file_has_the_rows_of_the_json_lines() {
        use ::parquet::file::reader::{FileReader, SerializedFileReader};
        use ::parquet::record::RowAccessor;
        let reader = SerializedFileReader::new(bytes::Bytes::from(traced(Format::Parquet))).expect("a Parquet file");
        let rows: Vec<_> = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
        let lines = traced(Format::JsonLines);
        let lines: Vec<Value> =
            lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        assert_eq!(rows.len(), lines.len());
        for (row, line) in rows.iter().zip(&lines) {
            assert_eq!(row.get_long(0).ok(), line["at"].as_i64());
            assert_eq!(row.get_string(5).ok().map(String::as_str), line["name"].as_str());
            assert_eq!(row.get_string(6).ok().map(String::as_str), line["session"].as_str());
        }
    }
}
