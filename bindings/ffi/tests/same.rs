//! One script of calls gives the same texts in every language. This is Rust's part, and what writes the script.

mod world;

use std::fs;

use nelumbo_core::crypto::sha256;
use serde_json::{Value, json};
use world::{Player, World, create};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../same/script.jsonl");
const HASH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../same/outputs.sha256");

/// Everything that differs between languages is in it: text that is not ASCII, large numbers, fractions, errors,
/// nothing.
fn record() -> Vec<Value> {
    let mut world = World::default();
    for (name, has_signer) in [("a", false), ("b", false), ("c", true)] {
        world.add(name, has_signer);
    }
    for (suite, message) in [("lotus", "ab".repeat(32)), ("bip340", hex::encode("für drei, 三人のために"))] {
        let mut command = create(suite, &world.keys(), &message);
        command["details"] = json!({"description": "für drei \u{202e}", "kind": "custody"});
        let session = world.ask(command);
        world.view("c");
        for name in ["b", "c"] {
            world.command(name, json!({"type": "join", "session": session, "allow": ["opaque"]}));
        }
        world.settle(&["b"]);
        world.boot("b");
        let count = |world: &World| {
            let events = world.nodes.values().flat_map(|node| &node.events);
            events.filter(|event| event["type"] == "session-completed" && event["session"] == *session).count()
        };
        world.run_until(|world| count(world) >= 3, &[]);
    }
    world.give("a", json!([{"type": "routing-table", "peers": 3}]));
    world.command("a", json!({"type": "advertise", "offer": {"types": ["spend"], "max_amount": u64::MAX, "fee": 1}}));
    world.settle(&[]);
    for name in ["a", "b", "c"] {
        world.view(name);
    }
    for text in ["", "{", "[{\"type\":\"tick\",\"x\":1}]", "[{\"type\":\"received\",\"peer\":\"é\",\"bytes\":\"00\"}]"]
    {
        world.step(json!({"do": "handle", "name": "a", "text": text, "mono_ms": world.clock, "wall_ms": 0.5}));
    }
    world.step(json!({"do": "handle", "name": "a", "text": "[]", "mono_ms": -1, "wall_ms": 0}));
    world.step(json!({"do": "handle", "name": "a", "text": "[]", "mono_ms": world.clock + 0.3, "wall_ms": 0.5}));
    world.command("b", json!({"type": "close", "session": "00".repeat(32)}));
    let keys = world.keys();
    for question in [
        json!({"type": "version"}),
        json!({"type": "aggregate", "suite": "lotus", "keys": keys, "tweak": {"type": "taproot"}}),
        json!({"type": "aggregate", "suite": "bip340", "keys": keys}),
        json!({"type": "merge-own", "stored": "4c", "value": "4c00"}),
        json!({"type": "check-record", "network": "mainnet", "key": "ü", "value": "02", "wall_ms": 1.5}),
        json!({"type": "public-key", "secret": "00".repeat(32)}),
    ] {
        world.step(json!({"do": "call", "text": question.to_string()}));
    }
    world.script.into_iter().map(|(step, _)| step).collect()
}

/// `NELUMBO_BLESS=1` writes script and hash anew, after messages, shapes or decisions have changed.
#[test]
fn the_script_gives_what_it_gave_when_it_was_recorded() {
    let bless = std::env::var_os("NELUMBO_BLESS").is_some();
    if bless {
        let lines: String = record().iter().map(|step| format!("{step}\n")).collect();
        fs::write(SCRIPT, lines).expect("the folder can be written to");
    }
    let script = fs::read_to_string(SCRIPT).expect("the script is committed");
    let mut player = Player::default();
    let mut outputs = String::new();
    for line in script.lines() {
        let step: Value = serde_json::from_str(line).expect("a line is JSON");
        outputs.push_str(&player.play(&step));
        outputs.push('\n');
    }
    let hash = hex::encode(sha256(&[outputs.as_bytes()])) + "\n";
    if bless {
        fs::write(HASH, &hash).expect("the folder can be written to");
    }
    // For the other languages to compare theirs with.
    if let Some(path) = std::env::var_os("NELUMBO_OUTPUTS") {
        fs::write(path, &outputs).expect("NELUMBO_OUTPUTS can be written");
    }
    let completed = outputs.matches(r#""type":"session-completed""#).count();
    assert!(completed >= 6, "{completed} times a session completed: the script says too little");
    for code in ["bad-json", "bad-time", "bad-record", "bad-secret", "unknown-session"] {
        assert!(outputs.contains(&format!(r#"{{"code":"{code}""#)), "no {code}: the script says too little");
    }
    let recorded = fs::read_to_string(HASH).expect("the hash is committed");
    assert_eq!(hash, recorded, "if this is meant, record it anew with NELUMBO_BLESS=1");
}
