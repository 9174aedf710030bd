//! What nodes do for other programs, resources and messages, and nodes that take no part in the DHT or in gossip.
#![cfg(unix)]

mod cli_support;

use std::time::{Duration, Instant};

use cli_support::node::{Lines, Node, PATIENCE, until};
use serde_json::{Value, json};

/// Two nodes that are connected, started with these arguments.
fn pair(folder: &std::path::Path, arguments: [&[&str]; 2]) -> [Node; 2] {
    let mut alice = Node::init(&folder.join("alice"), &[]);
    let address = alice.start_with(arguments[0]);
    let mut bob = Node::init(&folder.join("bob"), &["--bootstrap", &address]);
    bob.start_with(arguments[1]);
    alice.wait_for_signers(&[&bob.key]);
    bob.wait_for_signers(&[&alice.key]);
    [alice, bob]
}

/// The resources of an answer, if there are so many.
fn so_many(count: usize) -> impl Fn(&Value) -> Option<Value> {
    move |found| (found["resources"].as_array()?.len() == count).then(|| found["resources"].clone())
}

#[test]
fn programs_announce_resources_and_find_those_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let [alice, bob] = pair(folder.path(), [&[], &[]]);
    let announce = |name: &str, text: &str| {
        alice.json(&["resource", "announce", "price-list", name, "--text", text, "--lifetime", "1 h"]);
    };
    announce("spring", "5 for one");
    announce("autumn", "6 for one");
    let list = |node: &Node, more: &[&str]| node.json(&[&["resource", "list", "price-list"], more].concat());
    let own = list(&alice, &["--local"]);
    assert_eq!((own["resources"].as_array().unwrap().len(), &own["resources"][0]["own"]), (2, &true.into()));
    let found = until(|| list(&bob, &[]), so_many(2));
    assert_eq!((&found[0]["name"], &found[1]["name"]), (&"autumn".into(), &"spring".into()));
    assert_eq!(found[1]["data"], hex::encode("5 for one"));
    assert_eq!((&found[1]["author"], &found[1]["own"]), (&alice.key.as_str().into(), &false.into()));
    let lasts = found[1]["expires"].as_u64().unwrap() - found[1]["issued"].as_u64().unwrap();
    assert_eq!(lasts, 3_600_000);
    // By author, by the name of a contact, and by name.
    assert_eq!(bob.run(&["contact", "add", "alice", &alice.key]).status, 0);
    assert_eq!(list(&bob, &["--author", "alice", "--name", "autumn", "--local"])["resources"][0], found[0]);
    assert_eq!(list(&bob, &["--author", &bob.key, "--local"]), json!({ "resources": [] }));
    assert_eq!(list(&bob, &["--max", "1", "--timeout", "1 s"])["resources"].as_array().unwrap().len(), 1);
    // A table for people.
    assert!(bob.run(&["resource", "list", "price-list", "--local"]).stdout.contains("5 for one"));
    // Another one of the same name replaces it, and it can be taken back.
    announce("spring", "4 for one");
    let changed = |found: &Value| (found["resources"][1]["data"] == hex::encode("4 for one")).then_some(());
    until(|| list(&bob, &[]), changed);
    alice.json(&["resource", "withdraw", "price-list", "spring"]);
    assert_eq!(until(|| list(&bob, &[]), so_many(1))[0]["name"], "autumn");
    alice.run(&["resource", "withdraw", "price-list", "spring"]).assert_failed(1, &["announces no price-list"]);
    alice.run(&["resource", "announce", "Price List", "x", "--text", "y"]).assert_refused(&["a-z"]);
    let large = "00".repeat(8_193);
    alice.run(&["resource", "announce", "a", "b", "--hex", &large]).assert_refused(&["8193", "8192"]);
    let long = ["resource", "announce", "a", "b", "--text", "c", "--lifetime", "8 d"];
    alice.run(&long).assert_failed(1, &["seven days"]);
}

#[test]
fn programs_send_messages_from_key_to_key_and_to_topics() {
    let folder = tempfile::tempdir().unwrap();
    let [alice, bob] = pair(folder.path(), [&[], &[]]);
    let mut listener = Lines::spawn(&mut bob.command(&["message", "listen", "chat", "--topic", "lobby", "--json"]));
    let send = |to: &[&str], text: &str| alice.run(&[&["message", "send", "chat"], to, &["--text", text]].concat());
    // Until it listens, and until gossip knows that it does, a message is nothing to bob's node.
    let mut until_heard = |to: &[&str], text: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let sent = send(to, text);
            assert_eq!(sent.status, 0, "{}", sent.stderr);
            let heard = std::iter::from_fn(|| listener.next_now()).find(|line| line["event"]["text"] == text);
            if let Some(heard) = heard {
                return heard["event"].clone();
            }
            assert!(Instant::now() < end, "bob hears it");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    assert_eq!(until_heard(&["--to", &bob.key], "are you there?")["from"], alice.key);
    assert_eq!(
        until_heard(&["--peer", &bob.peer], "and by peer"),
        json!({
            "event": "message-received", "protocol": "chat", "topic": null, "from": alice.key,
            "payload": hex::encode("and by peer"), "text": "and by peer",
        })
    );
    assert_eq!(until_heard(&["--topic", "lobby"], "to all")["topic"], "lobby");
    // What cannot be done is said.
    send(&["--peer", &alice.peer], "x").assert_failed(1, &["not connected"]);
    send(&["--peer", "x"], "x").assert_refused(&["not a peer id"]);
    let large = "00".repeat(9_601);
    alice.run(&["message", "send", "chat", "--topic", "lobby", "--hex", &large]).assert_refused(&["9601", "9600"]);
    for number in 1..16 {
        alice.json(&["message", "send", &format!("p{number}"), "--to", &bob.key, "--text", "x"]);
    }
    let one_more = ["message", "send", "p16", "--to", &bob.key, "--text", "x"];
    alice.run(&one_more).assert_failed(1, &["16 protocols"]);
    alice.json(&["message", "listen", "p1", "--off"]);
    alice.json(&one_more);
    alice.run(&["message", "listen", "p1", "--off"]).assert_failed(1, &["does not listen to p1"]);
    // Who listens no more is told nothing: what comes is refused, and counted.
    bob.json(&["message", "listen", "chat", "--off"]);
    let refused = |peers: &Value| {
        let peer = peers["peers"].as_array().unwrap().iter().find(|peer| peer["peer"] == *alice.peer).unwrap();
        (peer["messages"].as_u64().unwrap(), peer["refused"].as_u64().unwrap())
    };
    let before = refused(&bob.json(&["peers"]));
    assert_eq!(send(&["--to", &bob.key], "too late").status, 0);
    until(|| bob.json(&["peers"]), |peers| (refused(peers).1 > before.1).then_some(()));
    assert!(refused(&bob.json(&["peers"])).0 > before.0);
}

#[test]
fn nodes_without_the_dht_and_without_gossip_sign_with_those_that_they_are_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let off = ["--set", "dht=off", "--set", "gossip=false"];
    let [alice, bob] = pair(folder.path(), [&off, &[]]);
    let stats = alice.json(&["stats"]);
    assert_eq!(
        (&stats["dht"]["state"], &stats["dht"]["enabled"], &stats["dht"]["mode"], &stats["gossip"]),
        (&"stopped".into(), &false.into(), &"off".into(), &false.into())
    );
    let others = bob.json(&["stats"]);
    assert_eq!((&others["dht"]["enabled"], &others["gossip"]), (&true.into(), &true.into()));
    assert_eq!(others["dht"]["routing_table_size"], 0, "a node without the DHT is not in anybody's table");
    let session = alice.json(&["request", &bob.key, "--text", "hello"])["session"].as_str().unwrap().to_owned();
    bob.wait_for("session-announced", &[("session", &session)]);
    bob.json(&["approve", &session, "--allow", "opaque"]);
    for node in [&alice, &bob] {
        assert!(node.json(&["sessions", "wait", &session, "--timeout", "60"])["signature"].is_string());
    }
    // A search asks nobody, and ends.
    assert_eq!(alice.json(&["signers"]), json!({ "signers": [] }));
}
