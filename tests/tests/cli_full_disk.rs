//! A disk that is full: what the command and the node say, and that nothing is lost.
#![cfg(unix)]

mod cli_support;

use std::process::Command;

use cli_support::node::{Lines, Node, with_passphrase};
use cli_support::{Run, binary, fields};
use serde_json::Value;

/// The node, which may write to no place of a file from here on (`RLIMIT_FSIZE`, in blocks of 512 bytes): what a full
/// disk says to it.
fn start_with_room(node: &Node, blocks: u64) -> Lines {
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" node --json --data \"$1\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(limited).arg(binary()).arg(&node.folder).stderr(std::process::Stdio::piped());
    Lines::spawn(with_passphrase(&mut command))
}

fn create(node: &Node, text: &str, other: &str) -> Run {
    node.run(&["create", other, "--suite", "bip340", "--text", text, "--json"])
}

fn ids(node: &Node) -> Vec<String> {
    let listed = node.json(&["sessions"]);
    let sessions = listed["sessions"].as_array().unwrap_or_else(|| panic!("{:?}", fields(&listed))).clone();
    let id = |session: Value| session["session"].as_str().expect("a text").to_owned();
    sessions.into_iter().map(id).collect()
}

#[test]
fn on_a_full_disk_the_command_fails_the_node_stops_and_what_was_done_before_is_still_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::init(&folder.path().join("node"), &[]);
    let other = Node::init(&folder.path().join("other"), &[]).key;
    node.start();
    assert_eq!(create(&node, "before", &other).status, 0);
    let before = ids(&node);
    assert_eq!(before.len(), 1);
    node.json(&["stop"]);

    // Room for some sessions more.
    let mut full = start_with_room(&node, 200);
    full.find(|line| (line["event"]["event"] == "listening").then_some(()));
    let (mut failed, mut done) = (None, before.clone());
    for number in 0..500 {
        let run = create(&node, &format!("during {number}"), &other);
        if run.status != 0 {
            failed = Some(run);
            break;
        }
        done = ids(&node);
    }
    let failed = failed.expect("the disk was never full");
    assert_eq!(failed.status, 1, "{failed:?}");
    let line = &failed.stderr;
    assert!(line.starts_with("error: ") && line.contains("disk") && line.lines().count() == 1, "{line}");
    let stopped = full.find(|line| {
        let event = &line["event"];
        (event["event"] == "stopped").then(|| event["error"].clone())
    });
    assert!(stopped.is_string(), "it says why: {stopped}");
    assert_eq!(full.status(), Some(1));
    node.run(&["stats"]).assert_failed(3, &["no node is running in"]);

    // There is room again.
    node.start();
    let after = ids(&node);
    let lost: Vec<_> = done.iter().filter(|id| !after.contains(id)).collect();
    assert!(lost.is_empty(), "{lost:?} were answered as done");
    assert!(after.len() <= done.len() + 1, "{after:?} beside {done:?}");
    assert_eq!(create(&node, "after", &other).status, 0);
    node.json(&["stop"]);
}
