//! What keeps a node alive: what is wrong with it, what is told to the service manager, another passphrase, and a
//! backup that makes the same node again.
#![cfg(unix)]

mod cli_support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use cli_support::node::{Lines, Node, PASSPHRASE, PATIENCE, with_passphrase};
use cli_support::{finish, nelumbo};
use serde_json::{Value, json};

fn state<'a>(report: &'a Value, check: &str) -> &'a str {
    let checks = report["checks"].as_array().expect("there are checks");
    let found = checks.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("{check} in {report}"));
    assert!(found["state"] == "good" || !found["remedy"].as_str().unwrap().is_empty(), "what to do: {found}");
    found["state"].as_str().expect("a state")
}

#[test]
fn a_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Node::init(&folder.path().join("hub"), &[]);
    let address = hub.start();
    let mut node = Node::init(&folder.path().join("node"), &["--bootstrap", &address]);
    let doctor = |node: &Node| {
        let run = node.run(&["doctor", "--json"]);
        let report: Value = serde_json::from_str(&run.stdout).expect("a report");
        assert_eq!(run.status == 0, report["sound"] == true, "{report}");
        report
    };
    let report = doctor(&node);
    assert_eq!((state(&report, "node"), state(&report, "port")), ("unknown", "good"));
    node.start();
    node.wait_for_signers(&[&hub.key]);
    let report = doctor(&node);
    for check in ["permissions", "key", "configuration", "journal", "port", "version", "clock", "peers", "DNS"] {
        assert_eq!(state(&report, check), "good", "{check}: {report}");
    }
    assert_eq!(report["sound"], true, "{report}");

    let listening = node.json(&["stats"])["listening"][0].as_str().unwrap().to_owned();
    let taken = listening.split("/p2p/").next().unwrap();
    let other = Node::init(&folder.path().join("other"), &["--listen", taken]);
    assert_eq!(state(&doctor(&other), "port"), "bad");
    let config = other.folder.join("config.toml");
    let sound = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{sound}\n[limits]\nsesions = 1\n")).unwrap();
    assert_eq!(state(&doctor(&other), "configuration"), "bad");
    fs::write(&config, format!("{sound}\nchain = {{ servers = [\"http://127.0.0.1:1\"], rounds = 1 }}\n")).unwrap();
    assert_eq!(state(&doctor(&other), "chain"), "bad");
    fs::set_permissions(other.folder.join("identity"), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(state(&doctor(&other), "permissions"), "bad");
    fs::write(other.folder.join("journal.redb"), b"").unwrap();
    assert_eq!(state(&doctor(&other), "journal"), "bad");

    // Alone, a node is told so.
    assert_eq!(hub.signal("-TERM"), Some(0));
    node.wait_for("peer-disconnected", &[]);
    assert_eq!(state(&doctor(&node), "peers"), "bad");
}

#[test]
fn a_backup_makes_the_same_node_again_and_writes_over_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::init(&folder.path().join("node"), &[]);
    let other = folder.path().join("other.key");
    let other =
        nelumbo(&["key", "generate", "--network", "regtest", "--json", "--out", other.to_str().unwrap()]).json();
    let key = other["public_key"].as_str().unwrap();
    assert_eq!(node.run(&["contact", "add", "alice", key]).status, 0);
    node.json(&["group", "create", "family", "alice"]);
    // While it runs, with a session and a journal.
    node.start();
    node.json(&["create", key, "--text", "hello"]);
    let file = folder.path().join("node.backup");
    let file = file.to_str().unwrap();
    let made = node.json(&["backup", file]);
    assert_eq!(made["files"], json!(["config.toml", "contacts.toml", "identity", "signer.key"]));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    node.run(&["backup", file]).assert_refused(&["is never written over"]);
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains("journal"), "what is under way is not part of it");
    assert_eq!(node.signal("-TERM"), Some(0));

    node.run(&["restore", file]).assert_refused(&["is a node's already"]);
    let data = folder.path().join("restored");
    let restored = nelumbo(&["restore", file, "--data", data.to_str().unwrap(), "--json"]).json();
    assert_eq!(restored["key"], node.key);
    let group = |folder: &Path| {
        nelumbo(&["group", "show", "family", "--json", "--data", folder.to_str().unwrap()]).json()["address"].clone()
    };
    assert_eq!(group(&data), group(&node.folder));
    let mut process = Lines::spawn(with_passphrase(cli_support::command(&["node", "--json"]).arg("--data").arg(&data)));
    let started = process.find(|line| (line["event"]["event"] == "started").then(|| line["event"].clone()));
    assert_eq!((&started["key"], &started["peer"]), (&json!(node.key), &json!(node.peer)));
    let sessions = nelumbo(&["sessions", "--json", "--data", data.to_str().unwrap()]).json();
    assert_eq!(sessions["sessions"], json!([]));

    // A digit that has changed is noticed, and nothing is made of it.
    let damaged = folder.path().join("damaged.backup");
    let place = text.find("\"identity\":\"").unwrap() + 20;
    let digit = if text.as_bytes()[place] == b'0' { "1" } else { "0" };
    fs::write(&damaged, format!("{}{digit}{}", &text[..place], &text[place + 1..])).unwrap();
    let nowhere = folder.path().join("nowhere");
    nelumbo(&["restore", damaged.to_str().unwrap(), "--data", nowhere.to_str().unwrap()])
        .assert_refused(&["its hash is another"]);
    assert!(!nowhere.exists());
}

#[test]
fn a_key_gets_another_passphrase_and_the_old_one_opens_it_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let key = node.folder.join("signer.key");
    let key = key.to_str().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old", PASSPHRASE), file("new", "another one"));
    let change = |old: &str, new: &str| {
        nelumbo(&[
            "key",
            "passphrase",
            "--key-file",
            key,
            "--passphrase-file",
            old,
            "--new-passphrase-file",
            new,
            "--json",
        ])
    };
    change(&new, &old).assert_failed(4, &["passphrase"]);
    assert_eq!(change(&old, &new).json()["public_key"], node.key);
    let sign = |passphrase: &str| {
        nelumbo(&["sign", "--key-file", key, "--message", &"07".repeat(32), "--passphrase-file", passphrase])
    };
    sign(&old).assert_failed(4, &["passphrase"]);
    assert_eq!(sign(&new).status, 0);
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_service_manager_is_told_how_the_node_is_doing() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let place = folder.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 1024];
    let mut hear = |what: &str| loop {
        let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{what}: {error}"));
        if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line.starts_with(what)) {
            break;
        }
    };
    let mut command = node.command(&["node", "--json"]);
    let process = Lines::spawn(with_passphrase(command.env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "300000")));
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    process.signal("-HUP");
    hear("RELOADING=1");
    hear("READY=1");
    process.signal("-TERM");
    hear("STOPPING=1");
    assert_eq!(process.status(), Some(0));
    let run = finish(cli_support::command(&["--version"]).env_remove("NOTIFY_SOCKET"));
    assert!(run.stdout.starts_with("nelumbo 0."), "{}", run.stdout);
}
