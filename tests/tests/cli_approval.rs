//! What people and scripts see before they approve, and what is not approved without its name: nodes as processes,
//! driven by nothing but the command line.
#![cfg(unix)]

mod cli_support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use cli_support::node::{Lines, Node};
use cli_support::{fields, nelumbo};
use nelumbo_core::crypto::lotus::{
    Address, OutPoint, Payload, TaprootOutput, Transaction, TxInput, TxOutput, Txid, p2pkh_script,
};
use nelumbo_core::crypto::{KeyAggContext, Network, PublicKey, Signature, Suite, Tweak, bitcoin, schnorr, sha256};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use tempfile::TempDir;

const BOB: [u8; 20] = [0xb0; 20];
const SAID: &str = "rent, 1,000 satoshi to Bob";
const MESSAGE: &str = "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50";

/// Two nodes that are connected; the first asks, the second is asked.
struct Two {
    nodes: [Node; 2],
    folder: TempDir,
}

impl Two {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut creator = Node::init(&folder.path().join("creator"), &[]);
        let address = creator.start();
        let mut asked = Node::init(&folder.path().join("asked"), &["--bootstrap", &address]);
        asked.start();
        creator.wait_for_signers(&[&asked.key]);
        asked.wait_for_signers(&[&creator.key]);
        Self { nodes: [creator, asked], folder }
    }

    /// The key of the group's Taproot output.
    fn output_key(&self) -> PublicKey {
        let [creator, asked] = &self.nodes;
        let aggregated = nelumbo(&["key", "aggregate", "--taproot", "--json", &creator.key, &asked.key]).json();
        aggregated["output_key"].as_str().unwrap().parse().unwrap()
    }

    /// A file for `--transaction`: the group spends 100 million satoshi.
    fn file(&self, outputs: &[(u64, Vec<u8>)], sighash_type: u8) -> String {
        let outpoint = OutPoint { txid: Txid::from_bytes([0x11; 32]), index: 0 };
        let transaction = Transaction {
            version: 2,
            inputs: vec![TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }],
            outputs: outputs.iter().cloned().map(|(value, script_pubkey)| TxOutput { value, script_pubkey }).collect(),
            lock_time: 0,
        };
        let spent = json!([{ "value": 100_000_000, "script": hex::encode(of_key(self.output_key())) }]);
        let transaction = hex::encode(transaction.to_bytes());
        let name = sha256(&[transaction.as_bytes(), &[sighash_type]])[..8].to_vec();
        let file = self.folder.path().join(format!("{}.json", hex::encode(name)));
        let spending = json!({ "transaction": transaction, "spent": spent, "sighash_type": sighash_type });
        fs::write(&file, spending.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// A thousand satoshi to Bob, and the rest back.
    fn rent(&self) -> [(u64, Vec<u8>); 2] {
        [(1_000, p2pkh_script(&BOB).to_vec()), (99_998_000, of_key(self.output_key()))]
    }

    /// Has the first node ask, and waits until the second has heard of it.
    fn create(&self, arguments: &[&str]) -> String {
        let [creator, asked] = &self.nodes;
        let created = creator.json(&[&["create", &asked.key, "--description", SAID], arguments].concat());
        let session = created["session"].as_str().unwrap().to_owned();
        asked.wait_for("session-announced", &[("session", &session)]);
        session
    }

    fn signed(&self, session: &str) {
        for node in &self.nodes {
            node.json(&["sessions", "wait", session, "--timeout", "60"]);
        }
    }
}

fn of_key(key: PublicKey) -> Vec<u8> {
    TaprootOutput { commitment: key, state: None }.script_pubkey()
}

fn address(payload: Payload) -> String {
    Address { network: Network::Regtest, payload }.to_string()
}

/// Allows everything but this.
fn all_but<'a>(missing: &str, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().filter(|name| **name != missing).flat_map(|name| ["--allow", name]).collect()
}

fn rows<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    table.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("  ")).map(str::trim_start).collect()
}

/// Runs a command on a terminal of its own, types a line, and returns its status and what was seen.
fn on_terminal(command: &mut Command, typed: &str) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = || File::options().read(true).write(true).open(Path::new(&name)).unwrap();
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    // The prepared command holds its ends of the terminal open until it is told otherwise.
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut master = File::from(master);
    master.write_all(format!("{typed}\n").as_bytes()).unwrap();
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    // At the end of its other side a terminal gives an error.
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
    }
    (child.wait().unwrap().code(), String::from_utf8(seen).unwrap())
}

#[test]
fn four_requests_that_say_the_same_do_not_look_the_same_and_one_is_approved() {
    let two = Two::start();
    let [creator, asked] = &two.nodes;
    let [bob, group, hers] = [
        address(Payload::PublicKeyHash(BOB)),
        address(Payload::Taproot(two.output_key())),
        address(Payload::Taproot(creator.key.parse().unwrap())),
    ];
    let to_creator = [(1_000, p2pkh_script(&BOB).to_vec()), (99_998_000, of_key(creator.key.parse().unwrap()))];
    let (rent, [none, any, signer]) = (two.rent(), ["sighash-none", "anyone-can-pay", "pays-signer"]);
    let mut seen = Vec::new();
    for (file, names, name, others) in [
        (two.file(&rent, 0x61), &[][..], "ALL", 1),
        (two.file(&rent, 0x62), &[none], "NONE", 1),
        (two.file(&rent, 0xe2), &[none, any], "NONE|ANYONECANPAY", 1),
        (two.file(&to_creator, 0x61), &[signer], "ALL", 2),
    ] {
        let create = ["create", &asked.key, "--taproot", "--transaction", &file];
        let allow = all_but("", names);
        for missing in names {
            let rest = all_but(missing, names);
            creator.run(&[&create[..], &rest].concat()).assert_failed(5, &[missing, "--allow"]);
        }
        let session = two.create(&[&create[2..], &allow].concat());

        // A person.
        let table = asked.run(&["sessions", "show", &session]).stdout;
        let [says, signs, pays, back] = ["it is said", "signs", "pays", "gives back"].map(|row| rows(&table, row));
        assert_eq!(
            (says, signs),
            (vec![SAID], vec![format!("1 input of a transaction, sighash {name}, by key path").as_str()])
        );
        assert_eq!((pays.len(), back.len()), (others, 2 - others), "{table}");
        let covered = if names.contains(&none) { "NOT COVERED, " } else { "" };
        assert_eq!(pays[0], format!("{covered}1,000 satoshi to {bob}"));
        if names.contains(&signer) {
            assert_eq!(pays[1], format!("99,998,000 satoshi to {hers} (the signer {} alone)", creator.key));
        } else {
            assert_eq!(back[0], format!("{covered}99,998,000 satoshi to {group} (the group)"));
        }
        assert!(
            rows(&table, "fee")[0].starts_with("1,000 satoshi, ") && rows(&table, "lock time") == ["none"],
            "{table}"
        );
        assert_eq!(rows(&table, "WARNING").len(), names.len());
        assert_eq!(table.starts_with("UNUSUAL"), !names.is_empty(), "{table}");

        // A script: the session, the requests, the event.
        let shown = asked.json(&["sessions", "show", &session])["summary"].clone();
        assert_eq!((&shown["unusual"], &shown["description"]), (&json!(names), &json!(SAID)));
        let transaction = &shown["signs"]["transaction"];
        assert_eq!(transaction["outputs"][0]["address"], bob);
        assert_eq!((&transaction["fee"], &transaction["signed"][0]["sighash"]["name"]), (&json!(1_000), &json!(name)));
        assert_eq!(asked.wait_for("session-announced", &[("session", &session)])["summary"], shown);
        let requests = asked.json(&["requests"]);
        let mut requests = requests["sessions"].as_array().unwrap().iter();
        let request = requests.find(|request| request["session"] == session.as_str()).expect("it waits");
        assert_eq!(request["summary"], shown);
        let line = asked.run(&["requests"]).stdout.lines().find(|line| line.contains(&session)).unwrap().to_owned();
        assert_eq!(line.contains("UNUSUAL"), !names.is_empty(), "{line}");
        seen.push((table.replace(&session, ""), shown.to_string()));

        // Nothing but the usual one is approved without its names, and with all but one of them.
        for missing in names {
            let rest = all_but(missing, names);
            for command in ["approve", "join"] {
                let refused = asked.run(&[&[command, session.as_str()][..], &rest].concat());
                refused.assert_failed(5, &[missing, &format!("--allow {missing}")]);
            }
            asked.run(&[&["approve", session.as_str(), "--json"][..], &rest].concat()).assert_failed(5, &["--allow"]);
            assert_eq!(asked.json(&["sessions", "show", &session])["phase"], "announced");
        }
        let approved = asked.json(&[&["approve", session.as_str()][..], &allow].concat());
        assert_eq!((&approved["session"], &approved["summary"]), (&json!(session), &shown));
        two.signed(&session);

        // What was approved is told, and kept, on both sides.
        for node in &two.nodes {
            assert_eq!(node.wait_for("session-approved", &[("session", &session)])["summary"], shown);
            let kept = fs::read_to_string(node.folder.join("approvals.jsonl")).unwrap();
            let last: Value = serde_json::from_str(kept.lines().last().unwrap()).unwrap();
            assert_eq!(fields(&last), ["event", "time"]);
            assert_eq!((&last["event"]["session"], &last["event"]["summary"]), (&json!(session), &shown));
        }
    }
    for (place, one) in seen.iter().enumerate() {
        for other in &seen[..place] {
            assert!(one.0 != other.0 && one.1 != other.1, "a person and a script can tell them apart");
        }
    }
}

/// A transaction of Bitcoin, which spends an output that can be recovered by a script.
#[test]
fn a_bitcoin_transaction_is_shown_and_its_signature_spends() {
    let two = Two::start();
    let [creator, asked] = &two.nodes;
    let mut keys: Vec<PublicKey> = two.nodes.iter().map(|node| node.key.parse().unwrap()).collect();
    keys.sort_unstable();
    let (root, tree) = ("05".repeat(32), Tweak::Taproot { merkle_root: Some([5; 32]) });
    let own = KeyAggContext::new(Suite::Bip340, &keys).unwrap().with_tweak(&tree).unwrap().challenge_key();
    let script = bitcoin::taproot_script(&own).to_vec();
    let outpoint = OutPoint { txid: Txid::from_bytes([0x11; 32]), index: 0 };
    let bob = bitcoin::Address::parse(Network::Regtest, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080").unwrap();
    let output = |value, script_pubkey| TxOutput { value, script_pubkey };
    let transaction = Transaction {
        version: 2,
        inputs: vec![TxInput { outpoint, script_sig: Vec::new(), sequence: u32::MAX }],
        outputs: vec![output(1_000, bob.script_pubkey().to_vec()), output(98_000, script.clone())],
        lock_time: 0,
    };
    let spent = json!([{ "value": 100_000, "script": hex::encode(&script) }]);
    let file = two.folder.path().join("bitcoin.json");
    let spending = json!({ "transaction": hex::encode(transaction.to_bytes()), "spent": spent });
    fs::write(&file, spending.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let create = ["create", &asked.key, "--suite", "bip340", "--taproot", "--transaction", file];
    creator.run(&create).assert_failed(1, &["not the session's own, whose script is 5120"]);
    let session = two.create(&[&create[2..], &["--merkle-root", &root]].concat());
    let table = asked.run(&["sessions", "show", &session]).stdout;
    assert_eq!(rows(&table, "signs"), ["1 input of a transaction, sighash DEFAULT, by key path"]);
    assert_eq!(rows(&table, "pays"), [format!("1,000 satoshi to {bob}")]);
    let group = bitcoin::Address::taproot(Network::Regtest, &own);
    assert_eq!(rows(&table, "gives back"), [format!("98,000 satoshi to {group} (the group)")]);
    assert_eq!(rows(&table, "fee"), ["1,000 satoshi, 7.042 per virtual byte of 142"]);
    asked.json(&["approve", &session]);
    two.signed(&session);
    let signed = creator.json(&["sessions", "wait", &session]);
    let signature: Signature = signed["signature"].as_str().unwrap().parse().unwrap();
    let spent = [output(100_000, script)];
    let digest = bitcoin::SighashCache::new(&transaction, &spent)
        .and_then(|cache| cache.sighash(0, bitcoin::SighashType::DEFAULT, bitcoin::Spend::KeyPath));
    assert!(schnorr::verify(Suite::Bip340, &own, &digest.unwrap(), &signature));
}

#[test]
fn what_the_group_does_not_own_or_cannot_pay_is_not_created() {
    let two = Two::start();
    let [creator, asked] = &two.nodes;
    let file = two.file(&two.rent(), 0x61);
    let create = ["create", &asked.key, "--transaction", &file];
    creator.run(&create).assert_failed(1, &["not the session's own", "create the session with `--taproot`"]);
    let file = two.file(&[(100_000_001, vec![0x51])], 0x61);
    let create = ["create", &asked.key, "--taproot", "--transaction", &file];
    creator.run(&create).assert_failed(1, &["100000001", "more than the inputs"]);
    assert_eq!(creator.json(&["sessions"])["sessions"], json!([]));
}

#[test]
fn a_person_at_a_terminal_is_asked_and_only_a_yes_approves() {
    let two = Two::start();
    let asked = &two.nodes[1];
    let session = two.create(&["--message", MESSAGE]);
    asked.run(&["approve", &session]).assert_failed(5, &["opaque", "--allow opaque"]);
    asked.run(&["approve", &session, "--allow", "sighash-none"]).assert_failed(5, &["opaque"]);
    asked.run(&["approve", &session, "--allow", "everything"]).assert_refused(&["everything", "opaque, sighash-none"]);
    for no in ["", "y", "YES"] {
        let (status, seen) = on_terminal(&mut asked.command(&["approve", &session]), no);
        assert_eq!(status, Some(5), "{seen}");
        for text in ["UNUSUAL", "WARNING", MESSAGE, SAID, "Type yes: ", "error: nothing is approved; "] {
            assert!(seen.contains(text), "{text:?} in {seen}");
        }
        assert_eq!(asked.json(&["sessions", "show", &session])["phase"], "announced");
    }
    let (status, seen) = on_terminal(&mut asked.command(&["approve", &session]), "yes");
    assert_eq!(status, Some(0), "{seen}");
    two.signed(&session);
    // What is usual, or named, is approved at once, and shown.
    let file = two.file(&two.rent(), 0x61);
    for (arguments, allow, text) in [
        (&["--taproot", "--transaction", &file][..], &[][..], "gives back"),
        (&["--message", MESSAGE], &["--allow", "opaque"], "as bytes"),
    ] {
        let session = two.create(arguments);
        let (status, seen) = on_terminal(&mut asked.command(&[&["approve", &session][..], allow].concat()), "no");
        assert_eq!(status, Some(0), "{seen}");
        assert!(seen.contains(text) && !seen.contains("Type yes"), "{seen}");
        two.signed(&session);
    }
}

#[test]
fn what_others_call_themselves_is_harmless_wherever_it_is_shown() {
    let two = Two::start();
    let [creator, asked] = &two.nodes;
    // The command line does not let its own user do this; others have other programs.
    creator.run(&["advertise", "--type", "spend", "--nickname", "Bob\u{202e}"]).assert_refused(&[r"Bob\u{202e}"]);
    creator
        .run(&["create", &asked.key, "--message", MESSAGE, "--description", "a\u{200b}"])
        .assert_refused(&[r"a\u{200b}"]);
    let raw = "e\u{202e}v\u{200b}i\u{301}\u{301}\u{301}l";
    let shown = "e\\u{202e}v\\u{200b}i\u{301}\u{301}\\u{301}l";
    let offer = json!({
        "types": ["spend"], "min_amount": null, "max_amount": null, "min_reputation": null,
        "nickname": raw.repeat(3), "description": raw, "fee": null,
        "response_seconds": null,
    });
    say(creator, &json!({ "version": 1, "id": 1, "request": "advertise", "offer": offer }));
    let create = json!({
        "version": 1, "id": 1, "request": "create", "suite": "lotus", "keys": [asked.key], "tweak": "None",
        "message": MESSAGE, "election": "lexicographic", "description": raw,
    });
    say(creator, &create);
    let session =
        asked.wait_for("session-announced", &[("creator", &creator.key)])["session"].as_str().unwrap().to_owned();
    asked.json(&["subscribe", "spend"]);
    asked.wait_for("signer-discovered", &[("key", &creator.key)]);
    // Without its creator the session does not complete between one approval and the next.
    assert_eq!(creator.run(&["stop"]).status, 0);
    for command in [
        &["signers", "--type", "spend"][..],
        &["requests"],
        &["sessions", "show", &session],
        &["events"],
        &["approve", &session, "--allow", "opaque"],
    ] {
        for json in [&[][..], &["--json"]] {
            let run = asked.run(&[command, json].concat());
            assert_eq!(run.status, 0, "{}", run.stderr);
            let expected = if json.is_empty() { shown.to_owned() } else { shown.replace('\\', "\\\\") };
            assert!(run.stdout.contains(&expected), "{command:?} {json:?}: {}", run.stdout);
            assert!(!run.stdout.contains(['\u{202e}', '\u{200b}']), "{command:?} {json:?}: {}", run.stdout);
        }
    }
    asked.wait_for("session-approved", &[("session", &session)]);
    let kept = fs::read_to_string(asked.folder.join("approvals.jsonl")).unwrap();
    assert!(kept.contains(&shown.replace('\\', "\\\\")) && !kept.contains('\u{202e}'), "{kept}");
}

/// Says a line to a node over its socket, and asserts that it is done.
fn say(node: &Node, line: &Value) {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;
    let mut stream = UnixStream::connect(node.folder.join("socket")).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
fn the_log_of_a_node_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let mut creator = Node::init(&folder.path().join("creator"), &[]);
    let address = creator.start();
    let asked = Node::init(&folder.path().join("asked"), &["--bootstrap", &address]);
    // As a service has it: everything in files.
    let log = folder.path().join("log");
    let mut command = asked.command(&["-vvv", "node", "--json"]);
    let mut running =
        Lines::spawn(cli_support::node::with_passphrase(&mut command).stderr(File::create(&log).unwrap()));
    running.find(|line| (line["event"]["event"] == "signer-connected").then_some(()));
    let raw = "e\u{202e}v\u{200b}il";
    let create = json!({
        "version": 1, "id": 1, "request": "create", "suite": "lotus", "keys": [asked.key], "tweak": "None",
        "message": MESSAGE, "election": "lexicographic", "description": raw,
    });
    creator.wait_for_signers(&[&asked.key]);
    say(&creator, &create);
    let session = running.find(|line| {
        (line["event"]["event"] == "session-announced").then(|| line["event"]["session"].as_str().unwrap().to_owned())
    });
    asked.json(&["approve", &session, "--allow", "opaque"]);
    running.find(|line| (line["event"]["event"] == "session-completed").then_some(()));
    let log = fs::read_to_string(log).unwrap();
    // Once more escaped, as a text within a debugged event.
    assert!(log.contains(r"e\\u{202e}v\\u{200b}il"), "the approval is in the log");
    assert!(!log.contains(['\u{202e}', '\u{200b}', '\u{1b}']));
}
