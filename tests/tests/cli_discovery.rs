//! Strangers become signers: five nodes, each a process, driven by nothing but the command line.
#![cfg(unix)]

mod cli_support;

use std::time::{SystemTime, UNIX_EPOCH};

use cli_support::nelumbo;
use cli_support::node::{Node, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Five nodes. All but the first know the first one's address only, and nobody knows a key.
fn strangers() -> (Vec<Node>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    let mut through = None;
    for number in 0..5 {
        let bootstrap = through.as_deref().map_or_else(Vec::new, |address| vec!["--bootstrap", address]);
        let mut node = Node::init(&folder.path().join(number.to_string()), &bootstrap);
        let address = node.start();
        through.get_or_insert(address);
        nodes.push(node);
    }
    (nodes, folder)
}

fn keys(answer: &Value) -> Vec<String> {
    let signers = answer["signers"].as_array().expect("a list").iter();
    signers.map(|signer| signer["key"].as_str().expect("a text").to_owned()).collect()
}

/// A transaction that spends 250,000 satoshi of these signers, as `--transaction` takes it.
fn transaction(keys: &[&str]) -> Value {
    let aggregated = nelumbo(&[&["key", "aggregate", "--taproot", "--json"], keys].concat()).json();
    let own = format!("625121{}", aggregated["output_key"].as_str().unwrap());
    let mut bytes = 2i32.to_le_bytes().to_vec();
    bytes.push(1);
    bytes.extend([0x11; 32]);
    bytes.extend(0u32.to_le_bytes());
    bytes.push(0);
    bytes.extend(u32::MAX.to_le_bytes());
    bytes.push(1);
    bytes.extend(249_000u64.to_le_bytes());
    bytes.extend([1, 0x51]);
    bytes.extend(0u32.to_le_bytes());
    json!({ "transaction": hex::encode(bytes), "spent": [{ "value": 250_000, "script": own }] })
}

#[test]
fn five_strangers_find_each_other_and_sign() {
    let (mut nodes, folder) = strangers();
    let limits = ["1000000", "1000000", "200000"];
    for (node, limit) in nodes[1..4].iter().zip(limits) {
        node.json(&["advertise", "--type", "spend", "--max-amount", limit, "--nickname", "Ada"]);
    }
    // One says for how long each of its advertisements is valid.
    let lifetime = |node: &Node, time: &str| {
        let offer = ["advertise", "--type", "spend", "--max-amount", limits[0], "--nickname", "Ada"];
        node.run(&[&offer[..], &["--lifetime", time]].concat())
    };
    for time in ["299 s", "8 d"] {
        let refused = lifetime(&nodes[1], time);
        refused.assert_failed(1, &["an advertisement is valid for 300 s to seven days", "nelumbo advertise --help"]);
    }
    let newest = nodes[1].newest();
    assert_eq!(lifetime(&nodes[1], "3 h").status, 0);
    let until_when = nodes[1].wait_for_after(newest, "advertised", &[])["expires_at"].as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left = until_when.saturating_sub(u64::try_from(now.as_millis()).unwrap());
    assert!((10_700_000..=10_800_000).contains(&left), "three hours, and not a day: {left} ms");

    // By type and amount, as soon as the network has it.
    let find = || nodes[4].json(&["signers", "--type", "spend", "--amount", "150000"]);
    let found = until(find, |answer| (keys(answer).len() == 3).then(|| keys(answer)));
    let mut expected: Vec<String> = nodes[1..4].iter().map(|node| node.key.clone()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let dearer = nodes[4].json(&["signers", "--type", "spend", "--amount", "250000"]);
    assert!(!keys(&dearer).contains(&nodes[3].key) && keys(&dearer).len() == 2, "{dearer}");
    assert_eq!(
        (&dearer["signers"][0]["reputation"], &dearer["signers"][0]["offer"]["nickname"]),
        (&50.into(), &"Ada".into())
    );
    assert_eq!(nodes[4].json(&["signers", "--type", "swap"]), json!({ "signers": [] }));

    // One of those that are asked is away.
    nodes[2].kill();
    let file = folder.path().join("spend.json");
    let (one, two) = (nodes[1].key.clone(), nodes[2].key.clone());
    let transaction = transaction(&[&one, &two, &nodes[4].key]);
    std::fs::write(&file, transaction.to_string()).unwrap();
    let request = ["request", "--type", "spend", "--description", "the rent", "--listed", "--taproot", "--transaction"];
    let created = nodes[4].json(&[&request[..], &[file.to_str().unwrap(), &one, &two]].concat());
    let [session, link] = ["session", "link"].map(|field| created[field].as_str().unwrap().to_owned());
    let is_there =
        |answer: &Value| answer["sessions"].as_array()?.iter().any(|one| one["session"] == *session).then_some(());
    until(|| nodes[1].json(&["requests"]), is_there);
    let shown = nodes[1].json(&["sessions", "show", &session]);
    assert_eq!((&shown["amount"], &shown["kind"]), (&250_000.into(), &"spend".into()));
    assert_eq!((&shown["description"], &shown["listed"]), (&"the rent".into(), &true.into()));
    assert_eq!(shown["spending"]["transaction"], transaction["transaction"]);
    assert_eq!(shown["summary"]["signs"]["transaction"]["fee"], 1_000);
    nodes[1].json(&["approve", &session]);
    // When it comes back, it finds what was asked meanwhile.
    nodes[2].start();
    until(|| nodes[2].json(&["requests"]), is_there);
    nodes[2].json(&["approve", &link]);
    let signatures: Vec<Value> = [1, 2, 4]
        .iter()
        .map(|node| nodes[*node].json(&["sessions", "wait", &session, "--timeout", "60"])["signature"].clone())
        .collect();
    assert!(signatures[0].is_string() && signatures.iter().all(|one| *one == signatures[0]), "{signatures:?}");
    let known = nodes[4].json(&["signers", "--type", "spend", "--min-reputation", "51"]);
    assert_eq!(keys(&known).len(), 2, "who has signed with it has a better reputation: {known}");

    // A link to a request that nobody has told the node of leads there, and a request can be declined.
    let request = ["request", "--listed", "--text", "no", &nodes[3].key];
    let created = nodes[4].json(&request);
    let link = created["link"].as_str().unwrap().to_owned();
    let shown = until(
        || nodes[3].json(&["sessions", "show", &link]),
        |shown| (shown["phase"] == "announced").then(|| shown.clone()),
    );
    assert_eq!(shown["creator"], nodes[4].key.as_str());
    nodes[3].json(&["abort", &link]);
    nodes[4].wait_for("session-aborted", &[("by", &nodes[3].key), ("reason", "declined")]);

    // Whoever withdraws is not found any more.
    nodes[1].json(&["advertise", "--withdraw"]);
    let gone = |answer: &Value| (!keys(answer).contains(&one)).then_some(());
    nodes[4].json(&["subscribe", "spend"]);
    until(|| nodes[4].json(&["signers", "--type", "spend"]), gone);
    nodes[1].run(&["advertise", "--withdraw"]).assert_failed(1, &["advertises nothing", "nelumbo advertise --help"]);
}
