//! Nodes that run for long, each a process with a data folder, driven by nothing but the command line.
#![cfg(unix)]

mod cli_support;

use std::fs::File;
use std::process::{Command, Stdio};

use cli_support::node::{Lines, Node, with_passphrase};
use cli_support::{binary, fields, nelumbo};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;

const MESSAGE: &str = "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50";

/// Nodes that are connected to each other. All but the first know the first one's address only.
struct Group {
    nodes: Vec<Node>,
    folder: TempDir,
}

impl Group {
    fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut nodes: Vec<Node> = Vec::new();
        let mut through = None;
        for number in 0..count {
            let bootstrap = through.as_deref().map_or_else(Vec::new, |address| vec!["--bootstrap", address]);
            let mut node = Node::init(&folder.path().join(number.to_string()), &bootstrap);
            let address = node.start();
            through.get_or_insert(address);
            nodes.push(node);
        }
        let group = Self { nodes, folder };
        for node in &group.nodes {
            node.wait_for_signers(&group.keys_without(node));
        }
        group
    }

    fn keys_without(&self, node: &Node) -> Vec<&str> {
        self.nodes.iter().map(|node| node.key.as_str()).filter(|key| *key != node.key).collect()
    }

    /// Has the first node create a session among all, and waits until all others have heard of it.
    fn create(&self, arguments: &[&str]) -> (String, String) {
        let create = [&["create", "--message", MESSAGE], arguments, &self.keys_without(&self.nodes[0])].concat();
        let created = self.nodes[0].json(&create);
        assert_eq!(fields(&created), ["link", "session"]);
        let [session, link] = ["session", "link"].map(|field| created[field].as_str().unwrap().to_owned());
        for node in &self.nodes[1..] {
            node.wait_for("session-announced", &[("session", &session)]);
        }
        (session, link)
    }
}

fn phase(node: &Node, session: &str) -> String {
    node.json(&["sessions", "show", session])["phase"].as_str().expect("a phase").to_owned()
}

#[test]
fn three_nodes_sign_although_one_is_killed() {
    let mut group = Group::start(3);
    let (session, link) = group.create(&["--election", "last-signer"]);
    assert_eq!(link, format!("lotus://musig2/join/{session}"));
    let announced = group.nodes[1].json(&["sessions", "--phase", "announced"]);
    assert_eq!(announced["sessions"][0]["session"], session.as_str());
    assert_eq!(announced["sessions"][0]["creator"], group.nodes[0].key.as_str());
    assert_eq!(group.nodes[1].json(&["sessions", "--phase", "complete"])["sessions"], Value::Array(Vec::new()));
    let shown = group.nodes[1].json(&["sessions", "show", &link]);
    assert_eq!((&shown["items"][0]["message"], &shown["network"]), (&Value::from(MESSAGE), &Value::from("regtest")));
    assert_eq!((&shown["kind"], &shown["description"]), (&Value::Null, &"".into()));
    let joined = group.nodes[1].json(&["join", &link, "--allow", "opaque"]);
    assert_eq!((&joined["session"], &joined["summary"]), (&Value::from(session.as_str()), &shown["summary"]));
    assert_eq!(phase(&group.nodes[1], &session), "nonce-exchange");

    // It knows of the session, has not approved it, and comes back with both.
    let key = group.nodes[2].key.clone();
    group.nodes[2].kill();
    group.nodes[0].wait_for("signer-disconnected", &[("key", &key)]);
    group.nodes[2].run(&["peers"]).assert_failed(3, &["no node is running in", "nelumbo node --data"]);
    group.nodes[2].start();
    group.nodes[2].wait_for_signers(&group.keys_without(&group.nodes[2]));
    group.nodes[2].wait_for("session-announced", &[("session", &session)]);
    assert_eq!(phase(&group.nodes[2], &session), "announced");
    group.nodes[2].json(&["approve", &session, "--allow", "opaque"]);

    let signatures: Vec<Value> =
        group.nodes.iter().map(|node| node.json(&["sessions", "wait", &session, "--timeout", "60"])).collect();
    assert!(signatures.iter().all(|signed| *signed == signatures[0]), "{signatures:?}");
    let keys: Vec<&str> = group.nodes.iter().map(|node| node.key.as_str()).collect();
    let aggregated = nelumbo(&[&["key", "aggregate", "--json"], &keys[..]].concat()).json();
    let [key, signature] =
        [&aggregated["aggregate_key"], &signatures[0]["signature"]].map(|text| text.as_str().unwrap());
    assert_eq!(nelumbo(&["verify", "--key", key, "--message", MESSAGE, "--signature", signature]).status, 0);

    let coordinator = keys.iter().max().unwrap();
    for node in &group.nodes {
        let shown = node.json(&["sessions", "show", &session]);
        assert_eq!((&shown["phase"], &shown["coordinator"]), (&"complete".into(), &Value::from(*coordinator)));
    }
    let coordinator = group.nodes.iter().find(|node| node.key == **coordinator).unwrap();
    coordinator.wait_for("should-broadcast", &[("session", &session)]);
    coordinator.json(&["confirm", &session]);
    for node in &group.nodes {
        node.wait_for("broadcast-claimed", &[("session", &session), ("by", &coordinator.key)]);
        assert_eq!(node.json(&["sessions", "show", &session])["coordinator"], Value::Null);
        assert_eq!(node.json(&["stats"])["sessions"]["by_phase"], serde_json::json!({ "complete": 1 }));
    }
    group.nodes[0].json(&["close", &session]);
    group.nodes[0].run(&["sessions", "show", &session]).assert_failed(1, &["no session", &session]);
    group.nodes[0].run(&["retry", &session]).assert_failed(1, &["no session", &session]);
    group.nodes[1].run(&["retry", &session]).assert_failed(1, &[&session]);
    for node in &mut group.nodes {
        assert_eq!(node.json(&["stop"]), serde_json::json!({}));
        assert_eq!(node.status(), Some(0));
    }
}

#[test]
fn a_signer_that_refuses_ends_the_session() {
    let group = Group::start(2);
    let (session, _) = group.create(&["--taproot"]);
    group.nodes[1].json(&["abort", &session]);
    let aborted = group.nodes[0].wait_for("session-aborted", &[("session", &session)]);
    assert_eq!((&aborted["by"], &aborted["reason"]), (&Value::from(group.nodes[1].key.as_str()), &"declined".into()));
    for node in &group.nodes {
        node.run(&["sessions", "wait", &session]).assert_failed(1, &[&session, "aborted"]);
        node.run(&["join", &session]).assert_failed(1, &[&session]);
    }
    let (session, _) = group.create(&["--suite", "bip340"]);
    group.nodes[0].run(&["sessions", "wait", &session, "--timeout", "0.05"]).assert_failed(1, &["in time"]);
    group.nodes[1].json(&["join", &session, "--allow", "opaque"]);
    group.nodes[0].json(&["sessions", "wait", &session]);
    group.nodes[0].run(&["create", &group.nodes[1].key, "--message", "00"]).assert_refused(&["32 bytes"]);
    group.nodes[0].run(&["create", &group.nodes[0].key, "--message", MESSAGE]).assert_failed(1, &["signers"]);
}

#[test]
fn peers_are_connected_and_disconnected_by_hand() {
    let mut group = Group::start(2);
    let [first, second] = &group.nodes[..] else { panic!("two nodes") };
    let before = first.newest();
    first.json(&["disconnect", &second.peer]);
    let ended = first.wait_for_after(before, "peer-disconnected", &[("peer", &second.peer)]);
    assert_eq!(ended["reason"], "this node was asked to close it");
    let address = second.json(&["stats"])["listening"][0].as_str().expect("an address").to_owned();
    let connected = first.json(&["connect", &address]);
    assert!(connected["address"].as_str().expect("an address").starts_with("/ip4/127.0.0.1/tcp/"), "{connected}");
    assert_eq!(first.json(&["peers"])["peers"][0]["peer"], Value::from(second.peer.as_str()));
    // Again, which finds the same.
    first.json(&["connect", &address]);

    let nobody = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    first.run(&["disconnect", nobody]).assert_failed(1, &[nobody, "not connected"]);
    first
        .run(&["connect", &format!("/ip4/127.0.0.1/tcp/1/p2p/{nobody}")])
        .assert_failed(1, &["not connected", "refused"]);
    first.run(&["connect", "/ip4/127.0.0.1/tcp/1"]).assert_refused(&["/p2p/<peer id>"]);
    first.run(&["connect", "nowhere"]).assert_refused(&["nowhere", "address"]);
    for node in &mut group.nodes {
        assert_eq!(node.signal("-TERM"), Some(0));
    }
}

#[test]
fn a_key_that_was_copied_to_another_node_is_told_of() {
    let mut group = Group::start(2);
    let between = group.nodes[0].json(&["stats"])["listening"][0].as_str().expect("an address").to_owned();
    let mut copy = Node::init(&group.folder.path().join("copy"), &["--bootstrap", &between]);
    std::fs::copy(group.nodes[1].folder.join("signer.key"), copy.folder.join("signer.key")).expect("it is ours");
    copy.start();
    let told = group.nodes[1].wait_for("key-in-use-twice", &[("peer", &copy.peer)]);
    assert!(told["issued_at"].is_u64(), "{told}");
    for node in group.nodes.iter_mut().chain([&mut copy]) {
        assert_eq!(node.signal("-TERM"), Some(0));
    }
}

#[test]
fn peers_are_listed_banned_and_unbanned() {
    let mut group = Group::start(2);
    let [first, second] = &group.nodes[..] else { panic!("two nodes") };
    let listed = first.json(&["peers"]);
    let peer = &listed["peers"][0];
    let described = [
        "address",
        "bytes",
        "keys",
        "messages",
        "outbound",
        "peer",
        "penalty",
        "refused",
        "relayed",
        "round_trip_ms",
        "standing",
    ];
    assert_eq!(fields(peer), described);
    assert_eq!((&peer["peer"], &peer["standing"]), (&Value::from(second.peer.as_str()), &"good".into()));
    assert_eq!(peer["keys"], serde_json::json!([second.key]));
    assert!(peer["address"].as_str().unwrap().starts_with("/ip4/127.0.0.1/tcp/"), "{peer}");
    let people = first.run(&["peers"]).stdout;
    assert!(people.lines().nth(1).is_some_and(|line| line.starts_with(&second.peer)), "{people}");

    first.json(&["ban", &second.peer]);
    first.wait_for("peer-disconnected", &[("peer", &second.peer)]);
    assert_eq!(first.json(&["peers"])["peers"], Value::Array(Vec::new()));
    let stats = first.json(&["stats"]);
    assert_eq!(fields(&stats["peers"]), ["blacklisted", "connected", "graylisted"]);
    assert_eq!((&stats["peers"]["blacklisted"], &stats["peers"]["connected"]), (&1.into(), &0.into()));
    let before = first.newest();
    first.json(&["unban", &second.peer]);
    // It joined through this one, and keeps trying.
    first.wait_for_after(before, "signer-connected", &[("key", &second.key)]);
    assert_eq!(first.json(&["stats"])["peers"]["connected"], 1);
    first.run(&["unban", &second.peer]).assert_failed(1, &[&second.peer]);
    first.run(&["ban", "nobody"]).assert_refused(&["nobody", "peer id"]);

    let dht = &group.nodes[1].json(&["stats"])["dht"];
    assert_eq!(fields(dht), ["enabled", "local_records", "mode", "ready", "routing_table_size", "state"],);
    assert_eq!((&dht["enabled"], &dht["mode"]), (&true.into(), &"server".into()));
    for node in &mut group.nodes {
        assert_eq!(node.signal("-TERM"), Some(0));
    }
}

#[test]
fn a_signal_ends_a_node_well_and_its_followers_hear_of_it() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut node = Node::init(&folder.path().join("node"), &[]);
        node.start();
        let mut follower = Lines::spawn(&mut node.command(&["events", "--follow", "--after", "0", "--json"]));
        follower.find(|line| (line["event"]["event"] == "listening").then_some(()));
        assert_eq!(node.signal(signal), Some(0));
        follower.find(|line| (line["event"]["event"] == "stopped").then_some(()));
        assert_eq!(follower.next(), None);
        assert_eq!(follower.status(), Some(0));
        assert!(!node.folder.join("socket").exists(), "nothing is left over");
        node.start();
    }
}

/// Where a node is a service it reads its configuration again at a hangup; where its terminal is gone it ends.
#[test]
fn a_hangup_reads_the_configuration_again_and_ends_a_node_whose_terminal_is_gone() {
    for (disposition, reloads) in [("--default-signal=HUP", true), ("--ignore-signal=HUP", false)] {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::init(&folder.path().join("node"), &[]);
        let mut command = Command::new("env");
        command.arg(disposition).arg(binary()).args(["node", "--json", "--data"]).arg(&node.folder);
        let mut process = Lines::spawn(with_passphrase(command.stdin(Stdio::null())));
        process.find(|line| (line["event"]["event"] == "listening").then_some(()));
        process.signal("-HUP");
        if reloads {
            process.find(|line| (line["event"]["event"] == "configuration-reloaded").then_some(()));
        }
        assert!(node.json(&["stats"])["started"].is_u64(), "it goes on");
        process.signal("-TERM");
        process.find(|line| (line["event"]["event"] == "stopped").then_some(()));
        assert_eq!(process.status(), Some(0));
    }

    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let mut command = node.command(&["node", "--json"]);
    let mut process = Lines::spawn(with_passphrase(command.stdin(File::options().read(true).open(name).unwrap())));
    drop(command);
    process.find(|line| (line["event"]["event"] == "listening").then_some(()));
    drop(terminal);
    process.signal("-HUP");
    process.find(|line| (line["event"]["event"] == "stopped").then_some(()));
    assert_eq!(process.status(), Some(0));
}

/// A secret key may be in its memory, and the system writes none of it to the disk.
#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    let mut process = Lines::spawn(with_passphrase(&mut node.command(&["node", "--json"])));
    process.find(|line| (line["event"]["event"] == "listening").then_some(()));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let numbers: Vec<&str> = core.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers, ["0", "0"], "{core}");
}
