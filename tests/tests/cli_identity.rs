//! Burn identities from the command line: data folders, and a ledger behind the endpoints of Chronik.
#![cfg(unix)]

mod cli_support;

use std::fs;

use cli_support::node::{Node, with_passphrase};
use cli_support::world::World;
use cli_support::{Run, finish};
use nelumbo_chain::ledger::{Ledger, Operation, Orphans};
use serde_json::{Value, json};

fn asked(node: &Node, arguments: &[&str]) -> Run {
    finish(with_passphrase(&mut node.command(&[arguments, &["--json"]].concat())))
}

#[test]
fn an_identity_is_burned_for_passed_on_and_verified_by_others() {
    let world = World::start(2);
    let [alice, bob] = &world.nodes[..] else { panic!("nodes") };
    let address = alice.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    alice.run(&["identity", "show"]).assert_refused(&["no identity"]);
    asked(alice, &["identity", "register"]).assert_failed(1, &["wallet address"]);
    world.fund(&address, 100_000_000);
    let registered = asked(alice, &["identity", "register"]).json();
    let left = alice.json(&["wallet", "balance"])["total"].as_u64().unwrap();
    assert!((49_000_000..50_000_000).contains(&left), "{left}");
    // Once more sends the same, and burns nothing.
    assert_eq!(asked(alice, &["identity", "register"]).json(), registered);
    assert_eq!(alice.json(&["wallet", "balance"])["total"], left);

    let path = |name: &str| world.folder.path().join(name).to_str().unwrap().to_owned();
    let show = |node: &Node, name: &str| fs::write(path(name), node.json(&["identity", "show"]).to_string()).unwrap();
    let verify = |name: &str| bob.run(&["identity", "verify", &path(name), "--json"]);
    show(alice, "first");
    verify("first").assert_failed(1, &["0 of 144 confirmations"]);
    world.mine(143);
    verify("first").assert_failed(1, &["143 of 144 confirmations"]);
    assert!(alice.run(&["identity", "show"]).stdout.contains("143 of 144"));
    world.mine(1);
    let verified = verify("first").json();
    assert_eq!((&verified["id"], &verified["key"]), (&registered["id"], &alice.key.clone().into()));
    assert_eq!((&verified["burned"], &verified["confirmations"]), (&50_000_000.into(), &144.into()));
    bob.run(&["identity", "verify", &path("first"), "--key", &bob.key]).assert_failed(1, &["belongs to"]);
    let altered = fs::read_to_string(path("first")).unwrap().replace(&alice.key, &bob.key);
    fs::write(path("altered"), altered).unwrap();
    verify("altered").assert_refused(&["signature"]);

    // To a key of another folder, which has it from then on.
    let new = Node::init(&world.folder.path().join("new"), &[]);
    fs::copy(alice.folder.join("config.toml"), new.folder.join("config.toml")).unwrap();
    let to = new.folder.to_str().unwrap();
    let rotated = asked(alice, &["identity", "rotate", "--new-data", to]).json();
    assert_eq!(asked(alice, &["identity", "rotate", "--new-data", to]).json(), rotated, "the same again");
    assert_eq!(rotated["id"], registered["id"]);
    show(&new, "second");
    world.mine(71);
    verify("second").assert_failed(1, &["71 of 72 confirmations"]);
    assert_eq!(verify("first").status, 0, "until then it is the old one's");
    world.mine(1);
    let verified = verify("second").json();
    let expected: [Value; 3] = [registered["id"].clone(), new.key.clone().into(), 55_000_000.into()];
    assert_eq!([&verified["id"], &verified["key"], &verified["burned"]], expected.each_ref());
    verify("first").assert_failed(1, &["passed on to another key since"]);
    let other = bob.folder.to_str().unwrap();
    asked(alice, &["identity", "rotate", "--new-data", other]).assert_refused(&["passed on to another key already"]);

    // A node that runs says with each block whose it is: when the block of the rotation is replaced, the old key's again.
    let expected = [("verified", &alice.key), ("lost", &alice.key), ("verified", &new.key)];
    for (what, key) in expected {
        alice.wait_for(&format!("identity-{what}"), &[("key", key), ("id", registered["id"].as_str().unwrap())]);
    }
    let before = alice.newest();
    reorganise(&world, 72);
    alice.wait_for_after(before, "identity-lost", &[("key", &new.key)]);
    alice.wait_for_after(before, "identity-verified", &[("key", &alice.key)]);
}

/// The last blocks are replaced, and what they held waits again.
fn reorganise(world: &World, depth: u32) {
    let (time, orphans, script) = (world.server.time(), Orphans::Pending, Ledger::faucet_script());
    world.server.apply(Operation::Reorganise { time, depth, orphans, script }).unwrap();
}

#[test]
fn who_has_burned_is_let_in_over_restarts_and_as_long_as_its_block_counts() {
    let mut world = World::start(2);
    let (key, path) = (world.nodes[0].key.clone(), world.folder.path().join("alice").to_str().unwrap().to_owned());
    let offer = ["advertise", "--type", "spend"];
    assert_eq!(world.nodes[0].run(&offer).status, 0);
    assert_eq!(world.nodes[1].run(&[&offer[..], &["--requires-verification"]].concat()).status, 0);
    // What becomes of a request of hers.
    let ask = |world: &World| {
        let [alice, bob] = &world.nodes[..] else { panic!("nodes") };
        let created = alice.json(&["create", &bob.key, "--text", "rent"]);
        let session = created["session"].as_str().unwrap().to_owned();
        let announced = bob.wait_for("session-announced", &[("session", &session)]);
        assert_eq!(announced["creator"], key);
        let shown = bob.json(&["sessions", "show", &session]);
        (session, shown["phase"].as_str().unwrap().to_owned())
    };
    let declined = |world: &World| {
        let (session, phase) = ask(world);
        assert_eq!(phase, "aborted");
        let told = world.nodes[0].wait_for("session-aborted", &[("session", &session)]);
        assert_eq!(told["reason"], "unverified", "she is told why");
    };
    declined(&world);

    let [alice, bob] = &world.nodes[..] else { panic!("nodes") };
    let address = alice.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    world.fund(&address, 100_000_000);
    let id = asked(alice, &["identity", "register"]).json()["id"].clone();
    world.mine(144);
    // Her own node knows by itself, others by what she shows.
    alice.wait_for("identity-verified", &[("key", &key), ("tier", "verified")]);
    fs::write(&path, alice.json(&["identity", "show"]).to_string()).unwrap();
    bob.run(&["identity", "verify", &path, "--json"]).json();
    bob.wait_for("identity-verified", &[("key", &key), ("id", id.as_str().unwrap())]);
    assert_eq!(ask(&world).1, "announced");
    let found = |node: &Node| node.json(&["signers", "--verified"])["signers"].clone();
    let expected = json!({ "id": id, "tier": "verified" });
    assert_eq!((found(bob)[0]["key"].as_str(), &found(bob)[0]["identity"]), (Some(&*key), &expected));
    // She finds the one who wants verified creators, and would not if she were none.
    let all = alice.json(&["signers"]).to_string();
    assert!(all.contains(&bob.key), "{all}");

    // It is known after a restart, before any server is asked.
    world.kill(1);
    world.wait_for_others(&world.nodes[1]);
    assert_eq!(ask(&world).1, "announced");
    assert!(!world.nodes[1].run(&["events", "--json"]).stdout.contains("identity-"));

    // The block of the burn is replaced: it waits again.
    reorganise(&world, 144);
    world.nodes[1].wait_for("identity-lost", &[("key", &key), ("id", id.as_str().unwrap())]);
    declined(&world);
    world.mine(144);
    world.nodes[1].wait_for("identity-verified", &[("key", &key)]);
    assert_eq!(ask(&world).1, "announced");
}
