//! A node with a message key: what is in its folder, that it signs, and that a key that is gone is drawn anew.
#![cfg(unix)]

mod cli_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cli_support::node::{Node, with_passphrase};
use cli_support::{finish, nelumbo};

fn delegate(node: &Node) {
    let path = node.folder.join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\n# delegate = true\n"), "a comment of a new node says how");
    fs::write(path, text.replace("\n# delegate = true\n", "\ndelegate = true\n")).unwrap();
}

#[test]
fn a_node_that_delegates_signs_with_one_that_does_not_and_keeps_its_message_key_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let mut alice = Node::init(&folder.path().join("alice"), &[]);
    delegate(&alice);
    let recording = folder.path().join("alice.recording");
    let address = alice.start_with(&["--record", recording.to_str().expect("a plain name")]);
    let delegated = alice.wait_for("delegated", &[]);
    let message_key = delegated["message_key"].as_str().expect("a key").to_owned();
    assert_ne!(message_key, alice.key);

    let path = alice.folder.join("message.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(&message_key) && text.contains("\nsealed-key argon2id"), "{text}");

    let mut bob = Node::init(&folder.path().join("bob"), &["--bootstrap", &address]);
    bob.start();
    bob.wait_for_signers(&[&alice.key]);
    alice.wait_for_signers(&[&bob.key]);
    let created = alice.json(&["create", &bob.key, "--suite", "bip340", "--text", "rent"]);
    let session = created["session"].as_str().expect("an id").to_owned();
    bob.wait_for("session-announced", &[("session", &session), ("creator", &alice.key)]);
    bob.json(&["approve", &session, "--allow", "opaque"]);
    for node in [&alice, &bob] {
        node.wait_for("session-completed", &[("session", &session)]);
    }

    // What was recorded is the same again, without either key.
    alice.json(&["stop"]);
    let replayed = nelumbo(&["simulate", "replay", recording.to_str().expect("a plain name"), "--json"]);
    assert_eq!(replayed.status, 0, "{replayed:?}");

    // It is asked for once: the journal has it.
    alice.start();
    bob.wait_for_signers(&[&alice.key]);
    let events = alice.run(&["events", "--json"]).stdout;
    assert!(!events.contains("\"delegated\""), "{events}");

    // Another message key does as well, after a new delegation.
    alice.json(&["stop"]);
    fs::remove_file(&path).unwrap();
    alice.start();
    let other = alice.wait_for("delegated", &[])["message_key"].as_str().expect("a key").to_owned();
    assert_ne!(other, message_key);
    alice.json(&["stop"]);

    // Of another passphrase, or damaged: it says which file, and that it can go.
    let text = fs::read_to_string(&path).unwrap().replace(&other, &message_key);
    fs::write(&path, text).unwrap();
    let run = finish(with_passphrase(&mut alice.command(&["node"])));
    run.assert_refused(&["message.key", "remove it"]);
    fs::remove_file(&path).unwrap();
    alice.start();
    alice.wait_for("delegated", &[]);
}
