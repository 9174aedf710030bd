//! A trace in the format that Perfetto and Chrome show: a track for each node, a span for each session at each signer,
//! an instant for each event.
//!
//! Invariant: every span that begins ends, at the latest with the trace.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use nelumbo_core::wire::SessionId;
use serde_json::{Value, json};

use super::{Row, Trace};

pub(super) struct Perfetto<W> {
    file: W,
    named: BTreeSet<u32>,
    /// Which sessions are open at which node.
    open: BTreeMap<(u32, SessionId), ()>,
    last: u64,
}

/// The events that begin a session at a signer, and those that end it.
const BEGINS: [&str; 2] = ["session-created", "session-announced"];
const ENDS: [&str; 3] = ["session-completed", "session-aborted", "session-expired"];

impl<W: Write> Perfetto<W> {
    pub(super) fn new(mut file: W) -> io::Result<Self> {
        file.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}")?;
        Ok(Self { file, named: BTreeSet::new(), open: BTreeMap::new(), last: 0 })
    }

    fn write(&mut self, event: &Value) -> io::Result<()> {
        self.file.write_all(b",\n")?;
        serde_json::to_writer(&mut self.file, event).map_err(io::Error::from)
    }

    fn span(&mut self, phase: &str, at: u64, node: u32, session: &SessionId) -> io::Result<()> {
        let name = format!("{session:?}");
        let id = format!("{node}-{session}");
        let ts = at as f64 / 1e3;
        self.write(&json!({"ph": phase, "cat": "session", "name": name, "id": id, "ts": ts, "pid": node, "tid": 0}))
    }
}

impl<W: Write> Trace for Perfetto<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let (node, at) = (row.node, row.at);
        self.last = at;
        if self.named.insert(node) {
            let name = format!("node {node}");
            self.write(&json!({"ph": "M", "name": "process_name", "pid": node, "tid": 0, "args": {"name": name}}))?;
        }
        if row.kind == "event"
            && let Some(session) = &row.session
        {
            if BEGINS.contains(&&*row.name) && self.open.insert((node, *session), ()).is_none() {
                self.span("b", at, node, session)?;
            }
            if ENDS.contains(&&*row.name) && self.open.remove(&(node, *session)).is_some() {
                self.span("e", at, node, session)?;
            }
        }
        let mut fields = json!({"from": row.source, "bytes": row.bytes});
        if let Some(session) = &row.session {
            fields["session"] = json!(session.to_string());
        }
        if let Some(detail) = &row.detail {
            fields["detail"] = json!(detail);
        }
        let ts = at as f64 / 1e3;
        self.write(&json!({
            "ph": "i", "s": "t", "cat": row.kind, "name": row.name, "ts": ts, "pid": node, "tid": 0, "args": fields,
        }))
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        for (node, session) in std::mem::take(&mut self.open).into_keys() {
            self.span("e", self.last, node, &session)?;
        }
        self.file.write_all(b"\n]}\n")?;
        self.file.flush()
    }
}
