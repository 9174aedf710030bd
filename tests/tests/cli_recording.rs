//! `nelumbo node --record` and `nelumbo simulate replay`: what a live node was given, given again.
#![cfg(unix)]

mod cli_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cli_support::node::{Node, PASSPHRASE};
use cli_support::{fields, nelumbo};
use serde_json::Value;

const MESSAGE: &str = "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50";

fn replay(file: &str, arguments: &[&str]) -> cli_support::Run {
    nelumbo(&[&["simulate", "replay", file], arguments].concat())
}

fn rows(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a trace");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn recorded_nodes_are_lived_through_again_whether_they_were_stopped_or_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain name").to_owned();
    let file = path("recording");
    let mut recorded = Node::init(&folder.path().join("recorded"), &[]);
    let address = recorded.start_with(&["--record", &file]);
    let mut other = Node::init(&folder.path().join("other"), &["--bootstrap", &address]);
    other.start();
    recorded.wait_for_signers(&[&other.key]);
    other.wait_for_signers(&[&recorded.key]);
    let created = other.json(&["create", &recorded.key, "--message", MESSAGE]);
    let session = created["session"].as_str().expect("a session").to_owned();
    recorded.wait_for("session-announced", &[("session", &session)]);
    recorded.json(&["join", &session, "--allow", "opaque"]);
    recorded.json(&["sessions", "wait", &session]);
    recorded.json(&["stop"]);
    assert_eq!(recorded.status(), Some(0));

    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).expect("a recording");
    assert!(!bytes.windows(PASSPHRASE.len()).any(|window| window == PASSPHRASE.as_bytes()));
    let trace = path("trace.jsonl");
    let told = replay(&file, &["--json", "--trace", &trace]).json();
    assert_eq!((&told["identical"], &told["end"]), (&true.into(), &"stopped".into()), "{told}");
    assert_eq!((told["key"].as_str(), &told["difference"]), (Some(recorded.key.as_str()), &Value::Null));
    let rows = rows(Path::new(&trace));
    assert_eq!(Some(rows.len() as u64), told["steps"].as_u64());
    assert_eq!(fields(&rows[0]), ["difference", "given", "mono_ns", "outputs", "step", "wall_ms"]);
    let outputs: Vec<&Value> = rows.iter().flat_map(|row| row["outputs"].as_array().expect("a list")).collect();
    for output in ["persist", "send", "publish", "event"] {
        assert!(outputs.iter().any(|one| one["output"] == output), "{output}");
    }
    let timeline = replay(&file, &[]);
    assert_eq!(timeline.status, 0, "{}", timeline.stderr);
    assert!(timeline.stdout.contains(&format!("session-completed attempt=1 session={session}")), "{}", timeline.stdout);
    assert!(timeline.stdout.ends_with("identical\n"), "{}", timeline.stdout);

    // The next life takes the same file, and is ended without a word.
    recorded.start_with(&["--record", &file]);
    recorded.json(&["confirm", &session]);
    recorded.wait_for("broadcast-claimed", &[("session", &session)]);
    recorded.kill();
    let told = replay(&file, &["--json"]).json();
    assert_eq!((&told["identical"], &told["end"]), (&true.into(), &"cut".into()), "{told}");
    assert!(told["steps"].as_u64().is_some_and(|steps| steps > 1), "{told}");
    assert_eq!(fs::read(path("recording.1")).expect("the one before"), bytes);
}

#[test]
fn the_demonstration_s_nodes_are_recorded_the_killed_one_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = folder.path().join("recordings");
    let demo = ["demo", "--json", "--kill-coordinator", "--processes", "--record"];
    nelumbo(&[&demo[..], &[recordings.to_str().expect("a plain name")]].concat()).json();
    let mut ends = Vec::new();
    for number in 1..=3 {
        let file = recordings.join(format!("node-{number}.recording"));
        let told = replay(file.to_str().expect("a plain name"), &["--json"]).json();
        assert_eq!(told["identical"], true, "{told}");
        assert!(told["events"].as_u64().is_some_and(|events| events > 3), "{told}");
        ends.push(told["end"].as_str().expect("a text").to_owned());
    }
    ends.sort_unstable();
    assert_eq!(ends, ["cut", "stopped", "stopped"]);
}

#[test]
fn what_cannot_be_replayed_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain name").to_owned();
    let (cut, other, foreign) = (path("cut"), path("other"), path("foreign"));
    fs::write(&cut, b"nelumbo recording 3\n").expect("a file");
    replay(&cut, &[]).assert_refused(&["ends before the node has begun"]);
    fs::write(&other, b"nelumbo recording 9\nwhatever").expect("a file");
    replay(&other, &[]).assert_refused(&["a version that this program does not know"]);
    fs::write(&foreign, [0xff; 100]).expect("a file");
    replay(&foreign, &[]).assert_refused(&[&foreign]);
    replay(&cut, &["--report", &path("page.html")]).assert_refused(&["without checkers"]);
    let node = Node::init(&folder.path().join("node"), &[]);
    let mut run = node.command(&["node", "--record", &foreign]);
    cli_support::finish(cli_support::node::with_passphrase(&mut run)).assert_refused(&["no recording"]);
    assert_eq!(fs::read(&foreign).expect("it stays"), [0xff; 100]);
}
