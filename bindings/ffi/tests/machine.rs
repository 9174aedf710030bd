//! Machines sign together through text alone; what is wrong is refused and changes nothing.

mod world;

use nelumbo_ffi::{Machine, call};
use serde_json::{Value, json};
use world::{START, World, create};

fn world(names: &[(&str, bool)]) -> World {
    let mut world = World::default();
    names.iter().for_each(|(name, has_signer)| world.add(name, *has_signer));
    world
}

/// Whether what a node says it has signed verifies under the key that it says.
fn is_signed(world: &mut World, name: &str, suite: &str, message: &str) -> bool {
    let view = world.view(name);
    let session = &view["sessions"][0];
    let question = json!({
        "type": "verify", "suite": suite, "key": session["challenge_keys"][0], "message": message,
        "signature": session["signatures"][0],
    });
    serde_json::from_str::<Value>(&call(&question.to_string()).expect("a sound question")).expect("JSON")["is_valid"]
        == true
}

#[test]
fn three_sign_and_one_of_them_has_its_key_with_a_signer() {
    for (suite, message) in [("lotus", "ab".repeat(32)), ("bip340", "6869".into())] {
        let mut world = world(&[("a", false), ("b", false), ("c", true)]);
        let command = create(suite, &world.keys(), &message);
        let session = world.ask(command);
        for name in ["b", "c"] {
            let asked = world.told(name, "session-announced").expect("it is asked");
            assert_eq!(asked["summary"]["unusual"], json!(["opaque"]));
            assert_eq!(asked["summary"]["signs"]["messages"][0]["hex"], message);
            assert_eq!(asked["creator"], world.nodes["a"].key);
            let joined = world.command(name, json!({"type": "join", "session": session, "allow": ["opaque"]}));
            assert!(joined.parse::<u64>().is_ok(), "{joined}");
        }
        world.run_until(|world| world.all_told("session-completed"), &[]);
        let signatures = ["a", "b", "c"].map(|name| {
            assert!(is_signed(&mut world, name, suite, &message), "{name}");
            world.told(name, "session-completed").expect("it has")["signatures"].clone()
        });
        assert!(signatures.iter().all(|one| one == &signatures[0]));
        let aggregate = json!({"type": "aggregate", "suite": suite, "keys": world.keys()}).to_string();
        let aggregate: Value = serde_json::from_str(&call(&aggregate).expect("sound keys")).expect("JSON");
        assert_eq!(aggregate["challenge_key"], world.view("b")["sessions"][0]["challenge_keys"][0]);
    }
}

#[test]
fn what_the_machines_own_signer_is_asked_is_never_heard() {
    let mut world = world(&[("a", false), ("b", false)]);
    let command = create("lotus", &world.keys(), &"ab".repeat(32));
    let session = world.ask(command);
    world.command("b", json!({"type": "join", "session": session, "allow": ["opaque"]}));
    world.run_until(|world| world.all_told("session-completed"), &[]);
    assert!(world.script.iter().all(|(_, result)| !result.contains(r#"{"type":"sign","#)));
}

#[test]
fn a_node_that_is_restarted_goes_on_with_its_journal() {
    let mut world = world(&[("a", false), ("b", false), ("c", false)]);
    let command = create("lotus", &world.keys(), &"ab".repeat(32));
    let session = world.ask(command);
    world.command("b", json!({"type": "join", "session": session, "allow": ["opaque"]}));
    world.command("c", json!({"type": "join", "session": session, "allow": ["opaque"]}));
    // Of what it has said since, nothing arrives; then it is gone.
    world.settle(&["b"]);
    world.boot("b");
    world.run_until(|world| world.all_told("session-completed"), &[]);
    let restarted = world.nodes["b"].events.iter().any(|event| event["cause"]["type"] == "restarted");
    assert!(restarted, "it says why it begins anew");
    assert!(is_signed(&mut world, "b", "lotus", &"ab".repeat(32)));
}

#[test]
fn rules_approve_and_decline_without_asking() {
    let mut world = world(&[("a", false), ("b", false), ("c", false)]);
    let keys = world.keys();
    let approve = json!({"rules": [{"creators": [keys[0]], "action": {"type": "approve", "allow": ["opaque"]}}]});
    for name in ["b", "c"] {
        assert_eq!(world.command(name, json!({"type": "set-policy", "policy": approve})), "0");
    }
    let command = create("lotus", &keys, &"ab".repeat(32));
    world.ask(command);
    world.run_until(|world| world.all_told("session-completed"), &[]);

    // No rule on spending fits a bare message, so that the next one decides.
    let decline = json!({"rules": [
        {"max_spent": 1_000_000, "action": {"type": "approve", "allow": ["opaque"]}},
        {"signers": keys, "action": {"type": "decline"}},
    ]});
    assert_eq!(world.command("c", json!({"type": "set-policy", "policy": decline})), "0");
    let command = create("lotus", &keys, &"cd".repeat(32));
    world.ask(command);
    world.run_until(|world| world.told("a", "session-aborted").is_some(), &[]);
    assert_eq!(world.told("a", "session-aborted").expect("it is")["by"], keys[2]);

    // A rule that names nothing unusual approves no bare message: the embedder is asked.
    let ask = json!({"rules": [{"action": {"type": "approve"}}]});
    world.command("c", json!({"type": "set-policy", "policy": ask}));
    let command = create("lotus", &keys, &"ef".repeat(32));
    let session = world.ask(command);
    let view = world.view("c");
    let waiting = view["sessions"].as_array().expect("a list").iter().find(|one| one["id"] == session);
    assert_eq!(waiting.expect("it is there")["phase"], "announced");
}

#[test]
fn what_is_wrong_has_a_code_and_changes_nothing() {
    let params = json!({"network": "regtest", "peer": "AAAA"}).to_string();
    let new = |params: &str, secret: &[u8], seed: &[u8], mono: f64| {
        Machine::new(params, secret, seed, mono, START).expect_err("it is wrong").code
    };
    assert_eq!(new("{", &[1; 32], &[1; 32], 0.0), "bad-json");
    assert_eq!(new(&params.replace("AAAA", "0OIl"), &[1; 32], &[1; 32], 0.0), "bad-json");
    assert_eq!(new(&params.replace("}", r#","pear":1}"#), &[1; 32], &[1; 32], 0.0), "bad-json");
    assert_eq!(new(&params, &[1; 31], &[1; 32], 0.0), "bad-argument");
    assert_eq!(new(&params, &[1; 32], &[1; 33], 0.0), "bad-argument");
    assert_eq!(new(&params, &[0; 32], &[1; 32], 0.0), "bad-secret");
    assert_eq!(new(&params, &[1; 32], &[0; 32], 0.0), "bad-seed");
    assert_eq!(new(&params, &[1; 32], &[1; 32], f64::NAN), "bad-time");
    let corrupt = params.replace("}", r#","records":[["00","00"]]}"#);
    assert_eq!(new(&corrupt, &[1; 32], &[1; 32], 0.0), "corrupt-journal");
    let config = params.replace("}", r#","config":{"session_timeout_ms":0}}"#);
    assert_eq!(new(&config, &[1; 32], &[1; 32], 0.0), "bad-config");

    let mut machine = Machine::new(&params, &[1; 32], &[1; 32], 0.0, START).expect("nothing is wrong");
    machine.poll();
    let before = machine.view();
    for (mono, wall) in [(f64::NAN, 0.0), (f64::INFINITY, 0.0), (0.0, -1.0), (0.0, f64::NEG_INFINITY), (1e16, 0.0)] {
        assert_eq!(machine.handle(mono, wall, "[]").expect_err("no time").code, "bad-time", "{mono} {wall}");
        assert_eq!(machine.command(mono, wall, r#"{"type":"withdraw"}"#).expect_err("no time").code, "bad-time");
    }
    // The second is malformed, so that the first is not taken either.
    let half = r#"[{"type":"connected","peer":"BBBB"},{"type":"connected","peer":7}]"#;
    assert_eq!(machine.handle(1.0, START, half).expect_err("half").code, "bad-json");
    let large = r#"[{"type":"gossip","peer":"BBBB","id":9007199254740992,"bytes":""}]"#;
    assert!(machine.handle(1.0, START, large).expect_err("an id that JavaScript has not").message.contains("2^53"));
    let other = machine.command(1.0, START, r#"{"type":"join","session":"00"}"#).expect_err("no id");
    assert_eq!(other.code, "bad-json");
    let unknown = json!({"type": "join", "session": "00".repeat(32)}).to_string();
    let unknown = machine.command(1.0, START, &unknown).expect_err("no session");
    assert_eq!((&*unknown.code, unknown.remedy.is_empty()), ("unknown-session", false));
    assert_eq!((machine.view(), machine.poll()), (before, "[]".into()));
}

#[test]
fn time_that_goes_back_stands_still() {
    let params = json!({"network": "regtest", "peer": "AAAA"}).to_string();
    let mut machine = Machine::new(&params, &[1; 32], &[1; 32], 10_000.0, START).expect("nothing is wrong");
    let deadline = machine.deadline();
    assert!(deadline.is_some_and(|at| at > 10_000.0), "{deadline:?}");
    machine.handle(1.0, START, r#"[{"type":"tick"}]"#).expect("a sound input");
    assert_eq!(machine.deadline(), deadline);
}

#[test]
fn questions_are_answered_without_a_machine() {
    let ask =
        |question: Value| call(&question.to_string()).map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
    let secret = "01".repeat(32);
    let key = ask(json!({"type": "public-key", "secret": secret})).expect("a key")["key"].clone();
    let other = ask(json!({"type": "public-key", "secret": "02".repeat(32)})).expect("a key")["key"].clone();
    let mut question = json!({"type": "aggregate", "suite": "lotus", "keys": [key, other], "network": "regtest"});
    let plain = ask(question.clone()).expect("two keys");
    assert_eq!((&plain["aggregate_key"], &plain["address"]), (&plain["challenge_key"], &Value::Null));
    question["tweak"] = json!({"type": "taproot"});
    let tweaked = ask(question.clone()).expect("two keys");
    assert_eq!(tweaked["aggregate_key"], plain["aggregate_key"]);
    assert_ne!(tweaked["challenge_key"], plain["challenge_key"]);
    assert!(tweaked["address"].as_str().expect("it has one").starts_with("lotusR"), "{tweaked}");
    question["suite"] = "bip340".into();
    assert!(ask(question.clone()).expect("two keys")["address"].as_str().expect("it has one").starts_with("bcrt1p"));
    question["keys"] = json!([key, key]);
    question["suite"] = "lotus".into();
    assert_eq!(ask(question).expect_err("one key twice").code, "bad-keys");
    let record = json!({"type": "check-record", "network": "regtest", "key": "x", "value": "00", "wall_ms": START});
    assert_eq!(ask(record).expect_err("no record").code, "bad-record");
    let merge = ask(json!({"type": "merge-own", "stored": "00", "value": "0102"})).expect("bytes");
    assert_eq!(merge["value"], "0102");
    assert_eq!(ask(json!({"type": "version"})).expect("always")["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ask(json!({"type": "nothing"})).expect_err("no question").code, "bad-json");
}

#[test]
fn records_that_a_node_stores_are_valid_where_they_belong() {
    let mut world = world(&[("a", false), ("b", false)]);
    world.give("a", json!([{"type": "routing-table", "peers": 3}]));
    world.command("a", json!({"type": "advertise", "offer": {"types": ["spend"], "nickname": "a"}}));
    let stored = |world: &World| -> Vec<Value> {
        let said = world.script.iter().filter(|(step, _)| step["do"] == "poll" && step["name"] == "a");
        let outputs = said.flat_map(|(_, outputs)| serde_json::from_str::<Vec<Value>>(outputs).expect("JSON"));
        outputs.filter(|output| output["type"] == "store").collect()
    };
    // Its presence, its offer, and entries in directories.
    world.run_until(|world| stored(world).len() >= 3, &[]);
    let now = START + world.clock;
    let stored = stored(&world);
    for output in stored {
        let question = |key: &Value| {
            let question = json!({
                "type": "check-record", "network": "regtest", "key": key, "value": output["value"],
                "wall_ms": now,
            });
            call(&question.to_string())
        };
        let answer: Value = serde_json::from_str(&question(&output["key"]).expect("it is sound")).expect("JSON");
        assert!(answer["issued_at_ms"].as_f64().expect("a time") >= START, "{answer}");
        assert_eq!(question(&json!("/lotus/resource:other")).expect_err("not there").code, "bad-record");
    }
}
