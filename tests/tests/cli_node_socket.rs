//! The socket of a node, spoken to directly: what it does about nonsense, floods, and whoever does not listen.
#![cfg(unix)]

mod cli_support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use cli_support::node::{Node, PATIENCE};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A connection, and what comes over it.
struct Socket {
    stream: BufReader<UnixStream>,
}

impl Socket {
    fn connect(node: &Node) -> Self {
        let stream = UnixStream::connect(node.folder.join("socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stream.get_mut(), "{line}").unwrap();
    }

    fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).expect("an answer in time");
        (length > 0).then(|| serde_json::from_str(&line).expect("JSON"))
    }

    fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.hear().expect("an answer")
    }
}

fn node() -> (Node, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::init(&folder.path().join("node"), &[]);
    node.start();
    (node, folder)
}

#[test]
fn nonsense_is_answered_and_changes_nothing() {
    let (node, _folder) = node();
    let mut socket = Socket::connect(&node);
    for (line, id, problem) in [
        ("", Value::Null, "no request"),
        ("stop", Value::Null, "no request"),
        ("[1,2]", Value::Null, "no request"),
        (r#"{"id":1,"request":"stop"}"#, Value::Null, "version"),
        (r#"{"version":2,"id":1,"request":"stop"}"#, 1.into(), "version 1"),
        (r#"{"version":1,"id":2,"request":"dance"}"#, 2.into(), "dance"),
        (r#"{"version":1,"id":3,"request":"stop","now":true}"#, 3.into(), "now"),
        (r#"{"version":1,"id":4,"request":"session","session":"77"}"#, 4.into(), "64"),
        (r#"{"version":1,"id":5,"request":"ban","peer":"me"}"#, 5.into(), "peer id"),
    ] {
        let answer = socket.ask(line);
        assert_eq!((&answer["id"], &answer["error"]["kind"]), (&id, &"invalid".into()), "{line}: {answer}");
        assert!(answer["error"]["problem"].as_str().unwrap().contains(problem), "{line}: {answer}");
    }
    let answer = socket.ask(&"x".repeat(600_000));
    assert!(answer["error"]["problem"].as_str().unwrap().contains("524288 bytes"), "{answer}");
    // All on one connection, which is as good as new.
    let answer = socket.ask(r#"{"version":1,"id":18446744073709551615,"request":"peers"}"#);
    assert_eq!(answer, json!({ "id": u64::MAX, "result": { "peers": [] } }));
}

#[test]
fn questions_may_come_all_at_once_and_are_answered_in_order() {
    let (node, _folder) = node();
    let mut socket = Socket::connect(&node);
    let questions: Vec<String> = (0..100).map(|id| format!(r#"{{"version":1,"id":{id},"request":"stats"}}"#)).collect();
    socket.say(&questions.join("\n"));
    for id in 0..100 {
        assert_eq!(socket.hear().expect("an answer")["id"], id);
    }
}

#[test]
fn connections_that_ask_for_nothing_give_way() {
    let (mut node, _folder) = node();
    let stats = r#"{"version":1,"id":1,"request":"stats"}"#;
    let mut sockets: Vec<Socket> = (0..64).map(|_| Socket::connect(&node)).collect();
    for socket in &mut sockets {
        assert!(socket.ask(stats)["result"].is_object());
    }
    assert_eq!(node.run(&["stats"]).status, 0);
    assert_eq!(sockets[0].hear(), None, "the oldest has given way");
    assert!(sockets[1].ask(stats)["result"].is_object());
    assert_eq!(node.run(&["stop"]).status, 0);
    assert_eq!(node.status(), Some(0));
}

#[test]
fn too_many_connections_are_refused_and_room_is_given_back() {
    let (node, _folder) = node();
    let follow = r#"{"version":1,"id":1,"request":"events","follow":true,"after":0}"#;
    let mut sockets: Vec<Socket> = (0..64).map(|_| Socket::connect(&node)).collect();
    for socket in &mut sockets {
        assert!(socket.ask(follow)["event"].is_object());
    }
    let mut refused = Socket::connect(&node);
    assert_eq!(refused.hear().expect("a word")["error"]["kind"], "refused");
    assert_eq!(refused.hear(), None);
    node.run(&["stats"]).assert_failed(1, &["too many commands"]);
    sockets.truncate(1);
    // The node learns of the ends that are gone one by one.
    let mut attempts = 0;
    while node.run(&["stats"]).status != 0 {
        attempts += 1;
        assert!(attempts < 1000, "no room is given back");
    }
}

#[test]
fn who_does_not_read_is_told_what_was_missed() {
    let (node, _folder) = node();
    let mut slow = Socket::connect(&node);
    slow.say(r#"{"version":1,"id":1,"request":"events","follow":true,"after":0}"#);
    let second = slow.ask(r#"{"version":1,"id":2,"request":"events","follow":true,"after":0}"#);
    let other = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let mut busy = Socket::connect(&node);
    // More than the events that are kept and those that fit into the buffers of a socket together.
    for _ in 0..1_000 {
        let create = json!({
            "version": 1, "id": 3, "request": "create", "suite": "bip340", "keys": [other], "tweak": "None",
            "message": "", "election": "lexicographic",
        });
        let session = busy.ask(&create.to_string())["result"]["session"].clone();
        let close = json!({ "version": 1, "id": 4, "request": "close", "session": session });
        assert_eq!(busy.ask(&close.to_string())["result"], json!({ "may_complete": false }));
    }
    let newest = busy.ask(r#"{"version":1,"id":5,"request":"events","follow":false,"after":18446744073709551615}"#);
    assert_eq!(newest["result"], json!({}), "nothing is newer than that");

    // The slow one gets events in order, with gaps as large as it is told, up to the newest.
    let (mut seen, mut missed) = (0, 0);
    let mut line = Some(second);
    let last = busy.ask(r#"{"version":1,"id":6,"request":"events","follow":false}"#);
    let oldest_kept = last["missed"].as_u64().map_or(0, |missed| missed + 1);
    assert!(oldest_kept > 1024, "{last}");
    while seen < oldest_kept + 1_000 {
        let reply = line.take().or_else(|| slow.hear()).expect("it goes on");
        match (reply["event"]["number"].as_u64(), reply["missed"].as_u64()) {
            (Some(number), None) => {
                assert_eq!((number, &reply["id"]), (seen + 1, &1.into()));
                seen = number;
            }
            (None, Some(lost)) => {
                missed += lost;
                seen += lost;
            }
            _ => assert_eq!((&reply["id"], &reply["error"]["kind"]), (&2.into(), &"invalid".into())),
        }
    }
    assert!(missed > 0, "it was not slow enough");
    // A command that is told so says so.
    let lines = node.run(&["events", "--json"]).stdout;
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(first["missed"].as_u64().is_some_and(|missed| missed >= oldest_kept - 1), "{first}");
    assert_eq!(lines.lines().count(), 1025);
}
