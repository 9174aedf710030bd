//! `nelumbo simulate replay` of a live node's recording: the same node, given the same again.
//!
//! Owns what is told of it: a timeline of events, rows of a trace, and the end: identical, or the first step that comes
//! out otherwise. `replay` drives it when the file is a recording.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use nelumbo_core::api::{
    Command, Event, GossipId, Input, OperationId, PutId, RecordSequence, Refusal, SignRequest, Topic, Verdict,
};
use nelumbo_core::base::{Bytes, Now};
use nelumbo_core::host::Host;
use nelumbo_core::wire::{Address, PeerId};
use nelumbo_simulator::peer::kind_of;
use nelumbo_tokio::recording::{Difference, End, MAGIC, Replay, ReplayError, Step, StepInput};
use serde::Serialize;
use serde_json::{Value, json};

use super::outputs::unwritable;
use crate::failure::{Answer, Failure};
use crate::output;

/// Whether a file is a recording of a node, rather than a schedule.
pub(super) fn is_recording(file: &Path) -> bool {
    let mut head = Vec::new();
    let read =
        File::open(file).and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, 18), &mut head));
    // Also one of another version, of which more can be said than that it is no schedule.
    read.is_ok() && head.starts_with(&MAGIC[..MAGIC.len() - 2])
}

/// What was found, as JSON.
#[derive(Serialize)]
struct Told {
    recording: String,
    version: String,
    key: String,
    peer: PeerId,
    steps: u64,
    compared: usize,
    events: usize,
    virtual_ms: u64,
    /// `stopped`, `full`, `overrun`, or `cut` where the recording just ends.
    end: &'static str,
    identical: bool,
    difference: Option<Found>,
}

/// The first step that came out otherwise.
#[derive(Serialize)]
struct Found {
    step: u64,
    mono_ns: u64,
    wall_ms: u64,
    given: Vec<Value>,
    what: String,
}

/// Lives through the recording.
pub(super) fn replay(file: &Path, trace: Option<&Path>, as_json: bool) -> Result<Answer, Failure> {
    let unreadable = |error: ReplayError| {
        Failure::input(
            format_args!("{}: {error}", file.display()),
            "replay a file that `nelumbo node --record` has written",
        )
    };
    let opened = File::open(file).map_err(ReplayError::Read).map_err(unreadable)?;
    let mut replay = Replay::open(BufReader::new(opened)).map_err(unreadable)?;
    if replay.has_custom_code() {
        return Err(Failure::input(
            format_args!("{}: rules or protocols of a program's own took part", file.display()),
            "replay it in that program, with nelumbo_tokio::recording",
        ));
    }
    let mut rows = trace.map(Rows::open).transpose()?;
    let (began, mut last, mut compared, mut events) = (replay.began(), replay.began(), 0, 0);
    let (mut steps, mut found) = (0, None);
    loop {
        let mut heard = Heard::default();
        let Some(step) = replay.next(&mut heard).map_err(unreadable)? else { break };
        (last, steps, compared) = (step.now, steps + 1, compared + step.compared);
        events += heard.events.len();
        let after = step.now.mono.since(began.mono);
        if !as_json {
            for event in &heard.events {
                output::line(format_args!(
                    "{:>12.6} s  step {:<6} {}",
                    after.as_secs_f64(),
                    step.number,
                    event_line(event)
                ))?;
            }
        }
        if let Some(rows) = &mut rows {
            rows.write(&step, &heard)?;
        }
        if let Some(difference) = &step.difference {
            found = Some(Found::new(&step, difference));
            break;
        }
    }
    if let Some(rows) = rows {
        rows.end()?;
    }
    let told = Told {
        recording: file.display().to_string(),
        version: replay.version().to_owned(),
        key: replay.key().to_string(),
        peer: replay.peer(),
        steps,
        compared,
        events,
        virtual_ms: u64::try_from(last.mono.since(began.mono).as_millis()).unwrap_or(u64::MAX),
        end: if found.is_some() { "different" } else { end_name(replay.end()) },
        identical: found.is_none(),
        difference: found,
    };
    tell(&told, as_json)?;
    Ok(if told.identical { Answer::Yes } else { Answer::No })
}

fn end_name(end: Option<End>) -> &'static str {
    match end {
        Some(End::Stopped) => "stopped",
        Some(End::Full) => "full",
        Some(End::Overrun) => "overrun",
        Some(End::Protocols) => "protocols",
        None => "cut",
    }
}

fn tell(told: &Told, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(told);
    }
    output::table(&[
        ("recording", format!("{} (nelumbo {})", told.recording, told.version)),
        ("key", told.key.clone()),
        ("time", format!("{:.3} s", told.virtual_ms as f64 / 1e3)),
        ("steps", format!("{}, with {} outputs compared and {} events", told.steps, told.compared, told.events)),
        (
            "end",
            match told.end {
                "stopped" => "the node was stopped",
                "full" => "the recording had reached its limit",
                "overrun" => "the disk was too slow for the recording",
                "cut" => "the recording just ends: the node was killed, is running still, or the file is not whole",
                _ => "not reached",
            }
            .to_owned(),
        ),
    ])?;
    match &told.difference {
        None => output::line("identical"),
        Some(Found { step, mono_ns, given, what, .. }) => {
            let given: Vec<String> = given.iter().map(Value::to_string).collect();
            let given = if given.is_empty() { "its beginning".to_owned() } else { given.join(", ") };
            output::line(format_args!("differs at step {step}, {:.6} s, given {given}: {what}", *mono_ns as f64 / 1e9))
        }
    }
}

impl Found {
    fn new(step: &Step, difference: &Difference) -> Self {
        let Now { mono, wall } = step.now;
        let what = difference.to_string();
        Self { step: step.number, mono_ns: mono.as_nanos(), wall_ms: wall.as_millis(), given: given(step), what }
    }
}

/// A trace in JSON lines: a row for each step.
struct Rows<'f> {
    file: &'f Path,
    writer: BufWriter<File>,
}

impl<'f> Rows<'f> {
    fn open(file: &'f Path) -> Result<Self, Failure> {
        if file.extension().is_none_or(|ending| ending != "jsonl") {
            return Err(Failure::input(
                "the trace of a recording is JSON lines",
                "let the file's name end with .jsonl",
            ));
        }
        let writer = File::create(file).map(BufWriter::new).map_err(|error| unwritable(file, error))?;
        Ok(Self { file, writer })
    }

    fn write(&mut self, step: &Step, heard: &Heard) -> Result<(), Failure> {
        let Now { mono, wall } = step.now;
        let row = json!({
            "step": step.number,
            "mono_ns": mono.as_nanos(),
            "wall_ms": wall.as_millis(),
            "given": given(step),
            "outputs": heard.outputs,
            "difference": step.difference.as_ref().map(ToString::to_string),
        });
        writeln!(self.writer, "{row}").map_err(|error| unwritable(self.file, error))
    }

    fn end(mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| unwritable(self.file, error))
    }
}

/// What a message is, and how long.
fn message(bytes: &Bytes) -> Value {
    let (kind, session) = kind_of(bytes);
    json!({ "kind": kind, "session": session, "bytes": bytes.len() })
}

fn given(step: &Step) -> Vec<Value> {
    match &step.input {
        None => Vec::new(),
        Some(StepInput::Inputs(inputs)) => inputs.iter().map(input).collect(),
        Some(StepInput::Command(command)) => vec![json!({ "command": wish(command) })],
    }
}

fn input(input: &Input) -> Value {
    match input {
        Input::Connected(other) => json!({ "input": "connected", "peer": other }),
        Input::Disconnected(other) => json!({ "input": "disconnected", "peer": other }),
        Input::Received { from, bytes } => {
            json!({ "input": "received", "from": from, "message": message(bytes) })
        }
        Input::Gossip { from, bytes, id } => {
            json!({ "input": "gossip", "from": from, "id": id.0, "message": message(bytes) })
        }
        Input::Found { operation, bytes } => {
            json!({ "input": "found", "operation": operation.0, "bytes": bytes.len() })
        }
        Input::LookupFinished(operation) => json!({ "input": "lookup-finished", "operation": operation.0 }),
        Input::PutRequested { from, id, key, bytes, .. } => {
            json!({ "input": "offered", "from": from, "id": id.0, "key": key, "bytes": bytes.len() })
        }
        Input::RoutingTable(peers) => json!({ "input": "routing-table", "peers": peers }),
        Input::Addresses(addresses) => json!({ "input": "addresses", "count": addresses.len() }),
        Input::Signed(reply) => {
            let session = reply.slot().map(|slot| hex::encode(slot.session));
            let attempt = reply.slot().map(|slot| slot.attempt);
            json!({ "input": "signed", "of": name_of(reply), "session": session, "attempt": attempt })
        }
        Input::SignerReady => json!({ "input": "signer-ready" }),
        Input::Persisted(sequence) => json!({ "input": "persisted", "sequence": sequence.as_u64() }),
        Input::Tick => json!({ "input": "tick" }),
        Input::Identity { key, identity } => json!({ "input": "identity", "key": key, "identity": identity }),
    }
}

/// The name of a command, with the session that it is about.
fn wish(command: &Command) -> Value {
    match command {
        Command::Join { session, .. }
        | Command::Abort(session, _)
        | Command::Retry(session)
        | Command::ConfirmBroadcast(session)
        | Command::Close(session)
        | Command::FindSession(session) => json!({ "name": name(command), "session": session }),
        _ => json!({ "name": name(command) }),
    }
}

fn name(command: &Command) -> String {
    name_of(command)
}

/// The name of a variant.
fn name_of(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn event_line(event: &Event) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(event) else { return String::new() };
    let name = fields.remove("event").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.iter().fold(name, |line, (field, value)| format!("{line} {field}={}", text(value)))
}

/// What the node wants in one step.
#[derive(Default)]
struct Heard {
    outputs: Vec<Value>,
    events: Vec<Event>,
}

impl Heard {
    fn note(&mut self, value: Value) {
        self.outputs.push(value);
    }
}

impl Host for Heard {
    fn persist(&mut self, sequence: RecordSequence, key: Vec<u8>, value: Option<Vec<u8>>) {
        let (key, bytes) = (hex::encode(key), value.map(|value| value.len()));
        self.note(json!({ "output": "persist", "sequence": sequence.as_u64(), "key": key, "bytes": bytes }));
    }

    fn send(&mut self, to: PeerId, bytes: Bytes) {
        self.note(json!({ "output": "send", "to": to, "message": message(&bytes) }));
    }

    fn subscribe(&mut self, topic: Topic) {
        self.note(json!({ "output": "subscribe", "topic": topic.as_str() }));
    }

    fn unsubscribe(&mut self, topic: Topic) {
        self.note(json!({ "output": "unsubscribe", "topic": topic.as_str() }));
    }

    fn publish(&mut self, topic: Topic, bytes: Bytes) {
        self.note(json!({ "output": "publish", "topic": topic.as_str(), "message": message(&bytes) }));
    }

    fn verdict(&mut self, id: GossipId, verdict: Verdict) {
        self.note(json!({ "output": "verdict", "id": id.0, "verdict": format!("{verdict:?}") }));
    }

    fn dial(&mut self, to: PeerId, addresses: Vec<Address>) {
        self.note(json!({ "output": "dial", "peer": to, "addresses": addresses.len() }));
    }

    fn release(&mut self, whom: PeerId) {
        self.note(json!({ "output": "release", "peer": whom }));
    }

    fn ban(&mut self, whom: PeerId) {
        self.note(json!({ "output": "ban", "peer": whom }));
    }

    fn unban(&mut self, whom: PeerId) {
        self.note(json!({ "output": "unban", "peer": whom }));
    }

    fn lookup(&mut self, operation: OperationId, key: String) {
        self.note(json!({ "output": "lookup", "operation": operation.0, "key": key }));
    }

    fn accept_record(&mut self, id: PutId, value: Bytes, _: Duration) {
        self.note(json!({ "output": "keep", "id": id.0, "bytes": value.len() }));
    }

    fn remove_record(&mut self, key: String) {
        self.note(json!({ "output": "remove", "key": key }));
    }

    fn reject_record(&mut self, id: PutId, refusal: Refusal) {
        self.note(json!({ "output": "discard", "id": id.0, "refusal": refusal }));
    }

    fn store(&mut self, key: String, value: Bytes, _: Duration) {
        self.note(json!({ "output": "store", "key": key, "bytes": value.len() }));
    }

    fn sign(&mut self, request: SignRequest) {
        self.note(json!({ "output": "sign", "of": name_of(&request) }));
    }

    fn event(&mut self, event: Event) {
        self.note(json!({ "output": "event", "event": event }));
        self.events.push(event);
    }
}
