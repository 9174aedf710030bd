//! What config.toml says of a node that runs: checked before it counts, read again at a hangup, and what is approved by
//! it without asking.
#![cfg(unix)]

mod cli_support;

use std::fs;

use cli_support::api::Api;
use cli_support::node::{Node, with_passphrase};
use cli_support::world::{World, bob};
use cli_support::{finish, nelumbo};
use nelumbo_core::crypto::Network;
use nelumbo_core::crypto::lotus::{Address, Payload};
use serde_json::{Value, json};

#[test]
fn a_file_is_checked_before_a_node_lives_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::init(&folder.path().join("node"), &[]);
    assert_eq!(node.run(&["config", "check"]).status, 0);
    let shown = node.json(&["config", "show"]);
    assert_eq!((&shown["protocol.session-timeout"], &shown["limits.sessions"]), (&json!("2 h"), &json!(512)));

    let config = node.folder.join("config.toml");
    let sound = fs::read_to_string(&config).unwrap();
    for (text, problem) in [
        ("[limits]\nsesions = 5", "did you mean `sessions`?"),
        ("[limits]\nsessions = 0", "limits.sessions is 0; allowed is 1 or more"),
        ("[protocol]\nsession-timeout = \"8 d\"", "protocol.session-timeout is 8 d; allowed is 1 ms to 7 d"),
        ("[log]\nfilter = \"wran\"", "log.filter is wran"),
        ("[[approval.rules]]\nname = \"all\"\ndecision = \"approve\"", "max-amount-per-day"),
    ] {
        fs::write(&config, format!("{sound}\n{text}\n")).unwrap();
        let lines = sound.lines().count() + 1;
        let check = node.run(&["config", "check"]);
        assert_eq!(check.status, 1, "{text}");
        assert!(check.stderr.contains(problem), "{problem}: {}", check.stderr);
        if !text.contains("approval") {
            assert!(check.stderr.contains(&format!("line {}", lines + 2)), "{}", check.stderr);
        }
        let json: Value = serde_json::from_str(&node.run(&["config", "check", "--json"]).stdout).unwrap();
        assert!(json["sound"] == false && json["problem"].as_str().unwrap().contains(problem), "{json}");
        finish(with_passphrase(&mut node.command(&["node"]))).assert_refused(&[problem]);
    }
    fs::write(&config, &sound).unwrap();
    assert_eq!(node.json(&["config", "check"])["sound"], true);
    finish(with_passphrase(&mut node.command(&["node", "--set", "limits.sesions=7"]))).assert_refused(&["sessions"]);
}

#[test]
fn a_hangup_changes_what_can_change_and_a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::init(&folder.path().join("node"), &[]);
    node.start_with(&["--set", "limits.sessions=600"]);
    let config = node.folder.join("config.toml");
    let sound = fs::read_to_string(&config).unwrap();
    let other = folder.path().join("other.key");
    let other =
        nelumbo(&["key", "generate", "--network", "regtest", "--json", "--out", other.to_str().unwrap()]).json();
    let election = || {
        let created = node.json(&["create", other["public_key"].as_str().unwrap(), "--text", "hello"]);
        node.json(&["sessions", "show", created["session"].as_str().unwrap()])["election"].clone()
    };
    assert_eq!(election(), "lexicographic");

    let log = "log = { filter = \"info\", to = \"files\" }";
    let happened = node.reconfigure(&format!("election = \"rotating\"\nrelays = false\n{log}"));
    assert_eq!(happened["event"], "configuration-reloaded", "{happened}");
    assert_eq!(happened["changed"], json!(["election", "log.filter", "log.to"]));
    assert_eq!(happened["after_restart"], json!(["relays"]));
    assert_eq!(election(), "rotating");
    let files = |folder: &std::path::Path| {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let kept = files(&node.folder.join("log"));
    let name = kept[0].file_name().unwrap().to_str().unwrap();
    assert!(kept.len() == 1 && name.starts_with("nelumbo.20") && name.ends_with(".log"), "{kept:?}");
    let text = fs::read_to_string(&kept[0]).unwrap();
    assert!(text.contains("config.toml was read again") && text.contains("INFO"), "{text}");

    fs::write(&config, format!("{sound}\nelection = \"last-signer\"\n[limits]\nsesions = 5\n")).unwrap();
    let happened = node.reload();
    assert_eq!(happened["event"], "configuration-refused", "{happened}");
    assert!(happened["error"].as_str().unwrap().contains("did you mean `sessions`?"), "{happened}");
    assert_eq!(election(), "rotating", "the old settings hold");
    fs::write(&config, &sound).unwrap();
    assert_eq!(node.reload()["event"], "configuration-reloaded");
    assert_eq!(election(), "lexicographic");
    assert_eq!(node.signal("-TERM"), Some(0));
}

#[test]
fn how_often_a_token_may_ask_changes_at_a_hangup() {
    let api = Api::start(&[]);
    let token = api.token("reader", &["read"]);
    let refused = || (0..40).filter(|_| api.get("/v1/contacts", &token).status == 429).count();
    assert_eq!(refused(), 0);
    let happened = api.node.reconfigure("api = { listen = \"127.0.0.1:7310\", requests-per-second = 1 }");
    assert_eq!(happened["changed"], json!(["api.requests-per-second"]), "{happened}");
    // Two at once, and one a second.
    assert!(refused() >= 20);
    let config = api.node.folder.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("requests-per-second = 1", "requests-per-second = 0")).unwrap();
    let wrong = api.node.reload();
    let problem = "api.requests-per-second is 0; allowed is 1 to 1000000";
    assert!(wrong["error"].as_str().unwrap().contains(problem), "{wrong}");
}

#[test]
fn a_rule_approves_what_it_fits_up_to_its_amount_of_a_day_and_asks_otherwise() {
    let mut world = World::start(2);
    let address = world.group(&[]);
    for _ in 0..6 {
        world.fund(&address, 20_000_000);
    }
    let key = world.nodes[0].key.clone();
    let rule = format!(
        "[[approval.rules]]\nname = \"rent\"\ndecision = \"approve\"\ncreators = [\"{key}\"]\ngroups = [\"family\"]\n\
         outputs = [\"{}\"]\nmax-amount = 9_000_000\nmax-amount-per-day = 15_000_000",
        bob()
    );
    let happened = world.nodes[1].reconfigure(&rule);
    assert_eq!(happened["changed"], json!(["approval.rules"]), "{happened}");

    let spend = |world: &World, to: &str| {
        let asked = world.nodes[0].json(&["spend", "family", "--to", to]);
        (asked["session"].as_str().unwrap().to_owned(), 8_000_000 + asked["fee"].as_u64().unwrap())
    };
    let decided = |world: &World, session: &str| world.nodes[1].wait_for("approval-decided", &[("session", session)]);
    let eight = format!("{}=8", bob());

    let (session, amount) = spend(&world, &eight);
    let said = decided(&world, &session);
    assert_eq!(
        (&said["decision"], &said["rule"], &said["amount"]),
        (&json!("approve"), &json!("rent"), &json!(amount))
    );
    world.nodes[0].wait_for("session-completed", &[("session", &session)]);
    let approvals = fs::read_to_string(world.nodes[1].folder.join("approvals.jsonl")).unwrap();
    assert!(approvals.contains(&session), "it is kept as any approval");

    // The day's amount is used up, and no crash gives it back.
    for _ in 0..2 {
        let (session, _) = spend(&world, &eight);
        let said = decided(&world, &session);
        assert_eq!((&said["decision"], &said["rule"]), (&json!("ask"), &Value::Null));
        assert!(said["others"]["rent"].as_str().unwrap().contains("in a day are more than 15000000"), "{said}");
        let waiting = world.nodes[1].json(&["sessions", "--phase", "announced"]).to_string();
        assert!(waiting.contains(&session), "{waiting}");
        assert_eq!(world.nodes[0].run(&["abort", &session]).status, 0);
        world.kill(1);
        world.wait_for_others(&world.nodes[1]);
        world.wait_for_others(&world.nodes[0]);
    }

    // What a rule does not fit waits, and is approved by hand as ever.
    let stranger = Address { network: Network::Regtest, payload: Payload::PublicKeyHash([0xcc; 20]) };
    let elsewhere = spend(&world, &format!("{stranger}=1")).0;
    let message = world.nodes[0].json(&["create", &world.nodes[1].key, "--text", "trust me"]);
    for (session, reason) in [
        (elsewhere.as_str(), "is not among its outputs"),
        (message["session"].as_str().unwrap(), "it is for none of its groups"),
    ] {
        let said = decided(&world, session);
        assert_eq!(said["decision"], "ask", "{said}");
        assert!(said["others"]["rent"].as_str().unwrap().contains(reason), "{said}");
    }
    assert_eq!(world.nodes[1].run(&["approve", message["session"].as_str().unwrap(), "--allow", "opaque"]).status, 0);
    world.nodes[0].wait_for("session-completed", &[("session", message["session"].as_str().unwrap())]);
}
